import keras
import numpy as np
import pytest

from tlkit import registry

IMAGES = np.random.default_rng(0).uniform(0, 255, (16, 12, 12, 3)).astype("float32")


@pytest.mark.parametrize("name", registry.AUGMENTATIONS)
def test_each_changes_training_images_only_and_keeps_shape_and_range(name):
    layer = registry.AUGMENTATIONS.build(name, 3)
    changed = np.asarray(layer(IMAGES, training=True))
    assert changed.shape == IMAGES.shape
    assert not np.allclose(changed, IMAGES)
    assert changed.min() >= -1e-3 and changed.max() <= 255.001
    np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES)


@pytest.mark.parametrize("name", registry.AUGMENTATIONS)
def test_the_same_seed_draws_the_same(name):
    keras.utils.set_random_seed(0)
    a = registry.AUGMENTATIONS.build(name, 3)(IMAGES, training=True)
    keras.utils.set_random_seed(1)
    b = registry.AUGMENTATIONS.build(name, 3)(IMAGES, training=True)
    np.testing.assert_array_equal(a, b)


def test_quarter_turns_draws_all_four_turns_and_no_other():
    layer = registry.AUGMENTATIONS.build("quarter_turns", 0)
    image = IMAGES[:1]
    got = np.asarray(layer(np.repeat(image, 200, 0), training=True))
    turns = [np.rot90(image[0], k) for k in range(4)]
    counts = [sum(np.array_equal(g, t) for g in got) for t in turns]
    assert sum(counts) == 200
    assert min(counts) > 25  # 50 expected, 4 standard deviations
    with pytest.raises(ValueError, match="needs square images"):
        layer(IMAGES[:, :6], training=True)
