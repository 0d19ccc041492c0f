"""check.html: the findings of an audit, with images."""

from __future__ import annotations

import html
import itertools
import pathlib
from typing import Any

import numpy as np
from PIL import ImageOps

from tlkit.audit.audit import Audit
from tlkit.data.record import Record
from tlkit.data.transcode import NotDecodable, open_picture, rgb
from tlkit.finding import Finding
from tlkit.report.parts import figure, listed, page, table, tiles

MOST = 24  # most images per kind of finding
MOST_CLASSES = 500  # most rows of the class table
SIDE = 180  # image size in pixels

TITLES = {
    "broken": "Files that are not a complete picture",
    "ignored": "Files that look like pictures and are not used",
    "empty_class": "Classes without an image",
    "wrong_extension": "Wrong file endings",
    "tiny": "Tiny pictures",
    "blank": "Blank pictures",
    "grey_among_colour": "Grey among colour",
    "extreme_aspect": "Extreme shapes",
    "exif_rotation": "Stored turned",
    "duplicates": "The same file twice in a split",
    "duplicates_across_splits": "The same file across splits",
    "duplicates_with_other_label": "The same file under two labels",
    "near_duplicates": "The same picture twice in a split",
    "near_duplicates_across_splits": "The same picture across splits",
    "near_duplicates_with_other_label": "The same picture under two labels",
    "same_name_other_label": "The same name under two labels",
    "imbalance": "Classes of very different size",
    "few_images": "Classes with few images",
    "missing_from_split": "Classes missing from a split",
    "classes_alike": "Classes spelt alike",
    "label": "Labels that may be wrong",
    "outlier": "Like no other image",
    "number": "Numbers far from all others",
    "labels": "Images with several classes, or none",
    "empty": "Images without a label",
    "always": "Labels of every image",
    "together": "Labels that always come together",
}


def write_audit_page(audit: Audit, title: str, target: pathlib.Path) -> None:
    """Writes the page.

    Args:
        audit: Findings of the audit.
        title: Name of what was checked.
        target: File to write.
    """
    counts = dict.fromkeys(("error", "warning", "note"), 0)
    for finding in audit.findings:
        counts[finding.level] += 1
    parts = [
        f"<h1>{html.escape(title)}</h1><p class=sub>data audit, {audit.images:,} images</p>",
        tiles([(str(count), f"{level}s") for level, count in counts.items()]),
    ]
    parts.append(listed([line.strip() for line in audit.account.lines()]))
    splits = sorted(audit.counts)
    labels = sorted({label for row in audit.counts.values() for label in row})
    rows = [[label, *(audit.counts[split].get(label, 0) for split in splits)] for label in labels]
    parts.append("<h2>Classes</h2>" + table(["class", *splits], rows[:MOST_CLASSES]))
    if len(rows) > MOST_CLASSES:
        parts.append(f"<p>and {len(rows) - MOST_CLASSES:,} more classes, see check.json</p>")
    if audit.skipped:
        parts.append("<h2>Not looked at</h2>" + listed(audit.skipped))
    for (kind, level), some in itertools.groupby(audit.findings, lambda f: (f.kind, f.level)):
        found = list(some)
        count = len(found)
        parts.append(
            f"<h2>{html.escape(TITLES[kind])} <span class=soft>({count} {level}{'s' * (count != 1)})</span></h2>"
        )
        parts.append(_gallery(found, audit.records))
    if not audit.findings:
        parts.append("<p>Nothing was found.</p>")
    target.write_text(page(f"{title} - data audit", parts), "utf-8")


def _gallery(findings: list[Finding], records: dict[str, Record]) -> str:
    """Findings with their images, or as text if there are none."""
    shown, words = [], []
    for finding in findings[:MOST]:
        names = finding.images[: 2 if len(findings) > 1 else MOST]
        pictures = [(name, _picture(records[name])) for name in names]
        whole = [(name, picture) for name, picture in pictures if picture is not None]
        if not whole:
            words.append(finding.text)
        elif len(findings) > 1:
            shown.append(figure([p for _, p in whole], html.escape(finding.text), whole[0][0]))
        else:
            words.append(finding.text)
            shown += [figure([p], html.escape(name), name) for name, p in whole]
    if len(findings) > MOST:
        words.append(f"and {len(findings) - MOST} more, see check.json")
    gallery = f"<div class=gallery>{''.join(shown)}</div>" if shown else ""
    return (listed(words) if words else "") + gallery


def _picture(record: Record) -> Any:
    """A small square thumbnail in upright orientation; None if the image cannot be decoded."""
    try:
        with open_picture(record.read()) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            return np.asarray(ImageOps.pad(rgb(image), (SIDE, SIDE)))
    except (OSError, NotDecodable):
        return None
