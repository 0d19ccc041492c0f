"""Where what happens is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

    Reporting = Console | Literal["stdout"] | None


def console_of(wanted: Reporting) -> Console | None:
    """A console to report to.

    Args:
        wanted: One, `stdout` for standard output, a notebook's too, or None to be silent.
    """
    if wanted != "stdout":
        return wanted
    from rich.console import Console

    # plain text in a notebook, whose cells would else get a block of HTML for every line
    return Console(soft_wrap=True, force_jupyter=False)
