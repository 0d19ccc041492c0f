"""The images read, checked, split and described."""

from __future__ import annotations

import pathlib

from tlkit import run as runs
from tlkit.data.dataset import Dataset, load_dataset
from tlkit.data.labels import labels_text, read_labels
from tlkit.errors import RunError
from tlkit.recipe.schema import Recipe
from tlkit.steps.speaker import Speaker
from tlkit.tasks.find import TASKS, task_facts
from tlkit.tasks.fit import settled
from tlkit.text import one_line, shortened

WIDEST = 40  # characters of a class name in a table


def look_at_data(recipe: Recipe, say: Speaker) -> Dataset:
    """Reads, checks and splits the images."""
    from tlkit.model import image_size

    say.line(f"reading images from {recipe.data.source.name} ...")
    task = None if recipe.task is None else TASKS[recipe.task]
    dataset = load_dataset(recipe.data, image_size(recipe), say.progress("reading images"), task)
    for line in describe_data(dataset):
        say.line(line)
    return dataset


def read_data(
    recipe: Recipe, folder: pathlib.Path, say: Speaker, resumed: bool, allow_data_change: bool
) -> Dataset:
    """Reads the images; writes data.json, images.csv, environment.json and labels.txt.

    Raises:
        RunError: if a run is to be continued on other images than it began with.
    """
    dataset = look_at_data(recipe, say)
    listed = runs.image_list(dataset)
    if resumed and (folder / "images.csv").exists():
        changed = runs.changed_images((folder / "images.csv").read_bytes().decode(), listed)
        if changed and not allow_data_change:
            raise RunError(
                f"cannot be continued: its images have changed since: {'; '.join(changed)}.",
                where=str(folder),
                hint="Go on all the same with --allow-data-change, or begin anew with: tlkit finetune "
                + str(folder / "resolved.yaml"),
            )
        for line in changed:
            say.line(f"changed since: {line}")
        labels = folder / "labels.txt"
        if changed and labels.exists() and read_labels(labels) != dataset.classes:
            raise RunError("cannot be continued: its classes have changed", where=str(folder))
    if recipe.model.head.name != "original":
        runs.write_atomic(folder / "labels.txt", labels_text(dataset.classes))
        runs.write_json(folder / "task.json", task_facts(dataset.task))
    runs.write_atomic(folder / "images.csv", listed)
    runs.write_json(folder / "data.json", {**dataset.fingerprint(), "notes": dataset.notes})
    runs.write_json(folder / "environment.json", runs.environment())
    return dataset


def settle(
    recipe: Recipe, dataset: Dataset, say: Speaker, folder: pathlib.Path | None = None
) -> Recipe:
    """The recipe with what is learned, as the data say, and that task's loss; resolved.yaml has it too.

    Raises:
        RecipeError: if something of it is for another task.
    """
    done = settled(recipe, dataset.task)
    if recipe.task is None and dataset.task.name != "classification":
        say.line(
            f"task: {dataset.task.name}, by what the labels are; a recipe says it with `task:`"
        )
    if folder is not None:
        runs.write_atomic(folder / "resolved.yaml", runs.recipe_yaml(done))
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
