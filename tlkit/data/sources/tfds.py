"""TensorFlow Datasets by name."""

from __future__ import annotations

import functools
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from tlkit.data.record import Record, SourceData, SplitName
from tlkit.data.sources.tfrecord import Reader, offsets, parse, read_range
from tlkit.data.tfds_labels import find_labels
from tlkit.errors import DataError
from tlkit.registry import register


@register("tfds")
def tfds(
    *,
    name: str,
    data_dir: str | None = None,
    train: str | None = None,
    val: str | None = None,
    test: str | None = None,
    image_key: str = "image",
    label_key: str = "label",
    download: bool = False,
) -> SourceData:
    """A data set of TensorFlow Datasets.

    Args:
        name: Name such as `tf_flowers` or `cats_vs_dogs:4.0.1`; `image_folder` reads
            `data_dir` as TFDS's ImageFolder, with `split/class/image` in it.
        data_dir: Folder where it was prepared; `~/tensorflow_datasets` by default.
        train: Split to train on, such as `train` or `train[:80%]`. Default: train.
        val: Split to validate on. Default: validation, if there is one.
        test: Split for the final test. Default: none.
        image_key: Feature with the image.
        label_key: Feature with the class, a sequence of classes, or 0 or 1 (no or yes) for each.
        download: Whether to download and prepare it if it does not exist yet.

    Raises:
        DataError: if it is unknown, not prepared, or has no such split or feature.
    """
    builder = _builder(name, data_dir, download)
    for key in (image_key, label_key):
        if key not in builder.info.features:
            raise DataError(
                f"has no feature {key!r}; it has {', '.join(sorted(builder.info.features))}",
                where=f"tfds:{name}",
            )
    meaning, classes = find_labels(builder.info.features[label_key], label_key, f"tfds:{name}")
    available = list(builder.info.splits)
    chosen: list[tuple[SplitName | None, str | None]] = [
        ("train", train or ("train" if "train" in available else available[0])),
        ("val", val or next((s for s in available if s in ("validation", "val", "valid")), None)),
        ("test", test),
    ]
    told = any(split for _, split in chosen[1:])
    records: list[Record] = []
    for split, expression in chosen:
        if expression is not None:
            images = _images(builder, name, expression, image_key, label_key)
            for index, (read, value) in enumerate(images):
                labels = meaning(value)
                own = split if told else None
                called = f"{name}/{expression}:{index}"
                records.append(Record(called, "|".join(labels), own, read, labels))
    return SourceData(records, classes=classes)


def _images(
    builder: Any, name: str, split: str, image_key: str, label_key: str
) -> Iterator[tuple[Callable[[], bytes], Any]]:
    """A reader of each encoded image of a split, and the values of its label, in a fixed order."""
    try:
        parts = builder.info.splits[split].file_instructions
    except (ValueError, KeyError, AssertionError) as error:
        raise DataError(
            f"split {split!r} cannot be read: {error}. It has: {', '.join(builder.info.splits)}",
            where=f"tfds:{name}",
        ) from None
    file_format = getattr(builder.info, "file_format", None)
    if parts and file_format is not None and file_format.value == "tfrecord":
        for part in parts:
            file = pathlib.Path(part.filename)
            end = None if part.take < 0 else part.skip + part.take
            for offset, length in list(offsets(file))[part.skip : end]:
                example = parse(read_range(file, offset, length), file.name)
                yield Reader(file, offset, length, image_key), _stored(example, label_key)
        return
    # other formats are read through TFDS, and their encoded images held in memory
    import tensorflow_datasets as library

    decoders = {image_key: library.decode.SkipDecoding()}
    if file_format is not None and file_format.value == "array_record":
        examples = iter(builder.as_data_source(split=split, decoders=decoders))
    else:
        found = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
        examples = library.as_numpy(found)
    for example in examples:
        label = example[label_key]
        value = [label[key] for key in sorted(label)] if isinstance(label, dict) else label
        yield functools.partial(bytes, example[image_key]), value


def _stored(example: Any, key: str) -> list[int]:
    """The numbers of a feature in a TFRecord; for a dictionary, in the order of its names."""
    if key in example:
        return list(example[key].int64_list.value)
    return [
        int(example[name].int64_list.value[0])
        for name in sorted(example)
        if name.startswith(f"{key}/")
    ]


def _builder(name: str, data_dir: str | None, download: bool) -> Any:
    """A builder whose data are on disk; uses the network only if `download` is set."""
    if name == "image_folder":
        if data_dir is None or not pathlib.Path(data_dir).is_dir():
            raise DataError("image_folder needs data_dir, a folder", where=f"tfds:{name}")
        library = _library()
        builder = library.folder_dataset.ImageFolder(data_dir)
        if not builder.info.splits:
            raise DataError("has no split folders with class folders in them", where=str(data_dir))
        return builder
    prepared = require_prepared(name, data_dir, download)
    if prepared is not None:
        return _library().builder_from_directory(str(prepared))
    try:
        builder = _library().builder(name, data_dir=data_dir)
        builder.download_and_prepare()
    except Exception as error:  # the data set's own script may raise anything
        raise DataError(
            f"could not be downloaded and prepared: {type(error).__name__}: {error}",
            where=f"tfds:{name}",
            hint=f"Try: {_command(name, data_dir)}",
        ) from None
    return builder


def require_prepared(name: str, data_dir: str | None, download: bool) -> pathlib.Path | None:
    """The folder of a prepared data set; only checks the disk, without TensorFlow.

    Returns:
        The folder, or None if it is to be downloaded.

    Raises:
        DataError: with the command to prepare it, if it does not exist.
    """
    if re.sub(r"[\W_]", "", name).casefold() == "imagefolder":
        raise DataError(
            "ImageFolder of TFDS reads folders of your own.",
            where=f"tfds:{name}",
            hint=f"Use data.source: {{folder: {data_dir or 'PATH'}}}, or tfds: {{name: image_folder, data_dir: "
            "PATH}",
        )
    root = pathlib.Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if name != snake:  # TfFlowers is the class, tf_flowers the data set
        raise DataError(
            "is not a name of a data set: they are in small letters.",
            where=f"tfds:{name}",
            hint=f"Try: {snake}",
        )
    prepared = _prepared(root.expanduser(), name)
    if prepared is None and not download:
        raise DataError(
            f"is not prepared in {root}.",
            where=f"tfds:{name}",
            hint=f"Prepare it, on a machine with a network, with: {_command(name, data_dir)}   "
            "or set data.source.tfds.download: true",
        )
    return prepared


def _command(name: str, data_dir: str | None) -> str:
    return f"tfds build {name}" + (f" --data_dir {data_dir}" if data_dir else "")


def _library() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise DataError(
            f"TensorFlow Datasets cannot be imported: {error}",
            hint="pip install tensorflow-datasets",
        ) from None
    return tensorflow_datasets


def _prepared(root: pathlib.Path, name: str) -> pathlib.Path | None:
    """The newest prepared version of a data set, or of its configuration if named after a `/`."""
    base, _, version = name.partition(":")
    if (root / "dataset_info.json").is_file():
        return root
    found = sorted(
        (info.parent for info in (root / base).glob("**/dataset_info.json")),
        key=lambda path: [int(part) if part.isdigit() else 0 for part in path.name.split(".")],
    )
    if version:
        found = [path for path in found if path.name == version]
    return found[-1] if found else None
