"""Things from outside of tlkit: named by their module, offered by a package, registered in a notebook."""

import copy
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import tlkit
from tlkit import own_things, registry, use
from tlkit.errors import RecipeError
from tlkit.recipe.json_schema import recipe_json_schema
from tlkit.recipe.load import load_recipe
from tlkit.registry import register

MODULE = '''
"""What a person wrote."""
import keras
from keras import ops


class Steeper(keras.losses.Loss):
    """Cross-entropy to a power."""

    def __init__(self, power: float = 1.0, label_smoothing: float = 0.0, name="steeper"):
        super().__init__(name=name)
        self.power, self.label_smoothing = power, label_smoothing

    def call(self, y_true, y_pred):
        smooth = self.label_smoothing
        each = keras.losses.categorical_crossentropy(
            y_true, y_pred, from_logits=True, label_smoothing=smooth
        )
        return each**self.power


class Wave(keras.layers.Layer):
    """x + height sin x."""

    def __init__(self, height=0.1, **kwargs):
        super().__init__(**kwargs)
        self.height = height

    def call(self, x):
        return x + self.height * ops.sin(x)

    def get_config(self):
        return {**super().get_config(), "height": self.height}


class Darker(keras.layers.Layer):
    """Images times a factor, in training."""

    def __init__(self, factor: float = 0.9, *, seed=None):
        super().__init__()
        self.factor, self.seed = factor, seed

    def call(self, x, training=False):
        return x * self.factor if training else x


def two_dense(features, classes, width: int = 8, activation="relu"):
    """A hidden layer and logits."""
    x = keras.layers.GlobalAveragePooling2D(name="head_pooling")(features)
    x = keras.layers.Dense(width, activation, name="mine_hidden")(x)
    return keras.layers.Dense(classes, name="mine_logits")(x)


def falling(learning_rate, epochs, by: float = 0.5):
    """The rate divided by 1 + by t at step t."""
    return lambda step: learning_rate / (1 + by * step)


class Small(keras.regularizers.Regularizer):
    """The sum of fourth powers."""

    def __init__(self, strength: float):
        self.strength = strength

    def __call__(self, x):
        return self.strength * ops.sum(x**4)


def pictures(path: str, classes: list):
    """The files of a folder, whose class is the word before the dash."""
    import pathlib

    from tlkit.data.record import Record, SourceData

    files = sorted(pathlib.Path(path).glob("*.png"))
    records = [
        Record(f.name, f.name.split("-")[0], None, f.read_bytes) for f in files
    ]
    return SourceData(records, classes=list(classes))
'''


ODD = """
from __future__ import annotations

STEP = 0.5


class Callable:
    def __call__(self):
        return 1


instance = Callable()


def twice(first: float = STEP, second: "numpy.ndarray | None" = None): pass


def twice(first: float = STEP, second: float = 2.0, name: str = "n"):
    return first, second


def runs(a: __import__("pathlib").Path("was_run").touch() = 1, b: Unknown = 2, c: 1 / 0 = 3):
    return a, b, c


def must(name: str, seed: int):
    return name, seed
"""


FACTS = """
from tlkit.registry import register

NAME = "x"


@register(NAME, kind="loss")
def Named(): pass


@register("w", kind="loss", wraps="inner")
def Wraps(): pass


@register("f", kind="loss", acts="joint")
def Fact(): pass
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module `mine_<n>` beside a recipe; its name."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield name
    # runs of other tests do not ask for it any more, and its file is gone
    sys.modules.pop(name, None)


def test_a_run_of_ones_own_things_is_resumed_evaluated_and_served(recipe, mine, tmp_path, photos):
    recipe["model"] = {
        "backbone": "tiny", "weights": "bundled",
        "insert": [{f"{mine}:Wave": {"height": 0.2}}],
        "head": {f"{mine}:two_dense": {"width": 5}},
    }  # fmt: skip
    recipe["augment"] = [{f"{mine}:Darker": {"factor": 0.8}}]
    recipe["regularize"] = [{f"{mine}:Small": {"strength": 0.001}}]
    recipe["finetune"]["loss"] = {f"{mine}:Steeper": {"power": 1.0}}
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 1},
        {"policy": "full", "epochs": 2, "schedule": {f"{mine}:falling": {"by": 1.0}},
         "optimizer": {"keras.optimizers:Adamax": {"learning_rate": 0.01}}},
    ]  # fmt: skip
    recipe["export"] = ["saved_model"]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert run.result["status"] == "done"
    assert (run.folder / "modules" / f"{mine}.py").read_text() == MODULE
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("learning_rate")
    rates = [float(rate) for row in rows[1:] if (rate := row.split(",")[column])]
    # 0.01 / (1 + t) at t = 13, the last step of two epochs of seven
    assert rates[-1] == pytest.approx(0.01 / 14, rel=1e-4)
    images = sorted(photos.rglob("*.png"))[:3]
    here = [row["label"] for row in use.predict_files(run.folder, images, 1)]
    # in another process, from another folder, with the module's file gone
    (tmp_path / f"{mine}.py").unlink()
    away = tmp_path / "away"
    away.mkdir()
    told = subprocess.run(
        [sys.executable, "-m", "tlkit.cli.main", "predict", str(run.folder), *map(str, images),
         "--format", "jsonl"],
        capture_output=True, text=True, cwd=away,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert [json.loads(line)["label"] for line in told.stdout.splitlines()] == here


def test_keras_own_loss_gets_logits_and_gives_what_keras_gives(recipe, mine):
    recipe["finetune"]["loss"] = "keras.losses:CategoricalFocalCrossentropy"
    from tlkit.train.step import make_loss

    loss = make_loss(load_recipe(recipe).finetune.loss, None)
    targets = np.eye(3, dtype="float32")
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    expected = keras.losses.CategoricalFocalCrossentropy(from_logits=True)(targets, logits)
    np.testing.assert_allclose(loss(targets, logits), expected, rtol=1e-6)


def test_checking_a_recipe_reads_a_module_and_does_not_run_it(recipe, mine, tmp_path):
    (tmp_path / f"{mine}.py").write_text("raise SystemExit('was run')\n" + MODULE)
    recipe["finetune"]["loss"] = {f"{mine}:Steeper": {"power": 2.0}}
    assert load_recipe(recipe).finetune.loss.arguments == {"power": 2.0, "label_smoothing": 0.0}
    recipe["finetune"]["loss"] = {f"{mine}:Steeper": {"power": "two"}}
    with pytest.raises(RecipeError, match=r"Steeper.*power.*number"):
        load_recipe(recipe)
    recipe["finetune"]["loss"] = {f"{mine}:Steeper": {"powr": 2.0}}
    with pytest.raises(RecipeError, match="Did you mean 'power'"):
        load_recipe(recipe)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MODULE:Steper", "has no 'Steper'. Did you mean 'Steeper'"),
        ("nowhere_at_all:Loss", "there is no module 'nowhere_at_all': neither installed, nor as "),
        ("nowhere.at.all:Loss", "there is no module 'nowhere.at.all'"),
        ("MODULE:Wave:x", "is not a loss"),
        ("os:sep", "'sep' of module 'os' is neither a function nor a class"),
        ("odd_mine:instance", "'instance' of module 'odd_mine' is neither a function nor a class"),
        ("facts_mine:Named", "facts_mine:Named: what @register is given must be literals"),
        ("facts_mine:Wraps", "fact 'wraps': 'facts_mine:Wraps' has no argument 'inner'"),
        ("facts_mine:Fact", "has no fact 'acts'"),
        ("ends_mine:loss", "module 'ends_mine' cannot be imported: SystemExit: 4"),
        ("pkg_mine.inside:loss", "there is no module 'pkg_mine.inside': division by zero"),
        ("broken_mine:Loss", "module 'broken_mine' cannot be read: "),
        ("fails_mine:loss", "module 'fails_mine' cannot be imported: ZeroDivisionError"),
    ],
)
def test_what_is_not_there_is_said(recipe, mine, tmp_path, name, expected):
    (tmp_path / "broken_mine.py").write_text("def (")
    (tmp_path / "fails_mine.py").write_text("loss = 1 / 0")
    (tmp_path / "ends_mine.py").write_text("raise SystemExit(4)")
    (tmp_path / "odd_mine.py").write_text(ODD)
    (tmp_path / "facts_mine.py").write_text(FACTS)
    (tmp_path / "pkg_mine").mkdir()
    (tmp_path / "pkg_mine" / "__init__.py").write_text("1 / 0")
    (tmp_path / "pkg_mine" / "inside.py").write_text("def loss(): pass")
    recipe["finetune"]["loss"] = name.replace("MODULE", mine)
    with pytest.raises(RecipeError) as told:
        load_recipe(recipe)
    assert expected in str(told.value)


def test_signatures_as_people_write_them(mine, tmp_path):
    (tmp_path / "odd_mine.py").write_text(ODD)
    own_things.look_in(tmp_path)
    losses = registry.LOSSES
    # the last of one name counts; a default that is no literal stays the source's
    twice = losses["odd_mine:twice"]
    assert list(twice.arguments.model_fields) == ["first", "second"]
    assert twice.call({}, **twice.arguments(second=3).model_dump()) == (0.5, 3.0)
    assert twice.call({}, **twice.arguments(first=0.1).model_dump()) == (0.1, 2.0)
    # annotations are not run, and those that are not known take anything
    assert losses["odd_mine:runs"].arguments(a="x", b=[1]).model_dump() == {
        "a": "x",
        "b": [1],
        "c": 3,
    }
    assert not (tmp_path / "was_run").exists()
    # what is required is the recipe's to say, whatever it is called
    must = losses["odd_mine:must"]
    assert must.required == ["name", "seed"]
    assert must.call({}, **must.arguments(name="a", seed=2).model_dump()) == ("a", 2)
    sys.modules.pop("odd_mine", None)


def test_an_activation_is_called_without_arguments(recipe, mine):
    recipe["model"]["head"] = {"mlp": {"activation": "keras.activations:relu"}}
    with pytest.raises(RecipeError, match="is called without arguments here, and needs 'x'"):
        load_recipe(recipe)


def test_registries_are_compared_without_reading_what_is_in_them():
    assert registry.LOSSES != registry.LAYERS
    assert registry.LOSSES in (registry.LAYERS, registry.LOSSES)


def test_a_data_source_of_ones_own(recipe, mine, tmp_path, photos):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in photos.rglob("*.png"):
        Image.open(path).save(flat / f"{path.parent.name}-{path.name}")
    recipe["data"]["source"] = {
        f"{mine}:pictures": {"path": str(flat), "classes": ["blue", "green", "red"]}
    }
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    data = json.loads((run.folder / "data.json").read_text())
    assert data["classes"] == ["blue", "green", "red"]


def test_a_notebooks_own_is_known_at_once(recipe):
    @register("thirds", kind="loss")
    class Thirds(keras.losses.CategoricalCrossentropy):
        """A third of cross-entropy."""

        def __init__(self, from_logits=False):
            super().__init__(from_logits=from_logits)

        def call(self, y_true, y_pred):
            return super().call(y_true, y_pred) / 3

    try:
        assert "thirds" in registry.LOSSES and "thirds" in list(registry.LOSSES)
        recipe["finetune"]["loss"] = "thirds"
        from tlkit.train.step import make_loss

        loss = make_loss(load_recipe(recipe).finetune.loss, None)
        targets, logits = np.eye(3, dtype="float32"), np.zeros((3, 3), "float32")
        np.testing.assert_allclose(loss(targets, logits), np.log(3) / 3, rtol=1e-6)
    finally:
        registry.LOSSES._added.clear()


def test_registering_is_checked():
    with pytest.raises(TypeError, match=r"outside of tlkit must say what it is: kind="):
        register("mine")(lambda: None)
    with pytest.raises(ValueError, match=r"no kind 'los'\. Did you mean 'loss'"):
        register("mine", kind="los")(lambda: None)
    with pytest.raises(ValueError, match="tlkit has a loss 'focal' itself"):
        register("focal", kind="loss")(lambda: None)
    with pytest.raises(TypeError, match="expected a function or a class"):
        register("mine", kind="loss")(3)
    with pytest.raises(TypeError, match="fact 'acts': Input should be 'penalty'"):
        register("mine", kind="regularizer", acts="foo")(lambda: None)
    with pytest.raises(TypeError, match=r"no fact 'soft_label'\. Did you mean 'soft_labels'"):
        register("mine", kind="loss", soft_label=False)(lambda: None)
    assert "mine" not in registry.LOSSES


def test_an_installed_package_offers_things(recipe, mine, tmp_path, monkeypatch):
    info = tmp_path / "offers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[tlkit.losses]\nsteeper = {mine}:Steeper\nfocal = {mine}:Steeper\n"
        "lost = nowhere_at_all:Loss\nodd = a b\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own_things.advertised.cache_clear()
    losses = registry.Registry(
        "loss", "tlkit.losses", "finetune.loss", registry.LossFacts, is_open=True
    )
    assert losses["steeper"].module == mine
    assert losses["focal"].module == "tlkit.losses.focal"
    assert "steeper" in list(losses)
    # a broken package takes nothing else away, and is told about when it is named
    assert "lost" not in losses
    assert "there is no module 'nowhere_at_all'" in losses.suggest("lost")
    assert "offers 'odd' as 'ab', which is no place" in losses.suggest("odd")
    own_things.advertised.cache_clear()


def test_an_editor_takes_ones_own(recipe, mine):
    import jsonschema

    checked = copy.deepcopy(recipe)
    checked["finetune"]["loss"] = {f"{mine}:Steeper": {"power": 2.0}}
    checked["model"]["head"] = f"{mine}:two_dense"
    jsonschema.validate(checked, recipe_json_schema())
    checked["finetune"]["loss"] = "no loss"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(checked, recipe_json_schema())
