"""Replaces the normalisation that a network was trained with by another one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np

from tlkit.surgery.calibrate import calibrate_norms, check_images, distill_norms, in_batches
from tlkit.surgery.clone import clone_with
from tlkit.tensors import KerasLayer, KerasModel

Target = Literal["group", "layer", "instance", "batch", "frozen-batch"]
TARGETS = get_args(Target)
GROUPS = 1
_BATCH = "BatchNorm"
NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


@dataclasses.dataclass
class SwapReport:
    """What was changed.

    Attributes:
        swapped: Name of each layer that was replaced, with its old and new kind.
        kept: Name of each layer that was kept, with the reason.
        notes: Further notes.
        agreement: After a calibration, the correlation of the pooled outputs of the new
            and the old network over the images, averaged over channels.
    """

    swapped: dict[str, str]
    kept: dict[str, str]
    notes: list[str]
    agreement: float | None = None

    def __str__(self) -> str:
        lines = [f"{len(self.swapped)} normalisations swapped, {len(self.kept)} kept"]
        lines += [f"  {name}: {what}" for name, what in self.swapped.items()]
        lines += [f"  {name} kept: {why}" for name, why in self.kept.items()]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def summary(self) -> str:
        """One line with the number of layers for each kind of change."""
        kinds: dict[str, int] = {}
        for what in self.swapped.values():
            kinds[what] = kinds.get(what, 0) + 1
        parts = [f"{count} x {what}" for what, count in kinds.items()]
        parts += [f"{len(self.kept)} kept"] if self.kept else []
        if self.agreement is not None:
            parts.append(f"features agree by {self.agreement:.2f} with those before")
        return ", ".join(parts)


def swap_norm(
    model: KerasModel,
    to: Target,
    groups: int = GROUPS,
    calibrate: Any = None,
    layers: Sequence[str] | None = None,
    *,
    distill: int = 0,
    batch_size: int = 32,
) -> tuple[Any, SwapReport]:
    """Returns a copy of a model with other normalisation layers, and a report.

    This destroys a network unless it is calibrated. Calibration sets each new layer's
    gamma and beta, from the input on, so that its outputs have the mean and variance
    of the old layer's outputs in every channel (see `calibrate_norms`). `distill` then
    continues by training (see `distill_norms`).

    Args:
        model: Functional or sequential Keras model; nested models are processed too.
        to: New normalisation: `group`, `layer` (one group), `instance` (one group per
            channel), `batch`, or `frozen-batch` (BatchNorm that is not trainable and
            therefore always uses its moving statistics).
        groups: Number of groups of group norm; if it does not divide the channels of a
            layer, that layer gets the nearest divisor. Fewer groups preserve more of a
            pretrained network (docs/normalisation.md).
        calibrate: Images as the model takes them, `(count, ...)`: a few hundred, without
            labels. Their activations are held in memory.
        layers: Regular expressions; layers are swapped if one matches in their name.
            Default: all layers.
        distill: Number of training steps towards the old network's features; needs
            `calibrate`.
        batch_size: Images per batch while calibrating.

    Raises:
        ValueError: if the layers of the model cannot be replaced, no layer is selected, or
            the images do not fit the model.
    """
    images = None if calibrate is None else check_images(model, calibrate)
    if distill and images is None:
        raise ValueError("distill needs images to calibrate with")
    new, report = replace_norms(model, to, groups, layers)
    without = [name for name, what in report.swapped.items() if not what.startswith(_BATCH)]
    if to.endswith("batch") and without and images is None:
        raise ValueError(f"{without[0]!r} has no moving statistics; give images to calibrate with")
    if images is None or not report.swapped:
        return new, report
    names = set(report.swapped)
    report.agreement = calibrate_norms(model, new, names, in_batches(images, batch_size))
    if distill:
        report.agreement = distill_norms(
            model, new, names, images, steps=distill, batch_size=batch_size
        )
    return new, report


def replace_norms(
    model: KerasModel, to: Target, groups: int = GROUPS, layers: Sequence[str] | None = None
) -> tuple[Any, SwapReport]:
    """Only swaps the layers: gamma and beta are copied, and nothing is calibrated.

    Args and raises: as for `swap_norm`.
    """
    if to not in TARGETS:
        raise ValueError(f"there is no {to!r} normalisation; choose one of {', '.join(TARGETS)}")
    if groups < 1:
        raise ValueError(f"groups must be 1 or more; found {groups}")
    report = SwapReport({}, {}, [])

    def replace(layer: KerasLayer) -> Any:
        if not isinstance(layer, NORMS) or (
            layers is not None and not any(re.search(p, layer.name) for p in layers)
        ):
            return None
        new, note = _successor(layer, to, groups)
        if new is None:
            report.kept[layer.name] = note
            return None
        report.swapped[layer.name] = f"{describe_norm(layer)} to {describe_norm(new)}"
        if note:
            report.notes.append(f"{layer.name}: {note}")
        if len(layer._inbound_nodes) > 1:
            report.notes.append(f"{layer.name}: used more than once, calibrated at its first use")
        return new

    new = clone_with(model, replace)
    if not report.swapped and not report.kept:
        raise ValueError(f"{model.name!r} has no normalisation layer that is meant")
    return new, report


def nearest_divisor(channels: int, groups: int) -> int:
    """Returns the divisor of `channels` closest to `groups`; the smaller one if two are tied."""
    divisors = [d for d in range(1, channels + 1) if channels % d == 0]
    return min(divisors, key=lambda d: (abs(d - groups), d))


def describe_norm(layer: KerasLayer) -> str:
    """Describes a normalisation layer in a few words."""
    if isinstance(layer, keras.layers.GroupNormalization):
        return f"GroupNorm({layer.groups})"
    if isinstance(layer, keras.layers.LayerNormalization):
        return "LayerNorm"
    return _BATCH if layer.trainable else f"{_BATCH}, frozen"


def _successor(layer: KerasLayer, to: Target, groups: int) -> tuple[Any, str]:
    """Returns the built replacement of a layer and a note, or None and the reason."""
    shape = layer._inbound_nodes[0].input_tensors[0].shape
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) and len(layer.axis) == 1 else (
        layer.axis
    )  # fmt: skip
    if not isinstance(axis, int):
        return None, f"normalises several axes, {tuple(axis)}"
    is_batch = isinstance(layer, keras.layers.BatchNormalization)
    if to == "frozen-batch" and is_batch and not layer.trainable:
        return None, "is frozen BatchNorm already"
    if to == "batch" and is_batch:
        return None, "is BatchNorm already"
    if len(shape) < 3 and not to.endswith("batch"):
        return None, "has no places beside its channels to normalise over"
    channels = shape[axis]
    note = ""
    common = {"name": layer.name, "axis": axis, "epsilon": layer.epsilon,
              "dtype": layer.dtype_policy}  # fmt: skip
    new: Any
    if to.endswith("batch"):
        momentum = layer.momentum if is_batch else 0.99
        new = keras.layers.BatchNormalization(momentum=momentum, **common)
    else:
        wanted = {"layer": 1, "instance": channels}.get(to, groups)
        count = nearest_divisor(channels, wanted)
        if count != wanted:
            note = f"{wanted} groups do not divide {channels} channels, so {count}"
        new = keras.layers.GroupNormalization(count, **common)
    new.build(shape)
    new.gamma.assign(layer.gamma if layer.gamma is not None else np.ones(channels))
    new.beta.assign(layer.beta if layer.beta is not None else np.zeros(channels))
    if to.endswith("batch") and is_batch:
        new.moving_mean.assign(layer.moving_mean)
        new.moving_variance.assign(layer.moving_variance)
    new.trainable = to != "frozen-batch" and layer.trainable
    return new, note
