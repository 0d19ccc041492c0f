"""The rules of the house: who may import whom."""

import ast
import configparser
import pathlib
import re

from tests.conftest import ROOT

# one concept a file
CONCEPTS = {
    "layers",
    "activations",
    "initializers",
    "losses",
    "regularizers",
    "schedules",
    "callbacks",
    "optimizers",
    "augment",
    "preprocess",
    "adversarial",
}
# a room may import what stands in its own or an earlier row
ORDER = [
    {
        "annotations",
        "any_batch",
        "entry",
        "errors",
        "facts",
        "finding",
        "limits",
        "own_modules",
        "own_things",
        "out_of_memory",
        "registry",
        "paths",
        "reporter",
        "serializable",
        "step_count",
        "tensors",
        "text",
    },
    {"backbones.spec", "backbones.tiny", "backbones.applications", "backbones.imagenet"},
    {"recipe"},
    {"catalog"},
    CONCEPTS,
    {"report.parts", "report.plots", "report.glyphs"},
    {"backbones", "data", "heads", "tasks", "trackers"},
    {"surgery"},
    {"freeze"},
    {"features"},
    {"model"},
    {"evaluate", "report", "runs.folder", "embed", "audit"},
    {"train", "export"},
    {"draft", "preflight", "steps"},
    {"runs", "serve"},
    {"cli"},
]
PLAIN = CONCEPTS - {"adversarial"}  # gradients are TensorFlow's alone


def room(module: str) -> int | None:
    name = module.removeprefix("tlkit.")
    for parts in (2, 1):
        key = ".".join(name.split(".")[:parts])
        for row, names in enumerate(ORDER):
            if key in names:
                return row
    return None


def imports(path: pathlib.Path) -> list[str]:
    """Modules of tlkit and others that a file imports, in functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{item.name}" for item in node.names]
        elif isinstance(node, ast.Import):
            found += [item.name for item in node.names]
    return found


def modules() -> dict[str, pathlib.Path]:
    files = sorted((ROOT / "tlkit").rglob("*.py"))
    return {
        ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f
        for f in files
    }


def test_no_room_imports_a_later_one():
    wrong = []
    for module, path in modules().items():
        own = room(module)
        assert own is not None or module == "tlkit", f"{module} has no row in ORDER"
        for name in imports(path):
            other = room(name) if name.startswith("tlkit.") else None
            if other is not None and own is not None and other > own:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_a_call_shows_what_each_of_many_arguments_is():
    """No function takes more than five by position, but what is registered: tlkit names what it hands over."""
    many = []
    for module, path in modules().items():
        tree = ast.parse(path.read_text())
        registered = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and any("register(" in ast.unparse(one) for one in node.decorator_list)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.Lambda) and id(node) not in registered:
                names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
                if len([name for name in names if name not in ("self", "cls")]) > 5:
                    many.append(f"{module}:{node.lineno} {names}")
    assert not many


def test_the_wheel_holds_every_package():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    packages = {module for module, file in modules().items() if file.name == "__init__.py"}
    # the recipes lie outside, and are put into it
    assert set(settings["options"]["packages"].split()) == packages | {"tlkit.recipes"}


def test_what_people_import_into_plain_keras_needs_only_keras_and_numpy():
    for module, path in modules().items():
        if module.split(".")[1:2] and module.split(".")[1] in PLAIN:
            # TensorFlow alone has the kernel; the layer falls back to Keras's operations
            fused = {"tensorflow"} if ".layers.fused_" in module else set()
            roots = {name.split(".")[0] for name in imports(path)} - {"tlkit", "__future__"}
            assert roots <= {
                "keras", "numpy", "typing", "collections", "inspect", "math", "re", "warnings", "weakref", *fused
            }, module  # fmt: skip


# what is not the task's, though it has such words: concepts for plain Keras, and names of decoding
WORDS_ARE_THEIRS = PLAIN | {"heads", "backbones", "recipe"}


def words_of(path: pathlib.Path) -> str:
    """Names, attributes and texts of a file, without docstrings."""
    tree = ast.parse(path.read_text())
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            found.append(node.value)
        found += [getattr(node, key) for key in ("id", "attr", "arg") if isinstance(getattr(node, key, None), str)]  # fmt: skip
    return " ".join(found)


def test_what_is_learned_is_known_to_tasks_alone():
    known = re.compile(r"softmax|accuracy|one_hot|one-hot", re.IGNORECASE)
    found = set()
    for module, path in modules().items():
        parts = module.split(".")
        if parts[1:2] == ["tasks"] or WORDS_ARE_THEIRS & set(parts[1:2]):
            continue
        if known.search(words_of(path)):
            found.add(module)
    assert not found
