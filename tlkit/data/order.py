"""Natural order of names, the same in every process."""

from __future__ import annotations

import re

Key = tuple[list[tuple[int, int, str]], str]


def natural(text: str) -> Key:
    """Sort key in which 10 comes after 9; ties, such as `01` and `1`, are sorted by their text."""
    parts = [
        (0, len(part.lstrip("0")), part.lstrip("0"))
        if part[0] in "0123456789"
        else (1, 0, part.lower())
        for part in re.split(r"([0-9]+)", text)
        if part
    ]
    return parts, text
