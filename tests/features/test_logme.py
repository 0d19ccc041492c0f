"""LogME against the evidence itself, maximised by SciPy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from tlkit.features.logme import log_me


def best_evidence(features, member):
    """log N(y; 0, F F^T / alpha + I / beta), at its maximum over alpha and beta."""
    n = len(features)

    def loss(logs):
        alpha, beta = np.exp(logs)
        covariance = features @ features.T / alpha + np.eye(n) / beta
        return -multivariate_normal.logpdf(member, np.zeros(n), covariance) / n

    return -min(minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9,
                "maxiter": 4000}).fun for start in ((0, 0), (3, 3), (6, 1)))  # fmt: skip


@pytest.mark.parametrize("width", [6, 60])
def test_it_is_the_maximum_of_the_evidence(width):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    features = rng.normal(size=(40, width)) + 2 * np.eye(3, width)[labels]
    expected = np.mean([best_evidence(features, (labels == k).astype(float)) for k in range(3)])
    assert log_me(features, np.eye(3)[labels]) == pytest.approx(expected, abs=2e-3)


def test_better_features_have_more():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    scores = [
        log_me(rng.normal(size=(200, 16)) + strength * np.eye(4, 16)[labels], np.eye(4)[labels])
        for strength in (0, 1, 3)
    ]
    assert scores == sorted(scores)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="two classes"):
        log_me(np.ones((4, 2)), np.zeros((4, 1)))
