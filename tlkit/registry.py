"""Names for things: what a recipe may say, and what it stands for.

A thing is registered by decorating it in its own file:

    @register("cosine")
    def cosine(learning_rate: float, ..., warmup_epochs: NonNegative = 0.0): ...

A registry finds the decorated functions and classes of its package by reading
the source, not by importing it, so that a recipe can be checked, completed and
documented without loading TensorFlow. `Registry.get` imports the one file needed.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import annotated_types
import pydantic

from tlkit.errors import did_you_mean

# The words that annotations of registered arguments are written with.
Positive = Annotated[float, annotated_types.Gt(0)]
NonNegative = Annotated[float, annotated_types.Ge(0)]
Fraction = Annotated[float, annotated_types.Ge(0), annotated_types.Lt(1)]
Count = Annotated[int, annotated_types.Gt(0)]

_WORDS: dict[str, Any] = {
    "Positive": Positive,
    "NonNegative": NonNegative,
    "Fraction": Fraction,
    "Count": Count,
    "Literal": Literal,
    "Any": Any,
}

T = TypeVar("T")


def register(name: str) -> Callable[[T], T]:
    """Marks a function or class as what recipes call `name`."""

    def mark(thing: T) -> T:
        thing.registered_name = name  # type: ignore[attr-defined]
        return thing

    return mark


class Entry:
    """One registered thing as its source describes it.

    Attributes:
        name: What recipes call it.
        module: Where it is defined.
        attribute: Its name in that module.
        summary: The first line of its docstring.
        doc: The whole docstring.
        arguments: A pydantic model of what a recipe may pass.
    """

    def __init__(self, name: str, module: str, node: ast.FunctionDef | ast.ClassDef):
        self.name = name
        self.module = module
        self.attribute = node.name
        self.doc = ast.get_docstring(node) or ""
        self.summary = self.doc.split("\n")[0]
        self._node = node

    def _fields(self) -> dict[str, Any]:
        """Keyword-only parameters; those before `*` are handed over by tlkit."""
        function = self._node
        if isinstance(function, ast.ClassDef):
            function = next(
                item
                for item in function.body
                if isinstance(item, ast.FunctionDef) and item.name == "__init__"
            )
        fields: dict[str, Any] = {}
        for arg, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
            annotation = ast.unparse(arg.annotation) if arg.annotation else "Any"
            kind = eval(annotation, {"__builtins__": __builtins__}, _WORDS)
            fields[arg.arg] = (kind, ... if default is None else ast.literal_eval(default))
        return fields

    @functools.cached_property
    def arguments(self) -> type[pydantic.BaseModel]:
        return pydantic.create_model(
            self.name.replace("-", "_"),
            __config__=pydantic.ConfigDict(extra="forbid", strict=False, protected_namespaces=()),
            **self._fields(),
        )

    def load(self) -> Any:
        return getattr(importlib.import_module(self.module), self.attribute)


class Registry(Mapping[str, Entry]):
    """Everything registered in one package or module, by name, in the order of the files.

    Args:
        kind: What one of these is called in a message, as "schedule".
        package: Dotted name of the package whose files are read, or of one module.
    """

    def __init__(self, kind: str, package: str):
        self.kind = kind
        self.package = package

    @functools.cached_property
    def _entries(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        place = pathlib.Path(__file__).parent.parent / self.package.replace(".", "/")
        files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for path in files:
            for node in ast.parse(path.read_text("utf-8")).body:
                if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                    continue
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "register":
                        name = ast.literal_eval(mark.args[0])
                        if name in found:
                            raise ValueError(f"{self.kind} {name!r} is registered twice")
                        module = f"{self.package}.{path.stem}" if place.is_dir() else self.package
                        found[name] = Entry(name, module, node)
        return found

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def suggest(self, name: str) -> str:
        """What to say about a name that is not registered."""
        return f"{name!r} is not {article(self.kind)}. {did_you_mean(name, self)}"

    def build(self, name: str, /, *given: Any, **arguments: Any) -> Any:
        """Calls what `name` stands for; imports its file first."""
        return self[name].load()(*given, **arguments)


def article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


SOURCES = Registry("data source", "tlkit.data.sources")
AUGMENTATIONS = Registry("augmentation", "tlkit.augment")
HEADS = Registry("head", "tlkit.heads")
LOSSES = Registry("loss", "tlkit.losses")
POLICIES = Registry("policy", "tlkit.freeze")
OPTIMIZERS = Registry("optimizer", "tlkit.optimizers")
SCHEDULES = Registry("schedule", "tlkit.schedules")
EXPORTS = Registry("export format", "tlkit.export")
