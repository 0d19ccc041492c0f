"""Metadata about the tensors of a LiteRT file, in the format that its tools read.

The tables and their field numbers are those of `metadata_schema.fbs` of TensorFlow Lite Support
(https://www.tensorflow.org/lite/models/convert/metadata), whose own Python package has no release
for current Python versions.
"""

from __future__ import annotations

import pathlib
import zipfile
from typing import Any

import flatbuffers
import numpy as np

from tlkit.data.labels import labels_text
from tlkit.export.naming import IMAGE

LABELS = "labels.txt"
AXIS_LABELS, RGB = 2, 1  # AssociatedFileType.TENSOR_AXIS_LABELS, ColorSpaceType.RGB
IMAGE_PROPERTIES, NORMALIZATION = 2, 1  # in the unions ContentProperties and ProcessUnitOptions


def add_metadata(
    file: pathlib.Path,
    card: dict[str, Any],
    classes: list[str],
    size: tuple[int, int],
    output: str = "probabilities",
) -> None:
    """Writes into a LiteRT file that it takes unscaled RGB images, and the names of its outputs.

    Args:
        file: Classifier with one input and one output; `labels.txt` is packed into it, and can be
            extracted as from a zip archive.
        card: Model card, with the `name` of the model and the `licence` of its initial weights.
        classes: Class names in the order of the outputs.
        size: Height and width in pixels.
        output: Name of the output.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(file))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(describe(card["name"], card["licence"], size, output), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    flatbuffer_utils.write_model(model, str(file))
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr(LABELS, labels_text(classes))


def describe(
    name: str, licence: str, size: tuple[int, int], output: str = "probabilities"
) -> bytes:
    """Returns the message `ModelMetadata`."""
    to = flatbuffers.Builder(1024)
    height, width = size

    def floats(value: float) -> int:
        return int(to.CreateNumpyVector(np.array([value], "float32")))

    extent = _table(to, {0: np.uint32(width), 1: np.uint32(height)})
    properties = _table(to, {0: np.uint8(RGB), 1: extent})
    content = _table(to, {0: np.uint8(IMAGE_PROPERTIES), 1: properties})
    # the scaling that the backbone needs is in the network: pixels come as they are
    normalization = _table(to, {0: floats(0.0), 1: floats(1.0)})
    unit = _table(to, {0: np.uint8(NORMALIZATION), 1: normalization})
    image = _table(
        to,
        {
            0: to.CreateString(IMAGE),
            1: to.CreateString("RGB in [0, 255]"),
            3: content,
            4: _list(to, unit),
            5: _table(to, {0: floats(255.0), 1: floats(0.0)}),
        },
    )
    labels = _table(to, {0: to.CreateString(LABELS), 2: np.uint8(AXIS_LABELS)})
    feature = _table(to, {0: np.uint8(1), 1: _table(to, {})})  # FeatureProperties
    answer = _table(
        to,
        {
            0: to.CreateString(output),
            3: feature,
            5: _table(to, {0: floats(1.0), 1: floats(0.0)}),
            6: _list(to, labels),
        },
    )
    graph = _table(to, {2: _list(to, image), 3: _list(to, answer)})
    model = _table(
        to,
        {
            0: to.CreateString(name),
            1: to.CreateString("An image classifier."),
            3: _list(to, graph),
            5: to.CreateString(licence),
            7: to.CreateString("1.0.0"),
        },
    )
    to.Finish(model, b"M001")
    return bytes(to.Output())


def _table(to: Any, fields: dict[int, Any]) -> int:
    """Writes a table of numbers, and of offsets of what was written before."""
    to.StartObject(max(fields, default=-1) + 1)
    for slot, value in fields.items():
        if isinstance(value, np.uint8):
            to.PrependUint8Slot(slot, int(value), 0)
        elif isinstance(value, np.uint32):
            to.PrependUint32Slot(slot, int(value), 0)
        else:
            to.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(to.EndObject())


def _list(to: Any, only: int) -> int:
    """Writes a vector of one table."""
    to.StartVector(4, 1, 4)
    to.PrependUOffsetTRelative(only)
    return int(to.EndVector())
