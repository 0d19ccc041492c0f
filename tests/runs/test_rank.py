"""`tlkit rank`: backbones compared without training."""

import json

import pytest
from click.testing import CliRunner

from tlkit.cli.main import cli
from tlkit.errors import RunFailed, UserError
from tlkit.runs.rank import rank


def test_a_backbone_is_measured(photos):
    (row,) = rank(photos, ["tiny"], image_size=32)
    assert (row.backbone, row.size, row.features) == ("tiny", 32, 128)
    assert row.value > 0.9
    assert row.images_per_second > 0
    assert row.parameters == pytest.approx(0.68e6, rel=0.05)


def test_the_second_time_features_are_found_again(photos, monkeypatch):
    first = rank(photos, ["tiny"], image_size=32)[0]
    monkeypatch.setattr("tlkit.features.compute.choose_engine", None)  # must not be called
    again = rank(photos, ["tiny"], image_size=32)[0]
    assert (again.value, again.log_me, again.images_per_second) == (
        first.value, first.log_me, first.images_per_second
    )  # fmt: skip


def test_a_sample_has_every_class(photos):
    row = rank(photos, ["tiny"], image_size=32, images=12)[0]
    assert row.value > 0.5


def test_weights_that_cannot_be_had_leave_one_out(photos, tmp_path):
    wrong = tmp_path / "x.weights.h5"
    wrong.write_bytes(b"no")
    rows = rank(photos, [f"mobilenet_v2={wrong}", "tiny"], image_size=32)
    assert [row.backbone for row in rows] == ["tiny", "mobilenet_v2"]
    assert "is not an HDF5 file" in rows[1].problem
    with pytest.raises(RunFailed, match=r"no backbone could be measured:\n    mobilenet_v2: "):
        rank(photos, [f"mobilenet_v2={wrong}"], image_size=32)


def test_names_and_files_are_checked_first(photos):
    with pytest.raises(UserError, match="Did you mean 'mobilenet_v2'"):
        rank(photos, ["mobilenetv2"])
    with pytest.raises(UserError, match=r"nowhere\.h5: no such weights file"):
        rank(photos, ["tiny=nowhere.h5"])


def test_the_command_prints_a_table_or_json(photos):
    told = CliRunner().invoke(
        cli, ["rank", str(photos), "--backbones", "tiny", "--image-size", "32"]
    )
    assert told.exit_code == 0, told.output
    head, row = told.output.strip().splitlines()[-2:]
    assert head.split() == [
        "backbone", "size", "features", "Mparams", "MB", "accuracy", "LogME", "images/s", "s"
    ]  # fmt: skip
    assert row.split()[:5] == ["tiny", "32", "128", "0.7", "3"]
    told = CliRunner().invoke(
        cli, ["rank", str(photos), "--backbones", "tiny", "--image-size", "32", "--json"]
    )
    assert json.loads(told.stdout)[0]["backbone"] == "tiny"
