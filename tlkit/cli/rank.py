"""`tlkit rank`."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import console, engine_option

if TYPE_CHECKING:
    from tlkit.runs.rank import BackboneScore

BEFORE, AFTER = ("backbone", "size", "features", "Mparams", "MB"), ("LogME", "images/s", "s")


@click.command()
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--backbones",
    help="Comma-separated names from `tlkit backbones`, or NAME=WEIGHTS_FILE "
    "[mobilenet_v2,efficientnet_v2_b0,resnet50_v2,convnext_tiny].",
)
@click.option("--image-size", type=click.IntRange(8), help="Side in pixels [each backbone's own].")
@click.option(
    "--images",
    type=click.IntRange(10),
    default=2000,
    show_default=True,
    help="Maximum number of images.",
)
@click.option(
    "--weights",
    type=click.Choice(["auto", "imagenet", "bundled", "none"]),
    default="auto",
    show_default=True,
)
@engine_option
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; everything else goes to stderr.")
def rank(
    *,
    data: pathlib.Path,
    backbones: str | None,
    image_size: int | None,
    images: int,
    weights: str,
    engine: str,
    seed: int,
    as_json: bool,
) -> None:
    """Compare pretrained networks on DATA without training them.

    DATA is a folder of class folders or a manifest. Each network computes the features of the
    training images once. Reported are the cross-validated metric of a linear head, such as
    accuracy, and LogME, which measures how well the features explain the labels. Features are
    cached, so a run with the best network can reuse them.
    """
    from tlkit.runs import rank as ranking

    names = backbones.split(",") if backbones else ranking.COMMON
    rows = ranking.rank(
        data,
        [name.strip() for name in names],
        image_size=image_size,
        images=images,
        weights=weights,
        engine=engine,
        seed=seed,
        console=console(stderr=as_json),
    )
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], indent=2))
        return
    click.echo()
    for line in table(rows):
        click.echo(line)


def table(rows: list[BackboneScore]) -> list[str]:
    """The rows as a table, best first; networks that could not be measured come last."""
    metric = next((row.metric for row in rows if row.metric), "")
    cells = [(*BEFORE, metric, *AFTER)]
    for row in rows:
        if row.problem is None:
            speed = row.images_per_second
            cells.append(
                (
                    row.backbone, str(row.size), str(row.features), f"{row.parameters / 1e6:.1f}",
                    f"{row.parameters * 4 / 1e6:.0f}", f"{row.value:.3f} ± {row.error:.3f}",
                    f"{row.log_me:.3f}", "-" if speed is None else f"{speed:.0f}",
                    f"{row.seconds:.1f}",
                )
            )  # fmt: skip
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return lines + [f"{row.backbone}: {row.problem}" for row in rows if row.problem is not None]
