"""Records from images and labels in memory: NumPy arrays and `tf.data.Dataset`."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from tlkit.data.png import as_png
from tlkit.data.record import Record, SourceData, SplitName
from tlkit.errors import DataError, did_you_mean
from tlkit.tasks.classification.array_labels import checked_names, class_names
from tlkit.tasks.multi_label.array_labels import set_texts, sets_in
from tlkit.tasks.regression.array_labels import number_texts, numbers_in

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import ArrayLike

    Pair: TypeAlias = tuple[ArrayLike, ArrayLike]  # images and labels
    InMemory: TypeAlias = Pair | Mapping[str, Any] | tf.data.Dataset

KEYS = ("train", "val", "test", "classes")
CHECKED_AT_ONCE = 256  # images whose values are checked at once
SHAPES = "(height, width, 3), or 1 for grey"

_LENT: contextvars.ContextVar[SourceData | None] = contextvars.ContextVar("lent", default=None)


@dataclasses.dataclass(frozen=True)
class InMemoryData:
    """Data passed in Python.

    Attributes:
        kind: Kind of data passed.
        data: The data as records.
    """

    kind: Literal["arrays", "dataset"]
    data: SourceData

    @property
    def source(self) -> dict[str, dict[str, Any]]:
        """The data as a recipe's `data.source`."""
        return {"in_memory": {"kind": self.kind, "images": len(self.data.records)}}

    @property
    def override(self) -> str:
        """The recipe setting that names it."""
        return f"data.source={json.dumps(self.source)}"


def lent() -> SourceData | None:
    """What the source `in_memory` currently returns."""
    return _LENT.get()


@contextlib.contextmanager
def lending(handed: InMemoryData | None) -> Iterator[None]:
    """Inside, the source `in_memory` returns the data passed."""
    token = _LENT.set(None if handed is None else handed.data)
    try:
        yield
    finally:
        _LENT.reset(token)


def take(data: InMemory, known: Sequence[str] = ()) -> InMemoryData:
    """Checks images and labels in memory and turns them into records.

    Args:
        data: `(images, labels)`, a `tf.data.Dataset` of such pairs, batched or not, or a mapping of
            `train`, `val` and `test` to either, optionally with the class names as `classes`.
            Images are uint8 `(n, height, width, 3)`, or a list of `(height, width, 3)` of
            different sizes; 1 channel is grey. Floats in [0, 255] are rounded. Labels are whole
            numbers, names, one-hot rows, or numbers to learn; multiple labels are lists of names,
            or rows of 0 and 1.
        known: Classes of a model to be evaluated; whole numbers refer to them if the data do not
            name their classes.

    Raises:
        DataError: if they are anything else.
    """
    parts: dict[SplitName | None, Any]
    named: list[str] | None = None
    if isinstance(data, Mapping):
        for key in data:
            if key not in KEYS:
                raise DataError(
                    f"unknown key {key!r}. {did_you_mean(str(key), KEYS)}", where="data"
                )
        named = checked_names(data.get("classes"))
        parts = {name: data[name] for name in ("train", "val", "test") if name in data}
        if "train" not in data:
            raise DataError("needs train, as {'train': (images, labels)}", where="data")
    else:
        parts = {None: data}
    kinds: set[Literal["arrays", "dataset"]] = set()
    found: list[tuple[SplitName | None, _Part]] = []
    for split, part in parts.items():
        where = f"data[{split!r}]" if split else "data"
        if _is_dataset(part):
            kinds.add("dataset")
            named = named or checked_names(getattr(part, "class_names", None))
            found.append((split, _of_dataset(part, where, split or "data")))
        else:
            kinds.add("arrays")
            found.append((split, _of_arrays(part, where, split or "data")))
    notes = tuple(dict.fromkeys(note for _, part in found for note in part.notes))
    given = [(part.labels, part.where) for _, part in found]
    if numbers_in(given, known):
        texts, columns = number_texts(given, named or list(known) or None)
        records = [
            Record(name, "|".join(row), split, read, row, part.where)
            for (split, part), rows in zip(found, texts, strict=True)
            for name, row, read in zip(part.names, rows, part.reads, strict=True)
        ]
        data_of = SourceData(records, notes=notes, columns=columns)
    elif sets_in(given):
        sets, order = set_texts(given, named, known)
        records = [
            Record(name, "|".join(own), split, read, own, part.where)
            for (split, part), rows in zip(found, sets, strict=True)
            for name, own, read in zip(part.names, rows, part.reads, strict=True)
        ]
        data_of = SourceData(records, classes=order, notes=notes)
    else:
        names, order = class_names(given, named, known)
        records = [
            Record(name, label, split, read, (label,), part.where)
            for (split, part), labels in zip(found, names, strict=True)
            for name, label, read in zip(part.names, labels, part.reads, strict=True)
        ]
        data_of = SourceData(records, classes=order, notes=notes)
    return InMemoryData("dataset" if "dataset" in kinds else "arrays", data_of)


@dataclasses.dataclass(frozen=True)
class _Part:
    """One split: a name, a reader and a label for each image."""

    names: list[str]
    reads: list[Any]
    labels: np.ndarray
    where: str
    notes: tuple[str, ...] = ()


def _is_dataset(value: Any) -> bool:
    tensorflow = sys.modules.get("tensorflow")  # anyone with a data set has imported it
    return tensorflow is not None and isinstance(value, tensorflow.data.Dataset)


def _of_arrays(pair: Any, where: str, name: str) -> _Part:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(
            "expected (images, labels) or a tf.data.Dataset of such pairs, found "
            f"{type(pair).__name__}",
            where=where,
        )
    images, labels = check_images(pair[0], where), _as_array(pair[1])
    if len(images) != (len(labels) if labels.ndim else -1):
        count = f"{len(labels)} labels" if labels.ndim else "one label"
        raise DataError(f"has {len(images)} images and {count}", where=where)
    return _Part(
        [f"{name}[{index}]" for index in range(len(images))],
        [functools.partial(encoded, images, index) for index in range(len(images))],
        labels,
        where,
        _rounded(images),
    )


def _as_array(labels: Any) -> np.ndarray:
    """Labels as an array; lists of names, of any length, as an object array."""
    if isinstance(labels, list | tuple) and any(
        isinstance(own, list | tuple | set | frozenset)
        and not any(isinstance(one, int | float | np.number) for one in own)
        for own in labels
    ):
        array = np.empty(len(labels), object)
        array[:] = labels
        return array
    return np.asarray(labels)


def _rounded(images: Sequence[np.ndarray] | np.ndarray) -> tuple[str, ...]:
    """A note if pixel values are changed by rounding."""
    kinds = {images.dtype} if isinstance(images, np.ndarray) else {image.dtype for image in images}
    floats = sorted(str(kind) for kind in kinds if kind.kind == "f")
    return (f"pixels of {floats[0]} are rounded to whole levels",) if floats else ()


def encoded(images: Sequence[np.ndarray] | np.ndarray, index: int) -> bytes:
    """One of the images as a PNG."""
    return as_png(_levels(images[index]))


def _levels(image: np.ndarray) -> np.ndarray:
    """An image as uint8."""
    return np.rint(image).astype(np.uint8) if image.dtype.kind == "f" else image.astype(np.uint8)


def check_images(
    images: Any, where: str, training: bool = True
) -> Sequence[np.ndarray] | np.ndarray:
    """Images as arrays `(height, width, 1 or 3)` of values from 0 to 255; an array is not copied.

    Args:
        images: One array of all images, or a sequence of arrays.
        where: Name of the data in messages.
        training: Whether to reject almost black images, whatever their type.

    Raises:
        DataError: saying how to convert other images.
    """
    several = isinstance(images, list | tuple)
    found = [np.asarray(image) for image in images] if several else [np.asarray(images)]
    if not found or (not several and found[0].ndim and not len(found[0])):
        raise DataError("holds no images", where=where)
    for array in found:
        shape = array.shape if several else array.shape[1:]
        if array.ndim != (3 if several else 4) or shape[-1] not in (1, 3) or 0 in array.shape:
            each = "images as a list of" if several else "images as one array (n, ...) of"
            raise DataError(
                f"expected {each} {SHAPES}; found {array.shape}.",
                where=where,
                hint=_of_shape(array, 3 if several else 4),
            )
        if array.dtype.kind not in "uif":
            raise DataError(f"expected pixels as numbers, uint8; found {array.dtype}", where=where)
    lowest, highest = map(list, zip(*(_range(array) for array in found), strict=True))
    floats = any(array.dtype.kind == "f" for array in found)
    _check_range(min(lowest), max(highest), str(found[0].dtype), floats or training, where)
    return found if several else found[0]


def _of_shape(array: np.ndarray, axes: int) -> str | None:
    """How to fix an invalid shape."""
    if array.ndim == axes - 1 and array.shape[-1] not in (1, 3):
        return "Grey images get their axis by images[..., None]."
    if array.ndim == axes - 1 and axes == 4:
        return "One image is an array of images by images[None]."
    if array.ndim == axes and array.shape[-1] == 4:
        return "Drop alpha by images[..., :3]."
    if array.ndim == axes and array.shape[axes - 3] in (1, 3):
        return "Put the channels last by np.moveaxis(images, -3, -1)."
    return None


def _range(array: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value; NaN if there is any."""
    if array.ndim == 3:
        return float(array.min()), float(array.max())
    parts = [array[k : k + CHECKED_AT_ONCE] for k in range(0, len(array), CHECKED_AT_ONCE)]
    lowest, highest = ([float(f(part)) for part in parts] for f in (np.min, np.max))
    return float(np.min(lowest)), float(np.max(highest))


def _check_range(lowest: float, highest: float, kind: str, scaled: bool, where: str) -> None:
    """Rejects values that are not meant as levels from 0 to 255."""
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise DataError("pixels are not all finite numbers", where=where)
    if lowest < 0 or highest > 255:
        raise DataError(
            f"expected pixels from 0 to 255; found {kind} from {lowest:g} to {highest:g}.",
            where=where,
            hint="Undo what was done to them: preprocessing is part of the network."
            if lowest < 0
            else "Scale them, as images / images.max() * 255.",
        )
    if scaled and 0 < highest <= 1:
        raise DataError(
            f"pixels of {kind} reach from {lowest:g} to {highest:g}, as scaled to [0, 1]; expected 0 to "
            "255.",
            where=where,
            hint="Hand over images * 255, or uint8 as it was read.",
        )


def _of_dataset(dataset: tf.data.Dataset, where: str, name: str) -> _Part:
    """The images of a `tf.data.Dataset`, ordered and named by their content.

    A shuffled one has another order each time, but runs must be deterministic and resumable.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    if not (
        isinstance(spec, tuple)
        and len(spec) == 2
        and all(isinstance(part, tf.TensorSpec) for part in spec)
    ):
        raise DataError(
            f"expected a tf.data.Dataset of (image, label) tensors, found elements of {spec}",
            where=where,
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise DataError(
            "never ends.",
            where=where,
            hint="Leave out repeat(): a stage's epochs are the recipe's.",
        )
    rows: list[tuple[str, bytes, Any]] = []
    lowest, highest, kind = 0.0, 0.0, spec[0].dtype.name
    rounded = False
    for images, labels in dataset.as_numpy_iterator():
        if images.ndim == 3:
            images, labels = images[None], np.asarray(labels)[None]
        levels = check_images(list(images), where, training=False) if len(images) else []
        for image, label in zip(levels, labels, strict=True):
            lowest, highest = min(lowest, float(image.min())), max(highest, float(image.max()))
            rounded = rounded or image.dtype.kind == "f"
            data = as_png(_levels(image))
            rows.append((hashlib.sha256(data).hexdigest(), data, label))
    if not rows:
        raise DataError("holds no images", where=where)
    _check_range(lowest, highest, kind, True, where)
    rows.sort(key=lambda row: (row[0], str(row[2])))
    names: list[str] = []
    seen: dict[str, int] = {}
    for digest, _, _ in rows:
        seen[digest] = seen.get(digest, 0) + 1
        copy = f"-{seen[digest]}" if seen[digest] > 1 else ""
        names.append(f"{name}:{digest[:16]}{copy}")
    return _Part(
        names,
        [functools.partial(bytes, data) for _, data, _ in rows],
        np.stack([np.asarray(label) for _, _, label in rows]),
        where,
        (f"pixels of {kind} are rounded to whole levels",) if rounded else (),
    )
