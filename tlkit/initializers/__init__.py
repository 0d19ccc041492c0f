"""Initializers by name, for heads and other new layers."""

from typing import TYPE_CHECKING

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.initializers.native import gaussian as gaussian
    from tlkit.initializers.native import he as he
    from tlkit.initializers.native import orthogonal as orthogonal
    from tlkit.initializers.native import xavier as xavier
    from tlkit.initializers.native import zeros as zeros

__getattr__, __dir__ = exports(__name__)
