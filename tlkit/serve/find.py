"""Finds the export that a path refers to."""

from __future__ import annotations

import json
import pathlib

from tlkit.errors import RunError, UserError, did_you_mean

SIGNATURE = "signature.json"


def find_export(target: pathlib.Path, form: str | None = None) -> pathlib.Path | None:
    """The folder of an export, which contains its signature.json.

    Args:
        target: Run folder, folder of exports, export folder, or a SavedModel version in one.
        form: Export to find, such as `onnx` or `litert-int8`; by default `saved_model`, else the
            first by name.

    Returns:
        None for a finished run without exports, or without that one.

    Raises:
        RunError: if there is no such folder, or it holds no run or export.
        UserError: if there are exports, but not that one.
    """
    if not target.is_dir():
        raise RunError("no such folder", where=str(target))
    for folder in (target, target.parent):
        if (folder / SIGNATURE).is_file():
            return folder
    home = target / "export" if (target / "result.json").is_file() else target
    found = {
        file.parent.name: file.parent
        for file in sorted(home.glob(f"*/{SIGNATURE}"))
        if not file.parent.name.endswith(".failed")
    }
    if form in found:
        return found[form]
    if form is None and found:
        return found.get("saved_model", next(iter(found.values())))
    if home != target:
        return None
    if found:
        raise UserError(f"no {form!r} here. {did_you_mean(str(form), found)}", where=str(target))
    raise RunError(
        f"is neither a finished run nor an export: it has no {SIGNATURE}",
        where=str(target),
        hint="Write one with: tlkit export RUN",
    )


def read_signature(folder: pathlib.Path) -> dict[str, object]:
    """Reads the signature.json of an export.

    Raises:
        RunError: if it was written before `tlkit serve` existed, or is damaged.
    """
    try:
        signature: dict[str, object] = json.loads((folder / SIGNATURE).read_text("utf-8"))
        missing = {"name", "format", "precision", "model", "resize", "labels"} - set(signature)
    except (OSError, ValueError) as error:
        raise RunError(f"{SIGNATURE} cannot be read: {error}", where=str(folder)) from None
    if missing:
        raise RunError(
            f"{SIGNATURE} lacks {', '.join(sorted(missing))}: it was written by an earlier version.",
            where=str(folder),
            hint="Export again: tlkit export RUN",
        )
    return signature
