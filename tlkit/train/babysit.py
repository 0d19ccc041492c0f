"""Sanity checks before the hours are spent: does this recipe train at all?

After Karpathy's "A Recipe for Training Neural Networks" (2019) and Goodfellow et al. (2016,
"Deep Learning", section 11.5): each check knows what must come out, and says what it saw.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tlkit.audit.labels import principal
from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches, epoch_order, some_images
from tlkit.data.transcode import decodable
from tlkit.errors import some_of
from tlkit.evaluate.forward import make_forward
from tlkit.features.cut import flatten_model, outputs_of
from tlkit.features.engines.keras import as_traced
from tlkit.features.probe import held_out_logits
from tlkit.finding import Finding
from tlkit.freeze import FreezePlan, is_batch_norm
from tlkit.model import Network
from tlkit.recipe.schema import Stage
from tlkit.tasks.base import Task
from tlkit.train.guard import changed_though_frozen, checksums, to_move, unreached
from tlkit.train.loop import Prepared, prepare_stage, wants_rate
from tlkit.train.lr_find import sweep_rates
from tlkit.train.rescue import rescued
from tlkit.train.training import Training, putting_back

SAMPLE = 32  # images that are looked at
BATCHES, UPDATES = 2, 80  # batches that must be learned by heart, and updates to do so
EARLY = 10  # updates after which a rate that is far too high shows
TORN, SHREDDED = 2.0, 15.0  # times the first loss: too much if it stays, too much at all
JUDGED, AXES = 400, 64  # images whose labels are compared with chance, and features of each
# what comes out of preprocessing, and what a photo must at least span of it
RANGES = {"tf": (-1.0, 1.0), "torch": (-2.2, 2.7), "caffe": (-124.0, 152.0), "none": (0.0, 255.0)}
OFF = 20.0  # times by which a first BatchNorm's variance may differ from what it remembers


def _problem(check: str, text: str, hint: str) -> Finding:
    """What a check saw and expected, and what to do."""
    return Finding(check, "warning", text, hint=hint)


def check_data(dataset: Dataset, seed: int) -> Iterator[Finding]:
    """What can be seen from images and labels alone, in no time.

    Args:
        dataset: Images.
        seed: Of the run.
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
    """A file must give the same pixels in training and validation, and as it will be served."""
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
    """Pixels as the backbone gets them, against what its weights were trained on.

    Args:
        network: As it was loaded.
        dataset: Images.
        seed: Of the run.
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


def check_network(training: Training) -> Iterator[Finding]:
    """What a pass of a few images shows: their range, and whether they can be told apart."""
    network, dataset = training.network, training.dataset
    images = some_images(dataset, training.seed, SAMPLE).astype("float32")
    flat = flatten_model(network.logits)
    yield from check_range(network, dataset, training.seed)
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


def _first_norm(norm: Any, flat: Any, images: np.ndarray) -> Iterator[Finding]:
    """What reaches the first BatchNorm, against the statistics it was pretrained with."""
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


def check_stage(
    training: Training, stage: Stage, plan: FreezePlan, first: bool
) -> Iterator[Finding]:
    """What some steps on two batches show. Puts everything back.

    Args:
        training: What the stages share.
        stage: Completed.
        plan: What trains.
        first: Whether it is the first stage, whose head knows nothing.
    """
    network = training.network
    head = {v.path for layer in network.head for v in layer.trainable_weights}
    stuck = sorted(head - set(plan.trainable))
    if stuck and first:
        yield _problem(
            "head",
            f"the new head does not train: {', '.join(stuck[:3])}",
            "A new head must train in the first stage.",
        )
    if stage.solver == "lbfgs" or not plan.trainable:
        return
    with contextlib.ExitStack() as undo:
        ready = prepare_stage(training, stage, plan, undo)
        yield from _check_steps(training, ready, first)


def _check_steps(training: Training, ready: Prepared, first: bool) -> Iterator[Finding]:
    put_back = putting_back(
        [*training.network.model.variables, *ready.optimizer.variables, *ready.seeds]
    )
    before = checksums(training.network, ready.plan)
    if wants_rate(ready.stage):
        ready.optimizer.learning_rate = sweep_rates(training, ready).valley
    forward = make_forward(ready.model)
    size = ready.stage.batch_size or 1
    order = epoch_order(len(ready.dataset.train), training.seed, 0)[: BATCHES * size]
    given = list(batches(ready.dataset.train, ready.dataset.prepare, size, order))
    try:
        if first:
            yield from _start(training, forward, given)
        yield from _own_loss(training, ready)
        yield from _by_heart(training, ready, forward, given)
        yield from _gradients(ready)
        yield from _penalty(training, ready)
        yield from _frozen(training, ready, before)
    finally:
        put_back()


def _start(training: Training, forward: Any, given: list[Any]) -> Iterator[Finding]:
    """A new head knows nothing: its cross-entropy is that of a guess."""
    task = training.network.task
    loss, guess = _measure(task, forward, given)["loss"], task.loss_of_a_guess()
    if guess is not None and not 0.5 * guess < loss < 1.5 * guess + 0.5:
        yield _problem(
            "first loss",
            f"before any training the loss is {loss:.3g}; a guess among {len(task.outputs)} classes "
            f"has {guess:.3g}",
            "Look at the head's initial weights, and at how large the features are.",
        )


def _own_loss(training: Training, ready: Prepared) -> Iterator[Finding]:
    """The task's own loss must be given what it takes."""
    task = training.network.task
    if training.loss.name == task.loss:
        found = task.odd_loss(ready.step.objective.loss)
        if found is not None:
            yield found


def _by_heart(
    training: Training, ready: Prepared, forward: Any, given: list[Any]
) -> Iterator[Finding]:
    """Two batches can be learned by heart, and a sound rate does not tear the network apart."""
    rate = float(ready.optimizer.learning_rate)
    losses: list[float] = []
    task, metric = training.network.task, 0.0
    name, enough = task.metric.name, task.metric.good
    for number in range(UPDATES):
        first = number * ready.accumulation
        chosen = [given[k % len(given)] for k in range(first, first + ready.accumulation)]
        taken = [
            rescued(ready.step, images, labels, training, ready.stage, ready.plan)[0]
            for images, labels in chosen
        ]
        losses.append(float(np.mean([float(loss) for loss in taken])))
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


def _measure(task: Task, forward: Any, given: list[Any]) -> dict[str, float]:
    """Loss and metric on the given batches."""
    logits = np.concatenate([np.asarray(forward(images)) for images, _ in given])
    return task.measure(logits, np.concatenate([labels for _, labels in given]))


def _gradients(ready: Prepared) -> Iterator[Finding]:
    """After some updates a gradient has reached every variable that trains."""
    if not any(v.shape for v in ready.optimizer.variables):
        return  # plain gradient descent remembers nothing
    left = unreached(to_move(ready.plan), ready.optimizer)
    if left:
        yield _problem(
            "gradients",
            f"no gradient reaches {some_of(left)}",
            "Something before it is dead or detached.",
        )


def _penalty(training: Training, ready: Prepared) -> Iterator[Finding]:
    """A penalty on weights makes the loss larger."""
    by_path = {v.path: v for v in training.network.model.variables}
    kernels = [by_path[p] for p in ready.plan.trainable if by_path[p].name == "kernel"]
    if not kernels:
        return
    variable = kernels[0]
    old = variable.regularizer
    length = float(np.square(np.asarray(variable)).sum())
    variable.regularizer = None
    without = float(sum(map(float, ready.model.losses)))
    variable.regularizer = keras.regularizers.L2(0.1)
    more = float(sum(map(float, ready.model.losses))) - without
    variable.regularizer = old
    if abs(more - 0.1 * length) > 0.01 * length + 1e-6:
        yield _problem(
            "penalty",
            f"an L2 of 0.1 on {variable.path} adds {more:.4g} to the loss; expected {0.1 * length:.4g}",
            "Penalties do not reach the loss.",
        )


def _frozen(training: Training, ready: Prepared, before: dict[str, int]) -> Iterator[Finding]:
    """What is frozen, moving statistics too, is as it was."""
    after = checksums(training.network, ready.plan)
    changed = changed_though_frozen(before, after, ready.plan)
    if changed:
        yield _problem(
            "frozen",
            f"{some_of(changed)} changed, though frozen",
            "A frozen BatchNorm in training mode does that; look at custom layers.",
        )


def babysit(
    training: Training, stages: list[tuple[Training, Stage, FreezePlan]]
) -> Iterator[Finding]:
    """All checks of a recipe.

    Args:
        training: What the stages share.
        stages: Each with what it shares at its own image size, and what it trains.
    """
    yield from check_data(training.dataset, training.seed)
    if not len(training.dataset.val):
        return
    yield from check_network(training)
    if training.dataset.task.counts(training.dataset.train.labels).all():
        yield from check_labels(training)
    for index, (own, stage, plan) in enumerate(stages):
        for problem in check_stage(own, stage, plan, index == 0):
            text = f"stage {stage.name!r}: {problem.text}" if len(stages) > 1 else problem.text
            yield dataclasses.replace(problem, text=text)


def check_labels(training: Training) -> Iterator[Finding]:
    """Labels must have to do with the images: a linear head must beat chance on held-out ones."""
    dataset, network, task = training.dataset, training.network, training.network.task
    order = epoch_order(len(dataset.train), training.seed, 0)[:JUDGED]
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
