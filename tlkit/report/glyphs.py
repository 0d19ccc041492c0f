"""Finds fonts that can draw a name in a plot."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Sequence

from tlkit.text import one_line, shortened

LONGEST = 28  # most characters of a name that are drawn
# system fonts for scripts that matplotlib's font lacks
OTHERS = re.compile(
    r"CJK|Gothic|Ming|Song|Hei|Nanum|Malgun|WenQuanYi|Droid.*Fallback|Arial ?Unicode|Meiryo|PingFang|"
    r"Hiragino|YaHei|Unifont|Symbola|Noto (?:Sans|Emoji|Naskh)|Segoe UI",
    re.IGNORECASE,
)
MOST_FONTS = 60


@functools.cache
def _characters(path: str) -> frozenset[int]:
    """Code points of a font; empty if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # for example, colour bitmap fonts
        return frozenset()


@functools.cache
def default_font() -> str:
    """The file of DejaVu Sans, which is part of matplotlib."""
    import matplotlib

    return str(pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@functools.cache
def _other_fonts() -> tuple[tuple[str, str], ...]:
    """Families and files of system fonts that may cover what DejaVu Sans lacks."""
    from matplotlib.font_manager import fontManager

    found = {font.name: font.fname for font in fontManager.ttflist if OTHERS.search(font.name)}
    usable = sorted(item for item in found.items() if "color" not in item[1].lower())
    return tuple(usable[:MOST_FONTS])


def drawn(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names as a plot shows them, and the font families that cover their characters.

    A name with a character that no font covers is shown as its number, counted from 1; a page
    that draws its own text explains the numbers.
    """
    shown = [shortened(one_line(name), LONGEST) for name in names]
    missing = {ord(c) for name in shown for c in name} - _characters(default_font())
    families = ["DejaVu Sans"]
    for family, path in _other_fonts() if missing else ():
        if missing & _characters(path):
            families.append(family)
            missing -= _characters(path)
    return [
        f"no. {number}" if missing.intersection(map(ord, name)) else name
        for number, name in enumerate(shown, start=1)
    ], families


def literal(name: str) -> str:
    """Escapes a name so that matplotlib does not read it as a formula."""
    return name.replace("$", r"\$")


def font_for(text: str) -> str | None:
    """The file of a font that covers all characters of a text; None if there is none."""
    needed = set(map(ord, text))
    for path in (default_font(), *(path for _, path in _other_fonts())):
        if needed <= _characters(path):
            return path
    return None
