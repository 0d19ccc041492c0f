"""The training loop: one compiled step, ordinary Keras callbacks, a position that can be saved."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches, epoch_order, training_images
from tlkit.errors import RunFailed
from tlkit.evaluate.forward import make_forward, predict_outputs
from tlkit.evaluate.metrics import loss_and_accuracy
from tlkit.features.compute import Made, Views, frozen_features
from tlkit.features.fingerprint import layers_fingerprint
from tlkit.freeze import FreezePlan, apply_plan
from tlkit.model import Network, in_float32
from tlkit.optimizers import with_adaptive_clipping, with_multipliers
from tlkit.recipe.schema import Cache, Checkpoint, Finetune, Named, Stage
from tlkit.train.ema import WeightAverage
from tlkit.train.interrupt import Stops
from tlkit.train.pipeline_augment import augmented, make_draw
from tlkit.train.plans import stage_cut, stage_views
from tlkit.train.regularize import Regularization, regularize_stage
from tlkit.train.solve import solve
from tlkit.train.state import Arrays, TrainState, callback_numbers, save_state
from tlkit.train.step import Objective, make_loss, make_step

VALIDATION_BATCH = 32


@dataclasses.dataclass
class Training:
    """What all stages of a run share.

    Attributes:
        network: What is trained.
        dataset: What it is trained on.
        config: The recipe's `finetune`.
        class_weights: Weight of each class in the loss, `(classes,)`.
        seed: Of the run.
        state: Where the run stands.
        state_file: Where that is saved.
        callbacks: Keras callbacks, called in every stage.
        progress: Makes a function `(done, total)` that shows how far a pass is.
        resumed: Arrays to continue from, until the stage has taken them.
        regularize: The recipe's regularizers.
        start: Pretrained values of the variables that were not new, by path.
        augment_on: `device` or `pipeline`.
        engine: What computes frozen parts.
        cache: Where what they give is kept.
        checkpoint: How often the state is saved within an epoch.
        stops: Holds signals back where something must be done whole.
        val_logits: Of the validation images at the end of the last stage, where they are known.
        say: Is told what a person may want to know.
    """

    network: Network
    dataset: Dataset
    config: Finetune
    class_weights: np.ndarray
    seed: int
    state: TrainState
    state_file: pathlib.Path
    callbacks: list[Any]
    progress: Any = None
    resumed: Arrays | None = None
    regularize: list[Named] = dataclasses.field(default_factory=list)
    start: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    augment_on: str = "device"
    engine: str = "auto"
    cache: str | Cache = "auto"
    checkpoint: Checkpoint = dataclasses.field(default_factory=Checkpoint)
    stops: Stops = dataclasses.field(default_factory=Stops)
    say: Callable[[str], None] = lambda line: None
    val_logits: np.ndarray | None = None


def make_optimizer(stage: Stage, plan: FreezePlan, network: Network) -> Any:
    """The stage's optimizer, with clipping, accumulation and rates by variable."""
    import re

    import keras

    assert stage.optimizer is not None
    optimizer = registry.OPTIMIZERS.build(stage.optimizer.name, **stage.optimizer.arguments)
    optimizer.global_clipnorm = stage.global_clipnorm
    optimizer.clipnorm, optimizer.clipvalue = stage.clipnorm, stage.clipvalue
    if stage.gradient_accumulation_steps > 1:
        optimizer.gradient_accumulation_steps = stage.gradient_accumulation_steps
    if getattr(optimizer, "weight_decay", None):
        # decay pulls kernels to zero; a scale of zero would switch its channel off
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma", "scale"])
    if plan.multipliers:
        exact = {f"^{re.escape(path)}$": factor for path, factor in plan.multipliers.items()}
        with_multipliers(optimizer, exact)
    if stage.adaptive_clipping:
        head = [v.path for layer in network.head for v in layer.weights]
        alone = [f"^{re.escape(path)}$" for path in head]
        with_adaptive_clipping(optimizer, stage.adaptive_clipping, alone)
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
        layer.mixes_labels = entry.facts.get("mixes_labels", False)
        if entry.facts.get("fitted") and images is not None:
            layer.adapt(images())
        layers.append(layer)
    return layers


def is_better(monitor: str, new: float, old: float, least: float = 0.0) -> bool:
    """Whether a monitored value improved by more than `least`."""
    return new > old + least if monitor.endswith("accuracy") else new < old - least


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
        undo.callback(apply_plan(plan, network.model, network.blocks))
        by_path = {v.path: v for v in network.model.variables}
        variables = [by_path[path] for path in plan.trainable]
        regularization = regularize_stage(
            training.regularize, variables, training.start, training.seed
        )
        undo.callback(regularization.take_off)
        optimizer = make_optimizer(stage, plan, network)
        optimizer.build(variables + regularization.variables)
        changing = variables + _statistics(network, plan)
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
        fit = _Fit(
            training,
            stage,
            plan,
            model,
            dataset,
            changing,
            optimizer,
            average,
            _random_state(network, here, regularization),
            _callbacks(training, stage, model),
            began,
            ahead,
            made,
        )
        objective = make_objective(training, regularization, parts)
        # Keras's AugMix draws its chains by Python's generator when the step is compiled
        random.seed(f"{training.seed} {training.state.stage}")
        try:
            step = make_step(model, objective, here, optimizer, variables, average)
            return fit.run(step, make_forward(model))
        except KeyboardInterrupt:
            fit.save()
            raise


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
    classes = len(training.network.classes)
    counts = np.bincount(training.dataset.train.labels, minlength=classes)
    return Objective(
        make_loss(training.config.loss, counts),
        training.class_weights.astype("float32"),
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

    assert stage.batch_size is not None
    return keras.callbacks.CallbackList(
        [_schedule_callback(stage), *training.callbacks],
        model=model,
        epochs=stage.epochs,
        steps=-(-len(training.dataset.train) // stage.batch_size),
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
    from tlkit.callbacks import HalveOnPlateau, ScheduledRate

    assert stage.schedule is not None
    if stage.schedule.name == "halve_on_plateau":
        callback: HalveOnPlateau = registry.SCHEDULES.build(
            stage.schedule.name, **stage.schedule.arguments
        )
        return callback
    return ScheduledRate(registry.SCHEDULES[stage.schedule.name].load(), **stage.schedule.arguments)


@dataclasses.dataclass
class _Fit:
    """One stage under way."""

    training: Training
    stage: Stage
    plan: FreezePlan
    model: Any
    dataset: Dataset
    changing: list[Any]
    optimizer: Any
    average: WeightAverage | None
    seeds: list[Any]
    callbacks: Any
    began: float
    ahead: list[Any]
    made: Made | None
    best_arrays: list[np.ndarray] = dataclasses.field(default_factory=list)
    saved: float = dataclasses.field(default_factory=time.monotonic)

    def run(self, step: Any, forward: Any) -> dict[str, Any]:
        training, state, model = self.training, self.training.state, self.model
        # the pass over a frozen backbone is part of the training it saves
        images_seen, train_seconds = 0, time.perf_counter() - self.began
        if training.resumed is None:
            self._begin(forward)
        self.callbacks.on_train_begin()
        if training.resumed is not None:
            self._continue(training.resumed)
            training.resumed = None
        while state.epoch < (self.stage.epochs or 0) and not model.stop_training:
            self.callbacks.on_epoch_begin(state.epoch)
            start, first = time.perf_counter(), state.batch
            logs = self._solve() if self.stage.solver == "lbfgs" else self._epoch(step)
            seconds = time.perf_counter() - start
            # stopped while validating, the resumed epoch has no batch left
            seen = max(0, len(self.dataset.train) - first * (self.stage.batch_size or 0))
            images_seen, train_seconds = images_seen + seen, train_seconds + seconds
            logs |= self._validate(forward)
            logs["images_per_second"] = seen / seconds
            with training.stops.held():
                self.callbacks.on_epoch_end(state.epoch, logs)
                self._remember(logs)
                row = {"stage": self.stage.name, "epoch": state.epoch, **_plain(logs)}
                state.history.append(row)
                state.epoch, state.batch, state.sums = state.epoch + 1, 0, [0.0, 0.0, 0.0]
                self.save()
        self.callbacks.on_train_end()
        self._take_best()
        # computed as they are when the model is served, so that no other pass is needed
        training.val_logits = None
        if self.made is not None:
            training.val_logits = predict_outputs(
                forward, self.dataset.val, self.dataset.prepare, VALIDATION_BATCH
            )
        result = {
            "name": self.stage.name,
            "policy": self.plan.policy,
            "epochs": state.epoch,
            "seconds": round(time.perf_counter() - self.began, 3),
            "images_per_second": round(images_seen / train_seconds, 2),
            "best_epoch": state.best["epoch"] + 1,
            "metrics": state.best["logs"],
        }
        if self.made is not None:
            result["features"] = dataclasses.asdict(self.made)
        state.results.append(result)
        state.epochs_before += state.epoch
        state.stage, state.epoch, state.batch, state.best = state.stage + 1, 0, 0, {}
        self.best_arrays = []
        return result

    def _epoch(self, step: Any) -> dict[str, float]:
        """One pass over the training images, or what is left of it."""
        training, state = self.training, self.training.state
        train = self.dataset.train.in_epoch(state.epochs_before + state.epoch)
        order = epoch_order(len(train), training.seed, state.epochs_before + state.epoch)
        size = self.stage.batch_size or 1
        given = batches(train, self.dataset.prepare, size, order, state.batch)
        if self.ahead:
            place = (training.seed, state.epochs_before + state.epoch, state.batch)
            given = augmented(given, self.ahead, len(training.network.classes), place)
        for images, labels in given:
            # a step and its count belong together, or a resumed run would take it twice
            with training.stops.held():
                self._step(step, images, labels)
                if self._due():
                    self.save()
        total = state.sums[2]
        return {"loss": state.sums[0] / total, "accuracy": state.sums[1] / total}

    def _step(self, step: Any, images: Any, labels: Any) -> None:
        """One update, counted."""
        state = self.training.state
        self.callbacks.on_train_batch_begin(state.batch)
        rate = float(self.optimizer.learning_rate)
        loss, right = (float(value) for value in step(images, labels))
        if not np.isfinite(loss):
            raise RunFailed(
                f"the loss became {loss} in stage {self.stage.name!r}, epoch {state.epoch + 1}, "
                f"step {state.batch + 1}, at learning rate {rate:.3g}.",
                hint="Lower the learning rate, or set global_clipnorm: 1.0 in that stage.",
            )
        count = len(labels)
        state.sums = [
            state.sums[0] + loss * count,
            state.sums[1] + right,
            state.sums[2] + count,
        ]
        state.batch += 1
        self.callbacks.on_train_batch_end(
            state.batch - 1,
            {"loss": loss, "accuracy": right / count, "learning_rate": rate, "images": count},
        )

    def _due(self) -> bool:
        """Whether the state is to be saved within the epoch, now."""
        number, _, unit = self.training.checkpoint.every.partition(" ")
        if unit.startswith("step"):
            return self.training.state.batch % int(number) == 0
        return unit != "" and time.monotonic() - self.saved > 60 * int(number)

    def _solve(self) -> dict[str, float]:
        """In the place of an epoch: the optimum of the head, and no step towards it."""
        training = self.training
        smoothing = training.config.loss.arguments.get("label_smoothing", 0.0)
        (layer,) = training.network.head
        train, weights = self.dataset.train, training.class_weights
        logs, found = solve(layer, train, self.stage, smoothing, weights, training.seed)
        training.say(
            f"head solved with l2 {found.l2:.2g} in {found.iterations} iterations, gradient "
            f"{found.gradient:.0e} of its start"
        )
        return logs

    def _validate(self, forward: Any) -> dict[str, float]:
        dataset = self.dataset
        if self.average is not None:
            self.average.lend()
        try:
            logits = predict_outputs(forward, dataset.val, dataset.prepare, VALIDATION_BATCH)
        finally:
            if self.average is not None:
                self.average.take_back()
        loss, accuracy = loss_and_accuracy(logits, dataset.val.labels)
        return {"val_loss": loss, "val_accuracy": accuracy}

    def _improves(self, logs: dict[str, Any]) -> bool:
        """Whether an epoch is the best so far; equal accuracies are told apart by the loss."""
        early, best = self.training.config.early_stopping, self.training.state.best
        if not best:
            return True
        if early is not None:
            key = early.monitor
            return is_better(key, logs[key], best["logs"][key], early.min_delta)
        new, old = ((item["val_accuracy"], -item["val_loss"]) for item in (logs, best["logs"]))
        return new > old

    def _begin(self, forward: Any) -> None:
        """A later stage must beat what it began with."""
        state = self.training.state
        if state.results:
            state.best = {"epoch": -1, "logs": _plain(self._validate(forward)), "waited": 0}
            self.best_arrays = self._present()

    def _present(self) -> list[np.ndarray]:
        """The weights that count: the averages where there are any."""
        if self.average is not None:
            return [np.asarray(a) for a in self.average.averages]
        return [np.asarray(v) for v in self.changing]

    def _remember(self, logs: dict[str, Any]) -> None:
        """Keeps the best weights; stops where nothing has improved for long."""
        state, early = self.training.state, self.training.config.early_stopping
        if self._improves(logs):
            state.best = {"epoch": state.epoch, "logs": _plain(logs), "waited": 0}
            self.best_arrays = self._present()
            return
        state.best["waited"] += 1
        if early is not None and state.best["waited"] >= early.patience:
            self.model.stop_training = True

    def _take_best(self) -> None:
        """Ends the stage with its best weights, or its last where that is wanted."""
        state = self.training.state
        if self.training.config.best_weights or not state.history:
            values = self.best_arrays
        else:
            values = self._present()
            last = {k: v for k, v in state.history[-1].items() if k not in ("stage", "epoch")}
            state.best = {"epoch": state.epoch - 1, "logs": last, "waited": 0}
        for variable, value in zip(self.changing, values, strict=True):
            variable.assign(value)

    def save(self) -> None:
        """Writes the whole state, and the rows of metrics.csv that belong to it."""
        state = self.training.state
        for callback in self.callbacks.callbacks:
            if hasattr(callback, "flush"):
                callback.flush()
        state.callbacks = {
            type(callback).__name__: callback_numbers(callback)
            for callback in self.callbacks.callbacks
        }
        arrays: Arrays = {
            "model": [np.asarray(v) for v in self.training.network.model.variables],
            "optimizer": [np.asarray(v) for v in self.optimizer.variables],
            "best": self.best_arrays,
            "average": self.average.arrays() if self.average else [],
            "seeds": [np.asarray(v) for v in self.seeds],
        }
        save_state(self.training.state_file, state, arrays)
        self.saved = time.monotonic()

    def _continue(self, arrays: Arrays) -> None:
        """Takes up a saved state, callbacks' memory included."""
        pairs = [
            (self.training.network.model.variables, arrays["model"]),
            (self.optimizer.variables, arrays["optimizer"]),
            (self.seeds, arrays.get("seeds", [])),
        ]
        for variables, values in pairs:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.best_arrays = arrays.get("best", [])
        if self.average is not None:
            self.average.set_arrays(arrays["average"])
        remembered = self.training.state.callbacks
        for callback in self.callbacks.callbacks:
            for key, value in remembered.get(type(callback).__name__, {}).items():
                setattr(callback, key, value)
        early = self.training.config.early_stopping
        best = self.training.state.best
        if early is not None and best and best["waited"] >= early.patience:
            self.model.stop_training = True


def _plain(logs: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in logs.items()}
