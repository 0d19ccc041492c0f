"""An engine kept beside its model, so that neither is made again for every use."""

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
from tlkit.features.engine import Engine, missing, ranked

ABOUT = "engine.json"


def keep_engine(
    engine: Engine, model: pathlib.Path, folder: pathlib.Path, say: Callable[[str], None]
) -> None:
    """Writes an engine that can be read again, with how it compared with Keras.

    Those that cannot are passed over, and so is a folder that cannot be written to.

    Args:
        engine: Compared with Keras already.
        model: The file it was made from.
        folder: To keep it in; another model's engine there is replaced.
        say: Is told why it could not be written.
    """
    save = getattr(engine.run, "save", None)
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
    except (OSError, RuntimeError) as error:  # the latter is OpenVINO's where it cannot write
        # a run on a disk that is full or cannot be written to is still good for predicting
        reason = getattr(error, "strerror", None) or first_line(error)
        say(f"the engine is not kept in {folder} ({reason}), and will be made again next time")


def kept_engine(
    model: pathlib.Path, folder: pathlib.Path, wanted: str, exact: bool, say: Callable[[str], None]
) -> Engine | None:
    """The engine that would be made first, read again; None where it is not kept.

    Args:
        model: The file it must have been made from.
        folder: That it is kept in.
        wanted: `auto` or a registered name.
        exact: Its answers are to be Keras's own but for rounding in float32.
        say: Is told of one that cannot be read.
    """
    name = ranked(wanted, exact)[0]
    about = _about(folder)
    if about is None or missing(name) or about["of"] != _what(model, name):
        return None
    agreed = about["agreed"].get(name)
    if agreed is None:
        return None
    try:
        engines = importlib.import_module(registry.ENGINES[name].module)
        run = engines.read(folder, about["outputs"], name)
    except Exception as error:  # whatever is wrong with the file, it can be made again
        say(f"the engine in {folder} cannot be read ({first_line(error)}) and is made again")
        return None
    return Engine(name, run, run.precision, agreed["cosine"], agreed["difference"])


def _what(model: pathlib.Path, name: str) -> list[str]:
    """What an engine is made of: the model, and the package that can read it."""
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
