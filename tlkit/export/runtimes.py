"""Programs that run an exported model with nothing but its own runtime.

Each is given the model, a file of inputs and a file to write, and blocks what must not be
needed. What they share stands in `COMMON`.
"""

from __future__ import annotations

COMMON = """
import sys
for name in {blocked}:
    sys.modules[name] = None
import time
import numpy as np
model, given, answered = sys.argv[1:]
{load}
inputs = np.load(given, allow_pickle=True)
answers = [run(batch) for batch in inputs]
one = inputs[0][:1]
run(one)
alone = []
for _ in range(10):
    start = time.perf_counter()
    run(one)
    alone.append(time.perf_counter() - start)
start, count = time.perf_counter(), 0
while time.perf_counter() - start < 0.5:
    run(inputs[0])
    count += len(inputs[0])
speed = count / (time.perf_counter() - start)
np.savez(answered, probabilities=np.concatenate(answers), milliseconds=1000 * np.median(alone),
         images_per_second=speed)
"""

LOAD = {
    # TensorFlow imports Keras by itself where it can
    "tensorflow": """
import tensorflow as tf
serve = tf.saved_model.load(model).signatures["serve_bytes"]
def run(batch):
    return serve(image_bytes=tf.constant(list(batch), tf.string))["probabilities"].numpy()
""",
    "keras": """
import keras
loaded = keras.models.load_model(model, compile=False, safe_mode=True)
def run(batch):
    return np.asarray(loaded(np.stack(batch), training=False))
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
loaded = Interpreter(model_path=model, num_threads=2)
entry, end = loaded.get_input_details()[0], loaded.get_output_details()[0]
def run(batch):
    batch = np.stack(batch).astype(entry["dtype"])
    if tuple(loaded.get_input_details()[0]["shape"]) != batch.shape:
        loaded.resize_tensor_input(entry["index"], batch.shape)
        loaded.allocate_tensors()
    loaded.set_tensor(entry["index"], batch)
    loaded.invoke()
    return loaded.get_tensor(end["index"])
""",
    "onnxruntime": """
import onnxruntime
loaded = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
name = loaded.get_inputs()[0].name
def run(batch):
    return loaded.run(None, {name: np.stack(batch).astype("float32")})[0]
""",
    "openvino": """
import openvino
core = openvino.Core()
loaded = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
def run(batch):
    return np.array(loaded(np.stack(batch).astype("float32"))[0])
""",
}

BLOCKED = {
    "tensorflow": ("tlkit", "keras"),
    "keras": ("tlkit",),
}


def program(runtime: str) -> str:
    """The whole program for a runtime."""
    blocked = BLOCKED.get(runtime, ("tlkit", "keras", "tensorflow"))
    return COMMON.replace("{blocked}", repr(blocked)).replace("{load}", LOAD[runtime])
