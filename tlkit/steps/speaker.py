"""What a person is told."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from typing import Any

from tlkit.text import printable

QUIET = 10.0  # seconds between two lines about a long pass, at the least


class Speaker:
    """Tells a person what happens; says nothing where there is no console."""

    def __init__(self, console: Any):
        self.console = console

    def line(self, text: str, **style: Any) -> None:
        if self.console is not None:
            self.console.print(printable(text), highlight=False, markup=False, **style)

    def progress(self, title: str) -> Any:
        """A function `(done, total)` that draws a bar on a terminal, and else says it now and then."""
        if self.console is None:
            return None
        if not self.console.is_terminal:
            return self._now_and_then(title)
        from rich.progress import Progress

        bar = Progress(console=self.console, transient=True)
        task = bar.add_task(title, total=None)
        bar.start()

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.stop()

        return show

    def _now_and_then(self, title: str) -> Callable[[int, int], None]:
        """A line after ten seconds, and then whenever it has taken a third longer; none of what is short."""
        began = said = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal said
            now = time.monotonic()
            if done < total and now - said >= max(QUIET, (said - began) / 3):
                said = now
                self.line(f"  {title}: {done:,} of {total:,}, {now - began:.0f} s")

        return show

    def end(self, folder: pathlib.Path, result: dict[str, Any], summary: str | None) -> None:
        """What came of a run: its metrics in a few words, where labels are known, and its files."""
        evaluation = result["evaluation"]
        self.line("")
        if summary is not None:
            self.line(
                f"{result['evaluated']} {summary} on {evaluation['images']} images, "
                f"in {result['seconds']['total']:.0f} s",
                style="bold",
            )
        self.line(f"run      {folder}")
        self.line(f"report   {folder / 'report.html'}")
        for name, export in result["export"].items():
            self.line(f"{name:<8} {folder / export['path']}")
        self.line(f"use it   tlkit predict {folder} YOUR_PHOTOS")
