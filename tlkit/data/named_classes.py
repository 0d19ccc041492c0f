"""Classes in the names of files that lie side by side: `Abyssinian_12.jpg`, `cat.0.jpg`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable

from tlkit.data.order import natural
from tlkit.errors import some_of
from tlkit.paths import legible

NUMBERED = re.compile(r"(.*[^\W\d_])[\W_]*\d+")
SHARE = 0.9  # of files called so, from which that may be meant


def classes_in_names(files: Iterable[str]) -> str:
    """What to say where most files are called CLASS_NUMBER; nothing where they are not.

    It is a hint alone: `IMG_1.jpg` and `DSC_2.jpg` are called so too.

    Args:
        files: Their paths or names.
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
