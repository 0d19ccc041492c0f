"""Rewriting the report of a finished run."""

from __future__ import annotations

import pathlib

from tlkit.runs import folder as run_folder


def rewrite_report(folder: str | pathlib.Path) -> pathlib.Path:
    """Rewrites report.html of a finished run from the contents of its folder.

    Raises:
        RunError: if the run did not finish.
    """
    from tlkit.report.page import write_report

    path, result = run_folder.finished(folder)
    return write_report(path, result, run_folder.read_json(path / "data.json"))
