import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit import registry
from tlkit.augment import HSVPower, PCAColor, SaltAndPepper
from tlkit.registry import AUGMENTATIONS

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (16, 12, 12, 3)).astype("float32")
LABELS = np.eye(4, dtype="float32")[RNG.integers(0, 4, 16)]
MIXING = [name for name, entry in AUGMENTATIONS.items() if entry.facts.mixes_labels]
# Keras's saturation leaves the range (tlkit's loop clips); a crop changes images at inference
# too; Keras draws AugMix's chains by Python's generator
UNBOUNDED, ALWAYS, PYTHON = {"saturation"}, {"crop"}, {"aug_mix"}


def make(name, seed=3, **arguments):
    context = {"seed": seed, "image_size": (12, 12)}
    layer = AUGMENTATIONS.make(name, context, **arguments)
    if hasattr(layer, "adapt"):
        layer.adapt([IMAGES])
    return layer


def run(layer, name, training=True):
    if name in MIXING:
        return layer({"images": IMAGES, "labels": LABELS}, training=training)["images"]
    return layer(IMAGES, training=training)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_changes_training_images_only_and_keeps_shape_and_range(name):
    layer = make(name)
    changed = np.asarray(run(layer, name))
    assert changed.shape == IMAGES.shape
    assert not np.allclose(changed, IMAGES)
    if name not in UNBOUNDED:
        assert changed.min() >= -1e-2 and changed.max() <= 255.01
    if name not in ALWAYS:
        np.testing.assert_allclose(run(layer, name, training=False), IMAGES, atol=1e-4)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_seed_draws_the_same(name):
    keras.utils.set_random_seed(0)
    a = run(make(name), name)
    keras.utils.set_random_seed(0 if name in PYTHON else 1)
    b = run(make(name), name)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_it_runs_in_a_compiled_step_and_in_tf_data(name):
    layer, given = make(name), {"images": IMAGES, "labels": LABELS}

    def once(batch):
        if name in MIXING:
            return layer(batch, training=True)["images"]
        return layer(batch["images"], training=True)

    for images in (
        tf.function(once)({k: tf.constant(v) for k, v in given.items()}),
        next(iter(tf.data.Dataset.from_tensor_slices(given).batch(16).map(once))),
    ):
        assert images.shape == IMAGES.shape
        assert np.isfinite(np.asarray(images)).all()


def test_quarter_turns_draws_all_four_turns_and_no_other():
    layer = make("quarter_turns", 0)
    image = IMAGES[:1]
    got = np.asarray(layer(np.repeat(image, 200, 0), training=True))
    turns = [np.rot90(image[0], k) for k in range(4)]
    counts = [sum(np.array_equal(g, t) for g in got) for t in turns]
    assert sum(counts) == 200
    assert min(counts) > 25  # 50 expected, 4 standard deviations
    with pytest.raises(ValueError, match="needs square images"):
        layer(IMAGES[:, :6], training=True)


def hsv(images):
    return np.asarray(tf.image.rgb_to_hsv(np.asarray(images, "float64") / 255))


def test_hsv_power_keeps_the_hue_and_raises_saturation_and_value():
    changed = np.asarray(HSVPower(seed=0)(IMAGES, training=True))
    before, after = hsv(IMAGES), hsv(changed)
    colourful = (before[..., 1] > 0.05) & (after[..., 1] > 0.05) & (after[..., 2] > 0.05)
    turn = np.abs(before[..., 0] - after[..., 0])
    assert np.minimum(turn, 1 - turn)[colourful].max() < 1e-5
    powers = np.log(after[..., 1:]) / np.log(np.clip(before[..., 1:], 1e-9, 1 - 1e-9))
    for each in powers.reshape(16, -1, 2):
        # one power an image, between a quarter and four
        middle = np.median(each, axis=0)
        assert (middle > 0.249).all() and (middle < 4.01).all()
        assert np.quantile(np.abs(each - middle), 0.9) < 2e-2
    assert len(np.unique(np.round(np.median(powers.reshape(16, -1, 2), 1)[:, 0], 3))) > 8


def test_salt_and_pepper_hits_whole_pixels_at_the_given_share():
    grey = np.full((8, 100, 100, 3), 100.0, "float32")
    changed = np.asarray(SaltAndPepper(seed=1, share=0.1)(grey, training=True))
    for level in (0, 255):
        hit = (changed == level).all(-1).mean()
        assert hit == pytest.approx(0.05, abs=0.005)  # 6 standard deviations
    assert ((changed == 100).all(-1) | (changed == 0).all(-1) | (changed == 255).all(-1)).all()


def test_pca_color_shifts_have_the_covariance_of_the_paper():
    mix = np.array([[60, 20, 5], [20, 40, 10], [5, 10, 20.0]])
    pixels = (RNG.normal(size=(40_000, 3)) @ mix / 3 + 128).astype("float32")
    layer = PCAColor(seed=2, strength=0.1)
    layer.adapt([pixels[:30_000].reshape(3, 100, 100, 3), pixels[30_000:].reshape(1, 100, 100, 3)])
    values, vectors = np.linalg.eigh(np.cov(pixels.T / 255, bias=True))
    expected = 255**2 * (vectors * (0.1 * values) ** 2) @ vectors.T
    shifts = np.asarray(layer(np.full((20_000, 1, 1, 3), 128.0), training=True)).reshape(-1, 3)
    got = np.cov(shifts.T - 128)
    np.testing.assert_allclose(got, expected, atol=0.05 * expected.max())
    # all pixels of an image move alike
    moved = np.asarray(layer(np.full((4, 5, 5, 3), 128.0), training=True))
    np.testing.assert_array_equal(moved, np.broadcast_to(moved[:, :1, :1], moved.shape))


@pytest.mark.parametrize("name", MIXING)
def test_labels_are_mixed_as_the_images_are(name):
    # each class has a grey level of its own, so the mean level tells the label
    levels = np.array([0.0, 80, 160, 240])
    ids = RNG.integers(0, 4, 64)
    images = np.broadcast_to(levels[ids][:, None, None, None], (64, 128, 128, 3)).astype("float32")
    given = {"images": images, "labels": np.eye(4, dtype="float32")[ids]}
    mixed = make(name)(given, training=True)
    labels = np.asarray(mixed["labels"])
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    assert (labels.max(1) < 0.999).any()
    # a rectangle's sides are whole pixels, its share of the label is not
    np.testing.assert_allclose(
        np.asarray(mixed["images"]).mean((1, 2, 3)), labels @ levels, atol=2 * 240 / 128
    )


def test_a_range_may_be_given_in_place_of_a_size():
    layer = make("rotation", factor=[0.25, 0.25])
    got = np.asarray(layer(IMAGES, training=True))
    error = min(np.abs(got - np.rot90(IMAGES, k, (1, 2))).mean() for k in (1, 3))
    assert error < 1.0
    assert registry.AUGMENTATIONS["rotation"].arguments(factor=[0.1, 0.2]).factor == (0.1, 0.2)


def test_the_loop_keeps_every_image_in_the_range_of_pixels():
    from tlkit.train.step import apply_augmentations

    layers = [make("saturation", factor=[1.0, 1.0]), make("gaussian_noise", stddev=80.0)]
    images, labels = apply_augmentations(layers, IMAGES, LABELS)
    assert np.asarray(images).min() >= 0 and np.asarray(images).max() <= 255
    np.testing.assert_array_equal(labels, LABELS)


def test_gaussian_noise_has_the_given_deviation():
    grey = np.full((4, 64, 64, 3), 128.0, "float32")
    noise = np.asarray(make("gaussian_noise", stddev=10.0)(grey, training=True)) - 128
    assert noise.std() == pytest.approx(10, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.2)


OWN = [name for name, entry in registry.AUGMENTATIONS.items() if not entry.facts.native]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", OWN)
def test_own_augmentations_take_every_type_an_empty_batch_and_what_lies_outside(name, policy):
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
    keras.config.set_dtype_policy(policy)
    try:
        layer = registry.AUGMENTATIONS.make(name, {"seed": 1})
    finally:
        keras.config.set_dtype_policy("float32")
    if hasattr(layer, "adapt"):
        layer.adapt([pixels])
    for images in (pixels, pixels * 0, pixels[:0], pixels[:1], pixels.astype("uint8")):
        changed = layer(images, training=True)
        assert changed.shape == images.shape
        values = np.asarray(changed).astype("float32")
        assert ((values >= 0) & (values <= 255)).all()
    # a resized or attacked image may leave [0, 255]
    assert np.isfinite(np.asarray(layer(pixels * 4 - 300, training=True)).astype("float32")).all()
