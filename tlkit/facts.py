"""What tlkit asks about a registered thing without importing its file, by kind of thing."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Facts:
    """What may be said of anything.

    Attributes:
        native: Where Keras has it already, as `keras.layers.RandomFlip`.
        rule: The function in `tlkit.limits` that its arguments must obey together.
    """

    native: str | None = None
    rule: str | None = None


@dataclasses.dataclass(frozen=True)
class AugmentationFacts(Facts):
    """Of an augmentation.

    Attributes:
        mixes_labels: It mixes images and their labels alike: it is called with
            `{"images": ..., "labels": ...}`.
        fitted: Its `adapt` is called with the training images.
        tasks: As of `LossFacts`.
    """

    mixes_labels: bool = False
    fitted: bool = False
    tasks: str | None = None


@dataclasses.dataclass(frozen=True)
class PreprocessorFacts(Facts):
    """Of a preprocessing step.

    Attributes:
        leaves: What comes out: pixels in [0, 255], numbers around zero, or numbers that are
            scaled too.
    """

    leaves: Literal["pixels", "centred", "scaled"] = "pixels"


@dataclasses.dataclass(frozen=True)
class HeadFacts(Facts):
    """Of a head.

    Attributes:
        stored: It is made of the training images' features, not trained.
        tasks: As of `LossFacts`.
    """

    stored: bool = False
    tasks: str | None = None


@dataclasses.dataclass(frozen=True)
class LayerFacts(Facts):
    """Of a layer.

    Attributes:
        inserted: Recipes may insert it; the others are for models of one's own.
        where: Where it goes if recipes do not say.
    """

    inserted: bool = True
    where: str | None = None


@dataclasses.dataclass(frozen=True)
class LossFacts(Facts):
    """Of a loss.

    Attributes:
        wraps: The argument that is another loss.
        soft_labels: It takes labels that are shares of classes, as mixed images have.
        solved: `solver: lbfgs` takes a head to its optimum.
        tasks: What it is for, names of tasks separated by spaces; None where it does for all.
    """

    wraps: str | None = None
    soft_labels: bool = True
    solved: bool = False
    tasks: str | None = None


@dataclasses.dataclass(frozen=True)
class RegularizerFacts(Facts):
    """Of a regularizer.

    Attributes:
        acts: A penalty of each variable, or of all of them together with variables of its own, a
            constraint after each update, or other weights in the step.
    """

    acts: Literal["penalty", "joint", "constraint", "weights"] = "penalty"


@dataclasses.dataclass(frozen=True)
class ScheduleFacts(Facts):
    """Of a schedule.

    Attributes:
        callback: The class in `tlkit.callbacks` that is made of it; if not given, its name with
            `Decay` behind, as `CosineDecay`.
        makes_callback: It gives a callback of Keras's, not a function of the step.
    """

    callback: str | None = None
    makes_callback: bool = False


@dataclasses.dataclass(frozen=True)
class TrackerFacts(Facts):
    """Of a tracker.

    Attributes:
        required: The run ends where it fails; without any other, it goes on.
    """

    required: bool = False


@dataclasses.dataclass(frozen=True)
class EngineFacts(Facts):
    """Of an engine.

    Attributes:
        rank: Those of a lower one are tried first.
        least_cosine: Between its features and those of Keras, or it is not taken.
        precisions: What it may compute in, separated by spaces.
        device: The only one that it is for.
        needs: The package that it is made with.
        instead: The engine that it stands in for where that rounds too much.
    """

    rank: int = 0
    least_cosine: float = 0.0
    precisions: str = "float32"
    device: str | None = None
    needs: str | None = None
    instead: str | None = None


@dataclasses.dataclass(frozen=True)
class ExportFacts(Facts):
    """Of an export format.

    Attributes:
        runtime: The module in `tlkit.export.runtimes` that runs it.
        takes: What the model in it is given.
        extra: The extra of tlkit that installs what it needs.
        needs: Packages, separated by spaces.
    """

    runtime: str = ""
    takes: Literal["bytes", "uint8", "float32"] = "uint8"
    extra: str = ""
    needs: str = ""
