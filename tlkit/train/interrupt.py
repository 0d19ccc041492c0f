"""What is raised when the user stops a run."""

from __future__ import annotations

import pathlib


class Interrupted(Exception):  # noqa: N818 - not an error: the user pressed Ctrl-C
    """The run was stopped by the user and can be resumed.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__(str(folder))
        self.folder = folder
