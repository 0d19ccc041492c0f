"""Which fonts can draw a name into a picture."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Sequence

from tlkit.text import one_line, shortened

LONGEST = 28  # characters of a name that are drawn
# fonts of systems that hold scripts which the font of matplotlib has not
OTHERS = re.compile(
    r"CJK|Gothic|Ming|Song|Hei|Nanum|Malgun|WenQuanYi|Droid.*Fallback|Arial ?Unicode|Meiryo|PingFang|"
    r"Hiragino|YaHei|Unifont|Symbola|Noto (?:Sans|Emoji|Naskh)|Segoe UI",
    re.IGNORECASE,
)
MOST_FONTS = 60


@functools.cache
def _characters(path: str) -> frozenset[int]:
    """Code points that a font has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # of bitmaps in colour, among others
        return frozenset()


@functools.cache
def default_font() -> str:
    """The file of DejaVu Sans, which comes with matplotlib."""
    import matplotlib

    return str(pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@functools.cache
def _other_fonts() -> tuple[tuple[str, str], ...]:
    """Families and files of the system's fonts that may have what DejaVu Sans has not."""
    from matplotlib.font_manager import fontManager

    found = {font.name: font.fname for font in fontManager.ttflist if OTHERS.search(font.name)}
    usable = sorted(item for item in found.items() if "color" not in item[1].lower())
    return tuple(usable[:MOST_FONTS])


def drawn(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names as a plot shows them, and the families of fonts that have all their characters.

    A name with a character that no font here has is shown as its number, counted from 1, which a
    page that draws its own text explains.
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
    """A name that matplotlib takes for no formula."""
    return name.replace("$", r"\$")


def font_for(text: str) -> str | None:
    """The file of a font that has all characters of a text; None where there is none."""
    needed = set(map(ord, text))
    for path in (default_font(), *(path for _, path in _other_fonts())):
        if needed <= _characters(path):
            return path
    return None
