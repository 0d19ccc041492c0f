"""Escapes names of classes, files and runs for terminals and programs that interpret them."""

from __future__ import annotations

import re

# characters that move the cursor, set colours, ring, end lines, or change the text direction
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def printable(text: str) -> str:
    r"""Text with control characters, except tabs and line feeds, as escapes such as `\x1b`."""
    return CONTROLS.sub(lambda found: _escape(found[0]), text)


def one_line(text: str) -> str:
    r"""The same, with tabs and line feeds as `\t` and `\n` too."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


def shortened(text: str, most: int) -> str:
    """Text cut off after at most this many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def cell(text: str) -> str:
    """A CSV cell that no spreadsheet reads as a formula; `from_cell` restores the text.

    Text that starts like a formula, with or without leading apostrophes, gets an apostrophe in
    front, which spreadsheets do not show. (OWASP, "CSV Injection".)
    """
    return f"'{text}" if FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """The text that `cell` turned into a cell."""
    return text[1:] if text[:1] == "'" and FORMULA.match(text) else text


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
