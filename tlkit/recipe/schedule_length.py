"""Checks whether a stage is long enough for its schedule; imports nothing heavy."""

from __future__ import annotations

from typing import Any

from tlkit.step_count import ROUNDING, StepCount

STEP_DEFAULT = 10.0  # epochs; with the default, no step within the stage is required
ONE_CYCLE = 3  # updates: at the first rate, at the highest rate, and at a reduced rate


def too_short(
    name: str, arguments: dict[str, Any], epochs: int, count: StepCount | None = None
) -> str | None:
    """Explains why a schedule cannot take effect in a stage; None if it can.

    A schedule that is merely cut short is allowed: a cosine of one update is a constant.

    Args:
        name: Name of the schedule.
        arguments: Arguments of the schedule, in epochs.
        epochs: Number of epochs of the stage.
        count: Update count of the stage; without it, only epochs are checked.
    """
    each = 1.0 if count is None else count.updates_per_epoch
    there_are = epochs if count is None else count.updates
    stage = f"the stage has {epochs} epochs" + ("" if count is None else f", {there_are} updates")
    # the last update begins one before the end; with epochs only, its position is unknown
    last = there_are - ROUNDING if count is None else there_are - 1 + ROUNDING
    # rounding down to whole updates loses less than one update
    end = there_are + ROUNDING if count is None else there_are + 1 - ROUNDING
    warmup = arguments.get("warmup_epochs", 0.0)
    after = f" after {warmup:g} of warm-up" if warmup else ""

    if warmup and warmup * each >= there_are - ROUNDING:
        return f"warmup_epochs {warmup:g} must be less than the stage's epochs, {epochs}" + (
            "" if count is None else f", which have {there_are} updates"
        )
    if name == "piecewise":
        for boundary in arguments["boundaries"]:
            if (warmup + boundary) * each > last:
                return f"the boundary at epoch {boundary:g}{after} is never reached: {stage}"
    if name == "step" and arguments["every_epochs"] != STEP_DEFAULT:
        every = arguments["every_epochs"]
        if (warmup + every) * each > last:
            return f"the first step down, at epoch {every:g}{after}, is never reached: {stage}"
    for key in ("restart_epochs", "cycle_epochs"):
        length = arguments.get(key, 0.0)
        if length and (warmup + length) * each > end:
            return f"{key} {length:g}{after} is longer than the stage: {stage}"
    if name == "one_cycle" and count is not None and there_are < ONE_CYCLE:
        return f"one_cycle rises and falls in {ONE_CYCLE} updates or more: {stage}"
    return None
