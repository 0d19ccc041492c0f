"""What became of every file of a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tlkit.data.record import Ignored

MOST_LOST = 0.05  # share of what looks like pictures that may be broken or ignored
NAMED = 100  # files of a reason that are written down
SHOWN = 8  # reasons that a person is told


@dataclasses.dataclass(frozen=True)
class FileAccount:
    """Each file once: used, ignored or broken.

    Attributes:
        used: Number of images in each split; under `images` where they are not split yet.
        ignored: The others, and why.
        broken: Name and reason of each that does not decode.
    """

    used: Mapping[str, int]
    ignored: Sequence[Ignored] = ()
    broken: Sequence[tuple[str, str]] = ()

    @property
    def files(self) -> int:
        """All of them."""
        return sum(self.used.values()) + len(self.ignored) + len(self.broken)

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Name and reason of what looks like a picture and is not used."""
        return [*self.broken, *((item.name, item.reason) for item in self.ignored if item.lost)]

    @property
    def too_many_lost(self) -> bool:
        """Whether more is lost than may be."""
        lost = len(self.lost)
        return lost > MOST_LOST * (sum(self.used.values()) + lost)

    def reasons(self) -> dict[str, list[str]]:
        """Names of the ignored files by reason, the most frequent first."""
        found: dict[str, list[str]] = {}
        for item in self.ignored:
            found.setdefault(item.reason, []).append(item.name)
        return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))

    def lines(self) -> list[str]:
        """For a person: one line where all is used, one more for each reason otherwise."""
        return account_lines(self.as_json())

    def as_json(self, names: int = NAMED) -> dict[str, Any]:
        """For data.json and result.json.

        Args:
            names: Files of each reason that are named.
        """
        return {
            "files": self.files,
            "used": dict(self.used),
            "ignored": [
                {
                    "reason": reason,
                    "files": len(found),
                    **({"names": found[:names]} if names else {}),
                }
                for reason, found in self.reasons().items()
            ],
            "broken": len(self.broken),
        }


def account_lines(account: Mapping[str, Any]) -> list[str]:
    """What `FileAccount.as_json` says, for a person: a line, and one more for each reason."""
    used, broken = sum(account["used"].values()), account["broken"]
    if used == account["files"]:
        return [f"files: {used}, all used"]
    reasons = account["ignored"]
    ignored = sum(row["files"] for row in reasons)
    counts = ((used, "used"), (ignored, "ignored"), (broken, "broken"))
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    lines = [f"files: {account['files']}, {told}"]
    lines += [f"  ignored: {_told(row)}" for row in reasons[:SHOWN]]
    if len(reasons) > SHOWN:
        rest = sum(row["files"] for row in reasons[SHOWN:])
        lines.append(f"  ignored: {rest} more for {len(reasons) - SHOWN} other reasons")
    return lines


def _told(row: Mapping[str, Any]) -> str:
    """`40 files, each is TIFF, which tlkit does not decode (a.tif, b.tif and 38 more)`."""
    names = row["names"]
    if row["files"] == 1:
        return f"{names[0]} {row['reason']}"
    shown = ", ".join(names[:2])
    more = row["files"] - len(names[:2])
    return (
        f"{row['files']} files, each {row['reason']} ({shown}{f' and {more} more' if more else ''})"
    )
