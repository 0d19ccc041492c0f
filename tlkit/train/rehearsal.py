"""Every stage made ready once before the first one trains, so that nothing fails behind hours of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.callbacks.schedule import HANDED
from tlkit.entry import shown_shape, told_as_users
from tlkit.errors import UserError, first_line
from tlkit.freeze import FreezePlan
from tlkit.model import Network
from tlkit.recipe.schema import Recipe, Stage
from tlkit.regularizers.units import owners
from tlkit.train.loop import augment_layers, make_objective, make_optimizer
from tlkit.train.plans import plan_stage
from tlkit.train.regularize import regularize_stage
from tlkit.train.resizing import at_size
from tlkit.train.step import apply_augmentations
from tlkit.train.training import Training


def rehearse(training: Training, recipe: Recipe, plans: Sequence[tuple[Stage, FreezePlan]]) -> None:
    """Builds what each stage will need, and takes it off again; nothing is compiled or trained.

    Args:
        training: What the stages share.
        recipe: Completed.
        plans: Its stages, and what each trains.

    Raises:
        UserError: naming the stage that could not be trained, and why.
    """
    for index, (stage, plan) in enumerate(plans):
        if not stage.epochs:
            continue
        where = f"finetune.stages[{index}]"
        try:
            _rehearse_stage(training, recipe, stage, plan)
        except UserError as error:
            place = where if error.where is None else f"{where}, {error.where}"
            raise UserError(error.message, where=place, hint=error.hint) from None
        except ValueError as error:  # of Keras, and of layers for plain Keras
            raise UserError(first_line(error), where=where) from None


def _rehearse_stage(training: Training, recipe: Recipe, stage: Stage, plan: FreezePlan) -> None:
    network = training.network
    if stage.image_size is not None:
        size = stage.image_size
        network = at_size(network, recipe, size if isinstance(size, tuple) else (size, size))
        plan = plan_stage(stage, recipe, network)
    if stage.solver == "lbfgs":
        if len(network.head) != 1:
            names = ", ".join(layer.name for layer in network.head)
            raise UserError(f"solver lbfgs solves one layer, the head; new layers are {names}")
        return
    by_path = {v.path: v for v in network.model.variables}
    variables = [by_path[path] for path in plan.trainable]
    regularization = regularize_stage(
        training.regularize, variables, training.start, training.seed, owners(network.model)
    )
    regularization.take_off()
    make_optimizer(stage, plan, network, regularization.variables)
    _look_at_schedule(stage)
    targets = network.task.two_targets()
    _look_at_loss(training, make_objective(training, regularization, None).loss, targets)
    _look_at_augmentations(stage, training.seed, network, targets)


def _look_at_schedule(stage: Stage) -> None:
    """The rates of the first and the last epoch."""
    assert stage.schedule is not None and stage.optimizer is not None and stage.epochs
    if registry.SCHEDULES[stage.schedule.name].facts.makes_callback:
        registry.SCHEDULES.build(stage.schedule.name, **stage.schedule.arguments)
        return
    rate = stage.optimizer.arguments.get("learning_rate")
    rate = float(rate) if isinstance(rate, int | float) else 1.0
    make = registry.SCHEDULES[stage.schedule.name].by_position(*HANDED)
    schedule = make(rate, stage.epochs, 1, **stage.schedule.arguments)
    with registry.SCHEDULES[stage.schedule.name].tells_its_errors():
        rates = [float(schedule(step)) for step in (0, stage.epochs - 1)]
    if not np.isfinite(rates).all():
        raise UserError(f"schedule {stage.schedule.name!r} gives a rate that is no number")


def _look_at_loss(training: Training, loss: Any, targets: Any) -> None:
    """The loss of an untrained head, as the step asks for it."""
    with registry.LOSSES[training.loss.name].tells_its_errors():
        value = loss(
            targets, np.zeros_like(targets), sample_weight=np.ones(len(targets), "float32")
        )
        value = np.asarray(value)
    if value.shape != ():
        raise UserError(
            f"gives {shown_shape(value.shape)} for a batch; expected one number",
            where=training.loss.name,
        )
    if not np.isfinite(value):
        raise UserError("the loss of an untrained head is no number", where="finetune.loss")


def _look_at_augmentations(stage: Stage, seed: int, network: Network, targets: Any) -> None:
    """Two grey images through the stage's augmentations."""
    import tensorflow as tf

    items = stage.augment or []
    images = tf.fill((2, *network.image_size, 3), 127.0)
    for item, layer in zip(items, augment_layers(stage, seed, network.image_size), strict=True):
        before = images.shape, targets.shape
        if registry.AUGMENTATIONS[item.name].is_packaged:
            images, targets = apply_augmentations([layer], images, targets)
            continue
        with told_as_users(item.name):
            images, targets = apply_augmentations([layer], images, targets)
        for what, old, new in zip(("images", "labels"), before, (images, targets), strict=True):
            if tuple(new.shape) != tuple(old):
                raise UserError(
                    f"makes {what} {shown_shape(old)} {shown_shape(new.shape)}; an augmentation leaves "
                    "their shape",
                    where=item.name,
                )
