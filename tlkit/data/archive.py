"""Zip and tar archives: unpacked once into the cache, and read from there as folders."""

from __future__ import annotations

import bz2
import contextlib
import fcntl
import gzip
import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from tlkit.data.file_kind import HEAD, file_kind
from tlkit.data.spool import cache_folder, free_disk
from tlkit.errors import DataError, first_line, some_of
from tlkit.paths import expanded

RATIO = 200  # most unpacked bytes per packed byte: pictures hardly shrink
HARMLESS = 100_000_000  # bytes that may be unpacked whatever the ratio
DISK_SHARE = 0.9  # fraction of the free disk space
MOST_FILES = 5_000_000
CHUNK = 1 << 20
COMPRESSED = ("GZIP", "BZIP2", "XZ")
OTHERS = ("RAR", "7Z", "ZSTD")
SUFFIX = re.compile(r"(\.tar)?\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz|tm)$", re.IGNORECASE)
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError)
SPREADSHEETS = (".xlsx", ".xlsm", ".ods", ".numbers")

Say = Callable[[str], None]


def opened(path: str | os.PathLike[str], say: Say = lambda line: None) -> pathlib.Path:
    """A readable path: for an archive or a path inside one, the place where it is unpacked.

    Args:
        path: Path of a file, a folder or an archive, or inside one, such as `photos.zip/train`.
        say: Called with a message before an archive is unpacked.

    Raises:
        DataError: if an archive is damaged, protected, unsafe or too large.
    """
    whole = expanded(path)
    archive = archive_of(whole)
    return whole if archive is None else unpack(archive, say) / whole.relative_to(archive)


def archive_of(path: pathlib.Path) -> pathlib.Path | None:
    """The archive that a path names or is inside of, or None."""
    for place in (path, *path.parents):
        try:
            mode = place.stat().st_mode
        except OSError:
            continue
        return place if stat.S_ISREG(mode) and is_archive(place) else None
    return None


def is_archive(file: pathlib.Path) -> bool:
    """Whether a file is a zip or tar archive, by its content.

    Raises:
        DataError: if it is an archive of an unsupported kind.
    """
    try:
        with open(file, "rb") as stream:
            head = stream.read(512)
    except OSError:
        return False
    kind = file_kind(head[:HEAD])
    if kind == "ZIP":
        if file.suffix.lower() in SPREADSHEETS:
            raise DataError(
                "is a spreadsheet.", where=str(file), hint="Save its sheet as CSV and give that."
            )
        return True
    if kind in OTHERS:
        raise DataError(
            f"is a {kind.lower()} archive, which tlkit does not unpack.",
            where=str(file),
            hint="Unpack it and give the folder, or pack it as zip or tar.",
        )
    if kind in COMPRESSED:
        return _holds_tar(file, kind)
    return head[257:262] == b"ustar"


def _holds_tar(file: pathlib.Path, kind: str) -> bool:
    openers: dict[str, Callable[[pathlib.Path], IO[bytes]]] = {
        "GZIP": gzip.open,  # type: ignore[dict-item]
        "BZIP2": bz2.open,
        "XZ": lzma.open,
    }
    try:
        with openers[kind](file) as stream:
            return stream.read(512)[257:262] == b"ustar"
    except (OSError, *DAMAGED):
        return False


def unpack(archive: pathlib.Path, say: Say = lambda line: None) -> pathlib.Path:
    """The folder with an archive's content; unpacks it unless already done.

    Raises:
        DataError: if the archive is damaged, protected, unsafe or too large.
    """
    root = cache_folder() / "archives"
    place = root / content_key(archive)
    folder = place / (SUFFIX.sub("", archive.name) or archive.name)
    if folder.is_dir():
        with contextlib.suppress(OSError):
            os.utime(place)
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = os.open(root / f"{place.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DataError(
            f"cannot be unpacked: {error.strerror}: {root}.",
            where=str(archive),
            hint="Set TLKIT_CACHE to a folder that can be written, or unpack it yourself.",
        ) from None
    with contextlib.closing(os.fdopen(lock)):
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be unpacking the same archive
        if folder.is_dir():
            return folder
        partial = root / f"{place.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        say(f"unpacking {archive} into {folder}")
        try:
            files, left_out = _extract(archive, partial / folder.name)
            about = {"archive": str(archive), "files": files, "left_out": left_out}
            (partial / "archive.json").write_text(json.dumps(about), "utf-8")
            os.replace(partial, place)
        except OSError as error:
            raise DataError(
                f"cannot be unpacked into {root}: {error.strerror or error}", where=str(archive)
            ) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def left_out(archive: pathlib.Path) -> list[str]:
    """Entries of an unpacked archive that are not files: dangling links, devices."""
    about = cache_folder() / "archives" / content_key(archive) / "archive.json"
    try:
        return list(json.loads(about.read_text("utf-8"))["left_out"])
    except (OSError, ValueError, KeyError):
        return []


def content_key(archive: pathlib.Path) -> str:
    """A hash of an archive's name, size, time, start and end: hashing all of it would be slow."""
    about = archive.stat()
    named = f"{archive.name} {about.st_size} {about.st_mtime_ns}"
    digest = hashlib.sha256(named.encode("utf-8", "surrogateescape"))
    with open(archive, "rb") as stream:
        digest.update(stream.read(CHUNK))
        stream.seek(max(0, about.st_size - CHUNK))
        digest.update(stream.read(CHUNK))
    return digest.hexdigest()[:16]


class Budget:
    """Number of bytes that may still be written."""

    def __init__(self, archive: pathlib.Path):
        self.archive = archive
        free = free_disk(cache_folder())
        self.disk = int(DISK_SHARE * free) if free is not None else 0
        self.bomb = max(HARMLESS, RATIO * archive.stat().st_size)
        self.left = min(self.disk, self.bomb)

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0 and self.bomb <= self.disk:
            raise DataError(
                f"unpacks to more than {self.bomb / 1e9:.1f} GB, over {RATIO} times its size, as an "
                "archive bomb does; it was not unpacked.",
                where=str(self.archive),
                hint="If it is sound, unpack it yourself and give the folder.",
            )
        if self.left < 0:
            raise DataError(
                f"does not fit on the disk, where {self.disk / 1e9:.1f} GB may be used.",
                where=str(self.archive),
                hint="Set TLKIT_CACHE to a folder on a larger one, or unpack it yourself.",
            )


def _extract(archive: pathlib.Path, folder: pathlib.Path) -> tuple[int, list[str]]:
    """Writes an archive's files; returns their number and the entries left out."""
    folder.mkdir(parents=True)
    budget = Budget(archive)
    try:
        if zipfile.is_zipfile(archive):
            return _extract_zip(archive, folder, budget)
        return _extract_tar(archive, folder, budget)
    except NotImplementedError as error:
        problem = f"cannot be unpacked: {first_line(error)}"
    except RuntimeError as error:  # raised by zipfile for a password
        problem = f"cannot be unpacked: {first_line(error)}"
    except DAMAGED as error:
        problem = f"is damaged or cut short: {first_line(error)}"
    raise DataError(problem, where=str(archive))


def _extract_zip(
    archive: pathlib.Path, folder: pathlib.Path, budget: Budget
) -> tuple[int, list[str]]:
    skipped = []
    count = 0
    with zipfile.ZipFile(archive) as file:
        entries = file.infolist()
        if any(entry.flag_bits & 1 for entry in entries):
            raise DataError(
                "is protected by a password.",
                where=str(archive),
                hint="Unpack it yourself and give the folder.",
            )
        # checks the declared size before a byte is written; actual bytes are counted below
        total = sum(entry.file_size for entry in entries)
        budget.take(total)
        budget.take(-total)
        for entry in entries:
            name = _zip_name(entry)
            place = _inside(folder, name.replace("\\", "/"), archive)
            if place is None or name.startswith("__MACOSX/"):
                continue
            mode = entry.external_attr >> 16
            if entry.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            elif stat.S_ISLNK(mode):
                skipped.append(name)
            else:
                with file.open(entry) as stream:
                    _write(stream, place, budget)
                count = _one_more(count, archive)
    return count, skipped


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The intended name of an entry: macOS writes UTF-8 without declaring it."""
    if not entry.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return entry.filename.encode("cp437").decode("utf-8")
    return entry.filename


def _extract_tar(
    archive: pathlib.Path, folder: pathlib.Path, budget: Budget
) -> tuple[int, list[str]]:
    skipped = []
    count = 0
    links: list[tuple[pathlib.Path, pathlib.Path, str]] = []
    with tarfile.open(archive) as file:
        for entry in file:
            place = _inside(folder, entry.name, archive)
            if place is None:
                continue
            if entry.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif entry.isfile():
                stream = file.extractfile(entry)
                assert stream is not None
                with stream:
                    _write(stream, place, budget)
                count = _one_more(count, archive)
            elif entry.issym() or entry.islnk():
                base = os.path.dirname(entry.name) if entry.issym() else ""
                target = _inside(
                    folder, os.path.normpath(os.path.join(base, entry.linkname)), archive
                )
                if target is not None:
                    links.append((place, target, entry.name))
            else:  # a device or a pipe
                skipped.append(entry.name)
    dangling = _link(links)
    return count + len(links) - len(dangling), skipped + dangling


def _link(links: list[tuple[pathlib.Path, pathlib.Path, str]]) -> list[str]:
    """Creates the links between files; returns those that lead to no file."""
    while links:
        ready = [link for link in links if link[1].is_file() and not link[0].exists()]
        if not ready:
            break
        for place, target, _ in ready:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(target, place)
        done = set(ready)
        links = [link for link in links if link not in done]
    return [name for _, _, name in links]


def _inside(folder: pathlib.Path, name: str, archive: pathlib.Path) -> pathlib.Path | None:
    """The path of an entry, or None for the folder itself.

    Raises:
        DataError: if it is outside the folder.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:[\\/]", name):
        raise DataError(
            f"holds {name!r}, which leads out of its folder; it was not unpacked.",
            where=str(archive),
            hint="Unpack it yourself, if you trust it, and give the folder.",
        )
    return folder.joinpath(*parts) if parts else None


def _write(stream: IO[bytes], place: pathlib.Path, budget: Budget) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "wb") as file:
        for chunk in _chunks(stream):
            budget.take(len(chunk))
            file.write(chunk)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _one_more(count: int, archive: pathlib.Path) -> int:
    if count >= MOST_FILES:
        raise DataError(f"holds more than {MOST_FILES:,} files", where=str(archive))
    return count + 1


def describe_left_out(names: list[str]) -> str:
    """A sentence about the entries of an archive that are not files."""
    return f"{len(names)} entries of the archive are not files and were left out: {some_of(names)}"
