"""Regularisers, one concept per file; `regularize` adds them to a loaded model."""

from typing import TYPE_CHECKING, Any

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.regularizers.apply import regularize as regularize
    from tlkit.regularizers.l2_sp import L2SP as L2SP
    from tlkit.regularizers.mixout import Mixout as Mixout
    from tlkit.regularizers.native import elastic_net as elastic_net
    from tlkit.regularizers.native import l1 as l1
    from tlkit.regularizers.native import l2 as l2
    from tlkit.regularizers.native import max_norm as max_norm
    from tlkit.regularizers.soft_weight_sharing import SoftWeightSharing as SoftWeightSharing

_find, _names = exports(__name__)


def __getattr__(name: str) -> Any:
    if name == "regularize":
        from tlkit.regularizers.apply import regularize

        return regularize
    return _find(name)


def __dir__() -> list[str]:
    return sorted([*_names(), "regularize"])
