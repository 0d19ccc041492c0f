"""Builds every stage once before training, so that none fails after hours of work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tlkit import registry
from tlkit.callbacks.schedule import HANDED
from tlkit.entry import shown_shape, told_as_users
from tlkit.errors import UserError, first_line
from tlkit.model import Network
from tlkit.recipe.schema import Stage
from tlkit.regularizers.units import owners
from tlkit.tensors import KerasLoss, Tensor
from tlkit.train.context import RunContext
from tlkit.train.plans import PlannedStage, plan_stage
from tlkit.train.regularize import regularize_stage
from tlkit.train.resizing import at_size
from tlkit.train.stage_setup import augment_layers, make_objective, make_optimizer
from tlkit.train.step import apply_augmentations


def rehearse(context: RunContext, plans: Sequence[PlannedStage]) -> None:
    """Builds what each stage needs and removes it again; nothing is compiled or trained.

    Args:
        context: Context shared by all stages.
        plans: The stages, and what each trains.

    Raises:
        UserError: naming the stage that cannot be trained, and why.
    """
    for planned in plans:
        if not planned.stage.epochs:
            continue
        where = f"finetune.stages[{planned.index}]"
        try:
            _rehearse_stage(context, planned)
        except UserError as error:
            place = where if error.where is None else f"{where}, {error.where}"
            raise UserError(error.message, where=place, hint=error.hint) from None
        except ValueError as error:  # from Keras, or from plain Keras layers
            raise UserError(first_line(error), where=where) from None


def _rehearse_stage(context: RunContext, planned: PlannedStage) -> None:
    network, recipe = context.network, context.recipe
    stage, plan = planned.stage, planned.plan
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
        recipe.regularize, variables, context.start, context.seed, owners(network.model)
    )
    regularization.take_off()
    make_optimizer(stage, plan, network, regularization.variables)
    _look_at_schedule(stage)
    targets = network.task.two_targets()
    _look_at_loss(context, make_objective(context, regularization, None).loss, targets)
    _look_at_augmentations(stage, context.seed, network, targets)


def _look_at_schedule(stage: Stage) -> None:
    """Evaluates the schedule at the first and the last epoch."""
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
        raise UserError(f"schedule {stage.schedule.name!r} gives a rate that is not a number")


def _look_at_loss(context: RunContext, loss: KerasLoss, targets: Tensor) -> None:
    """Evaluates the loss of an untrained head, as the step does."""
    with registry.LOSSES[context.loss.name].tells_its_errors():
        value = loss(
            targets, np.zeros_like(targets), sample_weight=np.ones(len(targets), "float32")
        )
        value = np.asarray(value)
    if value.shape != ():
        raise UserError(
            f"gives {shown_shape(value.shape)} for a batch; expected one number",
            where=context.loss.name,
        )
    if not np.isfinite(value):
        raise UserError("the loss of an untrained head is not a number", where="finetune.loss")


def _look_at_augmentations(stage: Stage, seed: int, network: Network, targets: Tensor) -> None:
    """Runs two grey images through the stage's augmentations."""
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
