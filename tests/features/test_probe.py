"""The linear probe against scikit-learn's cross-validated logistic regression."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from tlkit.features.probe import linear_probe
from tlkit.tasks.classification import Classification

THREE = Classification(["a", "b", "c"])


def test_it_agrees_with_another_cross_validation():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    features = rng.normal(size=(300, 20)) + 1.2 * np.eye(3, 20)[labels]
    found = linear_probe(THREE, features, labels)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    other = cross_val_score(
        LogisticRegression(C=1 / (found.l2 * 240), max_iter=2000), features, labels, cv=folds
    ).mean()
    assert 0.6 < found.value < 0.95
    assert abs(found.value - other) < 2 * found.error
    assert found.error == pytest.approx(np.sqrt(found.value * (1 - found.value) / 300))


def test_labels_without_relation_give_chance():
    rng = np.random.default_rng(0)
    found = linear_probe(THREE, rng.normal(size=(200, 50)), rng.integers(0, 2, 200))
    assert abs(found.value - 0.5) < 3 * found.error


def test_a_class_of_one_is_refused():
    with pytest.raises(ValueError, match="two images"):
        linear_probe(THREE, np.ones((3, 2)), np.array([0, 0, 1]))
