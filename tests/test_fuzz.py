"""Recipes drawn from the JSON Schema, and packaged ones broken: each is right or told wrong.

TLKIT_FUZZ=5000 draws that many, and builds and trains a step of a sixteenth of them.
"""

import copy
import json
import os
import random

import pytest

from tests.conftest import draw
from tlkit.errors import RecipeError, UserError
from tlkit.preflight import check_files
from tlkit.recipe.json_schema import recipe_json_schema
from tlkit.recipe.load import load_recipe, recipes_folder
from tlkit.tasks.classification import Classification
from tlkit.tasks.fit import settled

COUNT = int(os.environ.get("TLKIT_FUZZ", "600"))
BUILT = COUNT // 16 if "TLKIT_FUZZ" in os.environ else 10  # a run of one takes ten seconds
SCHEMA = recipe_json_schema()
ODD = [
    None, True, False, 0, 1, -1, 3.7, 1e-300, 1e300, 10**30, -(10**400), float("nan"),
    float("inf"), "", " ", "3", "true", "null", "nan", "a\0b", "\u2028", "é" * 50, "x" * 5000, "(",
    "{}", "../up", "~", "~nobody/x", "a.b.c", [], {}, [[]], [{}], {"": 0}, {"a": {"b": {"c": []}}},
    [1, "x", None], ["x"] * 100,
]  # fmt: skip


class Draw:
    """Values that a schema allows, as far as a schema tells; now and then others."""

    def __init__(self, seed: int, wrong: float):
        self.rng = random.Random(seed)
        self.wrong = wrong

    def value(self, schema, depth=0):
        rng = self.rng
        if rng.random() < self.wrong:
            return copy.deepcopy(rng.choice(ODD))
        if "$ref" in schema:
            return self.value(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], depth)
        for way in ("anyOf", "oneOf"):
            if way in schema:
                return self.value(rng.choice(schema[way]), depth)
        if "enum" in schema or "const" in schema:
            return rng.choice(schema.get("enum", [schema.get("const")]))
        return getattr(self, "a_" + schema.get("type", "string"))(schema, depth)

    def a_object(self, schema, depth):
        rng, found = self.rng, {}
        for key, inner in schema.get("properties", {}).items():
            if key in schema.get("required", ()) or rng.random() < (0.5 if depth > 2 else 0.35):
                found[key] = self.value(inner, depth + 1)
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            for _ in range(rng.randrange(3)):
                found[rng.choice(["red", "bias$", "head", "("])] = self.value(more, depth + 1)
        if rng.random() < self.wrong:
            found[rng.choice(["lr", "epochs", "nme", "", "0"])] = copy.deepcopy(rng.choice(ODD))
        return found

    def a_array(self, schema, depth):
        if "prefixItems" in schema:
            return [self.value(inner, depth + 1) for inner in schema["prefixItems"]]
        least = schema.get("minItems", 0)
        count = self.rng.choice([least, max(least, 1), least + 1, least + 2])
        return [self.value(schema["items"], depth + 1) for _ in range(count)]

    def a_number(self, schema, depth):
        low, high = self.limits(schema)
        return self.rng.choice([low, high, self.rng.uniform(low, high), min(high, low + 1.0)])

    def a_integer(self, schema, depth):
        low, high = (int(limit) for limit in self.limits(schema))
        return self.rng.choice([low, high, self.rng.randint(low, min(high, low + 9)), low + 1])

    @staticmethod
    def limits(schema):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return low, schema.get("maximum", schema.get("exclusiveMaximum", low + 10))

    def a_boolean(self, schema, depth):
        return self.rng.random() < 0.5

    def a_null(self, schema, depth):
        return None

    def a_string(self, schema, depth):
        return self.rng.choice(
            ["red", "auto", "stack3", "10 minutes", "500 steps", "epoch", "kernel"]
        )


def to_yaml(values):
    text = json.dumps(values)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


def mutated(text, rng):
    """A packaged recipe's text with something broken in it."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    line = lines[at]
    indent = line[: len(line) - len(line.lstrip())]
    key, colon, value = line.partition(":")
    ways = [
        lambda: lines.pop(at),
        lambda: lines.insert(at, line),  # a key twice
        lambda: lines.insert(at, f"{indent}\tx: 1"),
        lambda: lines.__setitem__(at, f"{key}{colon} {rng.choice(ODD)}"),
        lambda: lines.__setitem__(at, f"{key}{colon} {to_yaml(rng.choice(ODD))}"),
        lambda: lines.__setitem__(at, f"{key[:-1]}{colon}{value}"),
        lambda: lines.__setitem__(at, line.replace(" ", "  ", 1)),
        lambda: lines.__setitem__(at, line + rng.choice(["]", "}", "'", '"', "&a", "*a", "!x", "|", ">", "#", ":"])),
        lambda: lines.__setitem__(at, f"{key}{colon} !!python/object:os.system{value}"),
        lambda: lines.__setitem__(at, f"{key}{colon} &a {value}"),
        lambda: lines.__setitem__(at, f"{key}{colon} *a"),
        lambda: lines.__setitem__(at, f"{key}{colon} {rng.choice(DATES)}"),
        lambda: lines.__setitem__(at, f"{key}{colon} {'[' * 1200}{']' * 1200}"),
        lambda: lines.__setitem__(at, f"{key}{colon} {'{a: ' * 1200}1{'}' * 1200}"),
        lambda: lines.__setitem__(at, f"{key}{colon} {'9' * 5000}"),
        lambda: lines.insert(at, rng.choice(["---", "...", "%YAML 1.1", "? x", "- x", "<<: *a", "? [a, b]\n: 1", "{a: 1}: 2", "1: 2", "null: 1", "true: 2"])),
        lambda: lines.__setitem__(at, line[: rng.randrange(len(line) + 1)]),
        lambda: lines.__setitem__(at, line + rng.choice(["\0", "\x07", "\u2028", "\ufeff", "\U0001f600", "\x85", "\ud800"])),
    ]  # fmt: skip
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        rng.choice(ways)()
        if not lines:
            break
        at = min(at, len(lines) - 1)
    return "\n".join(lines)


DATES = ["2024-05-01", "2024-13-45", "2001-12-14t21:59:43.10-05:00", "12:30:45", "0x1F", "0o17", "1_000",
         "1e5", "+.inf", "~", "yes", "on", "!!binary aGk=", "!!set {a}", "=", "<<"]  # fmt: skip
OVERRIDES = ["a.b=", "a..b=1", "a[99].b=1", "=", "=1", "data", "data=1", "data=", "finetune.stages=",
             "finetune.stages.0.epochs=many", "finetune.stages[0]=1", "finetune.stages[-1].epochs=1",
             "finetune.stages.0=", "finetune.stages.0.policy.full.x=1", "model.head.linear=", "name=2024-13-45",
             "name=2024-05-01", "seed=1e5", "seed=&a 1", "seed=*a", "seed=!!python/name:os.system", "seed=[",
             "seed={", "data.source.folder=\0", "seed=" + "9" * 5000, "seed=" + "[" * 2000, "....=1", "[0]=1",
             "augment.0=flip", "augment[0].flip.mode=vertical", "data.image_size=[32,", "a=b=c", "é=ü", " = ",
             "finetune.stages.²=1", "finetune.stages.0.x.y.z=1", "cache.views=2", "--=1", "a: b=1",
             "seed=2001-12-14t21:59:43.10-99:00"]  # fmt: skip


def look(load):
    """What loading says: a recipe, or the problems, each with its place."""
    try:
        return load()
    except RecipeError as error:
        assert error.problems and all(p.where and p.message for p in error.problems), error
    except UserError as error:
        assert error.where, error
    return None


def texts(seed, count):
    """Recipes: drawn from the schema, with and without wrong values, and mutated ones as text."""
    rng = random.Random(seed)
    packaged = [file.read_text() for file in sorted(recipes_folder().glob("*.yaml"))]
    for number in range(count):
        if number % 2:
            yield mutated(rng.choice(packaged), rng)
        else:
            # ruamel takes most of the time; a tenth of what is drawn goes through it
            drawn = Draw(rng.random(), rng.choice([0.0, 0.003, 0.03])).value(SCHEMA)
            yield to_yaml(drawn) if number % 20 == 0 or not isinstance(drawn, dict) else drawn


def test_no_recipe_whatever_ends_in_a_traceback(tmp_path):
    file = tmp_path / "r.yaml"
    right = 0
    for number, text in enumerate(texts(1, COUNT)):
        if isinstance(text, str):
            file.write_text(text, "utf-8", errors="surrogatepass")
        given = file if isinstance(text, str) else text
        overrides = [random.Random(number).choice(OVERRIDES)] if number % 7 == 0 else []
        try:
            found = look(lambda given=given, overrides=overrides: load_recipe(given, overrides))
            if found is not None:
                right += 1
                look(lambda found=found: check_files(found))
        except BaseException:
            print(f"recipe {number} {overrides}:\n{str(text)[:3000]}")
            raise
    assert right > COUNT // 100


@pytest.mark.parametrize("content", [
    b"", b"\n", b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n\0\0\0", b"\xef\xbb\xbf", b"- a", b"a", b"--- 1\n--- 2\n",
    b"%YAML 3.0\n---\na: 1", b"\0" * 100, bytes(range(256)), b"{" * 100_000, b"[" * 5_000, b"a: " * 5_000,
    b"? " * 3_000, b"- " * 3_000, b"x" * 2_000_000, b"&a [*a]", b"*a", b"!!map {a: 1}", b"a: !!timestamp x",
    b"<<: 1", b"<<: [1, 2]", b"? {a: b}\n: c", b"? [a]\n: c", b"1: 2\n1.0: 3", b"a: 0b12", b"a: 1:99:99",
])  # fmt: skip
def test_no_file_whatever_ends_in_a_traceback(tmp_path, content):
    (tmp_path / "r.yaml").write_bytes(content)
    assert look(lambda: load_recipe(tmp_path / "r.yaml")) is None


@pytest.mark.parametrize("change", [
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text + "\n...\n",
    lambda text: "---\n" + text,
])  # fmt: skip
def test_marks_of_other_editors_change_nothing(tmp_path, change):
    text = (recipes_folder() / "staged.yaml").read_text()
    (tmp_path / "r.yaml").write_bytes(change(text).encode())
    assert load_recipe(tmp_path / "r.yaml").name == "staged"


@pytest.mark.parametrize("override", OVERRIDES)
def test_no_override_whatever_ends_in_a_traceback(override):
    look(lambda: load_recipe("staged", [override]))


def small(recipe, photos):
    """A recipe made to train in a second or two: `tiny`, few images, one epoch a stage."""
    recipe = copy.deepcopy(recipe)
    recipe["data"] = {**recipe.get("data", {}), "source": {"folder": str(photos)}, "image_size": 32,
                      "split": {"val": 0.3}, "batch_size": 4, "cache": "auto"}  # fmt: skip
    model = recipe["model"]
    recipe["model"] = {**model, "backbone": "tiny", "weights": "none", "arguments": {}}
    recipe["export"] = []
    norm = model.get("norm")
    if isinstance(norm, dict) and norm.get("distill"):
        norm["distill"] = 2  # its limit is a million steps
    recipe["engine"], recipe["task"] = "auto", "classification"
    for key in ("require", "time_budget", "cache"):
        recipe.pop(key, None)
    for stage in recipe["finetune"]["stages"][2:]:
        recipe["finetune"]["stages"].remove(stage)
    for stage in recipe["finetune"]["stages"]:
        if stage.get("epochs") != 0 and stage["policy"] != "predict-only":
            stage["epochs"] = 1
        stage.pop("batch_size", None)
        stage["gradient_accumulation_steps"] = 1
        if "image_size" in stage:
            stage["image_size"] = 40
    return recipe


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Two classes of six pictures each."""
    root = tmp_path_factory.mktemp("few")
    for kind, name in enumerate(("red", "green")):
        (root / name).mkdir()
        for index in range(6):
            draw(kind, index).save(root / name / f"{index}.png")
    return root


def accepted(photos, count):
    """Drawn recipes that are right once they are made small."""
    rng, found = random.Random(5), 0
    while found < count:
        drawn = small(Draw(rng.random(), 0.0).value(SCHEMA), photos)
        try:
            settled(load_recipe(copy.deepcopy(drawn)), Classification)
        except UserError:
            continue
        found += 1
        yield drawn


@pytest.mark.slow
def test_what_is_accepted_is_planned_and_trained_or_told_wrong_before(few, tmp_path, monkeypatch):
    import keras

    import tlkit
    from tlkit.runs.workflow import show_plan

    monkeypatch.chdir(tmp_path)
    trained = 0
    for number, recipe in enumerate(accepted(few, BUILT)):
        keras.config.set_dtype_policy("float32")
        keras.backend.clear_session()
        try:
            if number % 4 == 0:
                show_plan(load_recipe(copy.deepcopy(recipe)), None)
            run = tlkit.finetune(recipe, run_dir=tmp_path / f"run{number}")
            trained += bool(run.result["stages"])
        except UserError as error:
            began = tmp_path / f"run{number}" / "metrics.csv"
            guards = ("became", "no weight", "did not move")
            told = error.where or any(words in str(error) for words in guards)
            assert told, f"{error}\n{json.dumps(recipe)}"
            late = began.exists() and len(began.read_text().splitlines()) > 1
            assert not late or error.exit_code == 1, f"{error}\n{json.dumps(recipe)}"
        except BaseException:
            print(f"recipe {number}: {json.dumps(recipe)}")
            raise
    assert trained > BUILT // 4
