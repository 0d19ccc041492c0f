"""Names for things: what a recipe may name, and what each name stands for.

A thing is registered by decorating it in its own file:

    @register("cosine")
    def cosine(learning_rate: float, ..., warmup_epochs: Epochs = 0.0): ...

A registry finds the decorated functions and classes of its package by reading
the source, not by importing it, so that a recipe can be checked, completed and
documented without loading TensorFlow. `Registry.build` imports the one file needed.

User-defined things are named in three ways: `my_module:MyLoss` in the recipe, an installed
package's entry point in the group named like the registry's package (`tlkit.losses`), or, in a
notebook, `@register("mine", kind="loss")`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from tlkit import limits, own_modules, own_things
from tlkit.annotations import words
from tlkit.entry import Definition, Entry, F, ReturnCheck, article
from tlkit.errors import did_you_mean
from tlkit.facts import (
    AugmentationFacts,
    EngineFacts,
    ExportFacts,
    Facts,
    HeadFacts,
    LayerFacts,
    LossFacts,
    PreprocessorFacts,
    RegularizerFacts,
    ScheduleFacts,
    TrackerFacts,
)

T = TypeVar("T")
_PACKAGES: set[str] = set()  # packages whose files a registry reads


def register(name: str, kind: str | None = None, **facts: Any) -> Callable[[T], T]:
    """Registers a function or class under the name that recipes use.

    Args:
        name: Name in recipes.
        kind: Kind of thing, such as `loss`, `layer`, `augmentation` or `head`; required outside
            tlkit. Inside tlkit, the folder of its file determines it.
        facts: What tlkit needs to know without importing its file: the attributes of the class for
            its kind in `tlkit.facts`, such as `native="keras.layers.RandomFlip"` if Keras has an
            equivalent, or `mixes_labels=True` for an augmentation.

    Raises:
        ValueError: if there is no such kind, or tlkit itself uses that name.
        TypeError: outside tlkit, without a kind or with a fact that its kind does not have.
    """

    def mark(thing: T) -> T:
        module = str(getattr(thing, "__module__", ""))
        if kind is not None:
            _registry_of(kind)._add(name, thing, facts)
        elif module not in _PACKAGES and module.rpartition(".")[0] not in _PACKAGES:
            kinds = ", ".join(repr(things.kind) for things in REGISTRIES if things.is_open)
            raise TypeError(
                f"register({name!r}) outside of tlkit must say what it is: kind= one of {kinds}"
            )
        thing.registered_name = name  # type: ignore[attr-defined]
        return thing

    return mark


def _registry_of(kind: str) -> Registry[Any]:
    kinds = {things.kind: things for things in REGISTRIES if things.is_open}
    if kind not in kinds:
        raise ValueError(f"there is no kind {kind!r}. {did_you_mean(kind, kinds)}")
    return kinds[kind]


class Registry(Mapping[str, Entry[F]], Generic[F]):
    """Everything registered in one package or module, by name, in the order of the files.

    Iterating yields the known names: tlkit's own, those of installed packages, and those
    registered at run time. Lookups also accept `my_module:MyThing`.

    Args:
        kind: Name of the kind in messages, such as "schedule".
        package: Dotted name of the package whose files are read, or of one module.
        key: Recipe key that takes such a name, such as `finetune.stages[].schedule`.
        facts: The class of the facts about one.
        is_open: Whether user-defined things may be named too.
        gives: What a call of a user-defined one must return.
        later: First parameters of a user-defined function that is one, rather than returns one.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        key: str | None = None,
        facts: type[F] = Facts,  # type: ignore[assignment]
        *,
        is_open: bool = False,
        gives: ReturnCheck | None = None,
        later: tuple[str, ...] = (),
    ):
        self.gives, self.later = gives, later
        self.kind = kind
        self.package = package
        self.key = key
        self.facts = facts
        self.is_open = is_open
        self._added: dict[str, Entry[F]] = {}
        self._read: dict[str, Entry[F]] = {}
        self._stamps: dict[str, str | None] = {}  # stamps of their modules, when they were read
        _PACKAGES.add(package)

    @functools.cached_property
    def packaged(self) -> dict[str, Entry[F]]:
        """The things in tlkit's own files."""
        found: dict[str, Entry[F]] = {}
        for name, module, node, said in _registered_in(self.package):
            if name in found:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            found[name] = Entry(
                name, Definition.of_source(module, node), self.facts(**said), _words
            )
        return found

    def _advertised(self) -> dict[str, str]:
        """Places of what installed packages offer, by name; tlkit's own names take precedence."""
        offered = own_things.advertised(self.package) if self.is_open else {}
        return {name: place for name, place in offered.items() if name not in self.packaged}

    def _place(self, name: str) -> str | None:
        """Where a user-defined thing is, as `my_module:MyThing`; None if the name has no place."""
        place = name if own_things.is_place(name) else self._advertised().get(name, "")
        return place if self.is_open and own_things.is_place(place) else None

    @functools.cached_property
    def _handed(self) -> frozenset[str]:
        """Names of what tlkit passes to things of this kind."""
        return frozenset(name for entry in self.packaged.values() for name in entry.given)

    def _add(self, name: str, thing: Any, facts: dict[str, Any]) -> None:
        """Registers a user-defined thing at run time; registering it again replaces it."""
        if name in self.packaged:
            raise ValueError(f"tlkit has {article(self.kind)} {name!r} itself; choose another name")
        if not callable(thing) or not hasattr(thing, "__name__"):
            raise TypeError(
                f"expected a function or a class to register as {name!r}, found {thing!r}"
            )
        self._added[name] = self._own(name, Definition.of_thing(thing), facts)

    def _own(self, name: str, definition: Definition, facts: dict[str, Any]) -> Entry[F]:
        """The entry of a user-defined thing.

        Raises:
            TypeError: if its kind has no such fact, or the fact's value is invalid.
        """
        import pydantic

        known = self.facts.__dataclass_fields__
        if wrong := [key for key in facts if key not in known]:
            raise TypeError(
                f"{article(self.kind)} has no fact {wrong[0]!r}. {did_you_mean(wrong[0], known)}"
            )
        try:
            said = pydantic.TypeAdapter(self.facts).validate_python(facts)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise TypeError(f"fact {first['loc'][0]!r}: {first['msg']}") from None
        if said.rule is not None and not hasattr(limits, said.rule):
            raise TypeError(f"fact 'rule': tlkit.limits has no {said.rule!r}")
        gives = A_CALLBACK if getattr(said, "makes_callback", False) else self.gives
        entry = Entry(
            name, definition, said, _words, handed=self._handed, gives=gives, later=self.later
        )
        wraps = getattr(said, "wraps", None)
        if wraps is not None and wraps not in entry.arguments.model_fields:
            raise TypeError(f"fact 'wraps': {name!r} has no argument {wraps!r}")
        return entry

    def of_thing(self, thing: Callable[..., Any]) -> Entry[F]:
        """The entry of a user-defined function or class that is not registered."""
        return self._own(str(getattr(thing, "__name__", thing)), Definition.of_thing(thing), {})

    def _at(self, name: str, place: str) -> Entry[F]:
        """The entry of a thing in a module, read once, and again if the module was edited.

        Raises:
            LookupError: if there is none; with the message.
        """
        stamp = own_modules.stamp(place.partition(":")[0])
        if name not in self._read or self._stamps[name] != stamp:
            definition, marks = own_things.defined_in(place)
            said = self._facts_of(place, marks)
            try:
                self._read[name] = self._own(name, definition, said)
                self._stamps[name] = stamp
            except TypeError as error:
                raise LookupError(f"{place}: {error}") from None
        return self._read[name]

    def _facts_of(self, place: str, marks: Sequence[own_things.Mark]) -> dict[str, Any]:
        """The facts that `@register` in a thing's module gives about it, if it is there.

        Raises:
            LookupError: if it is registered as another kind.
        """
        for mark in marks:
            if mark.kind in (None, self.kind):
                return mark.facts
        if not marks:
            return {}
        kind = str(marks[0].kind)
        other = next((things for things in REGISTRIES if things.kind == kind), None)
        belongs = f"; it belongs under {other.key}:" if other is not None and other.key else ""
        raise LookupError(
            f"{place} is registered as {article(kind)}, not {article(self.kind)}{belongs}"
        )

    def __getitem__(self, name: str) -> Entry[F]:
        if name in self.packaged:
            return self.packaged[name]
        if name in self._added:
            return self._added[name]
        place = self._place(name)
        if place is None:
            raise KeyError(name)
        try:
            return self._at(name, place)
        except LookupError as error:
            raise KeyError(name) from error

    def __eq__(self, other: object) -> bool:
        return self is other  # comparing names would read all files

    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[str]:
        return iter({**self.packaged, **self._advertised(), **self._added})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def named_in(self, recipe: str) -> list[Entry[F]]:
        """User-defined things that the text of a valid recipe names."""
        return [entry for name, entry in self._read.items() if name in recipe]

    def suggest(self, name: str) -> str:
        """The message about a name that is not registered."""
        place = self._place(name)
        if place is not None:
            try:
                self._at(name, place)
            except LookupError as error:
                return str(error.args[0])
        if self.is_open and name in self._advertised():
            return f"an installed package offers {name!r} as {self._advertised()[name]!r}, which is not a place"
        for other in REGISTRIES:
            if not own_things.is_place(name) and name in other and other.key and other is not self:
                return (
                    f"{name!r} is not {article(self.kind)} but {article(other.kind)}; "
                    f"it belongs under {other.key}:"
                )
        return f"{name!r} is not {article(self.kind)}. {did_you_mean(name, self)}"

    def build(self, name: str, /, *given: Any, **arguments: Any) -> Any:
        """Imports the file of what `name` stands for, and calls it."""
        if given:
            return self[name].load()(*given, **arguments)
        return self[name].call({}, **arguments)

    def make(self, name: str, context: dict[str, Any], /, **arguments: Any) -> Any:
        """Calls what `name` stands for with the parts of a context that it has parameters for."""
        return self[name].call(context, **arguments)


def _registered_in(
    package: str,
) -> Iterator[tuple[str, str, ast.FunctionDef | ast.ClassDef, dict[str, Any]]]:
    """Name, module, source and facts of what a package's files register, without importing them."""
    place = pathlib.Path(__file__).parent.parent / package.replace(".", "/")
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    for path in files:
        module = f"{package}.{path.stem}" if place.is_dir() else package
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for mark in own_things.registered(node):
                    yield mark.name, module, node, mark.facts


def exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for a package whose public names are its registered things."""
    homes = {node.name: module for _, module, node, _ in _registered_in(package)}

    def find(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(homes[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: sorted(homes)


@functools.cache
def _words() -> dict[str, Any]:
    return words(ACTIVATIONS, INITIALIZERS)


A_CALLBACK = ReturnCheck("a keras.callbacks.Callback", "keras.callbacks:Callback")
A_LAYER = ReturnCheck("a keras.layers.Layer", "keras.layers:Layer")
SOURCES = Registry("data source", "tlkit.data.sources", "data.source", Facts, is_open=True)
AUGMENTATIONS = Registry(
    "augmentation", "tlkit.augment", "augment", AugmentationFacts, is_open=True, gives=A_LAYER
)
PREPROCESSORS = Registry(
    "preprocessing step",
    "tlkit.preprocess",
    "preprocess",
    PreprocessorFacts,
    is_open=True,
    gives=A_LAYER,
)
HEADS = Registry("head", "tlkit.heads", "model.head", HeadFacts, is_open=True)
LAYERS = Registry("layer", "tlkit.layers", "model.insert", LayerFacts, is_open=True, gives=A_LAYER)
ACTIVATIONS = Registry(
    "activation",
    "tlkit.activations",
    "model.head.mlp.activation",
    Facts,
    is_open=True,
    gives=ReturnCheck("a function of a tensor"),
)
INITIALIZERS = Registry(
    "initializer",
    "tlkit.initializers",
    "model.head.linear.initializer",
    Facts,
    is_open=True,
    gives=ReturnCheck("a keras.initializers.Initializer, or a function of a shape"),
)
# one package of `tlkit.tasks` each
TASK_NAMES = tuple(
    sorted(
        file.parent.name.replace("_", "-")
        for file in pathlib.Path(__file__).parent.glob("tasks/*/__init__.py")
    )
)
LOSSES = Registry(
    "loss",
    "tlkit.losses",
    "finetune.loss",
    LossFacts,
    is_open=True,
    gives=ReturnCheck("a keras.losses.Loss, or a function of labels and logits"),
    later=("y_true", "y_pred"),
)
REGULARIZERS = Registry(
    "regularizer",
    "tlkit.regularizers",
    "regularize",
    RegularizerFacts,
    is_open=True,
    gives=ReturnCheck("a keras.regularizers.Regularizer, or a function of the weights"),
)
ADVERSARIES = Registry(
    "adversarial attack", "tlkit.adversarial", "finetune.adversarial", Facts, is_open=True
)
POLICIES = Registry("policy", "tlkit.freeze", "finetune.stages[].policy", Facts)
OPTIMIZERS = Registry(
    "optimizer",
    "tlkit.optimizers",
    "finetune.stages[].optimizer",
    Facts,
    is_open=True,
    gives=ReturnCheck("a keras.optimizers.Optimizer", "keras.optimizers:Optimizer"),
)
SCHEDULES = Registry(
    "schedule",
    "tlkit.schedules",
    "finetune.stages[].schedule",
    ScheduleFacts,
    is_open=True,
    gives=ReturnCheck("a function of the step that gives its learning rate"),
)
TRACKERS = Registry(
    "tracker",
    "tlkit.trackers",
    "trackers",
    TrackerFacts,
    is_open=True,
    gives=ReturnCheck("a tlkit.trackers.Tracker", "tlkit.trackers.tracker:Tracker"),
)
ENGINES = Registry("engine", "tlkit.features.engines", "engine", EngineFacts)
EXPORTS = Registry("export format", "tlkit.export", "export", ExportFacts)

REGISTRIES: tuple[Registry[Any], ...] = (
    AUGMENTATIONS,
    PREPROCESSORS,
    LAYERS,
    ACTIVATIONS,
    INITIALIZERS,
    HEADS,
    LOSSES,
    REGULARIZERS,
    ADVERSARIES,
    POLICIES,
    OPTIMIZERS,
    SCHEDULES,
    SOURCES,
    TRACKERS,
    ENGINES,
    EXPORTS,
)


def own_things_in(recipe: str, but: Sequence[Registry[Any]] = ()) -> list[Entry[Any]]:
    """User-defined things that a recipe names.

    Args:
        recipe: The text of a valid recipe.
        but: Kinds to leave out.
    """
    kinds = [things for things in REGISTRIES if things not in but]
    return [entry for things in kinds for entry in things.named_in(recipe)]
