"""The OpenAPI document that describes the server's requests and responses."""

from __future__ import annotations

from typing import Any

from tlkit import __version__
from tlkit.serve.deployed import DeployedModel
from tlkit.serve.schemas import SCHEMAS, reference
from tlkit.serve.tensors import LENGTH

FILE = {"type": "string", "format": "binary"}
# responses beside the 200 of each path
ERRORS = {
    "400": "What was wrong",
    "401": "No token, or another",
    "404": "Another model or version",
    "408": "The body did not arrive in time",
    "413": "Too large, or too many pictures",
    "415": "The body is encoded otherwise than gzip or deflate",
    "500": "The model failed",
    "503": "Too much at once; come again",
    "504": "The answer took too long",
}


def describe(deployed: DeployedModel, token: bool) -> dict[str, Any]:
    """The OpenAPI document of a server.

    Args:
        deployed: The model.
        token: Whether clients must send a token.
    """
    v1, v2 = f"/v1/models/{deployed.name}", f"/v2/models/{deployed.name}"
    form = {"type": "object", "required": ["file"], "properties": {"file": FILE}}
    files = {"multipart/form-data": {"schema": form}, "application/octet-stream": {"schema": FILE}}
    query = [
        _query("top", {"type": "integer", "minimum": 1, "maximum": 9999}, "Labels wanted"),
        _query("explain", {"type": "boolean"}, "Whether a picture with the Grad-CAM is wanted"),
    ]
    header = {
        "name": LENGTH,
        "in": "header",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Bytes of JSON before binary tensors; with 0 the body is one file",
    }
    infer = _json("InferRequest") | {"application/octet-stream": {"schema": FILE}}
    inferred = _json("InferAnswer") | {"application/octet-stream": {"schema": FILE}}
    text = {"schema": {"type": "string"}}
    live = _json("Alive") | {"text/html": text}
    serving, kserve = "TensorFlow Serving: ", "Open Inference Protocol 2: "
    paths = {
        "/": _get("alive", "A page for people, or whether the server lives", live),
        "/metrics": _get("metrics", "Counts for Prometheus", {"text/plain": text}),
        "/predict": _post("predict", "Labels of files", files, _json("Predictions"), query),
        f"{v1}:predict": _post(
            "serving_predict", serving + "predict", _json("ServingRequest"), _json("ServingAnswer")
        ),
        f"{v1}:explain": _post(
            "serving_explain", "KServe's protocol 1: explain", _json("ExplainRequest"),
            _json("ExplainAnswer"),
        ),
        "/v1/models": _get("serving_models", "KServe's protocol 1: models", _json("Models")),
        v1: _get("serving_status", serving + "status", _json("ModelStatus")),
        f"{v1}/metadata": _get("serving_metadata", serving + "signatures", _json("Signatures")),
        f"{v2}/infer": _post("infer", kserve + "infer", infer, inferred, [header]),
        v2: _get("model_metadata", kserve + "the model", _json("ModelMetadata")),
        f"{v2}/ready": _get("model_ready", kserve + "whether it is ready", _json("ModelReady")),
        f"{v2}/config": _get("model_config", "Triton: configuration", _json("ModelConfig")),
        f"{v2}/stats": _get("model_statistics", "Triton: statistics", _json("Statistics")),
        "/v2/repository/index": _post(
            "repository_index", "Triton: models", _json("IndexRequest"), _json("Index")
        ),
        "/v2": _get("server_metadata", kserve + "the server", _json("ServerMetadata")),
        "/v2/models": _get("models", kserve + "models", _json("Models")),
        "/v2/health/live": _get("server_live", "Whether the server lives", _json("Live")),
        "/v2/health/ready": _get("server_ready", "Whether the server answers", _json("Ready")),
    }  # fmt: skip
    components: dict[str, Any] = {"schemas": SCHEMAS}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"tlkit: {deployed.name}", "version": __version__},
        "paths": paths,
        "components": components,
    }
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for open_to_all in ("/", "/v2/health/live", "/v2/health/ready"):
            paths[open_to_all]["get"]["security"] = []
    return document


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": reference(name)}}


def _get(identifier: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    problems = {
        status: {"description": ERRORS[status], "content": _json("Error")}
        for status in ("401", "404", "503")
    }
    responses = {"200": {"description": "The answer", "content": answer}, **problems}
    return {"get": {"operationId": identifier, "summary": summary, "responses": responses}}


def _post(
    identifier: str,
    summary: str,
    body: dict[str, Any],
    answer: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    problems = {
        status: {"description": why, "content": _json("Error")} for status, why in ERRORS.items()
    }
    operation: dict[str, Any] = {
        "operationId": identifier,
        "summary": summary,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": {"description": "The answer", "content": answer}, **problems},
    }
    if parameters is not None:
        operation["parameters"] = parameters
    return {"post": operation}
