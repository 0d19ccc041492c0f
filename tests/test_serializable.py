"""Saved models load wherever tlkit was imported, before Keras or after it, and no name else."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tlkit.serializable import PACKAGES, register_layers

ORDERS = {
    "tlkit, then keras": "import tlkit, keras",
    "keras, then tlkit": "import keras, tlkit",
    "tlkit, then tensorflow": "import tlkit, tensorflow as tf; tf.keras.layers; import keras",
    "a package": "import tlkit.losses, keras",
    "a file in the middle": "import tlkit.layers.residual_shrinkage, keras",
    "a late package": "import tlkit.optimizers, keras",
    "callbacks": "from tlkit.callbacks import CosineDecay; import keras",
    "surgery": "import tlkit.surgery, keras",
    "a lookup": "import tlkit, importlib.util; importlib.util.find_spec('keras'); import keras",
}
LOADS = """
import json, sys
names = json.loads(sys.argv[1])
table = keras.saving.get_custom_objects()
missing = [name for name in names if name not in table]
keras.models.load_model(sys.argv[2])
print("missing", missing, [f for f in sys.meta_path if type(f).__module__.startswith("tlkit")])
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that has a class of every kind, and all names there are."""
    from tlkit.augment import PixelNoise
    from tlkit.layers import FusedBatchNormalization, FusedGroupNormalization, SoftThreshold
    from tlkit.losses import Flooding
    from tlkit.optimizers import with_multipliers
    from tlkit.regularizers import L2SP
    from tlkit.schedules import one_cycle

    inputs = keras.Input((8, 8, 3))
    x = PixelNoise(seed=0)(inputs)
    x = keras.layers.Conv2D(4, 3, kernel_regularizer=L2SP(None), name="body")(x)
    x = SoftThreshold()(FusedGroupNormalization(2)(FusedBatchNormalization()(x)))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    rate = one_cycle(0.1, 2, 10)
    model.compile(with_multipliers(keras.optimizers.Adam(rate), {"^body": 0.1}), Flooding())
    file = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(file)
    return file


def names():
    register_layers()
    return sorted(n for n in keras.saving.get_custom_objects() if n.startswith("tlkit>"))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.slow
def test_a_saved_model_loads_after_any_import_of_tlkit(order, saved):
    done = subprocess.run(
        [sys.executable, "-c", ORDERS[order] + LOADS, json.dumps(names()), str(saved)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "missing [] []", done.stderr[-2000:]


def test_importing_tlkit_loads_neither_keras_nor_tensorflow():
    code = "import sys, tlkit; print({'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_class_that_registers_is_in_a_package_that_is_imported(pytestconfig):
    root = pytestconfig.rootpath / "tlkit"
    marked = {
        path.relative_to(root).parts[0]
        for path in root.rglob("*.py")
        if "register_keras_serializable(" in path.read_text("utf-8")
    } - {"entry.py"}  # it registers other people's classes
    assert marked == set(PACKAGES) - {"activations"} | {"activations"} & marked
    assert len(names()) >= 20


def test_a_fused_norm_says_its_own_name():
    from tlkit.layers import FusedBatchNormalization, FusedGroupNormalization

    for kind in (FusedBatchNormalization, FusedGroupNormalization):
        layer = kind()
        assert kind.__name__ in repr(layer)
        config = keras.saving.serialize_keras_object(layer)
        assert config["class_name"] == kind.__name__
        assert config["registered_name"] == f"tlkit>{kind.__name__}"


def test_what_a_file_holds_is_loaded_again_as_it_was(saved):
    first, second = (keras.models.load_model(saved) for _ in range(2))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(first(images), second(images))
    assert type(second.loss).__name__ == "Flooding"
    assert second.optimizer.rate_multipliers == {"^body": 0.1}
