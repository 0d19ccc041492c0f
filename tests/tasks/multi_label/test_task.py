"""Several labels an image as a task: figures and optima against scikit-learn and NumPy."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    label_ranking_average_precision_score,
    log_loss,
    precision_recall_fscore_support,
)
from sklearn.utils.class_weight import compute_class_weight

from tlkit.data.record import Record, SourceData
from tlkit.errors import DataError, UserError
from tlkit.features.lbfgs import solve_head
from tlkit.features.probe import linear_probe
from tlkit.losses.class_weights import effective_number
from tlkit.recipe.schema import EffectiveNumber
from tlkit.tasks.classification import Classification
from tlkit.tasks.find import find_task, read_task, task_facts
from tlkit.tasks.link import SIGMOID
from tlkit.tasks.multi_label import MultiLabel
from tlkit.tasks.multi_label.stratify import split_sets, stratified_folds
from tlkit.tasks.multi_label.thresholds import best_thresholds
from tlkit.tasks.regression import Regression

RNG = np.random.default_rng(0)
NAMES = ["cat", "dog", "tree"]
LABELS = (RNG.random((80, 3)) < [0.5, 0.3, 0.1]).astype(np.int8)
LOGITS = (2.0 * LABELS - 1.0 + 1.5 * RNG.normal(size=LABELS.shape)).astype("float32")
TASK = MultiLabel(NAMES, [0.5, 0.3, 0.7])


def source(*sets, columns=(), flags=(), classes=None):
    records = [
        Record(f"{k}.png", "|".join(own), None, lambda: b"", own, f"list.csv:{k + 2}")
        for k, own in enumerate(sets)
    ]
    return SourceData(records, columns=columns, flags=flags, classes=classes)


def learned(*sets, **more):
    data = source(*sets, **more)
    return MultiLabel.learn(data.records, data)


def test_it_comes_back_from_json():
    assert read_task(json.loads(json.dumps(task_facts(TASK)))) == TASK


def test_label_sets_are_learned():
    found = learned(("cat", "dog"), (), ("dog",), ("tree10",), ("tree9", "dog"))
    assert found.task.classes == ["cat", "dog", "tree9", "tree10"]
    np.testing.assert_array_equal(
        found.labels, [[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    )
    assert found.notes == ["1 images have no label"]
    assert learned(("b", "a"), ("a",), flags=("b", "a")).task.classes == ["b", "a"]


@pytest.mark.parametrize(
    ("sets", "more", "said"),
    [
        ([("a",), ("b",)], {}, "each image has one label"),
        ([(), ()], {}, "no image has a label"),
        ([("a", "b"), ("a",)], {"classes": ["a", "b", "c"]}, "no image has the label 'c'"),
        ([("1.5", "2.25"), ("3.5", "0.1")], {"columns": ("x", "y")}, "task: regression"),
    ],
)
def test_what_are_no_label_sets_is_refused(sets, more, said):
    with pytest.raises(DataError, match=said):
        learned(*sets, **more)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (source(*[("a", "b"), ("a",)] * 10), MultiLabel),
        (source(("a", "b"), *[("a",), ("b",)] * 9), MultiLabel),  # 5 %
        (
            source(("a", "b"), *[("a",), ("b",)] * 20),
            Classification,
        ),  # 2 %: a mistake, told by line
        (source(("a",), (), ("b",)), Classification),  # refused there
        (source(*[(f"{k}.5", f"{k}.25") for k in range(40)], columns=("x", "y")), Regression),
        (source(("1", "2"), ("1", "0"), columns=("x", "y")), Classification),
    ],
)
def test_the_task_is_found(data, kind):
    assert find_task(data) is kind


def test_labels_of_other_data_are_those_of_the_model():
    data = source(("dog", "cat"), ("lynx", "dog"))
    with pytest.raises(DataError, match=r"does not know: lynx \(first in list.csv:3\)"):
        TASK.check_labels(data.records, None, "other")
    spelt = {"lynx": "cat"}.get
    found = TASK.labels_of(data.records, lambda name: spelt(name, name))
    np.testing.assert_array_equal(found, [[1, 1, 0], [1, 1, 0]])


def test_figures_are_those_of_scikit_learn():
    answers = TASK.answers(LOGITS)
    np.testing.assert_allclose(answers, expit(LOGITS), rtol=1e-6)
    found = TASK.evaluate(answers, LABELS)
    given = answers >= np.array(TASK.thresholds, np.float32)
    assert found["map"] == pytest.approx(average_precision_score(LABELS, answers))
    assert found["f1_micro"] == pytest.approx(f1_score(LABELS, given, average="micro"))
    assert found["f1_macro"] == pytest.approx(f1_score(LABELS, given, average="macro"))
    assert found["exact"] == pytest.approx((given == LABELS).all(1).mean())
    wide = answers.astype("float64")
    losses = [log_loss(LABELS[:, k], wide[:, k]) for k in range(3)]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    for k, row in enumerate(found["per_class"]):
        precision, recall, f1, _ = precision_recall_fscore_support(
            LABELS[:, k], given[:, k], average="binary"
        )
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(
            (precision, recall, f1)
        )
        assert row["ap"] == pytest.approx(average_precision_score(LABELS[:, k], answers[:, k]))
        low, high = found["intervals"]["map"]
        assert low < found["map"] < high


def test_average_precision_takes_equal_scores_together():
    answers = np.round(TASK.answers(LOGITS), 1).astype("float32")
    found = TASK.evaluate(answers, LABELS)
    assert found["map"] == pytest.approx(average_precision_score(LABELS, answers))


def test_images_without_known_labels_and_labels_without_images_are_left_out():
    answers = TASK.answers(LOGITS)
    labels = LABELS.copy()
    labels[5:] = -1
    labels[:5, 2] = 0
    found = TASK.evaluate(answers, labels)
    assert found["images"] == 5
    assert found["per_class"][2]["ap"] is None
    assert found["map"] == pytest.approx(average_precision_score(labels[:5, :2], answers[:5, :2]))
    assert TASK.evaluate(answers, np.full_like(labels, -1)) == {"images": 0}


def test_the_score_of_a_batch_is_label_ranking_average_precision():
    logits = np.round(LOGITS)  # with equal ones
    some = LABELS.any(1)
    expected = label_ranking_average_precision_score(LABELS[some], logits[some]) * some.sum()
    expected += (~some).sum()  # an image without labels counts 1
    for compiled in (False, True):
        score = tf.function(TASK.score, jit_compile=compiled)
        found = score(tf.constant(logits), TASK.targets(LABELS))
        assert float(found) == pytest.approx(expected, rel=1e-6)
        assert float(score(tf.zeros((1, 3)), tf.constant([[0.0, 1.0, 0.0]]))) == pytest.approx(
            1 / 3
        )


def test_weights_are_those_of_scikit_learn():
    balanced = TASK.weights("balanced", LABELS)
    numbers = TASK.weights(EffectiveNumber(effective_number=0.9), LABELS)
    for k in range(3):
        own = LABELS[:, k]
        expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=own)
        np.testing.assert_allclose(balanced[:, k], expected, rtol=1e-6)
        np.testing.assert_allclose(numbers[:, k], effective_number(np.bincount(own), 0.9))
    named = TASK.weights({"dog": 4.0}, LABELS)
    np.testing.assert_array_equal(named, [[1, 1, 1], [1, 4, 1]])
    with pytest.raises(UserError, match=r"'dgo' is not a label.*dog"):
        TASK.weights({"dgo": 4.0}, LABELS)
    of_images = TASK.image_weights(TASK.targets(LABELS), balanced)
    np.testing.assert_allclose(of_images, np.where(LABELS, balanced[1], balanced[0]))
    everywhere = np.hstack([LABELS, np.ones((80, 1), np.int8)])
    assert (MultiLabel([*NAMES, "all"]).weights("balanced", everywhere)[:, 3] == 1).all()


def test_a_solved_head_is_scikit_learns_of_each_label():
    x = np.hstack([RNG.normal(size=(80, 4)), LOGITS])
    weights = TASK.weights("balanced", LABELS)
    of_images = np.asarray(TASK.image_weights(TASK.targets(LABELS), weights))
    found = solve_head(x, LABELS, 0.02, of_images, link=SIGMOID)
    for k in range(3):
        # of the loss: 1 / (n K) sum w ce + l2 / 2 |W|^2
        other = LogisticRegression(C=1 / (0.02 * 80 * 3), class_weight="balanced", tol=1e-10)
        other.fit(x, LABELS[:, k])
        np.testing.assert_allclose(found.kernel[:, k], other.coef_[0], atol=1e-5)
        np.testing.assert_allclose(found.bias[k], other.intercept_[0], atol=1e-5)


def test_a_probe_beats_chance():
    found = linear_probe(TASK, LOGITS.astype("float64"), LABELS)
    assert 0.6 < found.value < 1
    assert TASK.odd_probe(LOGITS, LABELS) is None
    assert TASK.odd_probe(RNG.normal(size=LOGITS.shape), LABELS).kind == "labels"


def test_thresholds_are_of_the_best_f1():
    p = np.round(RNG.random((60, 3)), 2).astype("float32")
    own = (RNG.random((60, 3)) < p**2).astype(np.int8)
    for k, threshold in enumerate(best_thresholds(p, own)):
        tried = [f1_score(own[:, k], p[:, k] >= t) for t in np.linspace(0.005, 0.995, 199)]
        assert f1_score(own[:, k], p[:, k] >= np.float32(threshold)) == pytest.approx(max(tried))


def test_thresholds_are_a_half_where_that_is_as_good_or_images_are_few():
    own = np.array([[1, 1, 1]] * 3 + [[0, 0, 1]] * 3 + [[0, 1, 1]])
    p = np.array([[0.9, 0.9, 0.9]] * 3 + [[0.1, 0.2, 0.9]] * 3 + [[0.2, 0.4, 0.1]], "float32")
    first, second, third = best_thresholds(p, own)
    assert (first, third) == (0.5, 0.5)
    assert second == pytest.approx(0.3)
    assert best_thresholds(p[:3], own[:3]) == [0.5] * 3


def test_a_split_has_its_share_of_every_label():
    sets = RNG.random((400, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.01]
    hashes = [f"{k:04x}" for k in range(400)]
    hashes[7], sets[7] = hashes[3], sets[3]
    parts = np.array(split_sets(sets, hashes, 0.2, 0.1))
    assert parts[7] == parts[3]
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        here = parts == name
        assert here.sum() == pytest.approx(400 * share, abs=5)
        np.testing.assert_allclose(sets[here].sum(0), sets.sum(0) * share, atol=2)
    other = RNG.permutation(400)
    again = np.array(split_sets(sets[other], [hashes[k] for k in other], 0.2, 0.1))
    np.testing.assert_array_equal(again, parts[other])


def test_a_label_of_two_images_has_one_in_train_and_one_in_val():
    sets = np.zeros((60, 3), bool)
    sets[:, 0] = RNG.random(60) < 0.5
    sets[[4, 9], 1] = True
    sets[[11, 30, 31], 2] = True
    parts = np.array(split_sets(sets, [f"{k}" for k in range(60)], 0.2, 0.0))
    assert set(parts[[4, 9]]) == {"train", "val"}
    assert set(parts[[11, 30, 31]]) == {"train", "val"}


def test_folds_have_their_share_of_every_label():
    sets = RNG.random((100, 4)) < [0.5, 0.3, 0.1, 0.05]
    folds = stratified_folds(sets, 5, 0)
    for k in range(5):
        assert (folds == k).sum() == 20
        np.testing.assert_allclose(sets[folds == k].sum(0), sets.sum(0) / 5, atol=1)


def test_wrong_labels_are_doubted_first():
    labels = LABELS.copy()
    logits = np.where(LABELS > 0, 4.0, -4.0) + 0.2 * RNG.normal(size=LABELS.shape)
    logits[4, 0], logits[9, 2] = 1.5 * logits[4, 0], 1.5 * logits[9, 2]  # of which it is sure
    labels[4, 0] = 1 - labels[4, 0]
    labels[9, 2] = 1 - labels[9, 2]
    found = TASK.doubts(logits, labels)
    assert set(found.order[:2]) == {4, 9}
    assert found.suspect[[4, 9]].all()
    assert found.suspect.sum() <= 4
    has = "cat" if labels[4, 0] else "without cat"
    lacks = "without cat" if labels[4, 0] else "cat"
    assert (found.given[4], found.guess[4]) == (has, lacks)


def test_served_are_probabilities_labels_and_their_names():
    tensors = TASK.answer_tensors(tf.constant(LOGITS))
    arrays = TASK.answer_arrays(TASK.answers(LOGITS))
    given = expit(LOGITS) >= np.array(TASK.thresholds)
    np.testing.assert_allclose(tensors["probabilities"], expit(LOGITS), rtol=1e-5)
    for found in (tensors["chosen"].numpy(), arrays["chosen"]):
        np.testing.assert_array_equal(found, given)
    expected = ["|".join(np.array(NAMES)[row]) for row in given]
    assert [text.decode() for text in tensors["labels"].numpy()] == expected
    assert list(arrays["labels"]) == expected


def test_an_export_may_differ_by_rounding_at_a_threshold_alone():
    answers = np.array([[0.50001, 0.9, 0.1]], "float32")
    labels = np.array([[1, 1, 0]])
    near = TASK.agreement(answers - np.float32(2e-5), answers, labels, 1e-3)
    assert near.same and near.share < 1
    assert not TASK.agreement(answers - np.float32(0.7), answers, labels, 1e-3).same


def test_the_audit_says_what_is_odd_about_labels():
    data = source(*[("a", "x", "y")] * 12, ("x", "y", "a"), ("a", "b"), ("a", "B"), ("a",), ("a",))
    found = {one.kind: one.text for one in MultiLabel.audit(data.records, ["train"] * 17)}
    assert found["always"] == "every image is labelled a"
    assert found["together"] == "labels that always come together: x, y"
    assert "'B', 'b'" in found["classes_alike"]
    assert "b 1" in found["few_images"]
    assert "empty" not in found
    data = source(*[("a", "b")] * 3, *[()] * 4)
    found = {one.kind: one for one in MultiLabel.audit(data.records, ["train"] * 6 + ["val"])}
    assert found["empty"].level == "warning"
    assert found["missing_from_split"].text == "no image of val is labelled a, b"


def test_every_label_is_trained_however_rare():
    rng = np.random.default_rng(0)
    for _ in range(40):
        sets = rng.random((60, 30)) < 1 / np.arange(2, 32)
        sets = sets[:, sets.any(0)]
        parts = np.array(split_sets(sets, [f"{k}" for k in range(60)], 0.2, 0.2))
        assert sets[parts == "train"].any(0).all()


def test_copies_have_the_labels_of_all_of_them():
    sets = np.zeros((20, 2), bool)
    sets[:, 0] = True
    sets[7, 1] = True  # a copy of the first image, which alone has this label
    hashes = [f"{k}" for k in range(20)]
    hashes[7] = hashes[0]
    parts = split_sets(sets, hashes, 0.4, 0.3)
    assert parts[0] == parts[7] == "train"


@pytest.mark.parametrize(
    ("sets", "more", "said"),
    [
        (
            [("0", "2"), ("1", "0")],
            {"columns": ("x", "y")},
            r"list\.csv:2: columns x, y hold numbers, such as 2",
        ),
        ([("a|b", "c"), ("a",)], {}, r"the label 'a\|b' has a \|"),
    ],
)
def test_labels_that_would_be_taken_for_others_are_refused(sets, more, said):
    with pytest.raises(DataError, match=said):
        learned(*sets, **more)


def test_a_split_without_labels_is_refused():
    with pytest.raises(DataError, match="no image of the test split has a label"):
        TASK.check_split("test", np.zeros((4, 3), np.int8))
    assert TASK.check_split("test", np.zeros((0, 3), np.int8)) == [
        "no image of test has the label cat, dog, tree"
    ]
