"""Builds a backbone by name, with its weights."""

from __future__ import annotations

import pathlib
from typing import Any

from tlkit.backbones import spec as specs
from tlkit.backbones.spec import BackboneSpec
from tlkit.backbones.weights import load_weights
from tlkit.errors import UserError, WeightsError, first_line
from tlkit.out_of_memory import is_out_of_memory, memory_trouble
from tlkit.tensors import KerasModel


def resolve_weights(spec: BackboneSpec, weights: str) -> str:
    """Resolves `auto` to the bundled weights if there are any, else ImageNet's."""
    if weights != "auto":
        return weights
    return "bundled" if spec.bundled else "imagenet"


def load_backbone(
    name: str,
    weights: str = "auto",
    image_size: tuple[int, int] | None = None,
    include_top: bool = False,
    arguments: dict[str, Any] | None = None,
) -> tuple[Any, BackboneSpec]:
    """Builds a pretrained network.

    Args:
        name: A name from `tlkit backbones`, or `hub:` followed by a KerasHub preset or folder.
        weights: `auto`, `imagenet`, `bundled`, `none`, or a file.
        image_size: Height and width in pixels; the spec's size by default.
        include_top: Keep the original classifier.
        arguments: Additional arguments of the constructor, such as `{"alpha": 0.35}`.

    Returns:
        The Keras model, which expects preprocessed images, and its spec.

    Raises:
        UserError: for an unknown name, size or argument.
        WeightsError: if the weights are unavailable or do not fit.
    """
    if name.startswith("hub:"):
        from tlkit.backbones.hub import load_hub_backbone

        return load_hub_backbone(name.removeprefix("hub:"), weights, image_size, include_top)
    if name not in specs.names():
        raise UserError(specs.suggest(name))
    spec = specs.find(name)
    weights = resolve_weights(spec, weights)
    height, width = image_size or (spec.size, spec.size)
    if min(height, width) < spec.minimum_size:
        raise UserError(
            f"{name} needs images of at least {spec.minimum_size} pixels a side, "
            f"found {height} x {width}"
        )
    built = _construct(spec, weights, (height, width, 3), include_top, arguments or {})
    if weights == "bundled":
        if spec.bundled is None:
            raise WeightsError(
                f"no weights are bundled for {name!r}; bundled: {', '.join(specs.bundled())}"
            )
        load_weights(built, spec.bundled_file() or "")
    elif weights not in ("imagenet", "none"):
        load_weights(built, weights)
    return built, spec


def _construct(
    spec: BackboneSpec,
    weights: str,
    shape: tuple[int, int, int],
    top: bool,
    arguments: dict[str, Any],
) -> KerasModel:
    original = "imagenet" if weights == "imagenet" else None
    if original and not spec.constructor.startswith("keras.applications:"):
        raise WeightsError(f"there are no imagenet weights of {spec.name!r}", hint="Use: bundled.")
    try:
        return spec.build(include_top=top, weights=original, input_shape=shape, **arguments)
    except TypeError as error:
        raise UserError(f"model.arguments: {spec.name} does not take them: {error}") from None
    except ValueError as error:
        raise UserError(f"model: {spec.name} cannot be built: {error}") from None
    except Exception as error:
        if is_out_of_memory(error):
            raise memory_trouble(error) from error
        if arguments and not original:  # the arguments may be anything
            raise UserError(
                f"model.arguments: {spec.name} cannot be built with them: {first_line(error)}"
            ) from None
        if not original:
            raise
        # the error of keras.utils.get_file depends on what failed underneath
        cache = pathlib.Path.home() / ".keras" / "models"
        raise WeightsError(
            f"the ImageNet weights of {spec.name} could not be downloaded: {error}",
            hint=f"With no network, copy the file into {cache}, or name a file with model.weights.",
        ) from None
