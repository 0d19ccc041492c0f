"""Registers tlkit's classes with Keras, whichever of the two is imported first.

Keras looks up the classes that a saved model names in a table. `register_keras_serializable` adds
a class when the class's file is imported; Keras imports no other package by itself. So the files
are imported once both packages are loaded, and `import tlkit` alone does not load Keras.
"""

from __future__ import annotations

import importlib
import importlib.abc
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# modules with classes that saved models may name; each imports Keras before its own files, so that
# these are never imported in the middle of each other
PACKAGES = (
    "layers",
    "activations",
    "preprocess",
    "augment",
    "losses",
    "regularizers",
    "schedules",
    "optimizers",
)


def register_layers() -> None:
    """Registers every tlkit class with Keras, so that `load_model` finds them.

    Importing tlkit does this automatically, at once or when Keras is imported.
    """
    for name in PACKAGES:
        package = importlib.import_module(f"tlkit.{name}")
        for item in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"tlkit.{name}.{item.name}")


def register_with_keras() -> None:
    """Calls `register_layers` now if Keras is loaded, else when it is imported."""
    keras = sys.modules.get("keras")
    if keras is None or getattr(keras.__spec__, "_initializing", False):
        sys.meta_path.insert(0, _Watch())
    else:
        register_layers()


class _Watch(importlib.abc.MetaPathFinder):
    """Detects the import of Keras, then removes itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Keras's own spec, with a loader that registers afterwards."""
        if name != "keras":
            return None
        for finder in sys.meta_path:
            spec = None if isinstance(finder, _Watch) else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Keras's loader, followed by the registration."""

    def __init__(self, loader: importlib.abc.Loader, watch: _Watch):
        self.loader, self.watch = loader, watch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Creates Keras's module."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Runs Keras with its own loader, then registers the classes."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        if self.watch in sys.meta_path:
            sys.meta_path.remove(self.watch)
            register_layers()
