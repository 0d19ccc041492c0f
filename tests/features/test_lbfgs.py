"""The solved head against scikit-learn and against what an optimum must fulfil."""

import functools

import numpy as np
import pytest

from tlkit.features.lbfgs import GRID
from tlkit.features.lbfgs import choose_l2 as choose_any
from tlkit.features.lbfgs import solve_head as solve_any
from tlkit.tasks.folds import stratified_folds
from tlkit.tasks.link import SOFTMAX

solve_head = functools.partial(solve_any, link=SOFTMAX)
choose_l2 = functools.partial(choose_any, link=SOFTMAX)

RNG = np.random.default_rng(0)
CLASSES = 4
CENTRES = RNG.normal(0, 1.0, (CLASSES, 20))


def draw(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    return CENTRES[labels] + rng.normal(0, 1.5, (count, 20)) + 3.0, labels


X, Y = draw(300, 1)
ONE_HOT = np.eye(CLASSES)[Y]


def probabilities(solution, x):
    logits = x @ solution.kernel + solution.bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_scikit_learns_optimum(l2, weighted):
    linear_model = pytest.importorskip("sklearn.linear_model")
    weights = RNG.uniform(0.2, 3, len(X)) if weighted else None
    solution = solve_head(X, ONE_HOT, l2, weights)
    other = linear_model.LogisticRegression(C=1 / (l2 * len(X)), tol=1e-10, max_iter=10000)
    other.fit(X, Y, sample_weight=weights)
    np.testing.assert_allclose(probabilities(solution, X), other.predict_proba(X), atol=1e-4)
    assert solution.gradient < 1e-4


def test_at_the_optimum_the_mean_prediction_is_the_mean_target_smoothed_or_not():
    # the bias is not penalised, so its slope, the difference of the means, is zero
    smoothed = 0.9 * ONE_HOT + 0.1 / CLASSES
    for targets in (ONE_HOT, smoothed):
        solution = solve_head(X, targets, 1e-2)
        np.testing.assert_allclose(probabilities(solution, X).mean(0), targets.mean(0), atol=1e-5)


def test_the_size_of_the_features_does_not_matter_to_how_it_converges():
    small, large = (solve_head(X * s, ONE_HOT, 1e-3 * s**2) for s in (1e-3, 1e3))
    np.testing.assert_allclose(
        probabilities(small, X * 1e-3), probabilities(large, X * 1e3), atol=1e-5
    )


def test_a_warm_start_gives_the_same_in_fewer_iterations():
    cold = solve_head(X, ONE_HOT, 1e-3)
    near = solve_head(X, ONE_HOT, 2e-3)
    warm = solve_head(X, ONE_HOT, 1e-3, start=(near.kernel, near.bias))
    np.testing.assert_allclose(probabilities(warm, X), probabilities(cold, X), atol=1e-4)
    assert warm.iterations < cold.iterations


def test_the_strength_chosen_is_good_on_images_not_seen():
    few, labels = X[:60], Y[:60]
    targets = np.eye(CLASSES)[labels]
    scores = choose_l2(few, targets, targets, stratified_folds(labels, 5, 0))
    best = min(scores, key=scores.get)
    x, y = draw(5000, 2)

    def loss(l2):
        p = probabilities(solve_head(few, targets, l2), x)
        return -np.log(p[np.arange(len(y)), y]).mean()

    assert loss(best) < 1.05 * min(loss(l2) for l2 in GRID[::2])
    assert loss(best) < 0.7 * loss(1e-6)


def test_folds_are_stratified():
    labels = np.repeat([0, 1, 2], [50, 23, 3])
    folds = stratified_folds(labels, 5, 0)
    for label, count in ((0, 50), (1, 23), (2, 3)):
        sizes = np.bincount(folds[labels == label], minlength=5)
        assert sizes.sum() == count
        assert sizes.max() - sizes.min() <= 1


def test_bad_input():
    with pytest.raises(ValueError, match="0 or more; found -1"):
        solve_head(X, ONE_HOT, -1)
    with pytest.raises(ValueError, match="300 images of features, 10 of targets"):
        solve_head(X, ONE_HOT[:10], 1)
