"""What was frozen before surgery is frozen after it: layers, nested models, single variables."""

import keras
import numpy as np
import pytest

from tlkit.surgery import (
    as_depthwise,
    fold_batch_norm,
    fuse,
    insert_layers,
    plain_model,
    recalibrate_batch_norm,
    swap_norm,
    unfuse,
)
from tlkit.surgery.insert import Insertion

IMAGES = np.random.default_rng(0).normal(size=(8, 8, 8, 4)).astype("float32")


def branch(x, name):
    y = keras.layers.Conv2D(4, 3, groups=4, padding="same", name=f"{name}_conv")(x)
    y = keras.layers.BatchNormalization(name=f"{name}_norm")(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def network(frozen):
    """Two branches, one in a model inside, and a head."""
    given = keras.Input((8, 8, 4))
    inner = keras.Model(given, branch(given, "inner"), name="base")
    inputs = keras.Input((8, 8, 4))
    x = branch(inner(branch(inputs, "outer")), "head")
    model = keras.Model(inputs, keras.layers.Dense(2, name="top")(x), name="whole")
    freeze(model, frozen)
    return model


def freeze(model, what):
    if what == "base":
        model.get_layer("base").trainable = False
    elif what == "all":
        model.trainable = False
    elif what == "layers":
        for name in ("outer_conv", "outer_norm"):
            model.get_layer(name).trainable = False
        model.get_layer("base").get_layer("inner_norm").trainable = False
    elif what == "a layer in a frozen base thawed":
        model.get_layer("base").trainable = False
        model.get_layer("base").get_layer("inner_norm").trainable = True
    elif what == "variables":
        model.get_layer("head_norm").gamma.trainable = False
        model.get_layer("head_conv").bias.trainable = False


FROZEN = ["nothing", "base", "all", "layers", "a layer in a frozen base thawed", "variables"]
SURGERY = {
    "swap to group": lambda m: swap_norm(m, "group", calibrate=IMAGES)[0],
    "swap to layer, distilled": lambda m: swap_norm(m, "layer", calibrate=IMAGES, distill=2)[0],
    "swap to frozen": lambda m: swap_norm(m, "frozen-batch")[0],
    "recalibrate": lambda m: recalibrate_batch_norm(m, IMAGES),
    "fold": lambda m: fold_batch_norm(m)[0],
    "fuse": fuse,
    "fuse and back": lambda m: unfuse(fuse(m)),
    "depthwise": as_depthwise,
    "depth": lambda m: insert_layers(m, [Insertion("stochastic_depth", {"rate": 0.2})])[0],
    "depth, taken out": lambda m: plain_model(SURGERY["depth"](m)),
    "standardised": lambda m: insert_layers(m, [Insertion("weight_standardization", {})])[0],
    "standardised, taken out": lambda m: plain_model(SURGERY["standardised"](m)),
    "after": lambda m: insert_layers(m, [Insertion("soft_threshold", {}, "outer_add")])[0],
}


def flags(model):
    """`trainable` of each layer by name, nested models and the model itself included."""
    return {layer.name: layer.trainable for layer in model._flatten_layers()}


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("surgery", SURGERY)
def test_what_was_frozen_stays_so_and_nothing_else_is(surgery, frozen):
    model = network(frozen)
    before, training = flags(model), {v.path for v in model.trainable_variables}
    new = SURGERY[surgery](model)
    after = flags(new)
    for name, flag in before.items():
        expected = False if surgery == "swap to frozen" and "norm" in name else flag
        if name in after:
            assert after[name] == expected, name
    kept = {v.path for v in new.variables} & {v.path for v in model.variables}
    still = {v.path for v in new.trainable_variables}
    for path in kept:
        if not (surgery == "swap to frozen" and "norm" in path):
            assert (path in still) == (path in training), path
    assert flags(model) == before


def test_a_frozen_base_with_a_head_that_trains_does_so_after_a_swap():
    model = network("base")
    new, _ = swap_norm(model, "group", calibrate=IMAGES)
    start = {v.path: np.array(v) for v in new.variables}
    new.compile(keras.optimizers.SGD(0.1), "mse")
    new.fit(IMAGES, np.ones((8, 8, 8, 2)), verbose=0)
    for v in new.variables:
        moved = not np.array_equal(np.asarray(v), start[v.path])
        assert moved == (not v.path.startswith("base/") and "/inner" not in f"/{v.path}"), v.path
