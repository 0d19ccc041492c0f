"""Checks that the files, folders and packages that a recipe names exist.

This happens before TensorFlow is imported, so that problems are reported at once.
"""

from __future__ import annotations

import pathlib

from tlkit.data.read_source import is_there, path_keys
from tlkit.data.sources.tfds import require_prepared
from tlkit.errors import RecipeError, UserError
from tlkit.export.write import missing as missing_format
from tlkit.features.engine import missing
from tlkit.recipe.schema import Recipe
from tlkit.tasks.find import TASKS
from tlkit.tasks.fit import settled


def check_files(recipe: Recipe) -> None:
    """Checks that the data, the weights and the engine that a recipe names exist.

    Raises:
        RecipeError: naming each one that is missing.
    """
    problems: list[UserError] = []
    source = recipe.data.source
    for key in path_keys(source.name):
        value = source.arguments.get(key)
        if value and source.name != "tfds" and not is_there(value, source.name == "tfrecord"):
            problems.append(UserError(f"data.source.{source.name}.{key}: not found", where=value))
    given = source.arguments
    if source.name == "tfds" and given["name"] != "image_folder":
        try:
            require_prepared(given["name"], given["data_dir"], given["download"])
        except UserError as error:
            problems.append(error)
    weights = recipe.model.weights
    if weights.endswith((".h5", ".keras")) and not pathlib.Path(weights).is_file():
        problems.append(UserError("model.weights: no such file", where=weights))
    if recipe.engine != "auto" and (command := missing(recipe.engine)):
        problems.append(
            UserError(f"engine: {recipe.engine!r} is not installed", hint=f"Install it: {command}")
        )
    for item in recipe.export:
        if command := missing_format(item.name):
            problems.append(
                UserError(f"export: {item.name} is not installed", hint=f"Install it: {command}")
            )
    if recipe.task is not None:
        try:
            settled(recipe, TASKS[recipe.task])
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems)
