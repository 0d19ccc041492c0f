"""Features of frozen networks on disk, looked up by what they were computed from.

        <root>/<key>/entry.json          what these features are
        <root>/<key>/shard-<id>/         some rows, written atomically
            shard.json                   the image of each row, and the files' checksums
            0.npy, 1.npy, ...            one array `(rows, ...)` for each tensor

A row is looked up by the hash of its image file, so changed and added files cost only
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
ABANDONED = 3600  # seconds after which a partial shard is considered abandoned
LARGEST_FLOAT16 = 65504.0


def cache_root(folder: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder of all entries, in `folder` or in the user's cache."""
    return cache_folder(folder) / "features"


def cache_key(*parts: Any) -> str:
    """A short hash of everything besides the image that can change a feature."""
    text = json.dumps([FORMAT, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclasses.dataclass
class CacheEntry:
    """The features of one network, as far as they have been computed.

    Attributes:
        folder: Folder of the entry.
        shapes: Shapes of one image's tensors.
        dtype: `float32` or `float16`.
        about: What the user should know, for `tlkit cache ls`.
        damaged: Shards that were found damaged, and are removed.
        unreadable: Shards that could not be read, and why; they are left in place.
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
        """Reads new shards and verifies their checksums."""
        for shard in sorted(self.folder.glob("shard-*")):
            if {shard.name} & (self._shards.keys() | self.unreadable.keys() | {*self.damaged}):
                continue
            try:
                keys, arrays = _read_shard(shard, self.shapes, self.dtype)
            except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError):
                self.damaged.append(shard.name)
                with contextlib.suppress(OSError):  # in a read-only folder it stays
                    shutil.rmtree(shard)
                continue
            except OSError as error:  # e.g. a network file system's hiccup: the shard may be intact
                self.unreadable[shard.name] = error.strerror or first_line(error)
                continue
            self._shards[shard.name] = arrays
            for row, key in enumerate(keys):
                self._places.setdefault(key, (shard.name, row))

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Indices of the keys without a row; only the first of each duplicate."""
        found: dict[str, int] = {}
        for index, key in enumerate(keys):
            if key not in self._places:
                found.setdefault(key, index)
        return list(found.values())

    def rows(self, keys: Sequence[str]) -> list[Rows]:
        """One array per tensor, with rows in the order of the keys; none may be missing."""
        number = {name: index for index, name in enumerate(self._shards)}
        part = np.array([number[self._places[key][0]] for key in keys], np.int32)
        row = np.array([self._places[key][1] for key in keys], np.int32)
        # without rows there may be no shard
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
        """The contents of entry.json; empty if it cannot be read."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "entry.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def note(self, facts: dict[str, Any]) -> None:
        """Adds facts to entry.json."""
        partial = self.folder / "entry.json.partial"
        _write_bytes(partial, json.dumps({**self.noted(), **facts}, indent=2).encode())
        os.replace(partial, self.folder / "entry.json")

    def used(self) -> None:
        """Updates the time of last use, so that `prune` removes this entry late."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / "entry.json")

    @contextlib.contextmanager
    def held(self, wait: Callable[[], None]) -> Iterator[None]:
        """Creates the folder and locks it against other processes that write the same entry.

        Args:
            wait: Called before waiting for another process that holds the lock.

        Raises:
            OSError: if the folder cannot be written to.
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
        """Removes what killed processes left behind."""
        for partial in self.folder.glob(PARTIAL + "*"):
            with contextlib.suppress(OSError):
                if time.time() - partial.stat().st_mtime > ABANDONED:
                    shutil.rmtree(partial)


def _read_shard(
    shard: pathlib.Path, shapes: Sequence[tuple[int, ...]], dtype: str
) -> tuple[list[str], list[np.ndarray]]:
    """The keys of the rows, and the arrays on disk.

    Raises:
        ValueError: if a file differs from what was written.
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
    """Makes sure that a renamed folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclasses.dataclass
class CacheListing:
    """An entry as listed by `tlkit cache ls`: features, or an unpacked archive.

    Attributes:
        key: Name of the entry's folder.
        folder: Its path; a file, if a single file was unpacked.
        bytes: Size on disk.
        images: Number of rows, or of files.
        used: Time of last use, in seconds since 1970.
        about: Contents of its description file.
    """

    key: str
    folder: pathlib.Path
    bytes: int
    images: int
    used: float
    about: dict[str, Any]


def entries(root: pathlib.Path) -> list[CacheListing]:
    """All entries, most recently used first."""
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
        found.append(CacheListing(folder.name, folder, size, rows, used, about))
    return sorted(found, key=lambda entry: -entry.used)


def unpacked(root: pathlib.Path) -> list[CacheListing]:
    """The archives and files unpacked beside the features, most recently used first."""
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
        found.append(CacheListing(place.name, place, size, files, used, about))
    return sorted(found, key=lambda entry: -entry.used)


def remove(entry: CacheListing) -> None:
    """Deletes an entry; a run that is reading it continues with the files it has opened."""
    if entry.folder.is_dir():
        shutil.rmtree(entry.folder)
    else:
        entry.folder.unlink()


def prune(root: pathlib.Path, most: int) -> list[CacheListing]:
    """Deletes the least recently used entries until the total is at most `most` bytes."""
    listed = sorted([*entries(root), *unpacked(root)], key=lambda entry: -entry.used)
    total, gone = sum(entry.bytes for entry in listed), []
    while listed and total > most:
        gone.append(listed.pop())
        remove(gone[-1])
        total -= gone[-1].bytes
    return gone
