"""Things from outside of tlkit: named by their module, offered by a package, registered in a notebook."""

import copy
import csv
import importlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import tlkit
from tlkit import own_modules, own_things, registry
from tlkit.draft import source_of
from tlkit.errors import RecipeError, UserError
from tlkit.recipe.json_schema import recipe_json_schema
from tlkit.recipe.load import load_recipe
from tlkit.registry import register
from tlkit.runs.predict import predict_files

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
    here = [row["label"] for row in predict_files(run.folder, images, 1)]
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
    own_modules.look_in([tmp_path], ["odd_mine"])
    sources = registry.SOURCES  # of which what they give is looked at later
    # the last of one name counts; a default that is not a literal stays the source's
    twice = sources["odd_mine:twice"]
    assert list(twice.arguments.model_fields) == ["first", "second"]
    assert twice.call({}, **twice.arguments(second=3).model_dump()) == (0.5, 3.0)
    assert twice.call({}, **twice.arguments(first=0.1).model_dump()) == (0.1, 2.0)
    # annotations are not run, and those that are not known take anything
    assert sources["odd_mine:runs"].arguments(a="x", b=[1]).model_dump() == {
        "a": "x",
        "b": [1],
        "c": 3,
    }
    assert not (tmp_path / "was_run").exists()
    # what is required is the recipe's to say, whatever it is called
    must = sources["odd_mine:must"]
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
    assert "offers 'odd' as 'ab', which is not a place" in losses.suggest("odd")
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


ODD_KINDS = """
import pathlib

import keras

from tlkit.data.record import Record
from tlkit.registry import register


class NoRate(keras.optimizers.SGD):
    def __init__(self, momentum: float = 0.9):
        super().__init__(0.02, momentum)


def three():
    return 3


def nothing(features, classes):
    return None


def wide(features, classes):
    return keras.layers.Dense(classes + 1)(keras.layers.GlobalAveragePooling2D()(features))


def loose(features, classes):
    return keras.Input((classes,))


def fails(features, classes):
    raise RuntimeError("no idea")


@register("a_head", kind="head")
def by_place(features, /, classes, width: int = 4):
    x = keras.layers.GlobalAveragePooling2D()(features)
    return keras.layers.Dense(classes)(keras.layers.Dense(width)(x))


def no_data(path: str):
    return None


def words(path: str):
    return ["a"]


def one_by_one(path: str):
    for file in sorted(pathlib.Path(path).rglob("*.png")):
        yield Record(file.name, file.parent.name, None, file.read_bytes)


def plain():
    return lambda images: images


class Smaller(keras.layers.Layer):
    def call(self, x, training=False):
        return x[:, 1:]


@register("mix_odd", kind="augmentation", mixes_labels=True)
class Mix(keras.layers.Layer):
    def __init__(self):
        super().__init__()

    def call(self, x, training=False):
        return x["images"]


class Late(keras.layers.Layer):
    def __init__(self):
        super().__init__()

    def call(self, x, training=False):
        raise TypeError("not today")


def number(learning_rate, epochs):
    return 0.1


def to_a_power(y_true, y_pred, power: float = 2.0):
    loss = keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)
    return loss**power


def of_rows(y_true, y_pred):
    raise KeyError("x")


def taken(after, units):
    pass


def under(_a, units):
    pass


class Named(keras.layers.Layer):
    def __init__(self, copy: int = 1, json: str = "x", _b=2):
        super().__init__()
        self.copy, self.json, self.b = copy, json, _b

    def call(self, x):
        return x
"""


@pytest.fixture
def odd(mine, tmp_path):
    """A module `<mine>_odd` of things that are not what they are named as; its name."""
    (tmp_path / f"{mine}_odd.py").write_text(ODD_KINDS)
    yield f"{mine}_odd"
    sys.modules.pop(f"{mine}_odd", None)
    for things in registry.REGISTRIES:
        things._added.clear()


@pytest.mark.parametrize(
    ("keys", "name", "expected"),
    [
        (("model", "head"), "nothing", "gives None; expected logits (batch, 3) that are made of"),
        (("model", "head"), "wide", "gives (batch, 4); expected logits (batch, 3)"),
        (("model", "head"), "loose", "is not connected to"),
        (("model", "head"), "fails", "ODD:fails: fails: RuntimeError: no idea"),
        (("augment", 0), "plain", "ODD:plain: gives a function; expected a keras.layers.Layer"),
        (("augment", 0), "Smaller", "ODD:Smaller: makes images (2, 32, 32, 3) (2, 31, 32, 3)"),
        (("augment", 0), "Mix", "ODD:Mix: fails: ValueError: gives no images and labels"),
        (("augment", 0), "Late", "ODD:Late: fails: TypeError: not today"),
        (("finetune", "loss"), "three", "gives 3; expected a keras.losses.Loss, or a function"),
        (("finetune", "loss"), "of_rows", "ODD:of_rows: fails: KeyError: 'x'"),
        (("finetune", "loss"), "by_place", "is registered as a head, not a loss; it belongs under"),
        (("finetune", "stages", 0, "schedule"), "number", "gives 0.1; expected a function of the"),
        (("finetune", "stages", 0, "optimizer"), "three", "expected a keras.optimizers.Optimizer"),
        (("regularize", 0), "three", "expected a keras.regularizers.Regularizer"),
        (("preprocess", 0), "three", "gives 3; expected a keras.layers.Layer"),
        (("model", "insert", 0), "Late", "ODD:Late: fails: "),
        (("model", "insert", 0), "taken", "'after', which is a reserved recipe key here"),
        (("model", "insert", 0), "under", "needs '_a', which no recipe can say"),
        (("data", "source"), "no_data", "gives None; expected a tlkit.data.record.SourceData"),
        (("data", "source"), "words", "gives 'a' among its records"),
    ],
)
def test_what_is_not_of_its_kind_is_said_with_its_name(recipe, odd, photos, keys, name, expected):
    node, value = recipe, f"{odd}:{name}"
    for key in keys[:-1]:
        node = node.setdefault(key, []) if isinstance(node, dict) else node[key]
    if keys[0] == "data":
        value = {value: {"path": str(photos)}}
    if keys[-1] == 0:
        node.append(value)
    else:
        node[keys[-1]] = value
    with pytest.raises(UserError) as told:
        tlkit.finetune(recipe)
    assert expected.replace("ODD", odd) in str(told.value)


def test_things_as_people_write_them_train(recipe, odd, photos, tmp_path):
    """No rate in the constructor, a `/`, a function of labels and logits, a generator of records."""
    recipe["data"]["source"] = {f"{odd}:one_by_one": {"path": str(photos)}}
    recipe["model"]["head"] = {f"{odd}:by_place": {"width": 3}}
    recipe["model"]["insert"] = [{f"{odd}:Named": {"copy": 3, "json": "y"}}]
    recipe["finetune"]["loss"] = {f"{odd}:to_a_power": {"power": 1.0}}
    recipe["finetune"]["stages"][0]["optimizer"] = f"{odd}:NoRate"
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert run.result["status"] == "done"
    with open(run.folder / "metrics.csv") as file:
        first = next(csv.DictReader(file))
    assert float(first["learning_rate"]) == pytest.approx(0.02)


def test_a_function_of_labels_and_logits_is_a_loss(recipe, odd):
    from tlkit.train.step import make_loss

    recipe["finetune"]["loss"] = {f"{odd}:to_a_power": {"power": 3.0}}
    loss = make_loss(load_recipe(recipe).finetune.loss, None)
    targets, logits = np.eye(3, dtype="float32"), np.zeros((3, 3), "float32")
    weights = np.array([1.0, 0.0, 2.0], "float32")
    # Keras divides by the number of images
    np.testing.assert_allclose(
        loss(targets, logits, sample_weight=weights), np.log(3) ** 3 * 3 / 3, rtol=1e-6
    )
    recipe["finetune"]["loss"] = "keras.losses:categorical_focal_crossentropy"
    loss = make_loss(load_recipe(recipe).finetune.loss, None)
    expected = keras.losses.CategoricalFocalCrossentropy(from_logits=True)(targets, logits)
    np.testing.assert_allclose(loss(targets, logits), expected, rtol=1e-6)


def test_an_attack_of_ones_own_is_handed_the_loss_and_the_values(recipe, odd, tmp_path):
    (tmp_path / f"{odd}.py").write_text(
        ODD_KINDS + "\n\ndef away(values, loss_of, by: float = 1.0):\n    loss_of(values)\n"
        "    return values + by\n"
    )
    recipe["finetune"]["adversarial"] = {"attack": {f"{odd}:away": {"by": 2.0}}}
    assert tlkit.finetune(recipe, run_dir=tmp_path / "run").result["status"] == "done"


def test_a_space_behind_the_colon_is_told(recipe, odd):
    recipe["finetune"]["loss"] = {odd: "to_a_power"}
    with pytest.raises(RecipeError, match=rf"without a space: {odd}:to_a_power"):
        load_recipe(recipe)


def test_an_edited_module_is_read_again(recipe, mine, tmp_path):
    recipe["finetune"]["loss"] = f"{mine}:Steeper"

    def gives():
        from tlkit.train.step import make_loss

        return make_loss(load_recipe(recipe).finetune.loss, None)

    before = gives()
    assert type(gives()) is type(before)  # not imported anew without need
    file = tmp_path / f"{mine}.py"
    # the same length, within the same second
    file.write_text(MODULE.replace("power: float = 1.0", "power: float = 9.0"))
    assert gives().power == 9.0
    # nor is one that the person imported and then edited
    own_modules._FINDER.files.clear()
    sys.modules.pop(mine)
    imported = importlib.import_module(mine)
    assert imported.Steeper().power == 9.0
    file.write_text(MODULE + "\n\nMORE = 1\n")
    assert gives().power == 1.0
    file.write_text(MODULE.replace("power: float", "force: float"))
    with pytest.raises(RecipeError, match="unknown key 'power'"):
        recipe["finetune"]["loss"] = {f"{mine}:Steeper": {"power": 2.0}}
        load_recipe(recipe)


def test_a_runs_own_copy_comes_before_the_current_folders(recipe, mine, tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "modules").mkdir(parents=True)
    (run / "modules" / f"{mine}.py").write_text(
        MODULE.replace("power: float = 1.0", "power: float = 7.0")
    )
    recipe["finetune"]["loss"] = f"{mine}:Steeper"
    (run / "recipe.yaml").write_text(json.dumps(recipe))
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as in a notebook
    loss = load_recipe(run / "recipe.yaml").finetune.loss
    assert registry.LOSSES.make(loss.name, {}).power == 7.0
    loss = load_recipe(recipe).finetune.loss
    assert registry.LOSSES.make(loss.name, {}).power == 1.0


def test_a_module_of_ones_own_does_not_take_the_place_of_what_is_installed(recipe, mine, tmp_path):
    (tmp_path / "json.py").write_text("1 / 0")
    (tmp_path / "pydantic.py").write_text("1 / 0")
    own_modules.look_in([tmp_path], ["json", "pydantic"])
    assert own_modules.file_of("json") is own_modules.file_of("pydantic") is None


def test_the_command_line_names_modules_too(recipe, mine, tmp_path, photos):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in photos.rglob("*.png"):
        Image.open(path).save(flat / f"{path.parent.name}-{path.name}")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").touch()
    (tmp_path / "inner" / f"{mine}.py").write_text(MODULE)
    recipe["data"]["source"] = {f"inner.{mine}:pictures": {"path": "x", "classes": []}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    key = f"data.source.inner.{mine}:pictures"
    loaded = load_recipe(tmp_path / "r.yaml", [f"{key}.path={flat}", f"{key}.classes=[blue]"])
    assert loaded.data.source.arguments == {"path": str(flat), "classes": ["blue"]}
    # a path alone is the first argument
    recipe["data"]["source"] = {"folder": "x"}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(tmp_path / "r.yaml", [f"data.source.folder.path={flat}"])
    assert loaded.data.source.arguments["path"] == str(flat)
    found = source_of(flat, [f"source={mine}:pictures", 'classes=["blue", "green", "red"]'])
    assert found.name == f"{mine}:pictures" and found.arguments["path"] == str(flat)
