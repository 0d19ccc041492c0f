import keras
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tlkit import registry
from tlkit.heads import knn, nearest_mean


@pytest.mark.parametrize("name", ["linear", "mlp", "nearest-mean", "knn"])
@pytest.mark.parametrize("shape", [(4, 4, 6), (6,)])
def test_heads_give_float32_logits_under_any_precision(name, shape):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input(shape)
        context = {"features": inputs, "classes": 5, "images": 9}
        logits = registry.HEADS.make(name, context)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.shape == (None, 5)
    assert logits.dtype == "float32"
    keras.Model(inputs, logits)(np.zeros((2, *shape)))


def test_linear_pools_by_mean_or_maximum():
    image = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype("float32")
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        inputs = keras.Input((3, 3, 4))
        model = keras.Model(inputs, registry.HEADS.build("linear", inputs, 2, pooling=pooling))
        kernel, bias = model.layers[-1].get_weights()
        np.testing.assert_allclose(
            model(image), reduce(image, axis=(1, 2)) @ kernel + bias, rtol=1e-4
        )


def test_nearest_mean_is_cosine_similarity_over_temperature():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(30, 8)), np.arange(30) % 3
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    kernel = nearest_mean.stored_weights(unit, labels, 3)["head_means"]
    inputs = keras.Input((8,))
    model = keras.Model(inputs, registry.HEADS.build("nearest-mean", inputs, 3, temperature=0.5))
    model.get_layer("head_means").kernel.assign(kernel)
    query = rng.normal(size=(4, 8))
    means = np.stack([unit[labels == k].mean(0) for k in range(3)])
    cosine = (query @ means.T) / (
        np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(means, axis=1)
    )
    np.testing.assert_allclose(model(query), cosine / 0.5, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("images", "k"), [(60, 7), (5, 20)])
def test_knn_gives_the_weighted_votes_of_the_nearest(tmp_path, images, k):
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(images, 8)), np.arange(images) % 3
    neighbours = KNeighborsClassifier(
        min(k, images),
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / 0.1),
    ).fit(features, labels)
    inputs = keras.Input((8,))
    logits = registry.HEADS.build("knn", inputs, 3, images, k=k, temperature=0.1)
    model = keras.Model(inputs, keras.layers.Softmax()(logits))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for name, kernel in knn.stored_weights(unit, labels, 3).items():
        model.get_layer(name).kernel.assign(kernel)
    query = rng.normal(size=(10, 8))
    np.testing.assert_allclose(model(query), neighbours.predict_proba(query), atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(query), model(query))


def test_the_original_top_keeps_its_probabilities():
    inputs = keras.Input((4,))
    outputs = keras.layers.Softmax()(
        registry.HEADS.build("original", keras.layers.Softmax()(inputs), 4)
    )
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(keras.Model(inputs, outputs)(logits), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="4 outputs, expected 7"):
        registry.HEADS.build("original", inputs, 7)
