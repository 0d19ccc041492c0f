"""Recognizes out-of-memory errors and explains them to the user; imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tlkit.errors import RunFailed, first_line, is_of_a_callback
from tlkit.text import shortened

# other messages of TensorFlow than "exhausted": for a copy to a full GPU, and from CUDA
ALSO = ("dst tensor is not initialized", "cuda_error_out_of_memory", "out of memory")
HINT = (
    "Take a smaller image_size, batch_size or backbone, or end what else uses the memory; with "
    "CUDA_VISIBLE_DEVICES=-1 the processor computes, in the machine's own memory."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the machine or a GPU ran out of memory."""
    if is_of_a_callback(error):
        return False
    if isinstance(error, MemoryError):
        return True
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return False
    if isinstance(error, tensorflow.errors.ResourceExhaustedError):
        return True
    failed = isinstance(error, tensorflow.errors.InternalError | tensorflow.errors.UnknownError)
    return failed and any(words in str(error).lower() for words in ALSO)


def memory_trouble(error: BaseException) -> RunFailed:
    """Turns an out-of-memory error into an error for the user."""
    said = getattr(error, "message", None) or str(error)
    reason = first_line(error) if not isinstance(said, str) else said.strip().partition("\n")[0]
    text = f"out of memory: {shortened(reason, 200)}" if reason else "out of memory"
    return RunFailed(f"{text.rstrip('.')}.", hint=HINT)


@contextmanager
def out_of_memory_is_told() -> Iterator[None]:
    """Inside, or in a function that it decorates, running out of memory is an error for the user.

    Raises:
        RunFailed: in place of the error from TensorFlow or NumPy.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise memory_trouble(error) from error
        raise
