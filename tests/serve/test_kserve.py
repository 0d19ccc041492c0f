"""KServe's own Python client, in a process of its own: see kserve.txt."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.serve.conftest import listening
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits

HOME = pathlib.Path(sys.prefix, "kserve")
PROGRAM = """
import asyncio, base64, json, pathlib, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

address, pixels, *files = sys.argv[1:]
files, pixels = [pathlib.Path(file).read_bytes() for file in files], np.load(pixels)
found = {}

def tensor(name, values, kind, binary):
    given = InferInput(name, list(values.shape), kind)
    given.set_data_from_numpy(values, binary_data=binary)
    return given

async def main():
    two = InferenceRESTClient(RESTConfig(protocol="v2"))
    found["health"] = [
        await two.is_server_live(address), await two.is_server_ready(address),
        await two.is_model_ready(address, "colours"),
    ]
    found["other"] = await two.is_model_ready(address, "other")

    async def infer(inputs, **how):
        request = InferRequest("colours", inputs, request_id="9", **how)
        answer = await two.infer(address, request, "colours")
        assert (answer.id, answer.model_name) == ("9", "colours")
        return {output.name: output.as_numpy().tolist() for output in answer.outputs}

    binary = tensor("image_bytes", np.array(files, object), "BYTES", True)
    found["files"] = (await infer([binary]))["probabilities"]
    wanted = {"parameters": {"binary_data_output": True}}
    found["bytes"] = (await infer([binary], **wanted))["probabilities"]
    outputs = [RequestedOutput("label_id", {"binary_data": True}),
               RequestedOutput("probabilities", {"classification": 1})]
    chosen = await infer([binary], request_outputs=outputs)
    found["chosen"] = [chosen["label_id"], [text.split(":")[2] for text, in chosen["probabilities"]]]
    for name, kind, dtype, inside in (("images_uint8", "UINT8", "uint8", False),
                                      ("images", "FP32", "float32", True),
                                      ("images", "FP16", "float16", True)):
        given = tensor(name, pixels.astype(dtype), kind, inside)
        found[kind] = (await infer([given]))["probabilities"]
    try:
        await infer([tensor("images", np.zeros((1, 2, 2, 1), "float32"), "FP32", True)])
    except Exception as error:
        found["refused"] = str(error)
    one = InferenceRESTClient(RESTConfig(protocol="v1"))
    found["health"] += [await one.is_server_live(address), await one.is_model_ready(address, "colours")]
    body = {"instances": [{"b64": base64.b64encode(data).decode()} for data in files]}
    answer = await one.infer(address, body, "colours")
    found["one"] = [row["probabilities"] for row in answer["predictions"]]
    explained = await one.explain(address, "colours", body)
    found["explained"] = [row["label"] for row in explained["predictions"]]
    assert len(explained["explanations"]) == len(files)

asyncio.run(main())
print(json.dumps(found))
"""


@pytest.mark.skipif(not HOME.is_dir(), reason="KServe's client is not in .venv/kserve (make test)")
def test_kserves_client_gets_what_the_model_says(deployed, photos, tmp_path):
    places = [photos / name / "3.png" for name in ("red", "green", "blue")]
    pixels = np.stack([np.asarray(deployed.prepare(place.read_bytes())) for place in places])
    np.save(tmp_path / "pixels.npy", pixels)
    with listening(make_app(deployed, Limits())) as address:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, address, tmp_path / "pixels.npy", *places],
            capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": str(HOME), "KSERVE_LOGLEVEL": "ERROR"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["health"] == [True] * 5
    assert found["other"] is False
    expected = deployed.run(pixels)
    for way in ("files", "bytes", "UINT8", "FP32", "FP16", "one"):
        np.testing.assert_allclose(found[way], expected, atol=1e-5, err_msg=way)
    names = ["red", "green", "blue"]
    assert found["chosen"] == [[2, 1, 0], names]
    assert found["explained"] == names
    assert "expected the shape [n, height, width, 3]" in found["refused"]
