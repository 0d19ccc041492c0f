"""How many images each label has, in which splits, and which labels occur together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tlkit.data.order import natural
from tlkit.data.record import Record
from tlkit.errors import some_of
from tlkit.finding import Finding

LISTED = 20  # most labels that a message names
FEW = 10  # below this number of images, a label can hardly be learned or measured
MOSTLY_EMPTY = 0.5  # fraction of images without labels from which to warn


def label_findings(records: Sequence[Record], splits: Sequence[str]) -> Iterator[Finding]:
    """Findings about the labels.

    Args:
        records: Records of the valid images.
        splits: Splits of the same images.
    """
    sets = [frozenset(record.labels or (record.label,)) - {""} for record in records]
    found = Counter(name for own in sets for name in own)
    counts = Counter({name: found[name] for name in sorted(found, key=natural)})
    empty = tuple(r.name for r, own in zip(records, sets, strict=True) if not own)
    if empty:
        text = f"{len(empty)} of {len(records)} images have no label"
        many = len(empty) > MOSTLY_EMPTY * len(records)
        yield Finding("empty", "warning" if many else "note", text, empty)
    few = [f"{label} {count}" for label, count in counts.items() if count < FEW]
    if few:
        text = f"fewer than {FEW} images have {len(few)} labels: {some_of(few, LISTED)}"
        yield Finding("few_images", "warning", text)
    always = [label for label, count in counts.items() if count == len(records)]
    if always:
        yield Finding("always", "warning", f"every image is labelled {some_of(always, LISTED)}")
    for split in sorted(set(splits)):
        here = {n for own, place in zip(sets, splits, strict=True) if place == split for n in own}
        missing = [label for label in counts if label not in here]
        if missing:
            text = f"no image of {split} is labelled {some_of(missing, LISTED)}"
            yield Finding("missing_from_split", "error" if split == "train" else "warning", text)
    spelt = defaultdict(list)
    for label in counts:
        spelt[label.casefold().strip()].append(label)
    for same in spelt.values():
        if len(same) > 1:
            text = f"labels that differ only in case or spaces: {', '.join(map(repr, same))}"
            yield Finding("classes_alike", "warning", text)
    yield from _together(sets, counts)


def _together(sets: Sequence[frozenset[str]], counts: Counter[str]) -> Iterator[Finding]:
    """Labels that always occur together, so that one adds nothing to the other."""
    images = defaultdict(list)
    for index, own in enumerate(sets):
        for label in own:
            images[label].append(index)
    same = defaultdict(list)
    for label, count in counts.items():
        if 1 < count < len(sets):
            same[tuple(images[label])].append(label)
    for labels in same.values():
        if len(labels) > 1:
            text = f"labels that always come together: {some_of(labels, LISTED)}"
            yield Finding("together", "note", text)
