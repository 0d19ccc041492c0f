import json
import pathlib
import textwrap

import hypothesis
import pytest
from hypothesis import strategies

from tlkit.errors import RecipeError, UserError
from tlkit.recipe.aliases import ALIASES
from tlkit.recipe.json_schema import recipe_json_schema
from tlkit.recipe.load import load_recipe, recipes_folder

GOOD = """\
name: flowers
data:
  source: {folder: photos}
  image_size: 64
model:
  backbone: mobilenet_v2
  weights: none
finetune:
  stages:
    - {policy: head-only, epochs: 2}
    - policy: {last-blocks: 3}
      epochs: 4
      optimizer: {sgd: 1e-2}
      schedule: {cosine: {warmup_epochs: 1}}
      head_multiplier: 10
"""


@pytest.fixture
def write(tmp_path):
    def put(text: str) -> pathlib.Path:
        file = tmp_path / "r.yaml"
        file.write_text(textwrap.dedent(text))
        return file

    return put


def problems(file, *overrides) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_recipe(file, overrides)
    error = caught.value
    return [str(p) for p in error.problems] if isinstance(error, RecipeError) else [str(error)]


def test_a_good_recipe_is_read_with_names_arguments_and_numbers(write, tmp_path):
    recipe = load_recipe(write(GOOD))
    second = recipe.finetune.stages[1]
    assert second.policy.name == "last-blocks"
    assert second.policy.arguments == {"count": 3}
    assert second.optimizer.arguments["learning_rate"] == 0.01
    assert recipe.data.source.arguments["path"] == str(tmp_path / "photos")


def test_all_problems_are_told_at_once_with_line_and_column(write):
    text = GOOD.replace("head-only", "headonly").replace("  image_size: 64", "  imgsz: 64")
    text = text.replace("backbone: mobilenet_v2", "backbone: mobilnet_v2")
    found = problems(write(text))
    assert len(found) == 3
    by_line = {p.split(": ", 1)[0].rsplit("r.yaml:", 1)[1]: p for p in found}
    assert "In tlkit: data.image_size." in by_line["4:3"]
    assert "Did you mean 'mobilenet_v2'?" in by_line["6:13"]
    assert "Did you mean 'head-only'?" in by_line["10:16"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 2", "epochs: two", "10:35: finetune.stages[0].epochs: expected a whole number"),
        ("epochs: 2", "epochs: -1", "expected a number >= 0, found -1"),
        ("{sgd: 1e-2}", "{sgd: {lerning_rate: 1}}", "Did you mean 'learning_rate'?"),
        ("{sgd: 1e-2}", "{sgd: {learning_rate: fast}}", "expected a number from 1e-10 to 100, or auto, found 'fast'"),
        ("{sgd: 1e-2}", "{sgd: 1, adam: 2}", "expected the name of an optimizer"),
        ("{folder: photos}", "{foldr: photos}", "'foldr' is not a data source. Did you mean 'folder'?"),
        ("{folder: photos}", "{folder: {}}", "path: is missing"),
        ("image_size: 64", "image_size: 16", "below the minimum of 'mobilenet_v2', 32"),
        ("image_size: 64", "image_size: large", "data.image_size"),
        ("warmup_epochs: 1", "warmup_epochs: 4", "must be less than the stage's epochs, 4"),
        ("name: flowers", "name: ../up", "expected letters, digits"),
        ("name: flowers", "nme: flowers", "unknown key 'nme'"),
        ("weights: none", "weights: bundled", "no weights are bundled for 'mobilenet_v2'"),
        ("head-only, epochs: 2", "predict-only, epochs: 2", "trains nothing, so epochs must be 0"),
        (
            "head-only, epochs: 2",
            "predict-only, head_multiplier: 3",
            "trains nothing, so head_multiplier has no meaning",
        ),
        (
            "head-only, epochs: 2",
            "head-only, epochs: 0, schedule: cosine",
            "'cosine' needs epochs of 1 or more",
        ),
        ("head-only, epochs: 2", "head-only, layer_decay: 0.5", "layer_decay has no meaning"),
        ("weights: none", "weights: none\n  head: original", "must be predict-only"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_is_allowed(write, old, new, expected):
    assert old in GOOD
    assert any(expected in problem for problem in problems(write(GOOD.replace(old, new))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "2:1"),
        ("a: !!python/object:os.system x\n", "tags are not allowed"),
        ("a: !thing x\n", "tags are not allowed"),
        ("- a\n- b\n", "is a mapping"),
        ("a: [1, 2\n", "is not valid YAML"),
        ("a: &a [*a]\n", "aliases expand"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
            "aliases expand",
        ),
        ("", "is a mapping"),
    ],
)
def test_dangerous_and_broken_yaml_is_refused(write, text, expected):
    assert expected in problems(write(text))[0]


@hypothesis.given(strategies.text(max_size=200))
@hypothesis.settings(max_examples=150, deadline=None)
def test_no_text_whatever_breaks_the_reader(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("fuzz") / "r.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(UserError):
        load_recipe(file)


def test_overrides_change_lists_names_and_new_keys(write):
    file = write(GOOD)
    recipe = load_recipe(
        file,
        ["finetune.stages.0.epochs=7", "finetune.stages[1].optimizer.sgd=0.5", "seed=3",
         "model.head.linear.dropout=0.4", "data.split.val=0.3"],
    )  # fmt: skip
    assert recipe.finetune.stages[0].epochs == 7
    assert recipe.finetune.stages[1].optimizer.arguments["learning_rate"] == 0.5
    assert recipe.seed == 3
    assert recipe.model.head.arguments["dropout"] == 0.4
    assert recipe.data.split.val == 0.3


def test_a_wrong_override_is_named_as_such(write):
    file = write(GOOD)
    assert problems(file, "data.batch_size=many")[0].startswith("--set data.batch_size:")
    assert "is a list of 2" in problems(file, "finetune.stages.5.epochs=1")[0]
    assert "expected key=value" in problems(file, "nonsense")[0]


def test_paths_of_an_override_are_relative_to_the_user(write, tmp_path, monkeypatch):
    file = write(GOOD)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    recipe = load_recipe(file, ["data.source.folder=mine"])
    assert recipe.data.source.arguments["path"] == str(tmp_path / "else" / "mine")


def test_a_packaged_recipe_speaks_of_the_user_s_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_recipe("staged").data.source.arguments["path"] == str(tmp_path / "photos")
    digits = load_recipe("quickstart").data.source.arguments["train"]
    assert digits == str(recipes_folder() / "digits.tfrecord")


@pytest.mark.parametrize(
    ("key", "ours"),
    [("lr0", "learning_rate"), ("imgsz", "image_size"), ("num_epochs", "epochs"), ("lr", "learning_rate"),
     ("weight_decay_rate", "weight_decay")],
)  # fmt: skip
def test_other_tools_keys_are_answered_with_ours(write, key, ours):
    (found,) = problems(write(GOOD + f"{key}: 1\n"))
    assert f"unknown key {key!r}" in found
    assert ours in found


def test_every_alias_points_at_a_key_that_exists():
    schema = json.dumps(recipe_json_schema())
    for answer in ALIASES.values():
        if not answer.startswith("the option"):
            last = answer.split(":")[0].split(".")[-1]
            assert f'"{last}"' in schema, answer


@pytest.mark.parametrize("file", sorted(recipes_folder().glob("*.yaml")), ids=lambda f: f.stem)
def test_every_packaged_recipe_is_right(file):
    first, second = file.read_text().splitlines()[:2]
    assert first.startswith("# yaml-language-server: $schema=")
    assert second.startswith("# ")
    assert load_recipe(file.stem).name == file.stem


def test_a_misspelt_packaged_recipe_is_suggested():
    with pytest.raises(UserError, match="Did you mean 'quickstart'"):
        load_recipe("quikstart")


def test_the_json_schema_accepts_the_packaged_recipes_and_names_every_policy():
    schema = json.dumps(recipe_json_schema())
    for name in ("head-only", "last-blocks", "one_cycle", "nearest-mean", "tfrecord"):
        assert name in schema


def test_the_schema_beside_the_recipes_is_current():
    text = (recipes_folder() / "recipe.schema.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(recipe_json_schema())), (
        "write it again with: tlkit schema > recipes/recipe.schema.json"
    )


def test_the_recipe_of_the_readme_is_right(tmp_path):
    import re

    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", readme, re.S)
    (tmp_path / "flowers.yaml").write_text(text)
    assert len(load_recipe(tmp_path / "flowers.yaml").finetune.stages) == 2
