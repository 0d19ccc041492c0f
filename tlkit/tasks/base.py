"""The task interface: everything that depends on what is learned, from labels to served answers.

All other code asks the task. A new task is a package beside `classification/`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from tlkit.data.record import Record, SourceData, SplitName
from tlkit.finding import Finding
from tlkit.recipe.schema import ClassWeight
from tlkit.tasks.link import Link
from tlkit.tensors import KerasLayer, KerasLoss, Tensor

# maps a label to the model's name for it, or to None
Match = Callable[[str], str | None]


@dataclasses.dataclass(frozen=True)
class Metric:
    """The metric that is monitored beside the loss during training.

    Attributes:
        name: Name in logs and metrics.csv, such as `accuracy`; prefixed with `val_` for validation.
        short: Short name for the terminal.
        good: Value from which the network counts as having learned its training data.
        fair: Value below which the network still underfits its own training images.
    """

    name: str
    short: str
    good: float
    fair: float

    @property
    def val(self) -> str:
        """Name of the metric on validation images."""
        return f"val_{self.name}"


@dataclasses.dataclass(frozen=True)
class TaskData:
    """The task and the labels of a data set.

    Attributes:
        task: The task with its outputs.
        labels: Labels of the records, in the same order.
        notes: Remarks for the user.
    """

    task: Task
    labels: np.ndarray
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Doubts:
    """Labels compared with the predictions of a network that was not trained on them.

    Attributes:
        order: Positions of all images, most doubtful label first.
        margin: Margin of each image, in [-1, 1]; lower is more doubtful.
        suspect: Whether each label is counted as wrong.
        given: The doubted label of each image, as text.
        guess: The more probable label of each image, as text.
    """

    order: np.ndarray
    margin: np.ndarray
    suspect: np.ndarray
    given: list[str]
    guess: list[str]


@dataclasses.dataclass(frozen=True)
class Outline:
    """What `tlkit init` prints about the data, and the recipe lines that depend on them.

    Attributes:
        text: Counts of images and labels.
        recipe: Top-level recipe lines.
        finetune: Lines of its `finetune` section.
        augment: Value of `augment`, with a comment.
    """

    text: str
    recipe: tuple[str, ...]
    finetune: tuple[str, ...]
    augment: str = (
        "[flip]                # random changes; more: tlkit techniques --kind augmentation"
    )


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How the answers of an exported model compare with those that were evaluated.

    Attributes:
        same: Whether all answers agree, except for ties.
        share: Fraction of the images with the same answer.
        difference: Largest difference of an answer; 1 is a probability of 1, or one standard
            deviation of the labels.
        metric: Metric of the exported model, where labels are known.
        evaluated: Metric of the model that was evaluated.
    """

    same: bool
    share: float
    difference: float
    metric: float | None
    evaluated: float | None


@dataclasses.dataclass(frozen=True)
class ServedOutput:
    """An output tensor of an exported model.

    Attributes:
        name: Name in signatures and requests.
        kind: `float`, `integer` or `text`.
        wide: Whether the shape is `(batch, outputs)`; otherwise `(batch,)`.
    """

    name: str
    kind: Literal["float", "integer", "text"]
    wide: bool = False


@dataclasses.dataclass(frozen=True)
class Example:
    """An image to show in the report.

    Attributes:
        index: Row of the image in the split.
        output: The output whose heat map is shown.
        told: What examples.json records about it.
    """

    index: int
    output: int
    told: dict[str, Any]


class Task(Protocol):
    """A learning task.

    Rows are images, columns are the network's outputs. `labels` are a split's labels, one row per
    image; `targets` are what the loss takes, float32 `(batch, outputs)`; `logits` are the output of
    the head; `answers` are the output of the model, `(n, outputs)`.
    """

    name: ClassVar[str]
    plural: ClassVar[str]  # what outputs are called, such as "classes"
    loss: ClassVar[str]  # registered name of the default loss
    link: ClassVar[Link]  # link function for solving a linear head
    metric: ClassVar[Metric]
    required: ClassVar[
        tuple[str, ...]
    ]  # metrics that `require` accepts, beside the loss and the metric
    compared: ClassVar[tuple[str, ...]]  # metrics of an evaluation that are compared between runs
    port_check: ClassVar[str]  # program that compares the answers of a port with the golden pack
    limits: ClassVar[str]  # what such a model cannot do, one sentence for the model card
    example_titles: ClassVar[dict[str, str]]  # titles for the kinds of `examples`
    served: ClassVar[tuple[ServedOutput, ...]]  # the first one holds the answers themselves

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in order."""

    @property
    def settings(self) -> dict[str, Any]:
        """What defines the task beside its outputs, as JSON values; `make_task` takes it back."""

    # data

    @classmethod
    def fits(cls, source: SourceData) -> bool:
        """Whether the data suit this task; asked if the recipe names no task."""

    @classmethod
    def learn(cls, records: Sequence[Record], source: SourceData) -> TaskData:
        """Builds the task from training data.

        Args:
            records: Valid records of the source.
            source: Source of the records.

        Raises:
            DataError: if there is nothing to learn, or labels are of another kind.
        """

    @classmethod
    def split(
        cls, records: Sequence[Record], hashes: Sequence[str], val: float, test: float
    ) -> list[SplitName]:
        """Assigns each record to a split, stratified by label.

        Args:
            records: Records of the data.
            hashes: SHA-256 of their images.
            val: Fraction for validation, in [0, 1).
            test: Fraction for the test, in [0, 1).
        """

    @classmethod
    def outline(cls, records: Sequence[Record], where: str) -> Outline:
        """The parts of a new recipe that depend on the labels.

        Args:
            records: Records of the data.
            where: Location that error messages name.

        Raises:
            DataError: if there is nothing to learn.
        """

    def check_labels(self, records: Sequence[Record], match: Match | None, where: str) -> None:
        """Rejects labels that the model does not know.

        Raises:
            DataError: naming them.
        """

    def labels_of(self, records: Sequence[Record], match: Match | None) -> np.ndarray:
        """Labels of records that passed `check_labels`."""

    def unknown(self, count: int) -> np.ndarray:
        """Labels for `count` images whose labels are unknown."""

    def check_split(self, name: str, labels: np.ndarray) -> list[str]:
        """Remarks about unusual labels in a split.

        Raises:
            DataError: if the split cannot be used for training.
        """

    def odd_order(self, labels: np.ndarray) -> list[Finding]:
        """Whether training labels, in the order of an epoch, look unshuffled."""

    def odd_copies(self, labels: np.ndarray, hashes: Sequence[str]) -> list[Finding]:
        """Whether identical images have different labels.

        Args:
            labels: Labels of the images of all splits.
            hashes: SHA-256 of the same images.
        """

    @classmethod
    def audit(cls, records: Sequence[Record], splits: Sequence[str]) -> list[Finding]:
        """Findings about the labels of a data set and their distribution over the splits."""

    # training

    def weights(self, wanted: ClassWeight, labels: np.ndarray) -> np.ndarray:
        """Loss weights, in the form that `image_weights` takes.

        Args:
            wanted: The recipe's `class_weight`.
            labels: Labels of the training images.

        Raises:
            UserError: if there is no such output, or the setting has no meaning for this task.
        """

    def targets(self, labels: Tensor) -> Tensor:
        """Targets for a batch's labels; labels that are already targets (mixed) are unchanged."""

    def blank_targets(self, count: Tensor | int) -> Tensor:
        """Placeholder targets for `count` images whose labels are unknown."""

    def two_targets(self) -> np.ndarray:
        """Two different targets, for trying out a loss and augmentations."""

    def score(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The metric, summed over a batch."""

    def image_weights(self, targets: Tensor, weights: np.ndarray) -> Tensor:
        """Loss weight of each image, `(batch,)`, or of each output of it, `(batch, outputs)`.

        Args:
            targets: Targets of a batch.
            weights: Result of `weights`.
        """

    def counts(self, labels: np.ndarray) -> np.ndarray:
        """Number of images of each output, `(outputs,)`."""

    def measure(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """`loss` and the metric, by name."""

    def quality(self, logs: dict[str, float]) -> tuple[float, ...]:
        """Key that ranks epochs, computed from their logs; larger is better."""

    def loss_of_a_guess(self) -> float | None:
        """Expected loss of an untrained head; None if it depends on the data."""

    def odd_loss(self, loss: KerasLoss) -> Finding | None:
        """Finding if the task's own loss is set up wrongly: it does not take logits."""

    # a linear head on features

    def among(self, labels: np.ndarray) -> tuple[Task, np.ndarray]:
        """The task reduced to the outputs that these images have, and their labels in it.

        Raises:
            ValueError: if there are too few images to hold some out.
        """

    def sample(self, labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
        """Positions of some images, with enough of each output to hold some out.

        Args:
            labels: Labels of all images.
            order: Order in which images are taken.
            count: Number of images; more are returned if they are needed.

        Raises:
            DataError: if there are too few images of an output.
        """

    def folds(self, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
        """A fold for each image, `(n,)`, stratified by label as evenly as possible."""

    def uncertainty(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Standard error of the metric."""

    def probed(self, labels: np.ndarray) -> np.ndarray:
        """Whether each image can be judged by cross-validation, `(n,)`; not for rare outputs."""

    def odd_probe(self, logits: np.ndarray, labels: np.ndarray) -> Finding | None:
        """Finding if a linear head is no better than chance on held-out images."""

    def doubts(self, logits: np.ndarray, labels: np.ndarray) -> Doubts | None:
        """Labels compared with a linear head's held-out predictions; None if that is impossible."""

    # the answer

    def activation(self) -> KerasLayer:
        """The layer that turns logits into answers; its name is the name of the model's output."""

    def answers(self, logits: np.ndarray) -> np.ndarray:
        """The same as `activation` in NumPy, rounded to float32 at the end."""

    def answer_tensors(self, logits: Tensor) -> dict[str, Tensor]:
        """The outputs of an exported model, by the names of `served`."""

    def answer_arrays(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """The same outputs, computed from the answers alone (for servers)."""

    def explained_output(self, answered: dict[str, Tensor]) -> Tensor:
        """The output of each image to explain with a heat map, `(batch,)`."""

    def tuned(self, answers: Callable[[], np.ndarray], labels: np.ndarray) -> Task:
        """The task with settings chosen on validation images after training, such as thresholds.

        Args:
            answers: Computes the answers for the validation images; called only if needed.
            labels: Labels of these images.
        """

    def about(self) -> str:
        """A description of the model, one sentence for the model card."""

    def evaluate(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """All metrics of a set of answers, for evaluation.json."""

    def figures(self, split: str, evaluation: dict[str, Any]) -> Any:
        """The same metrics as a typed object, for `Run.metrics`."""

    def summary(self, evaluation: dict[str, Any]) -> str | None:
        """An evaluation in a few words, such as `accuracy 0.9321`; None without known labels."""

    def precise_summary(self, evaluation: dict[str, Any], split: str) -> str:
        """The same as a sentence with its confidence interval, for a model card."""

    def lines(self, evaluation: dict[str, Any], most: int) -> list[str]:
        """Details of an evaluation, one line per output."""

    def requirements(self, evaluation: dict[str, Any]) -> dict[str, float | None]:
        """Values that a recipe's `require` may use beside the evaluation's own metrics."""

    def predicted(self, answer: np.ndarray) -> str:
        """One answer as a short text, for golden.json."""

    def row_head(self, top: int) -> list[str]:
        """CSV columns for one answer of `tlkit predict`."""

    def row(self, told: dict[str, Any], top: int) -> list[str | float]:
        """The result of `describe` in those columns."""

    def describe(self, answer: np.ndarray, top: int, digits: int | None = None) -> dict[str, Any]:
        """One answer as `tlkit predict` writes it, with numbers rounded to `digits`."""

    def write_predictions(
        self, path: pathlib.Path, names: Sequence[str], labels: Sequence[str], answers: np.ndarray
    ) -> None:
        """Writes predictions.csv."""

    def captions(self, labels: np.ndarray) -> list[str]:
        """Captions for images."""

    def examples(
        self, answers: np.ndarray, labels: np.ndarray, most: int
    ) -> dict[str, list[Example]]:
        """Images to show in the report, by kind, worst first."""

    # the report

    def save_plots(self, evaluation: dict[str, Any], folder: pathlib.Path) -> None:
        """Draws the plots of an evaluation."""

    def headlines(self, evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
        """The metrics as pairs of value and description."""

    def report_overview(self, evaluation: dict[str, Any], plots: pathlib.Path) -> list[str]:
        """HTML overview of an evaluation, with the plots of `save_plots`."""

    def report_details(self, evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
        """HTML details of each output, with its number of training images."""

    def example_caption(self, told: dict[str, Any]) -> str:
        """HTML caption of an image of `examples`."""

    # runs side by side

    def judge(self, row: dict[str, str]) -> float:
        """How good the answer in a row of predictions.csv is."""

    def verdict(
        self, first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str
    ) -> str:
        """Whether run A or the other is better, and whether that may be chance, from `judge`."""

    # exports

    def agreement(
        self, found: np.ndarray, expected: np.ndarray, labels: np.ndarray, tolerance: float
    ) -> Agreement:
        """How the answers of an export agree with those that were evaluated."""
