"""What every registered layer must do, found in the registries: a new one is covered at once."""

import itertools
import math
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit import registry
from tlkit.registry import ACTIVATIONS, AUGMENTATIONS, LAYERS, PREPROCESSORS

LAYER_KINDS = {"layer": LAYERS, "activation": ACTIVATIONS, "preprocess": PREPROCESSORS}
SIDE, CHANNELS = 12, 6
CONTEXT = {
    "units": 5,
    "filters": 4,
    "kernel_size": 3,
    "groups": 2,
    "seed": 3,
    "image_size": (SIDE, SIDE),
}
# what a layer does at inference, in NumPy; w are its weights in order


def _soft(x, tau):
    return np.sign(x) * np.maximum(np.abs(x) - tau, 0)


def _conv(x, kernel):
    height, width = x.shape[1] - kernel.shape[0] + 1, x.shape[2] - kernel.shape[1] + 1
    out = np.zeros((len(x), height, width, kernel.shape[3]))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            out += x[:, i : i + height, j : j + width] @ kernel[i, j]
    return out


def _same(x):
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _norm(x, gamma, beta, mean, variance):
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def _shrinkage(x, w):
    # weights in the order the block makes them: two norms, two convolutions, the threshold's part
    first, second, kernels, rest = w[0:4], w[4:8], w[8:10], w[10:]
    branch = _conv(_same(np.maximum(_norm(x, *first), 0)), kernels[0])
    branch = _conv(_same(np.maximum(_norm(branch, *second), 0)), kernels[1])
    size = np.abs(branch).mean((1, 2))
    hidden = np.maximum(_norm(size @ rest[0] + rest[1], *rest[2:6]), 0)
    tau = size / (1 + np.exp(-(hidden @ rest[6] + rest[7])))
    return x + _soft(branch, tau[:, None, None])


def _fractional(x, w, ratio=1.414):
    for axis in (1, 2):
        before = x.shape[axis]
        after = int(before / ratio)
        alpha = before / after
        edges = [math.ceil(alpha * (i + 0.5)) - math.ceil(alpha * 0.5) for i in range(after)]
        edges = [*edges, before]
        parts = [
            np.take(x, range(a, min(b + 1, before)), axis).max(axis, keepdims=True)
            for a, b in itertools.pairwise(edges)
        ]
        x = np.concatenate(parts, axis)
    return x


def _lrn(x, w):
    padded = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (2, 2)))
    energy = sum(padded[..., i : i + x.shape[-1]] for i in range(5))
    return x / (2 + 1e-4 * energy) ** 0.75


def _group_norm(x, w, groups=2):
    parts = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    deviation = np.sqrt(parts.var(axes, keepdims=True) + 1e-3)
    return ((parts - parts.mean(axes, keepdims=True)) / deviation).reshape(x.shape) * w[0] + w[1]


def _standardized(x, w):
    kernel, bias, gain = w
    mean, deviation = kernel.mean((0, 1, 2)), kernel.std((0, 1, 2))
    return _conv(x, gain * (kernel - mean) / deviation) + bias


FORMULAS = {
    "fused_batch_normalization": lambda x, w: _norm(x, *w),
    "fused_group_normalization": _group_norm,
    "drop_connect": lambda x, w: x @ w[0] + w[1],
    "drop_connect_conv": lambda x, w: _conv(x, w[0]) + w[1],
    "stochastic_depth": lambda x, w: x,
    "soft_threshold": lambda x, w: _soft(x, w[0]),
    "residual_shrinkage": _shrinkage,
    "fractional_max_pooling": _fractional,
    "local_response_normalization": _lrn,
    "weight_standardization": _standardized,
    "randomized_leaky_relu": lambda x, w: np.where(x > 0, x, x * (1 / 8 + 1 / 3) / 2),
    "zero_center": lambda x, w: x - w[0],
    "min_max": lambda x, w: np.clip(255 * (x - w[0]) / (w[1] - w[0]), 0, 255),
    "log": lambda x, w: 255 * np.log(1 + x) / np.log(256),
    "power": lambda x, w: 255 * np.sqrt(x / 255),
    "arctan": lambda x, w: 127.5 * (1 + np.arctan(2 * (x / 127.5 - 1)) / np.arctan(2)),
    "whiten": lambda x, w: (x / 255 - w[0]) @ w[1],
}
BAD = {
    "drop_connect": {"rate": 1.0},
    "drop_connect_conv": {"rate": -0.1},
    "stochastic_depth": {"rate": 1.5},
    "soft_threshold": {"threshold": -1.0},
    "residual_shrinkage": {"thresholds": "both"},
    "fractional_max_pooling": {"ratio": 2.0},
    "local_response_normalization": {"size": 4},
    "weight_standardization": {"epsilon": 0.0},
    "randomized_leaky_relu": {"lower": 0.5},
    "zero_center": {"mean": "pixel"},
    "min_max": {"tail": 0.5},
    "log": {"strength": 0.0},
    "power": {"exponent": -2.0},
    "arctan": {"slope": 0.0},
    "whiten": {"method": "qr"},
    "hsv_power": {"limit": 0.5},
    "salt_and_pepper": {"share": 1.5},
    "gaussian_noise": {"stddev": -3.0},
    "pca_color": {"strength": -1.0},
}


def every(*kinds, own=False):
    return [
        pytest.param(kind, name, id=name)
        for kind in kinds
        for name, entry in LAYER_KINDS[kind].items()
        if not (own and entry.facts.native)
    ]


ALL, OWN = every(*LAYER_KINDS), every(*LAYER_KINDS, own=True)


def images(kind, batch=4, side=SIDE, width=None):
    rng = np.random.default_rng(0)
    shape = (batch, side, width or side, CHANNELS if kind != "preprocess" else 3)
    if kind == "preprocess":
        return rng.uniform(5, 250, shape).astype("float32")
    return rng.normal(0, 2, shape).astype("float32")


def make(kind, name, **arguments):
    """The layer with weights that are not trivial."""
    layer = LAYER_KINDS[kind].make(name, CONTEXT, **arguments)
    x = images(kind)
    if hasattr(layer, "adapt"):
        layer.adapt(x if isinstance(layer, keras.layers.Normalization) else [x])
    layer(x)
    rng = np.random.default_rng(1)
    for v in layer.trainable_variables:
        v.assign(v + rng.normal(0, 0.2, v.shape))
    return layer


@pytest.mark.parametrize(("kind", "name"), OWN)
def test_at_inference_it_is_its_formula(kind, name):
    layer, x = make(kind, name), images(kind)
    weights = [np.asarray(v, "float64") for v in layer.weights]
    got = np.asarray(layer(x, training=False))
    np.testing.assert_allclose(got, FORMULAS[name](x.astype("float64"), weights), 2e-4, 2e-4)


@pytest.mark.parametrize(("kind", "name"), OWN)
def test_its_gradient_is_the_slope_of_its_values(kind, name):
    layer, x = make(kind, name), images(kind)
    rng = np.random.default_rng(2)
    weight = rng.normal(size=layer(x).shape).astype("float32")

    def value(at):
        return float(tf.reduce_sum(tf.cast(layer(at), tf.float64) * weight.astype("float64")))

    scale = 1.0 if kind == "preprocess" else 0.02
    direction = rng.normal(size=x.shape).astype("float32")
    gradient = np.asarray(tape_gradient(layer, x, weight))
    slope = float((gradient * direction).sum())
    h = scale * 0.05
    difference = (value(x + h * direction) - value(x - h * direction)) / (2 * h)
    # kinks of thresholds and maxima lie between the two points for a few values
    assert abs(slope - difference) < 0.05 * np.linalg.norm(gradient)


def tape_gradient(layer, x, weight):
    with tf.GradientTape() as tape:
        at = tf.constant(x)
        tape.watch(at)
        total = tf.reduce_sum(layer(at) * weight)
    return tape.gradient(total, at)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_inference_is_the_same_every_time_and_training_is_finite(kind, name):
    layer, x = make(kind, name), images(kind)
    first = np.asarray(layer(x, training=False))
    np.testing.assert_array_equal(first, layer(x, training=False))
    trained = np.asarray(layer(x, training=True))
    assert trained.shape == first.shape == tuple(layer.compute_output_shape(x.shape))
    assert np.isfinite(trained).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_mixed_precision_gives_nearly_the_same(kind, name, policy):
    exact = make(kind, name)
    keras.config.set_dtype_policy(policy)
    try:
        layer = make(kind, name)
    finally:
        keras.config.set_dtype_policy("float32")
    if layer.compute_dtype == "float32":
        pytest.fail("the policy was not taken")
    for new, old in zip(layer.variables, exact.variables, strict=True):
        new.assign(old)
    x = images(kind)
    got, expected = layer(x), np.asarray(exact(x))
    assert got.dtype == policy.removeprefix("mixed_")
    error = np.abs(np.asarray(got, "float32") - expected).max()
    assert error < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_one_image_and_odd_sides(kind, name):
    x = images(kind, 1, 7, 5)
    layer = LAYER_KINDS[kind].make(name, CONTEXT)
    if hasattr(layer, "adapt"):
        layer.adapt(x if isinstance(layer, keras.layers.Normalization) else [x])
    for training in (False, True):
        assert np.isfinite(np.asarray(layer(x, training=training))).all()


LOAD = """
import sys, pathlib, numpy as np
blocked = sys.argv[2:]
for name in blocked:
    sys.modules[name] = None
import tensorflow as tf
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    arrays = np.load(folder / "arrays.npz")
    if blocked:
        loaded = tf.saved_model.load(str(folder / "saved"))
        got = loaded.serve(arrays["x"]).numpy()
    else:
        import keras, tlkit
        got = np.asarray(keras.models.load_model(folder / "model.keras")(arrays["x"]))
    print(folder.name, np.abs(got - arrays["y"]).max(), flush=True)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Largest difference after loading elsewhere, by way of saving and name."""
    root = tmp_path_factory.mktemp("saved")
    for kind, things in LAYER_KINDS.items():
        for name in things:
            layer, x = make(kind, name), images(kind)
            inputs = keras.Input(x.shape[1:])
            model = keras.Model(inputs, layer(inputs))
            folder = root / name
            folder.mkdir()
            np.savez(folder / "arrays.npz", x=x, y=np.asarray(model(x, training=False)))
            model.save(folder / "model.keras")
            model.export(folder / "saved", verbose=False)
    found = {}
    for way, blocked in (("keras", []), ("saved_model", ["keras", "tlkit"])):
        done = subprocess.run(
            [sys.executable, "-c", LOAD, str(root), *blocked],
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=pathlib.Path(__file__).parent.parent,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        for line in done.stdout.splitlines():
            name, difference = line.split()
            found[way, name] = float(difference)
    return found


@pytest.mark.parametrize("way", ["keras", "saved_model"])
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_saved_it_gives_the_same_in_a_new_process(kind, name, way, saved):
    assert saved[way, name] <= 1e-4 * (255 if kind == "preprocess" else 1)


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_repeated_in_the_error(name):
    things = next(t for t in (*LAYER_KINDS.values(), AUGMENTATIONS) if name in t)
    ((_, value),) = BAD[name].items()
    with pytest.raises(ValueError, match=f".*{value!r}"):
        things.make(name, CONTEXT, **BAD[name])


def test_every_own_technique_has_its_formula_and_its_bad_argument():
    own = {n for t in LAYER_KINDS.values() for n, e in t.items() if not e.facts.native}
    assert own == set(FORMULAS)
    augmentations = {n for n, e in AUGMENTATIONS.items() if not e.facts.native and e.given}
    takes = {
        n for n in own | augmentations
        for t in (*LAYER_KINDS.values(), AUGMENTATIONS)
        if n in t and t[n].arguments.model_fields
    }  # fmt: skip
    assert takes == set(BAD)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        (name, entry.facts.native)
        for things in registry.REGISTRIES
        for name, entry in things.items()
        if entry.facts.native
    ],
)
def test_native_names_what_keras_has(name, where):
    thing = keras
    for part in where.split(".")[1:]:
        thing = getattr(thing, part)
    assert callable(thing)


def test_importing_the_layers_needs_keras_and_little_else():
    # Keras imports matplotlib by itself where that is installed
    code = (
        "import sys, keras; before = set(sys.modules);"
        "import tlkit.layers as l; [getattr(l, n) for n in dir(l)];"
        "print([m for m in ('click', 'pydantic', 'tensorflow_datasets', 'matplotlib') "
        "if m in set(sys.modules) - before], 'pydantic' in sys.modules, 'click' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False False"
