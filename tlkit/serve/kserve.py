"""KServe's Open Inference Protocol, version 2 (https://kserve.github.io/website)."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tlkit import __version__
from tlkit.serve.bodies import Json, from_base64, read_json, to_pixels
from tlkit.serve.limits import Refused
from tlkit.serve.service import Service
from tlkit.serve.tensorflow_rest import columns

PIXELS = {"UINT8": "uint8", "FP32": "float32"}
OUTPUTS = {"probabilities": "FP32", "label": "BYTES", "label_id": "INT64"}


def routes(service: Service) -> list[Route]:
    """The addresses below `/v2`."""
    deployed = service.deployed

    def known(request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != deployed.name or version not in (None, deployed.version):
            raise Refused(404, f"no such model; this server has {deployed.name!r}")

    async def server(_: Request) -> Response:
        return Json({"name": "tlkit", "version": __version__, "extensions": []})

    async def live(_: Request) -> Response:
        return Json({"live": True})

    async def ready(_: Request) -> Response:
        return Json({"ready": service.ready}, 200 if service.ready else 503)

    async def model_ready(request: Request) -> Response:
        known(request)
        return Json({"name": deployed.name, "ready": service.ready})

    async def metadata(request: Request) -> Response:
        known(request)
        shapes = {"probabilities": [-1, len(deployed.classes)], "label": [-1], "label_id": [-1]}
        return Json(
            {
                "name": deployed.name,
                "versions": [deployed.version],
                "platform": f"tlkit_{deployed.format}",
                "inputs": [
                    {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]},
                    {"name": "images", "datatype": "FP32", "shape": [-1, -1, -1, 3]},
                ],
                "outputs": [
                    {"name": name, "datatype": kind, "shape": shapes[name]}
                    for name, kind in OUTPUTS.items()
                ],
            }
        )

    async def infer(request: Request) -> Response:
        known(request)
        if "inference-header-content-length" in request.headers:
            raise Refused(400, "binary tensor data is not taken; send files as base64 in BYTES")
        body = await read_json(request)
        wanted = _wanted(body)
        items = await asyncio.to_thread(_items, body.get("inputs"))
        answers = columns(service, await service.answer(items))
        shapes = {name: list(np.shape(value)) for name, value in answers.items()}
        outputs = [
            {
                "name": name,
                "datatype": OUTPUTS[name],
                "shape": shapes[name],
                "data": np.ravel(np.asarray(answers[name], object)).tolist(),
            }
            for name in wanted
        ]
        answer = {"model_name": deployed.name, "model_version": deployed.version}
        if "id" in body:
            answer["id"] = str(body["id"])
        return Json({**answer, "outputs": outputs})

    found = [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
    ]
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(base, metadata),
            Route(base + "/ready", model_ready),
            Route(base + "/infer", infer, methods=["POST"]),
        ]
    return found


def _wanted(body: dict[str, Any]) -> list[str]:
    """Names of the outputs that a request asks for; all where it names none."""
    asked = body.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(asked, list):
        raise Refused(400, "'outputs' is no list")
    names = [item.get("name") if isinstance(item, dict) else None for item in asked]
    for name in names:
        if not isinstance(name, str) or name not in OUTPUTS:
            raise Refused(400, f"no output {str(name)[:100]!r}; {', '.join(OUTPUTS)}")
    return [str(name) for name in names]


def _items(inputs: Any) -> list[bytes | np.ndarray]:
    """The pictures of the one input tensor."""
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refused(400, "expected one input tensor in 'inputs'")
    (tensor,) = inputs
    kind, shape, data = (tensor.get(key) for key in ("datatype", "shape", "data"))
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise Refused(400, "'shape' is no list of whole numbers")
    if not isinstance(data, list):
        raise Refused(400, "'data' is no list")
    if kind == "BYTES":
        flat = data[0] if len(data) == 1 and isinstance(data[0], list) else data
        if math.prod(shape) != len(flat):
            raise Refused(400, f"{len(flat)} values for the shape {shape}")
        return [from_base64(text) for text in flat]
    if not isinstance(kind, str) or kind not in PIXELS:
        raise Refused(400, f"expected the datatype BYTES, UINT8 or FP32, found {str(kind)[:50]!r}")
    if len(shape) != 4 or shape[3] != 3:
        raise Refused(400, f"expected the shape [n, height, width, 3], found {shape}")
    try:
        values = np.asarray(data, "float64")
    except (ValueError, TypeError, OverflowError):
        raise Refused(400, "'data' is not a regular array of numbers") from None
    if values.size != math.prod(shape):
        raise Refused(400, f"{values.size} values for the shape {shape}")
    return [to_pixels(image, PIXELS[kind]) for image in values.reshape(shape)]
