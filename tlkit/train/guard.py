"""Checks that frozen weights stay, trained weights change, and outputs depend on the images."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches
from tlkit.errors import RunFailed, some_of
from tlkit.freeze import FreezePlan
from tlkit.model import Network
from tlkit.tensors import KerasOptimizer, KerasVariable


def checksums(network: Network, plan: FreezePlan) -> dict[str, int]:
    """CRC-32 of every variable that a stage trains or must not change, by path.

    Moving values of a layer that trains, such as BatchNorm's statistics, are left out.
    """
    trainable = set(plan.trainable)
    found = {}
    for block in network.blocks:
        for layer in block.layers:
            frozen = layer.name in plan.frozen_layers
            for v in layer.weights:
                if "seed_generator" not in v.path and (
                    frozen or v.path in trainable or _is_weight(v)
                ):
                    found[v.path] = _crc(v)
    for v in network.model.variables:
        if v.path in trainable:
            found[v.path] = _crc(v)
    return found


def _is_weight(variable: KerasVariable) -> bool:
    """Whether a variable is a learned weight rather than internal state of a layer."""
    return variable.name in ("kernel", "bias", "gamma", "beta", "scale", "embeddings")


def _crc(variable: KerasVariable) -> int:
    return zlib.crc32(np.ascontiguousarray(variable).tobytes())


OFF = "Switch this check off with finetune.guard: false, if that is meant."
# float32 difference between two runs on equal inputs, relative to the largest logit
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class StageRecord:
    """What a stage did, as far as the guard needs to know.

    Attributes:
        stage: Name of the stage.
        updates: Updates of the optimizer; None if the head was solved instead.
        reached: Whether any gradient was nonzero.
        rate: Learning rate that its schedule started with.
        solved_before: Whether an earlier stage solved the head.
    """

    stage: str
    updates: int | None
    reached: bool
    rate: float
    solved_before: bool = False


def check_moves(
    before: dict[str, int],
    network: Network,
    plan: FreezePlan,
    done: StageRecord,
    optimizer: KerasOptimizer,
) -> str:
    """Compares the weights at the end of a stage with those at its start.

    Args:
        before: Checksums at the start of the stage.
        network: Network that was trained.
        plan: What it trains.
        done: What the stage did.
        optimizer: Optimizer after the stage.

    Returns:
        A message about variables whose gradients were too small to move them; "" if there are none.

    Raises:
        RunFailed: naming a variable that is frozen but changed, or that trains but got no gradient;
            or if nothing that trains changed.
    """
    after = checksums(network, plan)
    wrong = changed_though_frozen(before, after, plan)
    if wrong:
        raise RunFailed(
            f"{some_of(wrong)} changed in stage {done.stage!r}, in which it is frozen.", hint=OFF
        )
    moving = [path for path in to_move(plan) if path in before]
    still = [path for path in moving if after[path] == before[path]]
    # solving again on the same features does not move the head
    if still and len(still) == len(moving) and not (done.updates is None and done.solved_before):
        raise RunFailed(
            f"no weight changed in stage {done.stage!r}, which trains {len(moving)} of them: "
            f"{_why_nothing_moved(done)}.",
            hint=OFF,
        )
    if done.updates is not None and not done.reached:
        raise RunFailed(
            f"no gradient reached any weight in stage {done.stage!r}: {NO_GRADIENT}.", hint=OFF
        )
    if done.updates == 1:
        return ""  # with a zero head, the first update moves only the head
    left = [] if done.updates is None else unreached(still, optimizer)
    if left:
        raise RunFailed(
            f"{some_of(left)} did not move in stage {done.stage!r}, in which it trains: no gradient "
            "reaches it.",
            hint=OFF,
        )
    if still:
        return (
            f"{some_of(still)} did not move in stage {done.stage!r}: their gradients are too small "
            "for the learning rate"
        )
    return ""


NO_GRADIENT = (
    "the loss does not depend on them, or was at its least from the start; look at the loss, at "
    "finetune.class_weight and at the labels"
)


def _why_nothing_moved(done: StageRecord) -> str:
    if done.updates is None:
        return "the solution is what it began with"
    if not done.reached:
        return f"every gradient was zero: {NO_GRADIENT}"
    return (
        f"{done.updates} updates at a learning rate of {done.rate:.3g} were too small to change a "
        "number of float32"
    )


def are_alike(answers: np.ndarray) -> bool:
    """Whether all rows are equal up to rounding."""
    spread = np.abs(answers - answers[:1]).max()
    return bool(spread <= ROUNDING * np.abs(answers).max())


def changed_though_frozen(
    before: dict[str, int], after: dict[str, int], plan: FreezePlan
) -> list[str]:
    """Paths of variables that the plan freezes but whose checksums differ."""
    trainable = set(plan.trainable)
    return [p for p, value in before.items() if after.get(p) != value and p not in trainable]


def unreached(paths: Sequence[str], optimizer: KerasOptimizer) -> list[str]:
    """Variables whose optimizer state is all zero, as they got no gradient.

    If the optimizer has no state, as in plain gradient descent, all of them.
    """
    slots = [v for v in optimizer.variables if v.shape and np.any(np.asarray(v))]
    return [p for p in paths if not any(p.replace("/", "_") in slot.path for slot in slots)]


def to_move(plan: FreezePlan) -> list[str]:
    """Paths of the variables that should change: trained, and with a nonzero multiplier."""
    return [path for path in plan.trainable if plan.multipliers.get(path) != 0.0]


def some_that_differ(dataset: Dataset) -> np.ndarray | None:
    """Two validation images whose pixels differ, as floats; None if all are the same."""
    first = None
    for images, _ in batches(dataset.val, dataset.prepare, 32):
        pixels = np.asarray(images)
        first = pixels[:1] if first is None else first
        other = [image for image in pixels if not np.array_equal(image, first[0])]
        if other:
            return np.stack([first[0], other[0]]).astype("float32")
    return None
