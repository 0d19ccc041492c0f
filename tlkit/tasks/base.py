"""The contract of a task: all that depends on what is learned, from labels to the served answer.

Everything else asks the task. A new one is a package beside `classification/`.
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

# from a label to the model's name for it, or None
Match = Callable[[str], str | None]


@dataclasses.dataclass(frozen=True)
class Metric:
    """What is watched beside the loss while a network trains.

    Attributes:
        name: In logs and metrics.csv, as `accuracy`; of the validation, with `val_` before it.
        short: On the terminal.
        good: From where on a network has learned what it is shown.
        fair: Below which, on its own training images, it still underfits.
    """

    name: str
    short: str
    good: float
    fair: float

    @property
    def val(self) -> str:
        """Its name on validation images."""
        return f"val_{self.name}"


@dataclasses.dataclass(frozen=True)
class Learned:
    """What data are about.

    Attributes:
        task: With its outputs.
        labels: Of each record, in their order.
        notes: What a person should know.
    """

    task: Task
    labels: np.ndarray
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Doubts:
    """Labels, held against what a network that did not learn them says.

    Attributes:
        order: Positions of all images, the most doubtful label first.
        margin: Of each image, in [-1, 1]; the lower, the more doubtful.
        suspect: Whether its label is counted as wrong.
        given: The label that is doubted, in words.
        guess: What it would rather be, in words.
    """

    order: np.ndarray
    margin: np.ndarray
    suspect: np.ndarray
    given: list[str]
    guess: list[str]


@dataclasses.dataclass(frozen=True)
class Outline:
    """What `tlkit init` says of data, and what of its recipe goes by them.

    Attributes:
        text: How many there are of what.
        recipe: Lines of the recipe itself.
        finetune: Lines of its `finetune`.
        augment: Its augmentations, with what they are.
    """

    text: str
    recipe: tuple[str, ...]
    finetune: tuple[str, ...]
    augment: str = (
        "[flip]                # random changes; more: tlkit techniques --kind augmentation"
    )


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How an exported model answers, beside what was evaluated.

    Attributes:
        same: Whether all answers are the same, but for ties.
        share: Of the images, with the same answer.
        difference: The largest of an answer's, where 1 is a probability of 1, or a standard deviation
            of what is learned.
        metric: Of the exported model, where labels are known.
        evaluated: Of the model that was evaluated.
    """

    same: bool
    share: float
    difference: float
    metric: float | None
    evaluated: float | None


@dataclasses.dataclass(frozen=True)
class ServedOutput:
    """A tensor that an exported model answers with.

    Attributes:
        name: In signatures and requests.
        kind: `float`, `integer` or `text`.
        wide: Whether it is `(batch, outputs)`; else `(batch,)`.
    """

    name: str
    kind: Literal["float", "integer", "text"]
    wide: bool = False


@dataclasses.dataclass(frozen=True)
class Example:
    """An image worth looking at.

    Attributes:
        index: Its row in the split.
        output: The output whose heat map is shown.
        told: What examples.json says of it.
    """

    index: int
    output: int
    told: dict[str, Any]


class Task(Protocol):
    """What is learned.

    Rows are images, columns the network's outputs. `labels` are what a split holds of each image;
    `targets` what the loss gets, float32 `(batch, outputs)`; `logits` what the head gives;
    `answers` what the model does, `(n, outputs)`.
    """

    name: ClassVar[str]
    plural: ClassVar[str]  # what outputs are called, as "classes"
    loss: ClassVar[str]  # registered name of the loss where a recipe names none
    link: ClassVar[Link]  # by which a linear head is solved
    metric: ClassVar[Metric]
    required: ClassVar[
        tuple[str, ...]
    ]  # figures that `require` may ask for, beside loss and metric
    compared: ClassVar[tuple[str, ...]]  # metrics of an evaluation, side by side
    port_check: ClassVar[str]  # a program that compares a port's answers with the golden pack's
    limits: ClassVar[str]  # what a model of it cannot do, in a sentence of a model card
    example_titles: ClassVar[dict[str, str]]  # of the kinds of `examples`
    served: ClassVar[tuple[ServedOutput, ...]]  # the first is the answers themselves

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in their order."""

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the task beside its outputs, as JSON has it; `make_task` takes it back."""

    # data

    @classmethod
    def fits(cls, source: SourceData) -> bool:
        """Whether data are of this kind, where a recipe does not say what they are."""

    @classmethod
    def learn(cls, records: Sequence[Record], source: SourceData) -> Learned:
        """The task of training data.

        Args:
            records: Those of the source that are whole.
            source: Where they are from.

        Raises:
            DataError: if there is nothing to learn, or labels are of another kind.
        """

    @classmethod
    def split(
        cls, records: Sequence[Record], hashes: Sequence[str], val: float, test: float
    ) -> list[SplitName]:
        """A split of each record, even in what is learned.

        Args:
            records: Of the data.
            hashes: SHA-256 of their images.
            val: Share for validation, in [0, 1).
            test: Share for the test, in [0, 1).
        """

    @classmethod
    def outline(cls, records: Sequence[Record], where: str) -> Outline:
        """A recipe's part that goes by the labels.

        Args:
            records: Of the data.
            where: What a message names.

        Raises:
            DataError: if there is nothing to learn.
        """

    def check_labels(self, records: Sequence[Record], match: Match | None, where: str) -> None:
        """Refuses labels that the model does not know.

        Raises:
            DataError: naming them.
        """

    def labels_of(self, records: Sequence[Record], match: Match | None) -> np.ndarray:
        """Labels of records that `check_labels` passed."""

    def unknown(self, count: int) -> np.ndarray:
        """Labels of so many images of which nothing is known."""

    def check_split(self, name: str, labels: np.ndarray) -> list[str]:
        """What is odd about the labels of a split.

        Raises:
            DataError: if it cannot be trained.
        """

    def odd_order(self, labels: np.ndarray) -> list[Finding]:
        """Whether training labels, in the order of an epoch, come as if they were not shuffled."""

    def odd_copies(self, labels: np.ndarray, hashes: Sequence[str]) -> list[Finding]:
        """Whether the same pictures are labelled otherwise.

        Args:
            labels: Of the images of all splits.
            hashes: SHA-256 of the same images.
        """

    @classmethod
    def audit(cls, records: Sequence[Record], splits: Sequence[str]) -> list[Finding]:
        """What is odd about the labels of a data set and where they are."""

    # training

    def weights(self, wanted: ClassWeight, labels: np.ndarray) -> np.ndarray:
        """Weights in the loss, as `image_weights` takes them.

        Args:
            wanted: The recipe's `class_weight`.
            labels: Of the training images.

        Raises:
            UserError: if there is no such output, or it has no meaning here.
        """

    def targets(self, labels: Tensor) -> Tensor:
        """Targets of a batch's labels; labels that are targets already, as mixed ones, stay."""

    def blank_targets(self, count: Tensor | int) -> Tensor:
        """Some targets for `count` images of which nothing is known."""

    def two_targets(self) -> np.ndarray:
        """Targets of two unlike images, to try a loss and augmentations with."""

    def score(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The metric, summed over a batch."""

    def image_weights(self, targets: Tensor, weights: np.ndarray) -> Tensor:
        """Each image's weight in the loss, `(batch,)`; `(batch, outputs)` where outputs weigh apart.

        Args:
            targets: Of a batch.
            weights: As `weights` gives them.
        """

    def counts(self, labels: np.ndarray) -> np.ndarray:
        """Images of each output, `(outputs,)`."""

    def measure(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """`loss` and the metric, by their names."""

    def quality(self, logs: dict[str, float]) -> tuple[float, ...]:
        """By which epochs are ranked, of their logs: the larger, the better."""

    def loss_of_a_guess(self) -> float | None:
        """The usual loss of a head that knows nothing; None where that depends on the data."""

    def odd_loss(self, loss: KerasLoss) -> Finding | None:
        """What is wrong with the task's own loss as it was made: that it is not given logits."""

    # a linear head on features

    def among(self, labels: np.ndarray) -> tuple[Task, np.ndarray]:
        """The task of images that may not have all outputs, and their labels in it.

        Raises:
            ValueError: if there are too few images to hold some out.
        """

    def sample(self, labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
        """Positions of some images, enough of each output to hold some out.

        Args:
            labels: Of all images.
            order: In which they are taken.
            count: How many, or as many more as are needed.

        Raises:
            DataError: if there are too few images of an output.
        """

    def folds(self, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
        """A fold for each image, `(n,)`, as even in the labels as can be."""

    def uncertainty(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Standard error of the metric."""

    def probed(self, labels: np.ndarray) -> np.ndarray:
        """Whether each image can be judged by folds, `(n,)`: not those of what hardly occurs."""

    def odd_probe(self, logits: np.ndarray, labels: np.ndarray) -> Finding | None:
        """Says that a linear head on held-out images is no better than chance, if so."""

    def doubts(self, logits: np.ndarray, labels: np.ndarray) -> Doubts | None:
        """Labels held against a linear head's answers to held-out images; None where none can be."""

    # the answer

    def activation(self) -> KerasLayer:
        """The layer from logits to answers; its name is that of the model's output."""

    def answers(self, logits: np.ndarray) -> np.ndarray:
        """The same in NumPy, rounded to float32 at the end."""

    def answer_tensors(self, logits: Tensor) -> dict[str, Tensor]:
        """What an exported model answers, by the names of `served`."""

    def answer_arrays(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """The same of a server that has the answers alone."""

    def explained_output(self, answered: dict[str, Tensor]) -> Tensor:
        """The output of each image whose heat map is served, `(batch,)`."""

    def tuned(self, answers: Callable[[], np.ndarray], labels: np.ndarray) -> Task:
        """The task with what is chosen on validation images once training is over, as thresholds.

        Args:
            answers: Computes those of the validation images, where they are needed.
            labels: Of these images.
        """

    def about(self) -> str:
        """What a model of it is, in a sentence of a model card."""

    def evaluate(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """All metrics of a set of answers, for evaluation.json."""

    def figures(self, split: str, evaluation: dict[str, Any]) -> Any:
        """The same with types, for `Run.metrics`."""

    def summary(self, evaluation: dict[str, Any]) -> str | None:
        """An evaluation in a few words, as `accuracy 0.9321`; None without known labels."""

    def precise_summary(self, evaluation: dict[str, Any], split: str) -> str:
        """The same in a sentence with its interval, for a model card."""

    def lines(self, evaluation: dict[str, Any], most: int) -> list[str]:
        """An evaluation's details, a line an output."""

    def requirements(self, evaluation: dict[str, Any]) -> dict[str, float | None]:
        """What a recipe's `require` may ask for beside the evaluation's own metrics."""

    def predicted(self, answer: np.ndarray) -> str:
        """One answer in a word, as golden.json has it."""

    def row_head(self, top: int) -> list[str]:
        """Columns of one answer in the CSV of `tlkit predict`."""

    def row(self, told: dict[str, Any], top: int) -> list[str | float]:
        """What `describe` says, in those columns."""

    def describe(self, answer: np.ndarray, top: int, digits: int | None = None) -> dict[str, Any]:
        """One answer as `tlkit predict` writes it, its numbers rounded to `digits`."""

    def write_predictions(
        self, path: pathlib.Path, names: Sequence[str], labels: Sequence[str], answers: np.ndarray
    ) -> None:
        """Writes predictions.csv."""

    def captions(self, labels: np.ndarray) -> list[str]:
        """What is written above images."""

    def examples(
        self, answers: np.ndarray, labels: np.ndarray, most: int
    ) -> dict[str, list[Example]]:
        """Images worth looking at, by kind, the worst first."""

    # the report

    def save_plots(self, evaluation: dict[str, Any], folder: pathlib.Path) -> None:
        """Draws an evaluation."""

    def headlines(self, evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
        """The metrics, each a value and what it is."""

    def report_overview(self, evaluation: dict[str, Any], plots: pathlib.Path) -> list[str]:
        """HTML that shows an evaluation as a whole, from what `save_plots` drew."""

    def report_details(self, evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
        """HTML about each output, with the training images it has."""

    def example_caption(self, told: dict[str, Any]) -> str:
        """HTML below an image of `examples`."""

    # runs side by side

    def judge(self, row: dict[str, str]) -> float:
        """How good the answer of a row of predictions.csv is."""

    def verdict(
        self, first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str
    ) -> str:
        """Which of run A and another is better, and whether that is chance, by what was judged."""

    # exports

    def agreement(
        self, found: np.ndarray, expected: np.ndarray, labels: np.ndarray, tolerance: float
    ) -> Agreement:
        """How an export's answers agree with those that were evaluated."""
