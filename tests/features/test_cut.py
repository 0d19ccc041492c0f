import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.features.split_network import find_cut, flatten_model
from tlkit.freeze import apply_plan
from tlkit.model import build_network
from tlkit.recipe.load import load_recipe
from tlkit.tasks.classification import Classification
from tlkit.train.plans import plan_stage

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype("float32")


def network(recipe, backbone, policy, insert=(), dropout=0.2):
    recipe["data"]["image_size"] = 64
    recipe["model"] = {"backbone": backbone, "weights": "none", "insert": list(insert),
                       "head": {"linear": {"initializer": "xavier", "dropout": dropout}}}  # fmt: skip
    recipe["finetune"]["stages"] = [{"policy": policy, "epochs": 1}]
    loaded = load_recipe(recipe)
    built = build_network(loaded.model, Classification(["a", "b", "c"]), (64, 64))
    return built, plan_stage(loaded.finetune.stages[0], loaded, built)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet50", "efficientnet_b0", "densenet121"])
def test_the_two_parts_are_the_whole_in_values_and_gradients(recipe, backbone, count):
    built, plan = network(recipe, backbone, {"last-blocks": count}, dropout=0.0)
    restore = apply_plan(plan, built.model, built.blocks)
    cut = find_cut(built.logits, plan)
    trained = [v for v in built.logits.variables if v.path in plan.trainable]
    inside = {id(v) for v in cut.trained.variables}
    assert all(id(v) in inside for v in trained)
    assert not set(plan.trainable) & {v.path for v in cut.frozen.variables}
    weight = np.random.default_rng(1).normal(size=(3, 3)).astype("float32")
    # EfficientNet drops branches while training; at inference both ways are alike
    random = backbone == "efficientnet_b0"
    results = []
    for forward in (
        lambda: built.logits(IMAGES, training=not random),
        lambda: cut.trained(cut.frozen(IMAGES, training=False), training=not random),
    ):
        with tf.GradientTape() as tape:
            logits = forward()
            loss = tf.reduce_sum(logits * weight)
        results.append((logits, tape.gradient(loss, [v.value for v in trained])))
    restore()
    (whole, a), (parts, b) = results
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)
    for x, y in zip(a, b, strict=True):
        scale = max(float(np.abs(np.asarray(x)).max()), 1e-3)
        np.testing.assert_allclose(y, x, atol=1e-3 * scale)


def test_with_the_head_alone_the_cut_is_at_the_pooled_features(recipe):
    built, plan = network(recipe, "mobilenet_v2", "head-only")
    cut = find_cut(built.logits, plan)
    assert cut.shapes == [(1280,)]
    assert cut.bytes_per_image() == 4 * 1280
    assert [layer.name for layer in cut.trained.layers[1:]] == ["head_dropout", "head_logits"]


def test_a_skip_connection_over_the_cut_crosses_it_too():
    inputs = keras.Input((8, 8, 3))
    stem = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    early = keras.layers.Conv2D(4, 3, padding="same", name="early")(stem)
    late = keras.layers.Conv2D(4, 3, padding="same", name="late")(early)
    model = keras.Model(inputs, keras.layers.Add()([late, stem]))

    class Plan:
        trainable = ("late/kernel", "late/bias")
        frozen_layers = ("stem", "early")

    cut = find_cut(model, Plan)
    assert cut.shapes == [(8, 8, 4), (8, 8, 4)]
    x = IMAGES[:, :8, :8]
    np.testing.assert_allclose(cut.trained(cut.frozen(x)), model(x), rtol=1e-5, atol=1e-5)


def test_what_trains_or_is_random_from_the_start_on_is_not_cut(recipe):
    built, plan = network(recipe, "tiny", "full")
    assert find_cut(built.logits, plan) is None


def test_an_inserted_layer_that_trains_moves_the_cut_before_it(recipe):
    insert = [{"residual_shrinkage": {"after": "stage2_block1"}}]
    built, plan = network(recipe, "tiny", "head-only", insert)
    cut = find_cut(built.logits, plan)
    assert cut.shapes[0][-1] == 64
    assert "inserted_0_residual_shrinkage" in [layer.name for layer in cut.trained.layers]


def test_flattening_opens_nested_models_and_shares_their_layers():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="inner")])
    middle_in = keras.Input((4,))
    middle = keras.Model(middle_in, keras.layers.Dense(2, name="middle")(inner(middle_in)))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="outer")(middle(inputs)))
    flat = flatten_model(model)
    assert [layer.name for layer in flat.layers[1:]] == ["inner", "middle", "outer"]
    assert flat.get_layer("inner") is inner.layers[0]
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(flat(x), model(x))
