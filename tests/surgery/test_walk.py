import keras
import numpy as np

from tlkit.surgery.walk import walk

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 16, 16, 3)).astype("float32")


def network():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    inner_in = keras.Input((16, 16, 4))
    other_in = keras.Input((16, 16, 4))
    inner_out = keras.layers.BatchNormalization(name="norm")(inner_in)
    inner = keras.Model([inner_in, other_in], [inner_out + other_in, other_in])
    y, _ = inner([x, x])
    x = keras.layers.Add()([x, keras.layers.Dropout(0.5, name="drop")(y)])
    x = keras.ops.concatenate([x, y * 2.0], -1)
    head = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    return keras.Model(inputs, head(x))


def test_it_gives_what_the_model_gives():
    model = network()
    got = walk(model, [IMAGES[:4], IMAGES[4:]])
    np.testing.assert_allclose(np.concatenate(got), model(IMAGES, training=False), atol=1e-6)


def test_layers_are_seen_in_order_with_all_batches_and_may_be_changed():
    model = network()
    seen = []

    def before(layer, inputs):
        seen.append(layer.name)
        assert [len(batch) for batch in inputs] == [4, 2]
        if layer.name == "norm":
            layer.gamma.assign(np.zeros(4))

    expected = network()
    got = walk(model, [IMAGES[:4], IMAGES[4:]], before)
    assert seen.index("first") < seen.index("norm") < seen.index("drop")
    expected.set_weights(model.get_weights())
    np.testing.assert_allclose(np.concatenate(got), expected(IMAGES), atol=1e-6)
