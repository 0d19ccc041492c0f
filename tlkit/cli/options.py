"""Options that several commands share."""

from __future__ import annotations

from typing import Any

import click

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the recipe, such as data.batch_size=16 or "
    "finetune.stages.0.epochs=3; repeatable. KEY=VALUE without --set works too.",
)
set_argument = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")


def _known_engine(ctx: Any, param: Any, value: str) -> str:
    from tlkit.features.engine import expect_engine

    return expect_engine(value, "--engine")


engine_option = click.option(
    "--engine",
    default="auto",
    show_default=True,
    callback=_known_engine,
    help="Inference backend: keras, tensorflow, xla, openvino, openvino-float32. auto: the fastest "
    "one whose outputs match Keras to float32 rounding.",
)


def merged(settings: tuple[str, ...], overrides: tuple[str, ...]) -> list[str]:
    """Overrides from both spellings as one list.

    Raises:
        click.UsageError: for an argument without `=`.
    """
    for item in overrides:
        if "=" not in item:
            raise click.UsageError(f"unexpected argument {item!r}; overrides are KEY=VALUE")
    return [*settings, *overrides]


def console(quiet: bool = False, stderr: bool = False) -> Any:
    """A rich console, or None if nothing should be printed."""
    if quiet:
        return None
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)
