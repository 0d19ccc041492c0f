"""Triton's Python client, which sends tensors as bytes unless told otherwise."""

import contextlib

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.utils

from tests.serve.conftest import listening
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits


@contextlib.contextmanager
def serving(deployed, limits=None, **how):
    """Triton's client of a server of its own."""
    with listening(make_app(deployed, limits or Limits())) as address:
        client = triton.InferenceServerClient(address.removeprefix("http://"), **how)
        with client:
            yield client


@pytest.fixture(scope="module")
def server(deployed):
    with serving(deployed, Limits(queue=64)) as client:
        yield client


@pytest.fixture(scope="module")
def pixels(deployed, photos):
    files = [(photos / name / "3.png").read_bytes() for name in ("red", "green", "blue")]
    return np.stack([np.asarray(deployed.prepare(data)) for data in files])


@pytest.fixture(scope="module")
def expected(deployed, pixels):
    return deployed.run(pixels)


def tensor(name, values, kind, **how):
    given = triton.InferInput(name, list(values.shape), kind)
    given.set_data_from_numpy(values, **how)
    return given


def files_tensor(photos, **how):
    files = [(photos / name / "3.png").read_bytes() for name in ("red", "green", "blue")]
    return tensor("image_bytes", np.array(files, object), "BYTES", **how)


def test_files_are_inferred(server, photos, expected):
    answer = server.infer("colours", [files_tensor(photos)], request_id="7")
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-5)
    assert answer.as_numpy("probabilities").dtype == np.float32
    assert answer.as_numpy("label").tolist() == [b"red", b"green", b"blue"]
    assert answer.as_numpy("label_id").tolist() == [2, 1, 0]
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("7", "colours", "1")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("UINT8", "uint8"), ("INT16", "int16"), ("FP16", "float16"), ("FP32", "float32"),
     ("FP64", "float64"), ("BF16", "float32")],
)  # fmt: skip
def test_pixels_of_any_type_are_inferred(server, pixels, expected, kind, dtype):
    given = tensor(
        "images", pixels.astype(dtype), kind
    )  # 0 to 255 are exact in all of them (the client cuts BF16 from float32)
    answer = server.infer("colours", [given])
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-5)


def test_outputs_are_chosen_and_written_as_asked(server, photos, expected):
    wanted = [
        triton.InferRequestedOutput("label", binary_data=False),
        triton.InferRequestedOutput("probabilities", binary_data=True),
    ]
    answer = server.infer("colours", [files_tensor(photos)], outputs=wanted, model_version="1")
    first, second = answer.get_response()["outputs"]
    assert first == {
        "name": "label", "datatype": "BYTES", "shape": [3], "data": ["red", "green", "blue"],
    }  # fmt: skip
    assert second["parameters"] == {"binary_data_size": 3 * 3 * 4}
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-5)
    assert answer.as_numpy("label_id") is None


def test_numbers_and_bytes_in_one_request(server, photos, pixels, expected):
    """Pictures of several tensors are one batch, in their order."""
    given = [tensor("images", pixels[:1], "UINT8", binary_data=False), files_tensor(photos)]
    answer = server.infer("colours", given)
    np.testing.assert_allclose(
        answer.as_numpy("probabilities"), np.concatenate([expected[:1], expected]), atol=1e-5
    )


@pytest.mark.parametrize("binary", [True, False])
def test_classification(server, photos, expected, binary):
    wanted = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
    found = server.infer("colours", [files_tensor(photos)], outputs=[wanted]).as_numpy(
        "probabilities"
    )
    assert found.shape == (3, 2)
    for row, p in zip(found, expected, strict=True):
        texts = [value.decode() if binary else value for value in row]
        first, second = (text.split(":") for text in texts)
        assert int(first[1]) == p.argmax()
        assert first[2] == ["blue", "green", "red"][p.argmax()]
        assert float(first[0]) == pytest.approx(p.max(), abs=1e-5)
        assert float(second[0]) == pytest.approx(np.sort(p)[-2], abs=1e-5)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_both_ways(server, photos, expected, algorithm):
    answer = server.infer(
        "colours", [files_tensor(photos)],
        request_compression_algorithm=algorithm, response_compression_algorithm=algorithm,
    )  # fmt: skip
    assert answer._result["outputs"][0]["parameters"]["binary_data_size"] == 36
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-5)


def test_many_at_once(deployed, photos, expected):
    with serving(deployed, concurrency=4) as client:
        asked = [client.async_infer("colours", [files_tensor(photos)]) for _ in range(12)]
        for request in asked:
            found = request.get_result().as_numpy("probabilities")
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_health_metadata_and_configuration(server):
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("colours")
    assert server.is_model_ready("colours", "1")
    assert not server.is_model_ready("colours", "2")
    assert not server.is_model_ready("other")
    assert "binary_tensor_data" in server.get_server_metadata()["extensions"]
    told = server.get_model_metadata("colours")
    config = server.get_model_config("colours")
    assert {one["datatype"] for one in told["inputs"]} == {"BYTES", "FP32", "UINT8"}
    assert config["name"] == told["name"] == "colours"
    assert config["max_batch_size"] == 64
    assert config["dynamic_batching"]["preferred_batch_size"] == [32]
    for side in ("input", "output"):
        kinds = {one["name"]: one["datatype"] for one in told[f"{side}s"]}
        for one in config[side]:
            assert one["data_type"].removeprefix("TYPE_").replace("STRING", "BYTES") == kinds.pop(
                one["name"]
            )
        assert not kinds
    assert server.get_model_repository_index() == [
        {"name": "colours", "version": "1", "state": "READY", "reason": ""}
    ]


def test_statistics_count_and_time(deployed, photos):
    with serving(deployed) as client:
        before = client.get_inference_statistics("colours")["model_stats"][0]
        assert (before["last_inference"], before["inference_count"]) == (0, 0)
        for _ in range(2):
            client.infer("colours", [files_tensor(photos)])
        with pytest.raises(tritonclient.utils.InferenceServerException):
            client.infer("colours", [tensor("image_bytes", np.array([b"no"], object), "BYTES")])
        (told,) = client.get_inference_statistics()["model_stats"]
        assert client.get_inference_statistics("colours", "1")["model_stats"] == [told]
    assert told["inference_count"] == 6
    assert 2 <= told["execution_count"] <= 6
    assert told["execution_count"] == sum(b["compute_infer"]["count"] for b in told["batch_stats"])
    assert sum(b["batch_size"] * b["compute_infer"]["count"] for b in told["batch_stats"]) == 6
    parts = told["inference_stats"]
    assert (parts["success"]["count"], parts["fail"]["count"]) == (2, 1)
    steps = ("queue", "compute_input", "compute_infer", "compute_output")
    assert all(parts[step]["count"] == 2 and parts[step]["ns"] > 0 for step in steps)
    assert parts["success"]["ns"] > parts["compute_infer"]["ns"]
    assert told["last_inference"] > 1.6e12


def test_what_one_model_has_not_is_refused(server):
    """In the protocol's own form, which the client reads."""
    asked = {
        "one model": [
            lambda: server.load_model("colours"),
            lambda: server.unload_model("colours"),
        ],
        "no trace": [server.get_trace_settings, lambda: server.update_trace_settings("colours")],
        "tlkit serve --log": [server.get_log_settings, lambda: server.update_log_settings({})],
        "shares no memory": [
            server.get_system_shared_memory_status,
            lambda: server.register_system_shared_memory("a", "/a", 3),
            server.get_cuda_shared_memory_status,
        ],
    }
    for message, calls in asked.items():
        for call in calls:
            with pytest.raises(tritonclient.utils.InferenceServerException, match=message) as e:
                call()
            assert e.value.status() == "400"
    given = triton.InferInput("images", [1, 2, 2, 3], "UINT8")
    given.set_shared_memory("a", 12)
    with pytest.raises(tritonclient.utils.InferenceServerException, match="shares no memory"):
        server.infer("colours", [given])
    wanted = triton.InferRequestedOutput("label")
    wanted.set_shared_memory("a", 12)
    given = tensor("images", np.zeros((1, 2, 2, 3), "uint8"), "UINT8")
    with pytest.raises(tritonclient.utils.InferenceServerException, match="shares no memory"):
        server.infer("colours", [given], outputs=[wanted])
    with pytest.raises(tritonclient.utils.InferenceServerException, match="no model 'other'"):
        server.infer("other", [given])


def declared(shape, kind, values):
    """A tensor that says another shape or type than its bytes have."""
    given = tensor("images", values, triton_type(values))
    given._shape, given._datatype = list(shape), kind
    return given


def triton_type(values):
    return tritonclient.utils.np_to_triton_dtype(values.dtype)


ONE = np.zeros((1, 2, 2, 3), "uint8")


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (lambda: tensor("images", ONE[:0], "UINT8"), "400", r"no picture in the shape \[0, 2, 2, 3\]"),
        (lambda: tensor("image_bytes", np.array([], object), "BYTES"), "400", "no picture"),
        (lambda: tensor("image_bytes", np.array([b""], object), "BYTES"), "400", "is empty|picture"),
        (lambda: tensor("images", ONE.astype(bool), "BOOL"), "400", "found 'BOOL'"),
        (lambda: declared((1, 2, 2, 3), "FP32", ONE), "400", "are 48 bytes, binary_data_size is 12"),
        (lambda: declared((1, 2, 2, 3), "COMPLEX", ONE), "400", "found 'COMPLEX'"),
        (lambda: declared((9, 2, 2, 3), "UINT8", ONE), "400", "are 108 bytes"),
        (lambda: declared((-1, 2, 2, 3), "UINT8", ONE), "400", "not a list of whole numbers"),
        (lambda: declared((2**40, 2**40, 2**40, 3), "UINT8", ONE), "400", "not a list of whole numbers"),
        (lambda: declared((2**30, 2**30, 2**30, 3), "UINT8", ONE), "400", "of the shape"),
        (lambda: tensor("images", ONE[0], "UINT8"), "400", "n, height, width, 3"),
        (lambda: tensor("images", ONE.transpose(0, 3, 1, 2), "UINT8"), "400", "n, height, width, 3"),
        (lambda: tensor("images", np.array(3, "int32"), "INT32"), "400", "n, height, width, 3"),
        (lambda: tensor("images", ONE.astype("int16") - 1, "INT16"), "400", "from 0 to 255"),
        (lambda: tensor("images", ONE + np.float32("nan"), "FP32"), "400", "not finite"),
        (lambda: tensor("images", np.repeat(ONE, 65, 0), "UINT8"), "413", "65 pictures .* at most 64"),
        (lambda: tensor("images", np.zeros((1, 4000, 4000, 3), "uint8"), "UINT8"), "413", "body is larger"),
    ],
)  # fmt: skip
def test_odd_tensors_are_each_one_clear_error(server, given, status, message):
    with pytest.raises(tritonclient.utils.InferenceServerException, match=message) as e:
        server.infer("colours", [given()])
    assert e.value.status() == status
    assert "\n" not in e.value.message()
    assert server.is_server_ready()


def test_an_output_that_there_is_not_is_named_with_those_that_there_are(server, photos):
    wanted = [triton.InferRequestedOutput("logits")]
    with pytest.raises(
        tritonclient.utils.InferenceServerException,
        match="no output 'logits'; probabilities, label",
    ):
        server.infer("colours", [files_tensor(photos)], outputs=wanted)
