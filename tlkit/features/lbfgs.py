"""The L-BFGS solver: the optimal linear head on fixed features."""

from __future__ import annotations

import dataclasses

import numpy as np

from tlkit.tasks.link import IDENTITY, Link

# the head is solved if the gradient norm is this fraction of that at zero weights
TOLERANCE = 1e-4
# for cross-validation, which only compares
ROUGH = 1e-2
GRID = tuple(10.0 ** (exponent / 2) for exponent in range(0, -13, -1))
# squared errors of standardised numbers need stronger penalties than log losses on few images
STRONGER = tuple(10.0 ** (exponent / 2) for exponent in range(6, 0, -1))
FOLDS = 5


@dataclasses.dataclass
class Solution:
    """A solved head.

    Attributes:
        kernel: Weights, `(features, outputs)`.
        bias: Bias, `(outputs,)`.
        l2: Strength of the penalty.
        loss: Loss on the training images, including the penalty.
        gradient: Norm of the gradient, as a fraction of that at zero weights.
        iterations: Iterations of L-BFGS; 1 if the optimum is the solution of a linear system.
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
    *,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    tolerance: float = TOLERANCE,
    link: Link,
) -> Solution:
    """Minimises the mean loss of a linear head plus l2 / 2 ||kernel||^2.

    Uses L-BFGS (Liu and Nocedal 1989) in float64; for squared errors, the normal equations. The
    problem is convex, so there is one optimum; the bias is not penalised.

    Args:
        features: Features, `(images, features)`.
        targets: Targets, `(images, outputs)`, as the link takes them; for classes, one-hot or
            smoothed.
        l2: Strength of the penalty, 0 or more.
        weights: Weights of the images, `(images,)`, or of each output of them,
            `(images, outputs)`; all 1 by default.
        start: Initial kernel and bias; zeros by default.
        tolerance: Fraction of the gradient norm at zero weights below which the head is solved.
        link: Loss.

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
    share = (share[:, None] if share.ndim == 1 else share) / len(x)
    width, classes = x.shape[1], y.shape[1]
    # centred and scaled to one overall size, the problem is better conditioned; the bias
    # compensates for the centre, as it is not penalised
    center = x.mean(0)
    x = x - center
    scale = float(np.sqrt(np.mean(np.square(x)))) or 1.0
    x = x / scale
    penalty = l2 / scale**2

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernel, bias = flat[: width * classes].reshape(width, classes), flat[width * classes :]
        logits = x @ kernel + bias
        difference = share * link.slope(logits, y)
        loss = float((share * link.loss(logits, y)).sum())
        loss += 0.5 * penalty * float((kernel**2).sum())
        slope = x.T @ difference + penalty * kernel
        return loss, np.concatenate([slope.ravel(), difference.sum(0)])

    zeros = np.zeros(width * classes + classes)
    first = max(float(np.linalg.norm(objective(zeros)[1])), 1e-300)
    begin = zeros
    if start is not None:
        begin = np.concatenate([(start[0] * scale).ravel(), start[1] + center @ start[0]])
    if link is IDENTITY:
        best, iterations = _least_squares(x, y, share, penalty), 1
    else:
        found = minimize(
            objective, begin, jac=True, method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 10000, "maxcor": 20, "ftol": 0.0,
                     "gtol": 1e-3 * tolerance * first},
        )  # fmt: skip
        best, iterations = found.x, int(found.nit)
    loss, slope = objective(best)
    kernel = best[: width * classes].reshape(width, classes) / scale
    return Solution(
        kernel=kernel,
        bias=best[width * classes :] - center @ kernel,
        l2=l2,
        loss=loss,
        gradient=float(np.linalg.norm(slope)) / first,
        iterations=iterations,
    )


def _least_squares(x: np.ndarray, y: np.ndarray, share: np.ndarray, penalty: float) -> np.ndarray:
    """Flat kernel and bias at which the gradient of the penalised mean square error is zero."""
    whole = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    ridge = np.append(np.full(x.shape[1], penalty), 0.0)
    columns = []
    for k in range(y.shape[1]):
        # Keras's loss is the mean over the outputs, with slope 2 / outputs times the error
        weight = 2 / y.shape[1] * np.broadcast_to(share, y.shape)[:, k, None]
        system = whole.T @ (weight * whole) + np.diag(ridge)
        columns.append(np.linalg.lstsq(system, whole.T @ (weight[:, 0] * y[:, k]), rcond=None)[0])
    solved = np.stack(columns, axis=1)
    return np.concatenate([solved[:-1].ravel(), solved[-1]])


def choose_l2(
    features: np.ndarray,
    known: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    link: Link,
) -> dict[float, float]:
    """Mean loss on held-out images for each penalty strength of a grid.

    Goes from the strongest to the weakest, each starting at the previous solution, and
    stops once the loss has risen twice.

    Args:
        features: Features, `(images, features)`.
        known: Ground truth for scoring held-out images, `(images, outputs)`.
        targets: Targets that the heads are trained on, perhaps smoothed, `(images, outputs)`.
        folds: Fold of each image, `(images,)`.
        weights: Weights of the images, as in `solve_head`.
        link: Loss.

    Returns:
        Strength -> loss; the lowest is the best.
    """
    shares = np.ones(len(known)) if weights is None else np.asarray(weights)
    wide = shares[:, None] if shares.ndim == 1 else shares
    begin: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    scores: dict[float, float] = {}
    for l2 in (*STRONGER, *GRID) if link is IDENTITY else GRID:
        losses = np.zeros(known.shape)
        for fold in np.unique(folds):
            out = folds == fold
            solution = solve_head(
                features[~out],
                targets[~out],
                l2,
                shares[~out],
                start=begin.get(fold),
                tolerance=ROUGH,
                link=link,
            )
            begin[fold] = solution.kernel, solution.bias
            logits = features[out].astype("float64") @ solution.kernel + solution.bias
            losses[out] = link.loss(logits, known[out])
        scores[l2] = float((losses * wide).sum() / wide.mean(1).sum())
        recent = list(scores.values())[-3:]
        if len(recent) == 3 and recent[0] < recent[1] < recent[2]:
            break
    return scores


def best_l2(scores: dict[float, float]) -> float:
    """The strength with the lowest loss."""
    return min(scores, key=scores.__getitem__)
