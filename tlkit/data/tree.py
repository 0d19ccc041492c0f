"""The files under a folder, looked up by the names that labelling tools write."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import pathlib
import re
import urllib.parse

from tlkit.data.record import IgnoredFile
from tlkit.data.walk import walk
from tlkit.errors import some_of

UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # prefix of uploaded files in Label Studio


@dataclasses.dataclass(frozen=True)
class Tree:
    """All files under a folder, except hidden and program-generated ones.

    Attributes:
        root: The folder.
        places: Location of each file by its legible path relative to the root, with `/`; in order.
        pictures: Files that are pictures, or are named like pictures.
        dangling: Dangling links.
        ignored: The other files, with the reason why they are not pictures.
    """

    root: pathlib.Path
    places: dict[str, str]
    pictures: tuple[str, ...] = ()
    dangling: tuple[str, ...] = ()
    ignored: tuple[IgnoredFile, ...] = ()

    @staticmethod
    def of(root: pathlib.Path) -> Tree:
        """Walks a folder once.

        Raises:
            DataError: for a folder that cannot be opened.
        """
        top, ignored = walk(root)
        pictures = {
            folder.name_of(name): os.path.join(folder.path, name)
            for folder in top.inside()
            for name in folder.pictures
        }
        others = {item.name: os.path.join(root, item.name) for item in ignored if not is_junk(item)}
        dangling = [name for name, place in others.items() if not os.path.exists(place)]
        files = {name: place for name, place in others.items() if os.path.isfile(place)}
        return Tree(
            root,
            dict(sorted({**pictures, **files}.items())),
            tuple(sorted(pictures)),
            tuple(sorted(dangling)),
            tuple(ignored),
        )

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of all files, in order."""
        return tuple(self.places)

    def place(self, name: str) -> pathlib.Path:
        """The location of a file."""
        return pathlib.Path(self.places[name])

    @functools.cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Paths by file name in lower case."""
        found: dict[str, list[str]] = {}
        for path in self.places:
            found.setdefault(path.rpartition("/")[2].lower(), []).append(path)
        return found

    @functools.cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Pictures by file name without the extension, in lower case."""
        found: dict[str, list[str]] = {}
        for path in self.pictures:
            stem = os.path.splitext(path.rpartition("/")[2])[0].lower()
            found.setdefault(stem, []).append(path)
        return found

    def called(self, name: str) -> list[str]:
        """Paths whose file name is `name`."""
        return self.by_name.get(name.lower(), [])

    def find(self, wanted: str, near: str = "") -> str:
        """The file that a tool's path refers to.

        Tried in turn: the path under `near`, then under the root; the file of that name in the same
        folders, as far as both have folders; the same without the upload prefix, and with any
        file extension if it has none.

        Args:
            wanted: A path, with `/` or `\\`, or a URL.
            near: Folder of the file that names it, relative to the root.

        Raises:
            FileNotFoundError: if there is no such file, or there are several.
        """
        path = local_path(wanted)
        for start in dict.fromkeys((near, "")):
            whole = f"{start}/{path}" if start else path
            if whole in self.places:
                return whole
        name = path.rpartition("/")[2]
        for candidates in (
            self.called(name),
            self.called(UPLOAD.sub("", name)),
            self.by_stem.get(name.lower(), []),
        ):
            best = _nearest(candidates, path, near)
            if len(best) == 1:
                return best[0]
            if best:
                raise FileNotFoundError(2, f"several files are called so: {some_of(best)}")
        raise FileNotFoundError(2, f"there is no {name} under {self.root}")


def local_path(wanted: str) -> str:
    """A tool's path without scheme, bucket, drive and query, with `/` between its parts."""
    path = wanted.strip().replace("\\", "/")
    scheme = re.match(r"([a-z][a-z0-9+.-]+)://", path, re.IGNORECASE)
    if scheme:
        rest = path[scheme.end() :]
        path = rest.partition("/")[2] or rest  # the bucket or host
    if "/local-files/" in f"/{path}" and "?d=" in path:  # Label Studio's local storage
        return urllib.parse.unquote(path.partition("?d=")[2]).lstrip("/")
    if scheme:
        path = urllib.parse.unquote(path.partition("?")[0])
    upload = re.fullmatch(r"/?data/upload/(?:\d+/)?([^/]+)", path)
    if upload:  # Label Studio's own folder, numbered by project
        return urllib.parse.unquote(upload[1])
    path = re.sub(r"^[A-Za-z]:/", "", path)
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(parts)


def _nearest(candidates: list[str], path: str, near: str) -> list[str]:
    """The best matches for a path: those that share most of its folders, then those under `near`.

    If the folders differ, as in `rose/1.jpg` and `tulip/1.jpg`, it is another picture of that name.
    """
    wanted = path.lower().split("/")[:-1][::-1]

    def shared(candidate: str) -> int:
        start = f"{near}/" if near and candidate.startswith(f"{near}/") else ""
        parts = candidate[len(start) :].lower().split("/")[:-1][::-1]
        count = sum(
            1
            for _ in itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(parts, wanted, strict=False)
            )
        )
        return count if count in (len(parts), len(wanted)) else -1

    counts = {candidate: shared(candidate) for candidate in candidates}
    most = max(counts.values(), default=-1)
    best = [candidate for candidate in candidates if counts[candidate] == most >= 0]
    if len(best) > 1 and near:
        best = [candidate for candidate in best if candidate.startswith(near + "/")] or best
    return best


def is_junk(item: IgnoredFile) -> bool:
    """Whether a file is hidden or program-generated."""
    return item.reason.startswith(("is hidden", "is made by", "lies in"))
