"""What docs/python.md and the notebook show works as shown."""

import re

import nbclient
import nbformat
import pytest

from tests.conftest import ROOT, draw

RECIPE = """\
data: {source: {folder: photos}, image_size: 32}
model: {backbone: tiny}
finetune: {stages: [{policy: head-only, solver: lbfgs}]}
export: []
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with photos and a recipe."""
    for kind, name in enumerate(("cat", "dog", "owl")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(12):
            draw(kind, index).save(tmp_path / "photos" / name / f"{index}.png")
    (tmp_path / "photos.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_snippet_of_the_page_runs(here, capsys):
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    names: dict = {}
    for snippet in snippets:
        exec(compile(snippet, "docs/python.md", "exec"), names)
    assert names["run"].result["status"] == "done"
    assert (here / "last.keras").is_file() and (here / "runs" / "second" / "report.html").is_file()
    out = capsys.readouterr().out
    for words in (
        "val accuracy",
        "photos/cat/0.png cat",
        "policy full",
        "backbone: tiny",
        "head-only 0 ",
    ):
        assert words in out


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(ROOT / "examples" / "finetune.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # they are made, not kept
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    text = "".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    for words in ("stage 1: policy head-only", "val accuracy", "Prediction(image='images[0]'"):
        assert words in text
