"""labels.txt: class names in the order of a model's outputs, one per line."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

# all line ends of `str.splitlines`, the byte-order mark, surrogates of names that are not UTF-8,
# and the backslash itself
ESCAPED = re.compile("[\\\\\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\ufeff\ud800-\udfff]")
ESCAPE = re.compile(r"\\(?:\\|n|r|x[0-9a-f]{2}|u[0-9a-f]{4})")
SHORT = {"\n": "\\n", "\r": "\\r", "\\": "\\\\"}


def labels_text(classes: Iterable[str]) -> str:
    r"""The names, one per line, so that every way of reading lines finds the same number.

    Line ends and backslashes are escaped as in Python and JSON: `\n`, `\u2028`, `\\`.
    """
    return "".join(ESCAPED.sub(_escape, name) + "\n" for name in classes)


def parse_labels(text: str) -> list[str]:
    """The names written by `labels_text`; an editor's byte-order mark and `\\r\\n` are removed."""
    lines = text.removeprefix("\ufeff").split("\n")
    if not lines[-1]:
        del lines[-1]
    return [ESCAPE.sub(_unescape, line.removesuffix("\r")) for line in lines]


def read_labels(file: pathlib.Path) -> list[str]:
    """The names in a labels.txt."""
    with open(file, encoding="utf-8", newline="") as stream:  # keeps `\r`
        return parse_labels(stream.read())


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _unescape(found: re.Match[str]) -> str:
    long = {text: character for character, text in SHORT.items()}
    return long.get(found[0]) or chr(int(found[0][2:], 16))
