"""`tlkit serve` as a person runs it."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading

import click.testing
import pytest

from tlkit.cli.serve import serve
from tlkit.errors import RunError, RunFailed, UserError
from tlkit.serve.deployed import load_export, prove
from tlkit.serve.find import find_export
from tlkit.serve.limits import Limits
from tlkit.serve.run import open_port


@pytest.fixture
def export(tiny_run, tmp_path):
    """A copy of a run's export that a test may spoil."""
    return pathlib.Path(
        shutil.copytree(tiny_run.folder / "export" / "saved_model", tmp_path / "saved_model")
    )


def test_a_run_an_export_and_a_version_mean_the_same(tiny_run):
    home = tiny_run.folder / "export"
    for target in (tiny_run.folder, home, home / "saved_model", home / "saved_model" / "1"):
        assert find_export(target) == home / "saved_model"
    assert find_export(tiny_run.folder, "keras") == home / "keras"
    assert find_export(tiny_run.folder, "onnx") is None  # to be written first
    with pytest.raises(UserError, match="no 'onx' here"):
        find_export(home, "onx")


def test_what_is_not_served(tmp_path, export):
    with pytest.raises(RunError, match="no such folder"):
        find_export(tmp_path / "x")
    with pytest.raises(RunError, match="neither a finished run nor an export"):
        find_export(pathlib.Path(shutil.copytree(export / "golden", tmp_path / "elsewhere" / "x")))
    failed = export.rename(tmp_path / "saved_model.failed")
    with pytest.raises(RunError, match="neither a finished run nor an export"):
        find_export(tmp_path)
    signature = json.loads((failed / "signature.json").read_text())
    del signature["resize"]
    (failed / "signature.json").write_text(json.dumps(signature))
    with pytest.raises(RunError, match=r"lacks resize: .* Export again: tlkit export RUN"):
        load_export(failed)
    (failed / "signature.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        load_export(failed)


def test_what_does_not_answer_as_evaluated_is_not_served(export, tiny_run):
    import numpy as np

    deployed = load_export(export)
    assert prove(deployed, export)[1] < 1e-4
    expected = np.load(export / "golden" / "probabilities.npy")
    np.save(export / "golden" / "probabilities.npy", expected[::-1])
    with pytest.raises(RunFailed, match="does not answer as it was evaluated"):
        prove(deployed, export)
    np.save(export / "golden" / "probabilities.npy", expected)
    np.save(export / "golden" / "inputs.npy", np.load(export / "golden" / "inputs.npy") ^ 1)
    with pytest.raises(RunFailed, match="decode to other pixels"):
        prove(deployed, export)
    shutil.rmtree(export / "golden")
    assert prove(deployed, export) is None


def test_a_damaged_model_is_answered(export):
    (export / "1" / "saved_model.pb").write_bytes(b"no")
    with pytest.raises(RunFailed, match="cannot be loaded"):
        load_export(export)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}: cannot listen: .* Name another"):
            open_port("127.0.0.1", port)
    with pytest.raises(UserError, match="cannot listen"):
        open_port("203.0.113.7", 0)


@pytest.fixture
def started(monkeypatch):
    """What the command would serve."""
    calls = []
    monkeypatch.setattr(
        "tlkit.serve.run.serve", lambda *given, **named: calls.append((given, named))
    )
    return calls


@pytest.mark.slow
def test_a_run_without_an_export_gets_one_first(tiny_run, tmp_path, started):
    run = pathlib.Path(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    shutil.rmtree(run / "export")
    answer = click.testing.CliRunner().invoke(serve, [str(run), "--format", "litert:float16"])
    assert answer.exit_code == 0, answer.output
    assert "has no such export; writing litert:float16 ..." in answer.output
    assert started[0][0][0] == run / "export" / "litert-float16"


def test_options_reach_the_server(tiny_run, started):
    asked = ["--host", "0.0.0.0", "--port", "0", "--name", "x", "--max-batch", "1", "--max-delay", "0",
             "--max-queue", "7", "--max-body", "1", "--max-pixels", "2", "--timeout", "3", "--log",
             "--allow-origin", "https://a.org"]  # fmt: skip
    answer = click.testing.CliRunner().invoke(serve, [str(tiny_run.folder), *asked])
    assert "anyone who can reach 0.0.0.0 may send requests: no --token is set" in answer.output
    given, named = started[0]
    folder = tiny_run.folder / "export" / "saved_model"
    assert given == (folder, "0.0.0.0", 0, Limits(1, 0.0, 7, 2**20, 2_000_000, 3.0))
    del named["say"]
    assert named == {"name": "x", "token": None, "origins": ("https://a.org",), "log": True}
    answer = click.testing.CliRunner().invoke(serve, [str(tiny_run.folder), "--name", "a/b"])
    assert "--name: 'a/b' is not a valid name in a URL" in str(answer.exception)


def test_what_is_not_installed_is_said(monkeypatch, tiny_run):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name)
    )
    answer = click.testing.CliRunner().invoke(serve, [str(tiny_run.folder)])
    assert "pip install 'tlkit[serve]'" in str(answer.exception)


class Server:
    """`tlkit serve` in a process of its own."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tlkit.cli.main", "serve", "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ,
        )  # fmt: skip
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if "openapi.json" in line:
                self.port = int(line.split("127.0.0.1:")[1].split("/")[0])
                return
        raise AssertionError("".join(self.said))

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def predict(self, data):
        connection = self.connect()
        connection.request("POST", "/predict", data)
        return json.load(connection.getresponse())["predictions"][0]["label"]


@pytest.mark.slow
def test_it_answers_survives_a_kill_and_ends_in_good_order(tiny_run, picture):
    server = Server(tiny_run.folder)
    assert any("10 golden pictures answered" in line for line in server.said)
    assert server.predict(picture) == "green"
    server.process.kill()
    assert server.process.wait(60) == -signal.SIGKILL
    again = Server(tiny_run.folder, "--timeout", "20")
    assert again.predict(picture) == "green"
    # a body that is on its way when the end is asked for is waited for and answered
    connection = again.connect()
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(len(picture)))
    connection.endheaders(picture[:100])
    again.predict(picture)  # what was sent before has arrived
    again.process.send_signal(signal.SIGTERM)
    for _ in range(600):  # it no longer listens
        try:
            socket.create_connection(("127.0.0.1", again.port), 1).close()
        except OSError:
            break
        threading.Event().wait(0.05)
    connection.send(picture[100:])
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["predictions"][0]["label"]) == (200, "green")
    assert again.process.wait(60) == 0
    assert "Traceback" not in again.process.stdout.read()
