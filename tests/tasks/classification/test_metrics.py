"""Against scikit-learn's definitions, written out."""

import numpy as np
import pytest

from tlkit.tasks.classification import metrics
from tlkit.tasks.classification.predictions import write_predictions


def test_softmax_and_loss():
    logits, labels = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0]]), np.array([2, 0])
    p = np.exp(logits[0]) / np.exp(logits[0]).sum()
    np.testing.assert_allclose(metrics.softmax(logits)[0], p, rtol=1e-6)
    loss, accuracy = metrics.loss_and_accuracy(logits, labels)
    assert loss == pytest.approx(-np.log(p[2]) / 2, rel=1e-5)
    assert accuracy == 1.0


def test_every_figure_of_a_small_example():
    #  true a a a b b c, predicted a a b b c c
    probabilities = np.eye(3)[[0, 0, 1, 1, 2, 2]] * 0.8 + 0.1
    labels = np.array([0, 0, 0, 1, 1, 2])
    result = metrics.evaluate(probabilities, labels, ["a", "b", "c"])
    assert result["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    a, b, c = result["per_class"]
    assert (a["precision"], a["recall"], a["f1"]) == (1.0, pytest.approx(2 / 3), pytest.approx(0.8))
    assert (b["precision"], b["recall"], b["f1"]) == (0.5, 0.5, 0.5)
    assert c["f1"] == pytest.approx(2 / 3)
    assert result["macro_f1"] == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)


def test_a_class_without_images_has_no_recall_and_does_not_count():
    result = metrics.evaluate(np.eye(3)[[0, 1]], np.array([0, 1]), ["a", "b", "c"])
    assert result["per_class"][2] == {
        "class": "c",
        "images": 0,
        "precision": None,
        "recall": None,
        "f1": None,
    }
    assert result["balanced_accuracy"] == 1.0


def test_unknown_labels_are_left_out():
    result = metrics.evaluate(np.eye(2)[[0, 1, 1]], np.array([0, 1, -1]), ["a", "b"])
    assert (result["images"], result["accuracy"]) == (2, 1.0)
    assert metrics.evaluate(np.eye(2)[[0]], np.array([-1]), ["a", "b"]) == {"images": 0}


def test_many_classes_have_pairs_in_the_place_of_the_matrix():
    import json

    rng = np.random.default_rng(0)
    names = [f"class {k}" for k in range(5000)]
    labels = rng.integers(0, 5000, 6000).astype("int32")
    predicted = np.where(rng.random(6000) < 0.3, 7, labels)
    probabilities = np.full((6000, 5000), 1e-5, np.float32)
    probabilities[np.arange(6000), predicted] = 0.9
    result = metrics.evaluate(probabilities, labels, names)
    assert "confusion" not in result
    truth = np.zeros((5000, 5000), int)
    np.add.at(truth, (labels, predicted), 1)
    for row in result["confused"]:
        found = truth[names.index(row["class"]), names.index(row["predicted"])]
        assert row["images"] == found
    np.fill_diagonal(truth, 0)
    assert result["confused"][0]["images"] == truth.max()
    assert len(result["confused"]) == 1000
    assert result["accuracy"] == (labels == predicted).mean()
    assert list(result["intervals"]) == ["accuracy"]
    assert result["top_5_accuracy"] >= result["accuracy"]
    assert len(json.dumps(result, indent=2)) < 2e6


def test_parts_of_rows_give_what_all_rows_give(monkeypatch):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(11, 7)).astype("float32")
    whole = metrics.softmax(logits), metrics.most_probable(logits, 3)
    monkeypatch.setattr(metrics, "AT_ONCE", 15)
    np.testing.assert_array_equal(metrics.softmax(logits), whole[0])
    np.testing.assert_array_equal(metrics.most_probable(logits, 3), whole[1])
    np.testing.assert_array_equal(whole[1], np.argsort(-logits, axis=1, kind="stable")[:, :3])


def test_top_k():
    p = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    assert metrics.top_k_accuracy(p, np.array([2, 3]), 2) == 0.5
    assert metrics.top_k_accuracy(p, np.array([2, 3]), 4) == 1.0


def test_predictions_are_written_with_every_class(tmp_path):
    import csv

    write_predictions(tmp_path / "p.csv", ["x,1.png"], ["b"], np.array([[0.25, 0.75]]), ["a", "b"])
    (row,) = csv.DictReader((tmp_path / "p.csv").open())
    assert row == {
        "image": "x,1.png",
        "label": "b",
        "predicted": "b",
        "probability": "0.75",
        "p:a": "0.25",
        "p:b": "0.75",
    }
