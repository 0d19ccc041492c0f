"""A data set as used in training: class names, and splits of decodable images."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from tlkit.data.account import MOST_LOST, FileAccount
from tlkit.data.decode import DECODER_VERSION, make_preparer, why_not_decoded
from tlkit.data.read_source import read_records
from tlkit.data.record import IgnoredFile, Record, SourceData, SplitName
from tlkit.data.rows import Rows
from tlkit.data.spool import cache_folder, free_disk, spooled
from tlkit.data.transcode import NotDecodable, decodable
from tlkit.errors import DataError, some_of
from tlkit.out_of_memory import is_out_of_memory
from tlkit.recipe.schema import Data
from tlkit.reporter import Progress
from tlkit.tasks.base import Task
from tlkit.tasks.find import find_task
from tlkit.tensors import Decoder

MEMORY_SHARE = 0.4  # fraction of the free memory that decoded images may take
DISK_SHARE = 0.5  # fraction of the free disk space
MOST_NOTES = 10  # notes about duplicates
LOOKED_AT_ONCE = 16  # images passed from TensorFlow to Python at once

CHANGED = "is not the file that it was when tlkit first read it"

Kept = Literal["memory", "disk", "off"]


@dataclasses.dataclass
class Split:
    """The images of one split.

    Attributes:
        records: Records in a fixed order.
        labels: Labels of the task, one row per image.
        hashes: SHA-256 of each image's encoded bytes.
        pixels: uint8 `(n, height, width, 3)` if the images are held in memory, or a list of
            features `(n, ...)` in place of the images.
        views: Such lists for several augmented views of the same images; epochs cycle through them.
    """

    records: list[Record]
    labels: np.ndarray
    hashes: list[str]
    pixels: Any = None
    views: list[list[Any]] | None = None

    def __len__(self) -> int:
        return len(self.records)

    def in_epoch(self, epoch: int) -> Split:
        """The split for an epoch, with epochs counted across all stages."""
        if not self.views:
            return self
        return dataclasses.replace(self, pixels=self.views[epoch % len(self.views)])


@dataclasses.dataclass
class Dataset:
    """Everything about the data that later stages need.

    Attributes:
        task: What is learned, with the names of its classes.
        splits: Splits by name; always `train` and `val`, sometimes `test`.
        broken: Name and reason of each file that does not decode.
        prepare: The one decoder: bytes -> uint8 image `(height, width, 3)`.
        image_size: Height and width in pixels.
        decoding: How files are turned into images, in one line.
        notes: What the user should know, such as a class that is missing in val.
        ignored: Files of the source that are not used as images.
    """

    task: Task
    splits: dict[SplitName, Split]
    broken: list[tuple[str, str]]
    prepare: Any
    image_size: tuple[int, int]
    decoding: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    ignored: Sequence[IgnoredFile] = ()

    @property
    def classes(self) -> list[str]:
        """Names of the outputs."""
        return self.task.outputs

    @property
    def account(self) -> FileAccount:
        """What happened to every file of the source."""
        used = {str(name): len(split) for name, split in self.splits.items()}
        return FileAccount(used, self.ignored, self.broken)

    @property
    def train(self) -> Split:
        return self.splits["train"]

    @property
    def val(self) -> Split:
        return self.splits["val"]

    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each class in each split."""
        return {
            name: {
                label: int(count)
                for label, count in zip(
                    self.classes,
                    self.task.counts(split.labels),
                    strict=True,
                )
            }
            for name, split in self.splits.items()
        }

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the data: classes, counts and a hash of every image and label."""
        return {
            "classes": self.classes,
            "counts": self.counts(),
            "files": self.account.as_json(),
            "broken": [{"name": name, "reason": reason} for name, reason in self.broken],
            "sha256": {name: _digest(split) for name, split in self.splits.items()},
        }


def _digest(split: Split) -> str:
    lines = sorted(
        f"{h} {record.label}" for h, record in zip(split.hashes, split.records, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_source(config: Data) -> SourceData:
    """The records of a recipe's `data.source`.

    Raises:
        DataError: if there are none.
    """
    source = read_records(config.source)
    if not source.records:
        raise DataError("the source holds no images", where=f"data.source.{config.source.name}")
    return source


def load_dataset(
    config: Data,
    image_size: tuple[int, int],
    progress: Progress | None = None,
    task: type[Task] | None = None,
) -> Dataset:
    """Reads, checks and splits the images of a recipe.

    Args:
        config: The recipe's `data`.
        image_size: Input height and width of the network, in pixels.
        progress: Called with the number of images done and the total.
        task: What is learned; found from the data by default.

    Raises:
        DataError: if too many files are broken, there are fewer than two
            classes, a class or a split is empty.
    """
    source = read_source(config)
    kind = task or find_task(source)
    kind.learn(
        source.records, source
    )  # labels of another kind are rejected before the images are read
    scanned, prepare = _scanned(source, config, image_size, progress)
    records, hashes = scanned.records, scanned.hashes
    learned = kind.learn(records, source)
    splits = assign_splits(records, hashes, config, kind)
    parts: dict[SplitName, Split] = {}
    for name in ("train", "val", "test"):
        chosen = [index for index, split in enumerate(splits) if split == name]
        if chosen:
            parts[name] = Split(
                [records[i] for i in chosen],
                learned.labels[chosen],
                [hashes[i] for i in chosen],
                None if scanned.pixels is None else scanned.pixels.take(chosen),
            )
    decoding = decoding_key(config, image_size)
    dataset = Dataset(
        learned.task,
        parts,
        scanned.broken,
        prepare,
        image_size,
        decoding,
        [*source.notes, *learned.notes],
        source.ignored,
    )
    _check_splits(dataset)
    return dataset


def _scanned(
    source: SourceData, config: Data, image_size: tuple[int, int], progress: Progress | None
) -> tuple[Scan, Any]:
    """All images of a source, and their decoder.

    Raises:
        DataError: if too many files are broken or ignored.
    """
    _refuse_lost(FileAccount({"images": len(source.records)}, source.ignored), config.on_broken)
    prepare = make_preparer(image_size, config.resize, config.antialias)
    keep = keep_pixels(config.cache, len(source.records), image_size)
    scanned = scan(source.records, prepare, keep, progress)
    account = FileAccount({"images": len(scanned.records)}, source.ignored, scanned.broken)
    _refuse_lost(account, config.on_broken)
    return scanned, prepare


def resized(dataset: Dataset, config: Data, image_size: tuple[int, int]) -> Dataset:
    """The same images, decoded again at another size.

    Args:
        dataset: Data set that was already scanned.
        config: The recipe's `data`.
        image_size: Height and width in pixels.

    Raises:
        DataError: if a file broke, vanished or changed since the first scan, which determined its
            label and its split.
    """
    prepare = make_preparer(image_size, config.resize, config.antialias)
    splits: dict[SplitName, Split] = {}
    for name, split in dataset.splits.items():
        kept = keep_pixels(config.cache, len(split), image_size)
        scanned = scan(split.records, prepare, kept)
        _refuse_changed(split, scanned)
        splits[name] = dataclasses.replace(split, pixels=scanned.pixels)
    return dataclasses.replace(
        dataset,
        splits=splits,
        prepare=prepare,
        image_size=image_size,
        decoding=decoding_key(config, image_size),
    )


def _refuse_changed(split: Split, scanned: Scan) -> None:
    """Rejects a second scan whose rows differ from those of the first."""
    changed = [f"{name} {reason}" for name, reason in scanned.broken]
    if not changed:
        changed = [
            f"{record.name} {CHANGED}"
            for record, before, now in zip(split.records, split.hashes, scanned.hashes, strict=True)
            if before != now
        ]
    if changed:
        raise DataError(
            f"images changed while tlkit was using them: {some_of(changed)}.",
            hint="Leave the files alone while a run lasts, and start it again.",
        )


def decoding_key(config: Data, image_size: tuple[int, int]) -> str:
    """One line with everything that can change a decoded pixel, including the decoder's version.

    Cached features are looked up by it, so it is built only here.
    """
    height, width = image_size
    antialias = " antialias" if config.antialias else ""
    return f"{height}x{width} {config.resize}{antialias} decoder {DECODER_VERSION}"


def load_for_evaluation(
    config: Data,
    task: Task,
    image_size: tuple[int, int],
    progress: Progress | None = None,
    match: Callable[[str], str | None] | None = None,
) -> Dataset:
    """All images of a source as one split `test`, with labels matched to the model's by name.

    Args:
        config: The run's `data`, with the source to read.
        task: Task of the model.
        image_size: Input height and width of the network, in pixels.
        progress: Called with the number of images done and the total.
        match: Maps a label to the model's class if they are spelled differently.

    Raises:
        DataError: if a label is not a class of the model, or too many files are broken.
    """
    source = read_source(config)
    task.check_labels(source.records, match, f"data.source.{config.source.name}")
    scanned, prepare = _scanned(source, config, image_size, progress)
    labels = task.labels_of(scanned.records, match)
    split = Split(scanned.records, labels, scanned.hashes, scanned.pixels)
    missing = [
        name for name, count in zip(task.outputs, task.counts(labels), strict=True) if not count
    ]
    notes = [*source.notes, *([f"no image of: {some_of(missing, 10)}"] if missing else [])]
    return Dataset(
        task,
        {"test": split},
        scanned.broken,
        prepare,
        image_size,
        decoding_key(config, image_size),
        notes,
        source.ignored,
    )


@dataclasses.dataclass
class Scan:
    """The images that decode, and those that do not."""

    records: list[Record]
    hashes: list[str]
    pixels: Rows | None
    broken: list[tuple[str, str]]


@dataclasses.dataclass
class DecodedImage:
    """One image that was read.

    Attributes:
        record: Its record.
        digest: SHA-256 of its bytes.
        image: uint8 `(height, width, 3)`; only its largest pixel if the image was not requested.
        problem: Why it does not decode, if it does not; the rest is then empty.
    """

    record: Record
    digest: str = ""
    image: Any = None
    problem: str | None = None


def scan(
    records: Sequence[Record], prepare: Decoder, keep: Kept, progress: Progress | None = None
) -> Scan:
    """Reads, hashes and decodes every image once, on all cores."""
    shape = prepare.get_concrete_function().output_shapes
    pixels: np.ndarray | None = None
    if keep == "memory":
        pixels = np.empty((len(records), *shape), np.uint8)
    elif keep == "disk":
        pixels = spooled((len(records), *shape))
    good: list[int] = []
    hashes: list[str] = []
    broken: list[tuple[str, str]] = []
    for index, looked in enumerate(look_through(records, prepare, pixels is not None)):
        if looked.problem is not None:
            broken.append((looked.record.name, looked.problem))
        else:
            good.append(index)
            hashes.append(looked.digest)
            if pixels is not None:
                pixels[index] = looked.image
        if progress and (index % 64 == 63 or index + 1 == len(records)):
            progress(index + 1, len(records))
    rows = Rows.of(pixels).take(good) if pixels is not None and good else None
    return Scan([records[index] for index in good], hashes, rows, broken)


def look_through(
    records: Sequence[Record], prepare: Decoder, whole: bool = True
) -> Iterator[DecodedImage]:
    """Reads, hashes and decodes images in order, ahead of the consumer, on all cores.

    Args:
        records: Records of the images.
        prepare: The decoder.
        whole: Whether to return the images; otherwise they are only decoded.
    """
    import tensorflow as tf

    def read(index: Any) -> tuple[bytes, bytes]:
        data = records[int(index)].read()
        return decodable(data), hashlib.sha256(data).hexdigest().encode()

    def look(index: Any) -> tuple[Any, Any, Any]:
        data, digest = tf.numpy_function(read, [index], (tf.string, tf.string), stateful=False)
        data.set_shape(())
        image = prepare(data)
        # returning the largest pixel forces decoding without copying the image
        return index, digest, image if whole else tf.reduce_max(image)

    found = (
        tf.data.Dataset.range(len(records))
        .map(look, tf.data.AUTOTUNE, deterministic=True)
        .ignore_errors()
        .batch(LOOKED_AT_ONCE)
        .prefetch(tf.data.AUTOTUNE)
    )
    following = 0
    for batch in on_all_cores(found).as_numpy_iterator():
        for index, digest, image in zip(*batch, strict=True):
            for missed in records[following:index]:
                yield DecodedImage(missed, problem=_why_broken(missed, prepare))
            yield DecodedImage(records[index], digest.decode(), image)
            following = int(index) + 1
    for missed in records[following:]:
        yield DecodedImage(missed, problem=_why_broken(missed, prepare))


def on_all_cores(found: Any) -> Any:
    """A `tf.data.Dataset` with threads of its own.

    TensorFlow's pool has one thread per core, so that each waiting thread leaves a core idle.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.threading.private_threadpool_size = 2 * (os.cpu_count() or 1)
    return found.with_options(options)


def _why_broken(record: Record, prepare: Decoder) -> str:
    """The reason why an image could not be read or decoded."""
    import tensorflow as tf

    try:
        data = record.read()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    try:
        prepare(decodable(data))
    except NotDecodable as error:
        return str(error)
    except tf.errors.OpError as error:
        if is_out_of_memory(error):  # not the file's fault
            raise
        return why_not_decoded(error)
    return "could not be read at first"


def keep_pixels(cache: Kept | Literal["auto"], count: int, image_size: tuple[int, int]) -> Kept:
    """Where the decoded images are cached.

    Raises:
        DataError: if there is no room in the requested place.
    """
    if cache == "off":
        return "off"
    needed = count * image_size[0] * image_size[1] * 3
    memory, disk = free_memory(), free_disk(cache_folder()) or 0
    for place, free, most in (("memory", memory, 0.9), ("disk", disk, 1.0)):
        if cache == place and needed > most * free:
            raise DataError(
                f"data.cache: {place} needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
                hint="Use: cache: off",
            )
    if cache != "auto":
        return cache
    if needed < MEMORY_SHARE * memory:
        return "memory"
    return "disk" if needed < DISK_SHARE * disk else "off"


def free_memory() -> int:
    """Bytes of memory available now; 2 GB if the system does not report it."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 2 * 1024**3
    return 2 * 1024**3


def _refuse_lost(account: FileAccount, policy: str) -> None:
    """Rejects data with more broken or ignored files than the recipe allows."""
    lost = account.lost
    if not lost or not (policy == "fail" or account.too_many_lost):
        return
    broken = len(account.broken) == len(lost)
    what = "are broken" if broken else "look like pictures and are not used"
    listed = "".join(f"\n    {name}: {reason}" for name, reason in lost[:20])
    more = f"\n    ... and {len(lost) - 20} more" if len(lost) > 20 else ""
    if policy == "fail":
        kind = "broken files" if broken else "files look like pictures and are not used"
        raise DataError(f"{len(lost)} {kind}, and data.on_broken is fail:{listed}{more}")
    total = sum(account.used.values()) + len(lost)
    raise DataError(
        f"{len(lost)} of {total} files {what}, more than {MOST_LOST:.0%}:{listed}{more}"
    )


def assign_splits(
    records: list[Record], hashes: list[str], config: Data, task: type[Task]
) -> list[SplitName]:
    """The source's own splits; tlkit adds its own if the source names no val."""
    told = [record.split for record in records]
    if not any(told):
        return task.split(records, hashes, config.split.val, config.split.test)
    result: list[SplitName] = [split or "train" for split in told]
    free = [index for index, split in enumerate(result) if split == "train"]
    if "val" not in result:
        test = 0.0 if "test" in result else config.split.test
        cut = task.split(
            [records[i] for i in free], [hashes[i] for i in free], config.split.val, test
        )
        for index, split in zip(free, cut, strict=True):
            result[index] = split
    return result


def _check_splits(dataset: Dataset) -> None:
    """Rejects data that cannot be trained on, and notes what is unusual."""
    for name in ("train", "val"):
        if name not in dataset.splits:
            raise DataError(
                f"the {name} split is empty",
                hint="Raise data.split.val." if name == "val" else "Lower data.split.",
            )
    for name, split in dataset.splits.items():
        dataset.notes += dataset.task.check_split(str(name), split.labels)
    dataset.notes += _copies(dataset)


def _copies(dataset: Dataset) -> list[str]:
    """Notes on duplicate files, and where they do harm."""
    notes = []
    seen = set(dataset.train.hashes)
    for name, split in dataset.splits.items():
        if name != "train":
            copies = sum(digest in seen for digest in split.hashes)
            if copies:
                notes.append(f"{copies} images of {name} are also in train, byte for byte")
    first: dict[str, Record] = {}
    for split in dataset.splits.values():
        for digest, record in zip(split.hashes, split.records, strict=True):
            other = first.setdefault(digest, record)
            if other.label != record.label:
                notes.append(f"one picture with two labels: {other.name} and {record.name}")
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more; see: tlkit check"]
    return notes
