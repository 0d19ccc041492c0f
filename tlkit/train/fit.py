"""One stage under way: its epochs and steps, and a position that can be saved."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from tlkit.callbacks import ScheduledRate
from tlkit.callbacks.direction import direction_of
from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches, epoch_order
from tlkit.errors import RunFailed, some_of
from tlkit.evaluate.forward import predict_outputs
from tlkit.features.compute import Made
from tlkit.freeze import FreezePlan
from tlkit.recipe.schema import Stage
from tlkit.train.counting import count_steps
from tlkit.train.ema import WeightAverage
from tlkit.train.guard import OFF, Trained, are_alike, check_moves, checksums, some_that_differ
from tlkit.train.monitor import SAMPLE, Monitor
from tlkit.train.pipeline_augment import augmented
from tlkit.train.rescue import rescued
from tlkit.train.solve import solve
from tlkit.train.state import Arrays, callback_numbers, good_state, save_state
from tlkit.train.step import Step
from tlkit.train.training import Training

VALIDATION_BATCH = 32
MOST_ROLLBACKS = 3
SAVING_SHARE = 0.1  # of the time of short epochs that may go into saving them
SAMPLE_EVERY = 120  # batches between two looks at the ReLUs
# seconds that evaluating, exporting and writing the report take beside passes over the images
CLOSING_SECONDS = 20.0


class Exploded(Exception):  # noqa: N818 - a state of training, handled here
    """The loss is no longer a number."""


def is_better(monitor: str, new: float, old: float, least: float = 0.0) -> bool:
    """Whether a monitored value improved by more than `least`."""
    return new > old + least if direction_of(monitor) == "max" else new < old - least


@dataclasses.dataclass
class Fit:
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
    monitor: Monitor | None
    best_arrays: list[np.ndarray] = dataclasses.field(default_factory=list)
    saved: float = dataclasses.field(default_factory=time.monotonic)
    saved_update: int = 0  # updates that were made by then
    saving: float = 0.0  # seconds that this took
    waited: float = 0.0  # seconds for the data of this epoch
    passing: float = 0.0  # seconds that the last validation took

    def __post_init__(self) -> None:
        self.count = count_steps(self.stage, len(self.dataset.train))
        self.task = self.training.network.task
        self.metric = self.task.metric
        self.base = float(self.optimizer.learning_rate)  # that the schedule starts from

    def run(self, step: Step, forward: Any) -> dict[str, Any]:
        training, state, model = self.training, self.training.state, self.model
        # the pass over a frozen backbone is part of the training it saves
        images_seen, train_seconds = 0, time.perf_counter() - self.began
        base = self.base
        self._start_at(base * 0.5 ** len(state.rollbacks))
        if training.resumed is None:
            self._begin(forward)
        self.callbacks.on_train_begin()
        if training.resumed is not None:
            self._continue(training.resumed)
            training.resumed = None
        elif training.config.on_nan == "rollback":
            self.save()  # there must be a state to go back to
        step.micro_batch = state.micro_batch
        while state.epoch < (self.stage.epochs or 0) and not model.stop_training:
            if self._out_of_time(0.0):
                break
            self.callbacks.on_epoch_begin(state.epoch)
            start, first = time.perf_counter(), state.batch
            self.waited = 0.0
            try:
                logs = self._solve() if self.stage.solver == "lbfgs" else self._epoch(step)
                seconds = time.perf_counter() - start
                logs |= self._validate(forward)
                self._check_finite(logs["val_loss"], "validation loss", [])
            except Exploded as error:
                self._roll_back(error, base)
                continue
            # stopped while validating, the resumed epoch has no batch left
            seen = max(0, int(state.sums[2]) - first * (self.stage.batch_size or 0))
            seen = seen if self.stage.solver == "gradient" else len(self.dataset.train)
            images_seen, train_seconds = images_seen + seen, train_seconds + seconds
            logs["images_per_second"] = seen / seconds
            if self.monitor is not None and self.stage.solver == "gradient":
                logs["data_wait"] = self.waited / seconds
                # of short epochs not after each, so that it stays under a hundredth of the time
                often = max(1, round(SAMPLE_EVERY / self.count.batches_per_epoch))
                sample = self._some_validation() if state.epoch % often == 0 else None
                logs |= self.monitor.of_epoch(sample)
            with training.stops.held():
                try:
                    self.callbacks.on_epoch_end(state.epoch, logs)
                finally:  # a person's own callback may stop the run; the epoch is over all the same
                    self._remember(logs)
                    row = {"stage": self.stage.name, "epoch": state.epoch, **_plain(logs)}
                    state.history.append(row)
                    state.epoch, state.batch, state.sums = state.epoch + 1, 0, [0.0, 0.0, 0.0]
                # short epochs are not saved one by one: a kill takes ten times a saving at most
                last = state.epoch == self.stage.epochs or model.stop_training
                if last or time.monotonic() - self.saved >= self.saving / SAVING_SHARE:
                    self.save()
        return self._end(forward, images_seen, train_seconds)

    def _end(self, forward: Any, images_seen: int, train_seconds: float) -> dict[str, Any]:
        """Takes the best weights, checks what moved, and reports."""
        training, state = self.training, self.training.state
        if not self.best_arrays:
            raise RunFailed(
                f"time_budget {training.time_budget} was over before stage {self.stage.name!r} had "
                "trained anything."
            )
        self.callbacks.on_train_end()
        self._refuse_no_update()
        if training.config.guard and not self._is_cut_off():
            self._check_moves()
        self._take_best()
        if training.config.guard:
            self._refuse_one_answer(forward)
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
        if self.stage.solver == "gradient":
            result["updates"] = self._updates()
        if self.made is not None:
            result["features"] = dataclasses.asdict(self.made)
        if state.rollbacks:
            result["rollbacks"] = state.rollbacks
        if state.micro_batch is not None:
            result["micro_batch"] = state.micro_batch
        if state.found_rate is not None:
            result["learning_rate"] = state.found_rate
        state.results.append(result)
        state.epochs_before += state.epoch
        state.stage, state.epoch, state.batch, state.best = state.stage + 1, 0, 0, {}
        state.rollbacks, state.guard, state.reached = [], {}, False
        state.micro_batch = state.found_rate = None
        self.best_arrays = []
        return result

    def _is_cut_off(self) -> bool:
        """Whether the time was over before the first update of a stage that follows others."""
        state = self.training.state
        return state.out_of_time and bool(state.results) and not self._updates()

    def _refuse_no_update(self) -> None:
        """A stage that was to train and made no update is no success, whatever came before."""
        if self.stage.solver != "gradient" or self._updates() or self._is_cut_off():
            return
        training, stage = self.training, self.stage.name
        if training.state.out_of_time:
            raise RunFailed(
                f"time_budget {training.time_budget} was over before stage {stage!r} had made an "
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
        """Says, or refuses, what did not move and what moved though it is frozen."""
        training, state = self.training, self.training.state
        solved = self.stage.solver == "lbfgs"
        earlier = training.config.stages[: state.stage]
        done = Trained(
            str(self.stage.name),
            None if solved else self._updates(),
            state.reached,
            self.base,
            any(stage.solver == "lbfgs" for stage in earlier),
        )
        note = check_moves(state.guard, training.network, self.plan, done, self.optimizer)
        if note:
            training.say(note)

    def _refuse_one_answer(self, forward: Any) -> None:
        """A network whose answer does not depend on the image has learned nothing."""
        training, val = self.training, self.dataset.val
        if len(val) < 2:
            return
        first, _ = next(batches(val, self.dataset.prepare, VALIDATION_BATCH))
        if not are_alike(np.asarray(forward(first))):
            return
        logits = predict_outputs(forward, val, self.dataset.prepare, VALIDATION_BATCH)
        images = some_that_differ(training.dataset)
        if images is None or not are_alike(logits):
            return
        name, found = self.stage.name, "gives the same answer for all validation images"
        if any(stage.epochs for stage in training.config.stages[training.state.stage + 1 :]):
            # as a head on a backbone that has learned nothing yet, and will
            training.say(f"at the end of stage {name!r} the network {found}")
            return
        if are_alike(np.asarray(training.network.extractor(images, training=False))):
            raise RunFailed(
                f"at the end of stage {name!r} the network {found}: its features are the same for "
                "all, as where each ReLU is dead.",
                hint=f"Lower the learning rate, and look at the weights. {OFF}",
            )
        penalised = training.regularize or self.stage.solver == "lbfgs"
        text = f"at the end of stage {name!r} the head {found}: it does not look at the features"
        if not penalised:
            raise RunFailed(f"{text}.", hint=f"Look at the loss and its weights. {OFF}")
        training.say(f"{text}; its penalty may be too strong")  # the optimum that was asked for

    def _some_validation(self) -> list[Any]:
        given, _ = next(batches(self.dataset.val, self.dataset.prepare, SAMPLE))
        return given if isinstance(given, list) else [given]

    def _epoch(self, step: Step) -> dict[str, float]:
        """One pass over the training images, or what is left of it."""
        training, state = self.training, self.training.state
        train = self.dataset.train.in_epoch(state.epochs_before + state.epoch)
        order = epoch_order(len(train), training.seed, state.epochs_before + state.epoch)
        size = self.stage.batch_size or 1
        given = batches(train, self.dataset.prepare, size, order, state.batch)
        if self.ahead:
            place = (training.seed, state.epochs_before + state.epoch, state.batch)
            given = augmented(given, self.ahead, training.network.task, place)
        asked = time.perf_counter()
        for images, labels in given:
            began = time.perf_counter()
            self.waited += began - asked
            chosen = order[state.batch * size : (state.batch + 1) * size]
            # a step and its count belong together, or a resumed run would take it twice
            with training.stops.held():
                self._step(step, images, labels, [train.records[i].name for i in chosen])
                if self._due():
                    self.save()
            asked = time.perf_counter()
            if self._out_of_time(asked - began) or self.model.stop_training:
                break
        total = state.sums[2]
        return {"loss": state.sums[0] / total, self.metric.name: state.sums[1] / total}

    def _step(self, step: Step, images: Any, labels: Any, names: list[str]) -> None:
        """One batch, counted.

        Args:
            step: Compiled.
            images: Of the batch.
            labels: Of the batch.
            names: Of the images' files.
        """
        state = self.training.state
        self.callbacks.on_train_batch_begin(state.batch)
        rate = float(self.optimizer.learning_rate)
        measured = self.monitor if self.count.is_near_end(state.batch) else None
        before = self._updates() if measured is not None else 0
        if measured is not None:
            measured.before_update()
        taken = rescued(step, images, labels, self.training, self.stage, self.plan)
        loss, score, norm = (float(value) for value in taken)
        self._check_finite(loss, "loss", names)
        state.reached = state.reached or norm != 0.0
        # a batch whose gradient is accumulated, or was not finite in float16, is no update
        if measured is not None and self._updates() > before:
            measured.after_update()
        if state.epoch == state.batch == len(state.results) == 0:
            self._compare_with_a_guess(loss)
        count = len(labels)
        state.sums = [
            state.sums[0] + loss * count,
            state.sums[1] + score,
            state.sums[2] + count,
        ]
        state.batch += 1
        logs = {
            "loss": loss,
            self.metric.name: score / count,
            "learning_rate": rate,
            "images": count,
        }
        if self.monitor is not None:
            logs["gradient_norm"] = norm
        if self.count.accumulation > 1:
            logs["update"] = self._updates()
        self.callbacks.on_train_batch_end(state.batch - 1, logs)

    def _updates(self) -> int:
        """Updates that the stage has made, by the optimizer's own count."""
        return int(self.optimizer.iterations)

    def _start_at(self, rate: float) -> None:
        """Sets where the schedule starts; it is asked when the callbacks begin."""
        self.optimizer.learning_rate = rate
        for callback in self.callbacks.callbacks:
            if isinstance(callback, ScheduledRate):
                callback.learning_rate = rate

    def _compare_with_a_guess(self, loss: float) -> None:
        """Before it has learned anything, a head's usual loss is that of a guess."""
        guess = self.task.loss_of_a_guess()
        usual = self.training.loss.name == self.task.loss
        if usual and guess is not None and loss > 2 * guess + 0.5:
            self.training.say(
                f"the first loss is {loss:.3g}, that of a guess would be {guess:.3g}; see: tlkit babysit"
            )

    def _check_finite(self, value: float, what: str, names: list[str]) -> None:
        """Raises `Exploded` where a loss is no number, with what a person must know."""
        if np.isfinite(value):
            return
        state = self.training.state
        step = f"step {state.batch + 1}, " if names else ""
        files = f" Its images: {some_of(names, 8)}." if names else ""
        raise Exploded(
            f"the {what} became {value} in stage {self.stage.name!r}, epoch {state.epoch + 1}, {step}"
            f"at learning rate {float(self.optimizer.learning_rate):.3g}.{files}",
            names,
        )

    def _roll_back(self, error: Exploded, base: float) -> None:
        """Goes back to the last good state with half the rate, or ends the run."""
        training, state = self.training, self.training.state
        text, names = error.args
        if training.config.on_nan == "stop" or len(state.rollbacks) == MOST_ROLLBACKS:
            tried = f" It was rolled back {len(state.rollbacks)} times." if state.rollbacks else ""
            raise RunFailed(
                text + tried,
                hint="Lower the learning rate, or set global_clipnorm: 1.0 in that stage."
                + (
                    " Or try finetune.on_nan: rollback." if training.config.on_nan == "stop" else ""
                ),
            ) from None
        happened = {"epoch": state.epoch + 1, "step": state.batch + 1, "images": names}
        rollbacks = [*state.rollbacks, {**happened, "reason": text}]
        saved, arrays = good_state(training.state_file)
        for field in dataclasses.fields(saved):
            setattr(state, field.name, getattr(saved, field.name))
        factor = 0.5 ** (len(rollbacks) - len(saved.rollbacks))
        state.rollbacks = rollbacks
        self._start_at(base * 0.5 ** len(rollbacks))
        self.callbacks.on_train_begin()  # schedules begin at half the rate
        self._continue(arrays)
        # where no schedule sets the rate of each step, it is what was saved
        self.optimizer.learning_rate = float(self.optimizer.learning_rate) * factor
        for callback in self.callbacks.callbacks:
            if hasattr(callback, "rewind"):
                callback.rewind()
        self.save()
        training.say(
            f"{text} Back to epoch {state.epoch + 1}, step {state.batch + 1}, at half the rate "
            f"({len(rollbacks)} of {MOST_ROLLBACKS})."
        )

    def _out_of_time(self, step_seconds: float) -> bool:
        """Whether another step would leave too little of the recipe's time for what follows."""
        training = self.training
        if training.seconds_allowed is None:
            return False
        ahead = 2 * self.passing + CLOSING_SECONDS + step_seconds
        over: bool = training.seconds_used() + ahead > training.seconds_allowed
        if over and not training.state.out_of_time:
            training.state.out_of_time = True
            training.say(f"time_budget {training.time_budget} is used up: training ends here")
        return over

    def _due(self) -> bool:
        """Whether the state is to be saved within the epoch, now."""
        number, _, unit = self.training.checkpoint.every.partition(" ")
        if unit.startswith("step"):
            state, count = self.training.state, self.count
            done = count.batches_before(state.epoch, state.batch)
            began = count.updates_after(count.batches_before(state.epoch))
            updates = count.updates_after(done)
            # an epoch may have fewer than that, and not be saved at its end
            due = (updates - began) % int(number) == 0 or updates - self.saved_update >= int(number)
            return due and count.ends_update(done)
        return unit != "" and time.monotonic() - self.saved > 60 * int(number)

    def _solve(self) -> dict[str, float]:
        """In the place of an epoch: the optimum of the head, and no step towards it."""
        training = self.training
        smoothing = training.loss.arguments.get("label_smoothing", 0.0)
        (layer,) = training.network.head
        train, weights = self.dataset.train, training.weights
        logs, found = solve(self.task, layer, train, self.stage, smoothing, weights, training.seed)
        training.say(
            f"head solved with l2 {found.l2:.2g} in {found.iterations} iterations, gradient "
            f"{found.gradient:.0e} of its start"
        )
        return logs

    def _validate(self, forward: Any) -> dict[str, float]:
        dataset, began = self.dataset, time.perf_counter()
        if self.average is not None:
            self.average.lend()
        try:
            logits = predict_outputs(forward, dataset.val, dataset.prepare, VALIDATION_BATCH)
        finally:
            if self.average is not None:
                self.average.take_back()
        self.passing = time.perf_counter() - began
        found = self.task.measure(logits, dataset.val.labels)
        return {f"val_{name}": value for name, value in found.items()}

    def _improves(self, logs: dict[str, Any]) -> bool:
        """Whether an epoch is the best so far; as the task ranks epochs."""
        early, best = self.training.config.early_stopping, self.training.state.best
        if not best:
            return True
        if early is not None:
            key = early.monitor
            return is_better(key, logs[key], best["logs"][key], early.min_delta)
        return self.task.quality(logs) > self.task.quality(best["logs"])

    def _begin(self, forward: Any) -> None:
        """A later stage must beat what it began with."""
        state = self.training.state
        if self.training.config.guard:
            state.guard = checksums(self.training.network, self.plan)
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
        state, began = self.training.state, time.monotonic()
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
            "monitor": self.monitor.arrays() if self.monitor else [],
        }
        state.seconds = self.training.seconds_used()
        save_state(self.training.state_file, state, arrays)
        self.saved = time.monotonic()
        self.saving = self.saved - began
        self.saved_update = self.count.updates_after(
            self.count.batches_before(state.epoch, state.batch)
        )

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
        if self.monitor is not None:
            self.monitor.set_arrays(arrays.get("monitor", []))
        state = self.training.state
        self.saved_update = self.count.updates_after(
            self.count.batches_before(state.epoch, state.batch)
        )
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
