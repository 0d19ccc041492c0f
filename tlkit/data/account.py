"""What happened to every file of a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tlkit.data.record import IgnoredFile

MOST_LOST = 0.05  # fraction of the apparent pictures that may be broken or ignored
NAMED = 100  # files listed per reason
SHOWN = 8  # reasons shown to the user


@dataclasses.dataclass(frozen=True)
class FileAccount:
    """Counts each file once: used, ignored or broken.

    Attributes:
        used: Number of images in each split; under `images` if they are not split yet.
        ignored: Ignored files, and why.
        broken: Name and reason of each file that does not decode.
    """

    used: Mapping[str, int]
    ignored: Sequence[IgnoredFile] = ()
    broken: Sequence[tuple[str, str]] = ()

    @property
    def files(self) -> int:
        """Number of all files."""
        return sum(self.used.values()) + len(self.ignored) + len(self.broken)

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Name and reason of each file that looks like a picture but is not used."""
        return [*self.broken, *((item.name, item.reason) for item in self.ignored if item.lost)]

    @property
    def too_many_lost(self) -> bool:
        """Whether more files are lost than allowed."""
        lost = len(self.lost)
        return lost > MOST_LOST * (sum(self.used.values()) + lost)

    def reasons(self) -> dict[str, list[str]]:
        """Names of the ignored files by reason, the most frequent first."""
        found: dict[str, list[str]] = {}
        for item in self.ignored:
            found.setdefault(item.reason, []).append(item.name)
        return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))

    def lines(self) -> list[str]:
        """Lines for the user: one if all files are used, otherwise one more per reason."""
        return account_lines(self.as_json())

    def as_json(self, names: int = NAMED) -> dict[str, Any]:
        """The account as JSON, for data.json and result.json.

        Args:
            names: Number of files named per reason.
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
    """The content of `FileAccount.as_json` for the user: a line, and one more per reason."""
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
