"""Changes to built networks; each returns a new model and leaves the given one unchanged."""

from tlkit.surgery.depthwise import as_depthwise
from tlkit.surgery.fold_batch_norm import fold_batch_norm
from tlkit.surgery.fuse import fuse, unfuse
from tlkit.surgery.insert import insert_layers
from tlkit.surgery.plain import plain_model
from tlkit.surgery.recalibrate import recalibrate_batch_norm
from tlkit.surgery.swap_norm import swap_norm

__all__ = [
    "as_depthwise",
    "fold_batch_norm",
    "fuse",
    "insert_layers",
    "plain_model",
    "recalibrate_batch_norm",
    "swap_norm",
    "unfuse",
]
