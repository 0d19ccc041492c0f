"""KServe's Open Inference Protocol, version 2, and what only KServe has of version 1.

https://kserve.github.io/website; binary tensors, classification, model configuration, repository
and statistics are Triton's extensions
(https://github.com/triton-inference-server/server/tree/main/docs/protocol).
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tlkit import __version__
from tlkit.serve.bodies import LARGE, Json
from tlkit.serve.compression import choose_encoding, compress
from tlkit.serve.limits import Refusal
from tlkit.serve.service import Service
from tlkit.serve.tensors import (
    LENGTH,
    Output,
    parameters_of,
    read_inputs,
    split_body,
    write_outputs,
)
from tlkit.tasks.base import ServedOutput, Task

INPUTS = {
    "image_bytes": ("BYTES", [-1]),
    "images": ("FP32", [-1, -1, -1, 3]),
    "images_uint8": ("UINT8", [-1, -1, -1, 3]),
}
DATATYPES = {"float": "FP32", "text": "BYTES", "integer": "INT64"}
EXTENSIONS = [
    "binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics",
]  # fmt: skip
# parts of the protocol's extensions that do not apply to a server with one model
REFUSED = {
    "/v2/repository/models/{name}/load": "this server serves one model, which it loaded at its start",
    "/v2/repository/models/{name}/unload": "this server serves one model, which it keeps",
    "/v2/trace/setting": "this server has no trace; /metrics and /v2/models/stats tell of its work",
    "/v2/models/{name}/trace/setting": "this server has no trace; see /metrics and /v2/models/stats",
    "/v2/logging": "logging is set where the server is started: tlkit serve --log",
    "/v2/systemsharedmemory/{rest:path}": "this server shares no memory; send tensors in the body",
    "/v2/cudasharedmemory/{rest:path}": "this server shares no memory; send tensors in the body",
}


def routes(service: Service) -> list[Route]:
    """The routes below `/v2`."""
    deployed = service.deployed
    task = deployed.task

    def known(request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != deployed.name or version not in (None, deployed.version):
            asked = repr(name) if version is None else f"{name!r} version {version!r}"
            raise Refusal(
                404, f"no model {asked}; there is {deployed.name!r}, version {deployed.version!r}"
            )

    async def server(_: Request) -> Response:
        return Json({"name": "tlkit", "version": __version__, "extensions": EXTENSIONS})

    async def live(_: Request) -> Response:
        return Json({"live": True})

    async def ready(_: Request) -> Response:
        return Json({"ready": service.ready}, 200 if service.ready else 503)

    async def models(_: Request) -> Response:
        return Json({"models": [deployed.name]})

    async def model_ready(request: Request) -> Response:
        known(request)
        answer = {"name": deployed.name, "ready": service.ready}
        return Json(answer, 200 if service.ready else 503)

    async def metadata(request: Request) -> Response:
        known(request)
        return Json(describe_model(service))

    async def config(request: Request) -> Response:
        known(request)
        return Json(configure(service))

    async def statistics(request: Request) -> Response:
        if "name" in request.path_params:
            known(request)
        told = service.statistics.told(deployed.name, deployed.version)
        return Json({"model_stats": [told]})

    async def index(request: Request) -> Response:
        body = await request.body()
        only_ready = split_body(body, None)[0].get("ready", False) if body.strip() else False
        if not isinstance(only_ready, bool):
            raise Refusal(400, "'ready' is neither true nor false")
        if only_ready and not service.ready:
            return Json([])
        state = "READY" if service.ready else "UNAVAILABLE"
        one = {"name": deployed.name, "version": deployed.version, "state": state, "reason": ""}
        return Json([one])

    async def infer(request: Request) -> Response:
        known(request)
        body = await request.body()
        header = request.headers.get(LENGTH)
        if len(body) < LARGE:
            head, wanted, items = _read(task, body, header)
        else:
            head, wanted, items = await asyncio.to_thread(_read, task, body, header)
        answered = task.answer_arrays(await service.answer(items))
        outputs = [_output(task, output, asked, answered) for output, asked in wanted]
        named = {"model_name": deployed.name, "model_version": deployed.version}
        content, length = write_outputs({**named, **head}, outputs)
        kind, headers = "application/json", {"Vary": "Accept-Encoding"}
        if length is not None:
            kind, headers[LENGTH] = "application/octet-stream", str(length)
        if encoding := choose_encoding(request.headers.get("accept-encoding", "")):
            content, headers["Content-Encoding"] = compress(content, encoding), encoding
        return Response(content, media_type=kind, headers=headers)

    found = [
        Route("/v1/models", models),
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/v2/models", models),
        Route("/v2/models/stats", statistics),
        Route("/v2/repository/index", index, methods=["POST"]),
    ]
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(base, metadata),
            Route(base + "/ready", model_ready),
            Route(base + "/config", config),
            Route(base + "/stats", statistics),
            Route(base + "/infer", infer, methods=["POST"]),
        ]
    return [
        *found,
        *(Route(path, _refusing(why), methods=["GET", "POST"]) for path, why in REFUSED.items()),
    ]


def _refusing(why: str) -> Any:
    async def refuse(_: Request) -> Response:
        raise Refusal(400, why)

    return refuse


def describe_model(service: Service) -> dict[str, Any]:
    """The model's metadata; a request sends one of the inputs and omits the others."""
    deployed = service.deployed
    task = deployed.task
    return {
        "name": deployed.name,
        "versions": [deployed.version],
        "platform": f"tlkit_{deployed.format}",
        "inputs": [
            {"name": name, "datatype": kind, "shape": shape}
            for name, (kind, shape) in INPUTS.items()
        ],
        "outputs": [
            {
                "name": output.name,
                "datatype": DATATYPES[output.kind],
                "shape": [-1, *[len(task.outputs)][: output.wide]],
            }
            for output in task.served
        ],
    }


def configure(service: Service) -> dict[str, Any]:
    """The model's configuration as Triton's `ModelConfig` message: shapes without the batch."""
    told, limits = describe_model(service), service.limits

    def tensor(one: dict[str, Any], **more: Any) -> dict[str, Any]:
        kind = {"BYTES": "STRING"}.get(one["datatype"], one["datatype"])
        found = {"name": one["name"], "data_type": f"TYPE_{kind}", "dims": one["shape"][1:], **more}
        if not found["dims"]:  # Triton allows no empty dims
            found |= {"dims": [1], "reshape": {"shape": []}}
        return found

    return {
        "name": told["name"],
        "platform": told["platform"],
        "backend": "tlkit",
        "version_policy": {"specific": {"versions": [int(service.deployed.version)]}},
        "max_batch_size": limits.queue,
        "input": [tensor(one, optional=True) for one in told["inputs"]],
        "output": [tensor(one) for one in told["outputs"]],
        "dynamic_batching": {
            "preferred_batch_size": [limits.batch],
            "max_queue_delay_microseconds": round(limits.delay * 1e6),
        },
    }


def _read(
    task: Task, body: bytes, header: str | None
) -> tuple[dict[str, str], list[tuple[ServedOutput, dict[str, Any]]], list[bytes | np.ndarray]]:
    """The id of a request, the outputs that it asks for, and its images."""
    if header is not None and header.strip() == "0":  # no JSON: the body is the file
        return {}, [(output, {"binary_data": True}) for output in task.served], [body]
    request, behind = split_body(body, header)
    number = request.get("id")
    if not isinstance(number, str | int | float | None):
        raise Refusal(400, "'id' is not text")
    head = {} if number is None else {"id": str(number)}
    return head, _wanted(task, request), read_inputs(request.get("inputs"), behind)


def _wanted(task: Task, body: dict[str, Any]) -> list[tuple[ServedOutput, dict[str, Any]]]:
    """The outputs that a request asks for, with their parameters; all if it names none."""
    binary = parameters_of(body).get("binary_data_output", False)
    outputs, scores = {output.name: output for output in task.served}, task.served[0].name
    asked = body.get("outputs") or [{"name": name} for name in outputs]
    if not isinstance(asked, list):
        raise Refusal(400, "'outputs' is not a list")
    found: dict[str, dict[str, Any]] = {}
    for item in asked:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in outputs:
            raise Refusal(400, f"no output {str(name)[:100]!r}; {', '.join(outputs)}")
        if name in found:
            raise Refusal(400, f"asks for the output {name!r} twice")
        parameters = {"binary_data": binary, **parameters_of(item)}
        if "shared_memory_region" in parameters:
            raise Refusal(400, f"{name}: this server shares no memory")
        if not isinstance(parameters["binary_data"], bool):
            raise Refusal(400, f"{name}: binary_data is neither true nor false")
        count = parameters.get("classification")
        if count is not None and (type(count) is not int or count < 1 or name != scores):
            raise Refusal(400, f"{name}: classification takes the number of labels of {scores}")
        found[name] = parameters
    return [(outputs[name], parameters) for name, parameters in found.items()]


def _output(
    task: Task, output: ServedOutput, asked: dict[str, Any], answered: dict[str, np.ndarray]
) -> Output:
    datatype, values = DATATYPES[output.kind], answered[output.name]
    if "classification" in asked:
        datatype, values = "BYTES", _classify(values, task.outputs, asked["classification"])
    return Output(output.name, datatype, values, asked["binary_data"])


def _classify(scores: np.ndarray, names: list[str], count: int) -> np.ndarray:
    """The largest values of each row, formatted as `value:index:name`."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    rows = [
        [f"{row[k]:f}:{k}:{names[k]}" for k in best]
        for row, best in zip(scores, order, strict=True)
    ]
    return np.array(rows, object)
