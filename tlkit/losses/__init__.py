"""Losses, one file a loss: Keras losses on logits, with class ids, one-hot or soft labels.

`hinge` has no meaning for soft labels; `Flooding` takes what the loss in it takes.
"""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
