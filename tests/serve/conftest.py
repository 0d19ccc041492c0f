"""A served model."""

import contextlib
import dataclasses
import threading

import pytest
import uvicorn
from starlette.testclient import TestClient

from tlkit.serve.app import make_app
from tlkit.serve.deployed import load_export
from tlkit.serve.limits import Limits
from tlkit.serve.run import open_port


@contextlib.contextmanager
def listening(app):
    """The address of a real server, which runs an application on a thread."""
    port = open_port("127.0.0.1", 0)
    port.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def deployed(tiny_run):
    return load_export(tiny_run.folder / "export" / "saved_model")


@pytest.fixture(scope="session")
def client(deployed):
    with TestClient(make_app(deployed, Limits())) as client:
        yield client


@pytest.fixture
def serving(deployed):
    """Makes clients of servers with limits of their own."""
    opened = []

    def start(token=None, origins=(), run=None, **limits):
        model = deployed if run is None else dataclasses.replace(deployed, run=run)
        client = TestClient(
            make_app(model, Limits(**limits), token, origins), raise_server_exceptions=False
        )
        opened.append(client.__enter__())
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def picture(photos):
    return (photos / "green" / "3.png").read_bytes()
