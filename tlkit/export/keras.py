"""A Keras file, for further work in Python."""

from __future__ import annotations

import pathlib

from tlkit.features.split_network import flatten_model
from tlkit.registry import register
from tlkit.tensors import KerasModel


@register("keras", runtime="keras", takes="uint8")
def keras(model: KerasModel, folder: pathlib.Path) -> pathlib.Path:
    """Writes `keras/model.keras`, which plain Keras loads without tlkit installed.

    The model takes pixels `(batch, height, width, 3)` in [0, 255] at its own input size
    and returns probabilities.

    Args:
        model: Model from RGB in [0, 255] to probabilities.
        folder: Folder of all exports.

    Returns:
        Path of the file.

    Raises:
        ValueError: if the network has tlkit layers, which Keras alone cannot load.
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
