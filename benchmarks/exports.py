"""Which network can be written in which format, and whether it answers alike.

    python benchmarks/exports.py [NETWORK ...]

MobileNetV2 has ImageNet's weights and `tiny` its own; the others' are random, with measured statistics.
24 photos of flowers at 64 pixels (96 for ConvNeXt), three classes, a random head; every format with its
precision, each proved in its own runtime. Prints a Markdown table: the share of labels that stay, and
the largest difference of a probability. Needs the folder that TLKIT_TEST_ASSETS names.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pathlib
import sys
import tempfile

import numpy as np

from tlkit import registry
from tlkit.data.dataset import Split
from tlkit.data.decode import make_preparer
from tlkit.data.record import Record
from tlkit.errors import RunFailed
from tlkit.export.served import Proof, ServedModel
from tlkit.export.write import parse_format, write_export
from tlkit.model import build_network, served_network
from tlkit.recipe.schema import Model
from tlkit.tasks.classification import Classification

FORMS = (
    "saved_model", "keras", "onnx", "litert", "litert:float16", "litert:dynamic-int8", "litert:int8",
    "openvino", "openvino:float16", "openvino:int8",
)  # fmt: skip
# tlkit's own layers that a recipe can insert; the fused norms become Keras's own before an export
INSERTED = [
    name
    for name in registry.LAYERS
    if "native" not in (facts := registry.LAYERS[name].facts) and facts.get("inserted", True)
]
ASSETS = pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])
MOBILENET: dict[str, object] = {
    "backbone": "mobilenet_v2",
    "weights": str(ASSETS / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"),
}
NETWORKS: dict[str, dict[str, object]] = {
    "MobileNetV2": MOBILENET,
    "ResNet50": {"backbone": "resnet50", "norm": {"recalibrate": 16}},
    "EfficientNetV2B0": {"backbone": "efficientnet_v2_b0", "norm": {"recalibrate": 16}},
    "ConvNeXtTiny": {"backbone": "convnext_tiny"},
    "tiny": {"backbone": "tiny", "weights": "bundled"},
    "MobileNetV2, GroupNorm": {**MOBILENET, "norm": {"swap": "group", "calibrate": 16}},
    **{
        f"tiny with {name}": {"backbone": "tiny", "weights": "bundled", "insert": [name]}
        for name in INSERTED
    },
}  # fmt: skip


def served(config: dict[str, object], size: int) -> ServedModel:
    rng = np.random.default_rng(0)
    prepare = make_preparer((size, size), "crop", False)
    files = sorted((ASSETS / "data" / "flowers" / "val").rglob("*.jpg"))[::10][:24]
    encoded = [file.read_bytes() for file in files]
    pixels = np.stack([np.asarray(prepare(data)) for data in encoded])
    model = Model.model_validate({"weights": "none", **config})
    network = build_network(
        model, Classification(["a", "b", "c"]), (size, size), sample=lambda count: pixels[:count]
    )
    for layer in network.head:
        for weight in layer.trainable_weights:
            weight.assign(rng.normal(size=weight.shape) * 0.3)
    network = served_network(network)
    records = [Record(f"{k}.jpg", "", None, lambda d=data: d) for k, data in enumerate(encoded)]
    split = Split(records, np.full(24, -1, np.int32), [""] * 24, pixels)
    logits = np.asarray(network.logits(pixels.astype("float32"), training=False))
    card = {"name": "x", "backbone": "x", "licence": "-", "counts": {}, "evaluated": "-"}
    return ServedModel(
        network.model,
        Proof(network.task, split, prepare, network.task.answers(logits)),
        (size, size),
        "crop",
        False,
        lambda: pixels,
        card,
    )


def row(name: str) -> str:
    """A network in all formats."""
    given = served(NETWORKS[name], 64 if NETWORKS[name]["backbone"] != "convnext_tiny" else 96)
    cells = []
    for form in FORMS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                # of random networks int8 may lose what it likes: what counts is that it runs
                _, _, parity = write_export(parse_format(form), given, pathlib.Path(folder), 1.0)
                cells.append(f"{100 * parity.agreement:.0f} %, {parity.largest_difference:.0e}")
            except RunFailed as error:
                cells.append("no: " + error.message[:300].replace("|", "/"))
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    print("| network | " + " | ".join(FORMS) + " |")
    print("|---" * (len(FORMS) + 1) + "|", flush=True)
    for name in sys.argv[1:] or NETWORKS:
        # converters keep what they had in memory
        with concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as process:
            print(process.submit(row, name).result(), flush=True)


if __name__ == "__main__":
    main()
