"""The clients of docs/serving.md, run as they stand there."""

import concurrent.futures
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.serve.conftest import listening
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits


def snippets(language):
    text = (ROOT / "docs" / "serving.md").read_text("utf-8")
    return re.findall(
        rf"```{language}\n(.*?)```", text.split("## Clients")[1].split("\n## ")[0], re.S
    )


@pytest.fixture
def folder(tmp_path, picture):
    (tmp_path / "photo.jpg").write_bytes(picture)
    return tmp_path


@pytest.fixture
def asked(deployed, folder):
    """What a program says that talks to the address in the documents."""

    def ask(program, *command):
        with listening(make_app(deployed, Limits())) as address:
            place = address.removeprefix("http://")
            program = program.replace("127.0.0.1:8501", place).replace("flowers", "colours")
            done = subprocess.run(
                [*command, program], cwd=folder, capture_output=True, text=True, timeout=120
            )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(asked):
    (program,) = snippets("bash")
    assert asked(program, "bash", "-c").count('"label":"green"') == 2 + 2 + 2


def test_python_and_rest(asked):
    rest, _, _ = snippets("python")
    assert asked(rest, sys.executable, "-c").startswith("green 0.")


def test_python_and_triton(asked):
    _, _, triton = snippets("python")
    assert asked(triton, sys.executable, "-c").startswith("green 0.")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
def test_javascript(asked):
    (program,) = snippets("javascript")
    program += "const read = require('fs').openAsBlob('photo.jpg');"
    program += "read.then(label).then(console.log);"
    assert asked(program, "node", "-e").strip() == "green"


@pytest.mark.slow
def test_python_and_grpc(tiny_run, folder):
    """Against a stand-in for TensorFlow Serving: its own service, answered by the SavedModel."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    model = tf.saved_model.load(str(tiny_run.folder / "export/saved_model/1"))

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802 - gRPC's name
            assert request.model_spec.name == "colours"
            inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
            answer = model.signatures[request.model_spec.signature_name](**inputs)
            response = predict_pb2.PredictResponse()
            for name, value in answer.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        _, program, _ = snippets("python")
        program = program.replace("8500", str(port)).replace("flowers", "colours")
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120
        )
    finally:
        server.stop(None)
    assert done.stdout.strip() == "green", done.stderr
