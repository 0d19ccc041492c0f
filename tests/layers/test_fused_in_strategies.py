"""The fused BatchNorm under a distribution strategy, as Keras's own."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import keras, numpy as np, tensorflow as tf
from tlkit.layers import FusedBatchNormalization

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
images = np.random.default_rng(0).normal(2, 3, (16, 6, 6, 4)).astype("float32")
targets = np.random.default_rng(1).normal(size=(16, 6, 6, 4)).astype("float32")
results = []
for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = keras.Sequential([keras.Input((6, 6, 4)), kind()])
        model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(images, targets, batch_size=16, epochs=3, shuffle=False, verbose=0)
    results.append([np.asarray(v) for v in model.weights])
for a, b in zip(*results):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
assert abs(results[0][2]).max() > 0.01
print("alike")
"""


@pytest.mark.slow
def test_statistics_and_weights_are_those_of_keras_on_two_devices():
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip().endswith("alike"), done.stderr[-2000:]
