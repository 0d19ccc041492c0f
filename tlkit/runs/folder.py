"""The run folder, which holds everything about a run; its files are written atomically."""

from __future__ import annotations

import contextlib
import csv
import datetime
import fcntl
import io
import itertools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tlkit.errors import RunError, UserError
from tlkit.own_things import is_place, source_of
from tlkit.paths import expanded
from tlkit.recipe.load import MODULES
from tlkit.recipe.schema import Recipe
from tlkit.registry import own_things_in
from tlkit.text import cell, from_cell

if TYPE_CHECKING:
    from tlkit.data.dataset import Dataset

LOCK = ".lock"  # a running process holds a lock on it
# other files that a run may leave if it is killed before it can be resumed
LEFT = {LOCK, "recipe.yaml", "recipe.yaml.partial", "resolved.yaml.partial"}
LEAST_DISK = 200 * 1024**2  # bytes; the least that a run may need


def write_atomic(path: pathlib.Path, text: str) -> None:
    """Replaces a text file atomically."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Replaces a JSON file atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a mapping that `write_json` wrote.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError("is not there", where=str(path)) from None
    except ValueError as error:
        raise RunError(f"is damaged: {error}", where=str(path)) from None
    if not isinstance(found, dict):
        raise RunError("is damaged: it holds no mapping", where=str(path))
    return found


def keep_modules(recipe: str, beside: pathlib.Path, folder: pathlib.Path) -> None:
    """Copies the user's modules named in a recipe into the run folder, if they are found.

    Args:
        recipe: Text of the recipe.
        beside: Folder that contains the recipe.
        folder: Run folder.
    """
    places = [place.resolve() for place in (beside, beside / MODULES, pathlib.Path.cwd())]
    named = [thing.name for thing in own_things_in(recipe) if is_place(thing.name)]
    names = {name.partition(":")[0].split(".")[0] for name in named}
    for file in filter(None, map(source_of, names)):
        path = file.parent if file.name == "__init__.py" else file
        if path.parent not in places:
            continue  # installed, and stays where it is
        target = folder / MODULES / path.name
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, target, ignore=leave, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target)


def try_to_write(folder: pathlib.Path) -> None:
    """Creates a folder for later output, and checks that it is writable.

    Raises:
        RunError: if it is not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RunError(
            f"cannot be written to: {error.strerror}",
            where=str(folder),
            hint="Name another place with --output.",
        ) from None


@contextlib.contextmanager
def new_run_folder(name: str, run_dir: str | os.PathLike[str] | None) -> Iterator[pathlib.Path]:
    """Creates `runs/<name>/<id>/`, or uses the folder that the user names, and locks it.

    Two runs never get the same folder, however close together they start.

    Raises:
        RunError: if that folder contains a run or other files, is in use, or cannot be created.
        UserError: if the disk is nearly full.
    """
    folder = pathlib.Path("runs") / name if run_dir is None else expanded(run_dir)
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free < LEAST_DISK:
                raise UserError(
                    f"only {free / 1e6:.0f} MB are free on the disk; a run needs at least "
                    f"{LEAST_DISK / 1e6:.0f} MB",
                    where=str(folder),
                )
            if run_dir is None:
                folder = _new_in(folder)
            else:
                _expect_free(folder)
            held.enter_context(locked(folder))
            if run_dir is not None:
                _expect_free(folder)  # another run may have ended here meanwhile
        except OSError as error:
            raise RunError(
                f"cannot be made: {error.strerror}.",
                where=str(folder),
                hint="Name another place with --run-dir.",
            ) from None
        if run_dir is None:
            _point_latest(folder)
        yield folder


def _new_in(base: pathlib.Path) -> pathlib.Path:
    """Creates a folder in `base`, named after the current time."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for count in itertools.count(1):
        folder = base / (stamp if count == 1 else f"{stamp}-{count}")
        with contextlib.suppress(FileExistsError):  # another run started in the same second
            folder.mkdir()
            return folder
    raise AssertionError("counting has no end")


def _expect_free(folder: pathlib.Path) -> None:
    """Refuses a folder that contains anything but the remains of a run that cannot be resumed.

    Raises:
        RunError: if there is anything else.
    """
    names = {item.name for item in folder.iterdir()}
    killed_early = LOCK in names and names <= LEFT
    if names and not killed_early and not _reusable(folder):
        raise RunError(
            "is not empty.",
            where=str(folder),
            hint=f"Name another --run-dir, or continue it with: tlkit finetune --resume {folder}",
        )


def _reusable(folder: pathlib.Path) -> bool:
    """Whether a folder contains only a run that failed before it trained anything."""
    result = folder / "result.json"
    if not result.is_file() or (folder / "checkpoints").exists():
        return False
    return bool(read_json(result).get("status") == "failed")


def _point_latest(folder: pathlib.Path) -> None:
    """Links `runs/latest` to the newest run."""
    link = pathlib.Path("runs") / "latest"
    partial = link.with_name("latest.partial")
    with contextlib.suppress(OSError):  # some file systems have no links
        partial.unlink(missing_ok=True)
        partial.symlink_to(folder.relative_to("runs"))
        os.replace(partial, link)


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Locks a run folder against other processes.

    Raises:
        RunError: if another process holds the lock.
    """
    with open(folder / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError("is in use by another tlkit process", where=str(folder)) from None
        yield


def open_run(folder: str | os.PathLike[str], needs: str = "result.json") -> pathlib.Path:
    """A run folder that exists and contains the needed file.

    Raises:
        RunError: saying what is missing.
    """
    path = expanded(folder)
    if not path.is_dir():
        raise RunError("no such run folder", where=str(path))
    if not (path / needs).exists():
        if (path / "resolved.yaml").exists():
            raise RunError(
                f"has no {needs}: the run did not finish.",
                where=str(path),
                hint=f"Continue it with: tlkit finetune --resume {path}",
            )
        raise RunError(f"is not a run folder: it has no {needs}", where=str(path))
    return path


def finished(folder: str | os.PathLike[str]) -> tuple[pathlib.Path, dict[str, Any]]:
    """The folder of a run that finished, and its result.json.

    Raises:
        RunError: if it did not finish.
    """
    path = open_run(folder)
    result = read_json(path / "result.json")
    if "evaluation" not in result:
        raise RunError(f"has no result: its status is {result.get('status')!r}", where=str(path))
    return path, result


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe, including defaults, as YAML that can be run again."""
    return recipe.to_yaml()


@contextlib.contextmanager
def silenced(*streams: int) -> Iterator[None]:
    """Discards the output of C++ and libraries to 1, standard output, or 2, standard error."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(stream, os.dup(stream)) for stream in streams]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in streams:
            os.dup2(nowhere, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in kept:
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)


def image_list(dataset: Dataset) -> str:
    """All images as CSV: split, name, label and the SHA-256 of the file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)  # its line terminator makes it quote both CR and LF
    writer.writerow(("split", "image", "label", "sha256"))
    for name, split in dataset.splits.items():
        for record, digest in zip(split.records, split.hashes, strict=True):
            writer.writerow((name, cell(record.name), cell(record.label), digest))
    return buffer.getvalue()


def changed_images(before: str, now: str) -> list[str]:
    """Names of images added, removed, changed or relabelled between two such lists."""
    one, other = (
        {row["image"]: row for row in csv.DictReader(io.StringIO(text))} for text in (before, now)
    )
    both = one.keys() & other.keys()
    groups = {
        "added": other.keys() - one.keys(),
        "removed": one.keys() - other.keys(),
        "changed": {name for name in both if one[name]["sha256"] != other[name]["sha256"]},
        "labelled otherwise": {name for name in both if one[name]["label"] != other[name]["label"]},
    }
    return [
        f"{len(names)} {what} ({', '.join(map(from_cell, sorted(names)[:5]))}{', ...' if len(names) > 5 else ''})"
        for what, names in groups.items()
        if names
    ]


def environment() -> dict[str, Any]:
    """Versions, machine and state of the code, for `environment.json`."""
    from importlib.metadata import distributions

    packages = {d.metadata["Name"].lower(): d.version for d in distributions()}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": dict(sorted(packages.items())),
        "git": _git(),
    }


def _processor() -> str:
    """The processor's name, if the system provides it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _git() -> dict[str, Any] | None:
    """Commit of the working directory, and whether it has changes; None outside of git."""
    try:
        found = [
            subprocess.run(
                ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": found[0], "changed": bool(found[1])}


def peak_memory_mb() -> float:
    """Peak memory of this process, in megabytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
