"""Walks nasty names through every command, in one process; run with the tlkit that is to be tried.

python nasty_walk.py DATA WORK: DATA has class folders, WORK is empty. Prints what each command said.
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import shutil
import sys

STAGE = "=1+1 [red] $x_$ 猫"


def main(data: str, work: str) -> None:
    os.chdir(work)
    from tlkit.cli import main as cli

    cli._speak_alone(False)
    print(f"tlkit is in {pathlib.Path(cli.__file__).parents[2]}")

    def run(*words: str) -> str:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = cli.cli.main(list(words), standalone_mode=False)
        assert not code, (words, code)
        print(f"--- {words[0]}\n{told.getvalue()}")
        return told.getvalue()

    folder = "run, =1 [red] $x_$ 猫"
    recipe = {
        "name": "nasty",
        "data": {
            "source": {"folder": data},
            "image_size": 32,
            "batch_size": 16,
            "split": {"val": 0.4},
        },
        "model": {"backbone": "tiny", "weights": "bundled"},
        "finetune": {"stages": [{"name": STAGE, "policy": "head-only", "epochs": 1}]},
        "export": ["saved_model"],
    }
    # JSON is YAML
    pathlib.Path("recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    run("init", data, "-o", "draft.yaml", "--backbone", "mobilenet_v2")
    run("validate", "recipe.yaml")
    run("plan", "recipe.yaml")
    run("check", data, "--backbone", "none", "-o", "checked")
    run("finetune", "recipe.yaml", "--run-dir", folder)
    run("report", folder)
    run("evaluate", folder, data, "-o", "evaluated")
    run("predict", folder, data, "-o", "predicted.csv")
    one = next(pathlib.Path(data).iterdir())
    run("predict", folder, str(one), "-o", "predicted.jsonl", "--format", "jsonl")
    shutil.copytree(folder, "$other")
    run("compare", folder, "$other")
    run("rank", data, "--backbones", "tiny", "--image-size", "32")
    run("cache", "ls")
    run("lr-find", "recipe.yaml", "--steps", "20")
    formats = ("litert", "onnx", "openvino")
    run("export", folder, *(word for name in formats for word in ("--format", name)))
    look(pathlib.Path(folder))


def look(folder: pathlib.Path) -> None:
    """What was written says the names as they are, and nothing obeys them."""
    from tlkit.data.labels import read_labels
    from tlkit.text import from_cell

    classes = read_labels(folder / "labels.txt")
    for file in (folder / "predictions.csv", pathlib.Path("predicted.csv"), folder / "images.csv"):
        with open(file, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert rows, file
        for row in rows:
            known = [row[key] for key in ("label", "predicted", "label_1") if key in row]
            assert all(from_cell(value) in classes for value in known), row
            assert not any(value.startswith(("=", "+", "-", "@")) for value in known), row
    rows = list(csv.DictReader(io.StringIO((folder / "metrics.csv").read_text("utf-8"))))
    assert {row["stage"] for row in rows} == {f"'{STAGE}"}
    for page in (
        folder / "report.html",
        pathlib.Path("checked/check.html"),
        pathlib.Path("compare.html"),
    ):
        text = page.read_text("utf-8")
        assert "<script" not in text and "<b>bold" not in text, page
    assert "&lt;b&gt;bold&lt;script&gt;&amp;amp;" in (folder / "report.html").read_text("utf-8")
    for export in (folder / "export").iterdir():
        assert read_labels(export / "labels.txt") == classes, export
        assert json.loads((export / "signature.json").read_text("utf-8"))["labels"] == classes, (
            export
        )
    from tlkit.serve.deployed import load_export, prove

    for export in (folder / "export").iterdir():
        deployed = load_export(export)
        assert deployed.classes == classes
        prove(deployed, export)
    print(json.dumps(classes))


if __name__ == "__main__":
    main(*sys.argv[1:])
