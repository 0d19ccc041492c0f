"""What a stage needs to train: optimizer, augmentation, loss, model and data."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tlkit import registry
from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import training_images
from tlkit.features.compute import FeatureStats, Views, frozen_features, place_for
from tlkit.features.fingerprint import layers_fingerprint
from tlkit.features.split_network import Cut
from tlkit.freeze import FreezePlan, apply_plan
from tlkit.model import Network, in_float32
from tlkit.optimizers import with_adaptive_clipping, with_multipliers
from tlkit.recipe.schema import Component, Stage
from tlkit.regularizers.spared import is_spared
from tlkit.regularizers.units import owners
from tlkit.tensors import KerasLayer, KerasModel, KerasOptimizer, KerasVariable
from tlkit.train.context import RunContext
from tlkit.train.ema import WeightAverage
from tlkit.train.lr_find import SWEEP_START
from tlkit.train.pipeline_augment import make_draw
from tlkit.train.plans import PlannedStage, stage_cut, stage_views
from tlkit.train.regularize import Regularization, regularize_stage
from tlkit.train.step import Objective, Step, make_loss


def make_optimizer(
    stage: Stage, plan: FreezePlan, network: Network, more: Sequence[Any] = ()
) -> KerasOptimizer:
    """The stage's optimizer, with clipping, accumulation and per-variable rates.

    Args:
        stage: Stage, with its defaults filled in.
        plan: What trains.
        network: Network that owns the variables.
        more: Variables of regularizers that train as well.
    """
    import re

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


def wants_rate(stage: Stage) -> bool:
    """Whether the stage's learning rate is to be found by a sweep."""
    return stage.optimizer is not None and stage.optimizer.arguments.get("learning_rate") == "auto"


def augment_layers(
    stage: Stage, seed: int, image_size: tuple[int, int], images: Callable[[], Any] | None = None
) -> list[KerasLayer]:
    """The stage's augmentations as Keras layers.

    Args:
        stage: Stage whose `augment` is built.
        seed: Seed of the run; each further layer gets the next integer.
        image_size: Height and width in pixels.
        images: Returns the training images in batches, for layers that are fitted to them.
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


@dataclasses.dataclass(frozen=True)
class StageSetup:
    """A stage that is ready to train.

    Attributes:
        planned: The stage, and what it trains.
        model: Model that the step runs: the network, or its part after the cut.
        dataset: Inputs of the model: images, or cached features in their place.
        step: Compiled step.
        optimizer: Optimizer, built.
        average: Moving average of the weights, if wanted.
        statistics: Moving statistics that change.
        changing: The trained variables and `statistics`.
        seeds: Variables of random generators.
        ahead: Augmentations that run in the input pipeline.
        made: How the features were computed.
        cut: Where the network is cut; the part before it is computed once.
    """

    planned: PlannedStage
    model: KerasModel
    dataset: Dataset
    step: Step
    optimizer: KerasOptimizer
    average: WeightAverage | None
    statistics: list[KerasVariable]
    changing: list[KerasVariable]
    seeds: list[KerasVariable]
    ahead: list[KerasLayer]
    made: FeatureStats | None
    cut: Cut | None

    @property
    def stage(self) -> Stage:
        return self.planned.stage

    @property
    def plan(self) -> FreezePlan:
        return self.planned.plan

    @property
    def accumulation(self) -> int:
        """Number of batches per update."""
        return self.stage.gradient_accumulation_steps


def set_up_stage(
    context: RunContext, planned: PlannedStage, undo: contextlib.ExitStack, apart: bool = False
) -> StageSetup:
    """Builds everything that the steps of a stage need.

    Args:
        context: Context shared by all stages.
        planned: The stage, and what it trains.
        undo: Restores the network when it is closed.
        apart: Do not compute features, and do not augment in the step, for callers that measure
            these separately. The dataset has images, and the model takes the outputs of the cut.
    """
    if planned.stage.solver == "lbfgs":
        # the epoch loop needs an optimizer and a schedule, though no step is taken
        still = {
            "optimizer": Component("sgd", {"learning_rate": 0.0}),
            "schedule": Component("constant"),
        }
        planned = dataclasses.replace(planned, stage=planned.stage.model_copy(update=still))
    network, stage, plan = context.network, planned.stage, planned.plan
    undo.callback(apply_plan(plan, network.model, network.blocks))
    by_path = {v.path: v for v in network.model.variables}
    variables = [by_path[path] for path in plan.trainable]
    regularization = regularize_stage(
        context.recipe.regularize, variables, context.start, context.seed, owners(network.model)
    )
    undo.callback(regularization.take_off)
    statistics = _statistics(network, plan)
    changing = variables + statistics
    ema = context.config.ema
    with context.strategy.scope():
        optimizer = make_optimizer(stage, plan, network, regularization.variables)
        optimizer.build(variables + regularization.variables)
        average = WeightAverage(changing, ema.momentum) if ema else None
    augment: list[KerasLayer] = []
    if not apart:
        augment = augment_layers(
            stage, context.seed, network.image_size, training_images(context.dataset)
        )
    cut, dataset, made = _computed_once(context, planned, augment, apart)
    model = network.logits if cut is None else cut.trained
    if made is not None:
        augment = []  # any augmentation is in the features already
    here, ahead = (augment, []) if context.recipe.augment_on == "device" else ([], augment)
    undo.callback(setattr, model, "optimizer", None)
    model.optimizer, model.stop_training = optimizer, False
    adversarial = context.config.adversarial
    parts = None
    if cut is None and adversarial is not None and adversarial.on == "features":
        parts = network.extractor, network.head_logits
    objective = make_objective(context, regularization, parts)
    # Keras's AugMix draws its chains with Python's generator when the step is compiled
    random.seed(f"{context.seed} {planned.index}")
    return StageSetup(
        planned=planned,
        model=model,
        dataset=dataset,
        step=Step(model, objective, here, optimizer, variables, average=average),
        optimizer=optimizer,
        average=average,
        statistics=statistics,
        changing=changing,
        seeds=_random_state(network, here, regularization),
        ahead=ahead,
        made=made,
        cut=cut,
    )


def _computed_once(
    context: RunContext, planned: PlannedStage, augment: list[KerasLayer], apart: bool
) -> tuple[Cut | None, Dataset, FeatureStats | None]:
    """The cut, if the part before it is computed once; the data after it; and the feature stats."""
    network, dataset, cache = context.network, context.dataset, context.recipe.cache
    cut = stage_cut(planned, network, context.recipe)
    if cut is None:
        return None, dataset, None
    if apart:
        draws = stage_views(planned.stage, cache) or 1
        there = place_for(cut, dataset, cache, draws)[0] is not None
        return cut if there else None, dataset, None
    # nothing before the cut trains or is random, so it is computed once
    found = frozen_features(
        cut,
        dataset,
        cache,
        engine=context.recipe.engine,
        views=_views(context, planned.stage, augment),
        about=network.spec.name,
        reporter=context.reporter,
    )
    if found is None:
        context.reporter.detail(
            "features fit neither on disk nor in memory: every epoch computes them"
        )
        return None, dataset, None
    features, made = found
    return cut, features, made


def _views(context: RunContext, stage: Stage, augment: list[KerasLayer]) -> Views | None:
    """The augmented views to cache, if the stage augments and its features can be cached."""
    count = stage_views(stage, context.recipe.cache)
    if not augment or count is None:
        return None
    key = f"{layers_fingerprint(augment)} {context.seed}"
    return Views(count, key, make_draw(augment, context.seed))


def make_objective(
    context: RunContext, regularization: Regularization, parts: tuple[Any, Any] | None
) -> Objective:
    """What the steps of a stage minimise."""
    task = context.network.task
    counts = task.counts(context.dataset.train.labels)
    return Objective(
        task,
        make_loss(context.loss, counts),
        context.weights.astype("float32"),
        regularization,
        context.config.adversarial,
        parts,
    )


def _random_state(
    network: Network, augment: list[KerasLayer], done: Regularization
) -> list[KerasVariable]:
    """Variables besides weights and optimizer state that must be restored on resume."""
    drawn = [v for layer in augment for v in layer.variables]
    drawn += [v for v in network.model.variables if "seed_generator" in v.path]
    return drawn + done.seeds + done.variables


def _statistics(network: Network, plan: FreezePlan) -> list[KerasVariable]:
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
