"""JSON Schemas of requests and responses, by the names that generated clients use."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
TRUTH: Schema = {"type": "boolean"}


def reference(name: str) -> Schema:
    """A reference to a schema by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema, least: int = 0, most: int | None = None) -> Schema:
    found: Schema = {"type": "array", "items": items}
    if least:
        found["minItems"] = least
    if most is not None:
        found["maxItems"] = most
    return found


def _object(properties: dict[str, Schema], *, optional: str = "", closed: bool = False) -> Schema:
    """An object schema; `optional` names the properties that may be omitted."""
    required = [name for name in properties if name not in optional.split()]
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = required
    if closed:
        found["additionalProperties"] = False
    return found


PARAMETERS: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
DATATYPES: Schema = {**TEXT, "enum": ["BYTES", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16",
                                      "INT32", "INT64", "FP16", "FP32", "FP64"]}  # fmt: skip
OUTPUT_NAMES: Schema = {
    **TEXT,
    "enum": ["probabilities", "label", "label_id", "values", "chosen", "labels"],
}
FLOATS = _list(NUMBER)
ROW = {"probabilities": FLOATS, "label": TEXT, "label_id": WHOLE, "values": FLOATS,
       "chosen": _list(WHOLE), "labels": TEXT, "heat": _list(FLOATS)}  # fmt: skip
COLUMNS = {name: _list(kind) for name, kind in ROW.items()}
PICTURE, PIXELS = reference("Picture"), reference("Pixels")
INSTANCES = _list({"oneOf": [PICTURE, reference("NamedPicture"), PIXELS, reference("NamedPixels")]})
COLUMN: Schema = {"oneOf": [
    PICTURE, _list({"oneOf": [PICTURE, PIXELS]}),
    _object({"image_bytes": _list(PICTURE)}, closed=True),
    _object({"images": _list(PIXELS)}, closed=True),
]}  # fmt: skip
SIGNATURE: Schema = {**TEXT, "description": "serve_bytes for files, else serving_default"}
DURATION = reference("Duration")

SCHEMAS: dict[str, Schema] = {
    "Error": _object({"error": {**TEXT, "description": "What was wrong, in a sentence"}}),
    "Alive": _object({"status": TEXT}),
    # /predict
    "LabelProbability": _object({"label": TEXT, "probability": NUMBER}),
    "FilePrediction": _object(
        {"file": TEXT, "label": TEXT, "probability": NUMBER,
         "top": _list(reference("LabelProbability")),
         "values": {"type": "object", "additionalProperties": NUMBER},
         "labels": _list(TEXT),
         "explanation": {**TEXT, "description": "A PNG as a data: URL"}},
        optional="label probability top values labels explanation",
    ),
    "Predictions": _object({"model": TEXT, "predictions": _list(reference("FilePrediction"))}),
    # TensorFlow Serving, and KServe's protocol 1
    "Picture": _object({"b64": {**TEXT, "description": "A file in base64"}}, closed=True),
    "NamedPicture": _object({"image_bytes": PICTURE}, closed=True),
    "Pixels": {**_list(_list(_list(NUMBER, 3, 3), 1), 1),
               "description": "RGB in [0, 255], [height, width, 3]"},
    "NamedPixels": _object({"images": PIXELS}, closed=True),
    "RowsRequest": _object(
        {"signature_name": SIGNATURE, "instances": INSTANCES}, optional="signature_name"
    ) | {"not": {"required": ["inputs"]}},
    "ColumnsRequest": _object(
        {"signature_name": SIGNATURE, "inputs": COLUMN}, optional="signature_name"
    ) | {"not": {"required": ["instances"]}},
    "ServingRequest": {"oneOf": [reference("RowsRequest"), reference("ColumnsRequest")]},
    "Row": _object(ROW, optional=" ".join(ROW)),
    "Columns": _object(COLUMNS, optional=" ".join(COLUMNS)),
    "RowsAnswer": _object({"predictions": _list({"oneOf": [reference("Row"), FLOATS]})}),
    "ColumnsAnswer": _object({"outputs": {"oneOf": [reference("Columns"), _list(FLOATS)]}}),
    "ServingAnswer": {"oneOf": [reference("RowsAnswer"), reference("ColumnsAnswer")]},
    "ExplainRequest": _object({"instances": INSTANCES}),
    "ExplainAnswer": _object({"predictions": _list(reference("Row")), "explanations": _list(_list(FLOATS))}),
    "Models": _object({"models": _list(TEXT)}),
    "VersionStatus": _object({
        "version": TEXT, "state": TEXT,
        "status": _object({"error_code": TEXT, "error_message": TEXT}),
    }),
    "ModelStatus": _object(
        {"model_version_status": _list(reference("VersionStatus")), "name": TEXT, "ready": TRUTH}
    ),
    "Signatures": _object({
        "model_spec": _object({"name": TEXT, "signature_name": TEXT, "version": TEXT}),
        "metadata": _object({"signature_def": {"type": "object"}}),
    }),
    # KServe's protocol 2
    "InferInput": _object(
        {"name": TEXT, "shape": _list(WHOLE), "datatype": DATATYPES,
         "data": _list({"oneOf": [TEXT, NUMBER]}), "parameters": PARAMETERS},
        optional="parameters",
    ),
    "RequestedOutput": _object(
        {"name": OUTPUT_NAMES, "parameters": PARAMETERS}, optional="parameters"
    ),
    "InferRequest": _object(
        {"id": TEXT, "inputs": _list(reference("InferInput"), 1),
         "outputs": _list(reference("RequestedOutput")), "parameters": PARAMETERS},
        optional="id outputs parameters",
    ),
    "InferOutput": _object(
        {"name": OUTPUT_NAMES, "datatype": TEXT, "shape": _list(WHOLE),
         "data": _list({"oneOf": [TEXT, NUMBER]}), "parameters": PARAMETERS},
        optional="data parameters",
    ),
    "InferAnswer": _object(
        {"model_name": TEXT, "model_version": TEXT, "id": TEXT,
         "outputs": _list(reference("InferOutput"))},
        optional="id",
    ),
    "TensorMetadata": _object({"name": TEXT, "datatype": TEXT, "shape": _list({"type": "integer"})}),
    "ModelMetadata": _object({
        "name": TEXT, "versions": _list(TEXT), "platform": TEXT,
        "inputs": _list(reference("TensorMetadata")), "outputs": _list(reference("TensorMetadata")),
    }),
    "ServerMetadata": _object({"name": TEXT, "version": TEXT, "extensions": _list(TEXT)}),
    "Live": _object({"live": TRUTH}),
    "Ready": _object({"ready": TRUTH}),
    "ModelReady": _object({"name": TEXT, "ready": TRUTH}),
    # Triton's extensions
    "TensorConfig": _object(
        {"name": TEXT, "data_type": TEXT, "dims": _list({"type": "integer"}), "optional": TRUTH,
         "reshape": _object({"shape": _list({"type": "integer"})})},
        optional="optional reshape",
    ),
    "ModelConfig": _object({
        "name": TEXT, "platform": TEXT, "backend": TEXT, "max_batch_size": WHOLE,
        "version_policy": _object({"specific": _object({"versions": _list(WHOLE)})}),
        "input": _list(reference("TensorConfig")), "output": _list(reference("TensorConfig")),
        "dynamic_batching": _object(
            {"preferred_batch_size": _list(WHOLE), "max_queue_delay_microseconds": WHOLE}
        ),
    }),
    "IndexRequest": _object({"ready": TRUTH}, optional="ready"),
    "IndexEntry": _object({"name": TEXT, "version": TEXT, "state": TEXT, "reason": TEXT}),
    "Index": _list(reference("IndexEntry")),
    "Duration": _object({"count": WHOLE, "ns": WHOLE}),
    "BatchStatistics": _object({
        "batch_size": WHOLE, "compute_input": DURATION, "compute_infer": DURATION,
        "compute_output": DURATION,
    }),
    "InferenceStatistics": _object(dict.fromkeys(
        ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output",
         "cache_hit", "cache_miss"), DURATION,
    )),
    "ModelStatistics": _object({
        "name": TEXT, "version": TEXT, "last_inference": WHOLE, "inference_count": WHOLE,
        "execution_count": WHOLE, "inference_stats": reference("InferenceStatistics"),
        "batch_stats": _list(reference("BatchStatistics")),
    }),
    "Statistics": _object({"model_stats": _list(reference("ModelStatistics"))}),
}  # fmt: skip
