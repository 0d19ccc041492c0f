"""`tlkit check`: a data set audited, told and written down."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from tlkit import run as runs
from tlkit.audit.audit import Audit, audit
from tlkit.draft import source_of
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.rank import own_size, parse_backbone
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Data
from tlkit.tasks.find import TASKS
from tlkit.text import one_line, shortened

DEFAULT = "mobilenet_v2"
SHOWN = 5  # findings of a kind that the terminal lists


@out_of_memory_is_told()
def check(
    data: pathlib.Path,
    backbone: str | None = None,
    output: pathlib.Path | None = None,
    engine: str = "auto",
    console: Any = None,
    given: Sequence[str] = (),
) -> tuple[Audit, pathlib.Path]:
    """Audits a data set; writes check.json and check.html.

    Args:
        data: A folder, a manifest, a TFRecord file or a recipe.
        backbone: Name, `name=weights-file` or `none`; the recipe's, or MobileNetV2, if not given.
        output: Folder to write to; `checks/NAME` if not given.
        engine: What computes features.
        console: Where to report to.
        given: Arguments of the data source, or values of the recipe, as `key=value`.

    Returns:
        What was found, and the folder.

    Raises:
        UserError: for an unknown backbone, or data that are not there.
        RunError: if the folder cannot be written to.
    """
    from tlkit import steps

    config, wanted, name, task = _what(data, given)
    if backbone is not None:
        wanted = None if backbone == "none" else parse_backbone(backbone)
    folder = output or pathlib.Path("checks") / name
    runs.try_to_write(folder)
    say = steps.Speaker(console)
    if wanted is not None:
        steps.import_tensorflow()
    size = config.image_size or (224 if wanted is None else own_size(wanted[0]))
    height, width = size if isinstance(size, tuple) else (size, size)
    found = audit(
        config,
        wanted,
        (height, width),
        engine,
        say.progress if console is not None else None,
        lambda line: say.line(f"  {line}"),
        None if task is None else TASKS[task],
    )
    from tlkit.report.audit_page import write_audit_page

    runs.write_json(folder / "check.json", found.as_json())
    write_audit_page(found, name, folder / "check.html")
    for line in describe(found):
        say.line(line)
    say.line(f"written to {folder / 'check.html'} and check.json")
    return found, folder


def _what(
    data: pathlib.Path, given: Sequence[str]
) -> tuple[Data, tuple[str, str] | None, str, str | None]:
    """The data, the network to judge its labels, a name, and the task where a recipe says it."""
    if data.suffix in (".yaml", ".yml"):
        recipe = load_recipe(data, given)
        model = recipe.model
        return recipe.data, (model.backbone, model.weights), recipe.name, recipe.task
    return Data(source=source_of(data, given)), (DEFAULT, "auto"), data.resolve().stem, None


def describe(found: Audit) -> list[str]:
    """An audit as lines for a person."""
    lines = found.account.lines() + [f"note: {note}" for note in found.notes]
    for split, row in found.counts.items():
        shown = ", ".join(
            f"{shortened(one_line(label), 40)} {count}" for label, count in list(row.items())[:12]
        )
        lines.append(
            f"  {split:<6} {sum(row.values()):>6}  {shown}{' ...' if len(row) > 12 else ''}"
        )
    for kind, level, count in found.summary():
        lines.append(f"{level:<8} {kind.replace('_', ' ')}: {count}")
        chosen = [f for f in found.findings if (f.kind, f.level) == (kind, level)]
        lines += [f"           {one_line(finding.text)}" for finding in chosen[:SHOWN]]
        if count > SHOWN:
            lines.append(f"           ... and {count - SHOWN} more")
    lines += [f"not looked at: {reason}" for reason in found.skipped]
    if not found.findings:
        lines.append("nothing was found")
    return lines
