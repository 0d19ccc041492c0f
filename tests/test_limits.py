"""Every registered argument has its limits: what is refused, and that what is allowed runs."""

import copy
import json
import math

import pytest
import ruamel.yaml

from tlkit import registry
from tlkit.errors import RecipeError
from tlkit.recipe.load import load_recipe

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
    ("data source", "tfds"): {"name": "cifar10"},
    ("data source", "folder"): {"path": "photos"},
    ("data source", "manifest"): {"path": "list.csv"},
    ("data source", "tfrecord"): {"train": "a.tfrecord"},
}


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
    if entry.facts.get("stored"):
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
    """JSON's names of what is no number, as YAML has them."""
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


@pytest.mark.parametrize(("things", "entry", "name", "about"), arguments())
def test_what_is_out_of_limits_is_refused_with_its_place(things, entry, name, about, tmp_path):
    if things.kind not in PLACES or entry.facts.get("inserted") is False:
        return  # a recipe names it without arguments
    file = tmp_path / "r.yaml"
    beside = BESIDE.get((things.kind, entry.name), {})
    for number, value in enumerate(wrong_values(about)):
        text, line = recipe_with(things, entry, {**copy.deepcopy(beside), name: value})
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
    if things.kind not in PLACES or entry.facts.get("inserted") is False:
        return
    beside = BESIDE.get((things.kind, entry.name), {})
    for value in right_values(things, entry, name, about):
        text, _ = recipe_with(things, entry, {**copy.deepcopy(beside), name: value})
        load_recipe(as_mapping(text))


def right_values(things, entry, name, about):
    """Values at the limits, and the default."""
    if name in ("boundaries", "factors"):
        return [[0, 2], [0.5, 1]] if name == "boundaries" else [[1e-8, 1e3], [1, 1]]
    if name == "spectral_normalization":
        return [False]
    if name == "warmup_epochs":
        return [0, 3.9]
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
