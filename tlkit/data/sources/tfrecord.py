"""TFRecord files of tf.train.Example."""

from __future__ import annotations

import glob
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

from tlkit.data.record import Record, SourceData, SplitName
from tlkit.errors import DataError, did_you_mean
from tlkit.registry import register

IMAGE_KEYS = ("image", "image/encoded", "image_raw", "encoded")
LABEL_KEYS = ("label", "image/class/text", "image/class/label", "class", "label_name")


@register("tfrecord")
def tfrecord(
    *,
    train: str,
    val: str | None = None,
    test: str | None = None,
    image_key: str | None = None,
    label_key: str | None = None,
    classes: str | None = None,
) -> SourceData:
    """TFRecord files whose examples hold an encoded image and a label.

    Args:
        train: File or pattern of the training shards. With no val, tlkit splits it.
        val: File or pattern of the validation shards.
        test: File or pattern of the test shards.
        image_key: Feature with the encoded image; found by its name if not given.
        label_key: Feature with the class, text or a number; found by its name.
        classes: Text file of one class name a line, for labels that are numbers.

    Raises:
        DataError: if a file is missing or damaged, or an example lacks a feature.
    """
    names = None
    if classes is not None:
        file = pathlib.Path(classes).expanduser()
        if not file.is_file():
            raise DataError("no such file of class names", where=str(file))
        names = file.read_text("utf-8").split("\n")
        names = [name.strip() for name in names if name.strip()]
    records: list[Record] = []
    patterns: list[tuple[SplitName, str | None]] = [("train", train), ("val", val), ("test", test)]
    for split, pattern in patterns:
        if pattern is None:
            continue
        files = sorted(glob.glob(str(pathlib.Path(pattern).expanduser())))
        if not files:
            raise DataError("no such TFRecord files", where=pattern)
        # one file for all is divided by tlkit, unless it is told what is what
        told: SplitName | None = split if (val or test) else None
        for name in files:
            records.extend(_records(pathlib.Path(name), told, image_key, label_key, names))
    return SourceData(records, classes=names)


def _records(
    file: pathlib.Path,
    split: SplitName | None,
    image_key: str | None,
    label_key: str | None,
    names: list[str] | None,
) -> Iterator[Record]:
    for index, (offset, length) in enumerate(offsets(file)):
        name = f"{file.name}:{index}"
        example = parse(read_range(file, offset, length), name)
        image = _key(example, image_key, IMAGE_KEYS, name)
        label = _key(example, label_key, LABEL_KEYS, name)
        yield Record(
            name,
            _label(example[label], label, names, name),
            split,
            Reader(file, offset, length, image),
        )


class Reader:
    """Reads one example's image when it is needed."""

    def __init__(self, file: pathlib.Path, offset: int, length: int, key: str):
        self.place = file, offset, length
        self.key = key

    def __call__(self) -> bytes:
        return bytes(
            parse(read_range(*self.place), str(self.place[0]))[self.key].bytes_list.value[0]
        )


def offsets(file: pathlib.Path) -> Iterator[tuple[int, int]]:
    """Start and length of each example in a TFRecord file.

    A record is an 8-byte length, its 4-byte checksum, the data and their checksum.
    """
    size, place = file.stat().st_size, 0
    with open(file, "rb") as stream:
        while place < size:
            stream.seek(place)
            head = stream.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else size
            if place + 16 + length > size:
                raise DataError(
                    f"is cut short or no TFRecord file (at byte {place:,})", where=str(file)
                )
            yield place + 12, length
            place += 16 + length


def read_range(file: pathlib.Path, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`."""
    with open(file, "rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def parse(data: bytes, name: str) -> Any:
    """The features of one serialised tf.train.Example."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        return tf.train.Example.FromString(data).features.feature
    except DecodeError:
        raise DataError("is no tf.train.Example", where=name) from None


def _key(example: Any, wanted: str | None, usual: tuple[str, ...], name: str) -> str:
    keys = sorted(example)
    if wanted is not None:
        if wanted not in example:
            raise DataError(
                f"has no feature {wanted!r}.", where=name, hint=did_you_mean(wanted, keys)
            )
        return wanted
    for key in usual:
        if key in example:
            return key
    raise DataError(
        f"none of its features ({', '.join(keys)}) is one of {', '.join(usual)}.",
        where=name,
        hint="Name them with image_key and label_key.",
    )


def _label(feature: Any, key: str, names: list[str] | None, name: str) -> str:
    if feature.bytes_list.value:
        return feature.bytes_list.value[0].decode("utf-8", "replace")
    if not feature.int64_list.value:
        raise DataError(f"feature {key!r} is neither text nor a whole number", where=name)
    number = int(feature.int64_list.value[0])
    if names is None:
        return str(number)
    if not 0 <= number < len(names):
        raise DataError(f"label {number} has no name; there are {len(names)} names", where=name)
    return names[number]
