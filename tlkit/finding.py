"""One thing that the user should look at, in data, labels, a network or a run."""

from __future__ import annotations

import dataclasses
from typing import Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the user should look at.

    Attributes:
        kind: Kind of finding, such as `broken`.
        level: `error` spoils a run or its metrics, `warning` may, a `note` is good to know.
        text: What was found, in words.
        images: Names of the images that it is about.
        score: How certain or severe it is, to order findings of a kind; larger is worse.
        hint: What to do.
    """

    kind: str
    level: Level
    text: str
    images: tuple[str, ...] = ()
    score: float = 0.0
    hint: str = ""
