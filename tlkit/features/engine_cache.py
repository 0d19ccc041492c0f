"""An engine cached beside its model, so that it is not built again for every use."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from tlkit import registry
from tlkit.errors import first_line
from tlkit.features.compiled_model import CompiledModel
from tlkit.features.engine import Engine, missing, ranked

ABOUT = "engine.json"


def keep_engine(
    engine: Engine, model: pathlib.Path, folder: pathlib.Path, say: Callable[[str], None]
) -> None:
    """Saves an engine that can be loaded again, with how it compared with Keras.

    Does nothing if the engine cannot be saved, or the folder cannot be written to.

    Args:
        engine: Engine, already compared with Keras.
        model: Model file that it was built from.
        folder: Cache folder; another model's engine in it is replaced.
        say: Called with the reason if it could not be written.
    """
    save = engine.run.save
    if save is None:
        return
    what = _what(model, engine.name)
    about = _about(folder)
    agreed = about["agreed"] if about is not None and about["of"] == what else {}
    agreed[engine.name] = {"cosine": engine.cosine, "difference": engine.difference}
    try:
        partial = folder.with_name(f".{folder.name}-{os.getpid()}")
        partial.mkdir()
        try:
            outputs = save(partial)
            text = json.dumps({"of": what, "agreed": agreed, "outputs": outputs}, indent=1)
            (partial / ABOUT).write_text(text + "\n", "utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (OSError, RuntimeError) as error:  # OpenVINO raises RuntimeError if it cannot write
        # a run on a full or read-only disk can still predict
        reason = getattr(error, "strerror", None) or first_line(error)
        say(f"the engine is not kept in {folder} ({reason}), and will be made again next time")


def kept_engine(
    model: pathlib.Path, folder: pathlib.Path, wanted: str, exact: bool, say: Callable[[str], None]
) -> Engine | None:
    """Loads the cached engine that would otherwise be built first; None if it is not cached.

    Args:
        model: Model file that it must have been built from.
        folder: Cache folder.
        wanted: `auto` or a registered name.
        exact: Outputs must match Keras's up to float32 rounding.
        say: Called with a message if it cannot be read.
    """
    name = ranked(wanted, exact)[0]
    about = _about(folder)
    if about is None or missing(name) or about["of"] != _what(model, name):
        return None
    agreed = about["agreed"].get(name)
    if agreed is None:
        return None
    try:
        entry = registry.ENGINES[name]
        load = getattr(importlib.import_module(entry.module), entry.facts.loader)
        run: CompiledModel = load(folder, about["outputs"], name)
    except Exception as error:  # whatever is wrong with the file, the engine can be built again
        say(f"the engine in {folder} cannot be read ({first_line(error)}) and is made again")
        return None
    return Engine(name, run, agreed["cosine"], agreed["difference"])


def _what(model: pathlib.Path, name: str) -> list[str]:
    """What an engine depends on: the model, and the package that can read it."""
    package = registry.ENGINES[name].facts.needs or "tensorflow"
    with open(model, "rb") as file:
        return [
            hashlib.file_digest(file, "sha256").hexdigest(),
            importlib.metadata.version(package),
        ]


def _about(folder: pathlib.Path) -> Any:
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        return about if {"of", "agreed", "outputs"} <= about.keys() else None
    except (OSError, ValueError, AttributeError):
        return None
