"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest)."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tlkit.serve.bodies import Json, from_base64, read_json, to_pixels
from tlkit.serve.limits import Refused
from tlkit.serve.service import Service

# what a signature takes; those for pixels take them as this type
PIXELS = {"serving_default": ("float32", "DT_FLOAT"), "serve_uint8": ("uint8", "DT_UINT8")}
FILES = ("serve_bytes", "features", "explain")
DTYPES = {"float": "DT_FLOAT", "text": "DT_STRING", "integer": "DT_INT64"}
DEFAULT = "serving_default"


def routes(service: Service) -> list[Route]:
    """The addresses below `/v1/models`."""
    deployed = service.deployed

    def known(request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != deployed.name:
            raise Refused(404, f"no model {name!r}; this server has {deployed.name!r}")
        if version is not None and version != deployed.version:
            raise Refused(404, f"no version {version!r} of {name!r}; there is {deployed.version!r}")

    async def status(request: Request) -> Response:
        known(request)
        state = {"error_code": "OK", "error_message": ""}
        one = {"version": deployed.version, "state": "AVAILABLE", "status": state}
        # KServe's protocol 1 has the same address and asks for name and readiness
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
            raise Refused(400, "expected either 'instances' (rows) or 'inputs' (columns)")
        rows = "instances" in body
        given = _rows(body["instances"]) if rows else _column(body["inputs"])
        encoded = any(isinstance(value, dict) for value in given)
        signature = body.get("signature_name") or ("serve_bytes" if encoded else DEFAULT)
        if signature not in _signatures(service):
            raise Refused(400, f"no signature {signature!r}; {', '.join(_signatures(service))}")
        columns = await _answer(service, signature, given)
        if not rows:
            only = next(iter(columns.values())) if len(columns) == 1 else None
            return Json({"outputs": columns if only is None else only})
        values = _by_row(columns)
        if len(columns) == 1:
            values = [next(iter(value.values())) for value in values]
        return Json({"predictions": values})

    async def explain(request: Request) -> Response:
        """KServe's protocol 1 has the map of each label by itself."""
        known(request)
        if deployed.explain is None:
            raise Refused(400, f"{deployed.format} cannot explain; a SavedModel can")
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
    """Those that the served model has."""
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
    """A signature as TensorFlow Serving describes it."""
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
    """Values of rows: each the value itself, or an object that names the one input."""
    if not isinstance(instances, list):
        raise Refused(400, "'instances' is no list")
    return [_named(row, row) for row in instances]


def _column(inputs: Any) -> list[Any]:
    """Values of a column: the list itself, or an object that names the one input."""
    values = _named(inputs, inputs)
    if isinstance(values, dict) and "b64" in values:
        return [values]
    if not isinstance(values, list):
        raise Refused(400, "'inputs' is no list")
    return values


def _named(value: Any, otherwise: Any) -> Any:
    """What an object gives the input whose name it has."""
    if isinstance(value, dict) and "b64" not in value:
        if len(value) != 1 or not set(value) <= {"images", "image_bytes"}:
            raise Refused(
                400, f"expected 'image_bytes' or 'images', found {', '.join(value)[:200]!r}"
            )
        return next(iter(value.values()))
    return otherwise


async def _answer(service: Service, signature: str, given: list[Any]) -> dict[str, list[Any]]:
    """The outputs of a signature as columns."""
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
    """The files or the pixels that a signature takes."""
    if signature in PIXELS:
        if any(isinstance(value, dict) for value in given):
            raise Refused(400, f"{signature} takes pixels; files go to serve_bytes")
        return [to_pixels(value, PIXELS[signature][0]) for value in given]
    for value in given:
        if not isinstance(value, dict) or set(value) != {"b64"}:
            raise Refused(400, f'{signature} takes {{"b64": "..."}}, a file in base64')
    return [from_base64(value["b64"]) for value in given]


def _listed(values: np.ndarray) -> list[Any]:
    """An array as JSON has it; of float32, all digits."""
    found: list[Any] = (values.astype("float64") if values.dtype.kind == "f" else values).tolist()
    return found
