"""What tlkit knows about a backbone before it is built; does not import TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
import pkgutil
import re
from typing import Any, Literal

from tlkit.errors import did_you_mean
from tlkit.tensors import KerasModel

Preprocessing = Literal["tf", "caffe", "torch", "none", "affine"]


@dataclasses.dataclass(frozen=True)
class BackboneSpec:
    """One backbone: how to build it, preprocess its input and split it into blocks, and its owner.

    Attributes:
        name: Name in recipes, in snake_case.
        constructor: `module:attribute` of a callable that takes `include_top`,
            `weights` and `input_shape` and returns a functional Keras model.
        preprocessing: Input it expects: `tf` is RGB in [-1, 1], `torch` is RGB
            standardized with ImageNet's mean and standard deviation, `caffe` is BGR
            minus the mean, `none` is raw RGB in [0, 255], which the network scales
            itself, `affine` is RGB times `scale` plus `offset`.
        size: Side in pixels of the images it was trained on.
        minimum_size: Smallest side it accepts, in pixels.
        blocks: Regular expression matched at the start of a layer's name; the
            text it matches, or its first group, names the block. Layers that do
            not match belong to the block before them.
        blocks_end: Whether the pattern matches a block's last layer only.
        licence: Licence of the code and the original weights, with their owner.
        weights: Where the weights come from.
        bundled: File name in this package of the weights that ship with tlkit.
        parameters: Number of parameters in millions, without the original top.
        arguments: Arguments that are always passed to the constructor.
        full_rate: Adam's default learning rate when more than the head trains;
            networks without batch normalisation need a lower one.
        scale: Scale of each channel, for `affine`.
        offset: Offset of each channel, for `affine`.
    """

    name: str
    constructor: str
    preprocessing: Preprocessing
    size: int
    minimum_size: int
    blocks: str
    licence: str
    weights: str
    parameters: float
    blocks_end: bool = False
    bundled: str | None = None
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    full_rate: float = 1e-3
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def build(self, **arguments: Any) -> KerasModel:
        """Calls the constructor."""
        module, _, attribute = self.constructor.partition(":")
        return getattr(importlib.import_module(module), attribute)(**self.arguments, **arguments)

    def bundled_file(self) -> pathlib.Path | None:
        """The file of its bundled weights."""
        return pathlib.Path(__file__).parent / self.bundled if self.bundled else None

    def blocks_of(self, layer_names: list[str]) -> list[tuple[str, list[str]]]:
        """Splits a backbone's layers, input first, into named blocks in order."""
        blocks: list[tuple[str, list[str]]] = [("stem", [])]
        for name in layer_names:
            match = re.match(self.blocks, name)
            key = (match.group(match.lastindex or 0)).strip("_") if match else None
            if self.blocks_end:
                blocks[-1][1].append(name)
                if key is not None:
                    blocks[-1] = (key, blocks[-1][1])
                    blocks.append(("top", []))
            else:
                if key is not None and key != blocks[-1][0]:
                    blocks.append((key, []))
                blocks[-1][1].append(name)
        return [block for block in blocks if block[1]]


@functools.cache
def _specs() -> dict[str, BackboneSpec]:
    """The specs in the `SPECS` lists of this package's modules."""
    package = pathlib.Path(__file__).parent
    found: dict[str, BackboneSpec] = {}
    for item in pkgutil.iter_modules([str(package)]):
        if item.name != "spec":
            module = importlib.import_module(f"tlkit.backbones.{item.name}")
            for spec in getattr(module, "SPECS", ()):
                found[spec.name] = spec
    return dict(sorted(found.items()))


def names() -> list[str]:
    """All registered backbones, in alphabetical order."""
    return list(_specs())


def bundled() -> list[str]:
    """The backbones whose weights ship with tlkit."""
    return [spec.name for spec in _specs().values() if spec.bundled]


def find(name: str) -> BackboneSpec:
    """The spec of a registered backbone.

    Raises:
        KeyError: if there is none of that name.
    """
    return _specs()[name]


def suggest(name: str) -> str:
    """The message about a backbone that is not registered."""
    return f"{name!r} is not a backbone. {did_you_mean(name, names())} See: tlkit backbones"
