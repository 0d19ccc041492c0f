"""That what is frozen stays, and what trains moves."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit.errors import RunFailed, some_of
from tlkit.freeze import FreezePlan
from tlkit.model import Network


def checksums(network: Network, plan: FreezePlan) -> dict[str, int]:
    """CRC-32 of every variable that a stage trains, or must leave as it is, by path.

    Left out are a layer's own moving values where the layer trains, as BatchNorm's statistics.
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


def _is_weight(variable: Any) -> bool:
    """Whether a variable is learned, and is not what a layer keeps for itself."""
    return variable.name in ("kernel", "bias", "gamma", "beta", "scale", "embeddings")


def _crc(variable: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(variable).tobytes())


def check_moves(
    before: dict[str, int], network: Network, plan: FreezePlan, stage: str, optimizer: Any
) -> str:
    """Compares a stage's end with its beginning.

    Args:
        before: Checksums at its beginning.
        network: What was trained.
        plan: What it trains.
        stage: Its name, for the message.
        optimizer: After the stage; None where it had no part in it.

    Returns:
        What trains and was reached by gradients too small to move it, in words; else nothing.

    Raises:
        RunFailed: naming a variable that was frozen and changed, or that trains and which no
            gradient reached.
    """
    after = checksums(network, plan)
    hint = "Switch this check off with finetune.guard: false, if that is meant."
    wrong = changed_though_frozen(before, after, plan)
    if wrong:
        raise RunFailed(
            f"{some_of(wrong)} changed in stage {stage!r}, in which it is frozen.", hint=hint
        )
    still = [path for path in to_move(plan) if path in before and after[path] == before[path]]
    left = still if optimizer is None else unreached(still, optimizer)
    if left:
        raise RunFailed(
            f"{some_of(left)} did not move in stage {stage!r}, in which it trains: no gradient "
            "reaches it.",
            hint=hint,
        )
    if still:
        return (
            f"{some_of(still)} did not move in stage {stage!r}: their gradients are too small for "
            "the learning rate"
        )
    return ""


def changed_though_frozen(
    before: dict[str, int], after: dict[str, int], plan: FreezePlan
) -> list[str]:
    """Paths of variables that a plan freezes and whose checksums differ."""
    trainable = set(plan.trainable)
    return [p for p, value in before.items() if after.get(p) != value and p not in trainable]


def unreached(paths: Sequence[str], optimizer: Any) -> list[str]:
    """Those variables whose memory in the optimizer is zero, as no gradient came to them.

    All of them where it keeps none, as plain gradient descent.
    """
    slots = [v for v in optimizer.variables if v.shape and np.any(np.asarray(v))]
    return [p for p in paths if not any(p.replace("/", "_") in slot.path for slot in slots)]


def to_move(plan: FreezePlan) -> list[str]:
    """Paths of what is to move: what trains, but at a rate of zero."""
    return [path for path in plan.trainable if plan.multipliers.get(path) != 0.0]
