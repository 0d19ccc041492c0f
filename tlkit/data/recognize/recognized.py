"""The result of recognising the user's data."""

from __future__ import annotations

import dataclasses
import pathlib

from tlkit import registry
from tlkit.data.record import SourceData
from tlkit.errors import DataError

CROP = "Crop each object into an image of its own, in a folder a class."


@dataclasses.dataclass(frozen=True)
class RecognizedTool:
    """The tool or format that was recognised.

    Attributes:
        what: Name for the user.
        evidence: What it was recognised by.
        source: Name of the data source that reads it.
        arguments: Arguments of that source that differ from its defaults.
        sure: Whether it takes precedence over class folders beside it.
        notes: What the user should know.
    """

    what: str
    evidence: str
    source: str
    arguments: dict[str, str]
    sure: bool = False
    notes: tuple[str, ...] = ()

    def read(self) -> SourceData:
        """Reads the records with that source."""
        entry = registry.SOURCES[self.source]
        arguments = entry.arguments(**self.arguments).model_dump()
        data: SourceData = registry.SOURCES.build(self.source, **arguments)
        return data


def not_as_such(found: RecognizedTool, place: pathlib.Path) -> DataError:
    """The error if a tool's data are given to another source."""
    given = ", ".join(f"{key}: {value}" for key, value in found.arguments.items())
    return DataError(
        f"is {found.what} ({found.evidence}).",
        where=str(place),
        hint=f"Use data.source: {{{found.source}: {{{given}}}}}, which tlkit init {place} writes.",
    )
