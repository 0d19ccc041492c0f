"""`tlkit check`: audits a data set, prints the findings and writes them to files."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tlkit.audit.audit import Audit, audit
from tlkit.draft import source_of
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Data
from tlkit.reporter import Reporter, Reporting, console_of
from tlkit.runs import folder as run_folder
from tlkit.runs.rank import own_size, parse_backbone
from tlkit.tasks.find import TASKS
from tlkit.text import one_line, shortened

DEFAULT = "mobilenet_v2"
SHOWN = 5  # findings of each kind listed on the terminal


@out_of_memory_is_told()
def check(
    data: pathlib.Path,
    *,
    backbone: str | None = None,
    output: pathlib.Path | None = None,
    engine: str = "auto",
    console: Reporting = None,
    given: Sequence[str] = (),
) -> tuple[Audit, pathlib.Path]:
    """Audits a data set; writes check.json and check.html.

    Args:
        data: Folder, manifest, TFRecord file or recipe.
        backbone: Name, `name=weights-file` or `none`; by default the recipe's, or MobileNetV2.
        output: Output folder; `checks/NAME` by default.
        engine: Inference backend for the features.
        console: Where to report to.
        given: Arguments of the data source, or values of the recipe, as `key=value`.

    Returns:
        The findings, and the output folder.

    Raises:
        UserError: for an unknown backbone, or missing data.
        RunError: if the folder cannot be written to.
    """
    from tlkit import steps

    config, wanted, name, task = _what(data, given)
    if backbone is not None:
        wanted = None if backbone == "none" else parse_backbone(backbone)
    folder = output or pathlib.Path("checks") / name
    run_folder.try_to_write(folder)
    reporter = Reporter(console_of(console))
    if wanted is not None:
        steps.import_tensorflow()
    size = config.image_size or (224 if wanted is None else own_size(wanted[0]))
    height, width = size if isinstance(size, tuple) else (size, size)
    found = audit(
        config,
        wanted,
        (height, width),
        engine=engine,
        task=None if task is None else TASKS[task],
        reporter=reporter,
    )
    from tlkit.report.audit_page import write_audit_page

    run_folder.write_json(folder / "check.json", found.as_json())
    write_audit_page(found, name, folder / "check.html")
    for line in describe(found):
        reporter.line(line)
    reporter.line(f"written to {folder / 'check.html'} and check.json")
    return found, folder


def _what(
    data: pathlib.Path, given: Sequence[str]
) -> tuple[Data, tuple[str, str] | None, str, str | None]:
    """The data, the network that judges labels, a name, and the task if a recipe sets it."""
    if data.suffix in (".yaml", ".yml"):
        recipe = load_recipe(data, given)
        model = recipe.model
        return recipe.data, (model.backbone, model.weights), recipe.name, recipe.task
    return Data(source=source_of(data, given)), (DEFAULT, "auto"), data.resolve().stem, None


def describe(found: Audit) -> list[str]:
    """An audit as lines of text."""
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
