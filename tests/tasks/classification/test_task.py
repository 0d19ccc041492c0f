"""Classification as a task: in NumPy, in TensorFlow and in Keras it says the same."""

import numpy as np
import pytest
import tensorflow as tf

from tlkit.tasks.classification import Classification
from tlkit.tasks.find import TASKS, make_task

TASK = Classification(["ant", "bee", "cat"])
LOGITS = np.random.default_rng(0).normal(size=(40, 3)).astype("float32") * 4
LABELS = np.random.default_rng(1).integers(0, 3, 40).astype("int32")


def test_a_task_is_found_by_its_name():
    assert make_task("classification", ["a", "b"]) == Classification(["a", "b"])
    assert all(name == kind.name for name, kind in TASKS.items())


def test_answers_are_those_of_the_layer_that_the_model_ends_with():
    layer = TASK.activation()
    np.testing.assert_allclose(TASK.answers(LOGITS), layer(LOGITS), atol=1e-6)
    assert layer.name == TASK.served[0].name == "probabilities"


def test_what_is_exported_and_what_the_server_makes_of_answers_are_the_same():
    exported = {name: np.asarray(x) for name, x in TASK.answer_tensors(tf.constant(LOGITS)).items()}
    served = TASK.answer_arrays(TASK.answers(LOGITS))
    assert list(exported) == list(served) == [output.name for output in TASK.served]
    np.testing.assert_allclose(exported["probabilities"], served["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(exported["label_id"], served["label_id"])
    assert [text.decode() for text in exported["label"]] == list(served["label"])
    kinds = {"float": "f", "integer": "i", "text": "O"}
    for output in TASK.served:
        assert served[output.name].dtype.kind == kinds[output.kind]
        assert served[output.name].shape == ((40, 3) if output.wide else (40,))
    np.testing.assert_array_equal(TASK.explained_output(exported), LOGITS.argmax(1))


def test_targets_are_made_once():
    targets = np.asarray(TASK.targets(LABELS))
    np.testing.assert_array_equal(targets, np.eye(3)[LABELS])
    np.testing.assert_array_equal(TASK.targets(targets * 0.5), targets * 0.5)  # mixed already
    assert TASK.blank_targets(5).shape == (5, 3)
    assert len(np.unique(TASK.two_targets(), axis=0)) == 2


def test_the_metric_of_batches_adds_up_to_that_of_all():
    parts = [slice(0, 7), slice(7, 8), slice(8, 40)]
    total = sum(
        float(TASK.score(tf.constant(LOGITS[part]), TASK.targets(LABELS[part]))) for part in parts
    )
    assert total / 40 == pytest.approx(TASK.measure(LOGITS, LABELS)["accuracy"])
    assert TASK.evaluate(TASK.answers(LOGITS), LABELS)["accuracy"] == pytest.approx(total / 40)


def test_weights_count_by_a_class_s_share():
    targets = tf.constant([[1.0, 0, 0], [0.25, 0, 0.75]])
    weights = TASK.image_weights(targets, tf.constant([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(weights, [1.0, 2.5])
    np.testing.assert_array_equal(TASK.counts(np.array([0, 0, 2, -1])), [2, 0, 1])


def test_a_guess_has_the_loss_of_equal_logits():
    assert TASK.measure(np.zeros((4, 3)), LABELS[:4])["loss"] == pytest.approx(
        TASK.loss_of_a_guess()
    )


def test_epochs_are_ranked_by_accuracy_and_then_by_loss():
    logs = [
        {"val_accuracy": a, "val_loss": loss} for a, loss in [(0.5, 1.0), (0.5, 0.9), (0.6, 2.0)]
    ]
    assert sorted(logs, key=TASK.quality) == logs


def test_an_export_may_differ_in_ties_alone():
    expected = np.array([[0.4, 0.4, 0.2], [0.7, 0.2, 0.1]])
    turned = np.array([[0.3999, 0.4001, 0.2], [0.7, 0.2, 0.1]])
    other = np.array([[0.4, 0.4, 0.2], [0.2, 0.7, 0.1]])
    labels = np.array([0, -1])
    found = TASK.agreement(turned, expected, labels, 1e-3)
    assert (found.same, found.share, found.metric, found.evaluated) == (True, 0.5, 0.0, 1.0)
    assert found.difference == pytest.approx(1e-4)
    assert not TASK.agreement(other, expected, labels, 1e-3).same


def test_classes_with_the_same_images_are_odd_in_whatever_splits_they_are():
    hashes = ["1", "2", "3", "1", "2", "4"]
    (first, second) = TASK.odd_copies(np.array([0, 0, 1, 2, 2, -1]), hashes)
    assert "2 of 2 images of 'ant'" in first.text
    assert "2 of 2 images of 'cat'" in second.text
