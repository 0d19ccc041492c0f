"""A linear softmax head taken to its optimum on features that do not change."""

from __future__ import annotations

import dataclasses

import numpy as np

# where the gradient is this share of what it was at zero, the head is solved
TOLERANCE = 1e-4
# in cross-validation, which only compares
ROUGH = 1e-2
GRID = tuple(10.0 ** (exponent / 2) for exponent in range(0, -13, -1))
FOLDS = 5


@dataclasses.dataclass
class Solution:
    """A solved head.

    Attributes:
        kernel: `(features, classes)`.
        bias: `(classes,)`.
        l2: Strength of the penalty.
        loss: Of the training images, with the penalty.
        gradient: Length of the gradient, as a share of that at zero weights.
        iterations: Of L-BFGS.
    """

    kernel: np.ndarray
    bias: np.ndarray
    l2: float
    loss: float
    gradient: float
    iterations: int


def solve_head(
    features: np.ndarray,
    targets: np.ndarray,
    l2: float,
    weights: np.ndarray | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Minimises the mean cross-entropy of a linear head plus l2 / 2 ||kernel||^2.

    L-BFGS (Liu and Nocedal 1989) in float64. The problem is convex, so there is one
    optimum; the bias is not penalised.

    Args:
        features: `(images, features)`.
        targets: Probabilities `(images, classes)`: one-hot, or smoothed.
        l2: Strength of the penalty, 0 or more.
        weights: Of the images, `(images,)`; all 1 if not given.
        start: Kernel and bias to begin at; zeros if not given.
        tolerance: Share of the gradient at zero below which the head is solved.

    Raises:
        ValueError: if shapes do not fit or `l2` is negative.
    """
    from scipy.optimize import minimize

    if l2 < 0:
        raise ValueError(f"l2 must be 0 or more; found {l2}")
    if len(features) != len(targets) or not len(features):
        raise ValueError(f"{len(features)} images of features, {len(targets)} of targets")
    x, y = np.asarray(features, "float64"), np.asarray(targets, "float64")
    share = np.full(len(x), 1.0) if weights is None else np.asarray(weights, "float64")
    share = share / len(x)
    width, classes = x.shape[1], y.shape[1]
    # centred and of one size on the whole, the problem is better conditioned; the bias makes
    # up for the centre, which is not penalised
    center = x.mean(0)
    x = x - center
    scale = float(np.sqrt(np.mean(np.square(x)))) or 1.0
    x = x / scale
    penalty = l2 / scale**2

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernel, bias = flat[: width * classes].reshape(width, classes), flat[width * classes :]
        logits = x @ kernel + bias
        logits -= logits.max(1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(1, keepdims=True))
        log_p = logits - log_sum
        # y may sum to less than one nowhere, so the slope of the log-sum is p itself
        difference = share[:, None] * (np.exp(log_p) - y)
        loss = -float(share @ (y * log_p).sum(1)) + 0.5 * penalty * float((kernel**2).sum())
        slope = x.T @ difference + penalty * kernel
        return loss, np.concatenate([slope.ravel(), difference.sum(0)])

    zeros = np.zeros(width * classes + classes)
    first = max(float(np.linalg.norm(objective(zeros)[1])), 1e-300)
    begin = zeros
    if start is not None:
        begin = np.concatenate([(start[0] * scale).ravel(), start[1] + center @ start[0]])
    found = minimize(
        objective, begin, jac=True, method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10000, "maxcor": 20, "ftol": 0.0,
                 "gtol": 1e-3 * tolerance * first},
    )  # fmt: skip
    loss, slope = objective(found.x)
    kernel = found.x[: width * classes].reshape(width, classes) / scale
    return Solution(
        kernel=kernel,
        bias=found.x[width * classes :] - center @ kernel,
        l2=l2,
        loss=loss,
        gradient=float(np.linalg.norm(slope)) / first,
        iterations=int(found.nit),
    )


def choose_l2(
    features: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> dict[float, float]:
    """Mean log loss of held-out images for each strength of a grid, by stratified folds.

    From the strongest to the weakest, each begun where the one before it ended; the
    grid is left when the loss has risen twice.

    Args:
        features: `(images, features)`.
        labels: Class ids `(images,)`, for the strata and the loss.
        targets: `(images, classes)`, what the heads learn.
        weights: Of the images.
        seed: Of the folds.

    Returns:
        Strength -> loss; the best is the least.
    """
    folds = stratified_folds(labels, FOLDS, seed)
    shares = np.ones(len(labels)) if weights is None else np.asarray(weights)
    begin: list[tuple[np.ndarray, np.ndarray] | None] = [None] * FOLDS
    scores: dict[float, float] = {}
    for l2 in GRID:
        losses = np.zeros(len(labels))
        for fold in range(FOLDS):
            out = folds == fold
            solution = solve_head(
                features[~out], targets[~out], l2, shares[~out], begin[fold], ROUGH
            )
            begin[fold] = solution.kernel, solution.bias
            logits = features[out].astype("float64") @ solution.kernel + solution.bias
            logits -= logits.max(1, keepdims=True)
            log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            losses[out] = -log_p[np.arange(out.sum()), labels[out]]
        scores[l2] = float((losses * shares).sum() / shares.sum())
        recent = list(scores.values())[-3:]
        if len(recent) == 3 and recent[0] < recent[1] < recent[2]:
            break
    return scores


def best_l2(scores: dict[float, float]) -> float:
    """The strength with the least loss."""
    return min(scores, key=scores.__getitem__)


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each image, every class spread over all folds as evenly as can be."""
    rng = np.random.default_rng(seed)
    assigned = np.empty(len(labels), int)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rng.shuffle(places)
        # another first fold for each class, so that small classes do not all go into the first
        assigned[places] = (np.arange(len(places)) + label) % folds
    return assigned
