"""Changes to built networks; each gives a new model and leaves the given one as it is."""

from tlkit.surgery.insert import insert_layers
from tlkit.surgery.plain import plain_model

__all__ = ["insert_layers", "plain_model"]
