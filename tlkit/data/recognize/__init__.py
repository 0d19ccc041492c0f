"""What a person's data are: which tool or site wrote them, and the source that reads them."""

from __future__ import annotations

import pathlib

from tlkit.data.recognize.file import recognize_file
from tlkit.data.recognize.folder import recognize_folder, refuse_other_source
from tlkit.data.recognize.recognized import Recognized, not_as_such

__all__ = ["Recognized", "not_as_such", "recognize", "refuse_other_source"]


def recognize(path: pathlib.Path) -> Recognized:
    """What a folder or file holds, by its content.

    Args:
        path: Of a folder or file that is there; archives are unpacked before.

    Raises:
        DataError: if it is nothing that can be trained on, saying what it is.
    """
    return recognize_folder(path) if path.is_dir() else recognize_file(path)
