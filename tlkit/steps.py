"""The steps of the straight way, each a function from values to values."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np

from tlkit import registry
from tlkit import run as runs
from tlkit.data.dataset import Dataset, Split, load_dataset
from tlkit.data.record import SplitName
from tlkit.errors import RunError, RunFailed, UserError
from tlkit.recipe.schema import EffectiveNumber, Norm, Recipe

EVALUATION_BATCH = 32


class Speaker:
    """Tells a person what happens; says nothing where there is no console."""

    def __init__(self, console: Any):
        self.console = console

    def line(self, text: str, **style: Any) -> None:
        if self.console is not None:
            self.console.print(text, highlight=False, markup=False, **style)

    def progress(self, title: str) -> Any:
        """A function `(done, total)` that draws a bar on a terminal."""
        if self.console is None or not self.console.is_terminal:
            return None
        from rich.progress import Progress

        bar = Progress(console=self.console, transient=True)
        task = bar.add_task(title, total=None)
        bar.start()

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.stop()

        return show

    def end(self, folder: pathlib.Path, result: dict[str, Any]) -> None:
        evaluation = result["evaluation"]
        self.line("")
        if "accuracy" in evaluation:
            self.line(
                f"{result['evaluated']} accuracy {evaluation['accuracy']:.4f} on "
                f"{evaluation['images']} images, in {result['seconds']['total']:.0f} s",
                style="bold",
            )
        self.line(f"run      {folder}")
        self.line(f"report   {folder / 'report.html'}")
        for name, export in result["export"].items():
            self.line(f"{name:<8} {folder / export['path']}")
        self.line(f"use it   tlkit predict {folder} YOUR_PHOTOS")


def import_tensorflow() -> None:
    """Imports TensorFlow without its chatter, and lets it take a GPU's memory as needed."""
    # its C++ speaks of missing GPU libraries at every start; failures are exceptions
    with runs.silenced(2):
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
    for device in devices:
        tf.config.experimental.set_memory_growth(device, True)


def start_tensorflow(recipe: Recipe) -> None:
    """Imports TensorFlow, and sets seeds and the number format."""
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(_dtype_policy(recipe.finetune.mixed_precision))


def _dtype_policy(wanted: str) -> str:
    import tensorflow as tf

    if wanted == "auto":
        wanted = "float16" if tf.config.list_physical_devices("GPU") else "off"
    return "float32" if wanted == "off" else f"mixed_{wanted}"


def look_at_data(recipe: Recipe, say: Speaker) -> Dataset:
    """Reads, checks and splits the images."""
    from tlkit.model import image_size

    say.line(f"reading images from {recipe.data.source.name} ...")
    dataset = load_dataset(recipe.data, image_size(recipe), say.progress("reading images"))
    for line in describe_data(dataset):
        say.line(line)
    return dataset


def read_data(
    recipe: Recipe, folder: pathlib.Path, say: Speaker, resumed: bool, allow_data_change: bool
) -> Dataset:
    """Reads the images; writes data.json, images.csv, environment.json and labels.txt.

    Raises:
        RunError: if a run is to be continued on other images than it began with.
    """
    dataset = look_at_data(recipe, say)
    listed = runs.image_list(dataset)
    if resumed and (folder / "images.csv").exists():
        changed = runs.changed_images((folder / "images.csv").read_text("utf-8"), listed)
        if changed and not allow_data_change:
            raise RunError(
                f"cannot be continued: its images have changed since: {'; '.join(changed)}.",
                where=str(folder),
                hint="Go on all the same with --allow-data-change, or begin anew with: tlkit finetune "
                + str(folder / "resolved.yaml"),
            )
        for line in changed:
            say.line(f"changed since: {line}")
        labels = folder / "labels.txt"
        if (
            changed
            and labels.exists()
            and labels.read_text("utf-8").splitlines() != dataset.classes
        ):
            raise RunError("cannot be continued: its classes have changed", where=str(folder))
    if recipe.model.head.name != "original":
        runs.write_atomic(folder / "labels.txt", "".join(f"{name}\n" for name in dataset.classes))
    runs.write_atomic(folder / "images.csv", listed)
    runs.write_json(folder / "data.json", {**dataset.fingerprint(), "notes": dataset.notes})
    runs.write_json(folder / "environment.json", runs.environment())
    return dataset


def describe_data(dataset: Dataset) -> list[str]:
    """Classes and counts as a small table."""
    counts = dataset.counts()
    sizes = ", ".join(f"{len(split)} {name}" for name, split in dataset.splits.items())
    lines = [f"{len(dataset.classes)} classes, images: {sizes}"]
    width = max(len(name) for name in dataset.classes)
    for label in dataset.classes[:30]:
        numbers = "  ".join(f"{name} {counts[name][label]:>5}" for name in counts)
        lines.append(f"  {label:<{width}}  {numbers}")
    if len(dataset.classes) > 30:
        lines.append(f"  ... and {len(dataset.classes) - 30} more classes")
    for name, reason in dataset.broken[:10]:
        lines.append(f"skipped: {name} {reason}")
    if len(dataset.broken) > 10:
        lines.append(f"skipped: {len(dataset.broken) - 10} more, see data.json")
    lines.extend(f"note: {note}" for note in dataset.notes)
    return lines


def make_network(recipe: Recipe, dataset: Dataset, say: Speaker) -> Any:
    """Builds the model; with the original top, labels are matched to its class names."""
    from tlkit.data.pipeline import some_images, training_images
    from tlkit.model import build_network, fit_preprocessing

    if recipe.model.head.name == "original":
        _use_original_classes(dataset, say)
    if recipe.preprocess:
        names = ", ".join(item.name for item in recipe.preprocess)
        say.line(f"fitting to the training images: {names}")

    fitted = fit_preprocessing(recipe.preprocess, training_images(dataset))
    if isinstance(recipe.model.norm, Norm) and recipe.model.norm.swap:
        say.line("calibrating the new normalisation layers on training images ...")
    sample = functools.partial(some_images, dataset, recipe.seed)
    network = build_network(
        recipe.model, dataset.classes, dataset.image_size, fitted, sample, len(dataset.train)
    )
    say.line(
        f"{network.spec.name}: {network.model.count_params():,} parameters, "
        f"{len(network.blocks)} blocks"
    )
    if network.norm:
        say.line(f"norm: {network.norm}")
    return network


def _use_original_classes(dataset: Dataset, say: Speaker) -> None:
    """Renames the data's labels to ImageNet's classes, as far as they are the same."""
    from tlkit.backbones.imagenet import imagenet_classes, match_class

    names = imagenet_classes()
    own = {index: match_class(label) for index, label in enumerate(dataset.classes)}
    matched = [f"{dataset.classes[i]} = {names[j]}" for i, j in own.items() if j is not None]
    say.line(f"classes found in ImageNet: {', '.join(matched) or 'none'}")
    for split in dataset.splits.values():
        split.labels = np.array(
            [-1 if (k := own[int(label)]) is None else k for label in split.labels], np.int32
        )
    dataset.classes = names


def describe_changes(recipe: Recipe) -> list[str]:
    """What a recipe changes beside what its stages train, a line each."""

    def names(items: Any) -> str:
        return ", ".join(
            item.name
            + "".join(f" {key}={value:g}" for key, value in item.arguments.items() if
                      isinstance(value, float))
            for item in items
        )  # fmt: skip

    lines = []
    if recipe.augment:
        lines.append(f"augment, on the {recipe.augment_on}: {names(recipe.augment)}")
    if recipe.preprocess:
        left = {registry.PREPROCESSORS[item.name].facts["leaves"] for item in recipe.preprocess}
        instead = ""
        if "scaled" in left:
            instead = "; in the place of the backbone's own scaling"
        elif "centred" in left:
            instead = "; in the place of the backbone's own mean"
        lines.append(f"preprocess: {names(recipe.preprocess)}{instead}")
    if recipe.model.insert:
        lines.append(f"insert: {names(recipe.model.insert)}")
    if recipe.regularize:
        lines.append(f"regularize: {names(recipe.regularize)}")
    loss = recipe.finetune.loss
    lines.append(f"loss: {names([loss])}")
    if recipe.finetune.adversarial is not None:
        attack = recipe.finetune.adversarial
        lines.append(
            f"adversarial: {names([attack.attack])} on the {attack.on}, weight {attack.weight:g}"
        )
    return lines


def describe_stage(
    index: int, stage: Any, plan: Any, network: Any, recipe: Recipe, dataset: Dataset
) -> list[str]:
    """One stage as lines for a person: what trains, how long, how fast, what is kept."""
    from tlkit.features.compute import place_for
    from tlkit.features.cut import find_cut
    from tlkit.freeze import describe
    from tlkit.train.plans import stage_cut, stage_views

    images = len(dataset.train)
    lines = [f"\nstage {index + 1}: {stage.name}", describe(plan)]
    if not stage.epochs:
        return lines
    sizes = {v.path: int(np.prod(v.shape)) for v in network.model.weights}
    count = sum(sizes[path] for path in plan.trainable)
    steps = -(-images // stage.batch_size)
    lines.append(f"  {count:,} of {sum(sizes.values()):,} parameters train")
    if stage.solver == "lbfgs":
        lines.append(f"  the head is solved to its optimum by L-BFGS, l2 {stage.l2}")
    else:
        rate = stage.optimizer.arguments["learning_rate"]
        lines.append(
            f"  {stage.epochs} epochs of {steps} steps of {stage.batch_size} images, "
            f"{stage.optimizer.name} at {rate if isinstance(rate, str) else format(rate, 'g')}, "
            f"schedule {stage.schedule.name}"
        )
    if stage.image_size is not None:
        lines.append(f"  images of {stage.image_size} pixels")
    cut = stage_cut(stage, plan, network, recipe.finetune.adversarial, recipe.cache)
    if cut is not None:
        views = stage_views(stage, recipe.cache) or 1
        shapes = ", ".join("x".join(map(str, shape)) for shape in cut.shapes)
        kept, why = place_for(cut, dataset, recipe.cache, views)
        drawn = f" for {views} draws of each image" if stage.augment else ""
        lines.append(
            f"  what is frozen is computed once{drawn}: {shapes} an image, kept in {kept}: {why}"
            if kept
            else f"  what is frozen is computed at every epoch: {why}"
        )
    elif find_cut(network.logits, plan) is not None:
        if recipe.cache == "off":
            lines.append("  what is frozen is computed at every epoch, as cache is off")
        elif stage.augment:
            lines.append(
                "  augmented images pass through what is frozen at every epoch; with "
                "cache: {views: 4} only 4 draws of each would, once"
            )
    return lines


def train(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    folder: pathlib.Path,
    say: Speaker,
    resumed: bool,
    stops: Any,
    began: float,
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
    recorder = Recorder(folder, _steps_done(recipe, state, len(dataset.train)), more)
    show = [Progress(say.console)] if say.console is not None else []
    training = make_training(recipe, dataset, network, state, state_file, say)
    training.callbacks, training.resumed, training.stops = [*show, recorder], arrays, stops
    training.began = began
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
        recorder.close()
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
        config=recipe.finetune,
        class_weights=class_weights(recipe, dataset),
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


def profile(recipe: Recipe, dataset: Dataset, network: Any, say: Speaker) -> None:
    """Says where the time of each stage would go."""
    from tlkit.train import profile as profiles
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.state import TrainState

    training = make_training(recipe, dataset, network, TrainState(), None, say)
    files = profiles.profile_files(dataset)
    for line in profiles.describe_files(files):
        say.line(line)
    for index, (stage, plan) in enumerate(stage_plans(recipe, network)):
        if stage.epochs:
            say.line(f"stage {index + 1}: {stage.name}")
            own, own_plan = at_own_size(training, recipe, stage, plan)
            found = profiles.profile_stage(own, stage, own_plan, files)
            for line in profiles.describe_time(found, stage.epochs):
                say.line(line)


def babysit(recipe: Recipe, dataset: Dataset, network: Any, say: Speaker) -> list[Any]:
    """Checks whether a recipe trains at all; returns the problems, which it tells as they come."""
    from tlkit.train import babysit as checks
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.state import TrainState

    training = make_training(recipe, dataset, network, TrainState(), None, say)
    stages = []
    for stage, plan in stage_plans(recipe, network):
        if stage.epochs:
            own, own_plan = at_own_size(training, recipe, stage, plan)
            stages.append((own, stage, own_plan))
    problems = []
    for problem in checks.babysit(training, stages):
        problems.append(problem)
        say.line(f"{problem.check}: {problem.text}. {problem.hint}", style="bold red")
    return problems


def quick_checks(dataset: Dataset, network: Any, seed: int, say: Speaker) -> list[dict[str, str]]:
    """The short ones of these checks, which every run makes; problems are told, not more."""
    from tlkit.train import babysit as checks

    found = [*checks.check_data(dataset, seed), *checks.check_range(network, dataset, seed)]
    for problem in found:
        say.line(f"{problem.check}: {problem.text}. {problem.hint}", style="bold yellow")
    return [dataclasses.asdict(problem) for problem in found]


def find_rate(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    number: int | None,
    low: float,
    high: float,
    steps: int,
    say: Speaker,
) -> tuple[str, Any]:
    """Sweeps over learning rates for one stage.

    Args:
        recipe: Completed.
        dataset: Images.
        network: As it was loaded.
        number: Of the stage, from 0; the first that trains by gradient if not given.
        low: First rate.
        high: Last rate.
        steps: Of the sweep.
        say: Tells a person.

    Returns:
        What the recipe calls the stage's optimizer, and the sweep.

    Raises:
        UserError: if there is no such stage.
    """
    from tlkit.train.loop import prepare_stage
    from tlkit.train.lr_find import sweep_rates
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.state import TrainState

    plans = stage_plans(recipe, network)
    able = [k for k, (s, _) in enumerate(plans) if s.epochs and s.solver == "gradient"]
    if not able or (number is not None and number not in able):
        listed = ", ".join(f"{k} ({plans[k][0].name})" for k in able) or "none"
        raise UserError(f"there is no such stage to sweep; stages with steps: {listed}")
    chosen = able[0] if number is None else number
    stage, plan = plans[chosen]
    assert stage.optimizer is not None
    training = make_training(recipe, dataset, network, TrainState(), None, say)
    own, own_plan = at_own_size(training, recipe, stage, plan)
    with contextlib.ExitStack() as undo:
        ready = prepare_stage(own, stage, own_plan, undo)
        found = sweep_rates(own, ready, low, high, steps)
    return f"finetune.stages[{chosen}].optimizer: {stage.optimizer.name}", found


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


def _steps_done(recipe: Recipe, state: Any, images: int) -> int:
    """Steps of the whole run before the saved position."""
    done = 0
    for result, stage in zip(state.results, recipe.finetune.stages, strict=False):
        done += result["epochs"] * -(-images // (stage.batch_size or 1))
    if state.stage < len(recipe.finetune.stages):
        size = recipe.finetune.stages[state.stage].batch_size or 1
        done += state.epoch * -(-images // size) + state.batch
    return done


def class_weights(recipe: Recipe, dataset: Dataset) -> np.ndarray:
    """Weight of each class in the loss, `(classes,)`.

    `balanced` is n / (classes * n_class), whose mean over the images is 1.

    Raises:
        UserError: if the recipe weighs a class that does not exist.
    """
    wanted = recipe.finetune.class_weight
    weights = np.ones(len(dataset.classes), np.float32)
    if wanted == "balanced":
        from tlkit.losses.class_weights import inverse_frequency

        return inverse_frequency(np.bincount(dataset.train.labels, minlength=len(dataset.classes)))
    if isinstance(wanted, EffectiveNumber):
        from tlkit.losses.class_weights import effective_number

        counts = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
        return effective_number(counts, wanted.effective_number)
    if isinstance(wanted, dict):
        from tlkit.errors import did_you_mean

        for name, weight in wanted.items():
            if name not in dataset.classes:
                raise UserError(
                    f"{name!r} is not a class. {did_you_mean(name, dataset.classes)}",
                    where="finetune.class_weight",
                )
            weights[dataset.classes.index(name)] = weight
    return weights


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
    images, _ = apply_augmentations(layers, images, tf.one_hot(labels, len(dataset.classes)))
    (folder / "plots").mkdir(exist_ok=True)
    captions = [dataset.classes[k] if k >= 0 else "" for k in labels]
    plot_images(np.asarray(images), captions, folder / "plots" / "train_images.png")


def evaluate(
    dataset: Dataset,
    network: Any,
    val_logits: np.ndarray | None,
    folder: pathlib.Path,
    say: Speaker,
) -> tuple[SplitName, np.ndarray, dict[str, Any]]:
    """Figures and predictions.csv for the test split, or val where there is no test.

    Args:
        dataset: Images.
        network: As it is served.
        val_logits: Of the validation images, where they are known.
        folder: Of the run.
        say: Tells a person.
    """
    from tlkit.data.pipeline import batches
    from tlkit.evaluate.examples import save_examples
    from tlkit.evaluate.forward import make_fast_forward, predict_outputs
    from tlkit.evaluate.metrics import softmax

    name: SplitName = "test" if "test" in dataset.splits else "val"
    split = dataset.splits[name]
    say.line(f"\nevaluating on {len(split)} images of {name} ...")
    if name == "val" and val_logits is not None:
        logits = val_logits
    else:
        first, _ = next(batches(split, dataset.prepare, EVALUATION_BATCH))
        forward = make_fast_forward(
            network.logits, np.asarray(first), len(split), say=lambda line: say.line(f"  {line}")
        )
        logits = predict_outputs(forward, split, dataset.prepare, EVALUATION_BATCH)
    figures = save_evaluation(logits, split, network.classes, folder)
    save_examples(
        network.logits,
        split,
        dataset.prepare,
        softmax(logits),
        network.classes,
        folder / "examples",
    )
    network.model.save(folder / "model.keras")
    return name, logits, figures


def save_evaluation(
    logits: np.ndarray, split: Split, classes: list[str], folder: pathlib.Path
) -> dict[str, Any]:
    """Writes predictions.csv and the plots of an evaluation; returns its figures."""
    from tlkit.evaluate.metrics import evaluate, softmax
    from tlkit.evaluate.predictions import write_predictions
    from tlkit.report import plots

    probabilities = softmax(logits)
    names = [record.name for record in split.records]
    labels = [record.label for record in split.records]
    write_predictions(folder / "predictions.csv", names, labels, probabilities, classes)
    figures = evaluate(probabilities, split.labels, classes)
    (folder / "plots").mkdir(exist_ok=True)
    if "confusion" in figures and len(classes) <= 200:
        plots.plot_confusion(
            np.array(figures["confusion"]), classes, folder / "plots" / "confusion_matrix.png"
        )
        plots.plot_calibration(figures["calibration"], folder / "plots" / "calibration.png")
        plots.plot_classes(figures["per_class"], folder / "plots" / "classes.png")
    return figures


def missed_requirements(
    recipe: Recipe, evaluated: str, evaluation: dict[str, Any], validation: dict[str, Any]
) -> list[str]:
    """What of the recipe's `require` was not reached, a line each.

    Args:
        recipe: Of the run.
        evaluated: Name of the split that was evaluated.
        evaluation: Its figures.
        validation: `val_accuracy` and `val_loss` of the last stage.
    """
    if recipe.require is None:
        return []
    recalls = [
        row["recall"] for row in evaluation.get("per_class", ()) if row["recall"] is not None
    ]
    found = {**validation, **evaluation, "worst_recall": min(recalls, default=None)}
    if evaluated == "val" and "accuracy" in evaluation:
        found |= {f"val_{key}": evaluation[key] for key in ("accuracy", "loss")}
    missed = []
    for key, wanted in recipe.require.model_dump(exclude_none=True).items():
        value = found.get(key)
        most = key.endswith("loss")
        if value is None or (value > wanted if most else value < wanted):
            shown = "not known" if value is None else f"{value:.4f}"
            missed.append(
                f"{key} is {shown}; require: {'at most' if most else 'at least'} {wanted:g}"
            )
    return missed


def export(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    evaluated: SplitName,
    logits: np.ndarray,
    evaluation: dict[str, Any],
    folder: pathlib.Path,
    say: Speaker,
) -> dict[str, Any]:
    """Writes every wanted format and proves that it answers as evaluated."""
    from tlkit.data.pipeline import some_images
    from tlkit.evaluate.metrics import softmax
    from tlkit.export.write import Served, describe, write_export

    served = Served(
        network.model,
        network.classes,
        dataset.image_size,
        recipe.data.resize,
        recipe.data.antialias,
        dataset.prepare,
        dataset.splits[evaluated],
        softmax(logits),
        functools.partial(some_images, dataset, recipe.seed),
        model_card(recipe, network.spec.licence, dataset.counts()["train"], evaluated, evaluation),
    )
    results: dict[str, Any] = {}
    for item in recipe.export:
        say.line(f"exporting {item.name} ...")
        name, place, parity = write_export(
            item, served, folder / "export", recipe.max_accuracy_drop
        )
        say.line(f"  {describe(name, parity)}")
        results[name] = {
            "path": str(place.relative_to(folder)),
            "parity": dataclasses.asdict(parity),
        }
    return results


def model_card(
    recipe: Recipe, licence: str, counts: dict[str, int], evaluated: str, evaluation: dict[str, Any]
) -> dict[str, Any]:
    """What a model card says beside what the export knows."""
    words = "on no known labels"
    if "accuracy" in evaluation:
        low, high = evaluation["intervals"]["accuracy"]
        words = (
            f"accuracy {evaluation['accuracy']:.4f} on {evaluation['images']} images of {evaluated}, "
            f"95 % between {low:.3f} and {high:.3f}"
        )
    weights = "none: from random ones" if recipe.model.weights == "none" else licence
    return {
        "name": recipe.name,
        "backbone": recipe.model.backbone,
        "licence": weights,
        "counts": counts,
        "accuracy": words,
    }


def write_result(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    stages: list[dict[str, Any]],
    evaluated: SplitName,
    evaluation: dict[str, Any],
    exports: dict[str, Any],
    seconds: dict[str, float],
    missed: list[str],
    sanity: list[dict[str, str]],
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Writes result.json and the report."""
    from tlkit.report.page import write_report
    from tlkit.report.plots import plot_curves

    best = stages[-1]["metrics"] if stages else {}
    if evaluated == "val" and "accuracy" in evaluation:
        best = {**best, "val_accuracy": evaluation["accuracy"], "val_loss": evaluation["loss"]}
    result = {
        "status": "below requirement" if missed else "done",
        "missed": missed,
        "sanity": sanity,
        "name": recipe.name,
        "seed": recipe.seed,
        "backbone": network.spec.name,
        "parameters": network.model.count_params(),
        "image_size": list(dataset.image_size),
        "classes": len(network.classes),
        "stages": stages,
        "best": {key: best[key] for key in ("val_accuracy", "val_loss") if key in best},
        "evaluated": evaluated,
        "evaluation": evaluation,
        "test": {
            k: v
            for k, v in evaluation.items()
            if k not in ("per_class", "confusion", "calibration")
        }
        if evaluated == "test"
        else None,
        "export": exports,
        "peak_memory_mb": runs.peak_memory_mb(),
        "seconds": seconds,
    }
    (folder / "plots").mkdir(exist_ok=True)
    plot_curves(folder / "metrics.csv", folder / "plots" / "curves.png")
    data = json.loads((folder / "data.json").read_text("utf-8"))
    write_report(folder, result, data)
    runs.write_json(folder / "result.json", result)
    return result
