"""Finds user-defined modules and reloads them when they change."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import pathlib
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_FOLDERS: list[str] = []  # folders put on sys.path, so that modules can import their neighbours


class _Source(importlib.machinery.SourceFileLoader):
    """Always reads the source: after two edits within a second, cached bytecode would be stale."""

    def path_stats(self, path: str) -> dict[str, int]:
        """Raises OSError, so that no bytecode is used or written."""
        raise OSError


class _Finder:
    """Finds modules named by recipes in the folders of their recipe."""

    def __init__(self) -> None:
        self.files: dict[str, pathlib.Path] = {}  # file of each module, or its package's __init__
        self.loaded: dict[str, str] = {}  # digests of the sources when they were run

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that a recipe named; None for all others."""
        file = self.files.get(name)
        if file is None or not file.is_file():
            return None
        self.loaded[name] = digest(file)
        inside = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, file, loader=_Source(name, str(file)), submodule_search_locations=inside
        )


_FINDER = _Finder()


def look_in(folders: Sequence[pathlib.Path], names: Iterable[str] = ()) -> None:
    """Makes the modules in some folders importable; earlier folders take precedence.

    Installed modules take precedence over them. A module is imported again on its next use if it
    is now found in another file or was edited since.

    Args:
        folders: Folders of a recipe; also appended to the end of Python's path.
        names: Modules that the recipe names.
    """
    importlib.invalidate_caches()
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
            _FOLDERS.append(folder)
    for name in {name.split(".")[0] for name in names}:
        file = None if _is_installed(name, folders) else _file_in(folders, name)
        if file is None:
            _FINDER.files.pop(name, None)
        else:
            _FINDER.files[name] = file
            if name in sys.modules and _is_another(name, file):
                for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
                    del sys.modules[module]


def look_here(names: Iterable[str]) -> None:
    """Calls `look_in` for the current folder, when there is no recipe."""
    look_in([pathlib.Path.cwd()], names)


def file_of(module: str) -> pathlib.Path | None:
    """The file of a module that `look_in` found; None for any other."""
    return _FINDER.files.get(module)


def stamp(module: str) -> str | None:
    """A stamp that changes when a module found by `look_in` does; None for any other."""
    file = _FINDER.files.get(module.split(".")[0])
    return None if file is None else digest(file)


def digest(file: pathlib.Path) -> str:
    """Digest of a module's source, or of all sources of a package if given its `__init__`."""
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    sums = hashlib.sha256()
    for path in files:
        try:
            name = path.relative_to(file.parent)
            sums.update(f"{name}\0".encode() + path.read_bytes())
        except OSError:  # deleted in the meantime
            sums.update(b"\1")
    return sums.hexdigest()


def _is_installed(name: str, folders: Sequence[pathlib.Path]) -> bool:
    """Whether Python finds it outside the recipes' folders and the current folder."""
    ours = {str(folder.resolve()) for folder in folders} | {*_FOLDERS}
    path = [place for place in sys.path if place and str(pathlib.Path(place).resolve()) not in ours]
    builtin = name in sys.builtin_module_names or name in sys.stdlib_module_names
    return builtin or importlib.machinery.PathFinder.find_spec(name, path) is not None


def _file_in(folders: Sequence[pathlib.Path], name: str) -> pathlib.Path | None:
    for folder in folders:
        for file in (folder / name / "__init__.py", folder / f"{name}.py"):
            if file.is_file():
                return file
    return None


def _is_another(name: str, file: pathlib.Path) -> bool:
    """Whether the imported module's source differs from a file's current content."""
    there = getattr(sys.modules[name], "__file__", None)
    if there is None:
        return False
    now, known = digest(file), _FINDER.loaded.get(name)
    if known is not None and isinstance(sys.modules[name].__loader__, _Source):
        return known != now
    # imported by the user: its bytecode records the time and size of its source
    if digest(pathlib.Path(there)) != now:
        return True
    return _compiled_from_another(sys.modules[name], file)


def _compiled_from_another(module: ModuleType, file: pathlib.Path) -> bool:
    try:
        with open(module.__cached__ or "", "rb") as compiled:
            head = compiled.read(16)
        state = file.stat()
    except (OSError, AttributeError):
        return False
    of_time = head[4:8] == b"\0\0\0\0"
    written = int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")
    return of_time and written != (int(state.st_mtime) & 0xFFFFFFFF, state.st_size & 0xFFFFFFFF)
