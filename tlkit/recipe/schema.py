"""All keys of a recipe: type, unit, default and meaning.

The JSON Schema for editors, the messages about invalid keys and the table in the
documentation are all generated from these models.
"""

from __future__ import annotations

import dataclasses
import io
import math
import os
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from tlkit import registry
from tlkit.backbones import spec as backbones
from tlkit.entry import Entry, article
from tlkit.errors import did_you_mean
from tlkit.facts import Facts, LayerFacts, LossFacts
from tlkit.own_things import PLACE, is_place
from tlkit.recipe.schedule_length import too_short
from tlkit.registry import Registry

EPOCHS = 5  # default of a stage


@dataclasses.dataclass(frozen=True)
class Component:
    """A registered name and the arguments that the recipe passes to it."""

    name: str
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)


def arguments_of(entry: Entry[Facts], extra: dict[str, Any] | None) -> type[BaseModel]:
    """Model of the arguments that a recipe may pass to a registered thing at this place."""
    if not extra:
        return entry.arguments
    with warnings.catch_warnings():  # if it has an argument of the same name
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute")
        return pydantic.create_model(entry.name, __base__=entry.arguments, **extra)


def named(things: Registry[Any], extra: dict[str, Any] | None = None) -> Any:
    """Type of a recipe value: either a name, or a one-key mapping of a name to arguments.

    Args:
        things: Registry that the name is looked up in.
        extra: Arguments that all entries accept at this place, as pydantic fields.
    """

    def parse(value: Any) -> Component:
        return parse_in(value, False)

    def parse_in(value: Any, wrapped: bool) -> Component:
        given: Any
        if isinstance(value, Component):
            return value
        if isinstance(value, str):
            name, given = value, {}
        elif isinstance(value, dict) and len(value) == 1:
            name, given = next(iter(value.items()))
            given = {} if given is None else given
        else:
            raise PydanticCustomError(
                "named",
                "{text}",
                {
                    "text": f"expected the name of {article(things.kind)}, or one name with its "
                    f"arguments as {{name: {{...}}}}; found {shorten(value)}"
                },
            )
        if name not in things:
            text = things.suggest(str(name))
            if things.is_open and is_place(f"{name}:{given}"):  # YAML parses `a: B` as a mapping
                text = f"{text} For a user-defined one, write it without a space: {name}:{given}"
            raise PydanticCustomError("named", "{text}", {"text": text})
        entry = things[name]
        if taken := [key for key in extra or () if key in entry.required]:
            text = (
                f"{name!r} needs an argument {taken[0]!r}, which is a reserved recipe key here; "
                "give it a default or another name"
            )
            raise PydanticCustomError("named", "{text}", {"text": text})
        wraps = entry.facts.wraps if isinstance(entry.facts, LossFacts) else None
        if wrapped and wraps:
            text = f"{name!r} wraps another {things.kind}; it cannot be wrapped itself"
            raise PydanticCustomError("named", "{text}", {"text": text})
        if not _is_inserted(entry):
            text = f"{name!r} is for custom models only; see: tlkit techniques {name}"
            raise PydanticCustomError("named", "{text}", {"text": text})
        model = arguments_of(entry, extra)
        inside = isinstance(value, dict)
        if not isinstance(given, dict):
            first = next(iter(entry.arguments.model_fields), None)
            if first is None:
                raise PydanticCustomError(
                    "named", "{text}", {"text": f"{name!r} takes no arguments; found {given!r}"}
                )
            given = {first: given}
        given = {key: _path_text(item) for key, item in given.items()}
        try:
            arguments = model(**given).model_dump()
            if wraps:
                inner = parse_in(arguments[wraps], True)
                arguments[wraps] = {inner.name: inner.arguments}
            return Component(name, arguments)
        except pydantic.ValidationError as error:
            wrong: list[dict[str, Any]] = [
                {**item, "expects": _expected(entry, item)} for item in error.errors()
            ]
            keys, kind = list(model.model_fields), f"{things.kind} {name!r}"
        except PydanticCustomError as error:  # raised for the wrapped thing
            context: Any = error.context
            wrong = context.get("errors", [{"type": "named", "msg": error.message(), "loc": ()}])
            wrong = [{**item, "loc": (wraps, *item["loc"])} for item in wrong]
            keys, kind = context.get("keys", []), context.get("kind", "")
        place = (name,) if inside else ()
        raise PydanticCustomError(
            "arguments",
            "invalid arguments",
            {
                "errors": [{**item, "loc": (*place, *item["loc"])} for item in wrong],
                "keys": keys,
                "kind": kind,
            },
        )

    return Annotated[
        Component,
        BeforeValidator(parse),
        PlainSerializer(
            lambda value: {value.name: value.arguments} if value.arguments else value.name
        ),
        _Choices(things, extra),
    ]


def _is_inserted(entry: Entry[Facts]) -> bool:
    """Whether recipes may name it; some layers are for custom models only."""
    return not isinstance(entry.facts, LayerFacts) or entry.facts.inserted


def _expected(entry: Entry[Facts], item: Any) -> str | None:
    """Values that a registered argument accepts, if its value or type was invalid."""
    name = item["loc"][0] if item["loc"] else None
    told = ("missing", "extra_forbidden", "value_error", "literal_error", "named")
    if name not in entry.arguments.model_fields or item["type"] in told:
        return None
    text = entry.expects(name)
    return article(text) if text.split()[0] in ("number", "whole", "odd", "list", "name") else text


@dataclasses.dataclass(frozen=True, eq=False)
class _Choices:
    """JSON Schema of a registered name, built on demand because most commands do not need it.

    Attributes:
        things: Registry that the name is looked up in.
        extra: Arguments that all entries accept at this place.
    """

    things: Registry[Any]
    extra: dict[str, Any] | None

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Pydantic's hook."""
        return _named_json_schema(self.things, self.extra)


def _named_json_schema(things: Registry[Any], extra: dict[str, Any] | None) -> dict[str, Any]:
    entries = [entry for entry in things.packaged.values() if _is_inserted(entry)]
    names = [*(e.name for e in entries), *(n for n in things if n not in things.packaged)]
    choices: list[dict[str, Any]] = [
        {"enum": names, "description": f"{article(things.kind).capitalize()} by name."}
    ]
    for entry in entries:
        inner = arguments_of(entry, extra).model_json_schema()
        first = next(iter(inner.get("properties", {}).values()), None)
        value = {"anyOf": [inner, first]} if first else inner
        choices.append(
            {
                "type": "object",
                "description": entry.summary,
                "properties": {entry.name: value},
                "required": [entry.name],
                "additionalProperties": False,
            }
        )
    if things.is_open:
        pattern = f"^{PLACE.pattern}$"
        choices.append({"type": "string", "pattern": pattern, "description": "User-defined."})
        choices.append(
            {
                "type": "object",
                "description": "User-defined, with arguments.",
                "patternProperties": {pattern: {}},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            }
        )
    return {"anyOf": choices}


def shorten(value: Any) -> str:
    """Representation of a value for a message: one line, limited in length."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path_text(value: Any) -> Any:
    """Converts a path to text; returns anything else unchanged."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


if TYPE_CHECKING:
    _LiveTracker = BaseModel  # so that editors know the arguments
else:

    class _Teller(type(BaseModel)):
        """Reports invalid arguments of sections built in Python like those of a recipe file."""

        def __call__(cls, *given, **values):
            """Builds a section.

            Raises:
                RecipeError: lists all problems.
            """
            from tlkit.recipe.load import explained  # here, since it imports this file

            try:
                return super().__call__(*given, **values)
            except pydantic.ValidationError as error:
                problems = explained(error, cls, values)
            raise problems

    class _LiveTracker(BaseModel, metaclass=_Teller):
        """Base class whose validation errors are raised as `RecipeError`."""


class Section(_LiveTracker):
    """A mapping in a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    def given(self) -> dict[str, Any]:
        """The explicitly set values as plain values, without defaults."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


# YAML values are typed: `"3"` is text, and `yes` is not a number
Whole = Annotated[int, pydantic.Strict()]
Real = Annotated[float, pydantic.Strict(), pydantic.AllowInfNan(False)]
Flag = Annotated[bool, pydantic.Strict()]
Rate = Annotated[Real, Field(ge=0, lt=1)]
Positive = Annotated[Real, Field(ge=1e-6, le=1e6)]
Size = Annotated[Whole, Field(ge=8, le=4096)]
BatchSize = Annotated[Whole, Field(ge=1, le=65_536)]


def _tag(value: Any) -> str:
    """Branch of a union that a value was meant for, so that messages are about that branch only."""
    if isinstance(value, str):
        return "str"
    return "tuple[" if isinstance(value, list | tuple) else "float"


ImageSize = Annotated[
    Annotated[Size, pydantic.Tag("float")] | Annotated[tuple[Size, Size], pydantic.Tag("tuple[")],
    pydantic.Discriminator(lambda value: "tuple[" if _tag(value) == "tuple[" else "float"),
]
ImageCount = Annotated[Whole, Field(ge=0, le=1_000_000)]


def _patterns(value: Any) -> Any:
    """Checks that regular expressions (a list, or the keys of a mapping) compile."""
    for pattern in value:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return value


def _engine(name: str) -> str:
    if name != "auto" and name not in registry.ENGINES:
        raise ValueError(registry.ENGINES.suggest(name))
    return name


def _task(name: str) -> str:
    if name not in registry.TASK_NAMES:
        raise ValueError(f"there is no task {name!r}. {did_you_mean(name, registry.TASK_NAMES)}")
    return name


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"expected text without control characters, found {shorten(value)}")
    return value


Text = Annotated[
    str,
    Field(min_length=1, max_length=4096),
    pydantic.AfterValidator(_printable),
    BeforeValidator(_path_text),
]
_TASKS = pydantic.WithJsonSchema({"enum": list(registry.TASK_NAMES)})
_ENGINES = pydantic.WithJsonSchema({"enum": ["auto", *registry.ENGINES]})
Patterns = Annotated[list[str], pydantic.AfterValidator(_patterns)]

# arguments that every layer under model.insert and every regularizer accepts in addition
INSERTED: dict[str, Any] = {
    "after": (
        Text | None,
        Field(
            None,
            description="Layer or block of the backbone to insert it after. Default: the end.",
        ),
    )
}
CHOSEN: dict[str, Any] = {
    "include": (
        Patterns,
        Field(
            default_factory=list,
            description="Regular expressions on variable paths. Default: all trainable kernels.",
        ),
    ),
    "exclude": (
        Patterns,
        Field(default_factory=list, description="Regular expressions of variables to exclude."),
    ),
}


class Split(Section):
    """Fractions of the images to hold out. The split is stratified and based on file contents."""

    val: Rate = Field(0.2, description="Fraction of the images used for validation.")
    test: Rate = Field(0.0, description="Fraction of the images used for the final test.")

    @pydantic.model_validator(mode="after")
    def _something_is_left(self) -> Split:
        if self.val + self.test >= 1:
            raise ValueError(
                f"val + test is {self.val + self.test:g}; some images must remain for training"
            )
        return self


class Data(Section):
    """Where the images come from and how they are fed to the network."""

    source: named(registry.SOURCES) = Field(  # type: ignore[valid-type]
        description="One of {folder: PATH}, {manifest: FILE}, {tfds: NAME}, {tfrecord: FILES}, or "
        "the export of a labelling tool, such as {coco: FILE}. A path may be a zip or tar "
        "archive, or point inside one."
    )
    image_size: ImageSize | None = Field(
        None,
        description="Image size in pixels: one side, or [height, width]. Default: the size of the "
        "backbone.",
    )
    resize: Literal["crop", "squash", "pad"] = Field(
        "crop",
        description="crop: resize the shorter side, then crop the centre; squash: ignore the "
        "aspect ratio; pad: resize the longer side and add black borders.",
    )
    antialias: Flag = Field(False, description="Antialias when downscaling; decoding is slower.")
    split: Split = Field(
        default_factory=Split,
        description="Used if the source has no val or test split.",
    )
    batch_size: BatchSize = Field(32, description="Images per step, unless a stage overrides it.")
    on_broken: Literal["skip", "fail"] = Field(
        "skip",
        description="What to do with a file that cannot be decoded. If more than 5 % of the files "
        "are broken, the run always fails.",
    )
    cache: Literal["auto", "memory", "disk", "off"] = Field(
        "auto",
        description="Where to cache the decoded, resized uint8 images during a run. auto: in "
        "memory if they fit, else on disk if they take less than half of the free space; off: "
        "decode them in every epoch.",
    )


class Norm(Section):
    """Replaces the backbone's normalisation layers, or recomputes their statistics."""

    swap: Literal["group", "layer", "instance", "batch"] | None = Field(
        None, description="Normalisation that replaces every normalisation layer."
    )
    groups: Annotated[Whole, Field(ge=1, le=65_536)] = Field(
        1,
        description="Number of groups for group norm. If it does not divide the channels, the "
        "nearest divisor is used. Fewer groups preserve more of a pretrained network.",
    )
    calibrate: ImageCount = Field(
        256,
        description="Number of training images used to calibrate the swapped layers, so that their "
        "outputs match those of the old ones. 0: no calibration, which destroys a pretrained "
        "network.",
    )
    distill: ImageCount = Field(
        0,
        description="After calibration, number of steps that train the swapped layers to reproduce "
        "the old features.",
    )
    layers: Patterns | None = Field(
        None, description="Regular expressions on the names of layers to swap. Default: all."
    )
    recalibrate: Annotated[ImageCount, Field(ge=1)] | None = Field(
        None,
        description="Number of training images used to recompute the BatchNorm statistics.",
    )

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> Norm:
        given = self.model_fields_set
        if (self.swap is None) == (self.recalibrate is None):
            raise ValueError("needs either swap or recalibrate")
        if self.recalibrate is not None and len(given) > 1:
            other = sorted(given - {"recalibrate"})[0]
            raise ValueError(f"recalibrate cannot be combined with {other}")
        if self.distill and not self.calibrate:
            raise ValueError("distill needs images: calibrate must be 1 or more")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _only_what_counts(self, handler: Any) -> Any:
        values = handler(self)
        if self.recalibrate is not None:
            return {"recalibrate": self.recalibrate}
        return {key: value for key, value in values.items() if value is not None}


WEIGHTS = ("auto", "imagenet", "bundled", "none")
# constructor arguments of a backbone that are set by other recipe keys
SET_BY_TLKIT = (
    "classes", "classifier_activation", "include_preprocessing", "include_top", "input_shape",
    "input_tensor", "name", "pooling", "weights",
)  # fmt: skip


class Model(Section):
    """The pretrained network and the head on top of it."""

    backbone: Text = Field(description="Name from `tlkit backbones`, or hub:PRESET.")
    weights: Text = Field(
        "auto",
        description="imagenet, bundled, none, or a file (.weights.h5, .h5, .keras). "
        "Default: bundled if the backbone has bundled weights, else imagenet.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments for the backbone's constructor, such as {alpha: 0.35}.",
    )
    head: named(registry.HEADS) = Field(  # type: ignore[valid-type]
        Component("linear", {}), description="Head on top of the backbone.", validate_default=True
    )
    norm: Annotated[
        Annotated[Literal["keep", "frozen"], pydantic.Tag("str")]
        | Annotated[Norm, pydantic.Tag("dict[")],
        pydantic.Discriminator(lambda value: "str" if isinstance(value, str) else "dict["),
    ] = Field(
        "keep",
        description="Normalisation layers of the backbone: keep; frozen (BatchNorm never trains "
        "and uses its moving statistics in every stage); {swap: group, ...} to replace them; "
        "{recalibrate: 512} to recompute their statistics.",
    )
    insert: list[named(registry.LAYERS, INSERTED)] = Field(  # type: ignore[valid-type]
        default_factory=list, description="Layers to insert into the loaded backbone, in order."
    )

    @pydantic.field_validator("weights")
    @classmethod
    def _names_weights(cls, weights: str) -> str:
        if weights not in WEIGHTS and not weights.endswith((".h5", ".keras")):
            raise ValueError(
                f"{shorten(weights)} is neither a file (.weights.h5, .h5, .keras) nor one of the "
                f"names. {did_you_mean(weights, WEIGHTS)}"
            )
        return weights

    @pydantic.field_validator("arguments")
    @classmethod
    def _not_set_elsewhere(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for key in arguments:
            if key in SET_BY_TLKIT:
                raise ValueError(f"{key!r} is set by tlkit and cannot be given here")
        return arguments

    @pydantic.field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if not name.startswith("hub:") and name not in backbones.names():
            raise PydanticCustomError("named", "{text}", {"text": backbones.suggest(name)})
        return name


# keys that are only valid for a stage that runs gradient steps
OF_STEPS = (
    "optimizer", "schedule", "augment", "head_multiplier", "layer_decay", "rate_multipliers",
    "clipnorm", "clipvalue", "global_clipnorm", "adaptive_clipping", "gradient_accumulation_steps",
)  # fmt: skip


class Stage(Section):
    """One stage of training: which variables train, for how long and at what rate."""

    policy: named(registry.POLICIES) = Field(description="Which variables train.")  # type: ignore[valid-type]
    name: Text | None = Field(None, description="Name in the results. Default: the policy.")
    epochs: Annotated[Whole, Field(ge=0, le=100_000)] | None = Field(
        None, description="Number of epochs. Default: 5 (predict-only: 0)."
    )
    optimizer: named(registry.OPTIMIZERS) | None = Field(  # type: ignore[valid-type]
        None,
        description="Default: adam, with learning rate 5e-3 if only the head trains, else with the "
        "backbone's default rate, 1e-3 or 1e-4.",
    )
    schedule: named(registry.SCHEDULES) | None = Field(  # type: ignore[valid-type]
        None,
        description="Default: cosine, with one warm-up epoch if more than the head trains.",
    )
    batch_size: BatchSize | None = Field(
        None, description="Images per step. Default: data.batch_size."
    )
    batch_norm: Literal["auto", "train", "frozen"] = Field(
        "auto",
        description="BatchNorm in unfrozen layers. train: use batch statistics and update the "
        "moving statistics. frozen: use the moving statistics unchanged. auto: train, but frozen "
        "if the convolutions are frozen or the batch size is below 16.",
    )
    augment: list[named(registry.AUGMENTATIONS)] | None = Field(  # type: ignore[valid-type]
        None,
        description="Augmentation of the training images in this stage. Default: the recipe's "
        "augment. Without augmentation, head-only computes the backbone's features only once.",
    )
    head_multiplier: Positive | None = Field(
        None, description="Factor of the learning rate of the head relative to the backbone."
    )
    layer_decay: Annotated[Real, Field(ge=0.01, le=1)] | None = Field(
        None,
        description="Factor of the learning rate of each block relative to the block above it.",
    )
    rate_multipliers: dict[str, Annotated[Real, Field(ge=0, le=1e6)]] = Field(
        default_factory=dict,
        description="Mapping of a regular expression on variable paths to a learning rate factor.",
    )
    global_clipnorm: Positive | None = Field(
        None, description="Maximum norm of the gradient of all variables together."
    )
    clipnorm: Positive | None = Field(
        None, description="Maximum norm of the gradient of each variable."
    )
    clipvalue: Positive | None = Field(
        None, description="Maximum absolute value of each gradient entry."
    )
    adaptive_clipping: Positive | None = Field(
        None,
        description="Maximum ratio of gradient norm to weight norm for each unit; not applied to "
        "the head.",
    )
    gradient_accumulation_steps: Annotated[Whole, Field(ge=1, le=65_536)] = Field(
        1, description="Batches whose gradients are averaged before each update."
    )

    solver: Literal["gradient", "lbfgs"] = Field(
        "gradient",
        description="gradient: train with the optimizer for a number of epochs. lbfgs: for "
        "head-only with a linear head, solve for the optimum of its loss on the features, without "
        "augmentation or dropout.",
    )
    l2: Annotated[
        Annotated[Literal["auto"], pydantic.Tag("str")]
        | Annotated[Real, Field(ge=0, le=1e6), pydantic.Tag("float")],
        pydantic.Discriminator(lambda value: "str" if _tag(value) == "str" else "float"),
    ] = Field(
        "auto",
        description="For solver lbfgs: strength of the penalty l2 / 2 ||kernel||^2 added to the "
        "mean loss. auto: the best value of a grid, found by stratified cross-validation on the "
        "training images.",
    )
    image_size: ImageSize | None = Field(
        None,
        description="Image size of this stage in pixels, for progressive resizing. Default: "
        "data.image_size.",
    )

    @pydantic.field_validator("rate_multipliers")
    @classmethod
    def _patterns_compile(cls, value: dict[str, float]) -> dict[str, float]:
        _patterns(value)
        return value

    @pydantic.model_validator(mode="after")
    def _combination_is_possible(self) -> Stage:
        policy = self.policy.name
        if self.solver == "lbfgs":
            if policy != "head-only":
                raise ValueError(
                    f"solver lbfgs is for head-only, where features do not change; found {policy}"
                )
            if self.epochs not in (None, 1):
                raise ValueError(f"solver lbfgs has no epochs; found {self.epochs}")
            self._takes_none_of(OF_STEPS, "solver lbfgs takes no {}")
        elif self.l2 != "auto":
            raise ValueError("l2 belongs to solver lbfgs; else use regularize: [{l2: ...}]")
        if policy == "predict-only":
            if self.epochs:
                raise ValueError(
                    f"predict-only trains nothing, so epochs must be 0; found {self.epochs}"
                )
            self._takes_none_of(
                (*OF_STEPS, "image_size"), "predict-only trains nothing, so {} has no meaning"
            )
        if policy == "head-only" and self.layer_decay is not None:
            raise ValueError("head-only trains no block, so layer_decay has no meaning")
        if policy in ("head-only", "predict-only") and self.batch_norm == "train":
            raise ValueError(f"{policy} trains no BatchNorm, so batch_norm: train has no meaning")
        if self.epochs == 0 and self.schedule is not None:
            raise ValueError(f"schedule {self.schedule.name!r} needs epochs of 1 or more; found 0")
        clips = [k for k in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, k)]
        if len(clips) > 1:
            raise ValueError(f"{' and '.join(clips)} exclude each other; choose one")
        if self.schedule is not None:
            self._schedule_fits(self.schedule, EPOCHS if self.epochs is None else self.epochs)
        return self

    def _takes_none_of(self, keys: Sequence[str], text: str) -> None:
        """Raises for keys that would have no effect; a key set to its default is allowed."""
        for key in keys:
            value = getattr(self, key)
            if value != type(self).model_fields[key].get_default(call_default_factory=True):
                if key == "augment" and not value:
                    continue
                raise ValueError(text.format(key))

    def _schedule_fits(self, schedule: Component, epochs: int) -> None:
        """Raises for a schedule that begins after the stage ends or has no room to decay."""
        given = schedule.arguments
        if short := too_short(schedule.name, given, epochs):
            raise ValueError(short)
        rate = self.optimizer.arguments.get("learning_rate") if self.optimizer else None
        if (
            schedule.name == "halve_on_plateau"
            and isinstance(rate, int | float)
            and given["minimum"] >= rate
        ):
            raise ValueError(
                f"minimum {given['minimum']:g} is not below the optimizer's learning_rate, {rate:g}"
            )


class EarlyStopping(Section):
    """Stops a stage that no longer improves and restores its best weights."""

    monitor: Literal["val_loss", "val_accuracy", "val_map", "val_r2"] = Field(
        "val_loss", description="Value to monitor: the loss, or the metric of the task."
    )
    patience: Annotated[Whole, Field(ge=1, le=100_000)] = Field(
        3, description="Number of epochs without improvement before stopping."
    )
    min_delta: Annotated[Real, Field(ge=0, le=100)] = Field(
        0.0, description="Smallest change that counts as an improvement."
    )


class Ema(Section):
    """A moving average of the weights, which is evaluated and saved in their place."""

    momentum: Annotated[Real, Field(ge=0.01, le=0.999999)] = Field(
        0.999, description="Fraction of the average that is retained at each step."
    )


class EffectiveNumber(Section):
    """Class weights based on the effective number of images (Cui et al. 2019)."""

    effective_number: Rate = Field(
        description="beta: 0 weights all classes equally; close to 1, by inverse frequency."
    )


def _weights_tag(value: Any) -> str:
    """Branch of `ClassWeight`; `effective_number` is a method, not the name of a class."""
    if isinstance(value, EffectiveNumber) or (
        isinstance(value, dict) and set(value) == {"effective_number"}
    ):
        return "dict[effective_number"
    return "dict[" if isinstance(value, dict) else "str"


ClassWeight = Annotated[
    Annotated[Literal["none", "balanced"], pydantic.Tag("str")]
    | Annotated[EffectiveNumber, pydantic.Tag("dict[effective_number")]
    | Annotated[dict[str, Positive], pydantic.Tag("dict[")],
    pydantic.Discriminator(_weights_tag),
]


class Adversarial(Section):
    """Adversarial training: images or features are perturbed to increase the loss."""

    attack: named(registry.ADVERSARIES) = Field(  # type: ignore[valid-type]
        Component("fgsm", {}),
        description="Attack that computes the perturbation.",
        validate_default=True,
    )
    on: Literal["image", "features"] = Field(
        "image",
        description="What is perturbed: pixels, on a scale of 0 to 255, or pooled features.",
    )
    weight: Annotated[Real, Field(ge=0.001, le=1)] = Field(
        0.5, description="Weight of the adversarial examples in the loss, as a fraction."
    )


LOSS: pydantic.TypeAdapter[Component] = pydantic.TypeAdapter(named(registry.LOSSES))


class Finetune(Section):
    """How the network is trained."""

    stages: Annotated[list[Stage], Field(min_length=1)] = Field(description="Stages, run in order.")
    loss: named(registry.LOSSES) | None = Field(  # type: ignore[valid-type]
        None, description="Loss. Default: that of the task, such as cross_entropy."
    )
    class_weight: ClassWeight = Field(
        "none",
        description="Weight of each class in the loss: none, balanced (inversely proportional to "
        "its count), {effective_number: 0.999} or {class: weight}.",
    )
    adversarial: Adversarial | None = Field(None, description="Default: off.")
    mixed_precision: Literal["off", "bfloat16", "float16", "auto"] = Field(
        "auto", description="Compute dtype of the layers. auto: float16 on a GPU, else off."
    )
    early_stopping: EarlyStopping | None = Field(None, description="Default: off.")
    best_weights: Flag = Field(
        True,
        description="End each stage with the weights of its best epoch, by the validation metric "
        "or by the value that early_stopping monitors.",
    )
    ema: Ema | None = Field(None, description="Default: off.")
    on_nan: Literal["stop", "rollback"] = Field(
        "stop",
        description="What to do if the loss becomes NaN or infinite. stop: end the run. rollback: "
        "return to the last good checkpoint with half the learning rate, at most 3 times per "
        "stage. The images of the batch are reported.",
    )
    out_of_memory: Literal["rescue", "fail"] = Field(
        "rescue",
        description="rescue: split a batch that does not fit into memory into parts and sum their "
        "gradients; fail: end the run.",
    )
    guard: Flag = Field(
        True,
        description="At the end of each stage, check with checksums that frozen variables did not "
        "change and trainable variables did.",
    )
    monitor: Flag = Field(
        True,
        description="Log the gradient norm, update-to-weight ratios, dead ReLUs, BatchNorm drift "
        "and the fraction of time spent waiting for images.",
    )


class Cache(Section):
    """Cache of the outputs of the frozen layers, on disk, for this run and later ones."""

    views: Annotated[Whole, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="Number of augmented versions of each training image to cache; epochs cycle "
        "through them. Default: do not cache augmented images; recompute them in every epoch.",
    )
    dtype: Literal["float32", "float16"] = Field(
        "float32", description="Dtype on disk. float16 takes half the space and rounds to 3 digits."
    )
    folder: Text | None = Field(
        None,
        description="Cache folder. Default: the environment variable TLKIT_CACHE, else "
        "~/.cache/tlkit.",
    )


UNITS = {"second": 1, "minute": 60, "min": 60, "hour": 3600, "h": 3600, "s": 1}


def _duration(value: Any) -> Any:
    if value is None or (isinstance(value, str) and seconds(value) is not None):
        return value
    raise ValueError(f"expected a duration such as `30 minutes` or `2 hours`; found {value!r}")


def seconds(text: str) -> float | None:
    """`30 min` -> 1800; None for anything that is not a duration above zero."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(second|minute|min|hour|h|s)s?", text.strip())
    value = float(match[1]) * UNITS[match[2]] if match else 0.0
    return value if 0 < value < math.inf else None


def _often(value: Any) -> Any:
    if value == "epoch" or re.fullmatch(r"[1-9]\d* (step|minute)s?", str(value)):
        return value
    raise ValueError(
        f"expected epoch, or an interval such as `500 steps` or `10 minutes`; found {value!r}"
    )


class Checkpoint(Section):
    """How often to save checkpoints, from which an interrupted run can resume."""

    every: Annotated[str, BeforeValidator(_often)] = Field(
        "10 minutes",
        description="How often to save a checkpoint within an epoch: `500 steps`, `10 minutes`, or "
        "epoch for not at all. A checkpoint is also saved at the end of every epoch, unless "
        "epochs are very short.",
    )


Figure = Annotated[Real, Field(ge=0, le=1)]


class Require(Section):
    """Requirements for the final model; if one is not met, the run fails without exporting."""

    accuracy: Figure | None = Field(
        None, description="At least, on the test split, or on val if there is no test split."
    )
    balanced_accuracy: Figure | None = Field(
        None, description="At least: mean recall of the classes."
    )
    macro_f1: Figure | None = Field(None, description="At least: mean F1 of the classes.")
    worst_recall: Figure | None = Field(None, description="At least: recall of the weakest class.")
    map: Figure | None = Field(None, description="At least: mean average precision of the labels.")
    f1_micro: Figure | None = Field(
        None, description="At least: micro-averaged F1 over all labels."
    )
    f1_macro: Figure | None = Field(None, description="At least: mean F1 of the labels.")
    r2: Figure | None = Field(None, description="At least: explained fraction of variance.")
    mae: Positive | None = Field(None, description="At most: mean absolute error of a number.")
    rmse: Positive | None = Field(None, description="At most: root mean squared error.")
    loss: Positive | None = Field(
        None, description="At most: loss of the task, such as cross-entropy in nats."
    )
    val_map: Figure | None = Field(None, description="At least, on the validation split.")
    val_r2: Figure | None = Field(None, description="At least, on the validation split.")
    val_accuracy: Figure | None = Field(None, description="At least, on the validation split.")
    val_loss: Positive | None = Field(None, description="At most, on the validation split.")


MOST_WHITENED = 48 * 48  # pixels; their covariance takes 191 MB


class Recipe(Section):
    """Complete description of a fine-tuning run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=100)] = Field(
        "recipe",
        description="Name of the run folder: letters, digits, `_`, `.` and `-`. Default: the file "
        "name.",
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = Field(
        0, description="Seed of the initial weights, the order of images and augmentation."
    )
    task: Annotated[str, pydantic.AfterValidator(_task), _TASKS] | None = Field(
        None,
        description="Task: classification (one class per image), multi-label (any number of labels "
        "per image) or regression (numbers). Default: detected from the data.",
    )
    deterministic: Flag = Field(
        False,
        description="Use deterministic operations, some of which are slower: two runs on the same "
        "machine with the same number of cores are bit-identical.",
    )
    checkpoint: Checkpoint = Field(
        default_factory=Checkpoint, description="How often to save checkpoints."
    )
    data: Data
    augment: list[named(registry.AUGMENTATIONS)] = Field(  # type: ignore[valid-type]
        default_factory=list, description="Augmentation of the training images, applied in order."
    )
    augment_on: Literal["device", "pipeline"] = Field(
        "device",
        description="Where augmentation runs. device: in the training step, on the GPU if there is "
        "one; pipeline: on the CPU, ahead of the training step.",
    )
    engine: Annotated[str, pydantic.AfterValidator(_engine), _ENGINES] = Field(
        "auto",
        description="Inference backend that computes the frozen part of the network once. auto: "
        "the fastest one that is installed and agrees with Keras.",
    )
    cache: Annotated[
        Annotated[Literal["auto", "memory", "off"], pydantic.Tag("str")]
        | Annotated[Cache, pydantic.Tag("dict[")],
        pydantic.Discriminator(lambda value: "str" if isinstance(value, str) else "dict["),
    ] = Field(
        "auto",
        description="Where to cache the features of the frozen part of the network, if no "
        "augmentation changes them. auto: on disk if they take less than half of the free space, "
        "else in memory; memory: in memory; off: recompute them in every epoch. {views: 4}: with "
        "augmentation, cache 4 augmented versions of each image.",
    )
    preprocess: list[named(registry.PREPROCESSORS)] = Field(  # type: ignore[valid-type]
        default_factory=list,
        description="Preprocessing before the backbone; fitted on the training images and saved in "
        "the model.",
    )
    regularize: list[named(registry.REGULARIZERS, CHOSEN)] = Field(  # type: ignore[valid-type]
        default_factory=list,
        description="Penalties and constraints on the trainable weights, except biases and "
        "normalisation.",
    )
    model: Model
    finetune: Finetune
    trackers: list[named(registry.TRACKERS)] = Field(  # type: ignore[valid-type]
        default_factory=lambda: [Component("csv"), Component("tensorboard")],
        description="Trackers that log the training, such as [tensorboard, mlflow]. metrics.csv "
        "(csv) is always written.",
    )
    require: Require | None = Field(
        None,
        description="Metrics that the model must reach, such as {val_accuracy: 0.9}; otherwise the "
        "run ends with exit code 1.",
    )
    time_budget: Annotated[str | None, BeforeValidator(_duration)] = Field(
        None,
        description="Maximum duration of the whole run, such as `30 minutes`. Training stops early "
        "enough to evaluate and export.",
    )
    max_metric_drop: Annotated[Real, Field(ge=0, le=1)] = Field(
        0.02,
        description="Largest drop of the task's metric, such as accuracy (0 to 1), that an int8 "
        "export may have; more is an error.",
    )
    export: list[named(registry.EXPORTS)] = Field(  # type: ignore[valid-type]
        default_factory=lambda: [Component("saved_model", {})],
        description="Export formats to write.",
    )

    def to_yaml(self) -> str:
        """The complete recipe, including defaults, as YAML that can be run again."""
        import ruamel.yaml

        yaml = ruamel.yaml.YAML()
        yaml.default_flow_style = False
        buffer = io.StringIO()
        yaml.dump(self.model_dump(mode="json", exclude_none=True), buffer)
        return buffer.getvalue()

    @pydantic.model_validator(mode="after")
    def _rooms_fit_together(self) -> Recipe:
        head, stages = self.model.head.name, self.finetune.stages
        if any(stage.solver == "lbfgs" for stage in stages):
            if self.cache == "off":
                raise ValueError("solver lbfgs needs cached features; found cache: off")
            arguments = self.model.head.arguments
            other = ("drop_connect", "spectral_normalization")
            if head != "linear" or any(arguments.get(key) for key in other):
                raise ValueError("solver lbfgs needs a plain linear head: head: linear")
            self._check_solved()
            if self.finetune.adversarial is not None:
                raise ValueError("solver lbfgs cannot be combined with adversarial")
        if head == "original" or registry.HEADS[head].facts.stored:
            for index, stage in enumerate(stages):
                if stage.policy.name != "predict-only":
                    raise ValueError(
                        f"head {head!r} is not trained with gradients: stages[{index}] must be "
                        f"predict-only, found {stage.policy.name!r}"
                    )
        elif all(stage.policy.name == "predict-only" or stage.epochs == 0 for stage in stages):
            raise ValueError(
                f"no stage trains, so the new {head!r} head would stay untrained; use head: "
                "original (the network's original classes), head: nearest-mean or knn, or a policy "
                "that trains"
            )
        if not any(
            stage.solver == "gradient" and stage.policy.name != "predict-only" and stage.epochs != 0
            for stage in stages
        ):
            tuned = self.finetune
            for key, value in (
                ("augment", self.augment),
                ("regularize", self.regularize),
                ("finetune.early_stopping", tuned.early_stopping),
                ("finetune.ema", tuned.ema),
                ("finetune.adversarial", tuned.adversarial),
            ):
                if value:
                    raise ValueError(f"no stage runs gradient steps, so {key} has no meaning")
        if self.model.weights == "imagenet" and not self.model.backbone.startswith("hub:"):
            spec = backbones.find(self.model.backbone)
            if not spec.constructor.startswith("keras.applications:"):
                raise ValueError(f"there are no imagenet weights for {self.model.backbone!r}")
        if self.model.norm == "frozen" and any(stage.batch_norm == "train" for stage in stages):
            raise ValueError("batch_norm: train has no meaning with model.norm: frozen")
        if self.model.weights == "bundled" and self.model.backbone not in backbones.bundled():
            raise ValueError(
                f"no weights are bundled for {self.model.backbone!r}; bundled: "
                f"{', '.join(backbones.bundled())}"
            )
        self._check_image_sizes()
        self._check_squares()
        self._check_exports()
        self._check_constraints()
        self._check_labels()
        self._check_preprocessing()
        self._check_cache()
        return self

    @pydantic.field_validator("trackers")
    @classmethod
    def _told_once(cls, trackers: list[Component]) -> list[Component]:
        for item in trackers:
            if trackers.count(item) > 1:
                raise ValueError(f"{item.name} is listed more than once")
        return trackers

    def _check_solved(self) -> None:
        """Checks that the solver supports the loss: it must have a unique optimum."""
        loss = self.finetune.loss
        if loss is None or registry.LOSSES[loss.name].facts.solved:
            return
        task = self.task or "classification"
        fit = [
            name
            for name, entry in registry.LOSSES.packaged.items()
            if entry.facts.solved and task in (entry.facts.tasks or task).split()
        ]
        raise ValueError(f"solver lbfgs minimises {' or '.join(fit)}; found loss {loss.name!r}")

    def _check_cache(self) -> None:
        """Checks that augmented versions can be cached: no augmentation may mix images."""
        if not isinstance(self.cache, Cache):
            return
        for items in (self.augment, *(stage.augment or [] for stage in self.finetune.stages)):
            for item in items:
                if registry.AUGMENTATIONS[item.name].facts.mixes_labels:
                    raise ValueError(
                        f"cache: cached views are of single images, but augment: {item.name} mixes "
                        "several; use cache: off, or remove that augmentation"
                    )

    def _check_image_sizes(self) -> None:
        sizes = {"data.image_size": self.data.image_size}
        for index, stage in enumerate(self.finetune.stages):
            sizes[f"stages[{index}].image_size"] = stage.image_size
        if self.model.backbone.startswith("hub:"):
            return
        least = backbones.find(self.model.backbone).minimum_size
        for key, size in sizes.items():
            if size is not None and min(size if isinstance(size, tuple) else (size,)) < least:
                raise ValueError(
                    f"{key} {size} is below the minimum of {self.model.backbone!r}, {least}"
                )

    def _sizes(self) -> list[tuple[int, int]]:
        """Input height and width of each stage, as far as the recipe specifies them."""
        size = self.data.image_size
        if size is None and not self.model.backbone.startswith("hub:"):
            size = backbones.find(self.model.backbone).size
        sizes = [size, *(stage.image_size for stage in self.finetune.stages)]
        return [s if isinstance(s, tuple) else (s, s) for s in sizes if s is not None]

    def _check_squares(self) -> None:
        """Checks that quarter turns are used with square images; others would change shape."""
        items = [*self.augment, *(i for s in self.finetune.stages for i in s.augment or [])]
        for height, width in self._sizes():
            if height != width and any(item.name == "quarter_turns" for item in items):
                raise ValueError(
                    f"augment: quarter_turns needs square images, found {height} x {width}"
                )

    def _check_exports(self) -> None:
        """Checks that no two exports share a folder."""
        places = [(item.name, item.arguments.get("precision", "")) for item in self.export]
        for name, precision in places:
            if places.count((name, precision)) > 1:
                kind = f"{name} in {precision}" if precision else name
                raise ValueError(f"export: {kind} is listed more than once")

    def _check_constraints(self) -> None:
        """Checks constraints: a variable has only one, and without patterns each applies to all."""
        whole = [
            item.name
            for item in self.regularize
            if registry.REGULARIZERS[item.name].facts.acts == "constraint"
            and not item.arguments["include"]
        ]
        if len(whole) > 1:
            raise ValueError(
                f"regularize: {' and '.join(whole)} limit the same weights; give include patterns"
            )

    def _check_labels(self) -> None:
        """Checks that the loss supports soft labels if an augmentation mixes labels."""
        loss = self.finetune.loss
        if loss is None:
            return
        wrapped = registry.LOSSES[loss.name].facts.wraps
        used = [loss.name, *(loss.arguments[wrapped] if wrapped else ())]
        whole = [name for name in used if not registry.LOSSES[name].facts.soft_labels]
        for items in (self.augment, *(stage.augment or [] for stage in self.finetune.stages)):
            for item in items:
                if whole and registry.AUGMENTATIONS[item.name].facts.mixes_labels:
                    soft = [n for n in registry.LOSSES if n not in whole]
                    raise ValueError(
                        f"augment: {item.name} mixes labels, which the loss {whole[0]!r} cannot "
                        f"take; losses that can: {', '.join(soft)}"
                    )

    def _check_preprocessing(self) -> None:
        leaving = [
            item.name
            for item in self.preprocess
            if registry.PREPROCESSORS[item.name].facts.leaves != "pixels"
        ]
        name = self.model.backbone
        if leaving and name.startswith("hub:"):
            raise ValueError(f"preprocess: {leaving[0]} does not work with hub: backbones")
        if leaving and backbones.find(name).preprocessing == "none":
            keeping = [
                n for n, e in registry.PREPROCESSORS.packaged.items() if e.facts.leaves == "pixels"
            ]
            raise ValueError(
                f"preprocess: {leaving[0]} changes the range 0 to 255, but {name!r} scales its "
                f"input itself; allowed: {', '.join(keeping)}"
            )
        gone = ""
        for item in self.preprocess:
            leaves = registry.PREPROCESSORS[item.name].facts.leaves
            if leaves == "pixels" and gone:
                raise ValueError(
                    f"preprocess: {item.name} needs pixels from 0 to 255, but {gone} before it "
                    "changes that range; put it first"
                )
            gone = item.name if leaves != "pixels" else gone
            large = max(height * width for height, width in self._sizes() or [(0, 0)])
            if (
                item.name == "whiten"
                and item.arguments["over"] == "image"
                and large > MOST_WHITENED
            ):
                raise ValueError(
                    f"preprocess: whiten over the image supports at most {MOST_WHITENED} pixels, "
                    f"found {large}; use over: color, or smaller images"
                )
        whole = [item.name for item in self.preprocess if "image" in item.arguments.values()]
        if whole and any(stage.image_size is not None for stage in self.finetune.stages):
            raise ValueError(
                f"preprocess: {whole[0]} over the whole image works for one size only; it cannot "
                "be combined with a stage's image_size"
            )
