"""Finds the files of a list, whose paths may be from another system or have no extension."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator

from tlkit.data.file_kind import PICTURE_ENDINGS
from tlkit.data.tree import Tree
from tlkit.paths import expanded

DRIVE = re.compile(r"[A-Za-z]:[\\/]")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class ListedFiles:
    """Finds files under a folder.

    Args:
        base: Folder that relative paths start from.
        deep: Whether names without a folder are also searched for in all its subfolders.
    """

    def __init__(self, base: pathlib.Path, deep: bool = False):
        self.base = base
        self.deep = deep
        self.moved: list[tuple[str, str]] = []
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        r"""The file, or None.

        Tried in turn: the path as given; with `/` for `\`; in Unicode's other normal form; with a
        picture's file extension if it has none; and, for a path of another machine or a URL, its
        last parts under the folder, which `moved` records.
        """
        for path in dict.fromkeys(_spellings(name)):
            whole = self._whole(path)
            if os.path.lexists(whole):
                return whole
            if ended := self._with_ending(whole):
                return ended
        for path in dict.fromkeys(_spellings(name)):
            for end in self._ends(path):
                whole = os.path.join(self.base, end)
                if os.path.lexists(whole):
                    self.moved.append((name, end))
                    return whole
        if self.deep and not re.search(r"[/\\]", name):
            return self._below(name)
        return None

    @functools.cached_property
    def tree(self) -> Tree:
        """All files under the folder."""
        return Tree.of(self.base)

    def _below(self, name: str) -> str | None:
        """The only file of that name, with or without extension, in any folder."""
        try:
            return self.tree.places[self.tree.find(name)]
        except FileNotFoundError:
            return None

    def _whole(self, path: str) -> str:
        return os.path.join(self.base, expanded(path) if path.startswith("~") else path)

    def _with_ending(self, whole: str) -> str | None:
        folder, stem = os.path.split(whole)
        if os.path.splitext(stem)[1].lower() in PICTURE_ENDINGS:
            return None
        if folder not in self._stems:
            self._stems[folder] = _stems(folder)
        found = self._stems[folder].get(stem, [])
        return os.path.join(folder, found[0]) if len(found) == 1 else None

    def _ends(self, path: str) -> Iterator[str]:
        """The last parts of a path that may be under the folder, the longest first."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or DRIVE.match(path) or URL.match(path):
            yield from ("/".join(parts[start:]) for start in range(1, len(parts)))
        elif len(parts) > 1 and parts[0] == self.base.name:
            yield "/".join(parts[1:])


def _spellings(name: str) -> Iterator[str]:
    path = name.removeprefix("file://")
    yield path
    if URL.match(path):
        yield urllib.parse.unquote(path.partition("?")[0])
        return
    if "\\" in path:
        path = path.replace("\\", "/")
        yield path
    if not path.isascii():
        yield unicodedata.normalize("NFC", path)
        yield unicodedata.normalize("NFD", path)


def _stems(folder: str) -> dict[str, list[str]]:
    """Pictures of a folder by their names without the extension."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return {}
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending.lower() in PICTURE_ENDINGS:
            found.setdefault(stem, []).append(name)
    return found


def what_it_is(name: str) -> str:
    """The kind of path a name is, if that explains why the file is missing; else empty."""
    if URL.match(name) and not name.startswith("file://"):
        return "a URL, and tlkit reads files: download them"
    if DRIVE.match(name):
        return "a path of a Windows machine"
    if name.startswith("/"):
        return "a path from the root of a machine"
    return ""
