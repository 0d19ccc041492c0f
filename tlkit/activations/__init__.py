"""Activations as layers, by name; a head's `activation` accepts these names."""

from typing import TYPE_CHECKING

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.activations.native import elu as elu
    from tlkit.activations.native import gelu as gelu
    from tlkit.activations.native import hard_silu as hard_silu
    from tlkit.activations.native import leaky_relu as leaky_relu
    from tlkit.activations.native import mish as mish
    from tlkit.activations.native import prelu as prelu
    from tlkit.activations.native import relu as relu
    from tlkit.activations.native import selu as selu
    from tlkit.activations.native import sigmoid as sigmoid
    from tlkit.activations.native import silu as silu
    from tlkit.activations.native import softmax as softmax
    from tlkit.activations.native import softplus as softplus
    from tlkit.activations.native import tanh as tanh
    from tlkit.activations.randomized_leaky_relu import RandomizedLeakyReLU as RandomizedLeakyReLU

__getattr__, __dir__ = exports(__name__)
