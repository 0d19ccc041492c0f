"""How many images each class has, and where."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tlkit.errors import some_of
from tlkit.finding import Finding, Level
from tlkit.tasks.classification.labels import IMBALANCED

LISTED = 20  # classes that a sentence names
FEW = 10  # images of a class below which it can hardly be learned or measured
VERY_IMBALANCED = 10.0  # largest class over smallest; see IMBALANCED for where it is said


def class_findings(labels: Sequence[str], splits: Sequence[str]) -> Iterator[Finding]:
    """What is odd about the numbers of classes.

    Args:
        labels: Of the images that are whole.
        splits: Of the same images.
    """
    counts = Counter(labels)
    (most, largest), (least, smallest) = counts.most_common()[0], counts.most_common()[-1]
    ratio = largest / smallest
    if ratio > IMBALANCED:
        level: Level = "warning" if ratio > VERY_IMBALANCED else "note"
        text = (
            f"{most!r} has {largest} images, {least!r} {smallest}, {ratio:.1f} times fewer; try "
            "class_weight: balanced, and look at balanced accuracy"
        )
        yield Finding("imbalance", level, text)
    few = [f"{label} {count}" for label, count in counts.items() if count < FEW]
    if few:
        text = f"fewer than {FEW} images of {len(few)} classes: {some_of(few, LISTED)}"
        yield Finding("few_images", "warning", text)
    for split in sorted(set(splits)):
        here = {label for label, place in zip(labels, splits, strict=True) if place == split}
        missing = [label for label in counts if label not in here]
        if missing:
            text = f"{split} has no image of: {some_of(missing, LISTED)}"
            yield Finding("missing_from_split", "error" if split == "train" else "warning", text)
    folded = Counter(label.casefold().strip() for label in counts)
    alike = [name for name, count in folded.items() if count > 1]
    if alike:
        spelt = defaultdict(list)
        for label in counts:
            spelt[label.casefold().strip()].append(label)
        for same in (spelt[name] for name in alike):
            text = f"classes that differ only in case or spaces: {', '.join(map(repr, same))}"
            yield Finding("classes_alike", "warning", text)
