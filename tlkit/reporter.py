"""Progress reporting: to standard output, a console, or nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from tlkit.text import printable

if TYPE_CHECKING:
    from rich.console import Console

# where to report to: a console, standard output, or nowhere
Reporting: TypeAlias = "Console | Literal['stdout'] | None"

# called with the number done and the total
Progress: TypeAlias = Callable[[int, int], None]

QUIET = 10.0  # minimum seconds between two progress lines


class Reporter:
    """Reports to the user; silent if there is no console.

    Args:
        console: A rich console, or None.
    """

    def __init__(self, console: Console | None = None):
        self.console = console

    def line(self, text: str, style: str | None = None) -> None:
        """Prints one line."""
        if self.console is not None:
            self.console.print(printable(text), highlight=False, markup=False, style=style)

    def detail(self, text: str) -> None:
        """Prints a detail of the previous line."""
        self.line(f"  {text}")

    def progress(self, title: str) -> Progress | None:
        """A progress callback: a bar on a terminal, otherwise occasional lines."""
        if self.console is None:
            return None
        if not self.console.is_terminal:
            return self._now_and_then(title)
        from rich import progress

        bar = progress.Progress(console=self.console, transient=True)
        task = bar.add_task(title, total=None)
        bar.start()

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.stop()

        return show

    def _now_and_then(self, title: str) -> Progress:
        """Prints a line after ten seconds, then whenever a third more time has passed."""
        began = said = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal said
            now = time.monotonic()
            if done < total and now - said >= max(QUIET, (said - began) / 3):
                said = now
                self.detail(f"{title}: {done:,} of {total:,}, {now - began:.0f} s")

        return show


SILENT = Reporter()


def console_of(wanted: Reporting) -> Console | None:
    """A console to report to.

    Args:
        wanted: A console, `stdout` for standard output (in notebooks too), or None to be silent.
    """
    if wanted != "stdout":
        return wanted
    from rich.console import Console

    # plain text in a notebook; rich would otherwise add a block of HTML for every line
    return Console(soft_wrap=True, force_jupyter=False)
