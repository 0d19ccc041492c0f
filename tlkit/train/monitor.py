"""How a network is doing while it trains, at little cost."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.features.cut import flatten_model, outputs_of
from tlkit.freeze import FreezePlan
from tlkit.model import Network

SAMPLE = 8  # images that are passed through once an epoch
STATISTICS = ("moving_mean", "moving_variance")


def monitored_columns(plans: list[FreezePlan]) -> list[str]:
    """What `Monitor` may report for stages with these plans, for the head of metrics.csv."""
    blocks: dict[str, None] = {}
    for plan in plans:
        blocks |= {name: None for name, _, training in plan.blocks if training}
    return [
        "gradient_norm", "data_wait", "dead_relu", "batch_norm_drift",
        *(f"update_ratio/{name}" for name in blocks),
    ]  # fmt: skip


class Monitor:
    """Measures a stage once an epoch.

    - `update_ratio/BLOCK`: length of one update over the length of the weights, of all that
      trains in the block. Around 1e-3 is usual; far above, the rate tears at what was
      pretrained, far below, nothing happens.
    - `dead_relu`, not after each of short epochs: share of the channels behind a ReLU that are zero for every position of
      eight validation images.
    - `batch_norm_drift`: how far BatchNorm's means have moved since the stage began, in standard
      deviations, the mean over all channels.

    Args:
        network: What trains.
        model: The part of it that the stage runs.
        plan: What trains.
        statistics: Moving statistics that change.
    """

    def __init__(self, network: Network, model: Any, plan: FreezePlan, statistics: list[Any]):
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
        self._ratios: dict[str, float] = {}

    def arrays(self) -> list[np.ndarray]:
        """What must be saved to go on."""
        return self._start

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        """Takes what `arrays` returned."""
        self._start = arrays

    def before_update(self) -> None:
        """To be called before the update that is measured."""
        self._before = [[np.asarray(v) for v in variables] for _, variables in self._groups]

    def after_update(self) -> None:
        """To be called after it."""
        for (name, variables), before in zip(self._groups, self._before, strict=True):
            moved = sum(
                float(np.sum(np.square(np.asarray(v) - old)))
                for v, old in zip(variables, before, strict=True)
            )
            length = sum(float(np.sum(np.square(old))) for old in before)
            self._ratios[f"update_ratio/{name}"] = float(np.sqrt(moved / max(length, 1e-24)))
        self._before = []

    def of_epoch(self, images: Any = None) -> dict[str, float]:
        """The epoch's values.

        Args:
            images: Some of the validation split, or features in their place; without them the
                ReLUs are not looked at.
        """
        logs, self._ratios = self._ratios, {}
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

    def _dead_relus(self, images: Any) -> float | None:
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


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ReLU) or getattr(
        getattr(layer, "activation", None), "__name__", ""
    ) in ("relu", "relu6")
