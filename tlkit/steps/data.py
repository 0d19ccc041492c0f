"""Reading, checking, splitting and describing the images."""

from __future__ import annotations

import pathlib

from tlkit.data.dataset import Dataset, load_dataset
from tlkit.data.labels import labels_text, read_labels
from tlkit.errors import RunError
from tlkit.recipe.schema import Recipe
from tlkit.reporter import Reporter
from tlkit.runs import folder as run_folder
from tlkit.tasks.find import TASKS, task_facts
from tlkit.tasks.fit import settled
from tlkit.text import one_line, shortened

WIDEST = 40  # maximum characters of a class name in a table


def look_at_data(recipe: Recipe, reporter: Reporter) -> Dataset:
    """Reads, checks and splits the images."""
    from tlkit.model import image_size

    reporter.line(f"reading images from {recipe.data.source.name} ...")
    task = None if recipe.task is None else TASKS[recipe.task]
    dataset = load_dataset(
        recipe.data, image_size(recipe), reporter.progress("reading images"), task
    )
    for line in describe_data(dataset):
        reporter.line(line)
    return dataset


def read_data(
    recipe: Recipe,
    folder: pathlib.Path,
    reporter: Reporter,
    *,
    resumed: bool = False,
    allow_data_change: bool = False,
) -> Dataset:
    """Reads the images; writes data.json, images.csv, environment.json and labels.txt.

    Args:
        recipe: Recipe, with its defaults filled in.
        folder: Run folder.
        reporter: Reports to the user.
        resumed: Whether the run is resumed; its images must be unchanged.
        allow_data_change: Continue even if they changed.

    Raises:
        RunError: if a run would be resumed on other images than it started with.
    """
    dataset = look_at_data(recipe, reporter)
    listed = run_folder.image_list(dataset)
    if resumed and (folder / "images.csv").exists():
        changed = run_folder.changed_images((folder / "images.csv").read_bytes().decode(), listed)
        if changed and not allow_data_change:
            raise RunError(
                f"cannot be continued: its images have changed since: {'; '.join(changed)}.",
                where=str(folder),
                hint="Go on all the same with --allow-data-change, or begin anew with: tlkit finetune "
                + str(folder / "resolved.yaml"),
            )
        for line in changed:
            reporter.line(f"changed since: {line}")
        labels = folder / "labels.txt"
        if changed and labels.exists() and read_labels(labels) != dataset.classes:
            raise RunError("cannot be continued: its classes have changed", where=str(folder))
    if recipe.model.head.name != "original":
        run_folder.write_atomic(folder / "labels.txt", labels_text(dataset.classes))
        run_folder.write_json(folder / "task.json", task_facts(dataset.task))
    run_folder.write_atomic(folder / "images.csv", listed)
    run_folder.write_json(folder / "data.json", {**dataset.fingerprint(), "notes": dataset.notes})
    run_folder.write_json(folder / "environment.json", run_folder.environment())
    return dataset


def settle(
    recipe: Recipe, dataset: Dataset, reporter: Reporter, folder: pathlib.Path | None = None
) -> Recipe:
    """The recipe with the task from the data, and that task's loss; updates resolved.yaml.

    Raises:
        RecipeError: if a part of it is for another task.
    """
    done = settled(recipe, dataset.task)
    if recipe.task is None and dataset.task.name != "classification":
        reporter.line(
            f"task: {dataset.task.name}, by what the labels are; a recipe says it with `task:`"
        )
    if folder is not None:
        run_folder.write_atomic(folder / "resolved.yaml", run_folder.recipe_yaml(done))
    return done


def describe_data(dataset: Dataset) -> list[str]:
    """Classes and counts as a small table."""
    counts = dataset.counts()
    sizes = ", ".join(f"{len(split)} {name}" for name, split in dataset.splits.items())
    lines = [f"{len(dataset.classes)} {dataset.task.plural}, images: {sizes}"]
    shown = {label: shortened(one_line(label), WIDEST) for label in dataset.classes[:30]}
    width = max(map(len, shown.values()))
    for label, name in shown.items():
        numbers = "  ".join(f"{split} {counts[split][label]:>5}" for split in counts)
        lines.append(f"  {name:<{width}}  {numbers}")
    if len(dataset.classes) > 30:
        lines.append(f"  ... and {len(dataset.classes) - 30} more {dataset.task.plural}")
    lines += dataset.account.lines()
    for name, reason in dataset.broken[:10]:
        lines.append(f"skipped: {name} {reason}")
    if len(dataset.broken) > 10:
        lines.append(f"skipped: {len(dataset.broken) - 10} more, see data.json")
    lines.extend(f"note: {note}" for note in dataset.notes)
    return lines
