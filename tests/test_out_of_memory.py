"""Memory that runs out is told apart from files, downloads and converters that are at fault."""

import numpy as np
import pytest
import tensorflow as tf

from tlkit.backbones import load
from tlkit.backbones.spec import BackboneSpec
from tlkit.data import dataset
from tlkit.data.record import Record
from tlkit.errors import RunFailed
from tlkit.out_of_memory import is_out_of_memory, memory_trouble, out_of_memory_is_told
from tlkit.serve import picture


def exhausted(*_, **__):
    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor[9]")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((10**9,), np.dtype("float64")), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), True),
        # of a copy to a GPU that is full
        (tf.errors.InternalError(None, None, "Dst tensor is not initialized."), True),
        (tf.errors.UnknownError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (tf.errors.InternalError(None, None, "Blas GEMM launch failed"), False),
        (tf.errors.InvalidArgumentError(None, None, "out of memory"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_what_is_memory_and_what_is_not(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "out of memory. Take"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM.\nstack"), "out of memory: OOM. Take"),
        (MemoryError("x" * 999), "…. Take"),
    ],
)
def test_it_is_one_line(error, says):
    assert says in str(memory_trouble(error)) and "\n" not in str(memory_trouble(error))


def test_inside_it_is_an_error_for_a_person_and_others_stay_as_they_are():
    with pytest.raises(RunFailed, match="out of memory"), out_of_memory_is_told():
        exhausted()
    with pytest.raises(ValueError, match="other"), out_of_memory_is_told():
        raise ValueError("other")


def test_a_picture_is_not_called_broken(monkeypatch, photos):
    file = photos / "red" / "1.png"
    with pytest.raises(tf.errors.ResourceExhaustedError):
        dataset._why_broken(Record("a", "red", None, file.read_bytes), exhausted)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        picture.read_picture(file.read_bytes(), exhausted, 10**6)


def test_weights_are_not_said_to_be_undownloadable(monkeypatch):
    monkeypatch.setattr(BackboneSpec, "build", exhausted)
    with pytest.raises(RunFailed, match=r"out of memory: OOM when allocating tensor\[9\]\. Take"):
        load.load_backbone("mobilenet_v2", "imagenet")
