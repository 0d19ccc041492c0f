"""Images passed in Python."""

from __future__ import annotations

from typing import Annotated, Literal

from tlkit.data.in_memory import lent
from tlkit.data.record import SourceData
from tlkit.errors import DataError
from tlkit.limits import within
from tlkit.registry import register


@register("in_memory")
def in_memory(
    *,
    kind: Literal["arrays", "dataset"] = "arrays",
    images: Annotated[int, within(1, 1_000_000_000)] | None = None,
) -> SourceData:
    """Images passed in Python, as in `tlkit.finetune(recipe, data=(images, labels))`.

    It records in a recipe what a run was trained on; the images are not in any file.

    Args:
        kind: NumPy arrays, or a `tf.data.Dataset`.
        images: Number of images.

    Raises:
        DataError: if no images were passed this time.
    """
    found = lent()
    if found is None:
        raise DataError(
            "the images were handed over in Python and are in no file.",
            where="data.source.in_memory",
            hint="Hand them over again, as: tlkit.resume(RUN, data=(images, labels)), or "
            "tlkit.load_run(RUN, data=(images, labels)).",
        )
    return found
