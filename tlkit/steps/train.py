"""Running the stages, one after another."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.errors import RunFailed

if TYPE_CHECKING:
    from tlkit.train.context import RunContext
    from tlkit.train.plans import PlannedStage
    from tlkit.train.result import StageResult
    from tlkit.train.tracking import Trackers


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of all stages.

    Attributes:
        stages: Result of each stage.
        val_logits: Logits of the validation images by the final network, if known.
    """

    stages: list[StageResult]
    val_logits: np.ndarray | None

    @property
    def feature_seconds(self) -> float:
        """Seconds in which features of frozen parts were computed or read."""
        return float(sum(stage.features["seconds"] for stage in self.stages if stage.features))

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the last stage's best epoch."""
        return self.stages[-1].metrics if self.stages else {}


def train(context: RunContext, trackers: Trackers, resumed: bool) -> TrainResult:
    """Runs the stages one after another; resumes from a checkpoint if asked to.

    Args:
        context: Context of the run.
        trackers: Trackers of the run.
        resumed: Whether to resume from a checkpoint.
    """
    from tlkit.freeze import describe
    from tlkit.model import is_stored
    from tlkit.train.loop import run_stage
    from tlkit.train.plans import stage_plans
    from tlkit.train.progress import Progress
    from tlkit.train.record import Recorder
    from tlkit.train.resizing import at_own_size, copy_weights
    from tlkit.train.result import StageResult
    from tlkit.train.state import TrainState, load_state

    recipe, network, reporter = context.recipe, context.network, context.reporter
    state, saved = (
        load_state(context.state_file, reporter.line)
        if resumed and context.state_file.exists()
        else (TrainState(), None)
    )
    budget = dataclasses.replace(context.budget, before=state.seconds)
    context = dataclasses.replace(context, budget=budget)
    made = _store_features(context) if is_stored(recipe.model.head.name) else None
    plans = stage_plans(recipe, network)
    console, metric = reporter.console, network.task.metric
    shown = [] if console is None else [Progress(console, metric)]
    done = state.callbacks.get("Recorder", {}).get("step", 0)
    recorder = Recorder(context.folder, metric, done, _more_columns(context, plans), trackers)
    _save_image_sheet(context)
    val_logits = None
    try:
        for planned in plans[state.stage :]:
            stage, plan = planned.stage, planned.plan
            if state.out_of_time and state.results:
                reporter.line(f"stage {stage.name!r} is left out: time_budget is used up")
                continue
            title = f"\nstage {planned.index + 1}: {describe(plan).splitlines()[0]}"
            reporter.line(title, style="bold")
            if not stage.epochs:
                state.results.append(StageResult(str(stage.name), plan.policy, features=made))
                state.stage += 1
                continue
            own, own_planned = at_own_size(context, planned)
            end = run_stage(own, state, own_planned, [*shown, recorder], saved)
            saved, val_logits = None, end.val_logits
            if own is not context:
                copy_weights(own.network, network, recipe.model.backbone)
                val_logits = None
    finally:
        for callback in shown:
            callback.close()
        recorder.flush()
    return TrainResult(state.results, val_logits)


def _more_columns(context: RunContext, plans: list[PlannedStage]) -> list[str]:
    """Additional columns of metrics.csv."""
    from tlkit.train.monitor import monitored_columns

    more = monitored_columns([p.plan for p in plans]) if context.config.monitor else []
    accumulates = any(planned.stage.gradient_accumulation_steps > 1 for planned in plans)
    return ["update", *more] if accumulates else more


def _store_features(context: RunContext) -> dict[str, Any]:
    """Fills a head that consists of features; returns their statistics, for result.json."""
    from tlkit.features.compute import frozen_features
    from tlkit.features.split_network import whole
    from tlkit.model import store_features

    recipe, network = context.recipe, context.network
    found = frozen_features(
        whole(network.extractor),
        context.dataset,
        "auto" if recipe.cache == "off" else recipe.cache,
        engine=recipe.engine,
        about=network.spec.name,
        reporter=context.reporter,
    )
    if found is None:
        raise RunFailed("the features of all training images fit neither on disk nor in memory")
    features, made = found
    train = features.train
    store_features(network, recipe.model.head.name, np.asarray(train.pixels[0]), train.labels)
    return dataclasses.asdict(made)


def _save_image_sheet(context: RunContext) -> None:
    """Saves the first training images as augmented for the network in the last stage."""
    import tensorflow as tf

    from tlkit.data.pipeline import batches, epoch_order, training_images
    from tlkit.report.plots import plot_images
    from tlkit.train.stage_setup import augment_layers
    from tlkit.train.step import apply_augmentations

    dataset, seed, plots = context.dataset, context.seed, context.folder / "plots"
    order = epoch_order(len(dataset.train), seed, 0)[:16]
    images, labels = next(batches(dataset.train, dataset.prepare, 16, order))
    images = tf.cast(images, tf.float32)

    stage = context.config.stages[-1]
    layers = augment_layers(stage, seed, dataset.image_size, training_images(dataset))
    images, _ = apply_augmentations(layers, images, dataset.task.targets(labels))
    plots.mkdir(exist_ok=True)
    captions = dataset.task.captions(labels)
    plot_images(np.asarray(images), captions, plots / "train_images.png")
