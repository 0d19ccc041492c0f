"""Regularizers, insertions, mixing, adversarial training and resizing in a run."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tlkit
from tlkit import registry
from tlkit.errors import UserError
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Adversarial, Component
from tlkit.tasks.classification import Classification
from tlkit.train.regularize import Regularization, regularize_stage
from tlkit.train.step import Objective, Step, make_loss, mixed_weights

RNG = np.random.default_rng(0)
NONE = Regularization([], [], [], lambda: None)


def network():
    """Four inputs, three classes, dropout-free."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])


def objective(loss="cross_entropy", regularization=NONE, adversarial=None, weights=(1.0, 1, 1)):
    made = make_loss(Component(loss, {}), np.array([5, 3, 2]))
    return Objective(
        Classification(list("abc")), made, np.array(weights, "float32"), regularization, adversarial
    )


def one_step(model, goal, x, y, augment=()):
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    before = [np.array(v) for v in model.trainable_variables]
    step = Step(model, goal, augment, optimizer, model.trainable_variables)
    loss, right, *_ = step(tf.constant(x), tf.constant(y)).numpy()
    gradients = [b - np.asarray(v) for b, v in zip(before, model.trainable_variables, strict=True)]
    return float(loss), float(right), before, gradients


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


X = RNG.uniform(0, 2, (6, 4)).astype("float32")
IDS = np.array([0, 1, 2, 0, 1, 2], np.int32)


def test_ids_and_the_same_labels_mixed_ahead_give_the_same_step():
    model = network()
    start = model.get_weights()
    a = one_step(model, objective(), X, IDS)
    model.set_weights(start)
    b = one_step(model, objective(), X, np.eye(3, dtype="float32")[IDS])
    assert a[:2] == b[:2]
    np.testing.assert_array_equal(a[3][0], b[3][0])


def test_soft_labels_are_trained_and_the_larger_share_is_the_right_answer():
    model, soft = network(), RNG.dirichlet([1, 1, 1], 6).astype("float32")
    kernel, bias = model.get_weights()
    loss, right, _, gradients = one_step(model, objective(weights=(1.0, 2.0, 3.0)), X, soft)
    p = softmax(X @ kernel + bias)
    weights = soft @ [1.0, 2, 3]
    assert loss == pytest.approx(float((-(soft * np.log(p)).sum(1) * weights).mean()), rel=1e-5)
    assert right == (p.argmax(1) == soft.argmax(1)).sum()
    expected = X.T @ ((p - soft) * weights[:, None]) / 6
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-4, atol=1e-5)


def test_l2_sp_adds_its_gradient_and_max_norm_limits_after_the_step():
    model = network()
    kernel = model.trainable_variables[0]
    start = {kernel.path: np.zeros((4, 3), "float32")}
    items = [
        Component("l2_sp", {"alpha": 0.5, "beta": 0.1, "include": [], "exclude": []}),
        Component("max_norm", {"value": 0.7, "include": [], "exclude": []}),
    ]
    plain = one_step(model, objective(), X, IDS)
    model.set_weights(plain[2])
    done = regularize_stage(items, model.trainable_variables, start, 0, {})
    try:
        loss, _, before, _ = one_step(model, objective(regularization=done), X, IDS)
    finally:
        done.take_off()
    assert loss - plain[0] == pytest.approx(0.25 * (before[0] ** 2).sum(), rel=1e-4)
    stepped = before[0] - plain[3][0] - 0.5 * before[0]
    limited = stepped * np.minimum(1, 0.7 / np.linalg.norm(stepped, axis=0))
    np.testing.assert_allclose(kernel, limited, rtol=1e-3, atol=1e-5)
    assert kernel.regularizer is None and kernel.constraint is None


def test_mixout_replaces_weights_inside_the_step_alone():
    model = network()
    kernel = model.trainable_variables[0]
    start = {kernel.path: np.full((4, 3), 9.0, "float32")}
    item = Component("mixout", {"rate": 0.5, "include": [], "exclude": []})
    done = regularize_stage([item], model.trainable_variables, start, 1, {})
    before = np.array(kernel)
    with mixed_weights(done, model):
        inside = np.asarray(keras.ops.convert_to_tensor(kernel))
    back = np.isclose(inside, (9 - 0.5 * 9) / 0.5)
    assert 0 < back.sum() < 12
    np.testing.assert_allclose(inside[~back], (before[~back] - 4.5) / 0.5, rtol=1e-5)
    np.testing.assert_array_equal(kernel, before)
    _, _, _, gradients = one_step(model, objective(regularization=done), X, IDS)
    assert (gradients[0] == 0).any()  # entries that were swapped back do not learn
    assert (gradients[0] != 0).any()


def test_what_layers_update_inside_a_mixed_step_is_kept():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    kernel = model.layers[0].kernel
    item = Component("mixout", {"rate": 0.5, "include": [], "exclude": []})
    start = {kernel.path: np.zeros((4, 3), "float32")}
    done = regularize_stage([item], model.trainable_variables, start, 1, {})
    mean = np.array(model.layers[1].moving_mean)
    one_step(model, objective(regularization=done), X, IDS)
    assert np.abs(np.asarray(model.layers[1].moving_mean) - mean).max() > 1e-4


def test_adversarial_training_weighs_the_clean_and_the_moved_loss():
    model = network()
    kernel, bias = model.get_weights()
    attack = Component("fgsm", {"epsilon": 0.2})
    goal = objective(adversarial=Adversarial(attack=attack, on="features", weight=0.25))
    loss, *_ = one_step(model, goal, X, IDS)
    one_hot = np.eye(3)[IDS]

    def mean_loss(x):
        return -(one_hot * np.log(softmax(x @ kernel + bias))).sum(1).mean()

    slope = (softmax(X @ kernel + bias) - one_hot) @ kernel.T
    moved = X + 0.2 * np.sign(slope)
    assert loss == pytest.approx(0.75 * mean_loss(X) + 0.25 * mean_loss(moved), rel=1e-4)
    assert mean_loss(moved) > mean_loss(X)


@pytest.mark.parametrize("level", [0.0, 50.0])
@pytest.mark.parametrize("attack", ["fgsm", "fgm", "pgd"])
def test_an_attack_under_flooding_is_one_on_the_loss_inside(level, attack):
    """Above the level and below it, where the flooded loss falls as the wrapped one rises."""
    model = network()
    kernel, bias = model.get_weights()
    arguments = {"epsilon": 0.2, **({"step": 0.2, "steps": 1} if attack == "pgd" else {})}
    adversarial = Adversarial(attack=Component(attack, arguments), on="features", weight=0.25)
    flooded = make_loss(
        Component("flooding", {"loss": {"cross_entropy": {}}, "level": level}), np.array([5, 3, 2])
    )
    goal = Objective(Classification(list("abc")), flooded, np.ones(3, "float32"), NONE, adversarial)
    loss, *_ = one_step(model, goal, X, IDS)
    one_hot = np.eye(3)[IDS]

    def flood(x):
        value = -(one_hot * np.log(softmax(x @ kernel + bias))).sum(1).mean()
        return abs(value - level) + level

    slope = (softmax(X @ kernel + bias) - one_hot) @ kernel.T
    step = (
        slope / np.linalg.norm(slope, axis=1, keepdims=True) if attack == "fgm" else np.sign(slope)
    )
    moved = X + 0.2 * step
    assert loss == pytest.approx(0.75 * flood(X) + 0.25 * flood(moved), rel=1e-4)


def rows(folder):
    return list(csv.DictReader((folder / "metrics.csv").open()))


@pytest.mark.parametrize("augment_on", ["device", "pipeline"])
def test_mixing_trains_with_either_place_of_augmentation(recipe, tmp_path, augment_on):
    recipe["augment"] = ["flip", "pca_color", {"mix_up": {"alpha": 1.0}}, "cut_mix"]
    recipe["augment_on"] = augment_on
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 2}]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    logs = rows(run.folder)
    assert all(np.isfinite(float(row["loss"])) for row in logs)
    assert (run.folder / "plots" / "train_images.png").exists()


def test_augmentation_in_the_pipeline_draws_by_place_not_by_history(recipe):
    from tlkit.train.pipeline_augment import augmented

    images = RNG.uniform(0, 255, (6, 4, 8, 8, 3)).astype("uint8")
    given = [(image, np.zeros(4, np.int32)) for image in images]

    def run(first, epoch=0):
        layer = registry.AUGMENTATIONS.make("brightness", {"seed": 1}, factor=0.5)
        return [
            np.asarray(x)
            for x, _ in augmented(
                given[first:], [layer], Classification(["a", "b"]), (7, epoch, first)
            )
        ]

    whole, rest = run(0), run(3)
    np.testing.assert_array_equal(whole[3:], rest)
    assert not np.allclose(whole[0] - images[0], whole[1] - images[1], atol=1)
    assert not np.allclose(run(0, epoch=1)[0], whole[0])


def test_preprocessing_is_fitted_on_training_images_and_served(recipe, tmp_path):
    recipe["preprocess"] = [{"power": 0.8}, "standardize"]
    recipe["export"] = ["saved_model"]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    from tlkit.data.dataset import load_dataset

    data = load_dataset(load_recipe(recipe).data, (32, 32))
    pixels = 255 * (np.asarray(data.train.pixels) / 255.0) ** 0.8
    model = keras.models.load_model(run.folder / "model.keras", compile=False)
    step = next(x for x in model.layers if isinstance(x, keras.layers.Normalization))
    np.testing.assert_allclose(np.ravel(step.mean), pixels.mean((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(np.ravel(step.variance), pixels.var((0, 1, 2)), rtol=1e-2)
    assert run.result["export"]["saved_model"]["parity"]["largest_difference"] < 1e-4


def test_inserted_layers_train_and_leave_a_model_that_keras_loads_alone(recipe, tmp_path):
    recipe["model"]["insert"] = [{"stochastic_depth": 0.2}, {"weight_standardization": {}},
                                 {"drop_connect": {"rate": 0.3}}]  # fmt: skip
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 1},
                                    {"policy": "full", "epochs": 1}]  # fmt: skip
    recipe["export"] = ["saved_model"]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    config = (run.folder / "model.keras").read_bytes()
    assert b"tlkit>" not in config
    model = keras.models.load_model(run.folder / "model.keras", compile=False)
    names = [layer.name for layer in model.layers]
    assert "head_logits" in names
    assert run.result["export"]["saved_model"]["parity"]["largest_difference"] < 1e-4


def test_stages_may_have_image_sizes_of_their_own_and_are_resumed_exactly(recipe, tmp_path):
    recipe["data"]["image_size"] = 40
    recipe["regularize"] = ["l2_sp"]
    recipe["model"]["weights"] = "bundled"
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 1, "image_size": 32},
        {"policy": "full", "epochs": 2, "image_size": 48},
        {"policy": "full", "epochs": 1},
    ]
    whole = tlkit.finetune(recipe, run_dir=tmp_path / "whole")
    assert [s["policy"] for s in whole.result["stages"]] == ["head-only", "full", "full"]
    model = keras.models.load_model(whole.folder / "model.keras", compile=False)
    assert model.input_shape == (None, 40, 40, 3)

    from tlkit.train.interrupt import Interrupted
    from tlkit.train.record import Recorder

    seen = []

    def stop(self, batch, logs=None):
        seen.append(batch)
        if len(seen) == 12:
            raise KeyboardInterrupt

    patch = pytest.MonkeyPatch()
    patch.setattr(Recorder, "on_train_batch_end", stop)
    with pytest.raises(Interrupted):
        tlkit.finetune(recipe, run_dir=tmp_path / "cut")
    patch.undo()
    again = tlkit.resume(tmp_path / "cut")
    other = keras.models.load_model(again.folder / "model.keras", compile=False)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_may_come_after_a_block_by_the_blocks_name(recipe):
    from tlkit.model import build_network

    recipe["model"]["insert"] = [{"residual_shrinkage": {"after": "stage2_block1"}}]
    built = build_network(load_recipe(recipe).model, Classification(["a", "b"]), (32, 32))
    assert [layer.name for layer in built.inserted] == ["inserted_0_residual_shrinkage"]
    assert built.inserted[0].input.shape[-1] == 64
    assert built.inserted[0] in built.head


def problems(recipe, **changes):
    for key, value in changes.items():
        place = recipe
        *path, last = key.split("__")
        for part in path:
            place = place[part]
        place[last] = value
    with pytest.raises(UserError) as error:
        load_recipe(recipe)
    return str(error.value) + " ".join(str(p) for p in getattr(error.value, "problems", []))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"augment": ["mix_up"], "finetune__loss": "hinge"}, "'hinge' cannot take"),
        (
            {"augment": ["cut_mix"], "finetune__loss": {"flooding": {"loss": "hinge"}}},
            "'hinge' cannot take",
        ),
        ({"augment": ["standardize"]}, "belongs under preprocess:"),
        ({"preprocess": ["flip"]}, "belongs under augment:"),
        ({"augment": [{"salt_and_pepper": {"share": 1.5}}]}, "share"),
        ({"model__insert": [{"fractional_max_pooling": {"ratio": 2.0}}]}, "ratio"),
        ({"model__insert": ["drop_connect_conv"]}, "custom models only"),
        ({"model__insert": ["stocastic_depth"]}, "Did you mean 'stochastic_depth'"),
        ({"regularize": [{"l2": {"include": ["("]}}]}, "is not a regular expression"),
        ({"finetune__loss": {"flooding": {"loss": "focl"}}}, "Did you mean 'focal'"),
        ({"finetune__loss": {"focal": {"gamma": -1}}}, "gamma"),
        ({"finetune__adversarial": {"attack": "fgms"}}, "Did you mean"),
        ({"model__backbone": "efficientnet_b0", "preprocess": ["standardize"]}, "scales its"),
        (
            {
                "preprocess": [{"zero_center": {"mean": "image"}}],
                "finetune__stages": [{"policy": "full", "image_size": 48}],
            },
            "works for one size only",
        ),
        ({"finetune__stages": [{"policy": "full", "image_size": 16}]}, "below the minimum"),
        ({"finetune__class_weight": {"effective_number": 1.0}}, "effective_number"),
    ],
)
def test_what_cannot_work_is_found_at_validation(recipe, changes, text):
    assert text in problems(recipe, **changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model__insert": [{"dropout": {"after": "nowhere"}}]}, "no layer 'nowhere'"),
        ({"regularize": [{"l1": {"include": ["nothing"]}}]}, "left without a variable"),
        ({"finetune__class_weight": {"violet": 2.0}}, "'violet' is not a class"),
        ({"finetune__loss": {"focal": {"alpha": [1.0, 2.0]}}}, "alpha"),
        ({"finetune__stages": [{"policy": "head-only", "epochs": 1},
                               {"policy": "full", "epochs": 1, "rate_multipliers": {".": 0.0}}]},
         r"stages\[1\]: full trains nothing"),
        ({"finetune__stages": [{"policy": "head-only", "epochs": 1},
                               {"policy": {"from-layer": "nowhere"}, "epochs": 1}]},
         r"stages\[1\]: the backbone has no layer 'nowhere'"),
    ],
)  # fmt: skip
def test_what_needs_the_network_is_found_before_training(recipe, tmp_path, changes, text):
    for key, value in changes.items():
        place = recipe
        *path, last = key.split("__")
        for part in path:
            place = place[part]
        place[last] = value
    with pytest.raises(UserError, match=text):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"
    assert not (tmp_path / "run" / "checkpoints").exists()  # the first stage has not begun
