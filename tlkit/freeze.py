"""Which variables train and which layers run in inference mode: policies and their plan.

A policy looks at a model and returns the paths of the backbone's variables that
it trains. A `FreezePlan` is built from these paths. It can be printed and tested,
then applied to the model and undone again.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import keras

from tlkit.errors import UserError, did_you_mean
from tlkit.limits import within
from tlkit.registry import register
from tlkit.surgery.clone import call_instead
from tlkit.surgery.fuse import can_fuse, fuse_in_place
from tlkit.tensors import KerasLayer, KerasModel, KerasVariable

BatchNormMode = Literal["train", "frozen"]
NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)

# images a batch needs for its own mean and variance to be useful
LEAST_BATCH_FOR_STATISTICS = 16
# keras.applications use 0.99 to 0.999, with which the moving statistics lag behind
# the weights for the whole of a short fine-tuning run
FINETUNE_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Block:
    """A named group of backbone layers, in order from the input."""

    name: str
    layers: list[KerasLayer]

    def variables(self) -> list[KerasVariable]:
        return [v for layer in self.layers for v in layer.weights]


@register("predict-only")
def predict_only(blocks: list[Block]) -> set[str]:
    """Trains nothing: the original top predicts at once, nearest-mean after one pass."""
    return set()


@register("head-only")
def head_only(blocks: list[Block]) -> set[str]:
    """Trains the head; the pretrained backbone stays unchanged."""
    return set()


@register("full")
def full(blocks: list[Block]) -> set[str]:
    """Trains everything."""
    return {v.path for block in blocks for v in block.variables()}


@register("last-blocks")
def last_blocks(blocks: list[Block], *, count: Annotated[int, within(1, 10_000)]) -> set[str]:
    """Trains the head and the last k blocks of the backbone."""
    if count > len(blocks):
        raise UserError(
            f"last-blocks: {count} is more than the {len(blocks)} blocks there are: "
            + ", ".join(block.name for block in blocks)
        )
    return {v.path for block in blocks[-count:] for v in block.variables()}


@register("from-layer")
def from_layer(blocks: list[Block], *, layer: str) -> set[str]:
    """Trains the head and the backbone from the named layer or block to the end."""
    layers = [item for block in blocks for item in block.layers]
    names = [item.name for item in layers]
    block_names = [block.name for block in blocks]
    if layer in names:
        start = names.index(layer)
    elif layer in block_names:
        start = names.index(blocks[block_names.index(layer)].layers[0].name)
    else:
        raise UserError(f"the backbone has no layer {layer!r}. {did_you_mean(layer, names)}")
    return {v.path for item in layers[start:] for v in item.weights}


@register("norms-only")
def norms_only(blocks: list[Block]) -> set[str]:
    """Trains the head and the scale and offset of all normalisation layers.

    (Frankle et al. 2021, "Training BatchNorm and Only BatchNorm".)
    """
    return {
        v.path
        for block in blocks
        for layer in block.layers
        if is_norm(layer)
        for v in layer.weights
        if v.name in ("gamma", "beta", "scale", "bias")
    }


@register("biases-only")
def biases_only(blocks: list[Block]) -> set[str]:
    """Trains the head and all biases, including the offsets of normalisation layers.

    (Ben Zaken et al. 2022, "BitFit".)
    """
    return {
        v.path
        for block in blocks
        for v in block.variables()
        if v.name in ("bias", "beta", "offset")
    }


def is_norm(layer: KerasLayer) -> bool:
    """Whether a layer normalises its input with a learned scale and offset."""
    if isinstance(layer, keras.layers.Normalization | keras.layers.UnitNormalization):
        return False
    # normalisation layers of other libraries are recognized by their name alone
    return isinstance(layer, NORMS) or bool(re.search("Norm(alization)?$", type(layer).__name__))


def is_batch_norm(layer: KerasLayer) -> bool:
    """Whether a layer keeps moving statistics."""
    return isinstance(layer, keras.layers.BatchNormalization)


@dataclasses.dataclass
class FreezePlan:
    """What one stage trains, and how.

    Attributes:
        policy: Policy as named in the recipe, with its argument.
        trainable: Paths of the variables that train, from the head to the input.
        frozen_layers: Names of the backbone's layers that run in inference mode.
        batch_norm: How many BatchNorm layers train with batch statistics, how
            many keep their moving statistics while scale and offset train, how
            many are completely frozen.
        boundary: Name of the first layer that has trainable variables; None if
            only the head trains.
        multipliers: Variable path -> factor of the learning rate, where not 1.
        blocks: Name of each block, and its numbers of variables in total and training.
    """

    policy: str
    trainable: list[str]
    frozen_layers: list[str]
    batch_norm: dict[str, int]
    boundary: str | None
    multipliers: dict[str, float]
    blocks: list[tuple[str, int, int]]


def backbone_blocks(backbone: KerasModel, spec: Any) -> list[Block]:
    """The backbone's layers grouped into the spec's blocks; nested models are flattened."""
    layers = {layer.name: layer for layer in flat_layers(backbone)}
    return blocks_that_learn(
        [
            Block(name, [layers[item] for item in names])
            for name, names in spec.blocks_of(list(layers))
        ]
    )


def blocks_that_learn(blocks: list[Block]) -> list[Block]:
    """Blocks that learn features; other layers join the block before them, or the first.

    Blocks are always counted this way: an activation, pixel scaling or normalisation alone is
    not a block.
    """
    found: list[Block] = []
    early: list[Any] = []
    for block in blocks:
        if any(_learned(v) for x in block.layers if not is_norm(x) for v in x.weights):
            found.append(Block(block.name, [*early, *block.layers]))
            early = []
        elif found:
            found[-1] = Block(found[-1].name, [*found[-1].layers, *block.layers])
        else:
            early += block.layers
    return found


def flat_layers(model: KerasModel) -> list[KerasLayer]:
    """The layers of a model, input first, with nested models replaced by their layers."""
    found = []
    for layer in model.layers:
        found.extend(flat_layers(layer) if getattr(layer, "layers", None) else [layer])
    return found


def make_plan(
    policy: str,
    arguments: dict[str, Any],
    blocks: list[Block],
    head: list[KerasLayer],
    *,
    batch_norm: Literal["auto", "train", "frozen"] = "auto",
    batch_size: int = 32,
    head_multiplier: float | None = None,
    layer_decay: float | None = None,
    rate_multipliers: dict[str, float] | None = None,
) -> FreezePlan:
    """Determines what a stage trains.

    Args:
        policy: A registered policy.
        arguments: Arguments of the policy.
        blocks: Blocks of the backbone, from input to output.
        head: The head's layers.
        batch_norm: Mode of the BatchNorm layers that are not frozen.
        batch_size: Images per step.
        head_multiplier: Factor of the head's learning rate.
        layer_decay: Factor from each block to the one before it.
        rate_multipliers: Regular expression on the path -> factor.

    Raises:
        UserError: if the policy does not fit the backbone, or a pattern matches nothing.
    """
    from tlkit.registry import POLICIES

    chosen: set[str] = POLICIES.build(policy, blocks, **arguments)
    layers = [layer for block in blocks for layer in block.layers]
    kernels = any(
        v.path in chosen
        for layer in layers
        if not is_norm(layer)
        for v in layer.weights
        if v.name != "bias"
    )
    mode: BatchNormMode = "train"
    if batch_norm == "frozen" or (
        batch_norm == "auto" and (not kernels or batch_size < LEAST_BATCH_FOR_STATISTICS)
    ):
        mode = "frozen"

    trainable = [v.path for layer in head for v in layer.trainable_weights]
    if policy == "predict-only":
        trainable = []
    frozen, counts, boundary, reached = [], {"train": 0, "affine": 0, "frozen": 0}, None, False
    for layer in layers:
        # a normalisation layer that surgery froze stays frozen under every policy
        active = [v for v in layer.weights if v.path in chosen and layer.trainable]
        if is_batch_norm(layer):
            # while convolutions train, `frozen` includes scale and offset
            if active and mode == "frozen" and kernels:
                active = []
            kind = "frozen" if not active else ("train" if mode == "train" else "affine")
            counts[kind] += 1
            if kind != "train":
                frozen.append(layer.name)
        elif not active and not (reached and kernels and not layer.weights):
            # a layer without weights, such as dropout, is in the mode of the layers around it
            frozen.append(layer.name)
        if active:
            boundary = boundary or layer.name
            reached = True
        trainable.extend(v.path for v in active if _learned(v))
    active_paths = set(trainable)
    _check_trains(
        policy, arguments, {v.path for x in layers for v in x.weights}, chosen, active_paths
    )
    return FreezePlan(
        policy=policy + "".join(f": {value}" for value in arguments.values()),
        trainable=trainable,
        frozen_layers=frozen,
        batch_norm=counts,
        boundary=boundary,
        multipliers=_multipliers(
            blocks,
            head,
            active_paths,
            head_multiplier=head_multiplier,
            layer_decay=layer_decay,
            patterns=rate_multipliers or {},
        ),
        blocks=[
            (
                block.name,
                len(block.variables()),
                sum(v.path in active_paths for v in block.variables()),
            )
            for block in blocks
        ]
        + [
            (
                "head",
                sum(len(layer.weights) for layer in head),
                sum(v.path in active_paths for layer in head for v in layer.weights),
            )
        ],
    )


# policies that must leave the backbone unchanged
HEAD_ALONE = ("predict-only", "head-only")


# policies for one kind of variable that a network may not have
KINDS = {"norms-only": "normalisation with scale or offset", "biases-only": "bias"}


def _check_trains(
    policy: str, arguments: dict[str, Any], backbone: set[str], chosen: set[str], active: set[str]
) -> None:
    """Rejects a policy that would train none of the variables it names."""
    named = policy + "".join(f": {value}" for value in arguments.values())
    if policy == "predict-only":
        return
    # a recipe that froze all norms may still name them in a policy: the head trains
    found = chosen if policy in KINDS else active & backbone
    if policy not in HEAD_ALONE and not found:
        raise UserError(
            f"policy {named} trains nothing of the backbone: "
            + (
                f"it has no {KINDS[policy]}."
                if policy in KINDS
                else "nothing from there on has weights that are free to train."
            ),
            hint="Use head-only to train the head alone, or last-blocks.",
        )
    if not active:
        raise UserError(
            f"policy {named} trains nothing: the head has no weights to train.",
            hint="Use predict-only, or a policy that trains the backbone.",
        )


def _learned(variable: KerasVariable) -> bool:
    """Whether a variable is learned by gradient; moving statistics and constants are not."""
    return variable.name not in (
        "moving_mean",
        "moving_variance",
        "mean",
        "variance",
        "count",
    ) and ("seed_generator" not in variable.path)


def _state(total: int, active: int) -> str:
    return "trains" if active == total and total else "trains in part" if active else "frozen"


def _grouped(blocks: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Merges neighbouring blocks in the same state into one row; the head has its own row."""
    rows = []
    for _, some in itertools.groupby(blocks[:-1], lambda block: _state(*block[1:])):
        group = list(some)
        name = group[0][0] if len(group) == 1 else f"{group[0][0]} to {group[-1][0]}"
        rows.append((name, sum(total for _, total, _ in group), sum(n for _, _, n in group)))
    return [*rows, *blocks[-1:]]


def _multipliers(
    blocks: list[Block],
    head: list[KerasLayer],
    active: set[str],
    *,
    head_multiplier: float | None,
    layer_decay: float | None,
    patterns: dict[str, float],
) -> dict[str, float]:
    factors = dict.fromkeys(active, 1.0)
    if head_multiplier is not None:
        for layer in head:
            for v in layer.weights:
                if v.path in factors:
                    factors[v.path] *= head_multiplier
    if layer_decay is not None:
        for distance, block in enumerate(reversed(blocks), start=1):
            for v in block.variables():
                if v.path in factors:
                    factors[v.path] *= layer_decay**distance
    for pattern, factor in patterns.items():
        matching = [path for path in factors if re.search(pattern, path)]
        if not matching:
            raise UserError(
                f"rate_multipliers: {pattern!r} matches no variable that trains.",
                hint=f"They are named like: {', '.join(sorted(factors)[:4]) or 'none'}",
            )
        for path in matching:
            factors[path] *= factor
    return {path: factor for path, factor in factors.items() if factor != 1.0}


def apply_plan(plan: FreezePlan, model: KerasModel, blocks: list[Block]) -> Callable[[], None]:
    """Makes a model train as planned, both in tlkit's loop and in plain `fit`.

    Inside `fit`, Keras passes `training=True` to every layer, whatever a nested
    model was called with, so inference mode is set on each layer itself.

    Args:
        plan: Plan from `make_plan`.
        model: The whole model.
        blocks: Blocks of its backbone.

    Returns:
        A function that restores the model.
    """
    trainable = set(plan.trainable)
    layers = [layer for block in blocks for layer in block.layers]
    before_trainable = [(v, v.trainable) for v in model.variables]
    before_momentum = [(layer, layer.momentum) for layer in layers if is_batch_norm(layer)]
    for v in model.variables:
        v.trainable = v.path in trainable
    frozen = set(plan.frozen_layers)
    released = [
        fuse_in_place(layer, layer.name in frozen) if can_fuse(layer) else _run_in_inference(layer)
        for layer in layers
        if layer.name in frozen or can_fuse(layer)
    ]
    for layer, _ in before_momentum:
        if layer.name not in frozen:
            layer.momentum = min(layer.momentum, FINETUNE_MOMENTUM)

    def restore() -> None:
        for release in reversed(released):
            release()
        for layer, momentum in before_momentum:
            layer.momentum = momentum
        for variable, flag in before_trainable:
            variable.trainable = flag

    return restore


def _run_in_inference(layer: KerasLayer) -> Callable[[], None]:
    """Makes one layer ignore `training=True`."""
    if not layer._call_has_training_arg:
        return lambda: None
    original = layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs["training"] = False
        return original(*args, **kwargs)

    return call_instead(layer, call)


def describe(plan: FreezePlan, whole: bool = False) -> str:
    """The plan as text for the user.

    Args:
        plan: Plan of a stage.
        whole: Print one line per block, instead of merging neighbours in the same state.
    """
    lines = [f"policy {plan.policy}: {len(plan.trainable)} variables train"]
    norms = plan.batch_norm
    if any(norms.values()):
        lines.append(
            f"  BatchNorm: {norms['train']} with batch statistics, {norms['affine']} with moving "
            f"statistics and trained scale, {norms['frozen']} frozen"
        )
    rows = plan.blocks if whole else _grouped(plan.blocks)
    for name, total, active in rows:
        mark = _state(total, active) if active in (0, total) else f"{active} train"
        lines.append(f"  {name:<24} {total:>4} variables  {mark}")
    if plan.multipliers:
        groups: dict[float, int] = {}
        for factor in plan.multipliers.values():
            groups[factor] = groups.get(factor, 0) + 1
        listed = ", ".join(f"{factor:.4g} ({count})" for factor, count in sorted(groups.items()))
        lines.append(f"  learning rate multipliers: {listed} of the variables; else 1")
    return "\n".join(lines)
