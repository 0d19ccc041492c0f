"""The stages, one after another."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.errors import RunFailed
from tlkit.recipe.schema import Recipe
from tlkit.steps.speaker import Speaker
from tlkit.tasks.fit import settled


def train(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    folder: pathlib.Path,
    say: Speaker,
    resumed: bool,
    stops: Any,
    began: float,
    trackers: Any,
    callbacks: Sequence[Any] = (),
) -> tuple[list[dict[str, Any]], np.ndarray | None]:
    """Runs the stages one after another; continues a saved state if asked to.

    Args:
        recipe: Completed.
        dataset: Images.
        network: As it was loaded.
        folder: Of the run.
        say: Tells a person.
        resumed: Whether to continue a saved state.
        stops: Of the process.
        began: When the process began, by `time.perf_counter`.
        trackers: Of the run.
        callbacks: A person's own Keras callbacks.

    Returns:
        What each stage reports, and the validation images' logits where they are known.
    """
    from tlkit.freeze import describe
    from tlkit.model import is_stored
    from tlkit.train.monitor import monitored_columns
    from tlkit.train.plans import stage_plans
    from tlkit.train.progress import Progress
    from tlkit.train.record import Recorder
    from tlkit.train.resizing import run_at_own_size
    from tlkit.train.state import TrainState, load_state

    state_file = folder / "checkpoints" / "state.npz"
    state, arrays = (
        load_state(state_file, say.line)
        if resumed and state_file.exists()
        else (TrainState(), None)
    )
    made = (
        _store_features(recipe, dataset, network, say) if is_stored(recipe.model.head.name) else {}
    )
    plans = stage_plans(recipe, network)
    more = monitored_columns([plan for _, plan in plans]) if recipe.finetune.monitor else []
    if any(stage.gradient_accumulation_steps > 1 for stage, _ in plans):
        more = ["update", *more]
    done = state.callbacks.get("Recorder", {}).get("step", 0)
    recorder = Recorder(folder, network.task.metric, done, more, trackers)
    show = [Progress(say.console, network.task.metric)] if say.console is not None else []
    training = make_training(recipe, dataset, network, state, state_file, say)
    training.callbacks, training.resumed, training.stops = [*show, recorder], arrays, stops
    training.began, training.own_callbacks = began, callbacks
    _save_image_sheet(recipe, dataset, folder)
    try:
        for index, (stage, plan) in enumerate(plans):
            if index < state.stage:
                continue
            if state.out_of_time and state.results:
                say.line(f"stage {stage.name!r} is left out: time_budget is used up")
                continue
            say.line(f"\nstage {index + 1}: {describe(plan).splitlines()[0]}", style="bold")
            if stage.epochs:
                run_at_own_size(training, recipe, stage, plan)
            else:
                state.results.append({**_idle(stage, plan), **made})
                state.stage += 1
    finally:
        for callback in show:
            callback.close()
        recorder.flush()
    return state.results, training.val_logits


def make_training(
    recipe: Recipe, dataset: Dataset, network: Any, state: Any, state_file: Any, say: Speaker
) -> Any:
    """What all stages of a run share, by its recipe."""
    from tlkit.recipe.schema import seconds
    from tlkit.train.training import Training

    budget = recipe.time_budget
    return Training(
        network=network,
        dataset=dataset,
        config=settled(recipe, dataset.task).finetune,
        weights=dataset.task.weights(recipe.finetune.class_weight, dataset.train.labels),
        seed=recipe.seed,
        state=state,
        state_file=state_file,
        callbacks=[],
        progress=say.progress,
        regularize=recipe.regularize,
        start=_pretrained(recipe, network),
        augment_on=recipe.augment_on,
        engine=recipe.engine,
        cache=recipe.cache,
        checkpoint=recipe.checkpoint,
        say=lambda line: say.line(f"  {line}"),
        time_budget=budget or "",
        seconds_allowed=seconds(budget) if budget else None,
        seconds_before=state.seconds,
    )


def _store_features(recipe: Recipe, dataset: Dataset, network: Any, say: Speaker) -> dict[str, Any]:
    """Sets a head that is made of features; says how those came about, for result.json."""
    from tlkit.features.compute import frozen_features
    from tlkit.features.cut import whole
    from tlkit.model import store_features

    cache = "auto" if recipe.cache == "off" else recipe.cache
    found = frozen_features(
        whole(network.extractor),
        dataset,
        cache,
        say.progress,
        recipe.engine,
        lambda line: say.line(f"  {line}"),
        about=network.spec.name,
    )
    if found is None:
        raise RunFailed("the features of all training images fit neither on disk nor in memory")
    features, made = found
    train = features.train
    store_features(network, recipe.model.head.name, np.asarray(train.pixels[0]), train.labels)
    return {"features": dataclasses.asdict(made)}


def feature_seconds(stages: list[dict[str, Any]]) -> float:
    """Seconds in which features of frozen parts were computed, or read again."""
    return sum(stage["features"]["seconds"] for stage in stages if "features" in stage)


def _pretrained(recipe: Recipe, network: Any) -> dict[str, np.ndarray]:
    """Values of the loaded variables by path, where a regularizer asks for them."""
    from tlkit.train.regularize import needs_start

    if recipe.model.weights == "none" or not needs_start(recipe.regularize):
        return {}
    return {v.path: np.asarray(v) for block in network.blocks for v in block.variables()}


def _idle(stage: Any, plan: Any) -> dict[str, Any]:
    """The entry of a stage that trains nothing."""
    return {
        "name": stage.name,
        "policy": plan.policy,
        "epochs": 0,
        "seconds": 0.0,
        "images_per_second": None,
        "best_epoch": 0,
        "metrics": {},
    }


def _save_image_sheet(recipe: Recipe, dataset: Dataset, folder: pathlib.Path) -> None:
    """The first training images as the network gets them in the last stage, augmented."""
    import tensorflow as tf

    from tlkit.data.pipeline import batches, epoch_order, training_images
    from tlkit.report.plots import plot_images
    from tlkit.train.loop import augment_layers
    from tlkit.train.step import apply_augmentations

    order = epoch_order(len(dataset.train), recipe.seed, 0)[:16]
    images, labels = next(batches(dataset.train, dataset.prepare, 16, order))
    images = tf.cast(images, tf.float32)

    stage = recipe.finetune.stages[-1]
    layers = augment_layers(stage, recipe.seed, dataset.image_size, training_images(dataset))
    images, _ = apply_augmentations(layers, images, dataset.task.targets(labels))
    (folder / "plots").mkdir(exist_ok=True)
    captions = dataset.task.captions(labels)
    plot_images(np.asarray(images), captions, folder / "plots" / "train_images.png")
