"""Every technique in tlkit, as described by its registries and its recipe schema.

`tlkit techniques` and docs/techniques.md are generated from here. TensorFlow is not
imported.
"""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pydantic_core

from tlkit import registry
from tlkit.entry import Entry
from tlkit.facts import Facts, LayerFacts
from tlkit.recipe.schema import Adversarial, Finetune, Model, Stage
from tlkit.registry import Registry

# where it goes in a recipe; NAME stands for the name, with its arguments if it has any
PLACES: list[tuple[Registry[Any], str]] = [
    (registry.POLICIES, "finetune:\n  stages:\n    - policy: NAME"),
    (registry.SCHEDULES, "finetune:\n  stages:\n    - policy: full\n      schedule: NAME"),
    (registry.OPTIMIZERS, "finetune:\n  stages:\n    - policy: full\n      optimizer: NAME"),
    (registry.LOSSES, "finetune:\n  loss: NAME"),
    (registry.REGULARIZERS, "regularize:\n  - NAME"),
    (registry.LAYERS, "model:\n  insert:\n    - NAME"),
    (registry.ACTIVATIONS, "model:\n  head: {mlp: {activation: NAME}}"),
    (registry.INITIALIZERS, "model:\n  head: {linear: {initializer: NAME}}"),
    (registry.HEADS, "model:\n  head: NAME"),
    (registry.AUGMENTATIONS, "augment:\n  - NAME"),
    (registry.PREPROCESSORS, "preprocess:\n  - NAME"),
    (registry.ENGINES, "engine: NAME"),
    (registry.ADVERSARIES, "finetune:\n  adversarial:\n    attack: NAME"),
]
PLURALS = {
    "policy": "policies",
    "loss": "losses",
    "option of training": "options of training",
}

# training options that are a recipe key rather than a registered name
OPTIONS: dict[str, tuple[type, str, str]] = {
    "head_multiplier": (Stage, "10", ""),
    "layer_decay": (Stage, "0.8", ""),
    "rate_multipliers": (Stage, '{"bias$": 2.0}', ""),
    "batch_norm": (Stage, "frozen", ""),
    "norm": (Model, "{swap: group, calibrate: 256}", "(Wu and He 2018; Li et al. 2016.)"),
    "solver": (Stage, "lbfgs", "(Liu and Nocedal 1989.)"),
    "clipvalue": (Stage, "0.5", ""),
    "clipnorm": (Stage, "1.0", "(Pascanu et al. 2013.)"),
    "global_clipnorm": (Stage, "1.0", "(Pascanu et al. 2013.)"),
    "adaptive_clipping": (Stage, "0.02", "(Brock et al. 2021, equation 3.)"),
    "gradient_accumulation_steps": (Stage, "4", ""),
    "image_size": (Stage, "160", "(Howard 2018; Tan and Le 2021, EfficientNetV2.)"),
    "class_weight": (Finetune, "{effective_number: 0.999}", "(Cui et al. 2019.)"),
    "early_stopping": (Finetune, "{monitor: val_loss, patience: 3}", ""),
    "best_weights": (Finetune, "true", ""),
    "ema": (Finetune, "{momentum: 0.99}", "(Tarvainen and Valpola 2017.)"),
    "mixed_precision": (Finetune, "bfloat16", "(Micikevicius et al. 2018.)"),
}


@dataclasses.dataclass(frozen=True)
class Technique:
    """One row of the catalog.

    Attributes:
        name: Name in a recipe.
        kind: Kind of technique, such as "loss".
        summary: One-line summary.
        doc: Full description, with formula and source.
        native: Name in Keras, if Keras has it.
        key: Where it goes in a recipe.
        arguments: Name, type and default of each argument, as text.
        snippet: Recipe snippet; empty if it is only for Python.
        python: Import line; empty if it is only for recipes.
    """

    name: str
    kind: str
    summary: str
    doc: str
    native: str | None
    key: str
    arguments: list[tuple[str, str, str]]
    snippet: str
    python: str

    @property
    def source(self) -> str:
        return self.native or "tlkit"


def techniques() -> list[Technique]:
    """All techniques, in the order of the stages of a run."""
    named = [
        _from_entry(things, things[name], place)
        for things, place in PLACES
        for name in things
        if name in things  # an entry point of an installed package may be broken
    ]
    return named + [_from_option(name) for name in OPTIONS]


def find(name: str) -> list[Technique]:
    """The techniques of a name; things of different kinds may share a name."""
    wanted = name.lower().replace("-", "_")
    found = techniques()
    return [t for t in found if t.name.lower().replace("-", "_") == wanted] or [
        t for t in found if _class_name(t.python) == name
    ]


def _class_name(python: str) -> str:
    return python.rpartition(" ")[2]


def _from_entry(things: Registry[Any], entry: Entry[Facts], place: str) -> Technique:
    fields = entry.arguments.model_fields
    arguments = [
        (
            name,
            entry.expects(name),
            "required" if field.default is pydantic_core.PydanticUndefined else repr(field.default),
        )
        for name, field in fields.items()
    ]
    layer = entry.facts if isinstance(entry.facts, LayerFacts) else LayerFacts()
    bare = things in (registry.ACTIVATIONS, registry.INITIALIZERS)
    native = entry.facts.native
    return Technique(
        name=entry.name,
        kind=things.kind,
        summary=entry.summary,
        doc=entry.doc,
        native=native,
        key=layer.where or things.key or "",
        arguments=arguments,
        snippet=place.replace("NAME", entry.name if bare else _written(entry))
        if layer.inserted
        else "",
        python=_python(things, entry, native),
    )


# values of required arguments in examples
EXAMPLES: dict[str, Any] = {
    "count": 2,
    "layer": "stack3",
    "boundaries": [2, 4],
    "factors": [0.5, 0.1],
}


def _written(entry: Entry[Facts]) -> str:
    """The name with its arguments as YAML."""
    parts = []
    for name, field in entry.arguments.model_fields.items():
        value = field.default
        if value is pydantic_core.PydanticUndefined:
            value = EXAMPLES.get(name, "...")  # user-defined things may have any argument
        if value is None:
            continue
        parts.append(f"{name}: {_yaml(value)}")
    return f"{{{entry.name}: {{{', '.join(parts)}}}}}" if parts else entry.name


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:g}" if value else "0.0"
    return str(value)


def _python(things: Registry[Any], entry: Entry[Facts], native: str | None) -> str:
    if native:
        return native
    if things in (registry.POLICIES, registry.HEADS, registry.ADVERSARIES, registry.ENGINES):
        return ""
    if entry.name == "halve_on_plateau":
        return "from tlkit.callbacks import HalveOnPlateau"
    return f"from {things.package} import {entry.attribute}"


def _from_option(name: str) -> Technique:
    model, example, paper = OPTIONS[name]
    field = model.model_fields[name]  # type: ignore[attr-defined]
    description = field.description or ""
    if description.startswith("Default"):
        section = next(t for t in get_args(field.annotation) if t is not type(None))
        description = section.__doc__
    if model is Stage:
        policy = "head-only" if name == "solver" else "full"
        snippet = f"finetune:\n  stages:\n    - policy: {policy}\n      {name}: {example}"
        key = f"finetune.stages[].{name}"
    elif model is Model:
        snippet, key = f"model:\n  {name}: {example}", f"model.{name}"
    else:
        snippet, key = f"finetune:\n  {name}: {example}", f"finetune.{name}"
    doc = f"{description}\n\n{paper}" if paper else description
    python = {
        "adaptive_clipping": "from tlkit.optimizers import with_adaptive_clipping",
        "rate_multipliers": "from tlkit.optimizers import with_multipliers",
        "norm": "from tlkit.surgery import swap_norm",
        "class_weight": "from tlkit.losses.class_weights import effective_number",
    }.get(name, "")
    return Technique(name, "option of training", description, doc, None, key, [], snippet, python)


def describe(technique: Technique) -> str:
    """The text that `tlkit techniques NAME` prints."""
    lines = [f"{technique.name}: {technique.kind}, {technique.source}", "", technique.doc]
    if technique.arguments:
        lines += ["", "In a recipe it takes:"]
        lines += [f"  {name}: {kind}; default {value}" for name, kind, value in technique.arguments]
    if technique.snippet:
        lines += ["", "Recipe:", *("  " + line for line in technique.snippet.split("\n"))]
    if technique.python:
        lines += ["", f"Python: {technique.python}"]
    if technique.kind == "adversarial attack":
        on = Adversarial.model_fields
        lines += ["", *(f"  {key}: {on[key].description}" for key in ("on", "weight"))]
    return "\n".join(lines)
