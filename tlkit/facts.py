"""What tlkit needs to know about a registered thing without importing its file, by kind."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about anything that is registered.

    Attributes:
        native: Its equivalent in Keras, such as `keras.layers.RandomFlip`.
        rule: Function in `tlkit.limits` that checks its arguments together.
    """

    native: str | None = None
    rule: str | None = None


@dataclasses.dataclass(frozen=True)
class AugmentationFacts(Facts):
    """Facts about an augmentation.

    Attributes:
        mixes_labels: Whether it mixes images together with their labels: it is called with
            `{"images": ..., "labels": ...}`.
        fitted: Whether its `adapt` is called with the training images.
        tasks: As in `LossFacts`.
    """

    mixes_labels: bool = False
    fitted: bool = False
    tasks: str | None = None


@dataclasses.dataclass(frozen=True)
class PreprocessorFacts(Facts):
    """Facts about a preprocessing step.

    Attributes:
        leaves: Its output: pixels in [0, 255], values centred on zero, or values that are also
            scaled.
    """

    leaves: Literal["pixels", "centred", "scaled"] = "pixels"


@dataclasses.dataclass(frozen=True)
class HeadFacts(Facts):
    """Facts about a head.

    Attributes:
        stored: Whether it is computed from the training images' features rather than trained.
        tasks: As in `LossFacts`.
    """

    stored: bool = False
    tasks: str | None = None


@dataclasses.dataclass(frozen=True)
class LayerFacts(Facts):
    """Facts about a layer.

    Attributes:
        inserted: Whether recipes may insert it; the others are for user-defined models.
        where: Where it is inserted by default.
    """

    inserted: bool = True
    where: str | None = None


@dataclasses.dataclass(frozen=True)
class LossFacts(Facts):
    """Facts about a loss.

    Attributes:
        wraps: The argument that is another loss.
        soft_labels: Whether it takes fractional class labels, as mixed images have.
        solved: Whether `solver: lbfgs` can bring a head to its optimum.
        tasks: Names of the tasks it is for, separated by spaces; None if it is for all.
    """

    wraps: str | None = None
    soft_labels: bool = True
    solved: bool = False
    tasks: str | None = None


@dataclasses.dataclass(frozen=True)
class RegularizerFacts(Facts):
    """Facts about a regularizer.

    Attributes:
        acts: How it acts: a penalty on each variable, a penalty on all of them together with
            variables of its own, a constraint after each update, or other weights in the step.
    """

    acts: Literal["penalty", "joint", "constraint", "weights"] = "penalty"


@dataclasses.dataclass(frozen=True)
class ScheduleFacts(Facts):
    """Facts about a schedule.

    Attributes:
        callback: The class in `tlkit.callbacks` that is built from it; by default, its name
            followed by `Decay`, such as `CosineDecay`.
        makes_callback: Whether it returns a Keras callback rather than a function of the step.
    """

    callback: str | None = None
    makes_callback: bool = False


@dataclasses.dataclass(frozen=True)
class TrackerFacts(Facts):
    """Facts about a tracker.

    Attributes:
        required: Whether the run stops if it fails; if any other tracker fails, the run goes on.
    """

    required: bool = False


@dataclasses.dataclass(frozen=True)
class EngineFacts(Facts):
    """Facts about an engine.

    Attributes:
        rank: Engines of lower rank are tried first.
        least_cosine: Least cosine between its features and those of Keras; below, it is not used.
        precisions: Precisions it may compute in, separated by spaces.
        device: The only device that it is for.
        needs: The package that it is built with.
        instead: The engine that it replaces if that one's rounding error is too large.
        loader: Function of its module that loads what its `save` wrote.
    """

    rank: int = 0
    least_cosine: float = 0.0
    precisions: str = "float32"
    device: str | None = None
    needs: str | None = None
    instead: str | None = None
    loader: str = ""


@dataclasses.dataclass(frozen=True)
class ExportFacts(Facts):
    """Facts about an export format.

    Attributes:
        runtime: The module in `tlkit.export.runtimes` that runs it.
        takes: Input of the exported model.
        extra: The extra of tlkit that installs its requirements.
        needs: Packages it needs, separated by spaces.
    """

    runtime: str = ""
    takes: Literal["bytes", "uint8", "float32"] = "uint8"
    extra: str = ""
    needs: str = ""
