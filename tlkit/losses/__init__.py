"""Losses, one file per loss: for classes, for several labels per image, or for numbers.

All are Keras losses; those for classes and labels work on logits. Losses for classes take
class ids, one-hot or soft labels; those for several labels take 0 or 1 for each label.

`hinge` is not defined for soft labels; `Flooding` takes the labels of the loss that it wraps.
"""

from typing import TYPE_CHECKING

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.losses.absolute_error import mean_absolute_error as mean_absolute_error
    from tlkit.losses.asymmetric_loss import Asymmetric as Asymmetric
    from tlkit.losses.binary_focal_loss import BinaryFocal as BinaryFocal
    from tlkit.losses.flooding import Flooding as Flooding
    from tlkit.losses.focal import Focal as Focal
    from tlkit.losses.huber_loss import huber as huber
    from tlkit.losses.logit_adjustment import LogitAdjusted as LogitAdjusted
    from tlkit.losses.multiclass_hinge import hinge as hinge
    from tlkit.losses.sigmoid_cross_entropy import binary_cross_entropy as binary_cross_entropy
    from tlkit.losses.softmax_cross_entropy import cross_entropy as cross_entropy
    from tlkit.losses.squared_error import mean_squared_error as mean_squared_error

__getattr__, __dir__ = exports(__name__)
