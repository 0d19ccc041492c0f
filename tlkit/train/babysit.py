"""Sanity checks before training starts: does this recipe train at all?

After Karpathy's "A Recipe for Training Neural Networks" (2019) and Goodfellow et al. (2016,
"Deep Learning", section 11.5): each check knows the expected result, and reports what it found.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tlkit.audit.labels import principal
from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches, epoch_order, some_images
from tlkit.data.transcode import decodable
from tlkit.errors import some_of
from tlkit.evaluate.forward import make_forward
from tlkit.features.engines.keras import as_traced
from tlkit.features.probe import held_out_logits
from tlkit.features.split_network import flatten_model, outputs_of
from tlkit.finding import Finding
from tlkit.freeze import is_batch_norm
from tlkit.model import Network
from tlkit.tasks.base import Task
from tlkit.tensors import Forward, KerasLayer
from tlkit.train.context import RunContext
from tlkit.train.guard import changed_though_frozen, checksums, to_move, unreached
from tlkit.train.lr_find import sweep_rates
from tlkit.train.plans import PlannedStage
from tlkit.train.putting_back import putting_back
from tlkit.train.rescue import rescued
from tlkit.train.stage_setup import StageSetup, set_up_stage, wants_rate
from tlkit.train.step import read_values

SAMPLE = 32  # images to look at
BATCHES, UPDATES = 2, 80  # batches to overfit, and updates to do so
EARLY = 10  # updates after which a far too high rate shows
TORN, SHREDDED = 2.0, 15.0  # multiples of the first loss: too much without fitting, too much at all
JUDGED, AXES = 400, 64  # images for the label check, and features of each
# range of preprocessed pixels; a photo must span at least a part of it
RANGES = {"tf": (-1.0, 1.0), "torch": (-2.2, 2.7), "caffe": (-124.0, 152.0), "none": (0.0, 255.0)}
OFF = 20.0  # largest factor between a first BatchNorm's variance and its moving variance


def _problem(check: str, text: str, hint: str) -> Finding:
    """A finding: what a check found and expected, and what to do."""
    return Finding(check, "warning", text, hint=hint)


def check_data(dataset: Dataset, seed: int) -> Iterator[Finding]:
    """Checks images and labels alone, which takes almost no time.

    Args:
        dataset: Dataset.
        seed: Seed of the run.
    """
    if not len(dataset.val):
        yield _problem(
            "validation", "there is no validation image", "Raise data.split.val, or add val/."
        )
    splits, task = dataset.splits.values(), dataset.task
    digests = [digest for split in splits for digest in split.hashes]
    yield from task.odd_copies(np.concatenate([split.labels for split in splits]), digests)
    yield from task.odd_order(dataset.train.labels[epoch_order(len(dataset.train), seed, 0)])
    yield from _one_decoder(dataset)


def _one_decoder(dataset: Dataset) -> Iterator[Finding]:
    """A file must give the same pixels in training, validation and serving."""
    for name in ("train", "val"):
        split = dataset.splits.get(name)
        if split is None or not len(split) or isinstance(split.pixels, list):
            continue
        images, _ = next(batches(split, dataset.prepare, 1))
        with as_traced():
            again = np.asarray(dataset.prepare(decodable(split.records[0].read())))
        if not np.array_equal(np.asarray(images)[0], again):
            yield _problem(
                "decoding",
                f"{split.records[0].name} gives other pixels in {name} than when it is decoded",
                "The file may have changed since it was scanned.",
            )


def check_range(network: Network, dataset: Dataset, seed: int) -> Iterator[Finding]:
    """Compares the backbone's input range with the one that its weights were trained on.

    Args:
        network: Network, as loaded.
        dataset: Dataset.
        seed: Seed of the run.
    """
    if any(leaves != "pixels" for leaves, _ in network.preprocessing):
        return
    model = network.logits
    found = outputs_of(model, lambda operation: operation.name == "preprocess")
    low, high = RANGES.get(network.spec.preprocessing, (None, None))
    if not found or low is None or high is None:
        return
    images = some_images(dataset, seed, SAMPLE).astype("float32")
    values = np.asarray(keras.Model(model.inputs, found[0])([images], training=False))
    least, most, span = float(values.min()), float(values.max()), high - low
    if least < low - 0.05 * span or most > high + 0.05 * span or most - least < 0.1 * span:
        yield _problem(
            "range",
            f"the backbone gets values from {least:.3g} to {most:.3g}; its weights expect about "
            f"{low:g} to {high:g}",
            "Look at preprocess, and at images that are scaled already or nearly black.",
        )


def check_network(context: RunContext) -> Iterator[Finding]:
    """Checks a few images in the network: input range, and whether their features differ."""
    network, dataset = context.network, context.dataset
    images = some_images(dataset, context.seed, SAMPLE).astype("float32")
    flat = flatten_model(network.logits)
    yield from check_range(network, dataset, context.seed)
    norms = [layer for layer in flat.layers if is_batch_norm(layer) and layer not in network.head]
    if norms:
        yield from _first_norm(norms[0], flat, images)
    features = np.asarray(network.extractor(images, training=False))
    features = features.reshape(len(features), -1)
    if not np.isfinite(features).all():
        yield _problem(
            "features", "the features hold infinite numbers", "Look at weights and preprocessing."
        )
    elif features.std(0).max() < 1e-6 * max(float(np.abs(features).max()), 1e-12):
        yield _problem(
            "features",
            "all images give the same features",
            "The network is dead: look at its weights and at preprocess.",
        )


def _first_norm(norm: KerasLayer, flat: Any, images: np.ndarray) -> Iterator[Finding]:
    """Compares the first BatchNorm's input with its pretrained statistics."""
    (output, *_) = outputs_of(flat, lambda operation: operation is norm)
    values = np.asarray(keras.Model(flat.inputs, output)([images], training=False))
    width = values.shape[-1]
    gamma = np.asarray(norm.gamma) if norm.scale else np.ones(width)
    usable = np.abs(gamma) > 0.05 * np.abs(gamma).max()
    variance = values.reshape(-1, width).var(0)[usable] / gamma[usable] ** 2
    ratio = float(np.median(variance))
    if not 1 / OFF < ratio < OFF:
        yield _problem(
            "range",
            f"the first BatchNorm sees {ratio:.2g} times the variance it was pretrained with",
            "Images reach the network in another range than its weights expect; look at preprocess.",
        )


def check_stage(context: RunContext, planned: PlannedStage, first: bool) -> Iterator[Finding]:
    """Checks a few steps on two batches, then restores everything.

    Args:
        context: Context shared by all stages.
        planned: The stage, and what it trains.
        first: Whether this is the first stage, whose head is untrained.
    """
    network, plan = context.network, planned.plan
    head = {v.path for layer in network.head for v in layer.trainable_weights}
    stuck = sorted(head - set(plan.trainable))
    if stuck and first:
        yield _problem(
            "head",
            f"the new head does not train: {', '.join(stuck[:3])}",
            "A new head must train in the first stage.",
        )
    if planned.stage.solver == "lbfgs" or not plan.trainable:
        return
    with contextlib.ExitStack() as undo:
        setup = set_up_stage(context, planned, undo)
        yield from _check_steps(context, setup, first)


def _check_steps(context: RunContext, setup: StageSetup, first: bool) -> Iterator[Finding]:
    put_back = putting_back(
        [*context.network.model.variables, *setup.optimizer.variables, *setup.seeds]
    )
    before = checksums(context.network, setup.plan)
    if wants_rate(setup.stage):
        setup.optimizer.learning_rate = sweep_rates(context, setup).valley
    forward = make_forward(setup.model)
    size = setup.stage.batch_size or 1
    order = epoch_order(len(setup.dataset.train), context.seed, 0)[: BATCHES * size]
    given = list(batches(setup.dataset.train, setup.dataset.prepare, size, order))
    try:
        if first:
            yield from _start(context, forward, given)
        yield from _own_loss(context, setup)
        yield from _by_heart(context, setup, forward, given)
        yield from _gradients(setup)
        yield from _penalty(context, setup)
        yield from _frozen(context, setup, before)
    finally:
        put_back()


def _start(context: RunContext, forward: Forward, given: list[Any]) -> Iterator[Finding]:
    """The cross-entropy of an untrained head should be that of a uniform guess."""
    task = context.network.task
    loss, guess = _measure(task, forward, given)["loss"], task.loss_of_a_guess()
    if guess is not None and not 0.5 * guess < loss < 1.5 * guess + 0.5:
        yield _problem(
            "first loss",
            f"before any training the loss is {loss:.3g}; a guess among {len(task.outputs)} classes "
            f"has {guess:.3g}",
            "Look at the head's initial weights, and at how large the features are.",
        )


def _own_loss(context: RunContext, setup: StageSetup) -> Iterator[Finding]:
    """The task's own loss must get the inputs that it expects."""
    task = context.network.task
    if context.loss.name == task.loss:
        found = task.odd_loss(setup.step.objective.loss)
        if found is not None:
            yield found


def _by_heart(
    context: RunContext, setup: StageSetup, forward: Forward, given: list[Any]
) -> Iterator[Finding]:
    """The network can overfit two batches, and the learning rate does not make it diverge."""
    rate = float(setup.optimizer.learning_rate)
    losses: list[float] = []
    task, metric = context.network.task, 0.0
    name, enough = task.metric.name, task.metric.good
    for number in range(UPDATES):
        first = number * setup.accumulation
        chosen = [given[k % len(given)] for k in range(first, first + setup.accumulation)]
        taken = [read_values(rescued(setup, images, labels, context)) for images, labels in chosen]
        losses.append(float(np.mean([values.loss for values in taken])))
        if not np.isfinite(losses[-1]):
            break
        if number % 10 == 9:
            metric = _measure(task, forward, given)[name]
            if metric >= enough and losses[-1] < 0.5 * losses[0]:
                break
    steps = len(losses)
    worst = max(losses[1:EARLY], default=losses[0])
    torn = worst > (TORN if metric < enough else SHREDDED) * losses[0]
    if torn or not np.isfinite(losses).all():
        yield _problem(
            "rate",
            f"at a learning rate of {rate:.2g} the loss goes from {losses[0]:.3g} to {worst:.3g} in the "
            "first updates",
            "Take a lower one; find it with: tlkit lr-find",
        )
    elif metric < enough:
        yield _problem(
            "by heart",
            f"after {steps} updates on the same {sum(len(y) for _, y in given)} images the network has "
            f"{name} {metric:.0%} on them (loss {losses[0]:.3g} to {losses[-1]:.3g})",
            "Something keeps it from learning: the rate, the head, the loss or the labels.",
        )


def _measure(task: Task, forward: Forward, given: list[Any]) -> dict[str, float]:
    """Loss and metric on the given batches."""
    logits = np.concatenate([np.asarray(forward(images)) for images, _ in given])
    return task.measure(logits, np.concatenate([labels for _, labels in given]))


def _gradients(setup: StageSetup) -> Iterator[Finding]:
    """After some updates, a gradient has reached every trained variable."""
    if not any(v.shape for v in setup.optimizer.variables):
        return  # plain gradient descent has no state
    left = unreached(to_move(setup.plan), setup.optimizer)
    if left:
        yield _problem(
            "gradients",
            f"no gradient reaches {some_of(left)}",
            "Something before it is dead or detached.",
        )


def _penalty(context: RunContext, setup: StageSetup) -> Iterator[Finding]:
    """A penalty on weights must increase the loss."""
    by_path = {v.path: v for v in context.network.model.variables}
    kernels = [by_path[p] for p in setup.plan.trainable if by_path[p].name == "kernel"]
    if not kernels:
        return
    variable = kernels[0]
    old = variable.regularizer
    length = float(np.square(np.asarray(variable)).sum())
    variable.regularizer = None
    without = float(sum(map(float, setup.model.losses)))
    variable.regularizer = keras.regularizers.L2(0.1)
    more = float(sum(map(float, setup.model.losses))) - without
    variable.regularizer = old
    if abs(more - 0.1 * length) > 0.01 * length + 1e-6:
        yield _problem(
            "penalty",
            f"an L2 of 0.1 on {variable.path} adds {more:.4g} to the loss; expected {0.1 * length:.4g}",
            "Penalties do not reach the loss.",
        )


def _frozen(context: RunContext, setup: StageSetup, before: dict[str, int]) -> Iterator[Finding]:
    """Frozen variables, moving statistics included, must not have changed."""
    after = checksums(context.network, setup.plan)
    changed = changed_though_frozen(before, after, setup.plan)
    if changed:
        yield _problem(
            "frozen",
            f"{some_of(changed)} changed, though frozen",
            "A frozen BatchNorm in training mode does that; look at custom layers.",
        )


def babysit(
    context: RunContext, stages: Sequence[tuple[RunContext, PlannedStage]]
) -> Iterator[Finding]:
    """Runs all checks of a recipe.

    Args:
        context: Context shared by all stages.
        stages: Each stage and what it trains, with its context at its own image size.
    """
    yield from check_data(context.dataset, context.seed)
    if not len(context.dataset.val):
        return
    yield from check_network(context)
    if context.dataset.task.counts(context.dataset.train.labels).all():
        yield from check_labels(context)
    for index, (own, planned) in enumerate(stages):
        for problem in check_stage(own, planned, index == 0):
            text = (
                f"stage {planned.stage.name!r}: {problem.text}" if len(stages) > 1 else problem.text
            )
            yield dataclasses.replace(problem, text=text)


def check_labels(context: RunContext) -> Iterator[Finding]:
    """A linear head must beat chance on held-out images, or the labels are unrelated to them."""
    dataset, network, task = context.dataset, context.network, context.network.task
    order = epoch_order(len(dataset.train), context.seed, 0)[:JUDGED]
    order = order[task.probed(dataset.train.labels[order])]
    try:
        own, labels = task.among(dataset.train.labels[order])
    except ValueError:  # too few images to hold some out
        return
    forward = make_forward(network.extractor)
    given = batches(dataset.train, dataset.prepare, SAMPLE, order)
    features = np.concatenate([np.asarray(forward(images)) for images, _ in given])
    features = features.reshape(len(features), -1)
    logits, _ = held_out_logits(own, principal(features, AXES), labels)
    found = own.odd_probe(logits, labels)
    if found is not None:
        yield found
