"""A finished run in Python: its model and figures, and what is done with it."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit import run as runs
from tlkit import steps, use
from tlkit.data.in_memory import Handed, check_images, encoded, lending, take
from tlkit.data.record import Record
from tlkit.errors import DataError, RunError, UserError
from tlkit.export.write import parse_format
from tlkit.features.engine import expect_engine
from tlkit.paths import expanded
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Named, Recipe
from tlkit.reporting import console_of
from tlkit.tasks.base import Task
from tlkit.tasks.find import AnyFigures, make_task

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

    from tlkit.data.in_memory import InMemory
    from tlkit.reporting import Reporting

    Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        image: Its path, or `images[3]`.
        label: The most probable class; empty where the file does not decode.
        probability: Of it.
        top: The most probable classes and their probabilities, as many as were asked for.
        error: Why the file does not decode, if so.
        values: Numbers by their names, where those were learned.
        labels: All labels that the image is given, where there may be several.
    """

    image: str
    label: str = ""
    probability: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ()


class Run:
    """A finished run; its model is loaded when it is first asked for.

    Made by `tlkit.finetune` and `tlkit.load_run`.

    Attributes:
        folder: Where everything lies.
        result: What result.json says.
    """

    def __init__(
        self, folder: pathlib.Path, result: dict[str, Any], handed: Handed | None = None
    ) -> None:
        self.folder = folder
        self.result = result
        self._handed = handed

    @functools.cached_property
    def trained(self) -> use.Trained:
        """The run as the commands open it."""
        with steps.number_format_kept():
            return use.load_run(self.folder)

    @property
    def model(self) -> keras.Model:
        """From RGB in [0, 255] `(batch, height, width, 3)` to probabilities."""
        model: keras.Model = self.trained.model
        return model

    @functools.cached_property
    def recipe(self) -> Recipe:
        """With all defaults."""
        return load_recipe(self.folder / "resolved.yaml")

    @property
    def classes(self) -> list[str]:
        """Names in the order of the model's outputs."""
        return self.trained.classes

    @property
    def _task(self) -> Task:
        """What was learned, without its outputs, for which the run would have to be opened."""
        return make_task(self.result.get("task", "classification"), [])

    @functools.cached_property
    def metrics(self) -> AnyFigures:
        """Figures on the test split, or val where there is none."""
        return self._task.figures(self.result["evaluated"], self.result["evaluation"])

    @property
    def exports(self) -> dict[str, pathlib.Path]:
        """The models that the run wrote, by format."""
        return {name: self.folder / item["path"] for name, item in self.result["export"].items()}

    def predict(
        self,
        images: Path | Iterable[Path] | ArrayLike,
        top: int = 1,
        engine: str = "auto",
        console: Reporting = None,
    ) -> list[Prediction]:
        """Labels images, in their order.

        Args:
            images: A file, a folder, several of them, or arrays: uint8 `(n, height, width, 3)`, one
                image `(height, width, 3)`, or a list of images of any sizes. Files and arrays are
                resized as in training.
            top: Most probable classes wanted.
            engine: What computes: `auto` is the fastest that only rounds otherwise than Keras.
            console: Where to report to; silent if not given.

        Raises:
            DataError: if a file is missing, or arrays are no images.
        """
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise UserError(f"expected a whole number from 1 on, found {top!r}", where="top")
        say = steps.Speaker(console_of(console))
        rows = use.predict_records(
            self.trained,
            _records(images, say),
            top,
            expect_engine(engine),
            say.line,
            say.progress("predicting"),
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
        """Measures the model on labelled images; classes are matched by name.

        Args:
            data: A folder of class folders, a list, a TFRecord file, or images and labels in memory as
                `tlkit.finetune` takes them; whole numbers are positions in `classes`.
            output: Folder for predictions.csv, plots and evaluation.json; one in the run's
                `evaluations` if not given.
            on_broken: `skip` or `fail`.
            engine: What computes: `auto` is the fastest that only rounds otherwise than Keras.
            console: Where to report to; silent if not given.
            arguments: Of the data source, as `path_column="photo"`.

        Raises:
            DataError: if a label is no class of the model, or too many files are broken.
        """
        if on_broken not in ("skip", "fail"):
            raise UserError(f"expected skip or fail, found {on_broken!r}", where="on_broken")
        handed = None if isinstance(data, str | os.PathLike) else take(data, self.classes)
        source: pathlib.Path | Named
        if handed is None:
            source = expanded(data)  # type: ignore[arg-type]
        else:
            ((name, values),) = handed.source.items()
            source = Named(name, values)
        with lending(handed), steps.number_format_kept():
            figures = use.evaluate_run(
                self.folder,
                source,
                None if output is None else expanded(output),
                console_of(console),
                on_broken,
                expect_engine(engine),
                [f"{key}={value}" for key, value in arguments.items()],
            )
        return self.trained.task.figures("data", figures)

    def export(
        self,
        format: str = "saved_model",
        *,
        precision: str | None = None,
        output: Path | None = None,
        max_accuracy_drop: float | None = None,
        console: Reporting = None,
    ) -> pathlib.Path:
        """Writes the model in a format, and proves that it answers as it was evaluated.

        Args:
            format: `saved_model`, `keras`, `litert`, `onnx` or `openvino`.
            precision: `float32`, `float16` or `int8`, where the format has it; float32 by default.
            output: Folder for it; the run's `export` if not given.
            max_accuracy_drop: Accuracy that int8 may lose; the recipe's if not given.
            console: Where to report to; silent if not given.

        Returns:
            The model: a file, or the folder of a SavedModel.

        Raises:
            UserError: for an unknown format, or one whose package is not installed.
            RunFailed: if the export does not answer alike.
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
            (place,) = use.export_run(
                self.folder,
                [form],
                None if output is None else expanded(output),
                console_of(console),
                max_accuracy_drop,
            )
        return place

    def report(self) -> pathlib.Path:
        """Writes report.html anew, from what lies in the folder; returns where it is."""
        return use.rewrite_report(self.folder)

    def __repr__(self) -> str:
        name, count = self.result["backbone"], self.result["classes"]
        return f"<tlkit run {self.folder}: {name}, {count} {self._task.plural}, {self.metrics}>"


def load_run(path: Path, data: InMemory | None = None) -> Run:
    """Opens a finished run.

    Args:
        path: Its folder.
        data: The same images and labels in memory, where the run was given such; an int8 export
            needs them.

    Raises:
        RunError: if it is not finished, or a file of it is missing.
    """
    folder, result = runs.finished(path)
    handed = None if data is None else take(data)
    if handed is not None:
        expect_in_memory(load_recipe(folder / "resolved.yaml"), handed, folder)
    return Run(folder, result, handed)


def expect_in_memory(recipe: Recipe, handed: Handed | None, folder: pathlib.Path) -> None:
    """Refuses images in memory for a run that reads its own.

    Raises:
        RunError: if it does.
    """
    source = recipe.data.source.name
    if handed is not None and source != "in_memory":
        raise RunError(f"reads its images from {source}; it takes no data=", where=str(folder))


def _records(images: Any, say: steps.Speaker) -> list[Record]:
    """What `predict` was given, as records without labels."""
    if isinstance(images, str | os.PathLike):
        return use.records_of([expanded(images)], say.line)
    if not hasattr(images, "__array__"):
        if not isinstance(images, Iterable):
            raise DataError(
                f"expected files, folders or arrays, found {type(images).__name__}", where="images"
            )
        images = list(images)
        if images and all(isinstance(item, str | os.PathLike) for item in images):
            return use.records_of([expanded(item) for item in images], say.line)
        if any(isinstance(item, str | os.PathLike) for item in images):
            raise DataError("expected files or arrays, found both", where="images")
    elif np.ndim(images) == 3 and np.shape(images)[-1] in (1, 3):
        images = [images]
    pixels = check_images(images, "images", training=False)
    return [
        Record(f"images[{index}]", "", None, functools.partial(encoded, pixels, index))
        for index in range(len(pixels))
    ]
