"""Preprocessing steps, fitted on the training images and saved in the model."""

from typing import TYPE_CHECKING

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.preprocess.min_max import MinMax as MinMax
    from tlkit.preprocess.native import standardize as standardize
    from tlkit.preprocess.tone_curves import ArctanScale as ArctanScale
    from tlkit.preprocess.tone_curves import LogScale as LogScale
    from tlkit.preprocess.tone_curves import PowerScale as PowerScale
    from tlkit.preprocess.whitening import Whitening as Whitening
    from tlkit.preprocess.zero_center import ZeroCenter as ZeroCenter

__getattr__, __dir__ = exports(__name__)
