"""Every registered argument has its limits: what is refused, and that what is allowed runs."""

import copy
import json
import math
import random

import keras
import numpy as np
import pydantic
import pytest
import ruamel.yaml
import tensorflow as tf

from tlkit import registry
from tlkit.errors import RecipeError
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Component
from tlkit.train.step import apply_augmentations, make_loss

RECIPE = """\
name: limits
data:
  source: {folder: photos}
  image_size: 32
model:
  backbone: tiny
finetune:
  stages:
    - policy: full
      epochs: 4
"""
# where a recipe says it; the argument comes in the place of VALUE
PLACES = {
    "augmentation": "augment: [VALUE]",
    "preprocessing step": "preprocess: [VALUE]",
    "layer": "model: {backbone: tiny, insert: [VALUE]}",
    "head": "model: {backbone: tiny, head: VALUE}",
    "loss": "finetune: {stages: [{policy: full, epochs: 4}], loss: VALUE}",
    "regularizer": "regularize: [VALUE]",
    "adversarial attack": "finetune: {stages: [{policy: full, epochs: 4}], adversarial: {attack: VALUE}}",
    "policy": "finetune: {stages: [{policy: VALUE, epochs: 4}]}",
    "optimizer": "finetune: {stages: [{policy: full, epochs: 4, optimizer: VALUE}]}",
    "schedule": "finetune: {stages: [{policy: full, epochs: 4, schedule: VALUE}]}",
    "data source": "data: {image_size: 32, source: VALUE}",
    "export format": "export: [VALUE]",
}
# what else a thing needs to be valid while one argument is tried
BESIDE = {
    ("schedule", "piecewise"): {"boundaries": [1, 2], "factors": [0.5, 0.1]},
    ("schedule", "cosine"): {"restart_epochs": 1},
}


def beside(things, entry):
    """What else a thing needs: a data source always says where it is."""
    needed = [name for name, field in entry.arguments.model_fields.items() if field.is_required()]
    paths = dict.fromkeys(needed, "photos") if things.kind == "data source" else {}
    return copy.deepcopy(BESIDE.get((things.kind, entry.name), paths))


def arguments():
    """Each registered argument, with its JSON Schema."""
    for things in registry.REGISTRIES:
        for entry in things.values():
            schema = entry.arguments.model_json_schema()
            for name, about in schema.get("properties", {}).items():
                yield pytest.param(things, entry, name, about, id=f"{entry.name}-{name}")


def branches(about):
    """The branches of a union, those of a union in it too."""
    for way in ("anyOf", "oneOf"):
        if way in about:
            return [part for each in about[way] for part in branches(each)]
    return [about]


def is_limited(part):
    if "enum" in part or "const" in part:
        return True
    if part.get("type") in ("number", "integer"):
        return math.isfinite(part.get("minimum", math.inf) + part.get("maximum", math.inf))
    if part.get("type") == "array":
        inner = part.get("prefixItems") or [part["items"]]
        return all(is_limited(branch) for each in inner for branch in branches(each))
    if part.get("type") == "string":
        return bool(part.get("minLength"))
    return part.get("type") in ("boolean", "null")


@pytest.mark.parametrize(("things", "entry", "name", "about"), arguments())
def test_every_argument_has_limits(things, entry, name, about):
    if entry.annotation(name) == "Loss":  # parsed as a loss
        return
    assert all(is_limited(part) for part in branches(about)), entry.annotation(name)


def kinds(part):
    """The kinds of values that a branch of a schema takes."""
    if "enum" in part or "const" in part:
        return {type(value) for value in part.get("enum", [part.get("const")])}
    return {
        "number": {int, float}, "integer": {int}, "boolean": {bool}, "string": {str},
        "array": {list}, "null": {type(None)}, "object": {dict},
    }[part["type"]]  # fmt: skip


def wrong_values(about):
    """Values out of the limits, and of another kind."""
    parts = branches(about)
    if "type" not in parts[0] and "enum" not in parts[0]:  # a loss
        return [True, "three", 3, ["x"], {"x": 1}, {"focal": {"gamma": -1}}, "flooding"]
    taken = set().union(*(kinds(part) for part in parts))
    others = [True, "three", "3", 2.5, None, ["x"], {"x": 1}, 3]
    wrong = [value for value in others if type(value) not in taken]
    wrong += [math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e300]
    if not {str, bool} & taken:
        wrong += ["nan", "inf", ""]
    for part in parts:
        if "minimum" in part:
            wrong += [part["minimum"] - 1, math.nextafter(part["minimum"], -math.inf)]
            wrong += [part["maximum"] + 1, math.nextafter(part["maximum"], math.inf)]
        if "not" in part:
            wrong += [part["minimum"] + 1]
        if part.get("type") == "array" and part.get("prefixItems"):
            low, high = part["prefixItems"][0]["minimum"], part["prefixItems"][0]["maximum"]
            wrong += [[], [high], [high, low], [low, high, high], [low, math.nan], [low, high + 1]]
        elif part.get("type") == "array" and "minimum" not in part["items"]:  # texts
            wrong += [[math.nan] * 2, [[1]] * 2]
        elif part.get("type") == "array":
            wrong += [[], [math.nan] * 2, ["x"] * 2, [[1]] * 2, [part["items"]["minimum"] - 1] * 2]
        if "enum" in part or part.get("minLength"):
            wrong += ["", "a\0b"]
    inside = [(p["minimum"], p["maximum"]) for p in parts if "minimum" in p]
    return [
        value
        for value in wrong
        if not (type(value) in (int, float) and type(value) in taken
                and any(low <= value <= high for low, high in inside))
        or (type(value) is int and any("not" in p for p in parts) and value % 2 == 0)
    ]  # fmt: skip


def recipe_with(things, entry, given):
    """The text of a recipe, and the line in which the thing is named."""
    text = PLACES[things.kind].replace("VALUE", json.dumps({entry.name: given}))
    if getattr(entry.facts, "stored", False):
        text += "\nfinetune: {stages: [{policy: predict-only}]}"
    keys = [part.split(":")[0] for part in text.split("\n")]
    lines, skipping = [], False
    for line in RECIPE.split("\n")[:-1]:
        skipping = line.split(":")[0] in keys or (skipping and line.startswith(" "))
        if not skipping:
            lines.append(line)
    return "\n".join([*lines, text]) + "\n", len(lines) + 1


def as_mapping(text):
    return ruamel.yaml.YAML(typ="safe").load(yaml_of(text))


def yaml_of(text):
    """JSON's names of what is not a number, as YAML has them."""
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


@pytest.mark.parametrize(("things", "entry", "name", "about"), arguments())
def test_what_is_out_of_limits_is_refused_with_its_place(things, entry, name, about, tmp_path):
    if things.kind not in PLACES or not getattr(entry.facts, "inserted", True):
        return  # a recipe names it without arguments
    file = tmp_path / "r.yaml"
    for number, value in enumerate(wrong_values(about)):
        text, line = recipe_with(things, entry, {**beside(things, entry), name: value})
        with pytest.raises(RecipeError) as caught:
            if number < 2:
                file.write_text(yaml_of(text))
                load_recipe(file)
            else:  # reading YAML takes longer than checking it
                load_recipe(as_mapping(text))
        for problem in caught.value.problems:
            assert number >= 2 or problem.where.startswith(f"{file}:{line}:"), (value, problem)
            assert name in str(problem), (value, problem)


@pytest.mark.parametrize(("things", "entry", "name", "about"), arguments())
def test_what_is_at_its_limits_is_accepted(things, entry, name, about):
    if things.kind not in PLACES or not getattr(entry.facts, "inserted", True):
        return
    for value in right_values(things, entry, name, about):
        text, _ = recipe_with(things, entry, {**beside(things, entry), name: value})
        load_recipe(as_mapping(text))


def right_values(things, entry, name, about):
    """Values at the limits, and the default."""
    if name in ("boundaries", "factors"):
        return [[0, 2], [0.5, 1]] if name == "boundaries" else [[1e-8, 1e3], [1, 1]]
    if name == "spectral_normalization":
        return [False]
    if name == "warmup_epochs":
        return [0, 1.5] if (things.kind, entry.name) in BESIDE else [0, 3.9]
    if name == "restart_epochs":
        return [0.01, 2]
    if name == "cycle_epochs":
        return [0, 0.01, 4]
    if (name, entry.name) == ("every_epochs", "step"):
        return [0.01, 3.9]
    if name == "initializer":
        return [n for n in about["enum"] if (n, entry.name) != ("zeros", "mlp")]
    found = []
    for part in branches(about):
        if "minimum" in part:
            found += [part["minimum"], part["maximum"]]
        elif "enum" in part or "const" in part:
            found += part.get("enum", [part.get("const")])
        elif part.get("type") == "boolean":
            found += [True, False]
        elif part.get("prefixItems"):
            low, high = (part["prefixItems"][0][key] for key in ("minimum", "maximum"))
            found += [[low, low], [low, high], [high, high]]
    return found


# What is allowed builds and runs: each limit alone, and limits together, drawn at random.

SIDE, CLASSES = 16, 3
DRAWS = 4


def run_augmentation(name, given):
    context = {"seed": 1, "image_size": (SIDE, SIDE)}
    layer = registry.AUGMENTATIONS.make(name, context, **given)
    layer.mixes_labels = registry.AUGMENTATIONS[name].facts.mixes_labels
    images = np.random.default_rng(0).uniform(0, 255, (4, SIDE, SIDE, 3)).astype("float32")
    images[0] = 0
    if hasattr(layer, "adapt"):
        layer.adapt([images])
    moved, labels = apply_augmentations(
        [layer], images, np.eye(CLASSES, dtype="float32")[[0, 1, 2, 0]]
    )
    np.testing.assert_allclose(np.sum(labels, 1), 1, rtol=1e-5)
    return [moved]


def run_preprocessor(name, given):
    layer = registry.PREPROCESSORS.build(name, **given)
    images = np.random.default_rng(0).uniform(0, 255, (8, 4, 4, 3)).astype("float32")
    images[0], images[1] = 0, 255
    if hasattr(layer, "adapt"):
        layer.adapt(images if isinstance(layer, keras.layers.Normalization) else [images])
    return with_gradient(layer, images)


def with_gradient(call, values, variables=()):
    """Values, and the gradients of their sum with regard to the input and variables."""
    at = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(at)
        found = call(at)
        total = tf.reduce_sum(found)
    gradients = tape.gradient(total, [at, *(v.value for v in variables)])
    return [found, *(g for g in gradients if g is not None)]


def run_layer(name, given):
    context = {"units": 5, "filters": 4, "kernel_size": 3, "groups": 2}
    layer = registry.LAYERS.make(name, context, **given)
    x = np.random.default_rng(0).normal(0, 2, (4, 8, 8, 6)).astype("float32")
    x[0] = 0
    layer(x)
    return with_gradient(lambda at: layer(at, training=True), x, layer.trainable_variables)


def run_activation(name, given):
    layer = registry.ACTIVATIONS.build(name, **given)
    x = np.random.default_rng(0).normal(0, 2, (4, 6)).astype("float32")
    return with_gradient(lambda at: layer(at, training=True), x)


def run_initializer(name, given):
    return [registry.INITIALIZERS.build(name, **given)((4, 5))]


def run_head(name, given):
    features = keras.Input((4, 4, 6))
    context = {"features": features, "classes": CLASSES, "images": 9}
    head = keras.Model(features, registry.HEADS.make(name, context, **given))
    x = np.random.default_rng(0).normal(0, 2, (4, 4, 4, 6)).astype("float32")
    if name == "knn":  # its weights are features and labels
        head.get_layer("head_labels").kernel.assign(np.eye(CLASSES)[np.arange(9) % CLASSES])
    return with_gradient(lambda at: head(at, training=True), x, head.trainable_variables)


def run_loss(name, given):
    if name == "flooding":
        given = {**given, "loss": {"cross_entropy": {}}}
    if isinstance(given.get("alpha"), list):
        given = {**given, "alpha": [given["alpha"][0], 1.0, given["alpha"][-1]]}
    loss = make_loss(Component(name, given), np.array([1, 100, 10_000]))
    logits = np.random.default_rng(0).normal(0, 10, (4, CLASSES)).astype("float32")
    targets = np.eye(CLASSES, dtype="float32")[[0, 1, 2, 0]]
    return with_gradient(lambda at: loss(targets, at), logits)


def run_regularizer(name, given):
    entry = registry.REGULARIZERS[name]
    weight = keras.Variable(np.random.default_rng(0).normal(0, 0.5, (5, 6)).astype("float32"))
    start = np.asarray(weight) + 0.1
    context = {"start": start, "unit_axes": [0], "seed": 1}
    seed = {"seed": 1} if getattr(entry.facts, "acts", "") == "weights" else {}
    made = registry.REGULARIZERS.make(name, context, **given, **seed)
    others = getattr(made, "variables", [])
    return with_gradient(made, np.asarray(weight), others)


def run_attack(name, given):
    attack = registry.ADVERSARIES[name].load()
    x = tf.constant(np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32"))
    return [attack(lambda at: tf.reduce_mean(tf.square(at - 100)), x, **given)]


def run_optimizer(name, given):
    if given.get("learning_rate") == "auto":
        given = {**given, "learning_rate": 1e-3}
    optimizer = registry.OPTIMIZERS.build(name, **given)
    matrix = keras.Variable(np.random.default_rng(0).normal(0, 0.5, (5, 6)).astype("float32"))
    vector = keras.Variable(np.zeros(5, "float32"))
    optimizer.build([matrix, vector])
    gradient = np.random.default_rng(1).normal(0, 1, (5, 6)).astype("float32")
    gradient[0] = 0  # as of a unit that is never on
    optimizer.apply([tf.constant(gradient), tf.zeros(5)])
    return [matrix, vector]


def run_schedule(name, given):
    made = registry.SCHEDULES[name].load()
    if registry.SCHEDULES[name].facts.makes_callback:
        return [made(**given).factor]
    schedule = made(0.1, 4, 5, **given)
    rates = np.array([float(schedule(step)) for step in range(20)])
    assert (rates >= 0).all()
    assert name == "piecewise" or (rates <= 0.1 * 1.0001).all()
    return [rates]


RUNS = {
    "augmentation": run_augmentation,
    "preprocessing step": run_preprocessor,
    "layer": run_layer,
    "activation": run_activation,
    "initializer": run_initializer,
    "head": run_head,
    "loss": run_loss,
    "regularizer": run_regularizer,
    "adversarial attack": run_attack,
    "optimizer": run_optimizer,
    "schedule": run_schedule,
}
RUN = [(things, entry) for things in registry.REGISTRIES for entry in things.values()
       if things.kind in RUNS and entry.arguments.model_fields]  # fmt: skip


def allowed(things, entry):
    """What is accepted: each argument at its limits, then all of them drawn together."""
    about = entry.arguments.model_json_schema()["properties"]
    rng = random.Random(entry.name)
    choices = {name: right_values(things, entry, name, of) for name, of in about.items()}
    for name, values in choices.items():
        yield from ({**beside(things, entry), name: value} for value in values)
    for _ in range(DRAWS if len(choices) > 1 else 0):
        yield {name: rng.choice(values) for name, values in choices.items() if values}


@pytest.mark.parametrize(("things", "entry"), RUN, ids=lambda v: getattr(v, "name", ""))
def test_what_is_accepted_builds_and_runs_with_finite_numbers(things, entry):
    for given in allowed(things, entry):
        try:
            arguments = entry.arguments(**given).model_dump()
        except pydantic.ValidationError:
            continue  # by a rule between arguments
        for value in RUNS[things.kind](entry.name, arguments):
            assert np.isfinite(np.asarray(value)).all(), arguments


def constructed():
    """Arguments of tlkit's own classes, and of the schedules, as plain Keras users call them."""
    for things in registry.REGISTRIES:
        for entry in things.values():
            made = things.kind in ("schedule", "layer", "activation", "augmentation",
                                   "preprocessing step", "regularizer")  # fmt: skip
            # Keras's callback and losses have tests of their own
            if not made or entry.facts.native or entry.name == "halve_on_plateau":
                continue
            about = entry.arguments.model_json_schema().get("properties", {})
            for name, of in about.items():
                yield pytest.param(things, entry, name, of, id=f"{entry.name}-{name}")


CONTEXT = {"units": 5, "filters": 4, "kernel_size": 3, "groups": 2, "seed": 3, "start": np.ones(3),
           "learning_rate": 0.1, "epochs": 4, "steps_per_epoch": 5, "class_counts": [1, 2, 3],
           "image_size": (SIDE, SIDE)}  # fmt: skip


@pytest.mark.parametrize(("things", "entry", "name", "about"), constructed())
def test_a_constructor_refuses_another_kind_and_what_is_no_number(things, entry, name, about):
    for value in wrong_values(about):
        finite = isinstance(value, int | float) and abs(value) <= 1e300
        if finite and not isinstance(value, bool):
            continue  # in Python the mathematical range is allowed, each has its own test
        if value is None and "initial" in name:
            continue
        with pytest.raises(ValueError, match=name):
            things.make(entry.name, CONTEXT, **{**beside(things, entry), name: value})
