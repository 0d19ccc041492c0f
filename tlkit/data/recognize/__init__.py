"""Recognizes the user's data: which tool or site wrote them, and which source reads them."""

from __future__ import annotations

import pathlib

from tlkit.data.recognize.file import recognize_file
from tlkit.data.recognize.folder import recognize_folder, refuse_other_source
from tlkit.data.recognize.recognized import RecognizedTool, not_as_such

__all__ = ["RecognizedTool", "not_as_such", "recognize", "refuse_other_source"]


def recognize(path: pathlib.Path) -> RecognizedTool:
    """Recognizes what a folder or file is, by its content.

    Args:
        path: Path of an existing folder or file; archives are already unpacked.

    Raises:
        DataError: if it cannot be trained on, saying what it is.
    """
    return recognize_folder(path) if path.is_dir() else recognize_file(path)
