"""A Keras file, for those who go on in Python."""

from __future__ import annotations

import pathlib
from typing import Any

from tlkit.features.cut import flatten_model
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

    Raises:
        ValueError: if the network has layers of tlkit's, which Keras alone does not load.
    """
    layers = flatten_model(model).layers
    own = {type(layer).__name__ for layer in layers if type(layer).__module__.startswith("tlkit.")}
    if own:
        raise ValueError(
            f"Keras alone does not know {', '.join(sorted(own))}; the other formats hold them as "
            "plain operations, and the run's model.keras loads where tlkit is installed"
        )
    target = folder / "keras" / "model.keras"
    target.parent.mkdir(parents=True, exist_ok=True)
    model.save(target)
    return target
