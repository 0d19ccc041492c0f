"""That what is frozen stays, and what trains moves."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from tlkit.errors import RunFailed
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
    trainable = set(plan.trainable)
    changed = [path for path, value in before.items() if after.get(path) != value]
    wrong = [path for path in changed if path not in trainable]
    hint = "Switch this check off with finetune.guard: false, if that is meant."
    if wrong:
        raise RunFailed(
            f"{_listed(wrong)} changed in stage {stage!r}, in which it is frozen.", hint=hint
        )
    still = [
        path
        for path in plan.trainable
        if path in before and after[path] == before[path] and plan.multipliers.get(path) != 0.0
    ]
    if optimizer is not None:
        slots = [v for v in optimizer.variables if v.shape and np.any(np.asarray(v))]
        names = [v.path for v in slots]
        small = [p for p in still if any(p.replace("/", "_") in name for name in names)]
        still = [path for path in still if path not in small]
        if small and not still:
            return (
                f"{_listed(small)} did not move in stage {stage!r}: their gradients are too small for "
                "the learning rate"
            )
    if still:
        raise RunFailed(
            f"{_listed(still)} did not move in stage {stage!r}, in which it trains: no gradient "
            "reaches it.",
            hint=hint,
        )
    return ""


def _listed(paths: list[str]) -> str:
    shown = ", ".join(paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"
