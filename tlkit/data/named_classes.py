"""Detects class names in the names of files in one folder: `Abyssinian_12.jpg`, `cat.0.jpg`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable

from tlkit.data.order import natural
from tlkit.errors import some_of
from tlkit.paths import legible

NUMBERED = re.compile(r"(.*[^\W\d_])[\W_]*\d+")
SHARE = 0.9  # least fraction of files with such names


def classes_in_names(files: Iterable[str]) -> str:
    """A hint if most files are named CLASS_NUMBER; else empty.

    It is only a hint: `IMG_1.jpg` and `DSC_2.jpg` match too.

    Args:
        files: Paths or names of the files.
    """
    stems = [os.path.splitext(os.path.basename(legible(file)))[0] for file in files]
    found = Counter(match[1] for stem in stems if (match := NUMBERED.fullmatch(stem)))
    kinds = sorted((name for name, count in found.items() if count > 1), key=natural)
    if len(kinds) < 2 or sum(found[name] for name in kinds) < SHARE * len(stems):
        return ""
    return (
        f"Its files seem to have {len(kinds)} classes in their names: {some_of(kinds, 5)}. If so, move the "
        "images of each into a folder of that name, or list them in a .csv with the columns path and label. "
    )
