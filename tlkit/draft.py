"""Writes a recipe for a person's data."""

from __future__ import annotations

import os
import pathlib
import re
from collections import Counter

from tlkit import registry
from tlkit.backbones import spec as specs
from tlkit.data.dataset import IMBALANCED
from tlkit.data.record import SourceData
from tlkit.errors import DataError, UserError
from tlkit.recipe.schema import Named

FEW = 2000  # training images up to which a batch is 16


def draft_recipe(data: pathlib.Path, backbone: str, folder: pathlib.Path) -> tuple[str, str]:
    """A commented recipe for a folder of images or a manifest.

    Args:
        data: What the user has.
        backbone: A registered name.
        folder: Where the recipe will lie; its paths are relative to it.

    Returns:
        The YAML text, and the name of the recipe.

    Raises:
        UserError: for an unknown backbone.
        DataError: if there is nothing to train on.
    """
    if backbone not in specs.names():
        raise UserError(specs.suggest(backbone))
    spec = specs.find(backbone)
    named = source_of(data)
    kind = named.name
    path = os.path.relpath(data, folder)
    source: SourceData = registry.SOURCES.build(kind, **named.arguments)
    counts = Counter(record.label for record in source.records)
    if len(counts) < 2:
        raise DataError("has fewer than two classes", where=str(data))
    told = {record.split for record in source.records} - {None}
    train = sum(record.split in (None, "train") for record in source.records)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", data.resolve().stem).strip("-.") or "my-data"
    shown = ", ".join(f"{label} {count}" for label, count in list(counts.items())[:8])
    more = f", and {len(counts) - 8} more" if len(counts) > 8 else ""
    weighted = max(counts.values()) > IMBALANCED * min(counts.values())
    size = "16" if train < FEW else "32"
    split = (
        f"  # val and test are the data's own: {', '.join(sorted(str(t) for t in told))}\n"
        if "val" in told
        else "  split: {val: 0.2}            # held out by file content, the same in every class\n"
    )
    place = (
        f"{{tfrecord: {{train: {_quoted(path)}}}}}"
        if kind == "tfrecord"
        else f"{{{kind}: {_quoted(path)}}}"
    )
    return (
        "# yaml-language-server: $schema=recipe.schema.json\n"
        f"# {name}: {len(source.records)} images, {len(counts)} classes ({shown}{more})\n"
        f"# Check it:  tlkit validate {name}.yaml      Look ahead:  tlkit plan {name}.yaml\n"
        f"name: {name}\n"
        "seed: 0\n"
        "data:\n"
        f"  source: {place}\n"
        f"  image_size: {spec.size}              # pixels; larger is slower and often better\n"
        "  resize: crop                 # crop | squash | pad\n"
        f"{split}"
        f"  batch_size: {size}\n"
        "augment: [flip]                # random changes; more: tlkit techniques --kind augmentation\n"
        "model:\n"
        f"  backbone: {backbone}       # others: tlkit backbones\n"
        f"  weights: {'bundled' if spec.bundled else 'imagenet'}            # or a file, or none\n"
        "  head: {linear: {dropout: 0.2}}\n"
        "finetune:\n"
        "  loss: {cross_entropy: {label_smoothing: 0.1}}\n"
        f"  class_weight: {'balanced' if weighted else 'none'}       # "
        f"{'the classes differ much in size' if weighted else 'the classes are of similar size'}\n"
        "  stages:\n"
        "    - {policy: head-only, epochs: 10, augment: []}   # first only the new head, on frozen\n"
        "    - {policy: full, epochs: 8}        # features computed once; then everything, slowly\n"
        "  early_stopping: {patience: 5}\n"
        "export: [saved_model]\n"
    ), name


def source_of(data: pathlib.Path) -> Named:
    """The data source that a path on the command line means."""
    kind = _kind(data)
    entry = registry.SOURCES[kind]
    return Named(kind, entry.arguments(**_arguments(kind, str(data))).model_dump())


def _kind(data: pathlib.Path) -> str:
    if data.is_dir():
        return "folder"
    if not data.exists():
        raise DataError("no such folder or manifest", where=str(data))
    if data.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson"):
        return "manifest"
    if "tfrecord" in data.name.lower():
        return "tfrecord"
    raise DataError(
        "expected a folder of class folders, a .csv, .tsv or .jsonl manifest, or a TFRecord file",
        where=str(data),
    )


def _arguments(kind: str, path: str) -> dict[str, str]:
    return {"train": path} if kind == "tfrecord" else {"path": path}


def _quoted(text: str) -> str:
    """A path as a YAML value."""
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("'", "''") + "'"
