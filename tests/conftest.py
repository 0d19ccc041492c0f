"""What many tests need: small picture folders and the folder of real assets."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tlkit.reporter import Reporter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

ROOT = pathlib.Path(__file__).resolve().parent.parent
# one backbone of each family, small enough to build in a test
FAMILIES = ("densenet121", "efficientnet_b0", "efficientnet_v2_b0", "inception_v3", "mobilenet",
            "mobilenet_v2", "mobilenet_v3_small", "nasnet_mobile", "resnet50", "resnet50_v2", "vgg16",
            "xception", "convnext_tiny", "inception_resnet_v2")  # fmt: skip


def pytest_addoption(parser):
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="all 40 backbones, not one of each family, and babysit on all packaged recipes",
    )


def pytest_collection_modifyitems(items):
    if assets_folder() is None:
        skip = pytest.mark.skip(
            reason="TLKIT_TEST_ASSETS names no folder of real weights and photos"
        )
        for item in items:
            if "assets" in item.keywords:
                item.add_marker(skip)


def assets_folder() -> pathlib.Path | None:
    name = os.environ.get("TLKIT_TEST_ASSETS")
    return pathlib.Path(name) if name and pathlib.Path(name).is_dir() else None


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Features of other tests and of the user's runs are out of reach."""
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def assets() -> pathlib.Path:
    folder = assets_folder()
    assert folder is not None
    return folder


class Listener(Reporter):
    """Keeps what a person would be told, a line each."""

    def __init__(self, lines: list[str]):
        super().__init__()
        self.lines = lines

    def line(self, text: str, style: str | None = None) -> None:
        self.lines.append(text.strip())


def draw(kind: int, seed: int, size: int = 40) -> Image.Image:
    """A noisy picture of one of three classes: red columns, green rows, a blue disc."""
    rng = np.random.default_rng((kind, seed))
    y, x = np.mgrid[:size, :size] + rng.uniform(-3, 3)
    shapes = (np.sin(x * 0.8) > 0, np.sin(y * 0.8) > 0, np.hypot(x - size / 2, y - size / 2) < 12)
    pixels = rng.integers(0, 60, (size, size, 3))
    pixels[..., kind] += 150 * shapes[kind] + 20
    return Image.fromarray(pixels.astype("uint8"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> pathlib.Path:
    """Three class folders of 20 small PNG pictures each."""
    root = tmp_path_factory.mktemp("photos")
    for kind, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir()
        for index in range(20):
            draw(kind, index).save(root / name / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, photos):
    """A finished run of `tiny` on `photos`, exported as a SavedModel."""
    import tlkit

    recipe = {
        "name": "colours",
        "data": {"source": {"folder": str(photos)}, "image_size": 32, "batch_size": 8},
        "model": {"backbone": "tiny", "weights": "bundled"},
        "finetune": {"stages": [{"policy": "head-only", "epochs": 8}]},
        "export": ["saved_model", "keras"],
    }
    return tlkit.finetune(recipe, run_dir=tmp_path_factory.mktemp("tiny") / "run")


@pytest.fixture
def recipe(photos) -> dict:
    """A recipe that trains `tiny` on `photos` in a few seconds."""
    return {
        "name": "test",
        "data": {"source": {"folder": str(photos)}, "image_size": 32, "batch_size": 8},
        "model": {"backbone": "tiny", "weights": "none"},
        "finetune": {"stages": [{"policy": "head-only", "epochs": 1}]},
        "export": [],
    }


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> pathlib.Path:
    """A TFDS data_dir with the data set `colours`, built by TFDS itself."""
    root = tmp_path_factory.mktemp("tfds")
    import tensorflow_datasets as tfds

    images = [np.asarray(draw(kind % 3, kind)) for kind in range(30)]

    class Colours(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["red", "green", "blue"]),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager):
            return {
                "train": self._generate_examples(0, 24),
                "test": self._generate_examples(24, 30),
            }

        def _generate_examples(self, first, last):
            for index in range(first, last):
                yield index, {"image": images[index], "label": index % 3}

    Colours(data_dir=str(root)).download_and_prepare()
    return root
