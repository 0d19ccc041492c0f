"""An export from beginning to end: written, proved, and put in its place."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.data.dataset import Split
from tlkit.errors import RunFailed, UserError
from tlkit.export.bundle import write_bundle
from tlkit.export.naming import describe_file
from tlkit.export.parity import Parity, check_export
from tlkit.out_of_memory import is_out_of_memory, memory_trouble
from tlkit.recipe.schema import Named
from tlkit.run import silenced
from tlkit.tasks.base import Task

CALIBRATION = 256  # training images by which int8 finds its ranges


@dataclasses.dataclass(frozen=True)
class Served:
    """What is exported, and what it must answer.

    Attributes:
        model: RGB in [0, 255] to the task's answers.
        task: What is answered.
        size: Height and width in pixels.
        how: How images are brought to that size.
        antialias: Whether they are smoothed before.
        prepare: The decoder.
        split: Images to prove it with.
        answers: To those images, as evaluated.
        images: Gives the training images that set the ranges of int8, uint8; see CALIBRATION.
        card: For the model card; see `write_bundle`.
    """

    model: Any
    task: Task
    size: tuple[int, int]
    how: str
    antialias: bool
    prepare: Any
    split: Split
    answers: np.ndarray
    images: Callable[[], np.ndarray]
    card: dict[str, Any]


def missing(name: str) -> str | None:
    """What to install for a format, if it is not there."""
    facts = registry.EXPORTS[name].facts
    if all(importlib.util.find_spec(package) for package in facts.needs.split()):
        return None
    return f"pip install 'tlkit[{facts.extra}]'"


def parse_format(text: str) -> Named:
    """`litert` or `litert:int8` as a recipe would name it.

    Raises:
        UserError: for an unknown format or precision.
    """
    name, _, given = text.partition(":")
    if name not in registry.EXPORTS:
        raise UserError(registry.EXPORTS.suggest(name), where="--format")
    entry = registry.EXPORTS[name]
    if given and "precision" not in entry.arguments.model_fields:
        raise UserError(f"{name!r} takes no {given!r}", where="--format")
    try:
        arguments = entry.arguments(**({"precision": given} if given else {})).model_dump()
    except ValueError:
        allowed = entry.annotation("precision")
        raise UserError(
            f"{given!r} is no precision of {name}: {allowed}", where="--format"
        ) from None
    return Named(name, arguments)


def write_export(
    item: Named, served: Served, folder: pathlib.Path, max_accuracy_drop: float = 0.02
) -> tuple[str, pathlib.Path, Parity]:
    """Writes one format with all that lies beside it, and proves it.

    Args:
        item: The format and its arguments.
        served: What is exported.
        folder: Where exports go.
        max_accuracy_drop: Accuracy that int8 may lose.

    Returns:
        The name of its folder, the model in it, and what the proof found.

    Raises:
        UserError: if its package is not installed.
        RunFailed: if it cannot be written, or does not answer as evaluated; what was written is then
            under a name that ends in `.failed`.
    """
    if command := missing(item.name):
        raise UserError(f"export: {item.name} is not installed", hint=f"Install it: {command}")
    facts = registry.EXPORTS[item.name].facts
    precision = str(item.arguments.get("precision", "float32"))
    context = {f.name: getattr(served, f.name) for f in dataclasses.fields(served)}
    context["classes"] = served.task.outputs
    context["metadata"] = describe_file(
        served.task.outputs, served.size, served.how, served.antialias, served.card
    )
    try:
        # converters are talkative
        with silenced(1, 2), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            place: pathlib.Path = registry.EXPORTS.make(
                item.name, {**context, "folder": folder}, **item.arguments
            )
    # converters raise whatever they stumble over
    except Exception as error:
        if is_out_of_memory(error):
            raise memory_trouble(error) from error
        text = " ".join(str(error).split())[:400]
        raise RunFailed(f"the network cannot be written as {item.name}: {text}") from error
    home = folder / place.relative_to(folder).parts[0]
    try:
        parity = check_export(
            place,
            facts.runtime,
            facts.takes,
            served.task,
            served.split,
            served.prepare,
            served.answers,
            precision,
            max_accuracy_drop,
        )
    except RunFailed:
        bad = home.with_name(home.name + ".failed")
        shutil.rmtree(bad, ignore_errors=True)
        home.rename(bad)
        raise
    write_bundle(
        home,
        place,
        item.name,
        facts.takes,
        precision,
        served.task,
        served.size,
        served.how,
        served.antialias,
        served.split,
        served.prepare,
        served.answers,
        parity.as_json(),
        served.card,
    )
    return home.name, place, parity


def describe(name: str, parity: Parity) -> str:
    """The proof as a line for a person."""
    return (
        f"{name}: {parity.images} images, {100 * parity.agreement:.1f} % of the labels as evaluated, "
        f"largest difference {parity.largest_difference:.1e}; {parity.megabytes:.1f} MB, "
        f"{parity.images_per_second:.0f} images/s, {parity.milliseconds:.1f} ms for one"
    )
