"""User-defined losses, layers etc.: `my_module:MyLoss`, and those of installed packages."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tlkit import own_modules
from tlkit.entry import Definition
from tlkit.errors import did_you_mean

PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_place(name: object) -> bool:
    """Whether a name refers to something in a module, such as `my_module:MyLoss`."""
    return isinstance(name, str) and PLACE.fullmatch(name) is not None


def short_name(name: str) -> str:
    """The name of a thing without its module."""
    return name.rpartition(":")[2]


def modules_in(text: str) -> list[str]:
    """Modules that a recipe's text may refer to; `data.source.my:thing` may also mean `my`."""
    places = [found[0].partition(":")[0] for found in PLACE.finditer(text)]
    return [word for place in places for word in place.split(".")]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A `@register(...)` above a function or class.

    Attributes:
        name: Name it is registered under.
        kind: Kind it declares; None in tlkit's own files, where the folder determines it.
        facts: Facts it declares.
    """

    name: str
    kind: str | None
    facts: dict[str, Any]


def registered(node: ast.FunctionDef | ast.ClassDef) -> Iterator[Mark]:
    """What a function or class is registered as in its source."""
    for mark in node.decorator_list:
        called = ast.unparse(mark.func).split(".")[-1] if isinstance(mark, ast.Call) else ""
        if isinstance(mark, ast.Call) and called == "register" and mark.args:
            said = {str(k.arg): ast.literal_eval(k.value) for k in mark.keywords}
            yield Mark(ast.literal_eval(mark.args[0]), said.pop("kind", None), said)


def defined_in(place: str) -> tuple[Definition, list[Mark]]:
    """The definition that a name such as `my_module:MyLoss` refers to, and its registrations.

    If the module's source is enough, it is read without running it; else the module is imported.

    Raises:
        LookupError: if there is no such module, or nothing of that name in it; with the message.
    """
    module, _, attribute = place.partition(":")
    path = source_of(module)
    names: list[str] = []
    marks: list[Mark] = []
    if path is not None:
        nodes = [n for n in _parsed(path, module) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        names = [node.name for node in nodes]
        # Python keeps the last definition of a name
        for node in [node for node in nodes if node.name == attribute][-1:]:
            try:
                marks = list(registered(node))
            except ValueError:
                raise LookupError(f"{place}: what @register is given must be literals") from None
            if _has_constructor(node):
                return Definition.of_source(module, node), marks
    try:
        found = getattr(importlib.import_module(module), attribute)
    except AttributeError:
        there = f" ({path})" if path is not None else ""
        choices = f" {did_you_mean(attribute, names)}" if names else ""
        raise LookupError(f"module {module!r}{there} has no {attribute!r}.{choices}") from None
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise LookupError(
            f"module {module!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(found) or not hasattr(found, "__name__"):
        raise LookupError(f"{attribute!r} of module {module!r} is neither a function nor a class")
    try:
        return Definition.of_thing(found), marks
    except ValueError:  # some functions written in C have no signature
        raise LookupError(f"what {place!r} is called with cannot be known") from None


def source_of(module: str) -> pathlib.Path | None:
    """The file of a module; None if it has no source.

    Raises:
        LookupError: if there is no such module; with the message.
    """
    file = own_modules.file_of(module)
    if file is not None:
        return file
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit) as error:  # this imports its parent packages
        raise LookupError(f"there is no module {module!r}: {error}") from error
    if spec is None:
        raise LookupError(
            f"there is no module {module!r}: neither installed, nor as {module.replace('.', '/')}.py "
            "beside the recipe or in the current folder"
        )
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return pathlib.Path(spec.origin)


def _parsed(path: pathlib.Path, module: str) -> list[ast.stmt]:
    try:
        return ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError) as error:
        raise LookupError(f"module {module!r} cannot be read: {error}") from error


def _has_constructor(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether the source shows its parameters; else a base class elsewhere may define them."""
    return isinstance(node, ast.FunctionDef) or any(
        isinstance(item, ast.FunctionDef) and item.name == "__init__" for item in node.body
    )


@functools.cache
def advertised(group: str) -> dict[str, str]:
    """Entry points of a group in installed packages: name to `module:attribute`."""
    return {
        found.name: found.value.replace(" ", "")
        for found in importlib.metadata.entry_points(group=group)
    }
