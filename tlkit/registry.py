"""Names for things: what a recipe may say, and what it stands for.

A thing is registered by decorating it in its own file:

    @register("cosine")
    def cosine(learning_rate: float, ..., warmup_epochs: Epochs = 0.0): ...

A registry finds the decorated functions and classes of its package by reading
the source, not by importing it, so that a recipe can be checked, completed and
documented without loading TensorFlow. `Registry.get` imports the one file needed.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from tlkit import limits
from tlkit.errors import did_you_mean

if TYPE_CHECKING:
    import pydantic

T = TypeVar("T")


@functools.cache
def _words() -> dict[str, Any]:
    """What the annotations of registered arguments mean to pydantic: strict, finite, in limits."""
    import pydantic

    def one_of(things: Registry) -> Any:
        def check(name: str) -> str:
            if name not in things:
                raise ValueError(things.suggest(name))
            return name

        choices = {"enum": list(things)}
        return Annotated[str, pydantic.AfterValidator(check), pydantic.WithJsonSchema(choices)]

    whole = Annotated[int, pydantic.Strict()]
    real = Annotated[float, pydantic.Strict(), pydantic.AllowInfNan(False)]
    rate = Annotated[real, limits.within(limits.LOWEST_RATE, limits.HIGHEST_RATE)]
    words = {
        name: Annotated[whole if get_args(kind)[0] is int else real, *get_args(kind)[1:]]
        for name, kind in vars(limits).items()
        if get_origin(kind) is Annotated
    }
    return {
        **words,
        "float": real,
        "int": whole,
        "bool": Annotated[bool, pydantic.Strict()],
        "str": Annotated[str, pydantic.AfterValidator(_text), pydantic.Field(min_length=1)],
        # tagged, so that a wrong number is answered with what is wrong about it alone
        "LearningRate": Annotated[
            Annotated[rate, pydantic.Tag("float")]
            | Annotated[Literal["auto"], pydantic.Tag("str")],
            pydantic.Discriminator(lambda value: "str" if value == "auto" else "float"),
        ],
        "Activation": one_of(ACTIVATIONS),
        "Initializer": one_of(INITIALIZERS),
        "Loss": Any,  # parsed as `finetune.loss` itself, by tlkit.recipe.schema
        "within": limits.within,
        "several": limits.several,
        "odd": _Odd(),
        "rising": pydantic.AfterValidator(_rising),
        "Annotated": Annotated,
        "Literal": Literal,
    }


class _Odd:
    """A whole number that is odd, to pydantic."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def check(value: int) -> int:
            if value % 2 == 0:
                raise ValueError(f"expected an odd number, found {value}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        return {**handler(schema), "not": {"multipleOf": 2}}


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"expected the lower number first, found {list(pair)}")
    return pair


def _text(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"expected text without control characters, found {value!r}")
    return value


def register(name: str, **facts: Any) -> Callable[[T], T]:
    """Marks a function or class as what recipes call `name`.

    Args:
        name: In recipes.
        facts: Literals that tlkit asks about without importing the file, as
            `native="keras.layers.RandomFlip"` where Keras has it already, or
            `rule="rising_boundaries"` for the function in `tlkit.limits` that its
            arguments must obey together.
    """

    def mark(thing: T) -> T:
        thing.registered_name = name  # type: ignore[attr-defined]
        return thing

    return mark


class Entry:
    """One registered thing as its source describes it.

    Attributes:
        name: What recipes call it.
        module: Where it is defined.
        attribute: Its name in that module.
        summary: The first line of its docstring.
        doc: The whole docstring.
        facts: What was registered with it.
        arguments: A pydantic model of what a recipe may pass.
    """

    def __init__(
        self,
        name: str,
        module: str,
        node: ast.FunctionDef | ast.ClassDef,
        facts: dict[str, Any],
    ):
        self.name = name
        self.module = module
        self.facts = facts
        self.attribute = node.name
        self.doc = ast.get_docstring(node) or ""
        self.summary = self.doc.split("\n")[0]
        self._node = node

    @property
    def _parameters(self) -> ast.arguments:
        if isinstance(self._node, ast.FunctionDef):
            return self._node.args
        for item in self._node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return item.args
        raise TypeError(f"{self.attribute} has no __init__")

    @property
    def given(self) -> list[str]:
        """Parameters before `*`: handed over by tlkit, not by a recipe."""
        return [arg.arg for arg in self._parameters.args if arg.arg != "self"]

    def annotation(self, name: str) -> str:
        """The type of a keyword-only parameter, as the source has it."""
        for arg in self._parameters.kwonlyargs:
            if arg.arg == name:
                return ast.unparse(arg.annotation) if arg.annotation else "Any"
        raise KeyError(name)

    def expects(self, name: str) -> str:
        """The type and limits of a keyword-only parameter, in a recipe's words."""
        return limits.describe(self.annotation(name))

    def _fields(self) -> dict[str, Any]:
        """Keyword-only parameters: what a recipe may pass."""
        fields: dict[str, Any] = {}
        parameters = self._parameters
        for arg, default in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True):
            # a run has one seed, and gives it to all; its networks end in logits
            if arg.arg in ("seed", "from_logits"):
                continue
            annotation = ast.unparse(arg.annotation) if arg.annotation else "Any"
            kind = eval(annotation, {"__builtins__": __builtins__}, _words())
            fields[arg.arg] = (kind, ... if default is None else ast.literal_eval(default))
        return fields

    @functools.cached_property
    def arguments(self) -> type[pydantic.BaseModel]:
        import pydantic

        def obey(given: Any) -> Any:
            getattr(limits, self.facts["rule"])(**dict(given))
            return given

        rules: dict[str, Any] = {"obey": pydantic.model_validator(mode="after")(obey)}
        return pydantic.create_model(
            self.name.replace("-", "_"),
            __config__=pydantic.ConfigDict(extra="forbid", protected_namespaces=()),
            __validators__=rules if "rule" in self.facts else {},
            **self._fields(),
        )

    def load(self) -> Any:
        return getattr(importlib.import_module(self.module), self.attribute)


class Registry(Mapping[str, Entry]):
    """Everything registered in one package or module, by name, in the order of the files.

    Args:
        kind: What one of these is called in a message, as "schedule".
        package: Dotted name of the package whose files are read, or of one module.
        key: Where a recipe says such a name, as `finetune.stages[].schedule`.
    """

    def __init__(self, kind: str, package: str, key: str | None = None):
        self.kind = kind
        self.package = package
        self.key = key

    @functools.cached_property
    def _entries(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        place = pathlib.Path(__file__).parent.parent / self.package.replace(".", "/")
        files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for path in files:
            for node in ast.parse(path.read_text("utf-8")).body:
                if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                    continue
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "register":
                        name = ast.literal_eval(mark.args[0])
                        if name in found:
                            raise ValueError(f"{self.kind} {name!r} is registered twice")
                        module = f"{self.package}.{path.stem}" if place.is_dir() else self.package
                        facts = {str(k.arg): ast.literal_eval(k.value) for k in mark.keywords}
                        found[name] = Entry(name, module, node, facts)
        return found

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def suggest(self, name: str) -> str:
        """What to say about a name that is not registered."""
        for other in REGISTRIES:
            if name in other and other.key and other is not self:
                return (
                    f"{name!r} is not {article(self.kind)} but {article(other.kind)}; "
                    f"it belongs under {other.key}:"
                )
        return f"{name!r} is not {article(self.kind)}. {did_you_mean(name, self)}"

    def build(self, name: str, /, *given: Any, **arguments: Any) -> Any:
        """Calls what `name` stands for; imports its file first."""
        return self[name].load()(*given, **arguments)

    def make(self, name: str, context: dict[str, Any], /, **arguments: Any) -> Any:
        """Calls what `name` stands for with those things of a context that it asks for."""
        entry = self[name]
        return entry.load()(*(context[key] for key in entry.given), **arguments)


def exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose registered things are its public names."""
    things = {entry.attribute: entry for entry in Registry("name", package).values()}

    def find(name: str) -> Any:
        if name in things:
            return things[name].load()
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: sorted(things)


def article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


SOURCES = Registry("data source", "tlkit.data.sources", "data.source")
AUGMENTATIONS = Registry("augmentation", "tlkit.augment", "augment")
PREPROCESSORS = Registry("preprocessing step", "tlkit.preprocess", "preprocess")
HEADS = Registry("head", "tlkit.heads", "model.head")
LAYERS = Registry("layer", "tlkit.layers", "model.insert")
ACTIVATIONS = Registry("activation", "tlkit.activations", "model.head.mlp.activation")
INITIALIZERS = Registry("initializer", "tlkit.initializers", "model.head.linear.initializer")
LOSSES = Registry("loss", "tlkit.losses", "finetune.loss")
REGULARIZERS = Registry("regularizer", "tlkit.regularizers", "regularize")
ADVERSARIES = Registry("adversarial attack", "tlkit.adversarial", "finetune.adversarial")
POLICIES = Registry("policy", "tlkit.freeze", "finetune.stages[].policy")
OPTIMIZERS = Registry("optimizer", "tlkit.optimizers", "finetune.stages[].optimizer")
SCHEDULES = Registry("schedule", "tlkit.schedules", "finetune.stages[].schedule")
ENGINES = Registry("engine", "tlkit.features.engines", "engine")
EXPORTS = Registry("export format", "tlkit.export", "export")

REGISTRIES = (
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
    ENGINES,
    EXPORTS,
)
