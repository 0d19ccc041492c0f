"""Pointer files, which only say where the content is: DVC, git-annex, Git LFS."""

from __future__ import annotations

import os
import pathlib
import re

from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of

LFS = b"version https://git-lfs.github.com/spec/"
ANNEX = b"/annex/objects/"
POINTER_BYTES = 1024
LOOKED_AT = 200  # pictures that are checked


def refuse_pointers(tree: Tree) -> None:
    """Rejects a folder whose images were not fetched.

    Raises:
        DataError: with the command that fetches them.
    """
    pictures = [*tree.pictures, *tree.dangling]
    found: dict[str, list[str]] = {}
    looked = pictures[:: max(1, len(pictures) // LOOKED_AT)]
    for name in looked:
        if kind := pointer(pathlib.Path(tree.places.get(name) or tree.root / name)):
            found.setdefault(kind, []).append(name)
    for kind, names in found.items():
        if 2 * len(names) > len(looked):
            raise DataError(
                f"its images are not here: {some_of(names, 1)} only points to where {kind} keeps it.",
                where=str(tree.root),
                hint=f"Fetch them: {FETCH[kind]}",
            )
    tracked = [n for n in tree.files if n.endswith(".dvc") and not (tree.root / n[:-4]).exists()]
    if tracked and not tree.pictures:
        raise DataError(
            f"its images are not here: {some_of(tracked, 1)} only points to where DVC keeps them.",
            where=str(tree.root),
            hint=f"Fetch them: {FETCH['DVC']}",
        )


FETCH = {"Git LFS": "git lfs pull", "git-annex": "git annex get .", "DVC": "dvc pull"}


def pointer(file: pathlib.Path) -> str | None:
    """The tool whose pointer a file is, or None.

    A dangling link into `.git/annex` or a DVC cache counts too.
    """
    try:
        if file.is_symlink() and not file.exists():
            target = os.readlink(file)
            if "annex/objects" in target:
                return "git-annex"
            return "DVC" if re.search(r"dvc|/files/md5/", target) else None
        if file.stat().st_size > POINTER_BYTES:
            return None
        head = file.read_bytes()[:POINTER_BYTES]
    except OSError:
        return None
    if head.startswith(LFS):
        return "Git LFS"
    return "git-annex" if head.startswith(ANNEX) else None


def refuse_dvc_file(file: pathlib.Path) -> None:
    """Rejects a `.dvc` file itself, such as `data.dvc`.

    Raises:
        DataError: saying which path to give instead.
    """
    if file.suffix == ".dvc":
        tracked = file.with_suffix("")
        hint = f"Give the folder: {tracked}"
        if not tracked.exists():
            hint = f"Fetch it with: dvc pull {file}   then give the folder: {tracked}"
        raise DataError(
            "is DVC's note of where the data are, not the data.", where=str(file), hint=hint
        )
