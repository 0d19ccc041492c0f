"""`tlkit export`."""

from __future__ import annotations

import pathlib

import click

from tlkit.cli.options import console


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--format",
    "forms",
    multiple=True,
    default=["saved_model"],
    help="saved_model, keras, litert, onnx or openvino, with a precision as litert:int8 or "
    "openvino:float16; may be repeated [saved_model].",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder [RUN/export]."
)
@click.option(
    "--max-accuracy-drop",
    type=click.FloatRange(0, 1),
    help="That int8 may lose [the recipe's, 0.02].",
)
def export(
    run: pathlib.Path,
    forms: tuple[str, ...],
    output: pathlib.Path | None,
    max_accuracy_drop: float | None,
) -> None:
    """Write RUN for serving, and prove that it answers as it was evaluated.

    Each format gets a folder with the model, labels.txt, signature.json, a model card, parity.json
    and a golden pack of images with the answers that a port must give.
    """
    from tlkit import use

    use.export_run(run, forms, output, console(), max_accuracy_drop)
