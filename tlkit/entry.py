"""One registered thing: what its source says about it, or the thing itself."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tlkit import limits
from tlkit.errors import UserError
from tlkit.facts import Facts

if TYPE_CHECKING:
    import pydantic

F = TypeVar("F", bound=Facts, covariant=True)
REQUIRED = object()  # the default of a parameter that has none
UNSAID = object()  # a default that is not a literal, known only to the source
# a run passes its one seed to everything; its networks end in logits
SET_BY_TLKIT = ("seed", "from_logits")
# syntax that a user-defined annotation may use: names, `|`, `[...]`, numbers, calls of limits
PLAIN = (
    ast.Name, ast.Subscript, ast.BinOp, ast.BitOr, ast.Constant, ast.Tuple, ast.List, ast.Call,
    ast.keyword, ast.UnaryOp, ast.USub, ast.expr_context,
)  # fmt: skip
# arguments that Keras classes take besides their own
SET_BY_KERAS = ("name", "dtype", "trainable", "reduction", "activity_regularizer", "autocast")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a function or class.

    Attributes:
        name: Its name.
        annotation: Its type, as written in the source.
        default: Its default; `REQUIRED` if it has none.
        keyword_only: Whether it comes after a `*`.
        positional_only: Whether it comes before a `/`.
    """

    name: str
    annotation: str
    default: Any
    keyword_only: bool
    positional_only: bool = False

    @property
    def is_recipes(self) -> bool:
        """Whether a recipe can set it; pydantic's models reserve some names."""
        return not self.name.startswith("_") and self.name not in ("model_config", "model_dump")


@dataclasses.dataclass(frozen=True)
class Definition:
    """What is known about a function or class.

    Attributes:
        module: Module that defines it.
        attribute: Its name in that module.
        doc: Its docstring.
        parameters: Its parameters, without `self`, `*args` and `**kwargs`.
        find: Returns the function or class itself.
    """

    module: str
    attribute: str
    doc: str
    parameters: tuple[Parameter, ...]
    find: Callable[[], Any]

    @classmethod
    def of_source(cls, module: str, node: ast.FunctionDef | ast.ClassDef) -> Definition:
        """From a module's source; the module is not imported until `find` is called.

        Raises:
            TypeError: for a class without a constructor of its own.
        """
        return cls(
            module,
            node.name,
            ast.get_docstring(node) or "",
            tuple(_parameters(_constructor(node))),
            lambda: getattr(importlib.import_module(module), node.name),
        )

    @classmethod
    def of_thing(cls, thing: Callable[..., Any]) -> Definition:
        """From the function or class itself, as in a notebook."""
        found = []
        for given in inspect.signature(thing).parameters.values():
            if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
                continue
            written = given.annotation
            if written is given.empty:
                written = "Any"
            elif not isinstance(written, str):
                written = inspect.formatannotation(written)
            default = REQUIRED if given.default is given.empty else _plain(given.default)
            kinds = given.kind == given.KEYWORD_ONLY, given.kind == given.POSITIONAL_ONLY
            found.append(Parameter(given.name, written, default, *kinds))
        doc = inspect.getdoc(thing) if thing.__doc__ else ""
        name = getattr(thing, "__name__", type(thing).__name__)
        return cls(str(thing.__module__), name, doc or "", tuple(found), lambda: thing)


def _constructor(node: ast.FunctionDef | ast.ClassDef) -> ast.arguments:
    if isinstance(node, ast.FunctionDef):
        return node.args
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item.args
    raise TypeError(f"{node.name} has no __init__")


def _parameters(given: ast.arguments) -> Iterator[Parameter]:
    plain = [*given.posonlyargs, *given.args]
    without = [None] * (len(plain) - len(given.defaults))
    pairs = [*zip(plain, [*without, *given.defaults], strict=True)]
    only = [*zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    for arg, value in [*pairs, *only]:
        if arg.arg == "self":
            continue
        written = ast.unparse(arg.annotation) if arg.annotation else "Any"
        default = REQUIRED if value is None else _literal(value)
        yield Parameter(arg.arg, written, default, (arg, value) in only, arg in given.posonlyargs)


def _literal(node: ast.expr) -> Any:
    """A default's value; `UNSAID` if it is not a literal, so that the source's default applies."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNSAID


def _plain(value: Any) -> Any:
    """A default that a recipe can express; `UNSAID` for any other."""
    kinds = (bool, int, float, str, list, tuple, dict)
    return value if value is None or isinstance(value, kinds) else UNSAID


@dataclasses.dataclass(frozen=True)
class ReturnCheck:
    """What a call of a user-defined thing must return.

    Attributes:
        words: Description for a message.
        place: The class, such as `keras.layers:Layer`; empty for any callable.
    """

    words: str
    place: str = ""

    def is_met_by(self, made: Any) -> bool:
        """Whether an object meets the requirement."""
        if not self.place:
            return callable(made) and not inspect.isclass(made)
        module, _, name = self.place.partition(":")
        return isinstance(made, getattr(importlib.import_module(module), name))


@contextlib.contextmanager
def told_as_users(name: str) -> Iterator[None]:
    """Inside, exceptions from user-defined code become errors for the user to fix.

    Args:
        name: Name of the thing.

    Raises:
        UserError: in place of any other error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # user code may raise anything
        raise UserError(f"fails: {type(error).__name__}: {_reason(error)}", where=name) from error


def _reason(error: Exception) -> str:
    """The message of an error, without the line about the layer that Keras puts first."""
    text = re.sub("\x1b\\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        return lines[1]
    return lines[0] if lines else "it does not say why"


def shown(value: Any) -> str:
    """A description of a value, for a message."""
    kinds = (bool, int, float, str, type(None))
    return repr(value) if isinstance(value, kinds) else article(type(value).__name__)


def article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return f"an {noun}" if noun[0] in "aeiouAEIOU" else f"a {noun}"


def shown_shape(shape: Sequence[int | None]) -> str:
    """A shape, for a message."""
    sides = ["batch" if side is None else str(side) for side in shape]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def known_to_keras(thing: Any) -> Any:
    """Registers a user-defined class with Keras, so that saved models that use it can be loaded."""
    keras: Any = sys.modules.get("keras")
    named = keras is not None and inspect.isclass(thing) and hasattr(thing, "get_config")
    if named and keras.saving.get_registered_name(thing) == thing.__name__:  # not registered yet
        keras.saving.register_keras_serializable(package=thing.__module__)(thing)
    return thing


class Entry(Generic[F]):
    """One registered thing.

    Attributes:
        name: Its name in recipes.
        module: Module that defines it.
        attribute: Its name in that module.
        summary: The first line of its docstring.
        doc: The whole docstring.
        facts: The facts it was registered with.
        given: Parameters that tlkit passes, not the recipe.
        arguments: A pydantic model of the arguments that a recipe may pass.
    """

    def __init__(
        self,
        name: str,
        definition: Definition,
        facts: F,
        words: Callable[[], dict[str, Any]],
        *,
        handed: Container[str] | None = None,
        gives: ReturnCheck | None = None,
        later: tuple[str, ...] = (),
    ):
        """
        Args:
            name: Name in recipes.
            definition: Definition of the function or class.
            facts: Facts of its kind.
            words: Returns the meaning of its annotations.
            handed: Names that tlkit passes to things of this kind; None if tlkit passes all
                parameters before `*`, as in tlkit's own files.
            gives: What a call of a user-defined one must return.
            later: First parameters of a function that is itself a thing of this kind, rather than
                a function that returns one.

        Raises:
            TypeError: if it requires an argument that no recipe can set.
        """
        self.name = name
        self.module, self.attribute = definition.module, definition.attribute
        self.doc, self.summary = definition.doc, definition.doc.split("\n")[0]
        self.facts = facts
        self.is_packaged = handed is None
        self._find, self._words = definition.find, words
        self.given: list[str] = []
        self._accepted: dict[str, Parameter] = {}
        self._fixed: dict[str, Any] = {}
        self._gives = gives
        self._ordered = [one.name for one in definition.parameters if one.positional_only]
        first = tuple(one.name for one in definition.parameters[: len(later)])
        self.is_called_later = bool(later) and first == later
        for one in definition.parameters[len(later) if self.is_called_later else 0 :]:
            if not one.is_recipes:
                if one.default is REQUIRED:
                    raise TypeError(f"{name!r} needs {one.name!r}, which no recipe can say")
            elif one.name in handed if handed is not None else not one.keyword_only:
                self.given.append(one.name)
            elif handed is None or one.name not in SET_BY_KERAS or one.default is REQUIRED:
                self._accepted[one.name] = one
        if handed is not None and "from_logits" in self._accepted:
            self._fixed["from_logits"] = True  # Keras's own losses expect probabilities

    def annotation(self, name: str) -> str:
        """The type of an argument, as written in the source."""
        return self._accepted[name].annotation

    @property
    def required(self) -> list[str]:
        """Arguments without a default."""
        return [one.name for one in self._accepted.values() if one.default is REQUIRED]

    def expects(self, name: str) -> str:
        """The type and limits of an argument, as described to recipe authors."""
        return limits.describe(self.annotation(name))

    def _fields(self) -> dict[str, Any]:
        """The fields of the arguments that a recipe may pass."""
        fields: dict[str, Any] = {}
        for one in self._accepted.values():
            required = one.default is REQUIRED
            if one.name in SET_BY_TLKIT and (self.is_packaged or not required):
                continue
            kind = self._type(one.annotation)
            if one.default is UNSAID:
                fields[one.name] = (kind | None, None)
            else:
                fields[one.name] = (kind, ... if required else one.default)
        return fields

    def _type(self, annotation: str) -> Any:
        if self.is_packaged:
            return eval(annotation, {"__builtins__": __builtins__}, self._words())
        import pydantic

        try:
            tree = ast.parse(annotation, mode="eval").body
            if isinstance(tree, ast.Constant) and isinstance(tree.value, str):  # in quotes
                tree = ast.parse(tree.value, mode="eval").body
            if not all(isinstance(node, PLAIN) for node in ast.walk(tree)):
                return Any
            names = {"list": list, "tuple": tuple, "dict": dict, **self._words()}
            kind = eval(ast.unparse(tree), {"__builtins__": {}}, names)
            pydantic.TypeAdapter(kind)
        except Exception:  # a type that only its own file can resolve
            return Any
        return kind

    @functools.cached_property
    def arguments(self) -> type[pydantic.BaseModel]:
        import pydantic

        def obey(given: Any) -> Any:
            getattr(limits, str(self.facts.rule))(**dict(given))
            return given

        rules: dict[str, Any] = {"obey": pydantic.model_validator(mode="after")(obey)}
        with warnings.catch_warnings():  # an argument may have the name of a pydantic method
            warnings.filterwarnings("ignore", "Field name .* shadows an attribute")
            return pydantic.create_model(
                self.name.replace("-", "_").replace(":", "_").replace(".", "_"),
                __config__=pydantic.ConfigDict(
                    extra="forbid", protected_namespaces=(), arbitrary_types_allowed=True
                ),
                __validators__=rules if self.facts.rule else {},
                **self._fields(),
            )

    def load(self) -> Any:
        """The function or class itself; imports its file first.

        Raises:
            UserError: if a user's module cannot be imported.
        """
        if self.is_packaged:
            return self._find()
        try:
            return known_to_keras(self._find())
        except (Exception, SystemExit) as error:  # user code may raise anything
            raise UserError(
                f"module {self.module!r} cannot be imported: {type(error).__name__}: {error}",
                where=self.name,
            ) from error

    def call(self, context: dict[str, Any], /, **arguments: Any) -> Any:
        """Calls it with the parts of a context that it has parameters for.

        Raises:
            UserError: if a user-defined thing fails, or returns something of the wrong kind.
        """
        arguments |= {key: context[key] for key in self.given if key in context}
        for key, one in self._accepted.items():
            if one.default is UNSAID and arguments.get(key) is None:
                arguments.pop(key, None)
        thing, arguments = self.load(), {**self._fixed, **arguments}
        if self.is_called_later:
            return functools.partial(thing, **arguments)
        ordered = [arguments.pop(key) for key in self._ordered if key in arguments]
        if self.is_packaged:
            return thing(*ordered, **arguments)
        with told_as_users(self.name):
            made = thing(*ordered, **arguments)
        if self._gives is not None and not self._gives.is_met_by(made):
            raise UserError(f"gives {shown(made)}; expected {self._gives.words}", where=self.name)
        return made

    def tells_its_errors(self) -> contextlib.AbstractContextManager[None]:
        """Inside, exceptions from a user-defined thing become errors for the user to fix."""
        return contextlib.nullcontext() if self.is_packaged else told_as_users(self.name)

    def by_position(self, *names: str) -> Callable[..., Any]:
        """The same as a callable that takes what tlkit passes as positional arguments.

        Args:
            names: Names of those arguments; a user-defined thing receives only those it needs.
        """
        if self.is_packaged:
            packaged: Callable[..., Any] = self.load()
            return packaged

        def call(*given: Any, **arguments: Any) -> Any:
            return self.call(dict(zip(names, given, strict=False)), **arguments)

        return call
