"""The model in OpenVINO."""

from __future__ import annotations

import functools
import pathlib
import sys
import weakref
from typing import Any

import numpy as np

from tlkit.features.engines.keras import constant, in_parts
from tlkit.registry import register

# images at once: few, whose inner maps stay in the processor's caches
BATCH = 8
# what both precisions are compiled from, by the function it was converted from
_CONVERTED: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


@register(
    "openvino",
    rank=1,
    device="CPU",
    needs="openvino",
    least_cosine=0.98,
    precisions="bfloat16 float32",
)
def openvino(model: Any) -> Any:
    """OpenVINO, in bfloat16 where the processor computes in it, else in float32.

    Heads trained on bfloat16 features of MobileNetV2, whose cosine with float32's was
    0.987 to 0.996, did as well on float32's as those trained there (docs/performance.md).
    """
    return _compiled(*_converted(model), _fastest())


@register(
    "openvino-float32", rank=2, device="CPU", needs="openvino", least_cosine=0.9999, instead="openvino",
    precisions="float32",
)  # fmt: skip
def openvino_float32(model: Any) -> Any:
    """OpenVINO in float32, for networks that lose too much in bfloat16."""
    return _compiled(*_converted(model), "f32")


def read(folder: pathlib.Path, outputs: list[str], name: str) -> Any:
    """One of these engines from what its `save` wrote.

    Args:
        folder: Where to.
        outputs: Their names, in order.
        name: Of the engine.
    """
    model = core().read_model(folder / "model.xml")
    return _compiled(model, outputs, _fastest() if name == "openvino" else "f32")


def runtime() -> Any:
    """The package, kept from telling its makers of each import and conversion.

    It would do so from a forked copy of this process, which takes a second of a run, too.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@functools.cache
def core() -> Any:
    """OpenVINO's runtime, which is never let go.

    Its processor plugin gives the main thread another stack for signals, and frees that when
    the last use of it ends, on whatever thread: the next Ctrl-C would end the process without
    a word.
    """
    return runtime().Core()


def _fastest() -> str:
    """The fastest precision that the processor has."""
    able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "f32"


def _converted(model: Any) -> tuple[Any, list[str]]:
    """The network as OpenVINO has it, and the names of its outputs; made once for its weights."""
    graph = constant(model)
    if graph not in _CONVERTED:
        # OpenVINO folds BatchNorm itself
        converted = runtime().convert_model(graph.graph)
        converted.reshape([BATCH, *model.inputs[0].shape[1:]])
        _CONVERTED[graph] = converted, [name.name for name in graph.outputs]
    found: tuple[Any, list[str]] = _CONVERTED[graph]
    return found


def _compiled(converted: Any, names: list[str], precision: str) -> Any:
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    compiled = core().compile_model(converted, "CPU", settings)
    # OpenVINO may put a graph's outputs in another order than it had
    ports = [compiled.output(name) for name in names]

    def few(images: Any) -> list[np.ndarray]:
        images = np.asarray(images)
        found = compiled(np.concatenate([images, np.repeat(images[-1:], BATCH - len(images), 0)]))
        return [np.array(found[port][: len(images)], np.float32) for port in ports]

    run = in_parts(few, BATCH)

    def save(folder: pathlib.Path) -> list[str]:
        runtime().save_model(converted, folder / "model.xml", compress_to_fp16=False)
        return names

    run.precision = {"bf16": "bfloat16", "f32": "float32"}[precision]
    run.save = save
    return run
