"""Regularisers, one concept a file; `regularize` puts them on a loaded model."""

from typing import Any

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

_find, __dir__ = exports(__name__)


def __getattr__(name: str) -> Any:
    if name == "regularize":
        from tlkit.regularizers.apply import regularize

        return regularize
    return _find(name)
