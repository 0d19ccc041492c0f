"""Bodies with bytes behind their JSON, and compressed ones: right, and wrong in each way."""

import gzip
import json
import tracemalloc
import zlib

import numpy as np
import pytest

INFER = "/v2/models/colours/infer"
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def expected(deployed, picture):
    return deployed.run(np.asarray(deployed.prepare(picture))[None])[0]


def packed(*parts):
    """Elements of BYTES, as the extension's document says."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def request(tensor, behind, **more):
    text = json.dumps({"inputs": [{"name": "x", **tensor}], **more}).encode()
    return text + behind, {LENGTH: str(len(text))}


def bytes_request(picture, **more):
    behind = packed(picture)
    tensor = {"shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(behind)}}
    return request(tensor, behind, **more)


def labelled(answer):
    assert answer.status_code == 200, answer.text
    (found,) = [one for one in answer.json()["outputs"] if one["name"] == "label"]
    return found["data"]


def test_json_is_answered_where_bytes_are_not_asked_for(client, picture, expected):
    content, headers = bytes_request(picture)
    answer = client.post(INFER, content=content, headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert LENGTH not in answer.headers
    assert labelled(answer) == ["green"]
    np.testing.assert_allclose(answer.json()["outputs"][0]["data"], expected, atol=1e-5)


def test_an_answer_in_bytes_is_as_the_document_says(client, picture, expected):
    content, headers = bytes_request(
        picture,
        parameters={"binary_data_output": True},
        outputs=[{"name": "label_id", "parameters": {"binary_data": False}}, {"name": "label"},
                 {"name": "probabilities"}],
    )  # fmt: skip
    answer = client.post(INFER, content=content, headers={**headers, "accept-encoding": "identity"})
    length = int(answer.headers[LENGTH])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert int(answer.headers["content-length"]) == len(answer.content)
    number, label, probabilities = json.loads(answer.content[:length])["outputs"]
    assert number["data"] == [1]
    assert label["parameters"] == {"binary_data_size": 9}
    assert probabilities["parameters"] == {"binary_data_size": 12}
    behind = answer.content[length:]
    assert behind[:9] == b"\x05\0\0\0green"
    np.testing.assert_allclose(np.frombuffer(behind[9:], "<f4"), expected, atol=1e-5)


def test_a_body_without_json_is_one_file(client, picture):
    """Triton's raw binary request."""
    answer = client.post(INFER, content=picture, headers={LENGTH: "0"})
    assert answer.status_code == 200
    outputs = json.loads(answer.content[: int(answer.headers[LENGTH])])["outputs"]
    assert [one["name"] for one in outputs] == ["probabilities", "label", "label_id"]


def test_a_shape_of_columns_and_parameters_that_are_null(client, picture):
    behind = packed(picture, picture)
    tensor = {"shape": [2, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(behind)}}
    content, headers = request(tensor, behind, parameters=None, outputs=None, id=None)
    answer = client.post(INFER, content=content, headers=headers)
    assert labelled(answer) == ["green", "green"]
    assert "id" not in answer.json()


def pixels(kind="UINT8", shape=(1, 2, 2, 3), size=12, behind=bytes(12)):
    return request(
        {"shape": list(shape), "datatype": kind, "parameters": {"binary_data_size": size}}, behind
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pixels(), None),
        (pixels(size=13), "binary_data_size is 13, but 12 bytes are left"),
        (pixels(size=11), "of the shape [1, 2, 2, 3] are 12 bytes, binary_data_size is 11"),
        (pixels(behind=bytes(13)), "13 bytes are behind the JSON; the tensors name 12"),
        (pixels(size=-1), "not a number of bytes"),
        (pixels(size=True), "not a number of bytes"),
        (pixels(size="12"), "not a number of bytes"),
        (pixels(shape=(1, 1, 4, 3)), None),
        (pixels(shape=(1, 2, 6, 1)), "expected the shape [n, height, width, 3]"),
        (pixels(shape=(10**6, 10**6, 10**6, 3)), "are 3000000000000000000 bytes"),
        (pixels(shape=(10**1000, 1, 1, 3)), "not a list of whole numbers"),
        (pixels(shape=(0, 2, 2, 3), size=0, behind=b""), "no picture"),
        (pixels(kind="FP32"), "FP32 of the shape [1, 2, 2, 3] are 48 bytes"),
        (pixels(kind="FP32", size=48, behind=b"\xff" * 48), "not finite"),
        (pixels(kind="FP64", size=96, behind=np.full(12, 1e300).tobytes()), "not finite"),
        (pixels(kind="BF16", size=24, behind=b"\xff" * 24), "not finite"),
        (pixels(kind="INT8", behind=b"\xff" * 12), "whole numbers from 0 to 255"),
        (pixels(kind="BOOL"), "found 'BOOL'"),
        (pixels(kind="uint8"), "found 'uint8'"),
        (pixels(kind="BYTES", shape=[1], behind=b"\x09\0\0\0" + bytes(8)), "element 0 is cut short"),
        (pixels(kind="BYTES", shape=[1], behind=b"\xff" * 12), "element 0 is cut short"),
        (pixels(kind="BYTES", shape=[2], behind=b"\x08\0\0\0" + bytes(8)), "1 values for the shape"),
        (pixels(kind="BYTES", shape=[1], behind=bytes(12)), "more values for the shape [1]"),
        (pixels(kind="BYTES", shape=[1], behind=b"\x08\0\0\0" + bytes(8)), "the file "),
        (pixels(kind="BYTES", shape=[1], size=2, behind=b"\0\0"), "element 0 is cut short"),
        (pixels(kind="BYTES", shape=[1], size=4, behind=bytes(4)), "the picture is empty"),
    ],
)  # fmt: skip
def test_bytes_that_are_not_what_they_are_said_to_be(client, content, message):
    body, headers = content
    answer = client.post(INFER, content=body, headers=headers)
    if message is None:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
        assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("99999", "99999 bytes, but the body has"),
        ("-1", "expected a number of bytes, found '-1'"),
        ("1e2", "expected a number of bytes"),
        ("9" * 5000, "expected a number of bytes"),
        ("10", "not valid JSON"),
        (None, "not valid JSON"),
    ],
)
def test_a_header_that_is_not_the_length_of_the_json(client, picture, length, message):
    content, _ = bytes_request(picture)
    headers = {} if length is None else {LENGTH: length}
    answer = client.post(INFER, content=content, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_values_both_in_the_json_and_behind_it(client):
    body, headers = request(
        {"shape": [1], "datatype": "BYTES", "data": [""], "parameters": {"binary_data_size": 4}},
        bytes(4),
    )
    assert "both 'data' and" in client.post(INFER, content=body, headers=headers).json()["error"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"parameters": []}, "'parameters' is not an object"),
        ({"parameters": {"binary_data_output": 1}}, "neither true nor false"),
        ({"outputs": [{"name": "label"}, {"name": "label"}]}, "'label' twice"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 1}}]}, "classification"),
        (
            {"outputs": [{"name": "probabilities", "parameters": {"classification": 0}}]},
            "number of",
        ),
        ({"id": {}}, "'id' is not text"),
    ],
)
def test_wishes_that_cannot_be_met(client, picture, more, message):
    content, headers = bytes_request(picture, **more)
    answer = client.post(INFER, content=content, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_more_labels_than_there_are(client, picture):
    wanted = [{"name": "probabilities", "parameters": {"classification": 99}}]
    content, headers = bytes_request(picture, outputs=wanted)
    (output,) = client.post(INFER, content=content, headers=headers).json()["outputs"]
    assert output["shape"] == [1, 3]


def raw_deflate(body):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
)
def test_compressed_bodies_are_taken_everywhere(client, picture, encoding, pack):
    headers = {"content-encoding": encoding}
    answer = client.post("/predict", content=pack(picture), headers=headers)
    assert answer.json()["predictions"][0]["label"] == "green"
    content, lengths = bytes_request(picture)
    slowly = iter([pack(content)[k : k + 1000] for k in range(0, len(pack(content)), 1000)])
    answer = client.post(INFER, content=slowly, headers={**headers, **lengths})
    assert labelled(answer) == ["green"]


@pytest.mark.parametrize(
    ("encoding", "content", "status", "message"),
    [
        ("gzip", b"no gzip", 400, "no gzip"),
        ("gzip", gzip.compress(b"x" * 999)[:-1], 400, "cut short"),
        ("gzip", gzip.compress(b"x" * 999)[:15], 400, "cut short"),
        ("gzip", gzip.compress(b"x")[:-4] + b"\0\0\0\1", 400, "no gzip"),
        ("gzip", b"\x1f", 400, "cut short"),
        ("gzip", b"", 400, "empty"),
        ("deflate", zlib.compress(b"x" * 999)[:-1], 400, "cut short"),
        ("deflate", zlib.compress(b"x") + b"more", 400, "bytes follow its end"),
        ("br", b"x", 415, "expected gzip, deflate or none"),
        ("gzip, deflate", b"x", 415, "expected gzip"),
        ([("content-encoding", "gzip"), ("content-encoding", "gzip")], b"x", 415, "expected gzip"),
    ],
    ids=[
        "no gzip", "cut in its end", "cut in its middle", "wrong length", "one byte", "empty",
        "cut deflate", "longer than its end", "unknown", "two", "two lines",
    ],
)  # fmt: skip
def test_damaged_bodies(client, encoding, content, status, message):
    headers = {"content-encoding": encoding} if isinstance(encoding, str) else encoding
    answer = client.post("/predict", content=content, headers=headers)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    if status == 415:
        assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_bomb_is_not_unpacked(serving, encoding, pack):
    content = pack(bytes(300 * 2**20), 9)
    assert len(content) < 2**20
    client = serving(body=2**20)
    tracemalloc.start()
    try:
        answer = client.post("/predict", content=content, headers={"content-encoding": encoding})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert most < 20 * 2**20


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0", None),
        ("br, *;q=0", None),
        ("gzip;q=x", None),
        ("identity", None),
    ],
)
def test_answers_are_compressed_as_asked(client, picture, accept, encoding):
    content, headers = bytes_request(picture)
    answer = client.post(INFER, content=content, headers={**headers, "accept-encoding": accept})
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert labelled(answer) == ["green"]
