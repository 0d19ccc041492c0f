"""Everything under an image folder: its pictures, and what is ignored and why."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import stat
from collections.abc import Iterator

from tlkit.data.file_kind import DECODED, PICTURE_ENDINGS, PICTURES, file_kind
from tlkit.data.order import natural
from tlkit.data.read_file import read_head, special
from tlkit.data.record import IgnoredFile
from tlkit.errors import DataError
from tlkit.paths import legible

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")
# files and folders that systems and programs create beside the user's, in lower case
JUNK_FOLDERS = frozenset({
    "__macosx", "__pycache__", "@eadir", "#recycle", "@recycle", "$recycle.bin", "lost+found",
    "system volume information", "thumbnails", "thumbnail", "_thumbnails", "_thumbs",
})  # fmt: skip
JUNK_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
JUNK_STARTS = ("synophoto_", "synofile_")
MOST_LINKS = 3  # nested links to folders


@dataclasses.dataclass(eq=False)
class Folder:
    """A folder and its contents.

    Attributes:
        path: Path for the system.
        parts: Names of the folders from the top down to this one, legible.
        pictures: Names of the files in it that are pictures, or are named like pictures; sorted.
        folders: Its subfolders in natural order, without hidden and program-generated ones.
        files: Number of all files in and below it.
        below: Number of pictures in and below it.
        above: Its parent folder.
    """

    path: str
    parts: tuple[str, ...] = ()
    pictures: list[str] = dataclasses.field(default_factory=list)
    folders: list[Folder] = dataclasses.field(default_factory=list)
    files: int = 0
    below: int = 0
    above: Folder | None = None
    links: int = 0
    junk: str = ""

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else legible(os.path.basename(self.path))

    @property
    def full(self) -> list[Folder]:
        """Its subfolders that have pictures in or below them."""
        return [folder for folder in self.folders if folder.below]

    def inside(self) -> Iterator[Folder]:
        """The folder itself and all folders below it."""
        todo = [self]
        while todo:
            folder = todo.pop()
            yield folder
            todo.extend(reversed(folder.folders))

    def name_of(self, file: str) -> str:
        """The name of a file in messages: its path from the top."""
        return "/".join((*self.parts, legible(file)))


def walk(root: str | os.PathLike[str]) -> tuple[Folder, list[IgnoredFile]]:
    """Visits every file below a folder, following links to folders but no loops.

    Files with the extension of a format that tlkit decodes are accepted by name; all others are
    opened, and accepted if they are such a picture.

    Returns:
        The folder, and every other file with the reason why it is not one of its pictures.

    Raises:
        DataError: for a folder that cannot be opened.
    """
    top = Folder(os.fspath(root))
    ignored: list[IgnoredFile] = []
    todo, met = [top], []
    while todo:
        folder = todo.pop()
        met.append(folder)
        for entry in _entries(folder, ignored):
            below = _look(entry, folder, ignored)
            if below is not None:
                folder.folders.append(below)
                todo.append(below)
        folder.pictures.sort()
    for folder in reversed(met):  # parents come after their subfolders
        folder.files += len(folder.pictures)
        folder.below = len(folder.pictures) + sum(inner.below for inner in folder.folders)
        folder.files += sum(inner.files for inner in folder.folders)
        folder.folders = sorted(
            (inner for inner in folder.folders if not inner.junk),
            key=lambda inner: natural(os.path.basename(inner.path)),
        )
    return top, sorted(ignored, key=lambda item: (item.name, item.reason))


def _entries(folder: Folder, ignored: list[IgnoredFile]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder.path) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if not folder.junk:
            raise DataError(
                f"this folder cannot be opened: {error.strerror}",
                where=folder.path,
                hint="Give yourself the right to read it, or take it out of the data.",
            ) from None
        ignored.append(IgnoredFile("/".join(folder.parts), folder.junk))
        folder.files += 1
        return []


def _look(entry: os.DirEntry[str], folder: Folder, ignored: list[IgnoredFile]) -> Folder | None:
    """Handles one entry of a folder: returns a folder; records a picture or another file."""
    name = entry.name
    hidden = name.startswith(".")
    suffix = os.path.splitext(name)[1].lower()

    def leave(reason: str, lost: bool = False) -> None:
        ignored.append(
            IgnoredFile(folder.name_of(name), folder.junk or reason, lost and not folder.junk)
        )
        folder.files += 1

    link = entry.is_symlink()
    try:
        state = entry.stat()
    except OSError as error:
        if hidden:
            leave("is hidden")
        elif not link:
            leave(f"cannot be looked at: {error.strerror}", True)
        elif isinstance(error, FileNotFoundError):
            leave("is a link that leads nowhere", True)
        else:
            leave(f"is a link that cannot be followed: {error.strerror}", True)
        return None
    if stat.S_ISDIR(state.st_mode):
        parts = (*folder.parts, legible(name))
        junk = folder.junk
        if not junk and (hidden or name.lower() in JUNK_FOLDERS):
            junk = (
                f"lies in {legible(name)}, which is {'hidden' if hidden else 'made by a program'}"
            )
        if link and (junk or _is_loop(entry.path, folder)):
            leave(junk or "is a link to a folder that it lies in")
            return None
        if link and folder.links == MOST_LINKS:
            leave(f"is a link behind {MOST_LINKS} others", True)
            return None
        return Folder(entry.path, parts, above=folder, links=folder.links + link, junk=junk)
    if hidden:
        leave("is hidden")
    elif name.lower() in JUNK_FILES or name.lower().startswith(JUNK_STARTS):
        leave("is made by the system")
    elif folder.junk:
        leave(folder.junk)
    elif not stat.S_ISREG(state.st_mode):
        leave(f"is {special(state.st_mode)}")
    elif suffix in EXTENSIONS:
        folder.pictures.append(name)
    else:
        reason, lost = _why_no_picture(entry.path, suffix)
        if reason is None:
            folder.pictures.append(name)
        else:
            leave(reason, lost)
    return None


def _why_no_picture(path: str, suffix: str) -> tuple[str | None, bool]:
    """Why a file of another extension is ignored, None if it is not; whether it may be missed."""
    try:
        head = read_head(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}", not suffix or suffix in PICTURE_ENDINGS
    kind = file_kind(head)
    if kind in DECODED:
        return None, False
    if kind in PICTURES:
        return f"is {kind}, which tlkit does not decode", True
    if suffix in PICTURE_ENDINGS:
        return None, False  # named like a picture: decoding will report the problem
    if not head:
        return "is empty", False
    return f"is {kind}, no picture" if kind else "is not a picture", False


def _is_loop(path: str, folder: Folder) -> bool:
    """Whether a link points to a folder that contains it."""
    here: Folder | None = folder
    while here is not None:
        if os.path.samefile(path, here.path):
            return True
        here = here.above
    return False


def picture_files(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[IgnoredFile]]:
    """All pictures in and below a folder, sorted, and the files ignored there."""
    top, ignored = walk(folder)
    found = [pathlib.Path(f.path, name) for f in top.inside() for name in f.pictures]
    return sorted(found), ignored
