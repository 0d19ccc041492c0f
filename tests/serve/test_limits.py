"""What the server does when it is asked for too much."""

import http.client
import json
import socket
import threading

import pytest
import tensorflow as tf

from tests.serve.conftest import listening
from tlkit.serve import app
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits


def test_too_large_a_body_is_refused_however_it_comes(serving, picture):
    client = serving(body=3000)
    assert len(picture) > 3000
    told = client.post("/predict", content=picture)
    streamed = client.post("/predict", content=iter([picture[:2000], picture[2000:]]))
    for answer in (told, streamed):
        assert answer.status_code == 413
        assert "larger than 0.00286102 MiB" in answer.json()["error"]
    assert client.get("/v2/health/ready").status_code == 200


def test_too_many_pictures(serving, picture):
    client = serving(queue=2)
    three = [("file", (f"{k}.png", picture)) for k in range(3)]
    assert client.post("/predict", files=three).status_code in (400, 413)
    assert client.post("/predict", files=three[:2]).status_code == 200


@pytest.fixture
def stuck(deployed):
    """A model that answers when it is let go."""
    go, began = threading.Event(), threading.Event()

    def run(images):
        began.set()
        assert go.wait(60)
        return deployed.run(images)

    run.go, run.began = go, began
    yield run
    go.set()


def test_a_full_queue_says_come_again(serving, stuck, picture):
    client = serving(run=stuck, queue=1)
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(client.post("/predict", content=picture))
    )
    first.start()
    assert stuck.began.wait(60)
    refused = client.post("/predict", content=picture)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "tlkit_queue_images 1.0" in client.get("/metrics").text
    stuck.go.set()
    first.join()
    assert answers[0].status_code == 200
    assert client.post("/predict", content=picture).status_code == 200


def test_an_answer_that_takes_too_long_is_not_waited_for(serving, stuck, picture):
    client = serving(run=stuck, seconds=0.2)
    answer = client.post("/predict", content=picture)
    assert (answer.status_code, answer.json()) == (504, {"error": "no answer within 0.2 s"})
    stuck.go.set()
    assert "tlkit_queue_images 0.0" in client.get("/metrics").text


def test_a_body_that_does_not_come_is_not_waited_for(deployed, picture):
    with listening(make_app(deployed, Limits(seconds=0.3))) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(len(picture)))
        connection.endheaders(picture[:100])
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)) == (
            408, {"error": "the body took longer than 0.3 s"},
        )  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/predict", "/v1/models/colours:predict", "/v2/models/colours/infer"]
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_client_that_goes_in_the_middle_is_nobody_s_fault(
    deployed, picture, caplog, path, encoding
):
    with listening(make_app(deployed, Limits())) as address:
        host, port = address.removeprefix("http://").split(":")
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n"
            f"Content-Encoding: {encoding}\r\n\r\n"
        )
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(head.encode() + picture[:1])
        answer = http.client.HTTPConnection(host, int(port), timeout=60)
        answer.request("POST", "/predict", picture)
        assert answer.getresponse().status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_bodies_together_are_bounded_too(serving, stuck, picture, monkeypatch):
    monkeypatch.setattr(app, "BODIES", 1.5)
    client = serving(run=stuck, body=len(picture) + 10)
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(client.post("/predict", content=picture))
    )
    first.start()
    assert stuck.began.wait(60)
    assert client.post("/predict", content=picture).status_code == 503
    stuck.go.set()
    first.join()
    assert answers[0].status_code == 200
    for _ in range(3):
        assert client.post("/predict", content=picture).status_code == 200


def test_a_model_that_fails_does_not_take_the_server_with_it(serving, deployed, picture):
    fails = [True]

    def run(images):
        if fails.pop() if fails else False:
            raise RuntimeError("out of something")
        return deployed.run(images)

    client = serving(run=run)
    answer = client.post("/predict", content=picture)
    assert (answer.status_code, answer.json()) == (500, {"error": "the model failed: RuntimeError"})
    assert client.post("/predict", content=picture).status_code == 200


@pytest.mark.parametrize("kind", [MemoryError, tf.errors.ResourceExhaustedError])
def test_memory_that_ends_is_an_answer_too(serving, deployed, picture, kind):
    fails = [True]

    def run(images):
        if fails.pop() if fails else False:
            raise kind() if kind is MemoryError else kind(None, None, "OOM")
        return deployed.run(images)

    client = serving(run=run)
    answer = client.post("/predict", content=picture)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "out of memory: send fewer pictures at once" in answer.json()["error"]
    assert client.post("/predict", content=picture).status_code == 200


def test_the_token_is_asked_for_but_for_health_and_the_page(serving, picture):
    client = serving(token="sesame")
    for address in ("/v1/models/colours", "/metrics", "/openapi.json"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer sesam", "sesame", "Basic sesame"):
        headers = {"authorization": wrong}
        assert client.post("/predict", content=picture, headers=headers).status_code == 401
    good = {"authorization": "Bearer sesame"}
    assert client.post("/predict", content=picture, headers=good).status_code == 200
    assert client.get("/openapi.json", headers=good).json()["security"] == [{"token": []}]
    for address in ("/", "/v2/health/live", "/v2/health/ready"):
        assert client.get(address).status_code == 200


def test_scripts_of_other_pages_ask_where_they_may(serving, client):
    asked = {"origin": "https://example.org"}
    assert "access-control-allow-origin" not in client.get("/v2", headers=asked).headers
    allowing = serving(origins=["https://example.org"])
    answer = allowing.get("/v2", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    other = allowing.get("/v2", headers={"origin": "https://example.com"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("query", ["top=0", "top=x", "top=-1", "top=99999999", "explain=yes"])
def test_wrong_parameters(client, picture, query):
    answer = client.post(f"/predict?{query}", content=picture)
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]


def test_forms_without_a_file(client):
    assert client.post("/predict", data={"file": "text"}).status_code == 400
    answer = client.post("/predict", files={"file": (None, "text")})
    assert (answer.status_code, answer.json()["error"]) == (400, "the form holds no file")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/predict", content=b"nonsense", headers=broken).status_code == 400
    broken = {"content-type": "multipart/form-data"}
    assert client.post("/predict", content=b"nonsense", headers=broken).status_code == 400


def test_what_is_counted(serving, picture):
    client = serving()
    for _ in range(3):
        client.post("/predict", content=picture)
    client.post("/predict", content=b"")
    client.get("/no/such/address")
    text = client.get("/metrics").text
    assert 'tlkit_requests_total{path="/predict",status="200"} 3.0' in text
    assert 'tlkit_requests_total{path="/predict",status="400"} 1.0' in text
    assert 'tlkit_requests_total{path="other",status="404"} 1.0' in text
    assert "tlkit_batch_images_sum 3.0" in text
    assert 'tlkit_request_seconds_count{path="/predict"} 4.0' in text


def test_the_limits_are_those_of_the_command(client):
    """Defaults of the command line and of the library agree."""
    from tlkit.cli.serve import serve

    given = {option.name: option.default for option in serve.params}
    limits = Limits()
    assert given["max_batch"] == limits.batch
    assert given["max_delay"] / 1e3 == limits.delay
    assert given["max_queue"] == limits.queue
    assert given["max_body"] * 2**20 == limits.body
    assert given["max_pixels"] * 1e6 == limits.pixels
    assert given["timeout"] == limits.seconds
