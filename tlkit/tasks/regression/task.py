"""Numbers per image: labels and answers are in their own units, logits are standardised."""

from __future__ import annotations

import dataclasses
import html
import pathlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tlkit.data.record import Record, SourceData, SplitName
from tlkit.data.split import split_by_hash
from tlkit.errors import DataError, UserError, did_you_mean, some_of
from tlkit.finding import Finding
from tlkit.recipe.schema import ClassWeight
from tlkit.tasks.base import (
    Agreement,
    Doubts,
    Example,
    Match,
    Metric,
    Outline,
    ServedOutput,
    TaskData,
)
from tlkit.tasks.folds import random_folds
from tlkit.tasks.link import IDENTITY, Link
from tlkit.tasks.odd_copies import odd_copies
from tlkit.tasks.regression import metrics, plots, report, sanity
from tlkit.tasks.regression.figures import RegressionMetrics
from tlkit.tasks.regression.labels import looks_like_numbers, numbers_of
from tlkit.tasks.regression.port_check import PORT_CHECK
from tlkit.tasks.regression.predictions import PREDICTED, write_predictions
from tlkit.tasks.regression.verdict import verdict
from tlkit.tensors import KerasLayer, KerasLoss, Tensor
from tlkit.text import from_cell, one_line, shortened

VALUES = "values"
FEWEST = 10  # fewest images for which cross-validation means anything
ROUNDED = 0.02  # tolerated difference of float16, in standard deviations


@dataclasses.dataclass(frozen=True)
class Regression:
    """One or more numbers per image.

    Attributes:
        columns: Names of the numbers; labels are float64 `(n, columns)`, a row of NaN is unknown.
        mean: Mean of each number in the data.
        deviation: Standard deviation of each; the network learns (label - mean) / deviation.
    """

    columns: list[str]
    mean: list[float] | None = None
    deviation: list[float] | None = None
    name: ClassVar[str] = "regression"
    plural: ClassVar[str] = "numbers"
    loss: ClassVar[str] = "mean_squared_error"
    link: ClassVar[Link] = IDENTITY
    metric: ClassVar[Metric] = Metric("r2", "R2", good=0.9, fair=0.5)
    required: ClassVar[tuple[str, ...]] = ("r2", "mae", "rmse")
    compared: ClassVar[tuple[str, ...]] = ("r2", "mae", "rmse", "loss")
    port_check: ClassVar[str] = PORT_CHECK
    limits: ClassVar[str] = "Whatever it is shown, it answers with numbers like those it learned."
    example_titles: ClassVar[dict[str, str]] = {"errors": "The largest errors"}
    served: ClassVar[tuple[ServedOutput, ...]] = (ServedOutput(VALUES, "float", wide=True),)

    @property
    def outputs(self) -> list[str]:
        return self.columns

    @property
    def settings(self) -> dict[str, Any]:
        return {"mean": self._mean.tolist(), "deviation": self._deviation.tolist()}

    @property
    def _mean(self) -> np.ndarray:
        return np.array(self.mean or [0.0] * len(self.columns))

    @property
    def _deviation(self) -> np.ndarray:
        return np.array(self.deviation or [1.0] * len(self.columns))

    # data

    @classmethod
    def fits(cls, source: SourceData) -> bool:
        records = source.records
        return all(record.labels is not None for record in records) and looks_like_numbers(records)

    @classmethod
    def learn(cls, records: Sequence[Record], source: SourceData) -> TaskData:
        values, columns = numbers_of(records, source)
        deviation = values.std(axis=0)
        flat = [name for name, one in zip(columns, np.ptp(values, axis=0), strict=True) if not one]
        if flat:
            raise DataError(f"{some_of(flat)} has the same value for all images: nothing to learn.")
        task = cls(columns, values.mean(axis=0).tolist(), deviation.tolist())
        return TaskData(task, values, [])

    @classmethod
    def split(
        cls, records: Sequence[Record], hashes: Sequence[str], val: float, test: float
    ) -> list[SplitName]:
        return split_by_hash(hashes, [""] * len(records), val, test)

    @classmethod
    def outline(cls, records: Sequence[Record], where: str) -> Outline:
        values = [float(text) for record in records for text in record.labels or ()]
        return Outline(
            f"{len(records)} images with numbers from {min(values):g} to {max(values):g}",
            ("task: regression             # numbers are learned; else: classification",),
            ("loss: mean_squared_error     # huber where some labels may be far off",),
            "[]                    # [flip] where a mirrored picture has the same number",
        )

    def check_labels(self, records: Sequence[Record], match: Match | None, where: str) -> None:
        self.labels_of(records, match)

    def labels_of(self, records: Sequence[Record], match: Match | None) -> np.ndarray:
        values, _ = numbers_of(records, SourceData(list(records), columns=tuple(self.columns)))
        return values

    def unknown(self, count: int) -> np.ndarray:
        return np.full((count, len(self.columns)), np.nan)

    def check_split(self, name: str, labels: np.ndarray) -> list[str]:
        flat = [
            column
            for column, values in zip(self.columns, labels.T, strict=True)
            if np.ptp(values) == 0
        ]
        if flat and name == "train":
            raise DataError(
                f"{some_of(flat)} has the same value for all training images",
                hint="Lower data.split, or add images.",
            )
        return [f"{some_of(flat)} has the same value for all images of {name}"] if flat else []

    def odd_order(self, labels: np.ndarray) -> list[Finding]:
        return list(sanity.odd_order(labels, self.columns))

    def odd_copies(self, labels: np.ndarray, hashes: Sequence[str]) -> list[Finding]:
        return odd_copies(labels, hashes, "numbers")

    @classmethod
    def audit(cls, records: Sequence[Record], splits: Sequence[str]) -> list[Finding]:
        return list(sanity.far_numbers(records))

    # training

    def weights(self, wanted: ClassWeight, labels: np.ndarray) -> np.ndarray:
        """`(outputs,)`: the weight of each number."""
        weights = np.ones(len(self.columns), np.float32)
        if wanted == "none":
            return weights
        if not isinstance(wanted, dict):
            raise UserError("regression has no classes to balance", where="finetune.class_weight")
        for name, weight in wanted.items():
            if name not in self.columns:
                raise UserError(
                    f"{name!r} is not an output. {did_you_mean(name, self.columns)}",
                    where="finetune.class_weight",
                )
            weights[self.columns.index(name)] = weight
        return weights

    def targets(self, labels: Tensor) -> Tensor:
        """Standardised targets; labels are float64, targets are float32."""
        import tensorflow as tf

        labels = tf.convert_to_tensor(labels)
        if labels.dtype == tf.float32:
            return labels
        return tf.cast((labels - self._mean) / self._deviation, tf.float32)

    def blank_targets(self, count: Tensor | int) -> Tensor:
        import tensorflow as tf

        return tf.zeros((count, len(self.columns)))

    def two_targets(self) -> np.ndarray:
        return np.array([[-1.0], [1.0]], "float32").repeat(len(self.columns), axis=1)

    def score(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Averages to R2 over all training images, where the targets have a variance of 1."""
        import tensorflow as tf

        return tf.reduce_sum(1 - tf.reduce_mean(tf.square(logits - targets), axis=-1))

    def image_weights(self, targets: Tensor, weights: np.ndarray) -> Tensor:
        import tensorflow as tf

        if (weights == 1).all():
            return tf.ones((tf.shape(targets)[0],))
        return tf.ones_like(targets) * tf.cast(weights, targets.dtype)

    def counts(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(np.isfinite(labels).sum(axis=0))

    def measure(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """R2 is computed on these images; if they all have the same labels, it is 1 - loss."""
        standard = (labels - self._mean) / self._deviation
        loss = float(np.square(logits - standard).mean())
        value = metrics.mean_known(metrics.explained(logits, standard))
        return {"loss": loss, "r2": 1 - loss if value is None else value}

    def quality(self, logs: dict[str, float]) -> tuple[float, ...]:
        return logs["val_r2"], -logs["val_loss"]

    def loss_of_a_guess(self) -> float | None:
        return None

    def odd_loss(self, loss: KerasLoss) -> Finding | None:
        return sanity.odd_loss(loss, self.two_targets())

    # a linear head on features

    def among(self, labels: np.ndarray) -> tuple[Regression, np.ndarray]:
        if len(labels) < FEWEST or (np.ptp(labels, axis=0) == 0).any():
            raise ValueError(
                f"a linear probe needs {FEWEST} images or more, with different numbers"
            )
        return self, labels

    def sample(self, labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
        if len(labels) < FEWEST:
            raise DataError(f"fewer than {FEWEST} training images", hint="Add images.")
        return order[: max(count, FEWEST)]

    def folds(self, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
        return random_folds(len(labels), count, seed)

    def uncertainty(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Uses the bootstrap."""
        rng, values = np.random.default_rng(0), []
        for _ in range(100):
            rows = rng.integers(0, len(labels), len(labels))
            values.append(self.measure(logits[rows], labels[rows])["r2"])
        return float(np.std(values))

    def probed(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(np.isfinite(labels).all(axis=1))

    def odd_probe(self, logits: np.ndarray, labels: np.ndarray) -> Finding | None:
        return sanity.odd_probe(
            self.measure(logits, labels)["r2"], self.uncertainty(logits, labels)
        )

    def doubts(self, logits: np.ndarray, labels: np.ndarray) -> Doubts | None:
        return sanity.doubts(self.answers(logits), labels, self._deviation)

    # the answer

    def activation(self) -> KerasLayer:
        import keras

        return keras.layers.Rescaling(
            self._deviation.tolist(), offset=self._mean.tolist(), dtype="float32", name=VALUES
        )

    def answers(self, logits: np.ndarray) -> np.ndarray:
        return np.asarray(logits * self._deviation + self._mean, np.float32)

    def answer_tensors(self, logits: Tensor) -> dict[str, Tensor]:
        import tensorflow as tf

        mean, deviation = (
            tf.constant(value, tf.float32) for value in (self._mean, self._deviation)
        )
        return {VALUES: logits * deviation + mean}

    def answer_arrays(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        return {VALUES: answers}

    def explained_output(self, answered: dict[str, Tensor]) -> Tensor:
        """The first output."""
        import tensorflow as tf

        return tf.zeros((tf.shape(answered[VALUES])[0],), tf.int64)

    def tuned(self, answers: Callable[[], np.ndarray], labels: np.ndarray) -> Regression:
        return self

    def evaluate(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return metrics.evaluate(answers, labels, self.columns, self._deviation)

    def about(self) -> str:
        return f"A network from images to numbers: {', '.join(self.columns[:30])}."

    def figures(self, split: str, evaluation: dict[str, Any]) -> RegressionMetrics:
        return RegressionMetrics.of(split, evaluation)

    def summary(self, evaluation: dict[str, Any]) -> str | None:
        parts = []
        if evaluation.get("r2") is not None:
            parts.append(f"R2 {evaluation['r2']:.4f}")
        if "mae" in evaluation:
            parts.append(f"mean absolute error {evaluation['mae']:.4g}")
        return ", ".join(parts) or None

    def precise_summary(self, evaluation: dict[str, Any], split: str) -> str:
        text = self.summary(evaluation)
        if text is None:
            return "no image has a known number"
        low, high = evaluation["intervals"].get("r2", (None, None))
        between = "" if low is None else f" (95 %: {low:.3f} to {high:.3f})"
        return f"{text}{between} on {evaluation['images']} images of {split}"

    def lines(self, evaluation: dict[str, Any], most: int) -> list[str]:
        rows = evaluation.get("per_output", ())
        lines = [
            f"  {shortened(one_line(row['output']), 40):<24} mean absolute error {row['mae']:.4g}  "
            f"RMSE {row['rmse']:.4g}  R2 {'-' if row['r2'] is None else format(row['r2'], '.4f')}"
            for row in rows[:most]
        ]
        if len(rows) > most:
            lines.append(f"  ... and {len(rows) - most} more outputs, in evaluation.json")
        return lines

    def requirements(self, evaluation: dict[str, Any]) -> dict[str, float | None]:
        return {}

    def predicted(self, answer: np.ndarray) -> str:
        return "|".join(f"{value:.6g}" for value in answer)

    def row_head(self, top: int) -> list[str]:
        return list(self.columns)

    def row(self, told: dict[str, Any], top: int) -> list[str | float]:
        values = told.get("values", {})
        return [values.get(name, "") for name in self.columns]

    def describe(self, answer: np.ndarray, top: int, digits: int | None = None) -> dict[str, Any]:
        """All numbers, whatever `top` is; rounded numbers have seven significant digits."""
        values = [float(v) if digits is None else float(f"{v:.7g}") for v in answer]
        return {"values": dict(zip(self.columns, values, strict=True))}

    def write_predictions(
        self, path: pathlib.Path, names: Sequence[str], labels: Sequence[str], answers: np.ndarray
    ) -> None:
        write_predictions(path, names, labels, answers, self.columns)

    def captions(self, labels: np.ndarray) -> list[str]:
        return [", ".join(f"{value:.4g}" for value in row if np.isfinite(value)) for row in labels]

    def examples(
        self, answers: np.ndarray, labels: np.ndarray, most: int
    ) -> dict[str, list[Example]]:
        error = np.abs(answers - labels) / self._deviation
        known = np.flatnonzero(np.isfinite(error).all(axis=1))
        worst = known[np.argsort(-error[known].max(axis=1), kind="stable")][:most]
        return {"errors": [self._example(k, answers[k], labels[k]) for k in worst]}

    def _example(self, index: int, answer: np.ndarray, label: np.ndarray) -> Example:
        output = int(np.argmax(np.abs(answer - label) / self._deviation))
        told = {
            "output": self.columns[output],
            "predicted": float(f"{answer[output]:.5g}"),
            "true": float(f"{label[output]:.5g}"),
        }
        return Example(int(index), output, told)

    # the report

    def save_plots(self, evaluation: dict[str, Any], folder: pathlib.Path) -> None:
        if "points" not in evaluation:
            return
        true, found = (np.array(evaluation["points"][key]) for key in ("true", "predicted"))
        for k, (name, predicted, residuals) in enumerate(plots.files_of(self.columns)):
            plots.plot_predicted(true[:, k], found[:, k], name, folder / predicted)
            plots.plot_residuals(true[:, k], found[:, k], name, folder / residuals)

    def headlines(self, evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
        return report.headlines(evaluation, split)

    def report_overview(self, evaluation: dict[str, Any], plots: pathlib.Path) -> list[str]:
        return report.overview(self.columns, plots)

    def report_details(self, evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
        return report.details(evaluation)

    def example_caption(self, told: dict[str, Any]) -> str:
        return (
            f"{html.escape(one_line(told['output']))} <b>{told['predicted']:g}</b>; is "
            f"{told['true']:g}"
        )

    # runs side by side

    def judge(self, row: dict[str, str]) -> float:
        """The negative absolute error, summed over all numbers."""
        found = [float(value) for key, value in row.items() if key.startswith(PREDICTED)]
        true = [float(text or "nan") for text in from_cell(row["label"]).split("|")]
        return -sum(abs(a - b) for a, b in zip(found, true, strict=True))

    def verdict(
        self, first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str
    ) -> str:
        return verdict(first, second, name)

    # exports

    def agreement(
        self, found: np.ndarray, expected: np.ndarray, labels: np.ndarray, tolerance: float
    ) -> Agreement:
        """Answers agree if they differ by at most a small fraction of a standard deviation."""
        apart = np.abs(found - expected) / self._deviation
        known = np.isfinite(labels).all(axis=1)
        value = evaluated = None
        if known.any():
            value = metrics.mean_known(metrics.explained(found[known], labels[known]))
            evaluated = metrics.mean_known(metrics.explained(expected[known], labels[known]))
        return Agreement(
            same=bool((apart <= tolerance).all()),
            share=float((apart <= ROUNDED).all(axis=1).mean()),
            difference=float(apart.max()),
            metric=value,
            evaluated=evaluated,
        )
