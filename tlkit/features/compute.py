"""The frozen part of a network, computed once for every image."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import tlkit
from tlkit import registry
from tlkit.data.dataset import DISK_SHARE, MEMORY_SHARE, Dataset, Split, free_memory
from tlkit.data.pipeline import batches
from tlkit.data.record import SplitName
from tlkit.data.spool import free_disk
from tlkit.features.cache import Entry, cache_key, cache_root
from tlkit.features.cut import Cut
from tlkit.features.engine import (
    CHECKED,
    WORTH_AN_ENGINE,
    Engine,
    choose_engine,
    keras_outputs,
    ranked,
)
from tlkit.features.fingerprint import fingerprint
from tlkit.recipe.schema import Cache

FEATURE_BATCH = 32
# of one shard: what a killed run loses at the most
SHARD_IMAGES, SHARD_BYTES = 1024, 64 * 1024**2

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmented draws of each training image, computed once and gone round by the epochs.

    Attributes:
        count: Draws of each image.
        key: Hash of the augmentation and its seed.
        draw: From uint8 images, and a text that decides the draw, to uint8 images.
    """

    count: int
    key: str
    draw: Callable[[Any, str], Any]


@dataclasses.dataclass
class Made:
    """How features came about.

    Attributes:
        engine: That computed those of the training images.
        kept: `disk` or `memory`.
        folder: On disk.
        images: Rows in all, draws counted one by one.
        computed: Those that were not there before.
        seconds: It took, the making of the engine included.
        validation: The engine that computed those of the validation images.
        images_per_second: When those of the training images were last computed, the making of the engine left out.
    """

    engine: str
    kept: str
    folder: str | None
    images: int
    computed: int
    seconds: float = 0.0
    images_per_second: float | None = None
    validation: str = ""


def image_count(dataset: Dataset, views: int = 1) -> int:
    """Rows of features: each draw of a training image, and each validation image."""
    return len(dataset.train) * views + len(dataset.val)


def worth_making(engine: str, dataset: Dataset, views: int = 1) -> str:
    """`keras` in the place of `auto` where another engine takes longer to make than it saves."""
    height, width = dataset.image_size
    small = image_count(dataset, views) * height * width < WORTH_AN_ENGINE
    return "keras" if engine == "auto" and small else engine


def place_for(
    cut: Cut, dataset: Dataset, cache: str | Cache, views: int = 1
) -> tuple[str | None, str]:
    """Where the features of a data set will be kept, and why; None if nowhere.

    Args:
        cut: Of the network.
        dataset: Images.
        cache: The recipe's.
        views: Draws of each training image.
    """
    settings = Cache() if isinstance(cache, str) else cache
    needed = image_count(dataset, views) * cut.bytes_per_image()
    on_disk = needed // 2 if settings.dtype == "float16" else needed
    fits = needed < MEMORY_SHARE * free_memory()
    reason = f"{needed / 1e6:.0f} MB, as the recipe wants it"
    if cache != "memory":
        root = cache_root(settings.folder)
        free = free_disk(root)
        if free is not None and on_disk < DISK_SHARE * free:
            return "disk", f"{on_disk / 1e6:.0f} MB in {root}"
        reason = (
            f"{root} cannot be written to"
            if free is None
            else f"{root} has {free / 1e6:.0f} MB free, {on_disk / 1e6:.0f} MB are needed"
        )
    if fits:
        return "memory", reason
    return None, f"{reason}, and {needed / 1e6:.0f} MB do not fit in memory"


def frozen_features(
    cut: Cut,
    dataset: Dataset,
    cache: str | Cache = "memory",
    progress: Any = None,
    engine: str = "auto",
    say: Say = lambda line: None,
    views: Views | None = None,
    about: str = "",
) -> tuple[Dataset, Made] | None:
    """The data set with what crosses the cut in the place of the images.

    None where they can be kept neither on disk nor in memory.

    Args:
        cut: Of the network.
        dataset: Images.
        cache: The recipe's.
        progress: Makes a function `(done, total)` that shows how far a pass is.
        engine: Registered name of what computes; `auto` is the fastest there is.
        say: Is told which engine was taken, and why not another.
        views: Draws of each training image; one, as it is, if not given.
        about: The network's name, for `tlkit cache ls`.
    """
    began = time.perf_counter()
    train = _Work(cut, dataset, "train", progress, engine, say, views)
    val = _Work(cut, dataset, "val", progress, engine, say, None, train)
    fits = image_count(dataset, train.views) * cut.bytes_per_image() < MEMORY_SHARE * free_memory()
    settings = Cache() if isinstance(cache, str) else cache
    on_disk = place_for(cut, dataset, cache, train.views)[0] == "disk"
    found: list[tuple[list[list[Any]], Made]] = []
    for work in (train, val):
        one: tuple[list[list[Any]], Made] | None = None
        if on_disk:
            try:
                one = _on_disk(work, settings, about)
            except (OSError, NotImplementedError) as error:
                say(f"features are not kept on disk: {_reason(error)}")
                on_disk = False
        if one is None and not fits:
            return None
        found.append(one or _in_memory(work))
    (drawn, made), ((held_out,), checked) = found
    if fits:
        drawn = [[np.asarray(array) for array in part] for part in drawn]
        held_out = [np.asarray(array) for array in held_out]
    made = dataclasses.replace(
        made,
        validation=checked.engine,
        images=made.images + checked.images,
        computed=made.computed + checked.computed,
        seconds=round(time.perf_counter() - began, 3),
    )
    splits: dict[SplitName, Split] = {
        "train": dataclasses.replace(dataset.train, pixels=drawn[0], views=drawn),
        "val": dataclasses.replace(dataset.val, pixels=held_out),
    }
    return dataclasses.replace(dataset, splits={**dataset.splits, **splits}), made


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    return "an operation of this network does not say how it is set"


@dataclasses.dataclass
class _Work:
    """The images of one split that are to be computed, and the engine once it was chosen.

    Attributes:
        cut: Of the network.
        dataset: Images.
        role: The split. A head learns to live with the rounding of training images; validation
            images are computed as they are when the model is served.
        progress: Makes functions that show how far a pass is.
        wanted: Name of the engine, or `auto`.
        say: Is told what happens.
        drawn: Draws of each image.
        first: The work done before, whose engine is taken where it is exact.
        chosen: The engine.
        reference: What Keras gives for some images.
    """

    cut: Cut
    dataset: Dataset
    role: SplitName
    progress: Any
    wanted: str
    say: Say
    drawn: Views | None = None
    first: _Work | None = None
    chosen: Engine | None = None
    reference: Any = None

    def __post_init__(self) -> None:
        self.wanted = worth_making(self.wanted, self.dataset, self.views)

    @property
    def views(self) -> int:
        return self.drawn.count if self.drawn else 1

    @property
    def exact(self) -> bool:
        return self.role == "val"

    def engine(self) -> Engine:
        """The engine, chosen when it is first needed."""
        if self.chosen is not None:
            return self.chosen
        before = self.first
        if before is not None and before.chosen is not None and before.chosen.is_exact():
            self.chosen = before.chosen
            return self.chosen
        if before is not None:
            self.reference, before.chosen = before.reference, None  # its memory is given back
        images, _ = next(batches(self.dataset.train, self.dataset.prepare, CHECKED))
        images = np.asarray(images)
        if self.reference is None and self.wanted != "keras":
            self.reference = keras_outputs(self.cut.frozen, images)
        self.chosen = choose_engine(
            self.cut.frozen, images, self.wanted, self.exact, self.reference
        )
        for note in self.chosen.notes:
            self.say(note)
        self.say(f"features of {self.role} by engine {self.chosen}")
        return self.chosen

    def parts(self) -> list[tuple[Split, int | None, str]]:
        """Each draw of the images, or the images as they are; with their titles."""
        split = self.dataset.splits[self.role]
        if self.drawn is None:
            return [(split, None, self.role)]
        titles = [f"{self.role}, view {k + 1} of {self.views}" for k in range(self.views)]
        return [(split, k, title) for k, title in enumerate(titles)]

    def keys(self, split: Split, view: int | None) -> list[str]:
        """What the rows of a part are found by."""
        mark = "" if view is None or self.drawn is None else f" {self.drawn.key} {view}"
        return [content + mark for content in split.hashes]

    def compute(
        self, split: Split, view: int | None, order: np.ndarray
    ) -> Iterator[list[np.ndarray]]:
        """Features of some images of a part, batch by batch."""
        run = self.engine().run
        done = 0
        for images, labels in batches(split, self.dataset.prepare, FEATURE_BATCH, order):
            if view is not None and self.drawn is not None:
                # by the images themselves, so that a pass taken up again draws the same
                images = self.drawn.draw(images, f"{view} {split.hashes[order[done]]}")
            yield run(images)
            done += len(labels)


def _in_memory(work: _Work) -> tuple[list[list[Any]], Made]:
    features = []
    work.engine()
    began = time.perf_counter()
    for split, view, title in work.parts():
        show = work.progress(f"features of {title}, once") if work.progress else None
        arrays = [np.empty((len(split), *shape), np.float32) for shape in work.cut.shapes]
        done = 0
        for outputs in work.compute(split, view, np.arange(len(split))):
            for array, output in zip(arrays, outputs, strict=True):
                array[done : done + len(output)] = output
            done += len(outputs[0])
            if show is not None:
                show(done, len(split))
        features.append(arrays)
    count = sum(len(split) for split, _, _ in work.parts())
    rate = round(count / (time.perf_counter() - began), 1)
    return features, Made(str(work.engine()), "memory", None, count, count, 0.0, rate)


def _on_disk(work: _Work, settings: Cache, about: str) -> tuple[list[list[Any]], Made]:
    """Features from the cache, what is missing there computed first.

    Raises:
        OSError: if the cache cannot be written to.
    """
    what = [
        tlkit.__version__,
        _version("tensorflow"),
        _version("keras"),
        fingerprint(work.cut.frozen),
        work.dataset.decoding,
        settings.dtype,
    ]
    root = cache_root(settings.folder)
    parts = [(part, work.keys(part[0], part[1])) for part in work.parts()]
    all_keys = [key for _, keys in parts for key in keys]
    described = {
        "network": about,
        "images": work.dataset.decoding,
        "shapes": [list(shape) for shape in work.cut.shapes],
        "dtype": settings.dtype,
    }

    def entry_of(name: str, precision: str) -> Entry:
        package = registry.ENGINES[name].facts.needs
        key = cache_key(*what, name, precision, _version(package) if package else "")
        note = {**described, "engine": f"{name}, {precision}"}
        return Entry(root / key, work.cut.shapes, settings.dtype, note)

    # Keras's own are no answer to the wish for another engine, unless that one has failed
    names = ranked(work.wanted, work.exact)
    for name in [n for n in names if n != "keras" or work.wanted in ("auto", "keras")]:
        for precision in registry.ENGINES[name].facts.precisions.split():
            entry = entry_of(name, precision)
            entry.read()
            _tell_damaged(entry, work.say)
            if not entry.missing(all_keys):
                entry.used()
                if all_keys:
                    work.say(
                        f"features of {work.role} by engine {name}, all {len(all_keys)} from "
                        f"{entry.folder}"
                    )
                made = Made(f"{name}, {precision}", "disk", str(entry.folder), len(all_keys), 0)
                made.images_per_second = entry.noted().get("images_per_second")
                return [list(entry.rows(keys)) for _, keys in parts], made

    chosen = work.engine()
    entry = entry_of(chosen.name, chosen.precision)
    computed, began = 0, time.perf_counter()
    with entry.held(lambda: work.say("another run computes these features; waiting for it ...")):
        _tell_damaged(entry, work.say)
        for (split, view, title), keys in parts:
            order = np.array(entry.missing(keys), np.int64)
            if len(order) < len(keys):
                work.say(f"features of {title}: {len(keys) - len(order)} of {len(keys)} were kept")
            try:
                computed += _extend(entry, work, (split, view, title), keys, order)
            except OverflowError as error:
                work.say(f"{error}; they are kept as float32")
                return _on_disk(work, settings.model_copy(update={"dtype": "float32"}), about)
        if computed >= FEATURE_BATCH:
            rate = round(computed / (time.perf_counter() - began), 1)
            entry.note({"images_per_second": rate})
    entry.used()
    made = Made(str(chosen), "disk", str(entry.folder), len(all_keys), computed)
    made.images_per_second = entry.noted().get("images_per_second")
    return [list(entry.rows(keys)) for _, keys in parts], made


def _tell_damaged(entry: Entry, say: Say) -> None:
    if entry.damaged:
        say(f"{len(entry.damaged)} damaged shards in {entry.folder} are made again")
    for reason, count in Counter(entry.unreadable.values()).items():
        say(
            f"{count} shards in {entry.folder} cannot be read ({reason}); they are left as they are"
        )


def _extend(
    entry: Entry,
    work: _Work,
    part: tuple[Split, int | None, str],
    keys: Sequence[str],
    order: np.ndarray,
) -> int:
    """Computes the rows that an entry lacks, a shard at a time; returns how many."""
    split, view, title = part
    show = work.progress(f"features of {title}, once") if work.progress and len(order) else None
    size = shard_images(work.cut)
    held: list[list[np.ndarray]] = []
    done = 0
    for outputs in work.compute(split, view, order) if len(order) else ():
        held.append(outputs)
        done += len(outputs[0])
        count = sum(len(part[0]) for part in held)
        if count >= size or done == len(order):
            arrays = [np.concatenate(tensors) for tensors in zip(*held, strict=True)]
            entry.write([keys[i] for i in order[done - count : done]], arrays)
            held = []
        if show is not None:
            show(done, len(order))
    return done


def shard_images(cut: Cut) -> int:
    """Images of a shard: whole batches, so that a pass taken up again has the same ones."""
    most = min(SHARD_IMAGES, SHARD_BYTES // max(cut.bytes_per_image(), 1))
    return max(1, math.floor(most / FEATURE_BATCH)) * FEATURE_BATCH


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
