"""Evaluating a finished run on labelled images."""

from __future__ import annotations

import csv
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from tlkit import steps
from tlkit.data.dataset import Dataset, load_for_evaluation
from tlkit.data.table import COLUMNS, LINES, read_table
from tlkit.draft import source_of
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.recipe.schema import Component
from tlkit.reporter import SILENT, Reporter
from tlkit.runs import folder as run_folder
from tlkit.runs.trained_run import TrainedRun, load_trained_run

MOST_LINES = 60  # classes or broken files listed on the terminal


@out_of_memory_is_told()
def evaluate_run(
    folder: str | pathlib.Path,
    data: pathlib.Path | Component,
    output: pathlib.Path | None = None,
    *,
    reporter: Reporter = SILENT,
    on_broken: str = "skip",
    engine: str = "auto",
    given: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluates a run on labelled images, matched by class name.

    Args:
        folder: Run folder.
        data: A folder of class folders, a manifest or a TFRecord file; if it has splits, they are
            evaluated together. Or a data source as in a recipe.
        output: Folder for predictions.csv, plots and evaluation.json.
        reporter: Reports to the user.
        on_broken: `skip` or `fail`.
        engine: Inference backend: `auto` is the fastest whose outputs match Keras to float32
            rounding.
        given: Arguments of the data source as `key=value`; by default, the column names of the
            run's own list, if the data have them.

    Returns:
        The task's metrics, as returned by `tlkit.tasks.classification.metrics.evaluate`.
    """
    run = load_trained_run(folder)
    name = data.name if isinstance(data, Component) else data.resolve().stem or "data"
    target = output or run.folder / "evaluations" / name
    run_folder.try_to_write(target)
    source = (
        data if isinstance(data, Component) else source_of(data, _like_the_run(run, data, given))
    )
    config = run.recipe.data.model_copy(update={"source": source, "on_broken": on_broken})
    dataset = load_for_evaluation(
        config, run.task, run.image_size, reporter.progress("reading images"), _matcher(run)
    )
    split = dataset.splits["test"]
    trained_on = _trained_on(run.folder, dataset)
    broken = [f"skipped: {name} {reason}" for name, reason in dataset.broken[:MOST_LINES]]
    for line in [*dataset.account.lines(), *broken, *(f"note: {n}" for n in dataset.notes)]:
        reporter.line(line)
    logits = steps.logits_of(run.logits, split, run.prepare(), reporter, engine)
    found = steps.save_evaluation(run.task, logits, split, target)
    found |= {"files": dataset.account.as_json(), "trained_on": trained_on}
    run_folder.write_json(target / "evaluation.json", found)
    reporter.line(f"{run.task.summary(found)} on {found['images']} images", style="bold")
    for line in run.task.lines(found, MOST_LINES):
        reporter.line(line)
    reporter.line(f"written to {target}")
    return found


def _like_the_run(run: TrainedRun, data: pathlib.Path, given: Sequence[str]) -> list[str]:
    """The source arguments, with the column names of the list that the run was trained on."""
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
    """Number of images of a data set that are byte-identical to training images of the run."""
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


def _matcher(run: TrainedRun) -> Any:
    """A matcher for ImageNet's classes, whose spelling varies; None for the model's own."""
    if run.recipe.model.head.name != "original":
        return None
    from tlkit.backbones.imagenet import match_class

    def match(label: str) -> str | None:
        index = match_class(label)
        return None if index is None else run.classes[index]

    return match
