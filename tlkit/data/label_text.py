"""Normalises labels in lists: trims them, unifies numbers, finds missing and multiple ones."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tlkit.data.sources.folder import class_name
from tlkit.text import shortened

MISSING = frozenset({"", "nan", "<na>", "#n/a"})  # as pandas and spreadsheets write it
DOUBTFUL = frozenset({"none", "null", "na", "n/a"})  # these too, but they may also be class names
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
FRACTION = re.compile(r"\.\d*[1-9]|[eE]-")
ADJACENT = re.compile(r"('\s+'|\"\s+\")")
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
WHOLE = re.compile(r"([+-]?\d+)\.0+")
SEPARATORS = ("|", ";", ",")
MAYBE = ("/", "+", "&", " ", "|", ";", ",")  # these may also be part of a name
DECIMAL = re.compile(r"[+-]?\d+(,\d+)?")  # a number with a decimal comma
PROSE_WORDS, PROSE_LENGTH = 5, 100  # from this many words or characters, text is not a name
MOST_ALONE = 9  # this many labels may all differ and still be classes


def label_text(value: Any) -> str:
    """A label as text: `1.0` is `1`, `true` is `true`; empty if there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = class_name(str(value))
    if text.strip().lower() in MISSING:
        return ""
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text


def listed(value: Any) -> list[str] | None:
    """The labels in a value that is a list or text such as `["cat", "red"]`; None for others."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{", "("):
        text = value.strip()
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
        else:
            value = _bare_list(value)
        if isinstance(value, list) and ADJACENT.search(text):  # as NumPy writes it, without commas
            quoted = QUOTED.findall(text)
            value = [one or other for one, other in quoted] if len(quoted) > len(value) else value
    if isinstance(value, list | tuple | set):
        return sorted({label for item in value if (label := label_text(item))})
    return None


def _bare_list(text: str) -> Any:
    """The items of a list without quotes, as `[cat, red]` or PostgreSQL's `{cat,red}`; else the text."""
    text = text.strip()
    if (text[0], text[-1]) not in (("[", "]"), ("{", "}")):
        return text
    items = [item.strip().strip("'\"") for item in text[1:-1].split(",")]
    return items if all(items) and not any(sign in text[1:-1] for sign in "[]{}:") else text


def several_by(labels: Iterable[str]) -> str | None:
    """The separator of several classes in one label, as in `cat|red` or `cat,red`, or None.

    A class may have a comma in its name, such as ImageNet's `tench, Tinca tinca`. Labels mean
    several classes only if most of those with the separator have a part that is also a label
    elsewhere.
    """
    counts = Counter(labels)
    if all(DECIMAL.fullmatch(label) for label in counts):
        return None
    for separator in SEPARATORS:
        joined = [label for label in counts if separator in label.strip(separator)]
        if not joined:
            continue
        parts = {label: divided(label, separator) for label in joined}
        met = Counter(part for own in parts.values() for part in set(own))
        elsewhere = sum(
            any(met[part] > 1 or part in counts for part in own) for own in parts.values()
        )
        if elsewhere > len(joined) / 2:
            return separator
    return None


def seemingly_joined(labels: Iterable[str]) -> str | None:
    """A sign that seems to join several classes, though `several_by` does not take it for one.

    Each part of most labels with the sign must be a label elsewhere.
    """
    counts = Counter(labels)
    for separator in MAYBE:
        joined = [label for label in counts if separator in label.strip(separator)]
        known = sum(all(part in counts for part in divided(label, separator)) for label in joined)
        if len(joined) > 1 and known > len(joined) / 2:
            return separator
    return None


def divided(label: str, separator: str) -> tuple[str, ...]:
    """The distinct labels in one text."""
    parts = label.split(None if separator == " " else separator)
    return tuple(dict.fromkeys(text for part in parts if (text := label_text(part))))


def are_measured(labels: Iterable[str]) -> bool:
    """Whether labels are numbers, some of them not whole, which neither counts nor ids would be."""
    found = list(labels)
    numbers = all(NUMBER.fullmatch(label) for label in found if label)
    return numbers and any(FRACTION.search(label) for label in found)


def is_prose(labels: Iterable[str]) -> bool:
    """Whether most labels are prose, such as captions, rather than names."""
    kinds = sorted(set(labels) - {""})
    # synonyms of a class, as ImageNet's `great white shark, white shark, man-eater`, are not prose
    long = [
        label
        for label in kinds
        if len(label) > PROSE_LENGTH
        or max(len(part.split()) for part in label.split(",")) >= PROSE_WORDS
    ]
    return len(long) > len(kinds) / 2


def odd_labels(labels: Sequence[str]) -> list[str]:
    """Notes for the user if labels do not look like classes."""
    kinds = sorted(set(labels))
    notes = []
    if is_prose(kinds):
        example = shortened(max(kinds, key=len), 60)
        notes.append(
            f"its labels are texts, as captions are ({example!r}); each that is different is a class of "
            "its own"
        )
    if len(labels) > MOST_ALONE and len(kinds) > len(labels) / 2:
        notes.append(f"{len(labels)} images have {len(kinds)} different labels")
    return notes
