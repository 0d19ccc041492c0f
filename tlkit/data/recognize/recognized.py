"""What was recognised of a person's data."""

from __future__ import annotations

import dataclasses
import pathlib

from tlkit import registry
from tlkit.data.record import SourceData
from tlkit.errors import DataError

CROP = "Crop each object into an image of its own, in a folder a class."


@dataclasses.dataclass(frozen=True)
class Recognized:
    """What was recognised.

    Attributes:
        what: As a person calls it.
        evidence: What it was seen by.
        source: Name of the data source that reads it.
        arguments: Of that source, those that are not its defaults.
        sure: Whether class folders beside it change nothing.
        notes: What a person should know.
    """

    what: str
    evidence: str
    source: str
    arguments: dict[str, str]
    sure: bool = False
    notes: tuple[str, ...] = ()

    def read(self) -> SourceData:
        """The records of that source."""
        entry = registry.SOURCES[self.source]
        arguments = entry.arguments(**self.arguments).model_dump()
        data: SourceData = registry.SOURCES.build(self.source, **arguments)
        return data


def not_as_such(found: Recognized, place: pathlib.Path) -> DataError:
    """What to say where a tool's data are given to another source."""
    given = ", ".join(f"{key}: {value}" for key, value in found.arguments.items())
    return DataError(
        f"is {found.what} ({found.evidence}).",
        where=str(place),
        hint=f"Use data.source: {{{found.source}: {{{given}}}}}, which tlkit init {place} writes.",
    )
