"""Recognizes common names of splits: `training_set`, `Test Images`, `val2017`, `validate`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tlkit.data.record import SplitName

WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "trainings": "train",
    "trn": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "devel": "val",
    "development": "val",
    "eval": "val",
    "evaluate": "val",
    "evaluation": "val",
    "test": "test",
    "tests": "test",
    "testing": "test",
    "tst": "test",
    "entrenamiento": "train",
    "treino": "train",
    "entrainement": "train",
    "validierung": "val",
    "validacion": "val",
    "validacao": "val",
    "teste": "test",
    "prueba": "test",
    "训练": "train",
    "验证": "val",
    "测试": "test",
}
# words that may stand beside a split's name without changing its meaning
FILLERS = frozenset({
    "set", "sets", "data", "dataset", "datasets", "daten", "datos", "dados", "image", "images",
    "img", "imgs", "im", "bilder", "imagenes", "imagens", "picture", "pictures", "pics", "photo",
    "photos", "fotos", "file", "files", "folder", "dir", "split", "splits", "part", "seg",
    "segment", "sample", "samples", "batch", "class", "classes", "labeled", "labelled", "new",
    "full", "final", "small", "mini", "resized", "clean", "cleaned", "cropped", "crop", "raw",
    "original", "orig", "the", "of", "for", "x", "y", "v", "my", "public", "private", "集", "图片", "图像",
    "数据",
})  # fmt: skip
# parts, kinds and states of data, none of which is a class
PARTS = frozenset({
    "fold", "folds", "kfold", "part", "parts", "split", "splits", "batch", "chunk", "shard", "subset", "set",
    "dataset", "data", "holdout", "query", "gallery", "labeled", "labelled", "unlabeled", "unlabelled",
    "annotated", "unannotated", "image", "images", "img", "imgs", "input", "inputs", "mask", "masks",
    "labels", "annotation", "annotations", "segmentation", "segmentations", "groundtruth", "gt",
    "targets", "output", "outputs", "original", "originals", "augmented", "resized", "processed",
    "preprocessed", "raw", "thumbnail", "preview", "previews", "backup", "hr", "lr",
})  # fmt: skip
_LONGEST_FIRST = sorted(WORDS, key=lambda word: (-len(word), word))


def splits_named(text: str) -> set[SplitName]:
    """The splits that a name refers to, if it refers to nothing else: two for `train_test`.

    Class names do not count: in `steam_train` and `test tube`, one word means something else.
    """
    found: set[SplitName] = set()
    for word in _words(text):
        split = _split_of(word)
        if split is not None:
            found.add(split)
        elif not (word.isdecimal() or word in FILLERS):
            return set()
    return found


def split_name(text: str) -> SplitName | None:
    """The split of a name: `Validation` -> `val`; None if it names no split, or two."""
    found = splits_named(text)
    return found.pop() if len(found) == 1 else None


def split_pairs(names: Iterable[str]) -> bool:
    """Whether names differ only in the split, such as `pets_train` and `pets_test`.

    All must name a split, so the classes `steam_train`, `test tube` and `cat` do not match.
    """
    splits: dict[tuple[str, ...], set[SplitName]] = {}
    for name in names:
        words = _words(name)
        own = {split for word in words if (split := WORDS.get(word))}
        if len(own) != 1:
            return False
        rest = tuple(word for word in words if word not in WORDS)
        splits.setdefault(rest, set()).update(own)
    return any(len(found) > 1 for found in splits.values())


def is_part(text: str) -> bool:
    """Whether a name is not a class but a part or kind of data: `fold_1`, `unlabeled`, `masks`."""
    words = _words(text)
    rest = [word for word in words if not (word.isdecimal() or word in FILLERS)]
    return any(word in PARTS for word in words) and all(word in PARTS for word in rest)


def _words(text: str) -> list[str]:
    """`TrainImages_2017` -> train, images, 2017; accents are removed."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", unicodedata.normalize("NFD", text))
    plain = "".join(c for c in apart if not unicodedata.combining(c)).casefold()
    return re.findall(r"[^\W\d_]+|\d+", plain)


def _split_of(word: str) -> SplitName | None:
    """The split of one word, or of one joined with a filler, such as `testset`."""
    for start in _LONGEST_FIRST:
        if word == start or (word.startswith(start) and word[len(start) :] in FILLERS):
            return WORDS[start]
        if len(start) > 2 and word.endswith(start) and word[: -len(start)] in FILLERS:
            return WORDS[start]
    return None
