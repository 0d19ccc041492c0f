"""The model in OpenVINO."""

from __future__ import annotations

import functools
import pathlib
import sys
import weakref
from typing import Any

import numpy as np

from tlkit.features.compiled_model import CompiledModel
from tlkit.features.engines.keras import constant, in_parts
from tlkit.registry import register
from tlkit.tensors import KerasModel, Tensor

# images at once: few enough that their inner maps stay in the processor's caches
BATCH = 8
# the converted model for both precisions, by the function that it was converted from
_CONVERTED: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


@register(
    "openvino",
    rank=1,
    device="CPU",
    needs="openvino",
    least_cosine=0.98,
    precisions="bfloat16 float32",
    loader="load",
)
def openvino(model: KerasModel) -> CompiledModel:
    """OpenVINO in bfloat16 if the processor supports it, else in float32.

    Heads were trained on bfloat16 features of MobileNetV2, whose cosine with the float32 ones was
    0.987 to 0.996; on float32 features they did as well as heads trained on those
    (docs/performance.md).
    """
    return _compiled(*_converted(model), _fastest())


@register(
    "openvino-float32", rank=2, device="CPU", needs="openvino", least_cosine=0.9999, instead="openvino",
    precisions="float32", loader="load",
)  # fmt: skip
def openvino_float32(model: KerasModel) -> CompiledModel:
    """OpenVINO in float32, for networks that lose too much in bfloat16."""
    return _compiled(*_converted(model), "f32")


def load(folder: pathlib.Path, outputs: list[str], name: str) -> CompiledModel:
    """Loads one of these engines from what its `save` wrote.

    Args:
        folder: Folder that it was saved to.
        outputs: Names of its outputs, in order.
        name: Name of the engine.
    """
    model = core().read_model(folder / "model.xml")
    return _compiled(model, outputs, _fastest() if name == "openvino" else "f32")


def runtime() -> Any:
    """The package, with its telemetry of imports and conversions disabled.

    The telemetry would run in a forked copy of this process, which also takes a second per run.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@functools.cache
def core() -> Any:
    """The OpenVINO runtime, which is never released.

    Its CPU plugin gives the main thread another signal stack, and frees that when the last use
    of the plugin ends, on whatever thread: the next Ctrl-C would then end the process without a
    message.
    """
    return runtime().Core()


def _fastest() -> str:
    """The fastest precision that the processor supports."""
    able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "f32"


def _converted(model: KerasModel) -> tuple[Any, list[str]]:
    """The network converted to OpenVINO, and the names of its outputs; cached by its weights."""
    graph = constant(model)
    if graph not in _CONVERTED:
        # OpenVINO folds BatchNorm itself
        converted = runtime().convert_model(graph.graph)
        converted.reshape([BATCH, *model.inputs[0].shape[1:]])
        _CONVERTED[graph] = converted, [name.name for name in graph.outputs]
    found: tuple[Any, list[str]] = _CONVERTED[graph]
    return found


def _compiled(converted: Any, names: list[str], precision: str) -> CompiledModel:
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    compiled = core().compile_model(converted, "CPU", settings)
    # OpenVINO may change the order of a graph's outputs
    ports = [compiled.output(name) for name in names]

    def few(images: Tensor) -> list[np.ndarray]:
        images = np.asarray(images)
        found = compiled(np.concatenate([images, np.repeat(images[-1:], BATCH - len(images), 0)]))
        return [np.array(found[port][: len(images)], np.float32) for port in ports]

    def save(folder: pathlib.Path) -> list[str]:
        runtime().save_model(converted, folder / "model.xml", compress_to_fp16=False)
        return names

    words = {"bf16": "bfloat16", "f32": "float32"}
    return CompiledModel(in_parts(few, BATCH), words[precision], save)
