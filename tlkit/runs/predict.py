"""Predicting images with a finished run."""

from __future__ import annotations

import csv
import functools
import itertools
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from tlkit import steps
from tlkit.data.account import FileAccount
from tlkit.data.read_file import MissingFile, read_file, reader
from tlkit.data.record import IgnoredFile, Record
from tlkit.data.walk import picture_files
from tlkit.errors import DataError
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.paths import legible
from tlkit.reporter import SILENT, Reporter
from tlkit.runs.trained_run import TrainedRun, load_trained_run
from tlkit.tasks.base import Task
from tlkit.text import cell


def find_images(paths: Sequence[pathlib.Path]) -> tuple[list[pathlib.Path], list[IgnoredFile]]:
    """Given files, and the sorted images of given folders; and the ignored files in these.

    Raises:
        DataError: if a path is missing or is not a file, or there is no image at all.
    """
    files: list[pathlib.Path] = []
    ignored: list[IgnoredFile] = []
    for path in paths:
        if path.is_dir():
            pictures, others = picture_files(path)
            files += pictures
            ignored += others
        elif not os.path.lexists(path):
            raise DataError("no such file or folder", where=str(path))
        elif isinstance(read := reader(path), MissingFile):
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
    reporter: Reporter = SILENT,
) -> Iterator[dict[str, Any]]:
    """Predicts images one after another, in bounded memory.

    Args:
        folder: Run folder.
        paths: Images and image folders.
        top: Number of most probable classes to return.
        engine: Inference backend: `auto` is the fastest whose outputs match Keras to float32
            rounding.
        reporter: Reports which engine was chosen, why others were not, and the progress.

    Yields:
        `image`, `label`, `probability` and `top`, a list of labels and
        probabilities; or `image` and `error` if a file cannot be decoded.
    """
    records = records_of(paths, reporter)
    yield from predict_records(load_trained_run(folder), records, top, engine, reporter)


def records_of(paths: Sequence[pathlib.Path], reporter: Reporter = SILENT) -> list[Record]:
    """Images, and those in folders, as records without labels.

    Args:
        paths: Images and image folders.
        reporter: Reports which files are ignored.
    """
    files, ignored = find_images(paths)
    if ignored:
        for line in FileAccount({"images": len(files)}, ignored).lines():
            reporter.line(line)
    return [Record(legible(f), "", None, functools.partial(read_file, f)) for f in files]


def predict_records(
    run: TrainedRun,
    records: Sequence[Record],
    top: int,
    engine: str = "auto",
    reporter: Reporter = SILENT,
    *,
    bar: bool = True,
) -> Iterator[dict[str, Any]]:
    """Predicts images with an open run, one after another, in bounded memory.

    Args:
        run: Open run.
        records: Images.
        top: Number of most probable classes to return.
        engine: Inference backend.
        reporter: Reports which engine was chosen, and why others were not.
        bar: Whether to show the progress.
    """
    from tlkit.data.dataset import look_through

    prepare, forward, done = run.prepare(), None, 0
    show = reporter.progress("predicting") if bar else None
    looked = look_through(records, prepare)
    while chunk := list(itertools.islice(looked, steps.EVALUATION_BATCH)):
        answers: Iterator[Any] = iter(())
        if images := [item.image for item in chunk if item.problem is None]:
            pixels = np.stack(images)
            if forward is None:
                with out_of_memory_is_told():
                    forward = run.kept_forward(pixels, len(records), engine, reporter.line)
            with out_of_memory_is_told():
                answers = iter(run.task.answers(np.asarray(forward(pixels))))
        for item in chunk:
            if item.problem is not None:
                yield {"image": item.record.name, "error": item.problem}
                continue
            yield {"image": item.record.name, **run.task.describe(next(answers), top, 6)}
        done += len(chunk)
        if show is not None:
            show(done, len(records))


def write_rows(
    rows: Iterator[dict[str, Any]], stream: TextIO, form: str, task: Task, top: int
) -> int:
    """Writes predictions as CSV or JSON lines as they arrive; returns the count of broken files.

    Args:
        rows: Predictions, from `predict_files`.
        stream: Output stream.
        form: `csv` or `jsonl`.
        task: Task that was predicted.
        top: Number of most probable classes to write.
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
