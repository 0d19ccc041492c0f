"""Creates a callback class from each registered schedule: `CosineDecay` from `cosine`."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from tlkit.callbacks.schedule import HANDED, ScheduledRate
from tlkit.entry import Entry
from tlkit.facts import ScheduleFacts
from tlkit.registry import SCHEDULES

MODULE = "tlkit.callbacks"  # where people, and pickle, find the classes
RATE = "learning_rate: Where the schedule starts; None for the optimizer's own rate."


def class_name(entry: Entry[ScheduleFacts]) -> str:
    """Returns a schedule's callback name, such as `NaturalExponentialDecay`, or the one it sets."""
    words = entry.name.split("_")
    return entry.facts.callback or "".join(word.capitalize() for word in words) + "Decay"


def class_names() -> dict[str, str]:
    """Maps the names of the callback classes to the names of their schedules."""
    entries = SCHEDULES.packaged.values()
    return {class_name(entry): entry.name for entry in entries if not entry.facts.makes_callback}


def callback_class(name: str) -> type[ScheduledRate]:
    """Returns a schedule's callback class, with its arguments and defaults, then `learning_rate`.

    Args:
        name: Name of the schedule.
    """
    entry = SCHEDULES[name]
    function = entry.load()
    signature = _signature(function)

    def __init__(self: Any, *given: Any, **named: Any) -> None:  # noqa: N807 - of the class below
        try:
            bound = signature.bind(*given, **named)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        bound.apply_defaults()
        rate = bound.arguments.pop("learning_rate")
        ScheduledRate.__init__(self, function, rate, **bound.arguments)

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    with_self = signature.replace(parameters=[own, *signature.parameters.values()])
    __init__.__signature__ = with_self  # type: ignore[attr-defined]
    body = {"__init__": __init__, "__doc__": _doc(function), "__module__": MODULE}
    return type(class_name(entry), (ScheduledRate,), {**body, "__signature__": signature})


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Signature of the callback: the schedule's recipe arguments, and the learning rate."""
    types = typing.get_type_hints(function)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [
        given.replace(kind=kind, annotation=types[given.name])
        for given in inspect.signature(function).parameters.values()
        if given.kind == given.KEYWORD_ONLY
    ]
    rate = inspect.Parameter("learning_rate", kind, default=None, annotation=float | None)
    return inspect.Signature([*own, rate])


def _doc(function: Callable[..., Any]) -> str:
    """Returns the function's docstring, with the callback's arguments for those passed in."""
    lines, leaves = [], False
    for line in (inspect.getdoc(function) or "").splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            leaves = line.strip().partition(":")[0] in HANDED
        elif not line.startswith("     "):
            leaves = False
        if line == "Args:":
            lines += [line, f"    {RATE}"]
        elif not leaves:
            lines.append(line)
    head, _, tail = "\n".join(lines).partition("\n")
    about = f"A callback that sets the rate of each step as `tlkit.schedules.{function.__name__}`."
    return f"{head}\n\n{about}\n{tail}"
