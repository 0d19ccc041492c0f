"""TFRecord files of tf.train.Example."""

from __future__ import annotations

import glob
import pathlib
import re
import struct
from collections.abc import Iterator
from typing import Any

from tlkit.data.compressed import decompressed, is_compressed, unpacked_head
from tlkit.data.record import Record, SourceData, SplitName
from tlkit.errors import DataError, did_you_mean, some_of
from tlkit.paths import expanded
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
    """TFRecord files, also compressed, whose examples hold an encoded image and a label.

    Args:
        train: File, folder or pattern of the training shards. Without val, tlkit splits it.
        val: File, folder or pattern of the validation shards.
        test: File, folder or pattern of the test shards.
        image_key: Feature with the encoded image; found by its name by default.
        label_key: Feature with the class, as text or a number, or with several; found by its name
            by default.
        classes: Text file with one class name per line, for labels that are numbers.

    Raises:
        DataError: if a file is missing or damaged, or an example lacks a feature.
    """
    names = None
    if classes is not None:
        file = expanded(classes)
        if not file.is_file():
            raise DataError("no such file of class names", where=str(file))
        names = file.read_text("utf-8-sig").split("\n")
        names = [name.strip() for name in names if name.strip()]
    records: list[Record] = []
    patterns: list[tuple[SplitName, str | None]] = [("train", train), ("val", val), ("test", test)]
    for split, pattern in patterns:
        if pattern is None:
            continue
        files = shards(pattern)
        # a single file is split by tlkit, unless the splits are given
        told: SplitName | None = split if (val or test) else None
        for file in files:
            records.extend(_records(file, told, image_key, label_key, names))
    return SourceData(records, classes=names)


def shards(pattern: str) -> list[pathlib.Path]:
    """The files that a name, a folder or a pattern refers to, in order.

    Raises:
        DataError: if there are none, or shards numbered `-00000-of-00010` are missing.
    """
    place = expanded(pattern)
    if place.is_dir():
        inside = sorted(item for item in place.iterdir() if item.is_file())
        files = [item for item in inside if is_tfrecord(item)]
    elif place.is_file():
        files = [place]
    else:
        files = [pathlib.Path(name) for name in sorted(glob.glob(str(place)))]
        files = [file for file in files if file.is_file()]
    if not files:
        raise DataError("no such TFRecord files", where=pattern)
    if len(files) > 1 or not place.is_file():
        _refuse_missing(files)
    return files


def _refuse_missing(files: list[pathlib.Path]) -> None:
    """Rejects incomplete sets of numbered shards."""
    sets: dict[tuple[str, int, str], set[int]] = {}
    for file in files:
        found = re.fullmatch(r"(.*)-(\d+)-of-(\d+)(.*)", file.name)
        if found:
            key = (str(file.parent / found[1]), int(found[3]), found[4])
            sets.setdefault(key, set()).add(int(found[2]))
    for (start, count, end), numbers in sets.items():
        missing = [f"-{n:05d}-of-{count:05d}{end}" for n in range(count) if n not in numbers]
        if missing:
            raise DataError(
                f"{len(missing)} of {count} shards are missing: {some_of(missing)}.",
                where=start,
                hint="Fetch them, or name the files that are to do without them one by one.",
            )


def is_tfrecord(file: pathlib.Path) -> bool:
    """Whether a file starts like a TFRecord, compressed or not: with a length and its checksum."""
    head = _head(file)
    return _begins(head) or _begins(unpacked_head(head, 12))


def _head(file: pathlib.Path) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read(4096)
    except OSError:
        return b""


def _begins(head: bytes) -> bool:
    return len(head) >= 12 and head[8:12] == struct.pack("<I", masked_crc32c(head[:8]))


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C (Castagnoli), rotated and offset."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(
    packed: pathlib.Path,
    split: SplitName | None,
    image_key: str | None,
    label_key: str | None,
    names: list[str] | None,
) -> Iterator[Record]:
    head = _head(packed)
    # the first bytes of an uncompressed file, a length, may look like those of a compressed one
    file = decompressed(packed) if is_compressed(head) and not _begins(head) else packed
    for index, (offset, length) in enumerate(offsets(file)):
        name = f"{packed.name}:{index}"
        example = parse(read_range(file, offset, length), name)
        image = _key(example, image_key, IMAGE_KEYS, name)
        label = _key(example, label_key, LABEL_KEYS, name)
        labels = _labels(example[label], label, names, name)
        read = Reader(file, offset, length, image)
        yield Record(name, "|".join(labels), split, read, labels)


class Reader:
    """Reads the image of one example on demand."""

    def __init__(self, file: pathlib.Path, offset: int, length: int, key: str):
        self.place = file, offset, length
        self.key = key

    def __call__(self) -> bytes:
        return bytes(
            parse(read_range(*self.place), str(self.place[0]))[self.key].bytes_list.value[0]
        )


def offsets(file: pathlib.Path) -> Iterator[tuple[int, int]]:
    """Start and length of each example in a TFRecord file.

    A record is an 8-byte length, its 4-byte checksum, the data and the data's checksum.
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
    """Reads `length` bytes from `offset`."""
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
        raise DataError("is not a tf.train.Example", where=name) from None


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


def _labels(feature: Any, key: str, names: list[str] | None, name: str) -> tuple[str, ...]:
    """The distinct labels of a feature; none for a feature without values."""
    if feature.bytes_list.value:
        texts = [value.decode("utf-8", "replace") for value in feature.bytes_list.value]
        return tuple(dict.fromkeys(texts))
    if feature.HasField("float_list") and feature.float_list.value:
        raise DataError(f"feature {key!r} is neither text nor a whole number", where=name)
    numbers = [int(number) for number in feature.int64_list.value]
    if names is None:
        return tuple(dict.fromkeys(map(str, numbers)))
    for number in numbers:
        if not 0 <= number < len(names):
            raise DataError(f"label {number} has no name; there are {len(names)} names", where=name)
    return tuple(dict.fromkeys(names[number] for number in numbers))
