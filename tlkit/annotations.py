"""Translates the annotations of registered arguments into pydantic types with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from tlkit import limits

if TYPE_CHECKING:
    from tlkit.registry import Registry


def words(activations: Registry[Any], initializers: Registry[Any]) -> dict[str, Any]:
    """The pydantic type of each annotation of registered arguments: strict, finite, within limits.

    Args:
        activations: Registry of the names that an `Activation` may have.
        initializers: Registry of the names that an `Initializer` may have.
    """
    import pydantic

    def one_of(things: Registry[Any]) -> Any:
        def check(name: str) -> str:
            if name not in things:
                raise ValueError(things.suggest(name))
            if things[name].required:
                raise ValueError(
                    f"{name!r} is called without arguments here, and needs {things[name].required[0]!r}"
                )
            return name

        choices = {"enum": list(things)}
        return Annotated[str, pydantic.AfterValidator(check), pydantic.WithJsonSchema(choices)]

    whole = Annotated[int, pydantic.Strict()]
    real = Annotated[float, pydantic.Strict(), pydantic.AllowInfNan(False)]
    rate = Annotated[real, limits.within(limits.LOWEST_RATE, limits.HIGHEST_RATE)]
    numbers = {
        name: Annotated[whole if get_args(kind)[0] is int else real, *get_args(kind)[1:]]
        for name, kind in vars(limits).items()
        if get_origin(kind) is Annotated
    }
    return {
        **numbers,
        "float": real,
        "int": whole,
        "bool": Annotated[bool, pydantic.Strict()],
        "str": Annotated[str, pydantic.AfterValidator(_text), pydantic.Field(min_length=1)],
        # tagged, so that for an invalid number only the number's own error is reported
        "LearningRate": Annotated[
            Annotated[rate, pydantic.Tag("float")]
            | Annotated[Literal["auto"], pydantic.Tag("str")],
            pydantic.Discriminator(lambda value: "str" if value == "auto" else "float"),
        ],
        "Activation": one_of(activations),
        "Initializer": one_of(initializers),
        "Loss": Any,  # parsed by tlkit.recipe.schema, like `finetune.loss` itself
        "within": limits.within,
        "several": limits.several,
        "odd": _Odd(),
        "rising": pydantic.AfterValidator(_rising),
        "Annotated": Annotated,
        "Literal": Literal,
        "Any": Any,
    }


class _Odd:
    """An odd whole number, for pydantic."""

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
