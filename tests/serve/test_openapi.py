"""The OpenAPI document: valid, true of the answers, and enough to generate a client from."""

import base64
import importlib
import json
import subprocess
import sys

import httpx
import jsonschema
import numpy as np
import openapi_spec_validator
import pytest

from tests.serve.conftest import listening
from tlkit.runs.predict import predict_files
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits
from tlkit.serve.openapi import describe


@pytest.fixture(scope="module")
def document(deployed):
    return describe(deployed, token=True)


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_it_is_valid_and_names_every_operation_and_type(document):
    openapi_spec_validator.validate(document)
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)) == len(document["paths"])
    for path, _, operation in operations(document):
        answer = operation["responses"]["200"]["content"]
        assert all(
            kind["schema"].get("$ref") or kind["schema"].get("type") for kind in answer.values()
        )
        for status, response in operation["responses"].items():
            if status != "200":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Error"}, (path, status)
    assert document["paths"]["/v2/health/live"]["get"]["security"] == []


def test_every_route_is_in_it(deployed, document):
    """But those that are refused, and those with a version in their address."""
    app = make_app(deployed, Limits())
    routes = {route.path.replace("{name}", "colours") for route in app.routes}
    rest = routes - set(document["paths"])
    refused = ("/load", "/unload", "/setting", "/v2/logging", "sharedmemory", "/versions/")
    assert {
        path for path in rest if not any(part in path for part in refused)
    } == {"/openapi.json", "/v2/models/stats"}  # fmt: skip
    assert set(document["paths"]) <= routes


def bodies(picture):
    encoded = {"b64": base64.b64encode(picture).decode()}
    files = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [encoded["b64"]]}
    return {
        "/predict": [picture],
        "/v1/models/colours:predict": [
            {"instances": [encoded]},
            {"inputs": [encoded]},
            {"instances": [encoded], "signature_name": "features"},
            {"inputs": [encoded], "signature_name": "features"},
            {"instances": [encoded], "signature_name": "explain"},
        ],
        "/v1/models/colours:explain": [{"instances": [encoded]}],
        "/v2/models/colours/infer": [{"inputs": [files], "id": "1"}],
        "/v2/repository/index": [{}, {"ready": True}],
    }


def test_answers_are_as_it_says(client, document, picture):
    asked = bodies(picture)
    registry = {"components": document["components"]}

    def check(schema, answer):
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), {**schema, **registry})

    for path, method, operation in operations(document):
        content = operation["responses"]["200"]["content"]
        if "application/json" not in content:
            continue
        schema = content["application/json"]["schema"]
        headers = {"accept": "application/json"}
        if method == "get":
            check(schema, client.get(path, headers=headers))
        for body in asked[path] if method == "post" else []:
            if isinstance(body, bytes):
                check(schema, client.post(path, content=body))
                check(schema, client.post(f"{path}?explain=true", content=body))
                continue
            given = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(body, {**given, **registry})
            check(schema, client.post(path, json=body))


@pytest.fixture(scope="module")
def generated(deployed, tmp_path_factory):
    """The modules that openapi-python-client makes of a running server's document."""
    folder = tmp_path_factory.mktemp("generated")
    with listening(make_app(deployed, Limits())) as address:
        (folder / "openapi.json").write_text(httpx.get(f"{address}/openapi.json").text)
        done = subprocess.run(
            [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json",
             "--output-path", "colours_client", "--meta", "none"],
            cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "WARNING parsing" not in done.stdout + done.stderr
        sys.path.insert(0, str(folder))
        try:
            yield importlib.import_module("colours_client").Client(base_url=address)
        finally:
            sys.path.remove(str(folder))


def test_a_generated_client_answers_as_predict_does(generated, tiny_run, photos):
    import io

    api = {
        name: importlib.import_module(f"colours_client.api.default.{name}")
        for name in ("predict", "serving_predict", "infer", "model_ready", "model_statistics")
    }
    models = importlib.import_module("colours_client.models")
    types = importlib.import_module("colours_client.types")
    places = [photos / name / "3.png" for name in ("red", "green", "blue")]
    rows = list(predict_files(tiny_run.folder, places, 3))
    for place, row in zip(places, rows, strict=True):
        data = place.read_bytes()
        expected = dict(row["top"])
        form = models.PredictFilesBody(types.File(io.BytesIO(data), place.name, "image/png"))
        for body in (form, types.File(io.BytesIO(data))):
            (answer,) = api["predict"].sync(client=generated, body=body, top=3).predictions
            assert answer.label == row["label"]
            for one in answer.top:
                assert one.probability == pytest.approx(expected[one.label], abs=1e-5)
        encoded = base64.b64encode(data).decode()
        request = models.RowsRequest([models.Picture(encoded)])
        (answer,) = api["serving_predict"].sync(client=generated, body=request).predictions
        assert answer.label == row["label"]
        tensor = models.InferInput("image_bytes", [1], models.InferInputDatatype.BYTES, [encoded])
        outputs = api["infer"].sync(client=generated, body=models.InferRequest([tensor])).outputs
        found = {output.name.value: output.data for output in outputs}
        assert found["label"] == [row["label"]]
        np.testing.assert_allclose(
            sorted(found["probabilities"]), sorted(expected.values()), atol=1e-5
        )
    assert api["model_ready"].sync(client=generated).ready is True
    (told,) = api["model_statistics"].sync(client=generated).model_stats
    assert told.inference_count == 12
    problem = api["predict"].sync(client=generated, body=types.File(io.BytesIO(b"no")))
    assert "the file " in problem.error
    assert json.dumps(problem.to_dict())
