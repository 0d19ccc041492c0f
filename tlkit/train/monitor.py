"""Measures how a network is doing while it trains, at little cost."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.features.split_network import flatten_model, outputs_of
from tlkit.freeze import FreezePlan
from tlkit.model import Network
from tlkit.tensors import KerasLayer, KerasModel, KerasVariable, Tensor

SAMPLE = 8  # images that are passed through once an epoch


def monitored_columns(plans: list[FreezePlan]) -> list[str]:
    """Columns of metrics.csv that `Monitor` may report for stages with these plans."""
    blocks: dict[str, None] = {}
    for plan in plans:
        blocks |= {name: None for name, _, training in plan.blocks if training}
    return [
        "gradient_norm", "data_wait", "dead_relu", "batch_norm_drift",
        *(f"update_ratio/{name}" for name in blocks),
    ]  # fmt: skip


class Monitor:
    """Measures a stage once an epoch.

    - `update_ratio/BLOCK`: norm of one update over the norm of the weights, for all that trains
      in the block. About 1e-3 is usual; much more damages the pretrained weights, and much less
      has no effect.
    - `dead_relu`: fraction of ReLU channels that are zero everywhere on eight validation images.
      Skipped for most epochs when epochs are short.
    - `batch_norm_drift`: how far BatchNorm's means have moved since the stage began, in standard
      deviations, averaged over all channels.

    Args:
        network: Network that trains.
        model: Part of the network that the stage runs.
        plan: What trains.
        statistics: Moving statistics that change.

    Attributes:
        ratios: `update_ratio` of this epoch by block, once measured.
    """

    def __init__(
        self, network: Network, model: KerasModel, plan: FreezePlan, statistics: list[KerasVariable]
    ):
        trainable = set(plan.trainable)
        groups = [(block.name, block.variables()) for block in network.blocks]
        groups.append(("head", [v for layer in network.head for v in layer.weights]))
        self._groups = [
            (name, chosen)
            for name, variables in groups
            if (chosen := [v for v in variables if v.path in trainable])
        ]
        self._means = [v for v in statistics if v.name == "moving_mean"]
        self._variances = [v for v in statistics if v.name == "moving_variance"]
        self._start = [np.asarray(v) for v in self._means + self._variances]
        self._model = model
        self._relus: Any = None
        self._before: list[list[np.ndarray]] = []
        self.ratios: dict[str, float] = {}

    def arrays(self) -> list[np.ndarray]:
        """The state to save in a checkpoint."""
        return self._start

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        """Restores what `arrays` returned."""
        self._start = arrays

    def before_update(self) -> None:
        """Call before the update to measure."""
        self._before = [[np.asarray(v) for v in variables] for _, variables in self._groups]

    def after_update(self) -> None:
        """Call after the update to measure."""
        for (name, variables), before in zip(self._groups, self._before, strict=True):
            moved = sum(
                float(np.sum(np.square(np.asarray(v) - old)))
                for v, old in zip(variables, before, strict=True)
            )
            length = sum(float(np.sum(np.square(old))) for old in before)
            self.ratios[f"update_ratio/{name}"] = float(np.sqrt(moved / max(length, 1e-24)))
        self._before = []

    def of_epoch(self, images: Tensor = None) -> dict[str, float]:
        """The metrics of the epoch.

        Args:
            images: Some validation images, or their features; without them, `dead_relu` is not
                measured.
        """
        logs, self.ratios = self.ratios, {}
        dead = None if images is None else self._dead_relus(images)
        if dead is not None:
            logs["dead_relu"] = dead
        if self._means:
            half = len(self._means)
            drift = [
                np.abs(np.asarray(v) - mean) / np.sqrt(np.maximum(variance, 1e-12))
                for v, mean, variance in zip(
                    self._means, self._start[:half], self._start[half:], strict=True
                )
            ]
            logs["batch_norm_drift"] = float(np.concatenate(drift).mean())
        return logs

    def _dead_relus(self, images: Tensor) -> float | None:
        if self._relus is None:
            model = flatten_model(self._model)
            found = outputs_of(model, _is_relu)
            self._relus = keras.Model(model.inputs, found) if found else False
        if not self._relus:
            return None
        given = [np.asarray(x[:SAMPLE], "float32") for x in images]
        outputs = self._relus(given, training=False)
        dead = [
            np.max(np.asarray(y), axis=tuple(range(np.ndim(y) - 1))) <= 0
            for y in (outputs if isinstance(outputs, list) else [outputs])
        ]
        return float(np.concatenate(dead).mean())


def _is_relu(layer: KerasLayer) -> bool:
    return isinstance(layer, keras.layers.ReLU) or getattr(
        getattr(layer, "activation", None), "__name__", ""
    ) in ("relu", "relu6")
