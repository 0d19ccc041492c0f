"""Reads a recipe: YAML with line numbers, overrides, all problems reported at once."""

from __future__ import annotations

import dataclasses
import numbers
import pathlib
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic

from tlkit import own_modules, own_things, registry
from tlkit.errors import RecipeError, UserError, did_you_mean, first_line
from tlkit.paths import expanded
from tlkit.recipe.aliases import ALIASES
from tlkit.recipe.schema import Component, Recipe, Section, shorten

MODULES = "modules"  # subfolder of a run folder with copies of user-defined modules
MAX_BYTES = 1_000_000
MAX_NODES = 20_000  # after aliases are expanded
MAX_DEPTH = 50

RecipeLike = str | pathlib.Path | Mapping[str, Any] | Recipe  # anything read as a recipe

_PATH_KEYS = re.compile(r"\.(weights\.h5|h5|keras)$")


@dataclasses.dataclass
class Source:
    """Plain values of a recipe and the position of each in its file."""

    file: str
    folder: pathlib.Path
    values: dict[str, Any]
    tree: Any  # ruamel's mapping with lines and columns; None for a recipe built in Python
    overridden: set[tuple[Any, ...]] = dataclasses.field(default_factory=set)

    def place(self, loc: Sequence[Any], key: bool = False) -> str:
        """`file:line:column` of the value at `loc`, or of its key."""
        for end in range(len(loc), 0, -1):
            if tuple(loc[:end]) in self.overridden:
                return "--set " + dotted(loc[:end])
        if self.tree is None:
            return self.file
        node: Any = self.tree
        line = column = 0
        for depth, step in enumerate(loc):
            last = depth == len(loc) - 1
            try:
                mapping, sequence = isinstance(node, dict), isinstance(node, list)
                if mapping and step in node:
                    position = node.lc.key(step) if key and last else node.lc.value(step)
                    node = node[step]
                elif sequence and isinstance(step, int) and step < len(node):
                    position = node.lc.item(step)
                    node = node[step]
                else:
                    break
            except (AttributeError, KeyError, TypeError):
                break
            line, column = position[0], position[1]
        return f"{self.file}:{line + 1}:{column + 1}"


def load_recipe(path: RecipeLike, overrides: Iterable[str] = ()) -> Recipe:
    """Reads and validates a recipe.

    Args:
        path: YAML file, name of a packaged recipe, mapping, or `tlkit.Recipe`, which is not
            modified.
        overrides: `a.b=c` strings; a list item is `a.0.b=c`.

    Raises:
        RecipeError: lists all problems, each with file, line and column.
        UserError: if the file does not exist or is not a YAML mapping.
    """
    source = _read(path)
    overrides = list(overrides)
    if modules := own_things.modules_in(f"{source.values} {' '.join(overrides)}"):
        # copies in the run folder take precedence over the current folder
        folders = (source.folder, source.folder / MODULES, pathlib.Path.cwd())
        own_modules.look_in(folders, modules)
    problems = [problem for item in overrides if (problem := _override(source, item))]
    if problems:
        raise RecipeError(problems)
    if "name" not in source.values:
        source.values["name"] = _name_of(pathlib.Path(source.file).stem)
    try:
        recipe = Recipe.model_validate(source.values)
    except pydantic.ValidationError as error:
        raise _problems(error, source, Recipe) from None
    return _with_absolute_paths(recipe, source)


def _name_of(stem: str) -> str:
    """Converts a file name to a valid run name."""
    name = re.sub(r"[^\w.-]+", "-", stem.encode("ascii", "ignore").decode()).lstrip("-_.")
    return name[:100] or "recipe"


def explained(error: pydantic.ValidationError, section: type[Section], values: Any) -> RecipeError:
    """Converts a validation error of a section built in Python to a `RecipeError`.

    Args:
        error: Error raised by pydantic.
        section: Class of the section.
        values: Values that were passed to it.
    """
    place = f"tlkit.{section.__name__}"
    return _problems(error, Source(place, pathlib.Path.cwd(), values, None), section)


def _problems(
    error: pydantic.ValidationError, source: Source, section: type[Section]
) -> RecipeError:
    found = [problem for item in error.errors() for problem in _explain(source, item, section)]
    return RecipeError(list({str(problem): problem for problem in found}.values()))


def _read(path: RecipeLike) -> Source:
    if isinstance(path, Mapping | Recipe):
        return Source("recipe", pathlib.Path.cwd(), _plain(path), None)
    file = find_recipe(path)
    tree = read_yaml(file)
    return Source(
        str(path if pathlib.Path(path).exists() else file.name), file.parent, _plain(tree), tree
    )


def recipes_folder() -> pathlib.Path:
    """Folder of the packaged recipes: inside the package, or next to it in a checkout."""
    package = pathlib.Path(__file__).parent.parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def find_recipe(name: str | pathlib.Path) -> pathlib.Path:
    """Path of a recipe file, or of the packaged recipe with that name.

    Raises:
        UserError: if neither exists.
    """
    path = expanded(name)
    if path.is_file():
        return path.resolve()
    packaged = {item.stem: item for item in sorted(recipes_folder().glob("*.yaml"))}
    if str(name) in packaged:
        return packaged[str(name)]
    if path.is_dir():
        raise UserError(
            "is a folder, not a recipe.", where=str(path), hint=f"Write one with: tlkit init {path}"
        )
    raise UserError(
        "no such recipe file, and no packaged recipe with that name.",
        where=str(name),
        hint=did_you_mean(path.stem, packaged),
    )


def read_yaml(path: pathlib.Path) -> Any:
    """Reads YAML 1.2 with positions.

    Rejects tags, duplicate keys, aliases that expand to too many values, and deep nesting.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"a recipe may have at most {MAX_BYTES:,} bytes", where=str(path))
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text ({error.reason})", where=str(path)) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    tree = _parse(text, path.name)
    if not isinstance(tree, dict):
        raise UserError(
            f"a recipe is a mapping of keys to values; found {shorten(tree)}",
            where=f"{path.name}:1:1",
        )
    return tree


def _parse(text: str, name: str) -> Any:
    """Parses a YAML text.

    Args:
        text: Untrusted text.
        name: Name of the text in error messages.

    Raises:
        UserError: if the text is not valid YAML, or exceeds the limits of a recipe.
    """
    import ruamel.yaml
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    yaml = ruamel.yaml.YAML(typ="rt")
    try:
        depth = 0
        for event in yaml.parse(text):
            # checked here because ruamel is very slow on deeply nested input
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                mark = event.start_mark
                raise UserError(
                    f"is nested more than {MAX_DEPTH} levels deep",
                    where=f"{name}:{mark.line + 1}:{mark.column + 1}",
                )
            tag = getattr(event, "tag", None)
            if tag is not None and str(tag) not in ("None", "!"):
                mark = event.start_mark
                raise UserError(
                    f"tags are not allowed in a recipe; found {tag!s}",
                    where=f"{name}:{mark.line + 1}:{mark.column + 1}",
                )
        _refuse_explosion(yaml.compose(text), name)
        return yaml.load(text)
    except UserError:
        raise
    except DuplicateKeyError as error:
        mark = error.problem_mark
        problem = str(error.problem).split(" with value")[0]
        raise UserError(problem, where=f"{name}:{mark.line + 1}:{mark.column + 1}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise UserError(
            f"is not valid YAML: {error.problem or error.context}", where=where
        ) from None
    except RecursionError:
        raise UserError(f"is nested more than {MAX_DEPTH} levels deep", where=name) from None
    except Exception as error:  # untrusted text: ruamel may raise any exception
        raise UserError(f"is not valid YAML: {first_line(error)}", where=name) from None


def _refuse_explosion(root: Any, name: str) -> None:
    """Limits the node count with all aliases expanded; rejects nodes that contain themselves."""
    budget = MAX_NODES
    stack = [(root, frozenset[int]())]
    while stack:
        node, above = stack.pop()
        budget -= 1
        if budget < 0 or id(node) in above:
            raise UserError(
                f"its aliases expand to more than {MAX_NODES:,} values", where=f"{name}:1:1"
            )
        if node is None or isinstance(node.value, str):
            continue
        inside = above | {id(node)}
        for item in node.value:
            stack.extend((part, inside) for part in (item if isinstance(item, tuple) else (item,)))


def _plain(value: Any) -> Any:
    """Converts ruamel types, NumPy numbers, paths and sections to built-in Python types."""
    if isinstance(value, Section):
        value = value.given()
    if isinstance(value, Component):
        value = {value.name: value.arguments}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind, plain in ((numbers.Integral, int), (numbers.Real, float)):
        if isinstance(value, kind):
            return plain(value)  # type: ignore[call-overload]
    return str(value)


# `a.b[0].c`
_KEY = re.compile(r"[^.\[\]\s]+(\.[^.\[\]\s]+|\[[^.\[\]\s]+\])*")


def _override(source: Source, text: str) -> UserError | None:
    key, equals, raw = text.partition("=")
    if not equals or not _KEY.fullmatch(key):
        return UserError(
            "expected key=value with a key such as data.batch_size or finetune.stages[0].epochs, "
            f"found {shorten(text)}",
            where="--set",
        )
    for place in own_things.PLACE.finditer(str(source.values)):  # its dots do not separate keys
        key = key.replace(place[0], place[0].replace(".", "\0"))
    steps = [step.replace("\0", ".") for step in re.split(r"[.\[\]]+", key) if step]
    value: Any = raw
    if not raw or not _is_text(steps):
        try:
            value = _plain(_parse(raw, "value"))
        except UserError as error:
            return UserError(f"{shorten(raw)} is not a YAML value: {error}", where=f"--set {key}")
    node: Any = source.values
    loc: list[Any] = []
    for depth, step in enumerate(steps):
        if isinstance(node, list):
            if not re.fullmatch(r"[0-9]{1,9}", step) or int(step) >= len(node):
                return UserError(
                    f"{dotted(loc)} is a list of {len(node)}; expected 0 to {len(node) - 1}, "
                    f"found {step!r}",
                    where=f"--set {key}",
                )
            index: Any = int(step)
        else:
            index = step
        loc.append(index)
        if depth == len(steps) - 1:
            node[index] = value
        else:
            below = node[index] if isinstance(node, list) else node.get(index)
            if isinstance(below, str):  # `adam` -> `{adam: {}}`, so that arguments can be set
                first = _first_argument(loc)
                below = {below: {}} if first is None else {first: below}
                node[index] = below
            elif not isinstance(below, dict | list):
                below = {}
                node[index] = below
            node = below
    source.overridden.add(tuple(loc))
    return None


def _first_argument(loc: Sequence[Any]) -> str | None:
    """Argument that `data.source.NAME: VALUE` sets, such as `path`; None at other places."""
    if len(loc) != 3 or loc[:2] != ["data", "source"] or loc[2] not in registry.SOURCES:
        return None
    return next(iter(registry.SOURCES[loc[2]].arguments.model_fields), None)


def _is_text(steps: Sequence[str]) -> bool:
    """Whether a key accepts only text, so that `2024` and `true` are read as text."""
    model: Any = Recipe
    for depth, step in enumerate(steps):
        if step.isdecimal():
            continue
        field = model.model_fields.get(step)
        if field is None:
            return False
        last = depth == len(steps) - 1
        if last and _takes_text(field.annotation):
            return True
        if steps[: depth + 1] == ["data", "source"]:
            return _is_text_of_source(steps[depth + 1 :])
        model = _section_of(field.annotation)
        if model is None:
            return False
    return False


def _takes_text(annotation: Any) -> bool:
    """Whether a type is `str` or `str | None`, with or without constraints."""
    union = get_origin(annotation) in (Union, types.UnionType)
    kinds = get_args(annotation) if union else (annotation,)
    bare = {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds}
    return str in bare and bare <= {str, type(None)}


def _is_text_of_source(steps: Sequence[str]) -> bool:
    """Same as `_is_text`, for `folder` and `folder.path` under data.source."""
    if not steps or steps[0] not in registry.SOURCES:
        return False
    fields = registry.SOURCES[steps[0]].arguments.model_fields
    key = steps[1] if len(steps) == 2 else next(iter(fields), "") if len(steps) == 1 else ""
    return key in fields and _takes_text(fields[key].annotation)


def dotted(loc: Sequence[Any]) -> str:
    """Formats a location as a dotted key, such as `finetune.stages[1].policy`."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _explain(source: Source, item: Any, section: type[Section]) -> list[UserError]:
    """Converts one pydantic error to readable messages."""
    loc = _without_branches(item["loc"])
    kind = item["type"]
    if kind == "arguments":
        context = item["ctx"]
        return [
            _message(
                source,
                (*loc, *_without_branches(inner["loc"])),
                inner,
                context["keys"],
                context["kind"],
            )
            for inner in _deepest(context["errors"])
        ]
    whole = "a recipe" if section is Recipe else section.__name__
    keys = _allowed_keys(loc[:-1], section)
    return [_message(source, loc, item, keys, dotted(loc[:-1]) or whole)]


def _deepest(errors: list[Any]) -> list[Any]:
    """Keeps the most specific of the errors that the branches of a union report."""

    def leads_on(other: Any, item: Any) -> bool:
        a, b = (_without_branches(error["loc"]) for error in (other, item))
        return (len(a) > len(b) and a[: len(b)] == b) or (a == b and not other.get("expects"))

    return [
        item
        for item in errors
        if not item.get("expects") or not any(leads_on(other, item) for other in errors)
    ]


_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


def _message(
    source: Source, loc: tuple[Any, ...], item: Any, keys: list[str], owner: str
) -> UserError:
    kind, found, context = item["type"], item.get("input"), item.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(loc[-1])
        hint = f"In tlkit: {ALIASES[key]}." if key in ALIASES else did_you_mean(key, keys)
        return UserError(
            f"{dotted(loc)}: unknown key {key!r} in {owner}.",
            where=source.place(loc, True),
            hint=hint,
        )
    if kind == "missing":
        return UserError(
            f"{dotted(loc)}: is missing; {owner} needs it.", where=source.place(loc[:-1], True)
        )
    where = source.place(loc)
    if item.get("expects"):
        text = f"expected {item['expects']}, found {shorten(found)}"
    elif kind in ("named", "value_error"):
        text = item["msg"].removeprefix("Value error, ")
    elif kind in _EXPECTED:
        text = f"expected {_EXPECTED[kind]}, found {shorten(found)}"
    elif kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        text = f"{shorten(found)} is not allowed. {did_you_mean(str(found), allowed)}"
    elif kind == "string_pattern_mismatch":
        text = f"expected letters, digits, '_', '.' and '-', found {shorten(found)}"
    elif kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        sign = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
        limit = next(f"{sign[key]} {value:g}" for key, value in context.items() if key in sign)
        text = f"expected a number {limit}, found {shorten(found)}"
    elif kind == "too_short":
        text = "needs at least one item"
    else:
        text = f"{item['msg']}; found {shorten(found)}"
    return UserError(f"{dotted(loc)}: {text}" if loc else text, where=where)


def _without_branches(loc: Sequence[Any]) -> tuple[Any, ...]:
    """A location without the names of union branches, which are not keys of the recipe."""
    return tuple(step for step in loc if not _is_branch(step))


def _is_branch(step: Any) -> bool:
    return isinstance(step, str) and bool(
        re.match(
            r"(function-|constrained-|tuple\[|list\[|literal\[|dict\[|int$|float$|str$|bool$)", step
        )
    )


def _allowed_keys(loc: tuple[Any, ...], section: type[Section]) -> list[str]:
    """Keys allowed at `loc` in a section."""
    model: Any = section
    for step in loc:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        model = _section_of(field.annotation) if field else None
        if model is None:
            return []
    return list(model.model_fields)


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    inner = [_section_of(part) for part in getattr(annotation, "__args__", ())]
    return next((part for part in inner if part is not None), None)


def _with_absolute_paths(recipe: Recipe, source: Source) -> Recipe:
    """Resolves paths: relative to the recipe file, or for `--set` to the current folder."""

    def absolute(text: str, *loc: str) -> str:
        path = expanded(text)
        given = any(tuple(loc[:end]) in source.overridden for end in range(1, len(loc) + 1))
        # paths in a packaged recipe are in the current folder, unless tlkit ships the file
        packaged = source.folder == recipes_folder() and not (source.folder / path).exists()
        base = pathlib.Path.cwd() if given or packaged else source.folder
        return str(path if path.is_absolute() else base / path)

    kind, arguments = recipe.data.source.name, recipe.data.source.arguments
    keys: tuple[str, ...] = ("path", "root", "train", "val", "test", "classes")
    if not registry.SOURCES[kind].is_packaged:
        keys = keys[:2]  # a user-defined source interprets the others itself
    for key in ("data_dir",) if kind == "tfds" else keys:
        if isinstance(arguments.get(key), str):
            arguments[key] = absolute(arguments[key], "data", "source", kind, key)
    if _PATH_KEYS.search(recipe.model.weights):
        recipe.model.weights = absolute(recipe.model.weights, "model", "weights")
    hub = recipe.model.backbone.removeprefix("hub:")
    if hub != recipe.model.backbone and hub.startswith(("./", "../", "/", "~")):
        recipe.model.backbone = "hub:" + absolute(hub, "model", "backbone")
    return recipe
