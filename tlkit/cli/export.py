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
    help="saved_model, keras, litert, onnx or openvino, optionally with a precision, such as "
    "litert:int8 or openvino:float16; repeatable [saved_model].",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Output folder [RUN/export]."
)
@click.option(
    "--max-metric-drop",
    type=click.FloatRange(0, 1),
    help="Largest drop of the task's metric (0 to 1) in int8 exports [the recipe's, 0.02].",
)
def export(
    run: pathlib.Path,
    forms: tuple[str, ...],
    output: pathlib.Path | None,
    max_metric_drop: float | None,
) -> None:
    """Export RUN for serving, and verify that its predictions match the evaluation.

    Each format gets a folder with the model, labels.txt, signature.json, a model card, parity.json
    and a golden pack: images with the predictions that a port of the model must reproduce.
    """
    from tlkit.runs.export import export_run

    export_run(run, forms, output, console(), max_metric_drop)
