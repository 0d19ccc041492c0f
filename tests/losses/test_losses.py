"""Every loss against its formula, with ids, one-hot and soft labels."""

import keras
import numpy as np
import pytest
import sklearn.metrics
import sklearn.utils
import tensorflow as tf

from tlkit import losses, registry
from tlkit.losses.class_weights import effective_number, inverse_frequency

RNG = np.random.default_rng(0)
CLASSES = 4
LOGITS = RNG.normal(0, 3, (7, CLASSES)).astype("float32")
IDS = RNG.integers(0, CLASSES, 7)
SOFT = RNG.dirichlet(np.ones(CLASSES), 7).astype("float32")
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
COUNTS = np.array([100, 10, 5, 1])


def log_softmax(z):
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def hinge(y, z):
    rivals = np.array([max(np.delete(row, k)) for row, k in zip(z, y.argmax(1), strict=True)])
    return np.maximum(0, 1 + np.maximum(0, rivals) - (y * z).sum(1))


# those of numbers: tests/tasks/regression; those of several labels: test_multi_label.py
OTHERS = ("regression", "multi-label")
OF_CLASSES = [n for n in registry.LOSSES if registry.LOSSES[n].facts.tasks not in OTHERS]
FORMULAS = {
    "cross_entropy": lambda y, z: -(y * log_softmax(z)).sum(1),
    "focal": lambda y, z: -(y * (1 - np.exp(log_softmax(z))) ** 2 * log_softmax(z)).sum(1),
    "logit_adjustment": lambda y, z: -(y * log_softmax(z + np.log(COUNTS / COUNTS.sum()))).sum(1),
    "flooding": lambda y, z: abs(-(y * log_softmax(z)).sum(1).mean() - 0.05) + 0.05,
    "hinge": hinge,
}


def make(name, **arguments):
    return registry.LOSSES.make(name, {"class_counts": COUNTS}, **arguments)


def test_every_loss_has_its_formula_here():
    assert set(FORMULAS) == set(OF_CLASSES)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_it_is_its_formula_for_one_hot_and_soft_labels(name):
    for labels in (ONE_HOT, SOFT):
        if labels is SOFT and registry.LOSSES[name].facts.soft_labels is False:
            continue
        expected = np.mean(FORMULAS[name](labels.astype("float64"), LOGITS.astype("float64")))
        np.testing.assert_allclose(make(name)(labels, LOGITS), expected, rtol=1e-5)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_class_ids_give_the_same_as_one_hot_labels(name):
    expected = make(name)(ONE_HOT, LOGITS)
    for ids in (IDS, IDS[:, None], IDS.astype("float32")):
        np.testing.assert_allclose(make(name)(ids, LOGITS), expected, rtol=1e-6)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_its_gradient_is_the_slope_of_its_values(name):
    loss, direction, h = make(name), RNG.normal(size=LOGITS.shape), 1e-3
    with tf.GradientTape() as tape:
        at = tf.constant(LOGITS)
        tape.watch(at)
        value = loss(ONE_HOT, at)
    slope = (np.asarray(tape.gradient(value, at)) * direction).sum()
    ahead, behind = (np.mean(FORMULAS[name](ONE_HOT, LOGITS + s * h * direction)) for s in (1, -1))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_sample_weights_and_saving(name):
    loss, weights = make(name), np.linspace(0.2, 2, 7).astype("float32")
    each = FORMULAS[name](ONE_HOT, LOGITS) if name != "flooding" else None
    if each is not None:
        got = loss(ONE_HOT, LOGITS, sample_weight=weights)
        np.testing.assert_allclose(got, (each * weights).mean(), rtol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_allclose(again(ONE_HOT, LOGITS), loss(ONE_HOT, LOGITS), rtol=1e-6)


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("kind", ["ids", "one-hot", "soft"])
def test_plain_fit_shows_the_accuracy_of_the_most_probable_class(name, kind):
    if kind == "soft" and registry.LOSSES[name].facts.soft_labels is False:
        pytest.skip("has no meaning for soft labels")
    labels = {"ids": IDS, "one-hot": ONE_HOT, "soft": SOFT}[kind]
    best = labels if kind == "ids" else labels.argmax(1)
    model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Activation("linear")])
    model.compile(loss=make(name), metrics=["accuracy"])
    found = model.evaluate(LOGITS, labels, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx((LOGITS.argmax(1) == best).mean())


def test_focal_at_gamma_0_is_cross_entropy_and_at_2_keras_own():
    exact = keras.losses.CategoricalCrossentropy(from_logits=True)(ONE_HOT, LOGITS)
    np.testing.assert_allclose(losses.Focal(gamma=0.0)(IDS, LOGITS), exact, rtol=1e-6)
    small = LOGITS / 4  # Keras clips probabilities near 0 and 1
    own = keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0, from_logits=True)
    np.testing.assert_allclose(
        losses.Focal(gamma=2.0, alpha=0.25)(IDS, small), own(ONE_HOT, small), rtol=1e-5
    )


def test_focal_weighs_classes_by_alpha():
    alpha = [1.0, 2.0, 3.0, 4.0]
    each = FORMULAS["focal"](ONE_HOT, LOGITS) * np.array(alpha)[IDS]
    np.testing.assert_allclose(losses.Focal(alpha=alpha)(IDS, LOGITS), each.mean(), rtol=1e-5)
    with pytest.raises(ValueError, match="alpha has 2 values for 4 classes"):
        losses.Focal(alpha=[1.0, 2.0])(IDS, LOGITS)


@pytest.mark.parametrize("loss", ["focal", "logit_adjustment"])
def test_label_smoothing_spreads_the_target(loss):
    smooth = ONE_HOT * 0.8 + 0.2 / CLASSES
    got = make(loss, label_smoothing=0.2)(IDS, LOGITS)
    np.testing.assert_allclose(got, FORMULAS[loss](smooth, LOGITS).mean(), rtol=1e-5)


def test_flooding_turns_the_gradient_round_below_its_level():
    high, low = losses.Flooding(level=0.01), losses.Flooding(level=50.0)
    gradients = []
    for loss in (high, low, make("cross_entropy")):
        with tf.GradientTape() as tape:
            at = tf.constant(LOGITS)
            tape.watch(at)
            value = loss(ONE_HOT, at)
        gradients.append(np.asarray(tape.gradient(value, at)))
    above, below, plain = gradients
    np.testing.assert_allclose(above, plain, rtol=1e-6)
    np.testing.assert_allclose(below, -plain, rtol=1e-6)


def test_logit_adjustment_with_like_counts_is_cross_entropy():
    got = losses.LogitAdjusted([5, 5, 5, 5])(IDS, LOGITS)
    np.testing.assert_allclose(got, make("cross_entropy")(ONE_HOT, LOGITS), rtol=1e-6)


def test_effective_number_follows_the_paper():
    # Cui et al. 2019: E_n = (1 - beta^n) / (1 - beta), weights 1 / E_n scaled to sum to K
    numbers = np.array([(1 - 0.9**n) / (1 - 0.9) for n in COUNTS])
    expected = (1 / numbers) / (1 / numbers).sum() * 4
    np.testing.assert_allclose(effective_number(COUNTS, 0.9), expected, rtol=1e-6)
    np.testing.assert_allclose(effective_number(COUNTS, 0.0), 1.0)
    inverse = inverse_frequency(COUNTS)
    np.testing.assert_allclose(inverse * COUNTS, inverse[0] * 100, rtol=1e-6)
    assert (inverse * COUNTS).sum() / COUNTS.sum() == pytest.approx(1.0)
    near = effective_number(COUNTS, 1 - 1e-9)
    np.testing.assert_allclose(near / near.sum(), inverse / inverse.sum(), rtol=1e-3)
    with pytest.raises(ValueError, match=r"1\.0"):
        effective_number(COUNTS, 1.0)


@pytest.mark.parametrize(
    ("make_bad", "text"),
    [
        (lambda: losses.Focal(gamma=-1.0), "-1.0"),
        (lambda: losses.Focal(label_smoothing=1.0), "1.0"),
        (lambda: losses.LogitAdjusted([3, 0]), "0.0"),
        (lambda: losses.LogitAdjusted([3, 1], tau=-2.0), "-2.0"),
        (lambda: losses.Flooding(level=-0.5), "-0.5"),
        (lambda: losses.Flooding(loss=losses.Focal(reduction="none")), "none"),
        (lambda: losses.Focal()(np.zeros((7, 3)), LOGITS), r"\(7, 3\)"),
        (lambda: losses.Focal(gamma=float("nan")), "nan"),
        (lambda: losses.Focal(alpha=[1.0, -2.0]), "-2.0"),
        (lambda: losses.cross_entropy(label_smoothing=1.5), "1.5"),
        (lambda: losses.LogitAdjusted([[3, 1]]), r"\[\[3.0, 1.0\]\]"),
        (lambda: losses.Flooding(reduction="sum"), "sum"),
        (lambda: losses.Flooding(loss="categorical_crossentropi"), "categorical_crossentropi"),
        (lambda: losses.Flooding(loss=None), "None"),
        (lambda: losses.Flooding(loss="logit_adjustment"), "class_counts"),
        (lambda: inverse_frequency([0, 0]), "0.0, 0.0"),
        (lambda: inverse_frequency([[3, 1]]), "3.0, 1.0"),
        (lambda: effective_number([3, -1]), "-1.0"),
    ],
)
def test_bad_arguments_are_repeated_in_the_error(make_bad, text):
    with pytest.raises(ValueError, match=text):
        make_bad()


def every_way(call):
    """The same in eager mode, in a graph and compiled by XLA."""
    return [call, tf.function(call), tf.function(call, jit_compile=True)]


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("bad", [[0, 4], [0, -1], [0, 1.5]], ids=str)
def test_ids_that_no_class_has_are_refused_and_never_cost_nothing(name, bad):
    logits, loss = LOGITS[:2], make(name)
    with pytest.raises(ValueError, match=rf"0 to 3.*got {bad[1]:g}"):
        loss(np.array(bad), logits)
    if bad[1] == 1.5:
        return
    # in a graph as Keras: an error on a CPU, NaN elsewhere
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    signature = [tf.TensorSpec([None], "int64"), tf.TensorSpec([None, 4], "float32")]
    for options in ({}, {"jit_compile": True}):
        for one in (own, loss):
            compiled = tf.function(one, input_signature=signature, **options)
            try:
                assert np.isnan(compiled(np.array(bad), logits))
            except tf.errors.InvalidArgumentError as error:
                assert not options and str(bad[1]) in str(error)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_one_output_is_refused_with_what_is_expected(name):
    for labels in (np.zeros(3), np.zeros((3, 1))):
        with pytest.raises(ValueError, match=r"two or more classes.*\(3, 1\).*BinaryCrossentropy"):
            make(name)(labels, np.zeros((3, 1), "float32"))


@pytest.mark.parametrize("name", OF_CLASSES)
def test_other_numbers_of_labels_than_predictions_never_broadcast(name):
    for labels in (np.zeros(1, int), np.zeros((1, CLASSES)), np.zeros((7, CLASSES, 1))):
        with pytest.raises(ValueError, match=r"labels must be ids \(batch\)"):
            make(name)(labels, LOGITS)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (losses.Focal(alpha=[2.0]), "alpha has 1 values for 4 classes"),
        (losses.Focal(alpha=np.ones(3)), "alpha has 3 values for 4 classes"),
        (losses.LogitAdjusted([7]), "class_counts has 1 values for 4 classes"),
        (losses.LogitAdjusted([7, 1, 1]), "class_counts has 3 values for 4 classes"),
    ],
)
def test_counts_and_factors_of_another_length_never_broadcast(loss, text):
    for call in (loss, tf.function(loss)):
        with pytest.raises(ValueError, match=text):
            call(IDS, tf.constant(LOGITS))


@pytest.mark.parametrize("name", [n for n in OF_CLASSES if n != "hinge"])
def test_outputs_of_a_softmax_are_told_and_their_logits_taken_where_keras_takes_them(name):
    loss, expected = make(name), make(name)(IDS, LOGITS)
    shares = tf.nn.softmax(LOGITS).numpy()
    with pytest.warns(UserWarning, match="outputs of a softmax"):
        loss(IDS, shares)
    for compiled in (False, True):
        call = lambda z: loss(tf.constant(IDS), keras.activations.softmax(z))  # noqa: E731
        with pytest.warns(UserWarning, match="outputs of a softmax"):
            got = tf.function(call)(tf.constant(LOGITS)) if compiled else call(tf.constant(LOGITS))
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Softmax()])
    model.compile("sgd", loss)
    with pytest.warns(UserWarning, match="outputs of a softmax"):
        got = model.evaluate(LOGITS, IDS, verbose=0)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_probabilities_are_taken_where_they_are_announced():
    shares = tf.nn.softmax(LOGITS).numpy()
    for kind, given in ((losses.Focal, {}), (losses.LogitAdjusted, {"class_counts": COUNTS}),
                        (losses.cross_entropy, {})):  # fmt: skip
        exact = kind(**given)(ONE_HOT, LOGITS)
        loss = kind(**given, from_logits=False)
        np.testing.assert_allclose(loss(IDS, shares), exact, rtol=1e-4)
        assert loss.get_config()["from_logits"] is False
    own = keras.losses.CategoricalCrossentropy()
    zero = np.array([[1.0, 0, 0, 0]], "float32")
    for label in ([[0.0, 1, 0, 0]], [[1.0, 0, 0, 0]]):
        got = losses.cross_entropy(from_logits=False)(np.array(label), zero)
        np.testing.assert_allclose(got, own(np.array(label), zero), rtol=1e-4, atol=5e-7)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_masked_classes_and_extreme_logits_give_finite_values_and_gradients(name):
    masked = LOGITS.copy()
    masked[np.arange(7), (IDS + 1) % CLASSES] = -np.inf
    certain = (ONE_HOT * 2e4 - 1e4).astype("float32")
    for logits in (masked, certain, -certain, LOGITS * 0):
        for call in every_way(make(name)):
            with tf.GradientTape() as tape:
                at = tf.constant(logits)
                tape.watch(at)
                value = call(tf.constant(ONE_HOT), at)
            assert np.isfinite(value) and np.isfinite(tape.gradient(value, at)).all()
    # the others' probabilities are those without the masked class
    for row, label in zip(masked, IDS, strict=True):
        kept = np.isfinite(row)
        if name == "cross_entropy":
            got = make(name)(np.array([label]), row[None])
            place = int(kept[:label].sum())
            small = keras.losses.CategoricalCrossentropy(from_logits=True)
            expected = small(np.eye(3)[[place]], row[kept][None])
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_with_sample_weight", "none", None])
@pytest.mark.parametrize("name", [n for n in OF_CLASSES if n != "flooding"])
def test_reductions_weights_and_masks_are_those_of_keras(name, reduction):
    kinds = {"focal": losses.Focal, "logit_adjustment": losses.LogitAdjusted,
             "hinge": losses.hinge, "cross_entropy": losses.cross_entropy}  # fmt: skip
    given = {"class_counts": COUNTS} if name == "logit_adjustment" else {}
    loss = kinds[name](**given, reduction=reduction)
    each = FORMULAS[name](ONE_HOT, LOGITS.astype("float64"))
    own = keras.losses.MeanAbsoluteError(reduction=reduction)
    weights = np.linspace(0.2, 2, 7).astype("float32")
    for weight in (None, weights, weights[:, None], 0.5):
        # whatever reduces: the same of each image's number
        expected = own(each[:, None], np.zeros((7, 1)), sample_weight=weight)
        np.testing.assert_allclose(loss(IDS, LOGITS, sample_weight=weight), expected, rtol=1e-5)
    predictions, other = tf.constant(LOGITS), tf.zeros((7, 1))
    for tensor in (predictions, other):
        tensor._keras_mask = tf.constant(np.arange(7) < 5)
    np.testing.assert_allclose(loss(IDS, predictions), own(each[:, None], other), rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in OF_CLASSES if n != "flooding"])
def test_a_label_for_each_place_of_a_map(name):
    rng = np.random.default_rng(3)
    ids, logits = rng.integers(0, CLASSES, (2, 3, 5)), rng.normal(size=(2, 3, 5, CLASSES))
    expected = np.mean(FORMULAS[name](np.eye(CLASSES)[ids.ravel()], logits.reshape(-1, CLASSES)))
    for labels in (ids, ids[..., None], np.eye(CLASSES)[ids]):
        np.testing.assert_allclose(make(name)(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_large_ids_stay_themselves_in_half_precision(dtype):
    logits = np.zeros((2, 3000), "float32")
    logits[0, 2999] = logits[1, 2998] = 6.0
    expected = make("cross_entropy")(np.array([2999, 2998]), logits)
    got = losses.cross_entropy(dtype=dtype)(np.array([2999, 2998]), logits)
    np.testing.assert_allclose(tf.cast(got, "float32"), expected, rtol=1e-2)
    assert got.dtype == dtype


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_it_trains_in_fit_is_saved_and_goes_on(name, policy, tmp_path):
    if policy != "float32" and name not in ("cross_entropy", "focal"):
        pytest.skip("the types are the business of what they share")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(CLASSES, dtype=policy)])
    model.compile(keras.optimizers.SGD(0.5), make(name))
    x = np.random.default_rng(0).normal(size=(7, 5)).astype("float32")
    first, last = model.fit(x, IDS, epochs=6, verbose=0).history["loss"][::5]
    assert last < first
    model.save(tmp_path / "x.keras")
    again = keras.models.load_model(tmp_path / "x.keras")
    assert again.loss.get_config() == model.loss.get_config()
    assert again.evaluate(x, IDS, verbose=0) == pytest.approx(model.evaluate(x, IDS, verbose=0))


@pytest.mark.parametrize("loss", [
    "categorical_crossentropy", "mse", "MeanSquaredError", keras.losses.mean_squared_error,
    keras.losses.MeanSquaredError, keras.losses.CategoricalCrossentropy(from_logits=True),
    keras.losses.serialize(keras.losses.KLDivergence()), "focal", losses.Focal(gamma=1.0),
    keras.saving.serialize_keras_object(losses.Focal(gamma=1.0)),
], ids=[
    "keras name", "short name", "class name", "function", "class", "loss", "configuration",
    "name", "own loss", "own configuration",
])  # fmt: skip
def test_flooding_takes_all_that_keras_calls_a_loss_and_is_saved(loss):
    shares = tf.nn.softmax(LOGITS).numpy()
    inner = losses.Focal(**{} if loss == "focal" else {"gamma": 1.0})
    if not (loss == "focal" or isinstance(loss, losses.Focal) or "Focal" in str(loss)):
        inner = keras.losses.get(loss)
    expected = np.mean(inner(tf.constant(SOFT), tf.constant(shares)))
    flooded = losses.Flooding(loss=loss, level=0.3)
    expected = abs(expected - 0.3) + 0.3
    np.testing.assert_allclose(flooded(SOFT, shares), expected, rtol=1e-5)
    again = losses.Flooding.from_config(flooded.get_config())
    np.testing.assert_allclose(again(SOFT, shares), expected, rtol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(flooded))
    np.testing.assert_allclose(again(SOFT, shares), expected, rtol=1e-5)


def test_flooding_by_a_function_does_not_broadcast_a_column_over_a_row():
    y, z = np.arange(3.0), np.arange(3.0)[:, None]
    np.testing.assert_allclose(losses.Flooding(loss="mse", level=0.0)(y, z), 0.0)


def test_the_losses_are_those_of_keras_at_special_arguments():
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(IDS, LOGITS)
    for loss in (losses.cross_entropy(), losses.Focal(gamma=0.0), losses.Flooding(level=0.0),
                 losses.LogitAdjusted([3, 3, 3, 3]), losses.LogitAdjusted(COUNTS, tau=0.0)):  # fmt: skip
        np.testing.assert_allclose(loss(IDS, LOGITS), sparse, rtol=1e-6)
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    got = losses.cross_entropy(label_smoothing=0.1)(IDS, LOGITS)
    np.testing.assert_allclose(got, smooth(ONE_HOT, LOGITS), rtol=1e-6)
    own = keras.losses.CategoricalHinge()(ONE_HOT, LOGITS)
    np.testing.assert_allclose(losses.hinge()(IDS, LOGITS), own, rtol=1e-6)


def test_scikit_learn_finds_the_same():
    shares = tf.nn.softmax(LOGITS.astype("float64")).numpy()
    exact = sklearn.metrics.log_loss(IDS, shares, labels=range(CLASSES))
    np.testing.assert_allclose(losses.cross_entropy()(IDS, LOGITS), exact, rtol=1e-5)
    images = np.repeat(np.arange(4), COUNTS)
    balanced = sklearn.utils.compute_class_weight("balanced", classes=np.arange(4), y=images)
    np.testing.assert_allclose(inverse_frequency(COUNTS), balanced, rtol=1e-6)
