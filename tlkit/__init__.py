"""tlkit: fine-tune pretrained Keras networks from one recipe."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tlkit.serializable import register_with_keras

if (
    TYPE_CHECKING
):  # for editors and type checkers; at run time, `__getattr__` imports names on demand
    from tlkit import (
        activations,
        adversarial,
        augment,
        callbacks,
        initializers,
        layers,
        losses,
        optimizers,
        preprocess,
        regularizers,
        schedules,
        surgery,
    )
    from tlkit.errors import (
        DataError,
        RecipeError,
        RunError,
        RunFailed,
        UserError,
        WeightsError,
    )
    from tlkit.recipe.load import load_recipe
    from tlkit.recipe.schema import (
        Adversarial,
        Cache,
        Checkpoint,
        Data,
        EarlyStopping,
        EffectiveNumber,
        Ema,
        Finetune,
        Model,
        Norm,
        Recipe,
        Require,
        Split,
        Stage,
    )
    from tlkit.registry import register
    from tlkit.runs.run import Prediction, Run, load_run
    from tlkit.runs.workflow import (
        check_recipe,
        find_learning_rate,
        finetune,
        reproduce,
        resume,
        show_plan,
    )
    from tlkit.serializable import register_layers
    from tlkit.tasks.classification.figures import ClassFigures, Metrics
    from tlkit.train.interrupt import Interrupted

__version__ = "0.1.0"

# module of each public name; packages are public as a whole
_HOMES = {
    "tlkit.errors": (
        "DataError", "RecipeError", "RunError", "RunFailed", "UserError", "WeightsError",
    ),
    "tlkit.runs.run": ("Prediction", "Run", "load_run"),
    "tlkit.tasks.classification.figures": ("ClassFigures", "Metrics"),
    "tlkit.recipe.load": ("load_recipe",),
    "tlkit.recipe.schema": (
        "Adversarial", "Cache", "Checkpoint", "Data", "EarlyStopping", "EffectiveNumber", "Ema",
        "Finetune", "Model", "Norm", "Recipe", "Require", "Split", "Stage",
    ),
    "tlkit.registry": ("register",),
    "tlkit.serializable": ("register_layers",),
    "tlkit.train.interrupt": ("Interrupted",),
    "tlkit.runs.workflow": (
        "check_recipe", "find_learning_rate", "finetune", "reproduce", "resume", "show_plan",
    ),
}  # fmt: skip
_PACKAGES = (
    "activations", "adversarial", "augment", "callbacks", "initializers", "layers", "losses",
    "optimizers", "preprocess", "regularizers", "schedules", "surgery",
)  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Adversarial",
    "Cache",
    "Checkpoint",
    "ClassFigures",
    "Data",
    "DataError",
    "EarlyStopping",
    "EffectiveNumber",
    "Ema",
    "Finetune",
    "Interrupted",
    "Metrics",
    "Model",
    "Norm",
    "Prediction",
    "Recipe",
    "RecipeError",
    "Require",
    "Run",
    "RunError",
    "RunFailed",
    "Split",
    "Stage",
    "UserError",
    "WeightsError",
    "activations",
    "adversarial",
    "augment",
    "callbacks",
    "check_recipe",
    "find_learning_rate",
    "finetune",
    "initializers",
    "layers",
    "load_recipe",
    "load_run",
    "losses",
    "optimizers",
    "preprocess",
    "register",
    "register_layers",
    "regularizers",
    "reproduce",
    "resume",
    "schedules",
    "show_plan",
    "surgery",
]


def __getattr__(name: str) -> Any:
    """Imports public names on first use, so that `import tlkit` is fast."""
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"tlkit.{name}")
    raise AttributeError(f"module 'tlkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_keras()
