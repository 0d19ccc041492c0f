"""What a stage needs to train: optimizer, augmentation, loss, callbacks, and what they run on."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from tlkit import registry
from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import training_images
from tlkit.evaluate.forward import make_forward
from tlkit.features.compute import Made, Views, frozen_features
from tlkit.features.fingerprint import layers_fingerprint
from tlkit.freeze import FreezePlan, apply_plan
from tlkit.model import Network, in_float32
from tlkit.optimizers import with_adaptive_clipping, with_multipliers
from tlkit.recipe.schema import Named, Stage
from tlkit.regularizers.spared import is_spared
from tlkit.regularizers.units import owners
from tlkit.train.counting import count_steps
from tlkit.train.ema import WeightAverage
from tlkit.train.fit import Fit
from tlkit.train.lr_find import SWEEP_START, sweep_rates
from tlkit.train.monitor import Monitor
from tlkit.train.own_callbacks import OwnCallbacks
from tlkit.train.pipeline_augment import make_draw
from tlkit.train.plans import stage_cut, stage_views
from tlkit.train.regularize import Regularization, regularize_stage
from tlkit.train.step import Objective, Step, make_loss
from tlkit.train.training import Training


def make_optimizer(
    stage: Stage, plan: FreezePlan, network: Network, more: Sequence[Any] = ()
) -> Any:
    """The stage's optimizer, with clipping, accumulation and rates by variable.

    Args:
        stage: Completed.
        plan: What trains.
        network: Whose variables they are.
        more: Variables that train beside them, of regularizers.
    """
    import re

    import keras

    assert stage.optimizer is not None
    arguments = dict(stage.optimizer.arguments)
    if wants_rate(stage):
        arguments["learning_rate"] = SWEEP_START
    optimizer = registry.OPTIMIZERS.build(stage.optimizer.name, **arguments)
    optimizer.global_clipnorm = stage.global_clipnorm
    optimizer.clipnorm, optimizer.clipvalue = stage.clipnorm, stage.clipvalue
    if stage.gradient_accumulation_steps > 1:
        optimizer.gradient_accumulation_steps = stage.gradient_accumulation_steps
    if getattr(optimizer, "weight_decay", None):
        spared = [v for v in network.model.trainable_variables if is_spared(v)]
        optimizer.exclude_from_weight_decay(var_list=[*spared, *more])
    if plan.multipliers:
        exact = {f"^{re.escape(path)}$": factor for path, factor in plan.multipliers.items()}
        with_multipliers(optimizer, exact)
    if stage.adaptive_clipping:
        head = [v.path for layer in network.head for v in layer.weights]
        alone = [f"^{re.escape(path)}$" for path in head]
        with_adaptive_clipping(optimizer, stage.adaptive_clipping, alone, network.model)
    mixed = any(layer.dtype_policy.name == "mixed_float16" for layer in network.model.layers)
    return keras.optimizers.LossScaleOptimizer(optimizer) if mixed else optimizer


def augment_layers(
    stage: Stage, seed: int, image_size: tuple[int, int], images: Callable[[], Any] | None = None
) -> list[Any]:
    """The stage's augmentations as Keras layers.

    Args:
        stage: Whose `augment` is built.
        seed: Of the run; each layer gets the next one.
        image_size: Height and width in pixels.
        images: Gives the training images in batches, for those that are fitted to them.
    """
    layers = []
    for index, item in enumerate(stage.augment or []):
        entry = registry.AUGMENTATIONS[item.name]
        context = {"seed": seed + index, "image_size": image_size}
        with in_float32():
            layer = registry.AUGMENTATIONS.make(item.name, context, **item.arguments)
        layer.mixes_labels = entry.facts.mixes_labels
        if entry.facts.fitted and images is not None:
            layer.adapt(images())
        layers.append(layer)
    return layers


@dataclasses.dataclass
class Prepared:
    """A stage that is ready to take steps.

    Attributes:
        stage: Completed.
        plan: What trains.
        model: What the step runs: the network, or the part of it behind the cut.
        dataset: What it runs on: images, or features in their place.
        step: Compiled.
        optimizer: Built.
        average: Of the weights, if wanted.
        statistics: Moving statistics that change.
        changing: These and the variables that train.
        seeds: Variables of random generators.
        ahead: Augmentations that run in the pipeline.
        made: How features came about.
    """

    stage: Stage
    plan: FreezePlan
    model: Any
    dataset: Dataset
    step: Step
    optimizer: Any
    average: WeightAverage | None
    statistics: list[Any]
    changing: list[Any]
    seeds: list[Any]
    ahead: list[Any]
    made: Made | None

    @property
    def accumulation(self) -> int:
        """Batches that make an update."""
        return self.stage.gradient_accumulation_steps


def prepare_stage(
    training: Training, stage: Stage, plan: FreezePlan, undo: contextlib.ExitStack
) -> Prepared:
    """Builds all that the steps of a stage need.

    Args:
        training: What the stages share.
        stage: Completed with defaults.
        plan: What trains.
        undo: Makes the network as it was when it is closed.
    """
    network = training.network
    undo.callback(apply_plan(plan, network.model, network.blocks))
    by_path = {v.path: v for v in network.model.variables}
    variables = [by_path[path] for path in plan.trainable]
    regularization = regularize_stage(
        training.regularize, variables, training.start, training.seed, owners(network.model)
    )
    undo.callback(regularization.take_off)
    optimizer = make_optimizer(stage, plan, network, regularization.variables)
    optimizer.build(variables + regularization.variables)
    statistics = _statistics(network, plan)
    changing = variables + statistics
    ema = training.config.ema
    average = WeightAverage(changing, ema.momentum) if ema else None
    augment = augment_layers(
        stage, training.seed, network.image_size, training_images(training.dataset)
    )
    model, dataset, parts, made = _part_to_train(training, stage, plan, augment)
    if made is not None:
        augment = []  # done already, if there is any
    here, ahead = (augment, []) if training.augment_on == "device" else ([], augment)
    undo.callback(setattr, model, "optimizer", None)
    model.optimizer, model.stop_training = optimizer, False
    objective = make_objective(training, regularization, parts)
    # Keras's AugMix draws its chains by Python's generator when the step is compiled
    random.seed(f"{training.seed} {training.state.stage}")
    step = Step(model, objective, here, optimizer, variables, average)
    seeds = _random_state(network, here, regularization)
    return Prepared(
        stage, plan, model, dataset, step, optimizer, average, statistics, changing, seeds, ahead, made
    )  # fmt: skip


def run_stage(training: Training, stage: Stage, plan: FreezePlan) -> dict[str, Any]:
    """Trains one stage and leaves the model with its best weights.

    Args:
        training: What the stages share; its state is moved along.
        stage: Completed with defaults.
        plan: What trains.

    Returns:
        The stage's entry in result.json.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
        RunFailed: if the loss became infinite or not a number.
    """
    assert stage.epochs is not None and stage.batch_size is not None
    if stage.solver == "lbfgs":
        # the loop around an epoch wants them; no step is taken
        still = {"optimizer": Named("sgd", {"learning_rate": 0.0}), "schedule": Named("constant")}
        stage = stage.model_copy(update=still)
    network, began = training.network, time.perf_counter()
    with contextlib.ExitStack() as undo:
        ready = prepare_stage(training, stage, plan, undo)
        if wants_rate(stage):
            ready.optimizer.learning_rate = _found_rate(training, ready)
        fit = Fit(
            training,
            stage,
            plan,
            ready.model,
            ready.dataset,
            ready.changing,
            ready.optimizer,
            ready.average,
            ready.seeds,
            _callbacks(training, stage, ready.model),
            began,
            ready.ahead,
            ready.made,
            Monitor(network, ready.model, plan, ready.statistics)
            if training.config.monitor
            else None,
        )
        try:
            return fit.run(ready.step, make_forward(ready.model))
        except KeyboardInterrupt:
            fit.save()
            raise


def wants_rate(stage: Stage) -> bool:
    """Whether the stage's learning rate is to be found by a sweep."""
    return stage.optimizer is not None and stage.optimizer.arguments.get("learning_rate") == "auto"


def _found_rate(training: Training, ready: Prepared) -> float:
    """What a sweep suggests; what it suggested where the stage is resumed."""
    state = training.state
    if state.found_rate is None:
        found = sweep_rates(training, ready)
        state.found_rate = found.valley
        training.say(f"learning rate found: {found.valley:.2g} (steepest at {found.steepest:.2g})")
    return state.found_rate


def _part_to_train(
    training: Training, stage: Stage, plan: FreezePlan, augment: list[Any]
) -> tuple[Any, Dataset, tuple[Any, Any] | None, Made | None]:
    """What the step runs and on what: the network on images, or what lies behind the cut.

    Returns:
        A model to logits, its data, that model in two parts where the recipe
        attacks the features between them, and how features in the place of
        images came about.
    """
    network, dataset, adversarial = training.network, training.dataset, training.config.adversarial
    cut = stage_cut(stage, plan, network, adversarial, training.cache)
    if cut is not None:
        # nothing before the cut trains or is random: that work is done once
        found = frozen_features(
            cut,
            dataset,
            training.cache,
            training.progress,
            training.engine,
            training.say,
            _views(training, stage, augment),
            network.spec.name,
        )
        if found is not None:
            return cut.trained, found[0], None, found[1]
        training.say("features fit neither on disk nor in memory: every epoch computes them")
    if adversarial is not None and adversarial.on == "features":
        return network.logits, dataset, (network.extractor, network.head_logits), None
    return network.logits, dataset, None, None


def _views(training: Training, stage: Stage, augment: list[Any]) -> Views | None:
    """Draws of the training images to be computed once, where the stage augments."""
    count = stage_views(stage, training.cache)
    if not augment or count is None:
        return None
    key = f"{layers_fingerprint(augment)} {training.seed}"
    return Views(count, key, make_draw(augment, training.seed))


def make_objective(
    training: Training, regularization: Regularization, parts: tuple[Any, Any] | None
) -> Objective:
    """What the steps of a stage minimise."""
    task = training.network.task
    counts = task.counts(training.dataset.train.labels)
    return Objective(
        task,
        make_loss(training.loss, counts),
        training.weights.astype("float32"),
        regularization,
        training.config.adversarial,
        parts,
    )


def _random_state(network: Network, augment: list[Any], done: Regularization) -> list[Any]:
    """Variables that are neither weights nor the optimizer's, and must be resumed."""
    drawn = [v for layer in augment for v in layer.variables]
    drawn += [v for v in network.model.variables if "seed_generator" in v.path]
    return drawn + done.seeds + done.variables


def _callbacks(training: Training, stage: Stage, model: Any) -> Any:
    import keras

    own = training.own_callbacks
    theirs = [OwnCallbacks(own, training.network.model)] if own else []
    return keras.callbacks.CallbackList(
        [_schedule_callback(stage), *training.callbacks, *theirs],
        model=model,
        epochs=stage.epochs,
        steps=count_steps(stage, len(training.dataset.train)).batches_per_epoch,
        stage=stage.name,
    )


def _statistics(network: Network, plan: FreezePlan) -> list[Any]:
    """Moving statistics that change while the plan's layers train."""
    active = [
        layer
        for block in network.blocks
        for layer in block.layers
        if layer.name not in plan.frozen_layers
    ]
    return [
        v
        for layer in (*active, *network.inserted)
        for v in layer.non_trainable_weights
        if v.name in ("moving_mean", "moving_variance")
    ]


def _schedule_callback(stage: Stage) -> Any:
    """The stage's schedule as a callback."""
    from tlkit.callbacks import ScheduledRate
    from tlkit.callbacks.schedule import HANDED

    assert stage.schedule is not None
    entry = registry.SCHEDULES[stage.schedule.name]
    if entry.facts.makes_callback:
        return entry.call({}, **stage.schedule.arguments)
    make = entry.by_position(*HANDED)
    return ScheduledRate(make, **stage.schedule.arguments)
