"""A Keras file, for those who go on in Python."""

from __future__ import annotations

import pathlib
from typing import Any

from tlkit.registry import register


@register("keras", runtime="keras", takes="uint8")
def keras(model: Any, folder: pathlib.Path) -> pathlib.Path:
    """Writes `keras/model.keras`, which plain Keras loads where tlkit is not installed.

    Takes pixels `(batch, height, width, 3)` in [0, 255] of the model's own size; gives
    probabilities.

    Args:
        model: RGB in [0, 255] to probabilities.
        folder: Where exports go.

    Returns:
        The file.
    """
    target = folder / "keras" / "model.keras"
    target.parent.mkdir(parents=True, exist_ok=True)
    model.save(target)
    return target
