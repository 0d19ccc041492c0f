"""Halves the learning rate when the validation no longer improves."""

from __future__ import annotations

import keras


class HalveOnPlateau(keras.callbacks.ReduceLROnPlateau):
    """`ReduceLROnPlateau` with a factor of a half.

    Args:
        monitor: Logged value to watch.
        patience: Epochs without improvement before the rate falls.
        factor: What the rate is multiplied by, in (0, 1).
        min_delta: Least change that counts as an improvement.
        cooldown: Epochs after a fall in which none is counted.
        minimum: Least learning rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 2,
        factor: float = 0.5,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        minimum: float = 0.0,
    ):
        mode = "max" if monitor.endswith("accuracy") else "min"
        super().__init__(
            monitor=monitor,
            factor=factor,
            patience=patience,
            mode=mode,
            min_delta=min_delta,
            cooldown=cooldown,
            min_lr=minimum,
        )
