"""Tensors of KServe's protocol 2, in JSON or as bytes after it.

The binary tensor data extension
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md)
puts tensors after the JSON object, little-endian and in row-major order, in the order in which
the object names them; the header `Inference-Header-Content-Length` is the length of the object.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import ml_dtypes
import numpy as np

from tlkit.serve.bodies import from_base64, parse_json
from tlkit.serve.limits import Refusal
from tlkit.tensors import Tensor

LENGTH = "Inference-Header-Content-Length"
DATATYPES: dict[str, np.dtype] = {
    name: np.dtype(kind).newbyteorder("<")
    for name, kind in {
        "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8",
        "INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8",
        "FP16": "f2", "FP32": "f4", "FP64": "f8",
    }.items()
}  # fmt: skip
DATATYPES["BF16"] = np.dtype(ml_dtypes.bfloat16)
SHARED = "shared_memory_region"
MOST_DIMENSIONS = 8


@dataclasses.dataclass(frozen=True)
class Output:
    """A tensor in a response.

    Attributes:
        name: Name that clients ask for.
        datatype: Datatype of the protocol.
        values: Numbers, or text if the datatype is BYTES.
        binary: Whether it goes after the JSON.
    """

    name: str
    datatype: str
    values: np.ndarray
    binary: bool


def split_body(body: bytes, header: str | None) -> tuple[dict[str, Any], bytes]:
    """Splits a request into its JSON object and the bytes after it.

    Args:
        body: Entire body.
        header: `Inference-Header-Content-Length`; None if it was not sent.

    Raises:
        Refusal: 400 if the header is not a valid length, exceeds the body, or there is no object.
    """
    if header is None:
        return parse_json(body), b""
    if not (header.isascii() and header.isdigit() and len(header) < 12):
        raise Refusal(400, f"{LENGTH}: expected a number of bytes, found {header[:50]!r}")
    length = int(header)
    if length > len(body):
        raise Refusal(400, f"{LENGTH}: {length} bytes, but the body has {len(body)}")
    return parse_json(body[:length]), body[length:]


def read_inputs(inputs: Tensor, behind: bytes) -> list[bytes | np.ndarray]:
    """The images of a request's input tensors, in order.

    Args:
        inputs: `inputs` of the JSON object. BYTES hold files, in base64 if they are in JSON;
            numbers hold pixels `(n, height, width, 3)` in [0, 255].
        behind: Bytes after the object.

    Returns:
        Files as bytes, and pixels as uint8 or float32.

    Raises:
        Refusal: 400 if a tensor does not match its description, or the byte counts do not match.
    """
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(400, "expected a list of input tensors in 'inputs'")
    found: list[bytes | np.ndarray] = []
    start = 0
    for tensor in inputs:
        if not isinstance(tensor, dict):
            raise Refusal(400, "expected an object for each tensor in 'inputs'")
        name = str(tensor.get("name"))[:50]
        size = _binary_size(tensor, name)
        if size is None:
            found += _from_json(tensor, name)
            continue
        if start + size > len(behind):
            raise Refusal(
                400,
                f"{name}: binary_data_size is {size}, but {len(behind) - start} bytes are left "
                f"behind the JSON ({LENGTH} says where it ends)",
            )
        found += _from_binary(tensor, name, memoryview(behind)[start : start + size])
        start += size
    if start != len(behind):
        raise Refusal(
            400,
            f"{len(behind)} bytes are behind the JSON; the tensors name {start} (binary_data_size)",
        )
    return found


def _binary_size(tensor: dict[str, Any], name: str) -> int | None:
    """The number of a tensor's bytes after the JSON; None if its values are in the JSON."""
    parameters = parameters_of(tensor)
    if SHARED in parameters:
        raise Refusal(400, f"{name}: this server shares no memory; send the tensor in the body")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise Refusal(400, f"{name}: binary_data_size is not a number of bytes: {str(size)[:50]!r}")
    if tensor.get("data") is not None:
        raise Refusal(400, f"{name}: has both 'data' and binary_data_size")
    return size


def parameters_of(item: dict[str, Any]) -> dict[str, Any]:
    """The `parameters` of a request or of a tensor in it."""
    found = item.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Refusal(400, "'parameters' is not an object")
    return found


def _shape(tensor: dict[str, Any], name: str) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
        raise Refusal(400, f"{name}: 'shape' is not a list of whole numbers")
    if len(shape) > MOST_DIMENSIONS:
        raise Refusal(400, f"{name}: 'shape' has {len(shape)} dimensions")
    return shape


def _dtype(tensor: dict[str, Any], name: str, shape: list[int]) -> np.dtype:
    """The dtype of a pixel tensor, whose shape must be that of images."""
    kind = tensor.get("datatype")
    if not isinstance(kind, str) or kind not in DATATYPES:
        raise Refusal(
            400,
            f"{name}: expected the datatype BYTES, UINT8 or FP32, found {str(kind)[:50]!r} (other "
            "numbers but BOOL are taken too where their values are pixels)",
        )
    if len(shape) != 4 or shape[3] != 3:
        raise Refusal(400, f"{name}: expected the shape [n, height, width, 3], found {shape}")
    return DATATYPES[kind]


def _from_json(tensor: dict[str, Any], name: str) -> list[bytes | np.ndarray]:
    shape, data = _shape(tensor, name), tensor.get("data")
    if not isinstance(data, list):
        raise Refusal(400, f"{name}: 'data' is not a list")
    if tensor.get("datatype") == "BYTES":
        flat = _flat(data)
        if math.prod(shape) != len(flat):
            raise Refusal(400, f"{name}: {len(flat)} values for the shape {shape}")
        return [from_base64(text) for text in flat]
    dtype = _dtype(tensor, name, shape)
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(data, "float64")
    except (ValueError, TypeError, OverflowError):
        raise Refusal(400, f"{name}: 'data' is not a regular array of numbers") from None
    if values.size != math.prod(shape):
        raise Refusal(400, f"{name}: {values.size} values for the shape {shape}")
    return _pictures(values.reshape(shape), dtype, name)


def _flat(data: list[Any]) -> list[Any]:
    """The values of nested lists, flattened."""
    while data and all(isinstance(item, list) for item in data):
        data = [value for item in data for value in item]
    return data


def _from_binary(tensor: dict[str, Any], name: str, data: memoryview) -> list[bytes | np.ndarray]:
    shape = _shape(tensor, name)
    if tensor.get("datatype") == "BYTES":
        return list(_elements(data, math.prod(shape), name, shape))
    dtype = _dtype(tensor, name, shape)
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise Refusal(
            400,
            f"{name}: {tensor['datatype']} of the shape {shape} are {wanted} bytes, "
            f"binary_data_size is {len(data)}",
        )
    return _pictures(np.frombuffer(data, dtype).reshape(shape), dtype, name)


def _elements(data: memoryview, count: int, name: str, shape: list[int]) -> list[bytes]:
    """The elements of BYTES, each preceded by its length as four bytes."""
    found: list[bytes] = []
    start = 0
    while start < len(data):
        end = start + 4
        length = int.from_bytes(data[start:end], "little")
        if end + length > len(data):
            raise Refusal(
                400, f"{name}: element {len(found)} is cut short: BYTES are a length of four bytes "
                "and the content, one after the other",
            )  # fmt: skip
        found.append(bytes(data[end : end + length]))
        start = end + length
        if len(found) > count:
            break
    if len(found) != count:
        more = "more" if len(found) > count else str(len(found))
        raise Refusal(400, f"{name}: {more} values for the shape {shape}")
    return found


def _pictures(values: np.ndarray, dtype: np.dtype, name: str) -> list[bytes | np.ndarray]:
    """Pixels as uint8 if their type is an integer type, else as float32."""
    if 0 in values.shape:
        raise Refusal(400, f"{name}: no picture in the shape {list(values.shape)}")
    if dtype.kind in "ui":
        whole = values.dtype.kind in "ui" or bool((values == np.floor(values)).all())
        if not (whole and (values >= 0).all() and (values <= 255).all()):
            raise Refusal(400, f"{name}: expected whole numbers from 0 to 255")
        return list(values.astype("uint8", copy=False))
    with np.errstate(all="ignore"):
        pixels = values.astype("float32", copy=False)
        if not (np.abs(pixels) < 1e30).all():
            raise Refusal(400, f"{name}: holds a number that is not finite")
    return list(pixels)


def write_outputs(head: dict[str, Any], outputs: list[Output]) -> tuple[bytes, int | None]:
    """The body of a response, and the length of its JSON if bytes follow it."""
    told, behind = [], []
    for output in outputs:
        one: dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.values.shape),
        }
        if output.binary:
            behind.append(_bytes_of(output))
            one["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            one["data"] = output.values.ravel().tolist()
        told.append(one)
    text = json.dumps({**head, "outputs": told}, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([text, *behind]), len(text) if behind else None


def _bytes_of(output: Output) -> bytes:
    if output.datatype != "BYTES":
        return output.values.astype(DATATYPES[output.datatype]).tobytes()
    encoded = (str(value).encode("utf-8", "surrogateescape") for value in output.values.ravel())
    return b"".join(len(value).to_bytes(4, "little") + value for value in encoded)
