"""Keras callbacks for tlkit's own training loop and for plain `model.fit`.

The classes that set the learning rate by a schedule, such as `CosineDecay`, are created from
the functions in `tlkit.schedules`, with the same arguments.
"""

from __future__ import annotations

from typing import Any

from tlkit.callbacks.halve_on_plateau import HalveOnPlateau
from tlkit.callbacks.of_schedule import callback_class, class_names
from tlkit.callbacks.schedule import ScheduledRate

_MADE = class_names()
__all__ = ["HalveOnPlateau", "ScheduledRate", *_MADE]


def __getattr__(name: str) -> Any:
    if name not in _MADE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = callback_class(_MADE[name])
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_MADE})
