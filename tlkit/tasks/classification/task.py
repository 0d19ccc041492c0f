"""One class an image, out of two or more: labels are class ids, answers are probabilities."""

from __future__ import annotations

import dataclasses
import html
import pathlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tlkit.data.record import Record, SourceData
from tlkit.tasks.base import Agreement, Example, Learned, Match, Metric, ServedOutput
from tlkit.tasks.classification import metrics, plots, report
from tlkit.tasks.classification.examples import choose_examples
from tlkit.tasks.classification.labels import (
    check_counts,
    find_classes,
    meant_classes,
    refuse_unknown,
)
from tlkit.tasks.classification.mcnemar import verdict
from tlkit.tasks.classification.port_check import PORT_CHECK
from tlkit.tasks.classification.predictions import write_predictions
from tlkit.tensors import KerasLayer, Tensor
from tlkit.text import one_line, shortened

PROBABILITIES = "probabilities"


@dataclasses.dataclass(frozen=True)
class Classification:
    """One class an image.

    Attributes:
        classes: Names; a class id, int32, is the position in this list, -1 an unknown class.
    """

    classes: list[str]
    name: ClassVar[str] = "classification"
    metric: ClassVar[Metric] = Metric("accuracy", "acc", good=0.9, fair=0.85)
    compared: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
    port_check: ClassVar[str] = PORT_CHECK
    example_titles: ClassVar[dict[str, str]] = {
        "mistakes": "The most confident mistakes",
        "unsure": "The images it is least sure of",
    }
    served: ClassVar[tuple[ServedOutput, ...]] = (
        ServedOutput(PROBABILITIES, "float", wide=True),
        ServedOutput("label", "text"),
        ServedOutput("label_id", "integer"),
    )

    @property
    def outputs(self) -> list[str]:
        return self.classes

    # data

    @classmethod
    def learn(cls, records: Sequence[Record], source: SourceData) -> Learned:
        classes, notes = find_classes(records, source)
        ids = {name: index for index, name in enumerate(classes)}
        labels = np.array([ids[record.label] for record in records], np.int32)
        return Learned(cls(classes), labels, notes)

    @classmethod
    def strata(cls, records: Sequence[Record]) -> list[str]:
        return [record.label for record in records]

    def check_labels(self, records: Sequence[Record], match: Match | None, where: str) -> None:
        refuse_unknown(self.classes, meant_classes(self.classes, records, match), where)

    def labels_of(self, records: Sequence[Record], match: Match | None) -> np.ndarray:
        meant = meant_classes(self.classes, records, match)
        return np.array([meant[record.label] for record in records], np.int32)

    def check_split(self, name: str, labels: np.ndarray) -> list[str]:
        return check_counts(self.classes, name, self.counts(labels))

    # training

    def targets(self, labels: Tensor) -> Tensor:
        import tensorflow as tf

        labels = tf.convert_to_tensor(labels)
        return labels if labels.dtype.is_floating else tf.one_hot(labels, len(self.classes))

    def blank_targets(self, count: Tensor | int) -> Tensor:
        import tensorflow as tf

        return self.targets(tf.zeros((count,), tf.int32))

    def two_targets(self) -> np.ndarray:
        both: np.ndarray = np.eye(len(self.classes), dtype="float32")[[0, -1]]
        return both

    def score(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Right answers; that of a mixed image is the class with the larger share."""
        import tensorflow as tf

        right = tf.argmax(logits, -1) == tf.argmax(targets, -1)
        return tf.reduce_sum(tf.cast(right, tf.float32))

    def image_weights(self, targets: Tensor, weights: Tensor) -> Tensor:
        """A class's weight counts by its share in a mixed label."""
        import tensorflow as tf

        return tf.linalg.matvec(targets, weights)

    def counts(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels[labels >= 0], minlength=len(self.classes))

    def measure(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        loss, accuracy = metrics.loss_and_accuracy(logits, labels)
        return {"loss": loss, "accuracy": accuracy}

    def quality(self, logs: dict[str, float]) -> tuple[float, ...]:
        """Equal accuracies are told apart by the loss."""
        return logs["val_accuracy"], -logs["val_loss"]

    def loss_of_a_guess(self) -> float | None:
        return float(np.log(len(self.classes)))

    # the answer

    def activation(self) -> KerasLayer:
        import keras

        return keras.layers.Softmax(dtype="float32", name=PROBABILITIES)

    def answers(self, logits: np.ndarray) -> np.ndarray:
        return metrics.softmax(logits)

    def answer_tensors(self, logits: Tensor) -> dict[str, Tensor]:
        import tensorflow as tf

        label_id = tf.argmax(logits, axis=-1)
        return {
            PROBABILITIES: tf.nn.softmax(logits),
            "label": tf.gather(tf.constant(self.classes), label_id),
            "label_id": label_id,
        }

    def answer_arrays(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        best = answers.argmax(axis=1)
        return {
            PROBABILITIES: answers.astype("float32"),
            "label": np.array([self.classes[k] for k in best], object),
            "label_id": best.astype("int64"),
        }

    def explained_output(self, answered: dict[str, Tensor]) -> Tensor:
        return answered["label_id"]

    def evaluate(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return metrics.evaluate(answers, labels, self.classes)

    def summary(self, evaluation: dict[str, Any]) -> str | None:
        return f"accuracy {evaluation['accuracy']:.4f}" if "accuracy" in evaluation else None

    def precise_summary(self, evaluation: dict[str, Any], split: str) -> str:
        if "accuracy" not in evaluation:
            return "on no known labels"
        low, high = evaluation["intervals"]["accuracy"]
        return (
            f"accuracy {evaluation['accuracy']:.4f} on {evaluation['images']} images of {split}, "
            f"95 % between {low:.3f} and {high:.3f}"
        )

    def lines(self, evaluation: dict[str, Any], most: int) -> list[str]:
        rows = [row for row in evaluation.get("per_class", ()) if row["images"]]
        lines = []
        for row in rows[:most]:
            numbers = "  ".join(
                f"{key} {'-' if row[key] is None else format(row[key], '.3f')}"
                for key in ("precision", "recall", "f1")
            )
            name = shortened(one_line(row["class"]), 40)
            lines.append(f"  {name:<24} {row['images']:>6} images  {numbers}")
        if len(rows) > most:
            lines.append(f"  ... and {len(rows) - most} more classes, in evaluation.json")
        return lines

    def requirements(self, evaluation: dict[str, Any]) -> dict[str, float | None]:
        recalls = [
            row["recall"] for row in evaluation.get("per_class", ()) if row["recall"] is not None
        ]
        return {"worst_recall": min(recalls, default=None)}

    def describe(self, answer: np.ndarray, top: int, digits: int | None = None) -> dict[str, Any]:
        best = np.argsort(-answer, kind="stable")[:top]
        values = [
            float(answer[k]) if digits is None else round(float(answer[k]), digits) for k in best
        ]
        names = [self.classes[k] for k in best]
        return {
            "label": names[0],
            "probability": values[0],
            "top": [list(pair) for pair in zip(names, values, strict=True)],
        }

    def write_predictions(
        self, path: pathlib.Path, names: Sequence[str], labels: Sequence[str], answers: np.ndarray
    ) -> None:
        write_predictions(path, names, labels, answers, self.classes)

    def captions(self, labels: np.ndarray) -> list[str]:
        return [self.classes[k] if k >= 0 else "" for k in labels]

    def examples(
        self, answers: np.ndarray, labels: np.ndarray, most: int
    ) -> dict[str, list[Example]]:
        chosen = choose_examples(answers, labels, most)
        return {
            kind: [self._example(index, answers[index], int(labels[index])) for index in places]
            for kind, places in chosen.items()
        }

    def _example(self, index: int, answer: np.ndarray, label: int) -> Example:
        best = int(answer.argmax())
        told = {"predicted": self.classes[best], "probability": round(float(answer.max()), 4)}
        if label >= 0:
            told["probability_of_label"] = round(float(answer[label]), 4)
        return Example(index, best, told)

    # the report

    def save_plots(self, evaluation: dict[str, Any], folder: pathlib.Path) -> None:
        if "confusion" not in evaluation:
            return
        matrix = np.array(evaluation["confusion"])
        plots.plot_confusion(matrix, self.classes, folder / "confusion_matrix.png")
        plots.plot_calibration(evaluation["calibration"], folder / "calibration.png")
        plots.plot_classes(evaluation["per_class"], folder / "classes.png")

    def headlines(self, evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
        return report.headlines(evaluation, split)

    def report_overview(self, evaluation: dict[str, Any], plots: pathlib.Path) -> list[str]:
        return report.overview(evaluation, plots)

    def report_details(self, evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
        return report.details(evaluation, trained_on)

    def example_caption(self, told: dict[str, Any]) -> str:
        text = f"<b>{html.escape(told['predicted'])}</b> {told['probability']:.2f}"
        if told["label"] and told["label"] != told["predicted"]:
            own = told.get("probability_of_label")
            text += f"; is {html.escape(told['label'])}" + ("" if own is None else f" {own:.2f}")
        return text

    # runs side by side

    def judge(self, row: dict[str, str]) -> float:
        return float(row["label"] == row["predicted"])

    def verdict(
        self, first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str
    ) -> str:
        return verdict(first, second, name)

    # exports

    def agreement(
        self, found: np.ndarray, expected: np.ndarray, labels: np.ndarray, tolerance: float
    ) -> Agreement:
        """Labels must be the same where the two most probable classes are further apart than rounding."""
        guess, before = found.argmax(1), expected.argmax(1)
        known = labels >= 0
        accuracy = evaluated = None
        if known.any():
            accuracy = float((guess == labels)[known].mean())
            evaluated = float((before == labels)[known].mean())
        top_two = np.sort(expected, axis=1)[:, -2:]
        clear = top_two[:, -1] - top_two[:, 0] > 2 * tolerance
        return Agreement(
            same=bool((guess == before)[clear].all()),
            share=float((guess == before).mean()),
            difference=float(np.abs(found - expected).max()),
            metric=accuracy,
            evaluated=evaluated,
        )
