"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest)."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tlkit.serve.bodies import Json, from_base64, read_json, to_pixels
from tlkit.serve.limits import Refusal
from tlkit.serve.service import Service
from tlkit.tensors import Tensor

# input types of the signatures; the pixel signatures with their dtype
PIXELS = {"serving_default": ("float32", "DT_FLOAT"), "serve_uint8": ("uint8", "DT_UINT8")}
FILES = ("serve_bytes", "features", "explain")
DTYPES = {"float": "DT_FLOAT", "text": "DT_STRING", "integer": "DT_INT64"}
DEFAULT = "serving_default"


def routes(service: Service) -> list[Route]:
    """The routes below `/v1/models`."""
    deployed = service.deployed

    def known(request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != deployed.name:
            raise Refusal(404, f"no model {name!r}; this server has {deployed.name!r}")
        if version is not None and version != deployed.version:
            raise Refusal(404, f"no version {version!r} of {name!r}; there is {deployed.version!r}")

    async def status(request: Request) -> Response:
        known(request)
        state = {"error_code": "OK", "error_message": ""}
        one = {"version": deployed.version, "state": "AVAILABLE", "status": state}
        # KServe's protocol 1 uses the same URL, with name and readiness
        kserve = {"name": deployed.name, "ready": service.ready}
        return Json({"model_version_status": [one], **kserve})

    async def metadata(request: Request) -> Response:
        known(request)
        spec = {"name": deployed.name, "signature_name": "", "version": deployed.version}
        definitions = {name: _definition(service, name) for name in _signatures(service)}
        return Json(
            {
                "model_spec": spec,
                "metadata": {"signature_def": {"signature_def": definitions}},
            }
        )

    async def predict(request: Request) -> Response:
        known(request)
        body = await read_json(request)
        if ("instances" in body) == ("inputs" in body):
            raise Refusal(400, "expected either 'instances' (rows) or 'inputs' (columns)")
        rows = "instances" in body
        given = _rows(body["instances"]) if rows else _column(body["inputs"])
        encoded = any(isinstance(value, dict) for value in given)
        signature = body.get("signature_name") or ("serve_bytes" if encoded else DEFAULT)
        if signature not in _signatures(service):
            raise Refusal(400, f"no signature {signature!r}; {', '.join(_signatures(service))}")
        columns = await _answer(service, signature, given)
        if not rows:
            only = next(iter(columns.values())) if len(columns) == 1 else None
            return Json({"outputs": columns if only is None else only})
        values = _by_row(columns)
        if len(columns) == 1:
            values = [next(iter(value.values())) for value in values]
        return Json({"predictions": values})

    async def explain(request: Request) -> Response:
        """Explains as in KServe's protocol 1, with the heat maps in a separate list."""
        known(request)
        if deployed.explain is None:
            raise Refusal(400, f"{deployed.format} cannot explain; a SavedModel can")
        columns = await _answer(
            service, "explain", _rows((await read_json(request)).get("instances"))
        )
        heats = columns.pop("heat")
        return Json({"predictions": _by_row(columns), "explanations": heats})

    found = []
    for base in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        found += [
            Route(base + ":predict", predict, methods=["POST"]),
            Route(base + ":explain", explain, methods=["POST"]),
            Route(base + "/metadata", metadata),
            Route(base, status),
        ]
    return found


def _signatures(service: Service) -> list[str]:
    """The signatures of the served model."""
    without = {
        name
        for name, ask in (
            ("features", service.deployed.features),
            ("explain", service.deployed.explain),
        )
        if ask is None
    }
    return [name for name in (*PIXELS, *FILES) if name not in without]


def _definition(service: Service, name: str) -> dict[str, Any]:
    """A signature in TensorFlow Serving's format."""
    task = service.deployed.task
    if name in PIXELS:
        inputs = {"images": _tensor(PIXELS[name][1], -1, -1, -1, 3)}
    else:
        inputs = {"image_bytes": _tensor("DT_STRING", -1)}
    if name == "features":
        outputs = {"features": _tensor("DT_FLOAT", -1, -1)}
    else:
        outputs = {
            output.name: _tensor(DTYPES[output.kind], -1, *[len(task.outputs)][: output.wide])
            for output in task.served
        }
        if name == "explain":
            outputs["heat"] = _tensor("DT_FLOAT", -1, -1, -1)
    return {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"}


def _tensor(dtype: str, *shape: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": ""}


def _by_row(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _rows(instances: Any) -> list[Any]:
    """Values of rows, each given directly or as an object that names the only input."""
    if not isinstance(instances, list):
        raise Refusal(400, "'instances' is not a list")
    return [_named(row, row) for row in instances]


def _column(inputs: Tensor) -> list[Any]:
    """Values of a column, given as a list or as an object that names the only input."""
    values = _named(inputs, inputs)
    if isinstance(values, dict) and "b64" in values:
        return [values]
    if not isinstance(values, list):
        raise Refusal(400, "'inputs' is not a list")
    return values


def _named(value: Any, otherwise: Any) -> Any:
    """The value of an input in an object; `otherwise` if the value is no such object."""
    if isinstance(value, dict) and "b64" not in value:
        if len(value) != 1 or not set(value) <= {"images", "image_bytes"}:
            raise Refusal(
                400, f"expected 'image_bytes' or 'images', found {', '.join(value)[:200]!r}"
            )
        return next(iter(value.values()))
    return otherwise


async def _answer(service: Service, signature: str, given: list[Any]) -> dict[str, list[Any]]:
    """The outputs of a signature, as columns."""
    items = await asyncio.to_thread(_items, signature, given)
    deployed = service.deployed
    files = [item for item in items if isinstance(item, bytes)]
    if signature == "features" and deployed.features is not None:
        vectors, _ = await service.special(deployed.features, files)
        return {"features": vectors.tolist()}
    answered = deployed.task.answer_arrays(await service.answer(items))
    answers = {name: _listed(values) for name, values in answered.items()}
    if signature == "explain" and deployed.explain is not None:
        heats, _ = await service.special(deployed.explain, files)
        answers["heat"] = heats.tolist()
    return answers


def _items(signature: str, given: list[Any]) -> list[bytes | np.ndarray]:
    """The files or the pixels for a signature."""
    if signature in PIXELS:
        if any(isinstance(value, dict) for value in given):
            raise Refusal(400, f"{signature} takes pixels; files go to serve_bytes")
        return [to_pixels(value, PIXELS[signature][0]) for value in given]
    for value in given:
        if not isinstance(value, dict) or set(value) != {"b64"}:
            raise Refusal(400, f'{signature} takes {{"b64": "..."}}, a file in base64')
    return [from_base64(value["b64"]) for value in given]


def _listed(values: np.ndarray) -> list[Any]:
    """An array as JSON values; float32 with all digits."""
    found: list[Any] = (values.astype("float64") if values.dtype.kind == "f" else values).tolist()
    return found
