"""What tlkit knows about a backbone before it is built; imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pathlib
import pkgutil
import re
from typing import Any, Literal

from tlkit.errors import did_you_mean

Preprocessing = Literal["tf", "caffe", "torch", "none", "affine"]


@dataclasses.dataclass(frozen=True)
class BackboneSpec:
    """One backbone: how to build it, feed it, cut it into blocks, and who owns it.

    Attributes:
        name: What recipes call it, in snake_case.
        constructor: `module:attribute` of a callable that takes `include_top`,
            `weights` and `input_shape` and returns a functional Keras model.
        preprocessing: What its input needs: `tf` is RGB in [-1, 1], `torch` is
            RGB with ImageNet's mean and deviation taken out, `caffe` is BGR with
            the mean taken out, `none` is raw RGB in [0, 255], which the network
            scales itself, `affine` is RGB times `scale` plus `offset`.
        size: Side in pixels that it was trained at.
        minimum_size: Smallest side it accepts, in pixels.
        blocks: Regular expression matched at the start of a layer's name; the
            text it matches, or its first group, names the block. Layers that do
            not match belong to the block before them.
        blocks_end: The pattern marks a block's last layer, not every layer of it.
        licence: Of the code and the original weights, with their owner.
        weights: Where the weights come from.
        bundled: Weights that ship with tlkit, a file name in this package.
        parameters: Millions, without the original top.
        arguments: Always passed to the constructor.
        full_rate: Adam's learning rate where more than the head trains and a recipe
            names none; networks without normalisation by batch want less.
        scale: Of each channel, for `affine`.
        offset: Of each channel, for `affine`.
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

    def build(self, **arguments: Any) -> Any:
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
    """Every `SPECS` list of this package's modules."""
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
    """What to say about a backbone that is not registered."""
    return f"{name!r} is not a backbone. {did_you_mean(name, names())} See: tlkit backbones"
