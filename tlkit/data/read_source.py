"""Reads the records of the source that a recipe or a command names."""

from __future__ import annotations

import glob
import pathlib
from collections.abc import Iterable
from typing import Any

from tlkit import registry
from tlkit.data.archive import archive_of, opened
from tlkit.data.recognize import not_as_such, recognize, refuse_other_source
from tlkit.data.record import Record, SourceData
from tlkit.entry import shown, told_as_users
from tlkit.errors import DataError
from tlkit.recipe.schema import Component

# arguments of sources that are paths
PATHS = ("path", "root", "data_dir", "train", "val", "test", "classes")
# source arguments that are not paths
NO_PATHS = {"tfds": ("train", "val", "test")}


def path_keys(source: str) -> list[str]:
    """The arguments of a source that are paths."""
    entry = registry.SOURCES[source]
    known = entry.arguments.model_fields
    if not entry.is_packaged:
        return [key for key in ("path", "root") if key in known]
    return [key for key in PATHS if key in known and key not in NO_PATHS.get(source, ())]


def read_records(source: Component) -> SourceData:
    """Reads the records of a source; archives are unpacked first.

    Raises:
        DataError: if it cannot be read, or was written by a tool that another source reads.
    """
    arguments: dict[str, Any] = dict(source.arguments)
    for key in path_keys(source.name):
        if arguments.get(key):
            arguments[key] = str(opened(arguments[key]))
    place = pathlib.Path(arguments.get("path") or "")
    # with `depth`, the user has said that the folders are the classes
    if source.name == "folder" and arguments.get("depth") is None and place.is_dir():
        refuse_other_source(place)
    try:
        data = _as_source_data(registry.SOURCES.build(source.name, **arguments), source.name)
    except DataError as error:
        if source.name in ("folder", "manifest") and place.exists():
            _suggest(source.name, place, error)
        raise
    return data


def _as_source_data(made: Any, name: str) -> SourceData:
    """The return value of a source; a list or a generator of records is accepted too.

    Raises:
        DataError: if it is none of these.
    """
    if isinstance(made, SourceData):
        return made
    where = f"data.source.{name}"
    expected = "expected a tlkit.data.record.SourceData, or records"
    if not isinstance(made, Iterable) or isinstance(made, str | bytes):
        raise DataError(f"gives {shown(made)}; {expected}", where=where)
    with told_as_users(name):
        records = list(made)
    for one in records:
        if not isinstance(one, Record):
            raise DataError(f"gives {shown(one)} among its records; {expected}", where=where)
    return SourceData(records)


def _suggest(name: str, place: pathlib.Path, error: DataError) -> None:
    """Raises an error that names the tool, if a tool wrote the folder or list."""
    try:
        found = recognize(place)
    except DataError as other:
        raise other from error
    if found.source != name:
        raise not_as_such(found, place) from error


def is_there(path: str, pattern: bool = False) -> bool:
    """Whether a path exists or is inside an archive, whose content is checked later."""
    if glob.glob(path if pattern else glob.escape(path)):
        return True
    archive = archive_of(pathlib.Path(path))
    return archive is not None and archive != pathlib.Path(path)
