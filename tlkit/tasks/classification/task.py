"""One class per image, out of two or more: labels are class ids, answers are probabilities."""

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
from tlkit.recipe.schema import ClassWeight, EffectiveNumber
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
from tlkit.tasks.classification import metrics, plots, report, sanity
from tlkit.tasks.classification.audit import class_findings
from tlkit.tasks.classification.doubts import label_doubts
from tlkit.tasks.classification.examples import choose_examples
from tlkit.tasks.classification.figures import Metrics
from tlkit.tasks.classification.labels import (
    check_counts,
    find_classes,
    meant_classes,
    refuse_sets,
    refuse_unknown,
)
from tlkit.tasks.classification.mcnemar import verdict
from tlkit.tasks.classification.outline import outline
from tlkit.tasks.classification.port_check import PORT_CHECK
from tlkit.tasks.classification.predictions import write_predictions
from tlkit.tasks.folds import stratified_folds
from tlkit.tasks.link import SOFTMAX, Link
from tlkit.tensors import KerasLayer, KerasLoss, Tensor
from tlkit.text import cell, one_line, shortened

PROBABILITIES = "probabilities"
PROBED = 5  # fewest images of a class for judging a linear head on it


@dataclasses.dataclass(frozen=True)
class Classification:
    """One class per image.

    Attributes:
        classes: Class names; a class id, int32, is a position in this list; -1 is an unknown class.
    """

    classes: list[str]
    name: ClassVar[str] = "classification"
    plural: ClassVar[str] = "classes"
    loss: ClassVar[str] = "cross_entropy"
    link: ClassVar[Link] = SOFTMAX
    metric: ClassVar[Metric] = Metric("accuracy", "acc", good=0.9, fair=0.85)
    required: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "worst_recall",
    )
    compared: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
    port_check: ClassVar[str] = PORT_CHECK
    limits: ClassVar[str] = (
        "It knows these classes and no others: whatever it is shown, it names one of them."
    )
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

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    # data

    @classmethod
    def fits(cls, source: SourceData) -> bool:
        return True

    @classmethod
    def learn(cls, records: Sequence[Record], source: SourceData) -> TaskData:
        if len(source.columns) > 1:
            raise DataError(
                f"each image has values in {len(source.columns)} columns ({some_of(source.columns, 5)}), "
                "and classification takes one class.",
                hint="Where they are numbers: task: regression. Else: label_column: "
                f"{source.columns[0]}",
            )
        classes, notes = find_classes(records, source)
        ids = {name: index for index, name in enumerate(classes)}
        labels = np.array([ids[record.label] for record in records], np.int32)
        return TaskData(cls(classes), labels, notes)

    @classmethod
    def split(
        cls, records: Sequence[Record], hashes: Sequence[str], val: float, test: float
    ) -> list[SplitName]:
        return split_by_hash(hashes, [record.label for record in records], val, test)

    @classmethod
    def outline(cls, records: Sequence[Record], where: str) -> Outline:
        return outline(records, where)

    def check_labels(self, records: Sequence[Record], match: Match | None, where: str) -> None:
        refuse_sets(records)
        refuse_unknown(self.classes, meant_classes(self.classes, records, match), where)

    def labels_of(self, records: Sequence[Record], match: Match | None) -> np.ndarray:
        meant = meant_classes(self.classes, records, match)
        return np.array([meant[record.label] for record in records], np.int32)

    def unknown(self, count: int) -> np.ndarray:
        return np.full(count, -1, np.int32)

    def check_split(self, name: str, labels: np.ndarray) -> list[str]:
        return check_counts(self.classes, name, self.counts(labels))

    def odd_order(self, labels: np.ndarray) -> list[Finding]:
        return list(sanity.odd_order(labels))

    def odd_copies(self, labels: np.ndarray, hashes: Sequence[str]) -> list[Finding]:
        return list(sanity.same_classes(labels, hashes, self.classes))

    @classmethod
    def audit(cls, records: Sequence[Record], splits: Sequence[str]) -> list[Finding]:
        return list(class_findings(records, splits))

    # training

    def weights(self, wanted: ClassWeight, labels: np.ndarray) -> np.ndarray:
        """`(classes,)`; `balanced` is n / (classes * n_class), whose mean over the images is 1."""
        from tlkit.losses.class_weights import effective_number, inverse_frequency

        weights = np.ones(len(self.classes), np.float32)
        if wanted == "balanced":
            return inverse_frequency(self.counts(labels))
        if isinstance(wanted, EffectiveNumber):
            return effective_number(self.counts(labels), wanted.effective_number)
        if isinstance(wanted, dict):
            for name, weight in wanted.items():
                if name not in self.classes:
                    raise UserError(
                        f"{name!r} is not a class. {did_you_mean(name, self.classes)}",
                        where="finetune.class_weight",
                    )
                weights[self.classes.index(name)] = weight
        return weights

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
        """Number of correct answers; a mixed image counts as the class with the larger share."""
        import tensorflow as tf

        right = tf.argmax(logits, -1) == tf.argmax(targets, -1)
        return tf.reduce_sum(tf.cast(right, tf.float32))

    def image_weights(self, targets: Tensor, weights: np.ndarray) -> Tensor:
        """In a mixed label, class weights are averaged by the shares of the classes."""
        import tensorflow as tf

        return tf.linalg.matvec(targets, tf.cast(weights, targets.dtype))

    def counts(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels[labels >= 0], minlength=len(self.classes))

    def measure(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        loss, accuracy = metrics.loss_and_accuracy(logits, labels)
        return {"loss": loss, "accuracy": accuracy}

    def quality(self, logs: dict[str, float]) -> tuple[float, ...]:
        """The loss breaks ties in accuracy."""
        return logs["val_accuracy"], -logs["val_loss"]

    def loss_of_a_guess(self) -> float | None:
        return float(np.log(len(self.classes)))

    def odd_loss(self, loss: KerasLoss) -> Finding | None:
        return sanity.odd_loss(loss, self.two_targets())

    # a linear head on features

    def among(self, labels: np.ndarray) -> tuple[Classification, np.ndarray]:
        known, ids = np.unique(labels, return_inverse=True)
        if len(known) < 2 or np.bincount(ids).min() < 2:
            raise ValueError("a linear probe needs two images or more of each of two classes")
        return Classification([self.classes[k] for k in known]), ids.astype(np.int32)

    def sample(self, labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
        """Includes at least two images of each class."""
        single = [self.classes[k] for k, images in enumerate(self.counts(labels)) if images < 2]
        if single:
            raise DataError(
                f"{some_of(single)}: fewer than two training images, of which cross-validation needs "
                "one to learn from and one to measure.",
                hint="Add images, or leave these classes out.",
            )
        ranks = np.empty(len(order), int)  # how many of its class precede each image
        seen = np.zeros(len(self.classes), int)
        for index in order:
            ranks[index] = seen[labels[index]]
            seen[labels[index]] += 1
        must = [index for index in order if ranks[index] < 2]
        rest = [index for index in order if ranks[index] >= 2]
        return np.array([*must, *rest][: max(count, len(must))])

    def folds(self, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
        return stratified_folds(labels, count, seed)

    def uncertainty(self, logits: np.ndarray, labels: np.ndarray) -> float:
        accuracy = float((logits.argmax(1) == labels).mean())
        return float(np.sqrt(accuracy * (1 - accuracy) / len(labels)))

    def probed(self, labels: np.ndarray) -> np.ndarray:
        kept, counts = np.unique(labels, return_counts=True)
        return np.isin(labels, kept[(counts >= PROBED) & (kept >= 0)])

    def odd_probe(self, logits: np.ndarray, labels: np.ndarray) -> Finding | None:
        return sanity.odd_probe(logits, labels)

    def doubts(self, logits: np.ndarray, labels: np.ndarray) -> Doubts | None:
        return label_doubts(logits, labels, self.classes)

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

    def tuned(self, answers: Callable[[], np.ndarray], labels: np.ndarray) -> Classification:
        return self

    def about(self) -> str:
        return (
            f"An image classifier of {len(self.classes)} classes: {', '.join(self.classes[:30])}."
        )

    def figures(self, split: str, evaluation: dict[str, Any]) -> Metrics:
        return Metrics.of(split, evaluation)

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

    def predicted(self, answer: np.ndarray) -> str:
        return self.classes[int(answer.argmax())]

    def row_head(self, top: int) -> list[str]:
        return [f"{key}_{k}" for k in range(1, top + 1) for key in ("label", "probability")]

    def row(self, told: dict[str, Any], top: int) -> list[str | float]:
        cells = [one for label, p in told.get("top", []) for one in (cell(label), p)]
        return cells + [""] * (2 * top - len(cells))

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
        """Labels must agree unless the two most probable classes are closer than rounding."""
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
