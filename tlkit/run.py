"""The run folder: where everything about a run is, written whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import io
import json
import os
import pathlib
import platform
import shutil
from collections.abc import Iterator
from typing import Any

from tlkit.errors import RunError, UserError
from tlkit.recipe.schema import Recipe

LEAST_DISK = 200 * 1024**2  # bytes that a run may need at the least


def write_atomic(path: pathlib.Path, text: str) -> None:
    """Replaces a text file in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Replaces a JSON file in one step."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def new_run_folder(name: str, run_dir: str | pathlib.Path | None) -> pathlib.Path:
    """Creates `runs/<name>/<id>/`, or the folder that the user names.

    Raises:
        RunError: if that folder holds a run already, or cannot be made.
        UserError: if the disk is nearly full.
    """
    if run_dir is not None:
        folder = pathlib.Path(run_dir).expanduser()
        if folder.exists() and not _reusable(folder):
            raise RunError(
                "is not empty.",
                where=str(folder),
                hint="Name another --run-dir, or continue it with: tlkit finetune --resume "
                f"{folder}",
            )
    else:
        base = pathlib.Path("runs") / name
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        folder, count = base / stamp, 1
        while folder.exists():
            count += 1
            folder = base / f"{stamp}-{count}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot be made: {error.strerror}", where=str(folder)) from None
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK:
        raise UserError(
            f"only {free / 1e6:.0f} MB are free on the disk; a run needs at least "
            f"{LEAST_DISK / 1e6:.0f} MB",
            where=str(folder),
        )
    if run_dir is None:
        _point_latest(folder)
    return folder


def _reusable(folder: pathlib.Path) -> bool:
    """Whether a folder is empty, or holds a run that failed before it trained anything."""
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    result = folder / "result.json"
    if not result.is_file() or (folder / "checkpoints").exists():
        return False
    return bool(json.loads(result.read_text("utf-8")).get("status") == "failed")


def _point_latest(folder: pathlib.Path) -> None:
    """`runs/latest` leads to the newest run."""
    link = pathlib.Path("runs") / "latest"
    partial = link.with_name("latest.partial")
    with contextlib.suppress(OSError):  # a file system without links does without it
        partial.unlink(missing_ok=True)
        partial.symlink_to(folder.relative_to("runs"))
        os.replace(partial, link)


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds a run folder against other processes.

    Raises:
        RunError: if another process holds it.
    """
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError("is in use by another tlkit process", where=str(folder)) from None
        yield


def open_run(folder: str | pathlib.Path, needs: str = "result.json") -> pathlib.Path:
    """A run folder that exists and has the file that is needed.

    Raises:
        RunError: saying what is missing.
    """
    path = pathlib.Path(folder).expanduser()
    if not path.is_dir():
        raise RunError("no such run folder", where=str(path))
    if not (path / needs).exists():
        if (path / "resolved.yaml").exists():
            raise RunError(
                f"has no {needs}: the run did not finish.",
                where=str(path),
                hint=f"Continue it with: tlkit finetune --resume {path}",
            )
        raise RunError(f"is no run folder: it has no {needs}", where=str(path))
    return path


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults and all, as YAML that can be run again."""
    import ruamel.yaml

    yaml = ruamel.yaml.YAML()
    yaml.default_flow_style = False
    buffer = io.StringIO()
    yaml.dump(recipe.model_dump(mode="json", exclude_none=True), buffer)
    return buffer.getvalue()


def environment() -> dict[str, Any]:
    """Versions and machine, for `environment.json`."""
    from importlib.metadata import PackageNotFoundError, version

    packages = {}
    for name in ("tlkit", "tensorflow", "tensorflow-cpu", "keras", "numpy", "tensorflow-datasets"):
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "packages": packages,
    }


def peak_memory_mb() -> float:
    """Most memory that this process has used, in megabytes."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
