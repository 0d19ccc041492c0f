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
from tlkit.features.cache import CacheEntry, cache_key, cache_root
from tlkit.features.engine import (
    CHECKED,
    WORTH_AN_ENGINE,
    Engine,
    choose_engine,
    keras_outputs,
    ranked,
)
from tlkit.features.fingerprint import fingerprint
from tlkit.features.split_network import Cut
from tlkit.recipe.schema import Cache
from tlkit.reporter import SILENT, Reporter

FEATURE_BATCH = 32
# size of one shard: the most that a killed run loses
SHARD_IMAGES, SHARD_BYTES = 1024, 64 * 1024**2


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmented views of each training image, computed once and cycled through by the epochs.

    Attributes:
        count: Number of views of each image.
        key: Hash of the augmentation and its seed.
        draw: Maps uint8 images and a seed text to augmented uint8 images.
    """

    count: int
    key: str
    draw: Callable[[Any, str], Any]


@dataclasses.dataclass
class FeatureStats:
    """How features were computed.

    Attributes:
        engine: Engine that computed those of the training images.
        kept: `disk` or `memory`.
        folder: Cache folder, if on disk.
        images: Total number of rows, counting each view.
        computed: Rows that were not cached before.
        seconds: Duration, including building the engine.
        validation: Engine that computed those of the validation images.
        images_per_second: Throughput when those of the training images were last computed,
            without building the engine.
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
    """Number of feature rows: one per view of a training image, one per validation image."""
    return len(dataset.train) * views + len(dataset.val)


def worth_making(engine: str, dataset: Dataset, views: int = 1) -> str:
    """`keras` instead of `auto` if building another engine takes longer than it saves."""
    height, width = dataset.image_size
    small = image_count(dataset, views) * height * width < WORTH_AN_ENGINE
    return "keras" if engine == "auto" and small else engine


def place_for(
    cut: Cut, dataset: Dataset, cache: str | Cache, views: int = 1
) -> tuple[str | None, str]:
    """Where the features of a data set will be cached, and why; None if nowhere.

    Args:
        cut: Cut of the network.
        dataset: Dataset.
        cache: The recipe's `cache`.
        views: Number of views of each training image.
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
    *,
    engine: str = "auto",
    views: Views | None = None,
    about: str = "",
    reporter: Reporter = SILENT,
) -> tuple[Dataset, FeatureStats] | None:
    """The dataset with the features at the cut in place of the images.

    None if they can be cached neither on disk nor in memory.

    Args:
        cut: Cut of the network.
        dataset: Dataset.
        cache: The recipe's `cache`.
        engine: Registered name of the inference backend; `auto` is the fastest available.
        views: Views of each training image; by default the image itself.
        about: The network's name, for `tlkit cache ls`.
        reporter: Reports which engine was chosen, why others were not, and the progress.
    """
    began = time.perf_counter()
    train = _SplitFeatures(cut, dataset, "train", engine, reporter, views)
    val = _SplitFeatures(cut, dataset, "val", engine, reporter, None, train)
    fits = image_count(dataset, train.views) * cut.bytes_per_image() < MEMORY_SHARE * free_memory()
    settings = Cache() if isinstance(cache, str) else cache
    on_disk = place_for(cut, dataset, cache, train.views)[0] == "disk"
    found: list[tuple[list[list[Any]], FeatureStats]] = []
    for work in (train, val):
        one: tuple[list[list[Any]], FeatureStats] | None = None
        if on_disk:
            try:
                one = _on_disk(work, settings, about)
            except (OSError, NotImplementedError) as error:
                reporter.detail(f"features are not kept on disk: {_reason(error)}")
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
class _SplitFeatures:
    """The images of one split to compute, and the engine once it is chosen.

    Attributes:
        cut: Cut of the network.
        dataset: Dataset.
        role: Name of the split. A head adapts to the rounding of training features; validation
            features are computed as the served model does.
        wanted: Name of the engine, or `auto`.
        reporter: Reports to the user.
        drawn: Views of each image.
        first: The work done before, whose engine is reused if it is exact.
        chosen: The engine.
        reference: Keras's outputs for some images.
    """

    cut: Cut
    dataset: Dataset
    role: SplitName
    wanted: str
    reporter: Reporter
    drawn: Views | None = None
    first: _SplitFeatures | None = None
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
            self.reference, before.chosen = before.reference, None  # frees its memory
        images, _ = next(batches(self.dataset.train, self.dataset.prepare, CHECKED))
        images = np.asarray(images)
        if self.reference is None and self.wanted != "keras":
            self.reference = keras_outputs(self.cut.frozen, images)
        self.chosen = choose_engine(
            self.cut.frozen, images, self.wanted, self.exact, self.reference
        )
        for note in self.chosen.notes:
            self.reporter.detail(note)
        self.reporter.detail(f"features of {self.role} by engine {self.chosen}")
        return self.chosen

    def parts(self) -> list[tuple[Split, int | None, str]]:
        """Each view of the images, or the unchanged images, with its title."""
        split = self.dataset.splits[self.role]
        if self.drawn is None:
            return [(split, None, self.role)]
        titles = [f"{self.role}, view {k + 1} of {self.views}" for k in range(self.views)]
        return [(split, k, title) for k, title in enumerate(titles)]

    def keys(self, split: Split, view: int | None) -> list[str]:
        """The cache keys of the rows of a part."""
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
                # seeded by the images, so that an interrupted computation repeats the same views
                images = self.drawn.draw(images, f"{view} {split.hashes[order[done]]}")
            yield run(images)
            done += len(labels)


def _in_memory(work: _SplitFeatures) -> tuple[list[list[Any]], FeatureStats]:
    features = []
    work.engine()
    began = time.perf_counter()
    for split, view, title in work.parts():
        show = work.reporter.progress(f"features of {title}, once")
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
    return features, FeatureStats(str(work.engine()), "memory", None, count, count, 0.0, rate)


def _on_disk(
    work: _SplitFeatures, settings: Cache, about: str
) -> tuple[list[list[Any]], FeatureStats]:
    """Features from the cache; missing ones are computed first.

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

    def entry_of(name: str, precision: str) -> CacheEntry:
        package = registry.ENGINES[name].facts.needs
        key = cache_key(*what, name, precision, _version(package) if package else "")
        note = {**described, "engine": f"{name}, {precision}"}
        return CacheEntry(root / key, work.cut.shapes, settings.dtype, note)

    # if another engine is wanted, Keras's features are used only when that engine failed
    names = ranked(work.wanted, work.exact)
    for name in [n for n in names if n != "keras" or work.wanted in ("auto", "keras")]:
        for precision in registry.ENGINES[name].facts.precisions.split():
            entry = entry_of(name, precision)
            entry.read()
            _tell_damaged(entry, work.reporter)
            if not entry.missing(all_keys):
                entry.used()
                if all_keys:
                    work.reporter.detail(
                        f"features of {work.role} by engine {name}, all {len(all_keys)} from "
                        f"{entry.folder}"
                    )
                made = FeatureStats(
                    f"{name}, {precision}", "disk", str(entry.folder), len(all_keys), 0
                )
                made.images_per_second = entry.noted().get("images_per_second")
                return [list(entry.rows(keys)) for _, keys in parts], made

    chosen = work.engine()
    entry = entry_of(chosen.name, chosen.precision)
    computed, began = 0, time.perf_counter()
    with entry.held(
        lambda: work.reporter.detail("another run computes these features; waiting for it ...")
    ):
        _tell_damaged(entry, work.reporter)
        for (split, view, title), keys in parts:
            order = np.array(entry.missing(keys), np.int64)
            if len(order) < len(keys):
                work.reporter.detail(
                    f"features of {title}: {len(keys) - len(order)} of {len(keys)} were kept"
                )
            try:
                computed += _extend(entry, work, (split, view, title), keys, order)
            except OverflowError as error:
                work.reporter.detail(f"{error}; they are kept as float32")
                return _on_disk(work, settings.model_copy(update={"dtype": "float32"}), about)
        if computed >= FEATURE_BATCH:
            rate = round(computed / (time.perf_counter() - began), 1)
            entry.note({"images_per_second": rate})
    entry.used()
    made = FeatureStats(str(chosen), "disk", str(entry.folder), len(all_keys), computed)
    made.images_per_second = entry.noted().get("images_per_second")
    return [list(entry.rows(keys)) for _, keys in parts], made


def _tell_damaged(entry: CacheEntry, reporter: Reporter) -> None:
    if entry.damaged:
        reporter.detail(f"{len(entry.damaged)} damaged shards in {entry.folder} are made again")
    for reason, count in Counter(entry.unreadable.values()).items():
        reporter.detail(
            f"{count} shards in {entry.folder} cannot be read ({reason}); they are left as they are"
        )


def _extend(
    entry: CacheEntry,
    work: _SplitFeatures,
    part: tuple[Split, int | None, str],
    keys: Sequence[str],
    order: np.ndarray,
) -> int:
    """Computes the rows missing in an entry, shard by shard; returns how many."""
    split, view, title = part
    show = work.reporter.progress(f"features of {title}, once") if len(order) else None
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
    """Images per shard: whole batches, so that a resumed computation has the same batches."""
    most = min(SHARD_IMAGES, SHARD_BYTES // max(cut.bytes_per_image(), 1))
    return max(1, math.floor(most / FEATURE_BATCH)) * FEATURE_BATCH


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
