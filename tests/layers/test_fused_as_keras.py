"""BatchNorm and GroupNorm as Keras tests its own, asked of Keras's layers and of the fused ones.

Keras's test files come with none of its packages; these ask the same, in other words, and
go on to where a fast path may differ: types, ranks, axes, XLA, empty batches, large means.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.layers import FusedBatchNormalization, FusedGroupNormalization
from tlkit.surgery.fuse import can_fuse, fuse_in_place

BATCH = [keras.layers.BatchNormalization, FusedBatchNormalization]
GROUP = [keras.layers.GroupNormalization, FusedGroupNormalization]
IDS = ["keras", "fused"]
POLICIES = ["float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"]
# of the policy's numbers, for values around 1
GRAIN = {"float32": 1e-5, "float64": 1e-12, "float16": 4e-3, "bfloat16": 4e-2}
both_batch = pytest.mark.parametrize("kind", BATCH, ids=IDS)
both_group = pytest.mark.parametrize("kind", GROUP, ids=IDS)


def numbers(shape, mean=0.0, deviation=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, deviation, shape)


def normalized(x, axes, epsilon=1e-3):
    x = np.asarray(x, "float64")
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def group_normalized(x, groups, axis=-1, epsilon=1e-3):
    x = np.moveaxis(np.asarray(x, "float64"), axis, -1)
    parts = x.reshape(*x.shape[:-1], groups, -1)
    y = normalized(parts, (*range(1, parts.ndim - 2), parts.ndim - 1), epsilon)
    return np.moveaxis(y.reshape(x.shape), -1, axis)


def run(layer, way, x, weights, **call):
    """Output, gradients of the input and the weights, moving statistics."""
    values = [v.value for v in layer.trainable_variables]

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch([x, *values])
            y = layer(x, **call)
            total = tf.reduce_sum(tf.cast(y, x.dtype) * tf.cast(weights, x.dtype))
        return y, tape.gradient(total, [x, *values])

    signature = [tf.TensorSpec([None] * (x.ndim - 1) + [x.shape[-1]], x.dtype)]
    step = {
        "eager": step,
        "graph": tf.function(step, autograph=False, input_signature=signature),
        "xla": tf.function(step, autograph=False, jit_compile=True),
    }[way]
    y, gradients = step(tf.constant(x))
    return y, gradients, [np.array(v.value) for v in layer.non_trainable_variables]


def pair(kinds, shape, groups=None, **options):
    """Keras's layer and the fused one with the same weights, which are not trivial."""
    if groups is not None:
        options["groups"] = groups
    layers = [kind(**options) for kind in kinds]
    for layer in layers:
        layer.build(shape)
        for i, v in enumerate(layer.weights):
            v.assign(np.random.default_rng(i).uniform(0.5, 2, v.shape))
    return layers


def alike(a, b, grain, scale=1.0):
    a, b = (np.asarray(tf.cast(v, tf.float64)) for v in (a, b))
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=20 * grain, atol=grain * scale)


WAYS = ["eager", "graph", "xla"]
# compiling by XLA takes its time: there, one policy of each kind
OF_TYPES = [
    (policy, way)
    for policy in POLICIES
    for way in WAYS
    if way != "xla" or policy in ("float32", "float16", "float64", "mixed_bfloat16")
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("policy", "way"), OF_TYPES)
def test_batch_norm_of_every_type_is_that_of_keras(policy, training, way):
    if way == "xla" and not training:
        way = "graph"
    x = numbers((4, 5, 6, 8), 3, 2).astype("float32")
    weights = numbers(x.shape, seed=1).astype("float32")
    layers = pair(BATCH, x.shape, dtype=policy)
    plain, fused = (run(layer, way, x, weights, training=training) for layer in layers)
    assert fused[0].dtype == plain[0].dtype == layers[0].compute_dtype
    grain = GRAIN[layers[0].compute_dtype]
    grain = max(grain, GRAIN["float32"])  # the inputs
    alike(plain[0], fused[0], grain)
    for a, b in zip(plain[1], fused[1], strict=True):
        assert a.dtype == b.dtype
        alike(a, b, 2 * grain, max(1, np.abs(tf.cast(a, tf.float32)).max()))
    for a, b in zip(plain[2], fused[2], strict=True):
        assert a.dtype == b.dtype
        alike(a, b, GRAIN[layers[0].variable_dtype], 4)


@pytest.mark.parametrize(("policy", "way"), OF_TYPES)
def test_group_norm_of_every_type_is_that_of_keras(policy, way):
    x = numbers((4, 5, 6, 8), 3, 2).astype("float32")
    weights = numbers(x.shape, seed=1).astype("float32")
    layers = pair(GROUP, x.shape, groups=2, dtype=policy)
    plain, fused = (run(layer, way, x, weights) for layer in layers)
    assert fused[0].dtype == plain[0].dtype == layers[0].compute_dtype
    grain = max(GRAIN[layers[0].compute_dtype], GRAIN["float32"])
    alike(plain[0], fused[0], grain)
    for a, b in zip(plain[1], fused[1], strict=True):
        assert a.dtype == b.dtype
        alike(a, b, 2 * grain, max(1, np.abs(tf.cast(a, tf.float32)).max()))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
@pytest.mark.parametrize("kinds", [BATCH, GROUP], ids=["batch", "group"])
def test_inputs_of_another_type_than_the_policys(kinds, dtype):
    x = (numbers((4, 5, 6, 8)) * 10).astype(dtype)
    plain, fused = pair(kinds, x.shape, groups=2 if kinds is GROUP else None)
    call = {"training": True} if kinds is BATCH else {}
    got = fused(x, **call)
    assert got.dtype == "float32"
    # Keras's GroupNorm makes whole numbers of its outputs where its inputs are
    alike(got, plain(x.astype("float32"), **call), 5e-5)


SHAPES = [
    (6, 8),
    (6, 5, 8),
    (6, 5, 4, 8),
    (3, 5, 4, 3, 8),
    (1, 5, 4, 8),
    (1, 1, 1, 8),
    (6, 1, 1, 8),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_of_every_shape_and_axis_is_that_of_keras(shape, axis, way):
    if (way == "graph" and axis == 1) or (way == "xla" and shape not in SHAPES[1:5:2]):
        pytest.skip("the axis must be known; two shapes are enough for the compiler")
    x = numbers(shape, 3, 2).astype("float32")
    plain, fused = (
        run(layer, way, x, numbers(shape, seed=1), training=True)
        for layer in pair(BATCH, shape, axis=axis, momentum=0.6, epsilon=1e-2)
    )
    alike(plain[0], fused[0], 2e-5)
    for a, b in zip(plain[1] + plain[2], fused[1] + fused[2], strict=True):
        alike(a, b, 2e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("shape", [s for s in SHAPES if s[1] != 1], ids=str)
def test_group_norm_of_every_shape_and_axis_is_that_of_keras(shape, axis, way):
    if (way == "graph" and axis == 1) or (way == "xla" and shape not in SHAPES[1:5:2]):
        pytest.skip("the axis must be known; two shapes are enough for the compiler")
    x = numbers(shape, 3, 2).astype("float32")
    groups = 2 if axis == -1 or len(shape) == 2 else shape[1]
    plain, fused = (
        run(layer, way, x, numbers(shape, seed=1))
        for layer in pair(GROUP, shape, groups=groups, axis=axis, epsilon=1e-2)
    )
    alike(plain[0], fused[0], 2e-5)
    for a, b in zip(plain[1], fused[1], strict=True):
        alike(a, b, 5e-4)


@both_batch
@pytest.mark.parametrize("epsilon", [1e-8, 1e-5, 0.1, 10.0])
def test_the_epsilon_of_batch_norm_is_the_one_given(kind, epsilon):
    # older versions of TensorFlow's own function raised it to 1.001e-5
    x = numbers((6, 5, 4, 3), 0, 1e-3).astype("float32")
    got = kind(epsilon=epsilon)(x, training=True)
    np.testing.assert_allclose(got, normalized(x, (0, 1, 2), epsilon), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kinds", [BATCH, GROUP], ids=["batch", "group"])
@pytest.mark.parametrize("shape", [(0, 5, 6, 8), (0, 6, 8), (0, 8), (3, 0, 6, 8)], ids=str)
def test_an_empty_batch_gives_an_empty_output_and_changes_nothing(kinds, shape, way):
    if shape == (3, 0, 6, 8) and kinds is GROUP:
        pytest.skip("images without a place have no mean of their own")
    x, built = np.zeros(shape, "float32"), (None, *([4] * (len(shape) - 2)), 8)
    fused = pair(kinds, built, groups=2 if kinds is GROUP else None)[1]
    before = [np.array(v) for v in fused.weights]
    call = {"training": True} if kinds is BATCH else {}
    y, gradients, _ = run(fused, way, x, x, **call)
    assert y.shape == x.shape
    for a, b in zip(before, fused.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for gradient in gradients:
        assert gradient is None or not np.any(np.nan_to_num(gradient, nan=1.0))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ratio", [330.0, 3300.0, 1e5])
@pytest.mark.parametrize("kinds", [BATCH, GROUP], ids=["batch", "group"])
def test_far_from_zero_the_error_is_no_larger_than_that_of_keras(kinds, ratio, way):
    x = (numbers((8, 12, 12, 4)) + ratio).astype("float32")
    weights = numbers(x.shape, seed=1).astype("float32")
    options = {"epsilon": 1e-5, "momentum": 0.0} if kinds is BATCH else {"epsilon": 1e-5}
    layers = [kind(**options) if kinds is BATCH else kind(2, **options) for kind in kinds]
    exact = [
        kinds[0](dtype="float64", **options)
        if kinds is BATCH
        else kinds[0](2, dtype="float64", **options)
    ]
    call = {"training": True} if kinds is BATCH else {}
    results = []
    for layer in (*exact, *layers):
        layer.build(x.shape)
        given = x.astype("float64") if layer is exact[0] else x
        results.append(
            run(layer, way if layer is not exact[0] else "eager", given, weights, **call)
        )

    def error(result, part):
        pairs = zip(result[part], results[0][part], strict=True)
        return max(np.abs(np.asarray(a, "float64") - b).max() for a, b in pairs)

    results = [([y], gradients, statistics) for y, gradients, statistics in results]
    for part, floor in ((0, 1e-5), (1, 1e-3), (2, 1e-5)):
        if results[0][part]:
            assert error(results[2], part) <= 1.5 * error(results[1], part) + floor * max(
                1, ratio / 1e3
            )
    assert np.isfinite(results[2][0][0]).all()


def test_group_norm_of_numbers_whose_squares_overflow_is_that_of_keras():
    x = (numbers((2, 5, 5, 4)) * 1e25).astype("float32")
    plain, fused = pair(GROUP, x.shape, groups=2)
    np.testing.assert_array_equal(plain(x), fused(x))


@both_batch
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_batch_norm_scales_a_batch_to_mean_0_and_deviation_1(kind, policy):
    layer = kind(momentum=0.8, dtype=policy)
    x = numbers((200, 4, 4, 3), 5, 10).astype("float32")
    y = np.asarray(layer(x, training=True), "float64")
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-3)
    # seen often enough, the moving statistics do the same
    for _ in range(40):
        layer(x, training=True)
    y = np.asarray(layer(x, training=False), "float64")
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-2)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-2)


@both_batch
def test_the_moving_statistics_follow_the_momentum(kind):
    layer = kind(momentum=0.7)
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(3):
        x = numbers((6, 4, 4, 3), seed, 2, seed).astype("float32")
        layer(x, training=True)
        mean = 0.7 * mean + 0.3 * x.mean((0, 1, 2))
        variance = 0.7 * variance + 0.3 * x.var((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)


@both_batch
def test_not_trainable_batch_norm_uses_its_moving_statistics(kind):
    layer, x = kind(), numbers((6, 4, 4, 3), 5, 2).astype("float32")
    layer.trainable = False
    got = layer(x, training=True)
    np.testing.assert_allclose(got, x / np.sqrt(1.001), rtol=1e-4)
    np.testing.assert_array_equal(layer.moving_mean, 0)
    layer.trainable = True
    layer(x, training=True)
    assert np.abs(layer.moving_mean).min() > 0


@both_batch
def test_weights_that_batch_norm_has(kind):
    for center in (True, False):
        for scale in (True, False):
            layer = kind(center=center, scale=scale)
            layer.build((None, 4, 4, 3))
            assert len(layer.trainable_weights) == center + scale
            assert len(layer.non_trainable_weights) == 2
    layer = kind(beta_regularizer="l2", gamma_regularizer="l2", gamma_constraint="non_neg")
    layer(numbers((2, 4, 4, 3)))
    assert len(layer.losses) == 2
    assert layer.gamma.constraint is not None


@both_batch
def test_a_mask_leaves_places_out_of_the_batchs_statistics(kind):
    x = numbers((4, 6, 5, 3), 2).astype("float32")
    mask = np.ones((4, 6, 5), bool)
    mask[:, 4:] = False
    x[:, 4:] = 1e3
    layer = kind(momentum=0.0)
    got = layer(x, training=True, mask=mask)
    np.testing.assert_allclose(got[:, :4], normalized(x[:, :4], (0, 1, 2)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.moving_mean, x[:, :4].mean((0, 1, 2)), rtol=1e-3)
    nothing = layer(x, training=True, mask=np.zeros_like(mask))
    assert np.isfinite(nothing).all()
    with pytest.raises(ValueError, match="one dimension less"):
        layer(x, training=True, mask=mask[..., None])


@both_batch
def test_batch_norm_takes_the_mask_of_an_earlier_layer(kind):
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Masking(), kind()])
    x = numbers((4, 6, 3), 2).astype("float32")
    x[:, 4:] = 0
    got = model(x, training=True)[:, :4]
    np.testing.assert_allclose(got, normalized(x[:, :4], (0, 1)), rtol=1e-3, atol=1e-3)


@both_batch
def test_renorm_uses_its_own_statistics(kind):
    layer = kind(renorm=True, renorm_clipping={"rmax": 3.0, "rmin": 0.3, "dmax": 5.0})
    x = numbers((6, 4, 4, 3), 0, 1).astype("float32")
    layer(x, training=True)
    assert len(layer.non_trainable_weights) == 5
    assert np.abs(layer.renorm_mean).max() > 0
    before = [np.array(v) for v in layer.weights]
    if kind is FusedBatchNormalization:
        layer(x[:0], training=True)
        for a, b in zip(before, layer.weights, strict=True):
            np.testing.assert_array_equal(a, b)


@both_batch
def test_training_may_be_a_tensor_or_an_array_in_eager_mode(kind):
    x = numbers((6, 4, 4, 3), 5, 2).astype("float32")
    for value in (tf.constant(True), np.bool_(True), 1):
        layer = kind()
        layer(x, training=value)
        assert np.abs(layer.moving_mean).min() > 0


@both_batch
@pytest.mark.parametrize("compiled", [False, True])
def test_batch_norm_trains_in_fit_where_sides_are_unknown(kind, compiled):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = kind(momentum=0.5)(keras.layers.Conv2D(4, 1)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling2D()(x)))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=compiled)
    images = numbers((8, 6, 6, 3)).astype("float32")
    first, last = model.fit(images, np.ones(8), epochs=8, verbose=0).history["loss"][::7]
    assert last < first
    assert np.abs(model.layers[2].moving_mean).max() > 0


@both_group
@pytest.mark.parametrize(("shape", "axis", "groups"), [
    ((4, 8), -1, 2), ((4, 5, 8), -1, 4), ((4, 5, 6, 8), -1, 8), ((4, 8, 5, 6), 1, 2),
    ((4, 5, 8, 6), 2, 2), ((2, 3, 4, 5, 8), -1, 1),
])  # fmt: skip
def test_group_norm_is_its_formula(kind, shape, axis, groups):
    x = numbers(shape, 2, 3).astype("float32")
    got = kind(groups, axis=axis)(x)
    np.testing.assert_allclose(got, group_normalized(x, groups, axis), rtol=1e-3, atol=1e-4)


@both_group
def test_a_group_for_each_channel_is_instance_norm(kind):
    x = numbers((3, 5, 6, 4), 10, 200).astype("float32")
    layer = kind(groups=-1, epsilon=1e-5)
    got = layer(x)
    assert layer.groups == 4
    np.testing.assert_allclose(got, normalized(x, (1, 2), 1e-5), rtol=1e-3, atol=1e-4)


@both_group
def test_weights_and_bad_groups_of_group_norm(kind):
    for center in (True, False):
        for scale in (True, False):
            layer = kind(2, center=center, scale=scale)
            layer.build((None, 5, 4))
            assert len(layer.trainable_weights) == center + scale
    for groups in (0, -2, 1.5):
        with pytest.raises(ValueError, match="groups"):
            kind(groups)
    for groups in (3, 8):
        with pytest.raises(ValueError, match="groups"):
            kind(groups).build((None, 5, 4))
    with pytest.raises(ValueError, match="Axis"):
        kind(2).build((None, 5, None))


@pytest.mark.parametrize("kind", BATCH + GROUP)
def test_a_layer_is_made_again_from_its_configuration_and_its_file(kind, tmp_path):
    options = {"axis": -1, "epsilon": 1e-4, "gamma_initializer": "zeros", "dtype": "mixed_bfloat16"}
    layer = kind(2, **{**options, "axis": -1}) if kind in GROUP else kind(**options)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    inputs = keras.Input((4, 4, 6))
    model = keras.Model(inputs, layer(inputs))
    x = numbers((2, 4, 4, 6)).astype("float32")
    model.save(tmp_path / "x.keras")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    assert type(loaded.layers[-1]) is type(layer)
    for copy in (loaded, keras.models.clone_model(model)):
        np.testing.assert_array_equal(tf.cast(copy(x), tf.float32), tf.cast(model(x), tf.float32))


def test_arguments_by_position_are_those_of_keras():
    for kinds in (BATCH, GROUP):
        given = (1, 0.9, 1e-2) if kinds is BATCH else (2, 1, 1e-2)
        plain, fused = (kind(*given, name="x") for kind in kinds)
        assert plain.get_config() == fused.get_config()


@pytest.mark.parametrize(("policy", "way"), OF_TYPES)
def test_a_layer_fused_in_place_gives_what_it_gave(policy, way):
    x = numbers((4, 5, 6, 8), 3, 2).astype("float32")
    for kind, call in ((BATCH[0], {"training": True}), (GROUP[0], {})):
        kinds = [kind, kind]
        layers = pair(kinds, x.shape, groups=2 if kind in GROUP else None, dtype=policy)
        assert can_fuse(layers[1])
        fuse_in_place(layers[1], frozen=False)
        plain, fused = (run(layer, way, x, x, **call) for layer in layers)
        alike(plain[0], fused[0], max(GRAIN[layers[0].compute_dtype], 1e-5))
        for a, b in zip(plain[2], fused[2], strict=True):
            alike(a, b, GRAIN[layers[0].variable_dtype], 4)
