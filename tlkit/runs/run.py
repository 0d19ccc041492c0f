"""A finished run in Python: its model and metrics, and what can be done with it."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit import steps
from tlkit.data.in_memory import InMemoryData, check_images, encoded, lending, take
from tlkit.data.record import Record
from tlkit.errors import DataError, RunError, UserError
from tlkit.export.write import parse_format
from tlkit.features.engine import expect_engine
from tlkit.paths import expanded
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Component, Recipe
from tlkit.reporter import Reporter, console_of
from tlkit.runs import folder as run_folder
from tlkit.runs.evaluate import evaluate_run
from tlkit.runs.export import export_run
from tlkit.runs.predict import predict_records, records_of
from tlkit.runs.report import rewrite_report
from tlkit.runs.trained_run import TrainedRun, load_trained_run
from tlkit.tasks.base import Task
from tlkit.tasks.find import AnyFigures, make_task

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

    from tlkit.data.in_memory import InMemory
    from tlkit.reporter import Reporting

    Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        image: Path of the image, or `images[3]`.
        label: The most probable class; empty if the file cannot be decoded.
        probability: Probability of the label.
        top: The most probable classes and their probabilities, as many as requested.
        error: Why the file cannot be decoded; None if it can.
        values: Predicted numbers by name, for regression.
        labels: All predicted labels, if an image may have several.
    """

    image: str
    label: str = ""
    probability: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ()


class Run:
    """A finished run; its model is loaded when first used.

    Created by `tlkit.finetune` and `tlkit.load_run`.

    Attributes:
        folder: Run folder.
        result: Contents of result.json.
    """

    def __init__(
        self, folder: pathlib.Path, result: dict[str, Any], handed: InMemoryData | None = None
    ) -> None:
        self.folder = folder
        self.result = result
        self._handed = handed

    @functools.cached_property
    def trained(self) -> TrainedRun:
        """The run as opened by the commands."""
        with steps.number_format_kept():
            return load_trained_run(self.folder)

    @property
    def model(self) -> keras.Model:
        """Model from RGB in [0, 255] `(batch, height, width, 3)` to probabilities."""
        model: keras.Model = self.trained.model
        return model

    @functools.cached_property
    def recipe(self) -> Recipe:
        """Recipe with all defaults."""
        return load_recipe(self.folder / "resolved.yaml")

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the model's outputs."""
        return self.trained.classes

    @property
    def _task(self) -> Task:
        """The task without its outputs, which could only be read by opening the run."""
        return make_task(self.result.get("task", "classification"), [])

    @functools.cached_property
    def metrics(self) -> AnyFigures:
        """Metrics on the test split, or on val if there is none."""
        found: AnyFigures = self._task.figures(self.result["evaluated"], self.result["evaluation"])
        return found

    @property
    def exports(self) -> dict[str, pathlib.Path]:
        """Paths of the models that the run exported, by format."""
        return {name: self.folder / item["path"] for name, item in self.result["export"].items()}

    def predict(
        self,
        images: Path | Iterable[Path] | ArrayLike,
        top: int = 1,
        engine: str = "auto",
        console: Reporting = None,
    ) -> list[Prediction]:
        """Predicts images, in their order.

        Args:
            images: A file, a folder, several of them, or arrays: uint8 `(n, height, width, 3)`, one
                image `(height, width, 3)`, or a list of images of any sizes. Files and arrays are
                resized as in training.
            top: Number of most probable classes to return.
            engine: Inference backend: `auto` is the fastest whose outputs match Keras to float32
                rounding.
            console: Where to report to; silent by default.

        Raises:
            DataError: if a file is missing, or arrays are not images.
        """
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise UserError(f"expected a whole number from 1 on, found {top!r}", where="top")
        reporter = Reporter(console_of(console))
        rows = predict_records(
            self.trained, _records(images, reporter), top, expect_engine(engine), reporter
        )
        return [
            Prediction(
                row["image"],
                row.get("label", ""),
                row.get("probability", 0.0),
                tuple((label, share) for label, share in row.get("top", ())),
                row.get("error"),
                row.get("values", {}),
                tuple(row.get("labels", ())),
            )
            for row in rows
        ]

    def evaluate(
        self,
        data: Path | InMemory,
        output: Path | None = None,
        on_broken: str = "skip",
        engine: str = "auto",
        console: Reporting = None,
        **arguments: Any,
    ) -> AnyFigures:
        """Evaluates the model on labelled images; classes are matched by name.

        Args:
            data: A folder of class folders, a list, a TFRecord file, or images and labels in memory
                as for `tlkit.finetune`; integers are indices into `classes`.
            output: Folder for predictions.csv, plots and evaluation.json; by default, one in
                the run's `evaluations`.
            on_broken: `skip` or `fail`.
            engine: Inference backend: `auto` is the fastest whose outputs match Keras to float32
                rounding.
            console: Where to report to; silent by default.
            arguments: Arguments of the data source, such as `path_column="photo"`.

        Raises:
            DataError: if a label is not a class of the model, or too many files are broken.
        """
        if on_broken not in ("skip", "fail"):
            raise UserError(f"expected skip or fail, found {on_broken!r}", where="on_broken")
        handed = None if isinstance(data, str | os.PathLike) else take(data, self.classes)
        source: pathlib.Path | Component
        if handed is None:
            source = expanded(data)  # type: ignore[arg-type]
        else:
            ((name, values),) = handed.source.items()
            source = Component(name, values)
        with lending(handed), steps.number_format_kept():
            figures = evaluate_run(
                self.folder,
                source,
                None if output is None else expanded(output),
                reporter=Reporter(console_of(console)),
                on_broken=on_broken,
                engine=expect_engine(engine),
                given=[f"{key}={value}" for key, value in arguments.items()],
            )
        found: AnyFigures = self.trained.task.figures("data", figures)
        return found

    def export(
        self,
        format: str = "saved_model",
        *,
        precision: str | None = None,
        output: Path | None = None,
        max_metric_drop: float | None = None,
        console: Reporting = None,
    ) -> pathlib.Path:
        """Exports the model in a format, and verifies that its outputs match the evaluation.

        Args:
            format: `saved_model`, `keras`, `litert`, `onnx` or `openvino`.
            precision: `float32`, `float16` or `int8`, if the format has it; float32 by default.
            output: Output folder; the run's `export` by default.
            max_metric_drop: Largest metric drop allowed for int8; the recipe's by default.
            console: Where to report to; silent by default.

        Returns:
            Path of the model: a file, or the folder of a SavedModel.

        Raises:
            UserError: for an unknown format, or one whose package is not installed.
            RunFailed: if the outputs of the export differ.
        """
        form = format if precision is None else f"{format}:{precision}"
        kept = parse_format(form).arguments.get("precision")
        if kept == "int8" and self.recipe.data.source.name == "in_memory" and self._handed is None:
            raise DataError(
                "int8 is calibrated on the run's training images, which were handed over in Python.",
                where=str(self.folder),
                hint="Hand them over again: tlkit.load_run(RUN, data=(images, labels)).export(...)",
            )
        with lending(self._handed), steps.number_format_kept():
            (place,) = export_run(
                self.folder,
                [form],
                None if output is None else expanded(output),
                console_of(console),
                max_metric_drop,
            )
        return place

    def report(self) -> pathlib.Path:
        """Rewrites report.html from the contents of the run folder; returns its path."""
        return rewrite_report(self.folder)

    def __repr__(self) -> str:
        name, count = self.result["backbone"], self.result["classes"]
        return f"<tlkit run {self.folder}: {name}, {count} {self._task.plural}, {self.metrics}>"


def load_run(path: Path, data: InMemory | None = None) -> Run:
    """Opens a finished run.

    Args:
        path: Run folder.
        data: The same images and labels in memory, if the run was given any; an int8 export
            needs them.

    Raises:
        RunError: if it is not finished, or one of its files is missing.
    """
    folder, result = run_folder.finished(path)
    handed = None if data is None else take(data)
    if handed is not None:
        expect_in_memory(load_recipe(folder / "resolved.yaml"), handed, folder)
    return Run(folder, result, handed)


def expect_in_memory(recipe: Recipe, handed: InMemoryData | None, folder: pathlib.Path) -> None:
    """Refuses images in memory for a run that reads its images from files.

    Raises:
        RunError: if both apply.
    """
    source = recipe.data.source.name
    if handed is not None and source != "in_memory":
        raise RunError(f"reads its images from {source}; it takes no data=", where=str(folder))


def _records(images: Any, reporter: Reporter) -> list[Record]:
    """The inputs of `predict` as records without labels."""
    if isinstance(images, str | os.PathLike):
        return records_of([expanded(images)], reporter)
    if not hasattr(images, "__array__"):
        if not isinstance(images, Iterable):
            raise DataError(
                f"expected files, folders or arrays, found {type(images).__name__}", where="images"
            )
        images = list(images)
        if images and all(isinstance(item, str | os.PathLike) for item in images):
            return records_of([expanded(item) for item in images], reporter)
        if any(isinstance(item, str | os.PathLike) for item in images):
            raise DataError("expected files or arrays, found both", where="images")
    elif np.ndim(images) == 3 and np.shape(images)[-1] in (1, 3):
        images = [images]
    pixels = check_images(images, "images", training=False)
    return [
        Record(f"images[{index}]", "", None, functools.partial(encoded, pixels, index))
        for index in range(len(pixels))
    ]
