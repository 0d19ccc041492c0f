"""Focal loss."""

from __future__ import annotations

from typing import Annotated, Any

import keras
import numpy as np

from tlkit.limits import Fraction, Positive, number, several, within
from tlkit.losses.of_classes import OfClasses, log_probabilities
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("focal", tasks="classification")
@keras.saving.register_keras_serializable(package="tlkit")
class Focal(OfClasses):
    """Cross-entropy that gives images less weight the better the network classifies them.

    L = -sum_k alpha_k y_k (1 - p_k)^gamma log p_k. (Lin et al. 2017, "Focal Loss for
    Dense Object Detection", equation 5.) Keras's version for one-hot labels is
    `CategoricalFocalCrossentropy`; this one also takes class ids, works on
    logits, so that nothing is clipped, and smooths labels.

    Args:
        gamma: Exponent; at 0 the loss is cross-entropy.
        alpha: Factor of each class, one number or K of them; 1 by default.
        label_smoothing: Fraction of the target spread over all classes, in [0, 1).
        from_logits: Whether predictions are logits; otherwise probabilities.
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Labels: ids `(batch,)`, one-hot or soft `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if `gamma` or an alpha is negative, `label_smoothing` is outside [0, 1), or
            the number of alphas differs from the number of classes.
    """

    def __init__(
        self,
        *,
        gamma: Annotated[float, within(0, 20)] = 2.0,
        alpha: Positive | Annotated[list[Positive], several] = 1.0,
        label_smoothing: Fraction = 0.0,
        from_logits: bool = True,
        **kwargs: Any,
    ):
        super().__init__(
            label_smoothing=label_smoothing,
            from_logits=from_logits,
            **{"name": "focal", **kwargs},
        )
        self.gamma = number("gamma", gamma, least=0)
        self.alpha = (
            number("alpha", alpha, least=0)
            if np.ndim(alpha) == 0
            else [number("alpha", value, least=0) for value in np.asarray(alpha).tolist()]
        )

    def of_targets(self, targets: Tensor, logits: Tensor) -> Tensor:
        ops, classes = keras.ops, logits.shape[-1]
        if isinstance(self.alpha, list) and len(self.alpha) != classes:
            raise ValueError(f"alpha has {len(self.alpha)} values for {classes} classes")
        logs = log_probabilities(targets, logits)
        # 0 ** gamma has no slope for gamma below 1
        doubt = ops.maximum(-ops.expm1(logs), keras.config.epsilon())
        factors = ops.convert_to_tensor(self.alpha, dtype=logits.dtype)
        return -ops.sum(factors * targets * doubt**self.gamma * logs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "alpha": self.alpha}
