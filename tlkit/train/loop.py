"""The training loop: the epochs and steps of a stage, and their resumable state."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tlkit import registry
from tlkit.callbacks import ScheduledRate
from tlkit.callbacks.direction import direction_of
from tlkit.callbacks.schedule import ALONE, HANDED
from tlkit.data.pipeline import batches, epoch_order
from tlkit.errors import RunFailed, some_of
from tlkit.evaluate.forward import make_forward, predict_outputs
from tlkit.recipe.schema import Stage
from tlkit.tensors import Tensor
from tlkit.train.context import RunContext
from tlkit.train.counting import count_steps
from tlkit.train.guard import OFF, StageRecord, are_alike, check_moves, checksums, some_that_differ
from tlkit.train.lr_find import sweep_rates
from tlkit.train.monitor import SAMPLE, Monitor
from tlkit.train.own_callbacks import OwnCallbacks
from tlkit.train.pipeline_augment import augmented
from tlkit.train.plans import PlannedStage
from tlkit.train.rescue import rescued
from tlkit.train.result import StageResult
from tlkit.train.solve import solve
from tlkit.train.stage_setup import StageSetup, set_up_stage, wants_rate
from tlkit.train.state import (
    Arrays,
    BestEpoch,
    EpochTotals,
    TrainState,
    callback_numbers,
    good_state,
    save_state,
)
from tlkit.train.step import StepValues, read_values

VALIDATION_BATCH = 32
MOST_ROLLBACKS = 3
STILL_BUSY = 5e-4  # seconds to read a step's values above which it was not done yet
SAVING_SHARE = 0.1  # largest fraction of training time spent on checkpoints of short epochs
SAMPLE_EVERY = 120  # batches between two dead-ReLU measurements
# seconds for evaluation, export and report, besides inference on the images
CLOSING_SECONDS = 20.0


class NonFiniteLoss(Exception):  # noqa: N818 - a state of training, handled here
    """The loss is NaN or infinite."""


def is_better(monitor: str, new: float, old: float, least: float = 0.0) -> bool:
    """Whether a monitored value improved by more than `least`."""
    return new > old + least if direction_of(monitor) == "max" else new < old - least


@dataclasses.dataclass(frozen=True)
class StageEnd:
    """The end of a stage.

    Attributes:
        result: Result of the stage.
        val_logits: Logits of the validation images; None if not computed.
    """

    result: StageResult
    val_logits: np.ndarray | None


def run_stage(
    context: RunContext,
    state: TrainState,
    planned: PlannedStage,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    saved: Arrays | None = None,
) -> StageEnd:
    """Trains one stage and leaves the model with its best weights.

    Args:
        context: Context shared by all stages.
        state: Training state; it is updated in place.
        planned: The stage, with its defaults filled in, and what it trains.
        callbacks: Keras callbacks.
        saved: Arrays of a checkpoint to resume from.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after a checkpoint was saved.
        RunFailed: if the loss became infinite or NaN.
    """
    began = time.perf_counter()
    with contextlib.ExitStack() as undo:
        setup = set_up_stage(context, planned, undo)
        if wants_rate(planned.stage):
            setup.optimizer.learning_rate = _found_rate(context, state, setup)
        loop = StageLoop(context, state, setup, _callbacks(context, setup, callbacks), began)
        try:
            return loop.run(saved)
        except KeyboardInterrupt:
            # if the last loss is not finite, the previous checkpoint is the one to resume from
            with contextlib.suppress(NonFiniteLoss):
                loop.save()
            raise


def _found_rate(context: RunContext, state: TrainState, setup: StageSetup) -> float:
    """The learning rate from a sweep; the one found before if the stage is resumed."""
    if state.found_rate is None:
        found = sweep_rates(context, setup)
        state.found_rate = found.valley
        state.micro_batch = setup.step.micro_batch  # memory is as small for the stage
        context.reporter.detail(
            f"learning rate found: {found.valley:.2g} (steepest at {found.steepest:.2g})"
        )
    return state.found_rate


def _callbacks(
    context: RunContext, setup: StageSetup, callbacks: Sequence[keras.callbacks.Callback]
) -> keras.callbacks.CallbackList:
    own, stage = context.callbacks, setup.stage
    theirs = [OwnCallbacks(own, context.network.model)] if own else []
    return keras.callbacks.CallbackList(
        [_schedule_callback(stage), *callbacks, *theirs],
        model=setup.model,
        epochs=stage.epochs,
        steps=count_steps(stage, len(context.dataset.train)).batches_per_epoch,
        stage=stage.name,
        **{ALONE: not _has_own_callbacks(context, stage)},
    )


def _has_own_callbacks(context: RunContext, stage: Stage) -> bool:
    """Whether code of the user's is called at each step."""
    assert stage.schedule is not None
    entry = registry.SCHEDULES[stage.schedule.name]
    return bool(context.callbacks) or (entry.facts.makes_callback and not entry.is_packaged)


def _schedule_callback(stage: Stage) -> keras.callbacks.Callback:
    """The stage's schedule as a callback."""
    assert stage.schedule is not None
    entry = registry.SCHEDULES[stage.schedule.name]
    if entry.facts.makes_callback:
        found: keras.callbacks.Callback = entry.call({}, **stage.schedule.arguments)
        return found
    make = entry.by_position(*HANDED)
    return ScheduledRate(make, **stage.schedule.arguments)


@dataclasses.dataclass(frozen=True)
class StartedStep:
    """A step that was started but may not have finished.

    Attributes:
        names: File names of its images.
        values: Its output, for `read_values`.
    """

    names: list[str]
    values: Tensor


@dataclasses.dataclass
class StageLoop:
    """A stage in progress.

    Attributes:
        context: Context shared by all stages.
        state: Training state.
        setup: Everything that its steps need.
        callbacks: All callbacks, including the user's.
        began: Start time, by `time.perf_counter`.
        best_arrays: Weights of the best epoch.
        saved: Time of the last checkpoint.
        saved_update: Number of updates at the last checkpoint.
        saving: Seconds that the last checkpoint took.
        waiting: A started step whose values have not been read yet.
        waited: Seconds that the device waited for data in this epoch.
        busy: Seconds that the last step still took when its values were asked for.
        passing: Seconds that the last validation took.
    """

    context: RunContext
    state: TrainState
    setup: StageSetup
    callbacks: keras.callbacks.CallbackList
    began: float
    best_arrays: list[np.ndarray] = dataclasses.field(default_factory=list)
    saved: float = dataclasses.field(default_factory=time.monotonic)
    saved_update: int = 0
    saving: float = 0.0
    waiting: StartedStep | None = None
    waited: float = 0.0
    busy: float = 0.0
    passing: float = 0.0

    def __post_init__(self) -> None:
        context, setup = self.context, self.setup
        self.stage, self.plan = setup.stage, setup.plan
        self.model, self.dataset, self.optimizer = setup.model, setup.dataset, setup.optimizer
        self.count = count_steps(self.stage, len(self.dataset.train))
        self.task = context.network.task
        self.at_once = _has_own_callbacks(context, self.stage)
        self.metric = self.task.metric
        self.base = float(self.optimizer.learning_rate)  # initial rate of the schedule
        self.forward = make_forward(self.model)
        self.monitor = (
            Monitor(context.network, self.model, self.plan, setup.statistics)
            if context.config.monitor
            else None
        )

    def run(self, saved: Arrays | None) -> StageEnd:
        """Runs the remaining epochs; the model then has its best weights.

        Args:
            saved: Arrays of a checkpoint to resume from.
        """
        context, state, model = self.context, self.state, self.model
        # computing the cached features counts as training time, since it replaces part of it
        images_seen, train_seconds = 0, time.perf_counter() - self.began
        base = self.base
        self._start_at(base * 0.5 ** len(state.rollbacks))
        if saved is None:
            self._begin()
        self.callbacks.on_train_begin()
        if saved is not None:
            self._continue(saved)
        elif context.config.on_nan == "rollback":
            self.save()  # a rollback needs a checkpoint
        self.setup.step.micro_batch = state.micro_batch
        while state.epoch < (self.stage.epochs or 0) and not model.stop_training:
            if self._out_of_time(0.0):
                break
            self.callbacks.on_epoch_begin(state.epoch)
            start, first = time.perf_counter(), state.batch
            self.waited = 0.0
            try:
                logs = self._solve() if self.stage.solver == "lbfgs" else self._epoch()
                seconds = time.perf_counter() - start
                logs |= self._validate()
                rate = float(self.optimizer.learning_rate)
                self._check_finite(logs["val_loss"], "validation loss", rate)
            except NonFiniteLoss as error:
                self._roll_back(error, base)
                continue
            # if validation was interrupted, the resumed epoch has no batches left
            seen = max(0, state.totals.images - first * (self.stage.batch_size or 0))
            seen = seen if self.stage.solver == "gradient" else len(self.dataset.train)
            images_seen, train_seconds = images_seen + seen, train_seconds + seconds
            logs["images_per_second"] = seen / seconds
            if self.monitor is not None and self.stage.solver == "gradient":
                logs["data_wait"] = self.waited / seconds
                # skipped for most short epochs, to take less than 1 % of the time
                often = max(1, round(SAMPLE_EVERY / self.count.batches_per_epoch))
                sample = self._some_validation() if state.epoch % often == 0 else None
                logs |= self.monitor.of_epoch(sample)
            with context.stops.held():
                try:
                    self.callbacks.on_epoch_end(state.epoch, logs)
                finally:  # a user's callback may stop the run; the epoch is over anyway
                    self._remember(logs)
                    row = {"stage": self.stage.name, "epoch": state.epoch, **_plain(logs)}
                    state.history.append(row)
                    state.epoch, state.batch, state.totals = state.epoch + 1, 0, EpochTotals()
                # not every short epoch is saved: a kill loses at most ten times what a save takes
                last = state.epoch == self.stage.epochs or model.stop_training
                if last or time.monotonic() - self.saved >= self.saving / SAVING_SHARE:
                    self.save()
        return self._end(images_seen, train_seconds)

    def _end(self, images_seen: int, train_seconds: float) -> StageEnd:
        """Restores the best weights, checks which weights changed, and reports."""
        context, state = self.context, self.state
        if not self.best_arrays:
            raise RunFailed(
                f"time_budget {context.budget.wanted} was over before stage {self.stage.name!r} had "
                "trained anything."
            )
        self.callbacks.on_train_end()
        self._refuse_no_update()
        if context.config.guard and not self._is_cut_off():
            self._check_moves()
        self._take_best()
        assert state.best is not None
        if context.config.guard:
            self._refuse_one_answer()
        # computed as the served model does, so that evaluation can reuse them
        val_logits = None
        if self.setup.made is not None:
            val_logits = predict_outputs(
                self.forward, self.dataset.val, self.dataset.prepare, VALIDATION_BATCH
            )
        made, by_gradient = self.setup.made, self.stage.solver == "gradient"
        result = StageResult(
            name=str(self.stage.name),
            policy=self.plan.policy,
            epochs=state.epoch,
            seconds=round(time.perf_counter() - self.began, 3),
            images_per_second=round(images_seen / train_seconds, 2),
            best_epoch=state.best.epoch + 1,
            metrics=state.best.metrics,
            updates=self._updates() if by_gradient else None,
            features=None if made is None else dataclasses.asdict(made),
            rollbacks=tuple(state.rollbacks),
            micro_batch=state.micro_batch,
            learning_rate=state.found_rate,
        )
        state.results.append(result)
        state.epochs_before += state.epoch
        state.stage, state.epoch, state.batch, state.best = state.stage + 1, 0, 0, None
        state.rollbacks, state.guard, state.reached = [], {}, False
        state.micro_batch = state.found_rate = None
        self.best_arrays = []
        return StageEnd(result, val_logits)

    def _is_cut_off(self) -> bool:
        """Whether time ran out before the first update of a stage that is not the first."""
        state = self.state
        return state.out_of_time and bool(state.results) and not self._updates()

    def _refuse_no_update(self) -> None:
        """Fails if a stage trained by gradient made no update, whatever earlier stages did."""
        if self.stage.solver != "gradient" or self._updates() or self._is_cut_off():
            return
        context, stage = self.context, self.stage.name
        if self.state.out_of_time:
            raise RunFailed(
                f"time_budget {context.budget.wanted} was over before stage {stage!r} had made an "
                "update."
            )
        if hasattr(self.optimizer, "dynamic_scale"):
            raise RunFailed(
                f"no update was made in stage {stage!r}: its gradients were never finite in float16, "
                "so that loss scaling skipped each.",
                hint="Use finetune.mixed_precision: bfloat16, or off.",
            )
        raise RunFailed(
            f"no update was made in stage {stage!r}: {self.count.batches} batches, and gradients "
            f"are accumulated over {self.count.accumulation}."
        )

    def _check_moves(self) -> None:
        """Reports or refuses trained weights that stayed and frozen weights that changed."""
        context, state = self.context, self.state
        solved = self.stage.solver == "lbfgs"
        earlier = context.config.stages[: state.stage]
        done = StageRecord(
            str(self.stage.name),
            None if solved else self._updates(),
            state.reached,
            self.base,
            any(stage.solver == "lbfgs" for stage in earlier),
        )
        note = check_moves(state.guard, context.network, self.plan, done, self.optimizer)
        if note:
            context.reporter.detail(note)

    def _refuse_one_answer(self) -> None:
        """Fails if the network gives the same output for every image."""
        context, val = self.context, self.dataset.val
        if len(val) < 2:
            return
        first, _ = next(batches(val, self.dataset.prepare, VALIDATION_BATCH))
        if not are_alike(np.asarray(self.forward(first))):
            return
        logits = predict_outputs(self.forward, val, self.dataset.prepare, VALIDATION_BATCH)
        images = some_that_differ(context.dataset)
        if images is None or not are_alike(logits):
            return
        name, found = self.stage.name, "gives the same answer for all validation images"
        if any(stage.epochs for stage in context.config.stages[self.state.stage + 1 :]):
            # e.g. a head on an untrained backbone, which a later stage trains
            context.reporter.detail(f"at the end of stage {name!r} the network {found}")
            return
        if are_alike(np.asarray(context.network.extractor(images, training=False))):
            raise RunFailed(
                f"at the end of stage {name!r} the network {found}: its features are the same for "
                "all, as where each ReLU is dead.",
                hint=f"Lower the learning rate, and look at the weights. {OFF}",
            )
        penalised = context.recipe.regularize or self.stage.solver == "lbfgs"
        text = f"at the end of stage {name!r} the head {found}: it does not look at the features"
        if not penalised:
            raise RunFailed(f"{text}.", hint=f"Look at the loss and its weights. {OFF}")
        context.reporter.detail(
            f"{text}; its penalty may be too strong"
        )  # this is the optimum that was asked for

    def _some_validation(self) -> list[Any]:
        given, _ = next(batches(self.dataset.val, self.dataset.prepare, SAMPLE))
        return given if isinstance(given, list) else [given]

    def _epoch(self) -> dict[str, float]:
        """Runs one epoch, or the rest of it."""
        context, state = self.context, self.state
        train = self.dataset.train.in_epoch(state.epochs_before + state.epoch)
        order = epoch_order(len(train), context.seed, state.epochs_before + state.epoch)
        size = self.stage.batch_size or 1
        given = batches(train, self.dataset.prepare, size, order, state.batch)
        if self.setup.ahead:
            place = (context.seed, state.epochs_before + state.epoch, state.batch)
            given = augmented(given, self.setup.ahead, context.network.task, place)
        asked = time.perf_counter()
        for number, (images, labels) in enumerate(given, state.batch):
            began = time.perf_counter()
            self.busy = 0.0
            names = [train.records[i].name for i in order[number * size : (number + 1) * size]]
            # a signal between a step and its count would make a resumed run repeat the step
            with context.stops.held():
                self._step(number, images, labels, names)
                # where the step before was still under way, the device did not wait for the data
                self.waited += began - asked if self.busy < STILL_BUSY else 0.0
                if self._due(number + 1):
                    self.save()
            asked = time.perf_counter()
            if self._out_of_time(asked - began) or self.model.stop_training:
                break
        with context.stops.held():
            self._count_waiting()
        totals = state.totals
        return {
            "loss": totals.loss / totals.images,
            self.metric.name: totals.score / totals.images,
        }

    def _step(self, number: int, images: Tensor, labels: Tensor, names: list[str]) -> None:
        """Starts a step; its values are read after the next step has started.

        This keeps a GPU busy while the next batch is prepared. With user callbacks, the values are
        read before the next step starts, as in Keras.

        Args:
            number: Index of the batch in its epoch.
            images: Images of the batch.
            labels: Labels of the batch.
            names: File names of the images.
        """
        self.callbacks.on_train_batch_begin(number)
        measured = self.monitor if self.count.is_near_end(number) else None
        before = self._updates() if measured is not None else 0
        if measured is not None:
            measured.before_update()
        values = rescued(self.setup, images, labels, self.context)
        self.state.micro_batch = self.setup.step.micro_batch
        # accumulating a gradient, or skipping one that is not finite in float16, is not an update
        if measured is not None and self._updates() > before:
            measured.after_update()
        before_it, self.waiting = self.waiting, StartedStep(names, values)
        if before_it is not None:
            asked = time.perf_counter()
            said = read_values(before_it.values)
            self.busy = time.perf_counter() - asked
            self._count(before_it.names, said)
        if self.at_once:
            self._count_waiting()

    def _count_waiting(self) -> None:
        """Reads the values of the last started step, if not done yet."""
        started, self.waiting = self.waiting, None
        if started is not None:
            self._count(started.names, read_values(started.values))

    def _count(self, names: list[str], values: StepValues) -> None:
        """Adds the values of a step to the totals, and calls the callbacks.

        Args:
            names: File names of its images.
            values: What it computed.
        """
        state, count = self.state, len(names)
        self._check_finite(values.loss, "loss", values.rate, names)
        state.reached = state.reached or values.norm != 0.0
        if state.epoch == state.batch == len(state.results) == 0:
            self._compare_with_a_guess(values.loss)
        state.totals = state.totals.plus(values.loss, values.score, count)
        state.batch += 1
        logs = {
            "loss": values.loss,
            self.metric.name: values.score / count,
            "learning_rate": values.rate,
            "images": count,
        }
        if self.monitor is not None:
            logs["gradient_norm"] = values.norm
        if self.count.accumulation > 1:
            logs["update"] = values.updates
        self.callbacks.on_train_batch_end(state.batch - 1, logs)

    def _updates(self) -> int:
        """Number of updates in this stage, as counted by the optimizer."""
        return int(self.optimizer.iterations)

    def _start_at(self, rate: float) -> None:
        """Sets the schedule's initial rate; call it before the callbacks begin."""
        self.optimizer.learning_rate = rate
        for callback in self.callbacks.callbacks:
            if isinstance(callback, ScheduledRate):
                callback.learning_rate = rate

    def _compare_with_a_guess(self, loss: float) -> None:
        """Reports a first loss far above that of a uniform guess."""
        guess = self.task.loss_of_a_guess()
        usual = self.context.loss.name == self.task.loss
        if usual and guess is not None and loss > 2 * guess + 0.5:
            self.context.reporter.detail(
                f"the first loss is {loss:.3g}, that of a guess would be {guess:.3g}; see: tlkit babysit"
            )

    def _check_finite(
        self, value: float, what: str, rate: float, names: Sequence[str] = ()
    ) -> None:
        """Raises `NonFiniteLoss`, with details for the user, if a loss is not finite."""
        if np.isfinite(value):
            return
        state = self.state
        step = f"step {state.batch + 1}, " if names else ""
        files = f" Its images: {some_of(names, 8)}." if names else ""
        raise NonFiniteLoss(
            f"the {what} became {value} in stage {self.stage.name!r}, epoch {state.epoch + 1}, {step}"
            f"at learning rate {rate:.3g}.{files}",
            list(names),
        )

    def _roll_back(self, error: NonFiniteLoss, base: float) -> None:
        """Returns to the last good checkpoint with half the learning rate, or ends the run."""
        context, state = self.context, self.state
        text, names = error.args
        self.waiting = None  # started after the loss had become NaN or infinite
        if context.config.on_nan == "stop" or len(state.rollbacks) == MOST_ROLLBACKS:
            tried = f" It was rolled back {len(state.rollbacks)} times." if state.rollbacks else ""
            raise RunFailed(
                text + tried,
                hint="Lower the learning rate, or set global_clipnorm: 1.0 in that stage."
                + (" Or try finetune.on_nan: rollback." if context.config.on_nan == "stop" else ""),
            ) from None
        happened = {"epoch": state.epoch + 1, "step": state.batch + 1, "images": names}
        rollbacks = [*state.rollbacks, {**happened, "reason": text}]
        is_over = state.out_of_time
        saved, arrays = good_state(context.state_file)
        for field in dataclasses.fields(saved):
            setattr(state, field.name, getattr(saved, field.name))
        factor = 0.5 ** (len(rollbacks) - len(saved.rollbacks))
        state.rollbacks, state.out_of_time = rollbacks, is_over
        self._start_at(base * 0.5 ** len(rollbacks))
        self.callbacks.on_train_begin()  # schedules start at half the rate
        self._continue(arrays)
        # without a schedule that sets the rate of every step, the saved rate is still in effect
        self.optimizer.learning_rate = float(self.optimizer.learning_rate) * factor
        for callback in self.callbacks.callbacks:
            if hasattr(callback, "rewind"):
                callback.rewind()
        self.save()
        context.reporter.detail(
            f"{text} Back to epoch {state.epoch + 1}, step {state.batch + 1}, at half the rate "
            f"({len(rollbacks)} of {MOST_ROLLBACKS})."
        )

    def _out_of_time(self, step_seconds: float) -> bool:
        """Whether another step would leave too little of the time budget for what follows."""
        context = self.context
        over = context.budget.is_over(2 * self.passing + CLOSING_SECONDS + step_seconds)
        if over and not self.state.out_of_time:
            self.state.out_of_time = True
            context.reporter.detail(
                f"time_budget {context.budget.wanted} is used up: training ends here"
            )
        return over

    def _due(self, batch: int) -> bool:
        """Whether to save a checkpoint within the epoch, after `batch` of its batches."""
        number, _, unit = self.context.recipe.checkpoint.every.partition(" ")
        if unit.startswith("step"):
            state, count = self.state, self.count
            done = count.batches_before(state.epoch, batch)
            began = count.updates_after(count.batches_before(state.epoch))
            updates = count.updates_after(done)
            # an epoch may have fewer updates than that, and end without a checkpoint
            due = (updates - began) % int(number) == 0 or updates - self.saved_update >= int(number)
            return due and count.ends_update(done)
        return unit != "" and time.monotonic() - self.saved > 60 * int(number)

    def _solve(self) -> dict[str, float]:
        """Solves for the optimum of the head, in place of an epoch of gradient steps."""
        logs, found = solve(self.context, self.dataset.train, self.stage)
        self.context.reporter.detail(
            f"head solved with l2 {found.l2:.2g} in {found.iterations} iterations, gradient "
            f"{found.gradient:.0e} of its start"
        )
        return logs

    def _validate(self) -> dict[str, float]:
        dataset, began = self.dataset, time.perf_counter()
        if self.setup.average is not None:
            self.setup.average.lend()
        try:
            logits = predict_outputs(self.forward, dataset.val, dataset.prepare, VALIDATION_BATCH)
        finally:
            if self.setup.average is not None:
                self.setup.average.take_back()
        self.passing = time.perf_counter() - began
        found = self.task.measure(logits, dataset.val.labels)
        return {f"val_{name}": value for name, value in found.items()}

    def _improves(self, logs: dict[str, Any]) -> bool:
        """Whether an epoch is the best so far, in the task's ranking of epochs."""
        early, best = self.context.config.early_stopping, self.state.best
        if best is None:
            return True
        if early is not None:
            key = early.monitor
            return is_better(key, logs[key], best.metrics[key], early.min_delta)
        return self.task.quality(logs) > self.task.quality(best.metrics)

    def _begin(self) -> None:
        """Starts a stage; a later stage must beat the weights that it starts from."""
        state = self.state
        if self.context.config.guard:
            state.guard = checksums(self.context.network, self.plan)
        if state.results:
            state.best = BestEpoch(-1, _plain(self._validate()))
            self.best_arrays = self._present()

    def _present(self) -> list[np.ndarray]:
        """The current weights, or their moving averages if there are any."""
        if self.setup.average is not None:
            return [np.asarray(a) for a in self.setup.average.averages]
        return [np.asarray(v) for v in self.setup.changing]

    def _remember(self, logs: dict[str, Any]) -> None:
        """Keeps the best weights; applies early stopping."""
        state, early = self.state, self.context.config.early_stopping
        if self._improves(logs):
            state.best = BestEpoch(state.epoch, _plain(logs))
            self.best_arrays = self._present()
            return
        assert state.best is not None
        state.best = dataclasses.replace(state.best, waited=state.best.waited + 1)
        if early is not None and state.best.waited >= early.patience:
            self.model.stop_training = True

    def _take_best(self) -> None:
        """Restores the best weights, or keeps the last ones if the recipe wants that."""
        state = self.state
        if self.context.config.best_weights or not state.history:
            values = self.best_arrays
        else:
            values = self._present()
            last = {k: v for k, v in state.history[-1].items() if k not in ("stage", "epoch")}
            state.best = BestEpoch(state.epoch - 1, last)
        for variable, value in zip(self.setup.changing, values, strict=True):
            variable.assign(value)

    def save(self) -> None:
        """Saves a checkpoint, and flushes the rows of metrics.csv that belong to it.

        Raises:
            NonFiniteLoss: if the loss of the last step is not finite; nothing is written then.
        """
        self._count_waiting()
        state, began = self.state, time.monotonic()
        for callback in self.callbacks.callbacks:
            if hasattr(callback, "flush"):
                callback.flush()
        state.callbacks = {
            type(callback).__name__: callback_numbers(callback)
            for callback in self.callbacks.callbacks
        }
        arrays: Arrays = {
            "model": [np.asarray(v) for v in self.context.network.model.variables],
            "optimizer": [np.asarray(v) for v in self.optimizer.variables],
            "best": self.best_arrays,
            "average": self.setup.average.arrays() if self.setup.average else [],
            "seeds": [np.asarray(v) for v in self.setup.seeds],
            "monitor": self.monitor.arrays() if self.monitor else [],
        }
        state.ratios = self.monitor.ratios if self.monitor else {}
        state.seconds = self.context.budget.used()
        save_state(self.context.state_file, state, arrays)
        self.saved = time.monotonic()
        self.saving = self.saved - began
        self.saved_update = self.count.updates_after(
            self.count.batches_before(state.epoch, state.batch)
        )

    def _continue(self, arrays: Arrays) -> None:
        """Restores a checkpoint, including the callbacks' state."""
        pairs = [
            (self.context.network.model.variables, arrays["model"]),
            (self.optimizer.variables, arrays["optimizer"]),
            (self.setup.seeds, arrays.get("seeds", [])),
        ]
        for variables, values in pairs:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.best_arrays = arrays.get("best", [])
        if self.setup.average is not None:
            self.setup.average.set_arrays(arrays["average"])
        if self.monitor is not None:
            self.monitor.set_arrays(arrays.get("monitor", []))
            self.monitor.ratios = dict(self.state.ratios)
        state = self.state
        self.saved_update = self.count.updates_after(
            self.count.batches_before(state.epoch, state.batch)
        )
        remembered = self.state.callbacks
        for callback in self.callbacks.callbacks:
            for key, value in remembered.get(type(callback).__name__, {}).items():
                setattr(callback, key, value)
        early = self.context.config.early_stopping
        best = self.state.best
        if early is not None and best and best.waited >= early.patience:
            self.model.stop_training = True


def _plain(logs: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in logs.items()}
