"""The trackers of a run; one that fails affects neither the run nor the other trackers."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tlkit import registry
from tlkit.errors import UserError, first_line
from tlkit.recipe.schema import Component, Recipe
from tlkit.trackers.tracker import Place, Tracker

LOG = "trackers.log"  # in the run folder: why a tracker was disabled
ALWAYS = Component("csv")  # the report is built from it


@dataclasses.dataclass
class _LiveTracker:
    """A tracker that is still in use."""

    name: str
    tracker: Tracker
    is_required: bool


class Trackers:
    """Calls all trackers of a run.

    A tracker that raises is disabled for the rest of the run. The user is notified at once,
    `trackers.log` in the run folder has the details, and the run goes on. Only a required
    tracker, such as metrics.csv, ends it.

    Args:
        items: The recipe's `trackers`.
        folder: Run folder.
        recipe: Recipe with all defaults.
        say: Called with messages for the user.

    Raises:
        UserError: if a tracker cannot be created or started.
    """

    def __init__(
        self,
        items: Sequence[Component],
        folder: pathlib.Path,
        recipe: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = warnings.warn,
    ):
        self._say, self._folder = say, folder
        self._told: list[_LiveTracker] = []
        self._has_ended = False
        if all(item.name != ALWAYS.name for item in items):
            items = [ALWAYS, *items]
        for item in items:
            entry = registry.TRACKERS[item.name]
            tracker: Tracker = entry.call({}, **item.arguments)
            with _told_as_users(f"trackers: {item.name}"):
                tracker.began(recipe or {}, folder)
            self._told.append(_LiveTracker(item.name, tracker, entry.facts.required))

    def trains(self, columns: Sequence[str], step: int) -> None:
        """Training starts, or resumes, at a step."""
        self._tell(lambda tracker: tracker.trains(columns, step))

    def step(self, place: Place, values: Mapping[str, float]) -> None:
        """A batch was trained on."""
        self._tell(lambda tracker: tracker.step(place, values))

    def epoch(self, place: Place, values: Mapping[str, float]) -> None:
        """An epoch was validated."""
        self._tell(lambda tracker: tracker.epoch(place, values))

    def flush(self) -> None:
        """Everything logged so far must be written out."""
        self._tell(lambda tracker: tracker.flush())

    def ended(self, result: Mapping[str, Any]) -> None:
        """The process is done with the run; only the first call counts."""
        if not self._has_ended:
            self._has_ended = True
            self._tell(lambda tracker: tracker.ended(result))

    def _tell(self, tell: Callable[[Tracker], None]) -> None:
        for one in list(self._told):
            try:
                tell(one.tracker)
            except Exception as error:  # a tracker may fail in any way
                if one.is_required:
                    raise
                self._leave_out(one, error)

    def _leave_out(self, one: _LiveTracker, error: Exception) -> None:
        self._told.remove(one)
        log = self._folder / LOG
        with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as file:
            file.write(f"{one.name}\n{''.join(traceback.format_exception(error))}\n")
        self._say(
            f"tracker {one.name!r} fails and is left out from here on; the run goes on: "
            f"{type(error).__name__}: {first_line(error)} ({log})"
        )


@contextlib.contextmanager
def tracking(
    recipe: Recipe, folder: pathlib.Path, say: Callable[[str], None] | None
) -> Iterator[Trackers]:
    """The trackers of a run, which are notified however the run ends.

    Args:
        recipe: Recipe with all defaults.
        folder: Run folder.
        say: Called with messages for the user; if None, warnings are issued instead.
    """
    recorded = recipe.model_dump(mode="json", exclude_none=True)
    trackers = Trackers(recipe.trackers, folder, recorded, say or warnings.warn)
    try:
        yield trackers
    except KeyboardInterrupt:
        trackers.ended({"status": "interrupted", "name": recipe.name})
        raise
    except BaseException as error:
        with contextlib.suppress(OSError):  # the error may be the disk's own
            trackers.ended({"status": "failed", "name": recipe.name, "error": str(error)})
        raise


@contextlib.contextmanager
def _told_as_users(where: str) -> Iterator[None]:
    """Turns an exception at the start of a tracker into an error that the user can fix."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        raise UserError(
            f"does not begin: {type(error).__name__}: {first_line(error)}",
            where=where,
            hint="Mend that, or leave it out of trackers.",
        ) from error
