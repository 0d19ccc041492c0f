"""tlkit: fine-tune pretrained Keras networks from one recipe."""

from __future__ import annotations

from typing import Any

from tlkit.serializable import register_with_keras

__version__ = "0.1.0"

__all__ = ["Run", "finetune", "load_recipe", "register_layers", "resume"]

_HOMES = {
    "Run": "tlkit.workflow",
    "finetune": "tlkit.workflow",
    "resume": "tlkit.workflow",
    "load_recipe": "tlkit.recipe.load",
    "register_layers": "tlkit.serializable",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for, so that `import tlkit` is quick."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tlkit' has no attribute {name!r}")


register_with_keras()
