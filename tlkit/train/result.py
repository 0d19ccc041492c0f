"""The result of a stage."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class StageResult:
    """The result of a stage, as stored in result.json.

    Attributes:
        name: Name of the stage.
        policy: What it trained.
        epochs: Number of epochs.
        seconds: Duration in seconds.
        images_per_second: Training throughput; None if nothing trained.
        best_epoch: Index from 1; 0 if no epoch beat the state before the first.
        metrics: Metrics of the best epoch.
        updates: Updates of the optimizer; None without one.
        features: How the cached features were computed; None if none were used.
        rollbacks: When the loss was not finite, and in which images.
        micro_batch: Images at once, if memory was too small for a batch.
        learning_rate: Learning rate found by a sweep.
    """

    name: str
    policy: str
    epochs: int = 0
    seconds: float = 0.0
    images_per_second: float | None = None
    best_epoch: int = 0
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    updates: int | None = None
    features: dict[str, Any] | None = None
    rollbacks: tuple[dict[str, Any], ...] = ()
    micro_batch: int | None = None
    learning_rate: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The values for result.json, without empty fields."""
        always = ("images_per_second", "metrics")
        return {
            key: value
            for key, value in dataclasses.asdict(self).items()
            if key in always or (value is not None and value != ())
        }
