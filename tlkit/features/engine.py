"""The fastest available engine whose outputs match Keras's."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.errors import UserError, first_line
from tlkit.features.compiled_model import CompiledModel
from tlkit.tensors import KerasModel, Tensor

# largest deviation from Keras of engines that only round as float32 does
EXACT_COSINE, EXACT_DIFFERENCE = 0.9999, 1e-3
# images for comparing an engine with Keras
CHECKED = 8
# pixels below which building an engine takes longer than it saves: 256 images of 224 x 224
WORTH_AN_ENGINE = 256 * 224 * 224


@dataclasses.dataclass
class Engine:
    """A compiled network, and how its outputs compare with Keras's.

    Attributes:
        name: Name of the engine.
        run: Maps images `(n, height, width, channels)` to a list of float32 arrays.
        cosine: Cosine similarity of its outputs with Keras's on some images; 1 if equal.
        difference: Largest difference on these, as a fraction of the largest value.
        notes: Engines that were skipped, and why.
    """

    name: str
    run: CompiledModel
    cosine: float = 1.0
    difference: float = 0.0
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def precision(self) -> str:
        """Precision of the computation."""
        return self.run.precision

    def is_exact(self) -> bool:
        """Whether it differs from Keras only by float32 rounding."""
        return self.cosine >= EXACT_COSINE and self.difference <= EXACT_DIFFERENCE

    def __str__(self) -> str:
        if self.name == "keras":
            return "keras"
        return (
            f"{self.name}, {self.precision} (cosine {self.cosine:.6f}, difference "
            f"{self.difference:.1e} of Keras)"
        )


def expect_engine(name: str, where: str = "engine") -> str:
    """The name of an available engine, or `auto`.

    Raises:
        UserError: if it is unknown or not installed.
    """
    if name != "auto" and name not in registry.ENGINES:
        raise UserError(registry.ENGINES.suggest(name), where=where)
    if name != "auto" and (command := missing(name)):
        raise UserError(f"{name!r} is not installed", where=where, hint=f"Install it: {command}")
    return name


def ranked(wanted: str = "auto", exact: bool = False) -> list[str]:
    """Names of the engines that may be used, fastest first, Keras last."""
    facts = {name: entry.facts for name, entry in registry.ENGINES.items()}
    names = sorted(facts, key=lambda name: facts[name].rank)
    here = _device() if wanted == "auto" else ""

    def fits(name: str) -> bool:
        if wanted == "auto":
            return facts[name].device in (None, here)
        return wanted in (name, facts[name].instead)

    return [
        name
        for name in names
        if name == "keras"
        or (fits(name) and (not exact or facts[name].least_cosine >= EXACT_COSINE))
    ]


def _device() -> str:
    """The kind of device that TensorFlow computes on."""
    import tensorflow as tf

    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def missing(name: str) -> str | None:
    """What to install for an engine; None if it is available."""
    package = registry.ENGINES[name].facts.needs
    if package is None or importlib.util.find_spec(package) is not None:
        return None
    return f"pip install 'tlkit[{package}]'"


def choose_engine(
    model: KerasModel,
    images: Tensor,
    wanted: str = "auto",
    exact: bool = False,
    reference: Any = None,
) -> Engine:
    """Builds the wanted engine, or the fastest available one, and compares it with Keras.

    An engine that cannot be built or does not match is skipped with a note; Keras
    itself is the last resort.

    Args:
        model: Functional Keras model with one input, which must not train meanwhile.
        images: Sample of its inputs, uint8.
        wanted: `auto` or a registered name.
        exact: Outputs must match Keras's up to float32 rounding.
        reference: Keras's outputs for the images, if known.
    """
    notes: list[str] = []
    for name in ranked(wanted, exact):
        facts = registry.ENGINES[name].facts
        if name == "keras":
            break
        if command := missing(name):
            if wanted != "auto":
                notes.append(f"engine {name} is not installed: {command}")
            continue
        try:
            run: CompiledModel = registry.ENGINES.build(name, model)
            outputs = run(images)
        except Exception as error:  # an engine may fail in any way; Keras remains
            notes.append(f"engine {name} cannot run this network: {first_line(error)}")
            continue
        if reference is None:
            reference = keras_outputs(model, images)
        cosine, difference = compare(reference, outputs)
        engine = Engine(name, run, cosine, difference, notes)
        if cosine >= facts.least_cosine and (engine.is_exact() or not exact):
            return engine
        notes.append(
            f"engine {name} does not agree with Keras: cosine similarity {cosine:.4f}, difference "
            f"{difference:.1e}"
        )
    return Engine("keras", registry.ENGINES.build("keras", model), notes=notes)


def keras_outputs(model: KerasModel, images: Tensor) -> list[np.ndarray]:
    """Keras's float32 outputs, from the same traced operations that the engines start from."""
    from tlkit.features.engines.keras import (
        MOST_CONSTANTS,
        as_arrays,
        as_traced,
        constant,
        traced,
    )

    forward = (traced if 4 * model.count_params() > MOST_CONSTANTS else constant)(model)
    with as_traced():
        found: list[np.ndarray] = as_arrays(forward)(images)
    return found


def compare(expected: list[np.ndarray], found: list[np.ndarray]) -> tuple[float, float]:
    """Cosine similarity, and largest difference relative to the largest value; worst output."""
    cosines, differences = [], []
    for a, b in zip(expected, found, strict=True):
        x, y = (np.asarray(value, "float64").ravel() for value in (a, b))
        if x.shape != y.shape or not np.isfinite(y).all():
            return 0.0, float("inf")
        lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
        cosines.append(float(x @ y) / lengths if lengths else float(np.array_equal(x, y)))
        differences.append(float(np.abs(x - y).max() / max(np.abs(x).max(), 1e-12)))
    return min(cosines), max(differences)
