"""A complete export: writes the files, checks them, and moves rejected ones aside."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import warnings

from tlkit import registry
from tlkit.errors import RunFailed, UserError
from tlkit.export.bundle import write_bundle
from tlkit.export.naming import describe_file
from tlkit.export.parity import Parity, check_export
from tlkit.export.served import ServedModel
from tlkit.out_of_memory import is_out_of_memory, memory_trouble
from tlkit.recipe.schema import Component
from tlkit.runs.folder import silenced

CALIBRATION = 256  # training images by which int8 finds its ranges


def missing(name: str) -> str | None:
    """Returns the install command for a format; None if it is installed."""
    facts = registry.EXPORTS[name].facts
    if all(importlib.util.find_spec(package) for package in facts.needs.split()):
        return None
    return f"pip install 'tlkit[{facts.extra}]'"


def parse_format(text: str) -> Component:
    """Parses `litert` or `litert:int8` into the form that a recipe has.

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
            f"{given!r} is not a precision of {name}: {allowed}", where="--format"
        ) from None
    return Component(name, arguments)


def write_export(
    item: Component, served: ServedModel, folder: pathlib.Path, max_metric_drop: float = 0.02
) -> tuple[str, pathlib.Path, Parity]:
    """Writes one format with its accompanying files, and checks it.

    Args:
        item: Format and its arguments.
        served: Model to export.
        folder: Folder of all exports.
        max_metric_drop: Largest drop of the task's metric allowed for int8.

    Returns:
        The name of its folder, the path of the model in it, and the result of the check.

    Raises:
        UserError: if the package that the format needs is not installed.
        RunFailed: if it cannot be written, or its answers differ from the evaluated ones; in the
            latter case the output is kept under a name that ends in `.failed`.
    """
    if command := missing(item.name):
        raise UserError(f"export: {item.name} is not installed", hint=f"Install it: {command}")
    context = {
        "model": served.model,
        "task": served.task,
        "classes": served.task.outputs,
        "size": served.size,
        "how": served.how,
        "antialias": served.antialias,
        "split": served.proof.split,
        "images": served.images,
        "card": served.card,
        "metadata": describe_file(
            served.task.outputs, served.size, served.how, served.antialias, served.card
        ),
        "folder": folder,
    }
    try:
        # converters are talkative
        with silenced(1, 2), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            place: pathlib.Path = registry.EXPORTS.make(item.name, context, **item.arguments)
    # converters raise whatever they stumble over
    except Exception as error:
        if is_out_of_memory(error):
            raise memory_trouble(error) from error
        text = " ".join(str(error).split())[:400]
        raise RunFailed(f"the network cannot be written as {item.name}: {text}") from error
    home = folder / place.relative_to(folder).parts[0]
    try:
        parity = check_export(place, item, served.proof, max_metric_drop)
    except RunFailed:
        bad = home.with_name(home.name + ".failed")
        shutil.rmtree(bad, ignore_errors=True)
        home.rename(bad)
        raise
    write_bundle(home, place, item, served, parity)
    return home.name, place, parity


def describe(name: str, parity: Parity) -> str:
    """Returns the result of the check as one readable line."""
    return (
        f"{name}: {parity.images} images, {100 * parity.agreement:.1f} % of the labels as evaluated, "
        f"largest difference {parity.largest_difference:.1e}; {parity.megabytes:.1f} MB, "
        f"{parity.images_per_second:.0f} images/s, {parity.milliseconds:.1f} ms for one"
    )
