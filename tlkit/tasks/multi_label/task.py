"""Any number of labels per image: labels are rows of 0 and 1, answers are probabilities."""

from __future__ import annotations

import dataclasses
import html
import pathlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tlkit.data.record import Record, SourceData, SplitName
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
from tlkit.tasks.link import SIGMOID, Link
from tlkit.tasks.multi_label import metrics, plots, report, sanity
from tlkit.tasks.multi_label.audit import label_findings
from tlkit.tasks.multi_label.doubts import label_doubts
from tlkit.tasks.multi_label.examples import choose_examples
from tlkit.tasks.multi_label.figures import MultiLabelMetrics
from tlkit.tasks.multi_label.labels import (
    check_counts,
    find_labels,
    holds_sets,
    meant_labels,
    refuse_folders,
    refuse_unknown,
    sets_of,
)
from tlkit.tasks.multi_label.outline import outline
from tlkit.tasks.multi_label.port_check import PORT_CHECK
from tlkit.tasks.multi_label.predictions import (
    BETWEEN,
    chosen_text,
    parsed_text,
    write_predictions,
)
from tlkit.tasks.multi_label.stratify import split_sets, stratified_folds
from tlkit.tasks.multi_label.thresholds import USUAL, best_thresholds
from tlkit.tasks.multi_label.verdict import verdict
from tlkit.tasks.odd_copies import odd_copies
from tlkit.tensors import KerasLayer, KerasLoss, Tensor
from tlkit.text import cell, from_cell, one_line, shortened

PROBABILITIES = "probabilities"
FEWEST = 10  # fewest images for which cross-validation means anything


@dataclasses.dataclass(frozen=True)
class MultiLabel:
    """Any number of labels per image, including none.

    Attributes:
        classes: Class names; labels are int8 `(n, classes)` of 0 and 1, a row of -1 is unknown.
        thresholds: Probability threshold of each class; 0.5 by default.
    """

    classes: list[str]
    thresholds: list[float] | None = None
    name: ClassVar[str] = "multi-label"
    plural: ClassVar[str] = "labels"
    loss: ClassVar[str] = "binary_cross_entropy"
    link: ClassVar[Link] = SIGMOID
    metric: ClassVar[Metric] = Metric("map", "mAP", good=0.9, fair=0.7)
    required: ClassVar[tuple[str, ...]] = ("map", "f1_micro", "f1_macro")
    compared: ClassVar[tuple[str, ...]] = ("map", "f1_micro", "f1_macro", "loss")
    port_check: ClassVar[str] = PORT_CHECK
    limits: ClassVar[str] = "It knows these labels and no others."
    example_titles: ClassVar[dict[str, str]] = {
        "missed": "Labels that were missed, the surest first",
        "wrong": "Labels that were given wrongly, the surest first",
    }
    served: ClassVar[tuple[ServedOutput, ...]] = (
        ServedOutput(PROBABILITIES, "float", wide=True),
        ServedOutput("chosen", "integer", wide=True),
        ServedOutput("labels", "text"),
    )

    @property
    def outputs(self) -> list[str]:
        return self.classes

    @property
    def settings(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds}

    @property
    def _thresholds(self) -> np.ndarray:
        return np.array(self.thresholds or [USUAL] * len(self.classes), np.float32)

    # data

    @classmethod
    def fits(cls, source: SourceData) -> bool:
        return holds_sets(source)

    @classmethod
    def learn(cls, records: Sequence[Record], source: SourceData) -> TaskData:
        classes = find_labels(records, source)
        ids: dict[str, int | None] = {name: index for index, name in enumerate(classes)}
        empty = sum(not record.labels for record in records)
        notes = [f"{empty} images have no label"] if empty else []
        return TaskData(cls(classes), sets_of(records, ids, len(classes)), notes)

    @classmethod
    def split(
        cls, records: Sequence[Record], hashes: Sequence[str], val: float, test: float
    ) -> list[SplitName]:
        names = sorted({name for record in records for name in record.labels or ()})
        ids: dict[str, int | None] = {name: index for index, name in enumerate(names)}
        return split_sets(sets_of(records, ids, len(names)) > 0, hashes, val, test)

    @classmethod
    def outline(cls, records: Sequence[Record], where: str) -> Outline:
        return outline(records, where)

    def check_labels(self, records: Sequence[Record], match: Match | None, where: str) -> None:
        refuse_folders(records)
        refuse_unknown(self.classes, records, meant_labels(self.classes, records, match), where)

    def labels_of(self, records: Sequence[Record], match: Match | None) -> np.ndarray:
        return sets_of(records, meant_labels(self.classes, records, match), len(self.classes))

    def unknown(self, count: int) -> np.ndarray:
        return np.full((count, len(self.classes)), -1, np.int8)

    def check_split(self, name: str, labels: np.ndarray) -> list[str]:
        return check_counts(self.classes, name, labels)

    def odd_order(self, labels: np.ndarray) -> list[Finding]:
        return list(sanity.odd_order(labels))

    def odd_copies(self, labels: np.ndarray, hashes: Sequence[str]) -> list[Finding]:
        return odd_copies(labels, hashes, "labels")

    @classmethod
    def audit(cls, records: Sequence[Record], splits: Sequence[str]) -> list[Finding]:
        return list(label_findings(records, splits))

    # training

    def weights(self, wanted: ClassWeight, labels: np.ndarray) -> np.ndarray:
        """`(2, classes)`: weights of images without and with each label.

        `balanced` is n / (2 n_with) and n / (2 n_without), so that both sides weigh the same. A
        number given for a label is the weight of the images that have it.
        """
        from tlkit.losses.class_weights import effective_number, inverse_frequency

        weights = np.ones((2, len(self.classes)), np.float32)
        there = self.counts(labels)
        pairs = np.stack([len(labels) - there, there], axis=1)
        if wanted == "balanced":
            return np.stack([self._of_pair(inverse_frequency, pair) for pair in pairs], axis=1)
        if isinstance(wanted, EffectiveNumber):
            beta = wanted.effective_number
            return np.stack(
                [self._of_pair(lambda n: effective_number(n, beta), pair) for pair in pairs], axis=1
            )
        if isinstance(wanted, dict):
            for name, weight in wanted.items():
                if name not in self.classes:
                    raise UserError(
                        f"{name!r} is not a label. {did_you_mean(name, self.classes)}",
                        where="finetune.class_weight",
                    )
                weights[1, self.classes.index(name)] = weight
        return weights

    @staticmethod
    def _of_pair(rule: Callable[[np.ndarray], np.ndarray], pair: np.ndarray) -> np.ndarray:
        """Weights of images without and with a label; 1 if all or none have it."""
        return rule(pair) if pair.all() else np.ones(2, np.float32)

    def targets(self, labels: Tensor) -> Tensor:
        import tensorflow as tf

        labels = tf.convert_to_tensor(labels)
        return labels if labels.dtype.is_floating else tf.cast(labels, tf.float32)

    def blank_targets(self, count: Tensor | int) -> Tensor:
        import tensorflow as tf

        return tf.zeros((count, len(self.classes)))

    def two_targets(self) -> np.ndarray:
        one = np.arange(len(self.classes)) % 2 == 0
        return np.stack([one, ~one]).astype("float32")

    def score(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Label ranking average precision: AP of each image's labels among all labels.

        The AP of a label over an epoch's images cannot be summed by batch. An image without labels
        counts as 1. A mixed image has the labels whose share is at least a half.
        """
        import tensorflow as tf

        logits = tf.cast(logits, tf.float32)
        there = targets >= 0.5
        own = tf.cast(there, tf.float32)
        # for each label: how many labels, and how many of the image's, are at least as probable
        rank = _at_least(logits, logits)
        right = _at_least(tf.where(there, logits, -np.inf), logits)
        count = tf.reduce_sum(own, -1)
        found = tf.reduce_sum(own * right / rank, -1)
        return tf.reduce_sum(tf.where(count > 0, found / tf.maximum(count, 1.0), 1.0))

    def image_weights(self, targets: Tensor, weights: np.ndarray) -> Tensor:
        import tensorflow as tf

        if (weights == 1).all():
            return tf.ones((tf.shape(targets)[0],))
        without, having = (tf.cast(row, targets.dtype) for row in weights)
        return targets * having + (1.0 - targets) * without

    def counts(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray((labels > 0).sum(axis=0))

    def measure(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """mAP of the labels that occur; 0 if no image has a label."""
        value = metrics.mean_known(metrics.average_precisions(logits, labels > 0))
        return {"loss": metrics.loss_of(logits, labels), "map": 0.0 if value is None else value}

    def quality(self, logs: dict[str, float]) -> tuple[float, ...]:
        return logs["val_map"], -logs["val_loss"]

    def loss_of_a_guess(self) -> float | None:
        return float(np.log(2))

    def odd_loss(self, loss: KerasLoss) -> Finding | None:
        return sanity.odd_loss(loss, self.two_targets())

    # a linear head on features

    def among(self, labels: np.ndarray) -> tuple[MultiLabel, np.ndarray]:
        """Reduced to the labels that at least two images have and at least two do not."""
        there = self.counts(labels)
        kept = np.flatnonzero((there >= 2) & (len(labels) - there >= 2))
        if len(labels) < FEWEST or not len(kept):
            raise ValueError(
                f"a linear probe needs {FEWEST} images or more, two of them with a label and two without"
            )
        return MultiLabel([self.classes[k] for k in kept]), labels[:, kept]

    def sample(self, labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
        """Includes at least two images of each label."""
        single = [self.classes[k] for k, n in enumerate(self.counts(labels)) if n < 2]
        if single:
            raise DataError(
                f"{some_of(single)}: fewer than two training images, of which cross-validation needs "
                "one to learn from and one to measure.",
                hint="Add images, or leave these labels out.",
            )
        seen = np.zeros(len(self.classes), int)
        must: list[int] = []
        rest: list[int] = []
        for index in order:
            own = labels[index] > 0
            (must if (seen[own] < 2).any() else rest).append(index)
            seen[own] += 1
        return np.array([*must, *rest][: max(count, len(must))])

    def folds(self, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
        return stratified_folds(labels > 0, count, seed)

    def uncertainty(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Uses the bootstrap."""
        return metrics.uncertainty(logits, labels > 0)

    def probed(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray((labels >= 0).all(axis=1))

    def odd_probe(self, logits: np.ndarray, labels: np.ndarray) -> Finding | None:
        return sanity.odd_probe(logits, labels > 0)

    def doubts(self, logits: np.ndarray, labels: np.ndarray) -> Doubts | None:
        return label_doubts(logits, labels, self.classes)

    # the answer

    def activation(self) -> KerasLayer:
        import keras

        return keras.layers.Activation("sigmoid", dtype="float32", name=PROBABILITIES)

    def answers(self, logits: np.ndarray) -> np.ndarray:
        return metrics.sigmoid(logits)

    def answer_tensors(self, logits: Tensor) -> dict[str, Tensor]:
        import tensorflow as tf

        probabilities = tf.sigmoid(logits)
        chosen = probabilities >= tf.constant(self._thresholds)
        words = tf.broadcast_to(tf.constant(self.classes), tf.shape(chosen))
        joined = tf.strings.reduce_join(
            tf.ragged.boolean_mask(words, chosen), axis=-1, separator=BETWEEN
        )
        return {
            PROBABILITIES: probabilities,
            "chosen": tf.cast(chosen, tf.int64),
            "labels": joined,
        }

    def answer_arrays(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        chosen = answers >= self._thresholds
        return {
            PROBABILITIES: answers.astype("float32"),
            "chosen": chosen.astype("int64"),
            "labels": np.array([chosen_text(self._names(row)) for row in answers], object),
        }

    def _names(self, answer: np.ndarray) -> list[str]:
        """The labels predicted for one image."""
        return [self.classes[k] for k in np.flatnonzero(answer >= self._thresholds)]

    def explained_output(self, answered: dict[str, Tensor]) -> Tensor:
        """The most probable label."""
        import tensorflow as tf

        return tf.argmax(answered[PROBABILITIES], axis=-1)

    def tuned(self, answers: Callable[[], np.ndarray], labels: np.ndarray) -> MultiLabel:
        """With the thresholds that maximize F1."""
        known = (labels >= 0).all(axis=1)
        if not known.any():
            return self
        return MultiLabel(self.classes, best_thresholds(answers()[known], labels[known]))

    def about(self) -> str:
        return (
            f"A network that gives images any number of {len(self.classes)} labels: "
            f"{', '.join(self.classes[:30])}."
        )

    def figures(self, split: str, evaluation: dict[str, Any]) -> MultiLabelMetrics:
        return MultiLabelMetrics.of(split, evaluation)

    def evaluate(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return metrics.evaluate(answers, labels, self.classes, self._thresholds)

    def summary(self, evaluation: dict[str, Any]) -> str | None:
        parts = [
            f"{title} {evaluation[key]:.4f}"
            for key, title in (("map", "mAP"), ("f1_micro", "micro F1"))
            if evaluation.get(key) is not None
        ]
        return ", ".join(parts) or None

    def precise_summary(self, evaluation: dict[str, Any], split: str) -> str:
        text = self.summary(evaluation)
        if text is None:
            return "on no known labels"
        low, high = evaluation["intervals"].get("map", (None, None))
        between = "" if low is None else f" (95 % of mAP: {low:.3f} to {high:.3f})"
        flatters = f"; {report.SAME_IMAGES}" if self.thresholds and split == "val" else ""
        return f"{text}{between} on {evaluation['images']} images of {split}{flatters}"

    def lines(self, evaluation: dict[str, Any], most: int) -> list[str]:
        rows = [row for row in evaluation.get("per_class", ()) if row["images"]]
        lines = []
        for row in rows[:most]:
            numbers = "  ".join(
                f"{title} {'-' if row[key] is None else format(row[key], '.3f')}"
                for key, title in (
                    ("ap", "AP"), ("precision", "precision"), ("recall", "recall"), ("f1", "f1"),
                    ("threshold", "from"),
                )
            )  # fmt: skip
            name = shortened(one_line(row["class"]), 40)
            lines.append(f"  {name:<24} {row['images']:>6} images  {numbers}")
        if len(rows) > most:
            lines.append(f"  ... and {len(rows) - most} more labels, in evaluation.json")
        return lines

    def requirements(self, evaluation: dict[str, Any]) -> dict[str, float | None]:
        return {}

    def predicted(self, answer: np.ndarray) -> str:
        return chosen_text(self._names(answer))

    def row_head(self, top: int) -> list[str]:
        return [
            "labels",
            *(f"{k}_{n}" for n in range(1, top + 1) for k in ("label", "probability")),
        ]

    def row(self, told: dict[str, Any], top: int) -> list[str | float]:
        cells = [one for label, p in told.get("top", []) for one in (cell(label), p)]
        labels = cell(chosen_text(told.get("labels", ())))
        return [labels, *cells, *[""] * (2 * top - len(cells))]

    def describe(self, answer: np.ndarray, top: int, digits: int | None = None) -> dict[str, Any]:
        """The predicted labels, and the `top` most probable ones."""
        best = np.argsort(-answer, kind="stable")[:top]
        values = [
            float(answer[k]) if digits is None else round(float(answer[k]), digits) for k in best
        ]
        names = [self.classes[k] for k in best]
        return {
            "labels": self._names(answer),
            "top": [list(pair) for pair in zip(names, values, strict=True)],
        }

    def write_predictions(
        self, path: pathlib.Path, names: Sequence[str], labels: Sequence[str], answers: np.ndarray
    ) -> None:
        thresholds = dict(zip(self.classes, self._thresholds, strict=True))
        write_predictions(path, names, labels, answers, thresholds)

    def captions(self, labels: np.ndarray) -> list[str]:
        return [
            some_of([self.classes[k] for k in np.flatnonzero(row > 0)]) if row[0] >= 0 else ""
            for row in labels
        ]

    def examples(
        self, answers: np.ndarray, labels: np.ndarray, most: int
    ) -> dict[str, list[Example]]:
        chosen = choose_examples(answers, labels, self._thresholds, most)
        return {
            kind: [self._example(image, output, answers[image]) for image, output in found]
            for kind, found in chosen.items()
        }

    def _example(self, image: int, output: int, answer: np.ndarray) -> Example:
        told = {
            "output": self.classes[output],
            "probability": round(float(answer[output]), 4),
            "threshold": round(float(self._thresholds[output]), 4),
            "predicted": chosen_text(self._names(answer)),
        }
        return Example(image, output, told)

    # the report

    def save_plots(self, evaluation: dict[str, Any], folder: pathlib.Path) -> None:
        if evaluation.get("curves"):
            table = evaluation["per_class"]
            plots.plot_curves(evaluation["curves"], table, folder / "precision_recall.png")
            plots.plot_labels(table, folder / "labels.png")

    def headlines(self, evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
        return report.headlines(evaluation, split)

    def report_overview(self, evaluation: dict[str, Any], plots: pathlib.Path) -> list[str]:
        return report.overview(plots)

    def report_details(self, evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
        return report.details(evaluation, trained_on)

    def example_caption(self, told: dict[str, Any]) -> str:
        return (
            f"<b>{html.escape(one_line(told['output']))}</b> {told['probability']:.2f} (from "
            f"{told['threshold']:.2f}); is {html.escape(one_line(told['label'])) or 'without label'}"
        )

    # runs side by side

    def judge(self, row: dict[str, str]) -> float:
        """Minus the number of wrong labels."""
        true, found = (parsed_text(from_cell(row[key])) for key in ("label", "predicted"))
        return -float(len(true ^ found))

    def verdict(
        self, first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str
    ) -> str:
        return verdict(first, second, name)

    # exports

    def agreement(
        self, found: np.ndarray, expected: np.ndarray, labels: np.ndarray, tolerance: float
    ) -> Agreement:
        """Labels must agree where a probability is further than `tolerance` from its threshold."""
        now, before = found >= self._thresholds, expected >= self._thresholds
        clear = np.abs(expected - self._thresholds) > tolerance
        known = (labels >= 0).all(axis=1)
        value = evaluated = None
        if known.any():
            truth = labels[known] > 0
            value = metrics.mean_known(metrics.average_precisions(found[known], truth))
            evaluated = metrics.mean_known(metrics.average_precisions(expected[known], truth))
        return Agreement(
            same=bool((now == before)[clear].all()),
            share=float((now == before).mean()),
            difference=float(np.abs(found - expected).max()),
            metric=value,
            evaluated=evaluated,
        )


def _at_least(values: Tensor, each: Tensor) -> Tensor:
    """For each value of `each`, how many of the row's `values` are at least as large."""
    import tensorflow as tf

    below = tf.searchsorted(tf.sort(values, axis=-1), each, side="left")
    return tf.cast(tf.shape(values)[-1] - below, tf.float32)
