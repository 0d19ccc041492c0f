"""The list of techniques is whole, and what it shows works as shown."""

import importlib
import pathlib
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from tlkit import catalog, registry
from tlkit.cli.main import cli
from tlkit.recipe.load import load_recipe, read_yaml

ALL = catalog.techniques()


def test_every_registered_thing_is_listed():
    listed = {(t.kind, t.name) for t in ALL}
    places = (registry.SOURCES, registry.TRACKERS, registry.EXPORTS)
    expected = {
        (things.kind, name)
        for things in registry.REGISTRIES
        if things not in places
        for name in things
    }
    assert expected <= listed
    assert all(t.summary and len(t.summary) < 240 for t in ALL)


def merge(base, extra):
    for key, value in extra.items():
        if key == "stages" or not isinstance(value, dict) or key not in base:
            base[key] = value
        else:
            merge(base[key], value)
    return base


@pytest.mark.parametrize("technique", [t for t in ALL if t.snippet], ids=lambda t: t.name)
def test_its_snippet_is_a_valid_part_of_a_recipe(technique, recipe, tmp_path):
    file = tmp_path / "snippet.yaml"
    file.write_text(technique.snippet)
    whole = merge(recipe, read_yaml(file))
    if technique.name in ("original", "nearest-mean", "knn", "predict-only"):
        whole["finetune"]["stages"] = [{"policy": "predict-only"}]
        whole["model"]["head"] = "nearest-mean"
    load_recipe(whole)


@pytest.mark.parametrize("technique", [t for t in ALL if t.python], ids=lambda t: t.name)
def test_its_python_line_names_something_that_exists(technique):
    if technique.python.startswith("from "):
        _, module, _, name = technique.python.split()
    else:
        module, _, name = technique.python.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_command_lists_them_and_shows_one():
    run = CliRunner()
    whole = run.invoke(cli, ["techniques"]).output
    assert all(f"  {t.name} " in whole for t in ALL)
    losses = run.invoke(cli, ["techniques", "--kind", "loss"]).output
    assert "focal" in losses and "mix_up" not in losses
    one = run.invoke(cli, ["techniques", "Focal"]).output
    for part in ("(1 - p_k)^gamma", "gamma: number from 0 to 20", "loss: {focal:", "import Focal"):
        assert part in one
    both = run.invoke(cli, ["techniques", "step"])
    assert both.exit_code == 0


def test_a_misspelt_technique_is_met_with_the_nearest():
    done = subprocess.run(
        [sys.executable, "cli.py", "techniques", "mixupp"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "Did you mean 'mix_up'" in done.stderr


def test_the_documentation_is_current():
    sys.path.insert(0, str(ROOT / "tools"))
    from make_docs import page

    written = (ROOT / "docs" / "techniques.md").read_text("utf-8")
    assert written == page(), "write it again with: python tools/make_docs.py"
    for line in written.splitlines():
        if line.startswith("!["):
            picture = ROOT / "docs" / line.partition("(")[2].rstrip(")")
            assert pathlib.Path(picture).stat().st_size > 1000, picture
