import os
import pathlib

import pytest
from click.testing import CliRunner

from tests.data import exports
from tlkit.cli.main import cli
from tlkit.data.read_source import read_records
from tlkit.draft import draft_recipe, yaml_text
from tlkit.errors import DataError, RecipeError, UserError
from tlkit.recipe.load import load_recipe, read_yaml

NASTY = ["2024", "007", "1e5", "true", "null", "no", "12:30:45", "~", ".5", "a: b", "#x", "- a", "-rf", "=1",
         "it's", '"q"', "{a}", "[b]", "a,b", "😀", "猫", "*x", "&x",
         "!x", "%x", "@x", "`x`", "x" * 200, "v1.2", "a ", "<<", "0x1F", "1_000", "2024-05-01"]  # fmt: skip


def run(*arguments, code=0):
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code
    return result.output


CONTROLS = ["new\nline", "tab\t", "\u2028"]


def test_a_folder_of_any_name_gets_a_recipe_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NASTY):
        if name == "~":  # the home folder, whatever is called so here
            continue
        exports.folders(tmp_path / name, count=1)
        file = f"{number}.yaml"
        run("init", "./" + name, "--backbone", "tiny", "-o", file)
        recipe = load_recipe(file)
        assert isinstance(recipe.name, str)
        assert len(read_records(recipe.data.source).records) == 2
        assert (tmp_path / name).samefile(recipe.data.source.arguments["path"])


@pytest.mark.parametrize("name", CONTROLS)
def test_a_folder_whose_name_breaks_lines_is_one_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    exports.folders(tmp_path / name, count=1)
    with pytest.raises(UserError, match="expected text without control characters") as found:
        run("init", name, "--backbone", "tiny")
    assert "\n" not in str(found.value)
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.parametrize("name", [*NASTY, *CONTROLS])
def test_text_in_yaml_is_read_as_it_was(tmp_path, name):
    (tmp_path / "x.yaml").write_text(f"a: {{b: {yaml_text(name)}, c: 1}}\n", "utf-8")
    assert read_yaml(tmp_path / "x.yaml") == {"a": {"b": name, "c": 1}}


def test_classes_with_line_breaks_stay_within_their_comment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exports.folders(tmp_path / "d", ("a\nname: b", "c"))
    run("init", "d", "--backbone", "tiny")
    assert load_recipe(tmp_path / "d.yaml").name == "d"


def test_a_link_takes_the_name_that_was_typed(tmp_path, monkeypatch):
    exports.folders(tmp_path / "store" / "v17")
    (tmp_path / "photos").symlink_to(tmp_path / "store" / "v17")
    monkeypatch.chdir(tmp_path)
    for typed in ("photos", "photos/", "./photos", str(tmp_path / "photos"), "store/../photos"):
        run("init", typed, "--backbone", "tiny", "-f")
        assert [f.name for f in tmp_path.glob("*.yaml")] == ["photos.yaml"]
        assert "source: {folder: photos}" in (tmp_path / "photos.yaml").read_text()
    monkeypatch.chdir(tmp_path / "photos")
    monkeypatch.setenv("PWD", str(tmp_path / "photos"))  # as a shell says it
    run("init", ".", "--backbone", "tiny", "-o", tmp_path / "here.yaml")
    assert "name: photos\n" in (tmp_path / "here.yaml").read_text()
    assert "source: {folder: photos}" in (tmp_path / "here.yaml").read_text()
    os.chdir("cat")
    run("init", "..", "--backbone", "tiny", "-o", tmp_path / "up.yaml")
    assert len(read_records(load_recipe(tmp_path / "up.yaml").data.source).records) == 8


def test_the_parent_of_a_link_is_where_the_system_reads(tmp_path, monkeypatch):
    exports.folders(tmp_path / "store" / "v17")
    (tmp_path / "cats").symlink_to(tmp_path / "store" / "v17" / "cat")
    monkeypatch.chdir(tmp_path / "cats")
    monkeypatch.setenv("PWD", str(tmp_path / "cats"))
    run("init", "..", "--backbone", "tiny", "-o", tmp_path / "up.yaml")
    assert len(read_records(load_recipe(tmp_path / "up.yaml").data.source).records) == 8


def test_a_recipe_in_a_linked_folder_finds_its_data(tmp_path, monkeypatch):
    exports.folders(tmp_path / "photos")
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "recipes").symlink_to(tmp_path / "a" / "deep")
    monkeypatch.chdir(tmp_path)
    run("init", "photos", "--backbone", "tiny", "-o", "recipes/p.yaml")
    assert len(read_records(load_recipe("recipes/p.yaml").data.source).records) == 8


def test_a_place_that_cannot_be_written_is_told_before_the_data_are_read(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the data were read")

    monkeypatch.setattr("tlkit.draft.draft_recipe", fail)
    with pytest.raises(UserError, match=r"no such folder to write to\. Make it: mkdir -p"):
        run("init", tmp_path, "-o", tmp_path / "gone" / "x.yaml")
    with pytest.raises(UserError, match="cannot be written to"):
        run("init", tmp_path, "-o", "/proc/x.yaml")


def test_an_output_that_is_a_folder_holds_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exports.folders(tmp_path / "photos")
    (tmp_path / "out").mkdir()
    run("init", "photos", "--backbone", "tiny", "-o", "out")
    assert (tmp_path / "out" / "photos.yaml").is_file()


@pytest.mark.parametrize("value", ["2024-05-01", "2024-13-45", "007", "1e5", "true", "null"])
def test_a_name_given_by_hand_is_text(recipe, value):
    assert load_recipe(recipe, [f"name={value}"]).name == value
    path = load_recipe(recipe, [f"data.source.folder={value}"]).data.source.arguments["path"]
    assert pathlib.Path(path).name == value


def test_a_date_that_is_none_is_a_message_where_a_number_is_wanted(recipe):
    with pytest.raises(RecipeError, match=r"seed: .2024-13-45. is not a YAML value"):
        load_recipe(recipe, ["seed=2024-13-45"])


def test_what_is_no_data_is_said_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    os.symlink("nowhere", "gone")
    os.mkfifo("pipe")
    for name, reason in (
        ("loop", "cannot be read: Too many levels"),
        ("gone", "link that leads nowhere"),
        ("pipe", "is neither a file nor a folder"),
        ("none", "no such folder or file"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{reason}"):
            draft_recipe(pathlib.Path(name), "tiny", tmp_path)


def test_frames_of_a_video_are_noted(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    few = rng.integers(0, 255, (4, 30, 3)).astype("uint8")
    wide = np.asarray(Image.fromarray(few).resize((480, 64), Image.Resampling.BICUBIC))
    for name, start in (("walk", 0), ("run", 100)):
        for frame in range(20):
            place = tmp_path / "videos" / name / f"frame_{frame:05d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            at = start + frame  # a camera that pans slowly
            Image.fromarray(wide[:, at : at + 64]).save(place)
    assert "frames of videos" in run("init", "videos", "--backbone", "tiny")
    assert "frames of videos" in (tmp_path / "videos.yaml").read_text()
    for kind, name in enumerate(("walk", "run")):  # unlike, but called so
        for frame in range(3):
            exports.put(tmp_path / "few" / name / f"vid{kind}_frame_{frame:05d}.jpg", kind, frame)
    assert "frames of videos" in run("init", "few", "--backbone", "tiny")
    exports.folders(tmp_path / "photos", count=20)  # cat.0.jpg, cat.1.jpg: numbered, and unlike
    assert "frames of videos" not in run("init", "photos", "--backbone", "tiny")
