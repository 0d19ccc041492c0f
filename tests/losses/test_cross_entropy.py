import numpy as np
import pytest

from tlkit import registry


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_it_is_the_entropy_between_smoothed_targets_and_softmax(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (7, 4)).astype("float32"), rng.integers(0, 4, 7)
    loss = registry.LOSSES.build("cross_entropy", 4, label_smoothing=smoothing)
    target = np.eye(4)[labels] * (1 - smoothing) + smoothing / 4
    log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(target * log_softmax).sum(1)
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-5)
