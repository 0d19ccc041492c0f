"""Names of classes, files and runs where they meet programs that read more into them than a name."""

from __future__ import annotations

import re

# what moves the cursor, colours, rings, ends lines, or turns the direction of a terminal's or a page's text
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def printable(text: str) -> str:
    r"""Text whose control characters, but for tabs and line feeds, are escapes such as `\x1b`."""
    return CONTROLS.sub(lambda found: _escape(found[0]), text)


def one_line(text: str) -> str:
    r"""The same with tabs and line feeds as `\t` and `\n`."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters, its end cut off."""
    return text if len(text) <= most else text[: most - 1] + "…"


def cell(text: str) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula; `from_cell` gives the text back.

    What begins like a formula gets an apostrophe in front, which spreadsheets do not show, and so
    does what begins with apostrophes and then like one. (OWASP, "CSV Injection".)
    """
    return f"'{text}" if FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """The text of which `cell` made a cell."""
    return text[1:] if text[:1] == "'" and FORMULA.match(text) else text


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
