"""Proves that what is served equals what was evaluated, in a process of its own."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.errors import RunFailed

TOLERANCE = 1e-4
BATCH = 32

# Keras is blocked, because TensorFlow imports it by itself where it can.
_SERVER = """
import sys
sys.modules["keras"] = None
sys.modules["tlkit"] = None
import numpy as np
import tensorflow as tf
folder, given, answered = sys.argv[1:]
serve = tf.saved_model.load(folder).signatures["serve_bytes"]
probabilities, labels = [], []
for batch in np.load(given, allow_pickle=True):
    answer = serve(image_bytes=tf.constant(list(batch), tf.string))
    probabilities.append(answer["probabilities"].numpy())
    labels.append(answer["label"].numpy())
np.savez(answered, probabilities=np.concatenate(probabilities), labels=np.concatenate(labels))
"""


def check_saved_model(
    folder: pathlib.Path, split: Split, probabilities: np.ndarray, classes: list[str]
) -> dict[str, Any]:
    """Sends a split's encoded images to the SavedModel and compares its answers.

    Args:
        folder: Of the SavedModel.
        split: The images that were evaluated.
        probabilities: What evaluation found for them, `(n, classes)`.
        classes: Names in the order of the outputs.

    Returns:
        `images`, `largest_difference`, `labels_equal`.

    Raises:
        RunFailed: if a probability differs by more than 1e-4, or a label that
            is not a tie.
    """
    with tempfile.TemporaryDirectory() as place:
        given, answered = pathlib.Path(place, "in.npy"), pathlib.Path(place, "out.npz")
        groups = [
            [record.read() for record in split.records[first : first + BATCH]]
            for first in range(0, len(split), BATCH)
        ]
        packed = np.empty(len(groups), object)
        packed[:] = groups
        np.save(given, packed, allow_pickle=True)
        run = subprocess.run(
            [sys.executable, "-c", _SERVER, str(folder), str(given), str(answered)],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise RunFailed(
                f"the SavedModel cannot be loaded without Keras:\n{run.stderr[-2000:]}",
                where=str(folder),
            )
        with np.load(answered, allow_pickle=True) as file:
            served, labels = file["probabilities"], file["labels"]
    difference = float(np.abs(served - probabilities).max())
    expected = np.array(classes, object)[probabilities.argmax(axis=1)]
    got = np.array([label.decode() for label in labels], object)
    top_two = np.sort(probabilities, axis=1)[:, -2:]
    clear = (top_two[:, 1] - top_two[:, 0]) > 2 * TOLERANCE if len(classes) > 1 else slice(None)
    wrong = int((expected[clear] != got[clear]).sum())
    if difference > TOLERANCE or wrong:
        raise RunFailed(
            f"what it serves is not what was evaluated: probabilities differ by up to "
            f"{difference:.2g} (allowed {TOLERANCE:g}), {wrong} labels differ",
            where=str(folder),
        )
    return {
        "images": len(split),
        "largest_difference": difference,
        "labels_equal": bool((expected == got).all()),
    }
