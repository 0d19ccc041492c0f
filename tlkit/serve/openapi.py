"""What the server understands, as an OpenAPI document."""

from __future__ import annotations

from typing import Any

from tlkit import __version__
from tlkit.serve.deployed import Deployed

PICTURE = {"type": "object", "required": ["b64"], "properties": {"b64": {"type": "string"}},
           "additionalProperties": False}  # fmt: skip
PIXELS = {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 1, "items": {
    "type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "number"}}}}  # fmt: skip
FLOATS = {"type": "array", "items": {"type": "number"}}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def describe(deployed: Deployed, token: bool) -> dict[str, Any]:
    """The OpenAPI document of a server.

    Args:
        deployed: The model.
        token: Whether requests must bear one.
    """
    model, v2 = f"/v1/models/{deployed.name}", f"/v2/models/{deployed.name}"
    one = {
        "oneOf": [PICTURE, _object({"image_bytes": PICTURE}), PIXELS, _object({"images": PIXELS})]
    }
    column = {"oneOf": [
        PICTURE, {"type": "array", "items": {"oneOf": [PICTURE, PIXELS]}},
        _object({"image_bytes": {"type": "array", "items": PICTURE}}),
        _object({"images": {"type": "array", "items": PIXELS}}),
    ]}  # fmt: skip
    signature = {"type": "string", "description": "serve_bytes for files, else serving_default"}
    predict = {"oneOf": [
        {"type": "object", "required": ["instances"], "not": {"required": ["inputs"]},
         "properties": {"signature_name": signature, "instances": {"type": "array", "items": one}}},
        {"type": "object", "required": ["inputs"], "not": {"required": ["instances"]},
         "properties": {"signature_name": signature, "inputs": column}},
    ]}  # fmt: skip
    tensor = {
        "type": "object", "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"enum": ["BYTES", "UINT8", "FP32"]},
            "data": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "number"}]}},
        },
    }  # fmt: skip
    wanted = {"type": "object", "required": ["name"], "properties": {
        "name": {"enum": ["probabilities", "label", "label_id"]}}}  # fmt: skip
    infer = {
        "type": "object", "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor},
            "outputs": {"type": "array", "items": wanted},
        },
    }  # fmt: skip
    files = {
        "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {
            "file": {"type": "string", "format": "binary"}}}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }  # fmt: skip
    query = [
        {"name": "top", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 9999},
         "description": "Labels wanted"},
        {"name": "explain", "in": "query", "schema": {"enum": ["true", "false"]},
         "description": "Whether a picture with the Grad-CAM is wanted"},
    ]  # fmt: skip
    paths = {
        "/predict": {"post": _asked("Labels of files", files, query)},
        f"{model}:predict": {"post": _asked("TensorFlow Serving: predict", _json(predict))},
        model: {"get": _asked("TensorFlow Serving: status")},
        f"{model}/metadata": {"get": _asked("TensorFlow Serving: signatures")},
        f"{v2}/infer": {"post": _asked("Open Inference Protocol 2: infer", _json(infer))},
        v2: {"get": _asked("Open Inference Protocol 2: the model")},
        f"{v2}/ready": {"get": _asked("Open Inference Protocol 2: whether the model is ready")},
        "/v2": {"get": _asked("Open Inference Protocol 2: the server")},
        "/v2/health/live": {"get": _asked("Whether the server lives")},
        "/v2/health/ready": {"get": _asked("Whether the server answers")},
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"tlkit: {deployed.name}", "version": __version__},
        "paths": paths,
    }
    if token:
        document["components"] = {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
        }
        document["security"] = [{"token": []}]
    return document


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties,
            "additionalProperties": False}  # fmt: skip


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _asked(
    summary: str, body: dict[str, Any] | None = None, query: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """One operation; all answer with JSON, and errors alike."""
    content = _json({"type": "object"})
    problem = {"description": "What was wrong", "content": _json(ERROR)}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "The answer", "content": content}, "4XX": problem,
                      "503": problem, "504": problem},
    }  # fmt: skip
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    if query is not None:
        operation["parameters"] = query
    return operation
