"""Writes a recipe for the user's data."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import pydantic

from tlkit import own_modules, own_things, registry
from tlkit.backbones import spec as specs
from tlkit.data.account import FileAccount
from tlkit.data.archive import SUFFIX, archive_of, describe_left_out, left_out, opened
from tlkit.data.frames import is_of_frames
from tlkit.data.read_file import MissingFile
from tlkit.data.read_source import path_keys, read_records
from tlkit.data.recognize import RecognizedTool, recognize
from tlkit.data.record import Record, SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError, UserError, did_you_mean, some_of
from tlkit.recipe.schema import Component
from tlkit.tasks.find import find_task
from tlkit.text import one_line

FEW = 2000  # training images up to which a batch is 16
LONGEST_NAME = 80
FRAMES = (
    "its pictures look like frames of videos: neighbours are all but equal, so a random split puts "
    "near copies of training images into val and flatters it; put whole videos into train/ and val/"
)

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Draft:
    """A recipe drafted for a data set.

    Attributes:
        name: Recipe name.
        text: The YAML.
        lines: What was found, for the user.
    """

    name: str
    text: str
    lines: list[str]


def draft_recipe(
    data: pathlib.Path,
    backbone: str,
    folder: pathlib.Path,
    given: Sequence[str] = (),
    say: Say = lambda line: None,
) -> Draft:
    """Drafts a commented recipe for the user's data.

    Args:
        data: A folder, an archive, a list or annotations.
        backbone: A registered name.
        folder: Folder that the recipe will be in; its paths are relative to it.
        given: Arguments of the source as `key=value`.
        say: Called with a message before slow operations.

    Raises:
        UserError: for an unknown backbone or argument.
        DataError: if there is nothing to train on.
    """
    if backbone not in specs.names():
        raise UserError(specs.suggest(backbone))
    spec = specs.find(backbone)
    found = found_in(data, given, say)
    source = read_records(_named(found))
    records, absent = _there(source.records)
    outline = find_task(dataclasses.replace(source, records=records)).outline(records, str(data))
    told = {record.split for record in records} - {None}
    train = sum(record.split in (None, "train") for record in records)
    name = recipe_name(data)
    size = "16" if train < FEW else "32"
    split = (
        f"  # val and test are the data's own: {', '.join(sorted(str(t) for t in told))}\n"
        if "val" in told
        else "  split: {val: 0.2}            # held out by file content, the same in every class\n"
    )
    notes = [
        *found.notes,
        *source.notes,
        *_empty(source, {record.label for record in records}),
        *_more_notes(data),
    ]
    account = FileAccount({"images": len(records)}, source.ignored, absent).lines()
    reasons = "".join(f"  # {one_line(text)}\n" for text in (found_as(found), *notes))
    text = (
        "# yaml-language-server: $schema=recipe.schema.json\n"
        f"# {name}: {one_line(outline.text)}\n"
        f"# Check it:  tlkit validate {name}.yaml      Look ahead:  tlkit plan {name}.yaml\n"
        f"name: {yaml_text(name)}\n"
        "seed: 0\n"
        f"{''.join(line + chr(10) for line in outline.recipe)}"
        "data:\n"
        f"{reasons}"
        f"  source: {_written(found, folder)}\n"
        f"  image_size: {spec.size}              # pixels; larger is slower and often better\n"
        "  resize: crop                 # crop | squash | pad\n"
        f"{split}"
        f"  batch_size: {size}\n"
        f"augment: {outline.augment}\n"
        "model:\n"
        f"  backbone: {backbone}       # others: tlkit backbones\n"
        f"  weights: {'bundled' if spec.bundled else 'imagenet'}            # or a file, or none\n"
        "  head: {linear: {dropout: 0.2}}\n"
        "finetune:\n"
        f"{''.join(f'  {line}' + chr(10) for line in outline.finetune)}"
        "  stages:\n"
        "    - {policy: head-only, epochs: 10, augment: []}   # first only the new head, on frozen\n"
        "    - {policy: full, epochs: 8}        # features computed once; then everything, slowly\n"
        "  early_stopping: {patience: 5}\n"
        "export: [saved_model]\n"
    )
    lines = [f"{data}: taken for {found_as(found)}; {outline.text}", *account]
    lines += [f"note: {note}" for note in notes]
    return Draft(name, text, [one_line(line) for line in lines])


def _there(records: Sequence[Record]) -> tuple[list[Record], list[tuple[str, str]]]:
    """The images whose files exist, and name and reason of those whose files are missing."""
    absent = [(r.name, r.read.reason) for r in records if isinstance(r.read, MissingFile)]
    return [r for r in records if not isinstance(r.read, MissingFile)], absent


def _empty(source: SourceData, filled: set[str]) -> list[str]:
    """Messages about classes without images, which cannot be trained."""
    named = (*source.empty, *(source.classes or ()), *(r.label for r in source.records))
    empty = [repr(name) for name in dict.fromkeys(named) if name not in filled]
    if not empty:
        return []
    return [
        f"no image in class {some_of(empty, 10)}: nothing is trained until there are some, or the class "
        "is gone"
    ]


def source_of(data: pathlib.Path, given: Sequence[str] = ()) -> Component:
    """The data source for a path from the command line.

    Args:
        data: A folder, an archive, a list or annotations.
        given: Arguments of the source as `key=value`.

    Raises:
        DataError: if it does not exist, or cannot be trained on.
    """
    return _named(found_in(data, given))


def found_in(
    data: pathlib.Path, given: Sequence[str] = (), say: Say = lambda line: None
) -> RecognizedTool:
    """Recognizes a path from the command line; the source keeps the paths as typed.

    Raises:
        DataError: if it does not exist, or cannot be trained on.
        UserError: for an argument that the source does not have.
    """
    place = opened(data, say)
    if not place.exists():
        raise DataError(why_not_there(place), where=str(data))
    settings = _settings(given)
    forced = settings.pop("source", None)
    if forced is not None:
        found = _forced(forced, place)
    else:
        found = recognize(place)
    known = registry.SOURCES[found.source].arguments.model_fields
    for key in settings:
        if key not in known:
            raise UserError(
                f"data source {found.source!r} has no argument {key!r}.",
                where=f"{key}={settings[key]}",
                hint=did_you_mean(key, known),
            )
    entry = registry.SOURCES[found.source]
    typed = {key: _typed(entry.annotation(key), text) for key, text in settings.items()}
    arguments = dict(found.arguments)
    for key in path_keys(found.source):
        if key in arguments and key not in settings:
            inner = os.path.relpath(arguments[key], place)
            arguments[key] = os.path.normpath(os.path.join(data, inner))
    return dataclasses.replace(found, arguments={**arguments, **typed})


def why_not_there(place: pathlib.Path) -> str:
    """Why a data folder or file does not exist."""
    try:
        place.stat()
    except FileNotFoundError:
        if place.is_symlink():
            return "is a link that leads nowhere"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "no such folder or file of data"


def _forced(name: str, place: pathlib.Path) -> RecognizedTool:
    if modules := own_things.modules_in(name):
        own_modules.look_here(modules)
    if name not in registry.SOURCES:
        raise UserError(registry.SOURCES.suggest(name), where=f"source={name}")
    first = next(iter(registry.SOURCES[name].arguments.model_fields), None)
    if first is None:
        raise UserError("takes no argument that could be a path", where=f"source={name}")
    return RecognizedTool(f"read as {name}", "as was asked", name, {first: str(place)})


def _typed(annotation: str, text: str) -> Any:
    """Parses a typed argument: text stays text, `depth=1` is a number, `["a", "b"]` a list."""
    listed = "list[" in annotation and text.startswith("[")
    if annotation.split(" | ")[0] == "str" and not listed:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _settings(given: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    return {key: value for key, _, value in pairs}


def _named(found: RecognizedTool) -> Component:
    entry = registry.SOURCES[found.source]
    try:
        return Component(found.source, entry.arguments(**found.arguments).model_dump())
    except pydantic.ValidationError as error:
        item = error.errors()[0]
        raise UserError(
            item["msg"].removeprefix("Value error, "), where=str(item["loc"][0])
        ) from None


def found_as(found: RecognizedTool) -> str:
    """What the data was recognized as, and why."""
    return f"{found.what} ({found.evidence})"


def _more_notes(data: pathlib.Path) -> list[str]:
    """Notes on unusual files in a folder or an archive."""
    notes = []
    archive = archive_of(data)
    if archive is not None and (names := left_out(archive)):
        notes.append(describe_left_out(names))
    place = opened(data)
    if place.is_dir() and is_of_frames(Tree.of(place)):
        notes.append(FRAMES)
    return notes


def recipe_name(data: pathlib.Path) -> str:
    """A recipe name: that of the data as typed, in characters that are safe in file names."""
    typed = os.path.basename(_absolute(data))
    if not data.is_dir():
        typed = SUFFIX.sub("", typed) if SUFFIX.search(typed) else os.path.splitext(typed)[0]
    plain = unicodedata.normalize("NFKD", typed).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain)[:LONGEST_NAME].strip("-._")
    return name or "my-data"


def _absolute(path: str | os.PathLike[str]) -> str:
    """The absolute path, keeping the symbolic links of the shell's PWD."""
    here = os.environ.get("PWD", "")
    if not here or not os.path.isdir(here) or not os.path.samefile(here, os.getcwd()):
        here = os.getcwd()
    given = os.path.expanduser(path)
    whole = os.path.normpath(os.path.join(here, given))
    # behind a link, the shell resolves `..` differently from the system, which reads the data
    if os.path.exists(given) and not (os.path.exists(whole) and os.path.samefile(given, whole)):
        return os.path.realpath(given)
    return whole


def _written(found: RecognizedTool, folder: pathlib.Path) -> str:
    """A source as written in a recipe, its paths relative to the recipe's folder."""
    paths = path_keys(found.source)
    typed = _named(found).arguments
    values = {
        key: yaml_text(_relative(value, folder) if key in paths else value)
        if isinstance(typed[key], str)
        else json.dumps(typed[key])
        for key, value in found.arguments.items()
    }
    first = next(iter(registry.SOURCES[found.source].arguments.model_fields))
    if list(values) == [first] and found.source != "tfrecord":
        return f"{{{found.source}: {values[first]}}}"
    inside = ", ".join(f"{key}: {value}" for key, value in values.items())
    return f"{{{found.source}: {{{inside}}}}}"


def _relative(path: str, folder: pathlib.Path) -> str:
    """A path relative to a recipe's folder; a final symbolic link is not resolved."""
    whole = _absolute(path)
    real = os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
    return os.path.relpath(real, os.path.realpath(folder))


def yaml_text(text: str) -> str:
    """Text as a YAML value that is read back as the same text, inside `{}` too."""
    if re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./-]*", text) and not _means_more(text):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


def _means_more(text: str) -> bool:
    """Whether YAML reads an unquoted word as something other than text."""
    words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n", ".nan", ".inf")
    return text.lower() in words or re.fullmatch(r"[._]?[\d_.]+([eE][-+]?\d+)?", text) is not None
