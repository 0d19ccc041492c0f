"""Features of frozen networks on disk, found again by what they were made of.

    <root>/<key>/entry.json          what these features are
    <root>/<key>/shard-<id>/         some rows, written whole or not at all
        shard.json                   whose features the rows are, and the files' checksums
        0.npy, 1.npy, ...            one array `(rows, ...)` for each tensor

A row is found by the hash of its image's file, so changed and added files cost only
themselves, and two data sets that share files share their rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tlkit.data.rows import Rows
from tlkit.data.spool import cache_folder
from tlkit.errors import first_line

FORMAT = 1
PARTIAL = ".partial-"
ABANDONED = 3600  # seconds after which nobody is still writing a shard
LARGEST_FLOAT16 = 65504.0


def cache_root(folder: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder of all entries, in the one given or the user's."""
    return cache_folder(folder) / "features"


def cache_key(*parts: Any) -> str:
    """A short hash of everything that can change a feature but the image itself."""
    text = json.dumps([FORMAT, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclasses.dataclass
class Entry:
    """The features that one network gives, as far as they were computed.

    Attributes:
        folder: Where they lie.
        shapes: Of one image's tensors.
        dtype: `float32` or `float16`.
        about: What a person should know, for `tlkit cache ls`.
        damaged: Shards that were found damaged, and are removed.
        unreadable: Shards that could not be read, and why; they are left as they are.
    """

    folder: pathlib.Path
    shapes: list[tuple[int, ...]]
    dtype: str
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    damaged: list[str] = dataclasses.field(default_factory=list)
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shards: dict[str, list[np.ndarray]] = {}
        self._places: dict[str, tuple[str, int]] = {}

    def read(self) -> None:
        """Takes up the shards that were not there before, and tests their checksums."""
        for shard in sorted(self.folder.glob("shard-*")):
            if {shard.name} & (self._shards.keys() | self.unreadable.keys() | {*self.damaged}):
                continue
            try:
                keys, arrays = _read_shard(shard, self.shapes, self.dtype)
            except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError):
                self.damaged.append(shard.name)
                with contextlib.suppress(OSError):  # in a folder that is read-only it stays
                    shutil.rmtree(shard)
                continue
            except OSError as error:  # as a network file system's hiccup: the shard may be whole
                self.unreadable[shard.name] = error.strerror or first_line(error)
                continue
            self._shards[shard.name] = arrays
            for row, key in enumerate(keys):
                self._places.setdefault(key, (shard.name, row))

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Indices of the keys that have no row; the first of each that occurs twice."""
        found: dict[str, int] = {}
        for index, key in enumerate(keys):
            if key not in self._places:
                found.setdefault(key, index)
        return list(found.values())

    def rows(self, keys: Sequence[str]) -> list[Rows]:
        """One array for each tensor, its rows in the order of the keys; none may be missing."""
        number = {name: index for index, name in enumerate(self._shards)}
        part = np.array([number[self._places[key][0]] for key in keys], np.int32)
        row = np.array([self._places[key][1] for key in keys], np.int32)
        # of no rows at all there may be no shard
        shards = list(self._shards.values()) or [[np.empty((0, *s)) for s in self.shapes]]
        return [Rows([shard[k] for shard in shards], part, row) for k in range(len(self.shapes))]

    def write(self, keys: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
        """Adds rows as a new shard.

        Raises:
            OSError: if they cannot be written; nothing is left of them then.
            OverflowError: if a value is too large for float16.
        """
        if self.dtype == "float16" and any(np.abs(a).max() > LARGEST_FLOAT16 for a in arrays):
            raise OverflowError("a feature is too large for float16")
        name = uuid.uuid4().hex
        partial = self.folder / f"{PARTIAL}{name}"
        try:
            partial.mkdir(parents=True)
            sums = [
                _write_array(partial / f"{k}.npy", np.asarray(array, self.dtype))
                for k, array in enumerate(arrays)
            ]
            described = json.dumps({"keys": list(keys), "sha256": sums}).encode()
            _write_bytes(partial / "shard.json", described)
            os.replace(partial, self.folder / f"shard-{name}")
            _sync(self.folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self.read()

    def noted(self) -> dict[str, Any]:
        """What was noted with the entry; empty if nothing was."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "entry.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def note(self, facts: dict[str, Any]) -> None:
        """Adds to what is noted with the entry."""
        partial = self.folder / "entry.json.partial"
        _write_bytes(partial, json.dumps({**self.noted(), **facts}, indent=2).encode())
        os.replace(partial, self.folder / "entry.json")

    def used(self) -> None:
        """Notes the time, so that `prune` leaves what is in use to the last."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / "entry.json")

    @contextlib.contextmanager
    def held(self, wait: Callable[[], None]) -> Iterator[None]:
        """Makes the folder and holds it against other processes that would write the same.

        Args:
            wait: Called if another process holds it, before waiting for that.

        Raises:
            OSError: if it cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            if not (self.folder / "entry.json").exists():
                self.note({**self.about, "created": time.time()})
            self._clean()
            self.read()
            yield

    def _clean(self) -> None:
        """Removes what killed processes left."""
        for partial in self.folder.glob(PARTIAL + "*"):
            with contextlib.suppress(OSError):
                if time.time() - partial.stat().st_mtime > ABANDONED:
                    shutil.rmtree(partial)


def _read_shard(
    shard: pathlib.Path, shapes: Sequence[tuple[int, ...]], dtype: str
) -> tuple[list[str], list[np.ndarray]]:
    """Whose the rows are, and the arrays on disk.

    Raises:
        ValueError: if a file is not what was written.
    """
    described = json.loads((shard / "shard.json").read_text("utf-8"))
    keys, arrays = described["keys"], []
    for k, (shape, told) in enumerate(zip(shapes, described["sha256"], strict=True)):
        array = np.load(shard / f"{k}.npy", mmap_mode="r")
        if array.shape != (len(keys), *shape) or array.dtype != dtype or _checksum(array) != told:
            raise ValueError(f"{shard}/{k}.npy is damaged")
        arrays.append(array)
    return keys, arrays


def _checksum(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()


def _write_array(path: pathlib.Path, array: np.ndarray) -> str:
    with open(path, "wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())
    return _checksum(array)


def _write_bytes(path: pathlib.Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: pathlib.Path) -> None:
    """Makes sure that a renamed folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclasses.dataclass
class Listed:
    """An entry as `tlkit cache ls` shows it: features, or an archive that was unpacked.

    Attributes:
        key: Its folder's name.
        folder: Where it lies; a file, where one file was unpacked.
        bytes: On disk.
        images: Rows in it, or files.
        used: When it was used last, in seconds since 1970.
        about: What was noted with it.
    """

    key: str
    folder: pathlib.Path
    bytes: int
    images: int
    used: float
    about: dict[str, Any]


def entries(root: pathlib.Path) -> list[Listed]:
    """All entries, those used last first."""
    found = []
    for folder in root.glob("*/"):
        try:
            note = folder / "entry.json"
            about, used = json.loads(note.read_text("utf-8")), note.stat().st_mtime
            size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            rows = sum(
                len(json.loads(f.read_text("utf-8"))["keys"])
                for f in folder.glob("shard-*/shard.json")
            )
        except (OSError, ValueError, KeyError):
            continue  # not one of ours, or being removed
        found.append(Listed(folder.name, folder, size, rows, used, about))
    return sorted(found, key=lambda entry: -entry.used)


def unpacked(root: pathlib.Path) -> list[Listed]:
    """The archives and compressed files that were unpacked beside the features, last used first."""
    found = []
    for place in (root.parent / "archives").glob("[0-9a-f]" * 16):
        try:
            used = place.stat().st_mtime
            if place.is_file():
                size, files, about = place.stat().st_size, 1, {"archive": "a compressed file"}
            else:
                about = json.loads((place / "archive.json").read_text("utf-8"))
                size = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
                files = about["files"]
        except (OSError, ValueError, KeyError):
            continue  # not one of ours, or being removed
        found.append(Listed(place.name, place, size, files, used, about))
    return sorted(found, key=lambda entry: -entry.used)


def remove(entry: Listed) -> None:
    """Deletes an entry; a run that reads features of it goes on with what it has opened."""
    if entry.folder.is_dir():
        shutil.rmtree(entry.folder)
    else:
        entry.folder.unlink()


def prune(root: pathlib.Path, most: int) -> list[Listed]:
    """Deletes the entries unused for longest until all together are within `most` bytes."""
    listed = sorted([*entries(root), *unpacked(root)], key=lambda entry: -entry.used)
    total, gone = sum(entry.bytes for entry in listed), []
    while listed and total > most:
        gone.append(listed.pop())
        remove(gone[-1])
        total -= gone[-1].bytes
    return gone
