"""TensorFlow Serving's REST API and KServe's protocol 2, as their documents have them."""

import base64
import json

import numpy as np
import pytest

MODEL, PREDICT = "/v1/models/colours", "/v1/models/colours:predict"
INFER = "/v2/models/colours/infer"


@pytest.fixture(scope="module")
def encoded(picture):
    return {"b64": base64.b64encode(picture).decode()}


@pytest.fixture(scope="module")
def pixels(deployed, picture):
    return np.asarray(deployed.prepare(picture))


@pytest.fixture(scope="module")
def expected(deployed, pixels):
    return deployed.run(pixels[None])[0]


def labelled(answer, expected, count=1):
    """Whether rows of predictions are the expected one, `count` times."""
    rows = answer.json()["predictions"]
    assert len(rows) == count
    for row in rows:
        assert set(row) == {"probabilities", "label", "label_id"}
        np.testing.assert_allclose(row["probabilities"], expected, atol=1e-5)
        assert (row["label"], row["label_id"]) == ("green", 1)
    return True


@pytest.mark.parametrize("address", [PREDICT, "/v1/models/colours/versions/1:predict"])
def test_rows_of_encoded_files(client, encoded, expected, address):
    named = {"signature_name": "serve_bytes", "instances": [{"image_bytes": encoded}] * 2}
    assert labelled(client.post(address, json=named), expected, 2)
    assert labelled(client.post(address, json={"instances": [encoded]}), expected)


def test_columns_of_encoded_files(client, encoded, expected):
    for inputs in ({"image_bytes": [encoded, encoded]}, [encoded, encoded]):
        answer = client.post(PREDICT, json={"inputs": inputs}).json()["outputs"]
        assert answer["label"] == ["green", "green"]
        np.testing.assert_allclose(answer["probabilities"], [expected] * 2, atol=1e-5)


def test_pixels(client, pixels, expected):
    for signature in ("serving_default", "serve_uint8"):
        body = {"signature_name": signature, "instances": [{"images": pixels.tolist()}]}
        assert labelled(client.post(PREDICT, json=body), expected)
    assert labelled(client.post(PREDICT, json={"instances": [pixels.tolist()]}), expected)
    halves = (pixels + np.float32(0.5)).tolist()
    answer = client.post(PREDICT, json={"inputs": {"images": [halves]}}).json()["outputs"]
    assert np.abs(np.array(answer["probabilities"][0]) - expected).max() > 1e-6  # not rounded away


def test_pixels_of_another_size_are_resized_as_in_training(client, deployed):
    large = np.random.default_rng(0).integers(0, 256, (50, 41, 3))
    expected = deployed.run(np.asarray(deployed.fit(large.astype("uint8")))[None])[0]
    answer = client.post(PREDICT, json={"instances": [large.tolist()]}).json()
    np.testing.assert_allclose(answer["predictions"][0]["probabilities"], expected, atol=1e-5)


def test_a_single_output_is_not_named(client, encoded, deployed, picture):
    body = {"signature_name": "features", "instances": [encoded]}
    (vector,) = client.post(PREDICT, json=body).json()["predictions"]
    np.testing.assert_allclose(vector, deployed.features([picture])[0], atol=1e-5)
    body = {"signature_name": "features", "inputs": [encoded]}
    assert client.post(PREDICT, json=body).json()["outputs"] == [vector]


def test_explain_gives_the_map(client, encoded):
    body = {"signature_name": "explain", "instances": [encoded]}
    (row,) = client.post(PREDICT, json=body).json()["predictions"]
    assert row["label"] == "green"
    assert np.max(row["heat"]) == pytest.approx(1)


def test_status_and_metadata_are_tensorflow_servings_messages(client, tiny_run):
    from google.protobuf import json_format
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
    from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse

    told = client.get(MODEL).json()
    assert (told.pop("name"), told.pop("ready")) == ("colours", True)  # KServe's protocol 1
    status = json_format.ParseDict(told, GetModelStatusResponse())
    (version,) = status.model_version_status
    assert (version.version, version.state) == (1, version.AVAILABLE)
    answer = client.get(f"{MODEL}/metadata").json()
    assert answer["model_spec"] == {"name": "colours", "signature_name": "", "version": "1"}
    told = json_format.ParseDict(
        answer["metadata"]["signature_def"], SignatureDefMap()
    ).signature_def
    file = tiny_run.folder / "export/saved_model/1/saved_model.pb"
    real = SavedModel.FromString(file.read_bytes()).meta_graphs[0].signature_def
    assert set(told) == set(real) - {"__saved_model_init_op"}
    for name, definition in told.items():
        for side in ("inputs", "outputs"):
            ours, theirs = getattr(definition, side), getattr(real[name], side)
            assert set(ours) == set(theirs)
            for key in ours:
                assert ours[key].dtype == theirs[key].dtype, (name, key)
                assert len(ours[key].tensor_shape.dim) == len(theirs[key].tensor_shape.dim)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "expected either 'instances'"),
        ({"instances": [], "inputs": []}, "expected either 'instances'"),
        ({"instances": []}, "no picture"),
        ({"instances": 3}, "not a list"),
        ({"instances": [{"b64": "%%%"}]}, "not base64"),
        ({"instances": [{"b64": 7}]}, "expected base64 text"),
        ({"instances": [{"picture": {"b64": ""}}]}, "expected 'image_bytes' or 'images'"),
        ({"instances": [[[1, 2], [3]]]}, "not a regular array"),
        ({"instances": [[[1, 2, 3]]]}, "expected an image \\[height, width, 3\\]"),
        ({"instances": [[[[1, 2, float("nan")]]]]}, "not finite"),
        ({"signature_name": "classify", "instances": [1]}, "no signature 'classify'; serving_default"),
        ({"signature_name": "serve_bytes", "instances": [[1]]}, "serve_bytes takes"),
        ({"signature_name": "serve_uint8", "instances": [[[[256, 0, 0]]]]}, "whole numbers"),
    ],
)  # fmt: skip
def test_wrong_requests_are_answered(client, body, message):
    import re

    answer = client.post(PREDICT, content=json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert re.search(message, answer.json()["error"]), answer.text


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000, b'{"instances": [1e999]}', b"9" * 5000]
)
def test_bodies_that_are_no_json_objects(client, content):
    answer = client.post(PREDICT, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_other_models_and_versions(client):
    for address in ("/v1/models/other", "/v1/models/colours/versions/2", "/v2/models/other"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert "'colours'" in answer.json()["error"] or "'1'" in answer.json()["error"]
    assert client.get("/nowhere").json() == {"error": "Not Found"}
    assert client.put(PREDICT).status_code == 405


def test_kserve_health_and_metadata(client):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["name"] == "tlkit"
    assert client.get("/v2/models/colours/ready").json() == {"name": "colours", "ready": True}
    model = client.get("/v2/models/colours/versions/1").json()
    assert (model["name"], model["versions"]) == ("colours", ["1"])
    assert {one["name"]: one["datatype"] for one in model["outputs"]} == {
        "probabilities": "FP32",
        "label": "BYTES",
        "label_id": "INT64",
    }


def test_kserve_infers_from_files(client, encoded, expected):
    tensor = {
        "name": "image_bytes",
        "shape": [2],
        "datatype": "BYTES",
        "data": [encoded["b64"]] * 2,
    }
    answer = client.post(INFER, json={"id": "42", "inputs": [tensor]}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("colours", "1", "42")
    outputs = {one["name"]: one for one in answer["outputs"]}
    assert outputs["label"] == {
        "name": "label", "datatype": "BYTES", "shape": [2], "data": ["green", "green"],
    }  # fmt: skip
    assert outputs["probabilities"]["shape"] == [2, 3]
    np.testing.assert_allclose(outputs["probabilities"]["data"], [*expected, *expected], atol=1e-5)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("kind", ["UINT8", "FP32"])
def test_kserve_infers_from_pixels(client, pixels, expected, kind, flat):
    data = (pixels.ravel() if flat else pixels[None]).tolist()
    tensor = {"name": "images", "shape": [1, 32, 32, 3], "datatype": kind, "data": data}
    body = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    (output,) = client.post(INFER, json=body).json()["outputs"]
    np.testing.assert_allclose(output["data"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({}, "'shape'"),
        ({"shape": [1], "datatype": "BYTES"}, "'data'"),
        ({"shape": [2], "datatype": "BYTES", "data": ["aGk="]}, "1 values for the shape"),
        ({"shape": [1], "datatype": "INT4", "data": [1]}, "BYTES, UINT8 or FP32, found 'INT4'"),
        ({"shape": [1, 2, 2, 1], "datatype": "FP32", "data": [1] * 4}, "expected the shape"),
        ({"shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 300]}, "whole numbers"),
        ({"shape": [0, 1, 1, 3], "datatype": "UINT8", "data": []}, "no picture"),
    ],
)
def test_wrong_tensors_are_answered(client, tensor, message):
    answer = client.post(INFER, json={"inputs": [{"name": "x", **tensor}]})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_an_unknown_output_is_answered(client):
    answer = client.post(INFER, json={"inputs": [], "outputs": [{"name": "logits"}]})
    assert "no output 'logits'; probabilities, label, label_id" in answer.json()["error"]
