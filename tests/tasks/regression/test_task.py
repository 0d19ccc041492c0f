"""Regression as a task: figures against scikit-learn, and the same answers wherever they are made."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import wilcoxon
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tlkit import registry
from tlkit.data.record import Record, SourceData
from tlkit.errors import DataError, UserError
from tlkit.features.lbfgs import solve_head
from tlkit.features.probe import linear_probe
from tlkit.recipe.schema import Recipe
from tlkit.tasks.classification import Classification
from tlkit.tasks.find import find_task, make_task, read_task, task_facts
from tlkit.tasks.fit import settled
from tlkit.tasks.link import IDENTITY
from tlkit.tasks.regression import Regression

RNG = np.random.default_rng(0)
LABELS = RNG.normal(size=(60, 2)) * [30.0, 0.1] + [100.0, -3.0]
TASK = Regression(["cm", "kg"], LABELS.mean(0).tolist(), LABELS.std(0).tolist())
LOGITS = ((LABELS - LABELS.mean(0)) / LABELS.std(0) + 0.4 * RNG.normal(size=LABELS.shape)).astype(
    "float32"
)


def record(name, *labels, line=2):
    return Record(name, "|".join(labels), None, lambda: b"", labels, f"list.csv:{line}")


def source(*labels, columns=("angle",)):
    records = [
        record(f"{k}.png", *((text,) if isinstance(text, str) else text), line=k + 2)
        for k, text in enumerate(labels)
    ]
    return SourceData(records, columns=columns)


def learned(*labels, columns=("angle",)):
    data = source(*labels, columns=columns)
    return Regression.learn(data.records, data)


def test_it_comes_back_from_json():
    assert read_task(task_facts(TASK)) == TASK
    assert make_task("regression", ["a"]).settings == {"mean": [0.0], "deviation": [1.0]}


def test_what_is_learned_is_standardised_and_answered_in_its_own_units():
    found = learned("1.5", "2", "-3.25")
    np.testing.assert_array_equal(found.labels, [[1.5], [2], [-3.25]])
    targets = np.asarray(found.task.targets(found.labels))
    np.testing.assert_allclose(targets.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(targets.std(0), 1, atol=1e-6)
    np.testing.assert_allclose(found.task.answers(targets), found.labels, rtol=1e-6)
    np.testing.assert_array_equal(found.task.targets(targets), targets)  # they are targets already


def test_answers_are_those_of_the_layer_and_of_exports():
    layer = TASK.activation()
    assert layer.name == TASK.served[0].name == "values"
    np.testing.assert_allclose(TASK.answers(LOGITS), layer(LOGITS), rtol=1e-5)
    exported = TASK.answer_tensors(tf.constant(LOGITS))
    assert list(exported) == list(TASK.answer_arrays(LOGITS)) == ["values"]
    np.testing.assert_allclose(exported["values"], TASK.answers(LOGITS), rtol=1e-5)


def test_figures_are_those_of_scikit_learn():
    answers = TASK.answers(LOGITS)
    found = TASK.evaluate(answers, LABELS)
    assert found["r2"] == pytest.approx(r2_score(LABELS, answers), rel=1e-6)
    for k, row in enumerate(found["per_output"]):
        true, guess = LABELS[:, k], answers[:, k]
        assert row["mae"] == pytest.approx(mean_absolute_error(true, guess))
        assert row["rmse"] == pytest.approx(root_mean_squared_error(true, guess))
        assert row["r2"] == pytest.approx(r2_score(true, guess))
    low, high = found["intervals"]["r2"]
    assert low < found["r2"] < high
    assert "mae" not in found  # of numbers in different units
    measured = TASK.measure(LOGITS, LABELS)
    assert measured["r2"] == pytest.approx(found["r2"], rel=1e-5)
    assert measured["loss"] == pytest.approx(found["loss"], rel=1e-5)


def test_the_metric_of_all_training_images_adds_up_to_r2():
    total = sum(
        float(TASK.score(tf.constant(LOGITS[part]), TASK.targets(LABELS[part])))
        for part in (slice(0, 7), slice(7, 8), slice(8, 60))
    )
    assert total / 60 == pytest.approx(TASK.measure(LOGITS, LABELS)["r2"], rel=1e-4)


def test_images_without_a_known_number_are_left_out():
    labels = LABELS.copy()
    labels[:50] = TASK.unknown(50)
    found = TASK.evaluate(TASK.answers(LOGITS), labels)
    assert found["images"] == 10
    assert TASK.evaluate(TASK.answers(LOGITS), TASK.unknown(60)) == {"images": 0}
    assert TASK.summary({"images": 0}) is None
    labels[50:] = 0.1
    assert TASK.evaluate(TASK.answers(LOGITS), labels)["r2"] is None  # there is no variance
    assert TASK.agreement(LABELS, LABELS, TASK.unknown(60), 1e-3).metric is None


def test_agreement_counts_in_standard_deviations():
    moved = LABELS + np.array([0.0, 0.0005])  # of a deviation of about 0.1
    found = TASK.agreement(moved, LABELS, LABELS, 1e-3)
    assert found.difference == pytest.approx(0.0005 / TASK.deviation[1], rel=1e-6)
    assert not found.same
    assert found.share == 1.0
    assert TASK.agreement(LABELS, LABELS, LABELS, 1e-3).same


def test_ridge_is_solved_to_the_optimum_that_scikit_learn_finds():
    x = RNG.normal(size=(60, 7)) * 3 + 1
    y = np.asarray(TASK.targets(LABELS), "float64")
    weights = RNG.uniform(0.5, 2, 60)
    found = solve_head(x, y, 0.05, weights, link=IDENTITY)
    # of the loss: 1 / (n K) sum w (y - f)^2 + l2 / 2 |W|^2
    other = Ridge(alpha=0.05 * 60 * 2 / 2).fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(found.kernel, other.coef_.T, rtol=1e-8)
    np.testing.assert_allclose(found.bias, other.intercept_, rtol=1e-8)
    assert found.gradient < 1e-10


def test_a_probe_is_a_cross_validated_ridge():
    x = RNG.normal(size=(60, 3))
    labels = x @ RNG.normal(size=(3, 1)) * 5 + 20 + 0.1 * RNG.normal(size=(60, 1))
    task = Regression(["cm"], labels.mean(0).tolist(), labels.std(0).tolist())
    found = linear_probe(task, x, labels)
    assert 0.98 < found.value < 1
    assert task.odd_probe(np.zeros((60, 1)), labels).kind == "labels"


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (registry.LOSSES.build("mean_squared_error"), lambda d: (d**2).mean()),
        (registry.LOSSES.build("mean_absolute_error"), lambda d: np.abs(d).mean()),
        (
            registry.LOSSES.build("huber", delta=0.5),
            lambda d: np.where(np.abs(d) < 0.5, d**2 / 2, 0.5 * (np.abs(d) - 0.25)).mean(),
        ),
    ],
)
def test_losses_are_their_formulas(loss, formula):
    targets = np.asarray(TASK.targets(LABELS))
    assert float(loss(targets, LOGITS)) == pytest.approx(formula(targets - LOGITS), rel=1e-5)
    assert TASK.odd_loss(loss) is None


def test_a_loss_of_something_else_is_odd():
    assert TASK.odd_loss(lambda y, f: tf.reduce_mean(tf.square(y - tf.sigmoid(f)))).kind == "loss"


def test_outputs_weigh_apart():
    weights = TASK.weights({"kg": 3.0}, LABELS)
    targets = TASK.targets(LABELS[:4])
    found = TASK.image_weights(targets, weights)
    np.testing.assert_array_equal(found, np.tile([1, 3], (4, 1)))
    assert TASK.image_weights(targets, TASK.weights("none", LABELS)).shape == (4,)
    with pytest.raises(UserError, match="Did you mean 'kg'"):
        TASK.weights({"kgs": 3.0}, LABELS)
    with pytest.raises(UserError, match="no classes to balance"):
        TASK.weights("balanced", LABELS)


@pytest.mark.parametrize("text", ["abc", "", "nan", "inf", "1_5", "٣"])
def test_what_is_no_number_is_told_by_its_line(text):
    with pytest.raises(DataError, match=r"^list\.csv:3: .* in 'angle' is not a number"):
        learned("1.5", text, "2")


def test_several_are_told_together():
    with pytest.raises(DataError, match=r"2 numbers.*\n    line 2: 'x'.*\n    line 4: 'y'") as told:
        learned("x", "2", "y", "4", "5")
    assert "list.csv" in str(told.value)
    with pytest.raises(DataError, match="task: classification"):
        learned("cat", "dog", "cat")
    with pytest.raises(DataError, match="Write numbers with a point"):
        learned("3,5", "2", "4")


def test_a_number_that_never_changes_and_folders_are_refused():
    with pytest.raises(DataError, match="same value for all images"):
        learned("0.1", "0.10", "0.1")  # whose mean is another number
    folders = [Record("a/1.png", "a", None, lambda: b"")]
    with pytest.raises(DataError, match=r"regression learns numbers.*\n?.*manifest"):
        Regression.learn(folders, SourceData(folders))
    flags = SourceData([record("a", "cat")], flags=("cat", "dog"))
    with pytest.raises(DataError, match=r"columns of 0 and 1 .* are classes"):
        Regression.learn(flags.records, flags)
    with pytest.raises(DataError, match="1 values for 2 columns"):
        learned(("1", "2"), "3", columns=("x", "y"))


def test_data_are_known_for_what_they_are():
    measured = [f"{value:.2f}" for value in RNG.normal(size=20)]
    assert find_task(source(*measured)) is Regression
    assert find_task(source(*(str(k) for k in range(20)))) is Classification  # counted, or named
    assert find_task(source(*["1.5", "2.5"] * 10)) is Classification  # two kinds
    assert find_task(source(*measured[:5])) is Classification
    assert find_task(source(*measured, "cat")) is Classification
    assert find_task(SourceData([Record("a", "1.5", None, lambda: b"")] * 20)) is Classification


def test_labels_far_from_what_their_images_say_are_doubted():
    labels = LABELS[:, :1]
    task = Regression(["cm"], labels.mean(0).tolist(), labels.std(0).tolist())
    wrong = labels.copy()
    wrong[[3, 17]] += 200
    found = task.doubts(LOGITS[:, :1], wrong)
    assert set(found.order[:2]) == {3, 17}
    assert found.suspect[[3, 17]].all()
    assert found.suspect.sum() <= 4


def test_slipped_points_are_found():
    data = source(*[f"{value:.1f}" for value in RNG.normal(size=40) * 2 + 50], "5020")
    (found,) = Regression.audit(data.records, ["train"] * 41)
    assert found.images == ("40.png",)
    assert "has 5020" in found.text


def test_sorted_numbers_and_copies_are_odd():
    hashes = [str(k) for k in range(60)]
    found = Regression(["cm"]).odd_order(np.sort(LABELS[:, :1], 0))
    assert [one.kind for one in found] == ["order"]
    assert Regression(["cm"]).odd_order(LABELS[:, :1]) == []
    assert Regression(["cm"]).odd_copies(LABELS[:, :1], hashes) == []
    twice = Regression(["cm"]).odd_copies(LABELS[:, :1], ["0", *hashes[:-1]])
    assert [one.kind for one in twice] == ["copies"]


def test_two_runs_are_compared_by_their_errors(tmp_path):
    better, worse = LABELS + 0.01 * RNG.normal(size=LABELS.shape), TASK.answers(LOGITS)
    judged = []
    for answers in (better, worse):
        names = [f"{k}.png" for k in range(60)]
        labels = ["|".join(map(str, row)) for row in LABELS.tolist()]
        TASK.write_predictions(tmp_path / "p.csv", names, labels, answers)
        with open(tmp_path / "p.csv", newline="") as file:
            judged.append({row["image"]: TASK.judge(row) for row in csv.DictReader(file)})
    errors = np.abs(worse - LABELS).sum(1) - np.abs(better - LABELS).sum(1)
    told = TASK.verdict(*judged, "B")
    assert f"p = {wilcoxon(errors).pvalue:.3g}" in told
    assert "A is better" in told


RECIPE = {
    "task": "regression",
    "data": {"source": {"manifest": "list.csv"}},
    "model": {"backbone": "tiny", "weights": "none"},
    "finetune": {"stages": [{"policy": "head-only"}]},
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"finetune": {"loss": "focal"}}, "'focal' is not for regression; those that are"),
        ({"model": {"head": "nearest-mean"}}, "'nearest-mean' is not for regression"),
        ({"augment": ["cut_mix"]}, "'cut_mix' is not for regression"),
        ({"require": {"accuracy": 0.9}}, "accuracy is not a metric of regression"),
        (
            {"finetune": {"early_stopping": {"monitor": "val_accuracy"}}},
            "val_accuracy is not a metric",
        ),
    ],
)
def test_what_is_for_other_tasks_is_refused(change, told):
    merged = {
        key: {**RECIPE.get(key, {}), **value} if isinstance(value, dict) else value
        for key, value in {**RECIPE, **change}.items()
    }
    if "head" in merged["model"]:
        merged["finetune"] = {"stages": [{"policy": "predict-only"}]}
    with pytest.raises(UserError, match=told):
        settled(Recipe.model_validate(merged), Regression)


def test_its_loss_is_taken_where_a_recipe_names_none():
    assert settled(Recipe.model_validate(RECIPE), Regression).finetune.loss.name == (
        "mean_squared_error"
    )
