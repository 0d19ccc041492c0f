"""Errors that the user can fix; the command line prints them without a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence

OF_A_CALLBACK = "raised by a callback that was handed over"  # note added to such an exception


class UserError(Exception):
    """Something in the recipe, the data or the machine that the user can change.

    Args:
        message: What was found and what was expected.
        where: `file:line:column` or a path.
        hint: How to fix it.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None):
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        if not self.hint:
            return text
        return f"{text}{'' if text.endswith(('.', '?', '!', ':')) else '.'} {self.hint}"


class RecipeError(UserError):
    """Every problem found in one recipe, one per line."""

    def __init__(self, problems: list[UserError]):
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class DataError(UserError):
    """The images or the labels cannot be trained on as they are."""


class WeightsError(UserError):
    """A weights file is missing, cannot be read or belongs to another network."""


class RunError(UserError):
    """A run folder is missing, in use or incomplete."""


class RunFailed(UserError):  # noqa: N818 - it names what happened
    """The input was valid, but the run could not finish."""

    exit_code = 1


def disk_trouble(error: OSError, hint: str | None = None) -> RunFailed:
    """Turns a system error about a file into an error that names the file.

    Args:
        error: The error as raised.
        hint: How to fix it; by default, advice for a full disk.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, hint = "the disk is full.", hint or "Make room, and try again."
    else:
        reason = f"{error.strerror or first_line(error)}."
    return RunFailed(reason, where=str(error.filename) if error.filename else None, hint=hint)


def is_of_a_callback(error: BaseException) -> bool:
    """Whether a user's callback raised the error, whatever its type."""
    return OF_A_CALLBACK in getattr(error, "__notes__", ())


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """`Did you mean 'x'? (x, y, z)`, with the nearest name if there is a close one."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(str(found).lower(), names, n=1, cutoff=0.6)
    if not close:
        squeezed = {name.replace("-", "").replace("_", ""): name for name in names}
        key = str(found).lower().replace("-", "").replace("_", "")
        close = [
            squeezed[match] for match in difflib.get_close_matches(key, squeezed, n=1, cutoff=0.6)
        ]
    shown = ", ".join(names[:14]) + (", ..." if len(names) > 14 else "")
    return f"Did you mean {close[0]!r}? ({shown})" if close else f"Allowed: {shown}."


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and the number of the others."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has no message."""
    return next(iter(str(error).splitlines()), type(error).__name__)
