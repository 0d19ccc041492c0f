"""Using a finished run: evaluating it on other data, predicting, exporting again."""

from __future__ import annotations

import csv
import dataclasses
import functools
import itertools
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from tlkit import registry, steps
from tlkit import run as runs
from tlkit.backbones import spec as specs
from tlkit.data.account import FileAccount
from tlkit.data.dataset import Dataset, Split, load_dataset, load_for_evaluation
from tlkit.data.decode import make_preparer
from tlkit.data.labels import read_labels
from tlkit.data.pipeline import some_images
from tlkit.data.read_file import Absent, read_file, reader
from tlkit.data.record import Ignored, Record
from tlkit.data.table import COLUMNS, LINES, read_table
from tlkit.data.walk import picture_files
from tlkit.draft import source_of
from tlkit.errors import DataError, RunError, RunFailed
from tlkit.features.engine import WORTH_AN_ENGINE
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.paths import legible
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Named, Recipe
from tlkit.tasks.base import Task
from tlkit.tasks.classification import Classification
from tlkit.tasks.find import read_task
from tlkit.text import cell

MOST_LINES = 60  # classes or broken files that the terminal lists


@dataclasses.dataclass
class Trained:
    """A finished run; its model is loaded when it is first asked for.

    Attributes:
        folder: Of the run.
        recipe: With all defaults.
        task: What it answers.
        image_size: Height and width in pixels.
    """

    folder: pathlib.Path
    recipe: Recipe
    task: Task
    image_size: tuple[int, int]
    _passes: dict[tuple[str, bool], Callable[[Any], Any]] = dataclasses.field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the outputs."""
        return self.task.outputs

    @functools.cached_property
    def model(self) -> Any:
        """RGB in [0, 255] to the task's answers.

        Raises:
            RunError: if it has other classes than labels.txt.
        """
        import keras

        model = keras.models.load_model(self.file, compile=False, safe_mode=True)
        self._expect(model.output_shape[-1])
        return model

    @functools.cached_property
    def logits(self) -> Any:
        """The same, ending before the activation."""
        from tlkit.model import before_activation

        return before_activation(self.model)

    @property
    def file(self) -> pathlib.Path:
        """Where the model is."""
        return self.folder / "model.keras"

    def _expect(self, classes: int) -> None:
        if classes != len(self.classes):
            raise RunError(
                f"labels.txt names {len(self.classes)} classes, the model has {classes}",
                where=str(self.folder),
            )

    def prepare(self) -> Any:
        """The run's own decoder."""
        return self._preparer

    @functools.cached_property
    def _preparer(self) -> Any:
        data = self.recipe.data
        return make_preparer(self.image_size, data.resize, data.antialias)

    def kept_forward(
        self, images: Any, count: int, engine: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """As `forward`, made once for few images and once for many."""
        key = engine, count * math.prod(self.image_size) >= WORTH_AN_ENGINE
        if key not in self._passes:
            self._passes[key] = self.forward(images, count, engine, say)
        return self._passes[key]

    def forward(
        self, images: Any, count: int, engine: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """The fastest pass to logits; an engine that was made before is read from the run's folder.

        Args:
            images: Some of those that it will get, uint8.
            count: How many those will be.
            engine: `auto`, or the name of one that may round more than float32 does.
            say: Is told which was taken.

        Raises:
            RunError: if the model has other classes than labels.txt.
        """
        from tlkit.evaluate.forward import make_fast_forward
        from tlkit.features.kept import keep_engine, kept_engine

        place = self.folder / "engine"
        kept = kept_engine(self.file, place, engine, engine == "auto", say)
        if kept is None:
            return make_fast_forward(
                self.logits,
                images,
                count,
                engine,
                say,
                lambda made: keep_engine(made, self.file, place, say),
            )
        say(f"computed by engine {kept}, kept in {place}")
        run = kept.run

        def forward(given: Any) -> np.ndarray:
            logits: np.ndarray = run(given)[0]
            self._expect(logits.shape[-1])
            return logits

        return forward


def load_run(folder: str | pathlib.Path) -> Trained:
    """Opens a finished run.

    Raises:
        RunError: if it is not finished or a file of it is missing.
    """
    path = runs.open_run(folder, "model.keras")
    recipe = load_recipe(path / "resolved.yaml")
    steps.start_tensorflow(recipe)
    for thing in registry.own_things_in(runs.recipe_yaml(recipe), (registry.TRACKERS,)):
        thing.load()  # so that Keras finds its class in the model's file
    from tlkit.model import image_size

    if recipe.model.head.name == "original":
        from tlkit.backbones.imagenet import imagenet_classes

        classes = imagenet_classes()
    else:
        labels = path / "labels.txt"
        if not labels.is_file():
            raise RunError("has no labels.txt", where=str(path))
        classes = read_labels(labels)
    task: Task = Classification(classes)
    if (path / "task.json").is_file():
        task = read_task({**runs.read_json(path / "task.json"), "outputs": classes})
    return Trained(path, recipe, task, image_size(recipe))


@out_of_memory_is_told()
def evaluate_run(
    folder: str | pathlib.Path,
    data: pathlib.Path | Named,
    output: pathlib.Path | None,
    console: Any,
    on_broken: str = "skip",
    engine: str = "auto",
    given: Sequence[str] = (),
) -> dict[str, Any]:
    """Measures a run on labelled images, matched by class name.

    Args:
        folder: Of the run.
        data: A folder of class folders, a manifest or a TFRecord file. Where it
            has splits, all of them count together. Or a data source as a recipe has it.
        output: Folder for predictions.csv, plots and evaluation.json.
        console: Where to report to.
        on_broken: `skip` or `fail`.
        engine: What computes: `auto` is the fastest that only rounds otherwise than Keras.
        given: Arguments of the data source as `key=value`; the columns of the run's own list are
            taken where the data have them.

    Returns:
        The task's metrics, as `tlkit.tasks.classification.metrics.evaluate` has them.
    """
    run = load_run(folder)
    say = steps.Speaker(console)
    name = data.name if isinstance(data, Named) else data.resolve().stem or "data"
    target = output or run.folder / "evaluations" / name
    runs.try_to_write(target)
    source = data if isinstance(data, Named) else source_of(data, _like_the_run(run, data, given))
    config = run.recipe.data.model_copy(update={"source": source, "on_broken": on_broken})
    dataset = load_for_evaluation(
        config, run.task, run.image_size, say.progress("reading images"), _matcher(run)
    )
    split = dataset.splits["test"]
    trained_on = _trained_on(run.folder, dataset)
    broken = [f"skipped: {name} {reason}" for name, reason in dataset.broken[:MOST_LINES]]
    for line in [*dataset.account.lines(), *broken, *(f"note: {n}" for n in dataset.notes)]:
        say.line(line)
    logits = steps.logits_of(run.logits, split, run.prepare(), say, engine)
    found = steps.save_evaluation(run.task, logits, split, target)
    found |= {"files": dataset.account.as_json(), "trained_on": trained_on}
    runs.write_json(target / "evaluation.json", found)
    say.line(f"{run.task.summary(found)} on {found['images']} images", style="bold")
    for line in run.task.lines(found, MOST_LINES):
        say.line(line)
    say.line(f"written to {target}")
    return found


def _like_the_run(run: Trained, data: pathlib.Path, given: Sequence[str]) -> list[str]:
    """The arguments of a list, with the columns of the list that the run was trained on."""
    own = run.recipe.data.source
    if (
        own.name != "manifest"
        or data.suffix.lower() not in (*COLUMNS, *LINES)
        or not data.is_file()
    ):
        return list(given)
    known = read_table(data).columns
    keys = {item.partition("=")[0] for item in given}
    found = []
    for key in ("path_column", "label_column", "split_column"):
        name = own.arguments.get(key)
        names = name if isinstance(name, list) else [name]
        if key not in keys and all(one in known for one in names):
            found.append(f"{key}={json.dumps(name) if isinstance(name, list) else name}")
    return [*(["source=manifest"] if found and "source" not in keys else []), *found, *given]


def _trained_on(folder: pathlib.Path, dataset: Dataset) -> int:
    """How many images of a data set the run in a folder was trained on, by their bytes."""
    split = dataset.splits["test"]
    try:
        with open(folder / "images.csv", newline="", encoding="utf-8") as file:
            known = {row["sha256"] for row in csv.DictReader(file) if row["split"] == "train"}
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        dataset.notes.append(
            f"whether the run was trained on some of these images is not known: its images.csv cannot "
            f"be read ({reason})"
        )
        return 0
    found = sum(digest in known for digest in split.hashes)
    if found:
        dataset.notes.append(
            f"{found} of these {len(split)} images are among those that the run was trained on, byte "
            "for byte: the figures are too good"
        )
    return found


def _matcher(run: Trained) -> Any:
    """ImageNet's classes are met in many spellings; a model's own in one."""
    if run.recipe.model.head.name != "original":
        return None
    from tlkit.backbones.imagenet import match_class

    def match(label: str) -> str | None:
        index = match_class(label)
        return None if index is None else run.classes[index]

    return match


def rewrite_report(folder: str | pathlib.Path) -> pathlib.Path:
    """Writes report.html of a finished run anew, from what lies in its folder.

    Raises:
        RunError: if the run did not come to its end.
    """
    from tlkit.report.page import write_report

    path, result = runs.finished(folder)
    return write_report(path, result, runs.read_json(path / "data.json"))


def find_images(paths: Sequence[pathlib.Path]) -> tuple[list[pathlib.Path], list[Ignored]]:
    """Files as they are, and the images of folders, sorted; and what is ignored in the folders.

    Raises:
        DataError: if a path is missing or no file, or there is no image at all.
    """
    files: list[pathlib.Path] = []
    ignored: list[Ignored] = []
    for path in paths:
        if path.is_dir():
            pictures, others = picture_files(path)
            files += pictures
            ignored += others
        elif not os.path.lexists(path):
            raise DataError("no such file or folder", where=str(path))
        elif isinstance(read := reader(path), Absent):
            reason = (
                read.reason if read.reason.startswith("is ") else f"cannot be read: {read.reason}"
            )
            raise DataError(reason, where=str(path))
        else:
            files.append(path)
    if not files:
        raise DataError("no images", where=", ".join(map(str, paths)))
    return files, ignored


def predict_files(
    folder: str | pathlib.Path,
    paths: Sequence[pathlib.Path],
    top: int,
    engine: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    progress: Any = None,
) -> Iterator[dict[str, Any]]:
    """Predicts images one after another, in bounded memory.

    Args:
        folder: Of the run.
        paths: Images and folders of images.
        top: Most probable classes wanted.
        engine: What computes: `auto` is the fastest that only rounds otherwise than Keras.
        say: Is told which engine was taken, and why not another.
        progress: Called with the number of images done and their total.

    Yields:
        `image`, `label`, `probability` and `top`, a list of label and
        probability; or `image` and `error` where a file does not decode.
    """
    records = records_of(paths, say)
    yield from predict_records(load_run(folder), records, top, engine, say, progress)


def records_of(
    paths: Sequence[pathlib.Path], say: Callable[[str], None] = lambda line: None
) -> list[Record]:
    """Images and those of folders, as records without labels.

    Args:
        paths: Images and folders of images.
        say: Is told what is left out.
    """
    files, ignored = find_images(paths)
    if ignored:
        for line in FileAccount({"images": len(files)}, ignored).lines():
            say(line)
    return [Record(legible(f), "", None, functools.partial(read_file, f)) for f in files]


def predict_records(
    run: Trained,
    records: Sequence[Record],
    top: int,
    engine: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    progress: Any = None,
) -> Iterator[dict[str, Any]]:
    """Predicts images one after another, in bounded memory; as `predict_files`, of an open run."""
    from tlkit.data.dataset import look_through

    prepare, forward, done = run.prepare(), None, 0
    looked = look_through(records, prepare)
    while chunk := list(itertools.islice(looked, steps.EVALUATION_BATCH)):
        answers: Iterator[Any] = iter(())
        if images := [item.image for item in chunk if item.problem is None]:
            pixels = np.stack(images)
            if forward is None:
                with out_of_memory_is_told():
                    forward = run.kept_forward(pixels, len(records), engine, say)
            with out_of_memory_is_told():
                answers = iter(run.task.answers(np.asarray(forward(pixels))))
        for item in chunk:
            if item.problem is not None:
                yield {"image": item.record.name, "error": item.problem}
                continue
            yield {"image": item.record.name, **run.task.describe(next(answers), top, 6)}
        done += len(chunk)
        if progress is not None:
            progress(done, len(records))


def write_rows(
    rows: Iterator[dict[str, Any]], stream: TextIO, form: str, task: Task, top: int
) -> int:
    """Writes predictions as CSV or JSON lines as they come; returns how many files were broken.

    Args:
        rows: As `predict_files` gives them.
        stream: To write to.
        form: `csv` or `jsonl`.
        task: What was predicted.
        top: The most probable classes that are told.
    """
    broken = 0
    writer = csv.writer(stream)
    if form == "csv":
        writer.writerow(["image", *task.row_head(top), "error"])
    for row in rows:
        broken += "error" in row
        if form == "jsonl":
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            writer.writerow([cell(row["image"]), *task.row(row, top), cell(row.get("error", ""))])
        stream.flush()
    return broken


@out_of_memory_is_told()
def export_run(
    folder: str | pathlib.Path,
    forms: Sequence[str],
    output: pathlib.Path | None,
    console: Any,
    max_accuracy_drop: float | None = None,
) -> list[pathlib.Path]:
    """Writes a finished run in some formats and proves that each answers as the run does.

    The proof uses the run's own images, or drawn ones where those are gone.

    Args:
        folder: Of the run.
        forms: As `saved_model` or `litert:int8`.
        output: Where exports go; the run's `export` if not given.
        console: Where to report to.
        max_accuracy_drop: Accuracy that int8 may lose; the recipe's if not given.

    Returns:
        The models.

    Raises:
        UserError: for an unknown format, or one whose package is not installed.
        RunFailed: if the run missed its requirements, or an export does not answer alike.
    """
    from tlkit.export.write import CALIBRATION, Served, describe, parse_format, write_export

    items = [parse_format(form) for form in forms]
    result = runs.read_json(runs.open_run(folder) / "result.json")
    if result.get("missed"):
        raise RunFailed(
            f"below what its recipe requires: {'; '.join(result['missed'])}; it is not exported.",
            where=str(folder),
        )
    run = load_run(folder)
    say = steps.Speaker(console)
    data = run.recipe.data
    target = output or run.folder / "export"
    runs.try_to_write(target)
    split, dataset = _proof_images(run, say)
    prepare = run.prepare()

    def images() -> np.ndarray:
        if dataset is None:
            raise DataError("int8 needs the run's training images, and they are gone")
        return some_images(dataset, run.recipe.seed, CALIBRATION)

    counts = {} if dataset is None else dataset.counts()["train"]
    name = run.recipe.model.backbone
    licence = "as its preset says" if name.startswith("hub:") else specs.find(name).licence
    served = Served(
        run.model,
        run.task,
        run.image_size,
        data.resize,
        data.antialias,
        prepare,
        split,
        run.task.answers(steps.logits_of(run.logits, split, prepare, say)),
        images,
        steps.model_card(
            run.recipe,
            licence,
            counts,
            run.task.precise_summary(result["evaluation"], result["evaluated"]),
        ),
    )
    drop = run.recipe.max_accuracy_drop if max_accuracy_drop is None else max_accuracy_drop
    places = []
    for item in items:
        name, place, parity = write_export(item, served, target, drop)
        say.line(f"{place}\n  {describe(name, parity)}")
        places.append(place)
    return places


def _proof_images(run: Trained, say: steps.Speaker) -> tuple[Split, Dataset | None]:
    """Images to prove an export with, and the run's data where they are still there."""
    try:
        dataset = load_dataset(run.recipe.data, run.image_size, task=type(run.task))
        if run.recipe.model.head.name == "original":
            for split in dataset.splits.values():
                split.labels = run.task.unknown(len(split))
        return dataset.val, dataset
    except DataError as error:
        say.line(f"the run's images are gone ({error}); checking with drawn ones")
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, (8, *run.image_size, 3), dtype=np.uint8)
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    records = [Record(f"drawn:{k}", "", None, lambda d=data: d) for k, data in enumerate(encoded)]  # type: ignore[misc]
    return Split(records, run.task.unknown(8), [""] * 8, pixels), None
