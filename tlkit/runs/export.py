"""Exporting a finished run again, with verification."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from tlkit import steps
from tlkit.backbones import spec as specs
from tlkit.data.dataset import Dataset, Split, load_dataset
from tlkit.data.pipeline import some_images
from tlkit.data.record import Record
from tlkit.errors import DataError, RunFailed
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.reporter import Reporter, Reporting, console_of
from tlkit.runs import folder as run_folder
from tlkit.runs.trained_run import TrainedRun, load_trained_run


@out_of_memory_is_told()
def export_run(
    folder: str | pathlib.Path,
    forms: Sequence[str],
    output: pathlib.Path | None = None,
    console: Reporting = None,
    max_metric_drop: float | None = None,
) -> list[pathlib.Path]:
    """Exports a finished run in some formats, and verifies that each matches the run's outputs.

    This uses the run's own images, or synthetic ones if those are gone.

    Args:
        folder: Run folder.
        forms: Formats, such as `saved_model` or `litert:int8`.
        output: Output folder; the run's `export` by default.
        console: Where to report to.
        max_metric_drop: Largest metric drop allowed for int8; the recipe's by default.

    Returns:
        Paths of the models.

    Raises:
        UserError: for an unknown format, or one whose package is not installed.
        RunFailed: if the run did not meet its requirements, or the outputs of an export differ.
    """
    from tlkit.export.served import Proof, ServedModel
    from tlkit.export.write import CALIBRATION, describe, parse_format, write_export

    items = [parse_format(form) for form in forms]
    result = run_folder.read_json(run_folder.open_run(folder) / "result.json")
    if result.get("missed"):
        raise RunFailed(
            f"below what its recipe requires: {'; '.join(result['missed'])}; it is not exported.",
            where=str(folder),
        )
    run = load_trained_run(folder)
    reporter = Reporter(console_of(console))
    data = run.recipe.data
    target = output or run.folder / "export"
    run_folder.try_to_write(target)
    split, dataset = _proof_images(run, reporter)
    prepare = run.prepare()

    def images() -> np.ndarray:
        if dataset is None:
            raise DataError("int8 needs the run's training images, and they are gone")
        return some_images(dataset, run.recipe.seed, CALIBRATION)

    counts = {} if dataset is None else dataset.counts()["train"]
    name = run.recipe.model.backbone
    licence = "as its preset says" if name.startswith("hub:") else specs.find(name).licence
    answers = run.task.answers(steps.logits_of(run.logits, split, prepare, reporter))
    served = ServedModel(
        run.model,
        Proof(run.task, split, prepare, answers),
        run.image_size,
        data.resize,
        data.antialias,
        images,
        steps.model_card(
            run.recipe,
            licence,
            counts,
            run.task.precise_summary(result["evaluation"], result["evaluated"]),
        ),
    )
    drop = run.recipe.max_metric_drop if max_metric_drop is None else max_metric_drop
    places = []
    for item in items:
        name, place, parity = write_export(item, served, target, drop)
        reporter.line(f"{place}\n  {describe(name, parity)}")
        places.append(place)
    return places


def _proof_images(run: TrainedRun, reporter: Reporter) -> tuple[Split, Dataset | None]:
    """Images to verify an export with, and the run's dataset if it still exists."""
    try:
        dataset = load_dataset(run.recipe.data, run.image_size, task=type(run.task))
        if run.recipe.model.head.name == "original":
            for split in dataset.splits.values():
                split.labels = run.task.unknown(len(split))
        return dataset.val, dataset
    except DataError as error:
        reporter.line(f"the run's images are gone ({error}); checking with drawn ones")
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, (8, *run.image_size, 3), dtype=np.uint8)
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    records = [Record(f"drawn:{k}", "", None, lambda d=data: d) for k, data in enumerate(encoded)]  # type: ignore[misc]
    return Split(records, run.task.unknown(8), [""] * 8, pixels), None
