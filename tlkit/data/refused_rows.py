"""Reports all unusable rows of a list together."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.errors import DataError, some_of

MOST_TOLD = 20  # rows that a message lists


def refuse_rows(problems: Sequence[tuple[str, str]], what: str, hint: str = "") -> None:
    """Rejects rows, each with its line.

    Args:
        problems: Place, as `file:line` or the name of an image, and what is wrong there.
        what: Problem of the rows, such as `rows cannot be used`.
        hint: What to do.

    Raises:
        DataError: if there are any.
    """
    if not problems:
        return
    if len(problems) == 1:
        where, text = problems[0]
        raise DataError(f"{text}.", where=where, hint=hint)
    files = {where.rpartition(":")[0] for where, _ in problems}
    of_lines = len(files) == 1 and "" not in files
    places = [f"line {where.rpartition(':')[2]}" if of_lines else where for where, _ in problems]
    shown = zip(places[:MOST_TOLD], problems, strict=False)
    told = "".join(f"\n    {place}: {text}" for place, (_, text) in shown)
    left = [place.removeprefix("line ") for place in places[MOST_TOLD:]]
    within = f", in {'lines ' if of_lines else ''}{some_of(left, 100)}" if left else ""
    more = f"\n    and {len(left)} more{within}" if left else ""
    raise DataError(
        f"{len(problems)} {what}:{told}{more}",
        where=files.pop() if of_lines else "",
        hint=hint,
    )
