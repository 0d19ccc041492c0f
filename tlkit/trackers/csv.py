"""metrics.csv in the run folder, from which the report is generated."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tlkit.registry import register
from tlkit.text import cell
from tlkit.trackers.tracker import Place, Tracker


@register("csv", required=True)
class Csv(Tracker):
    """Writes one row per batch and one per epoch to `metrics.csv`; every run has it."""

    def __init__(self) -> None:
        self._file: Any = None

    def began(self, recipe: Mapping[str, Any], folder: pathlib.Path) -> None:
        self._path = folder / "metrics.csv"

    def trains(self, columns: Sequence[str], step: int) -> None:
        self.close()
        if not self._path.exists() or not self._path.stat().st_size:
            self._path.write_text(",".join(columns) + "\r\n")
        _cut(self._path, step, columns)
        self._file = open(self._path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        self._writer = csv.DictWriter(self._file, columns)

    def step(self, place: Place, values: Mapping[str, float]) -> None:
        shown = {key: f"{value:.8g}" for key, value in values.items()}
        self._writer.writerow(
            {"stage": cell(place.stage), "epoch": place.epoch, "step": place.step, **shown}
        )

    def epoch(self, place: Place, values: Mapping[str, float]) -> None:
        self.step(place, values)
        self._file.flush()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def ended(self, result: Mapping[str, Any]) -> None:
        self.close()

    def close(self) -> None:
        """Writes the remaining rows and closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _cut(path: pathlib.Path, step: int, columns: Sequence[str]) -> None:
    """Removes the rows of steps that will be run again."""
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]  # of a killed process, the last row may lack its end
    rows = list(csv.DictReader(io.StringIO(whole)))
    kept = [
        row
        for row in rows
        if int(row["step"]) < step or (int(row["step"]) == step and row["val_loss"])
    ]
    partial = path.with_suffix(".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    os.replace(partial, path)
