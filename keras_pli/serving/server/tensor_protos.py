"""Tensors as TensorFlow Serving's gRPC API sends them, in messages of the type TensorProto.

What a message says of itself is checked before an array is made of it: TensorFlow's own reader takes zeros
for numbers that came in another type's field, and its errors for the rest are NumPy's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.tensor_pb2 import TensorProto

from ...checks import quoted
from .errors import ServingError

# TensorFlow Serving fills these fields and not `tensor_content`, and clients read them.
_VALUE_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "object": "string_val",
}
_READ_FIELDS = {
    **_VALUE_FIELDS,
    "float16": "half_val",
    "bfloat16": "half_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "string": "string_val",
}


def dtype(proto: TensorProto, name: str) -> tf.DType:
    """Returns the dtype of input `name`; raises ServingError if there is none of this number."""
    try:
        return tf.dtypes.as_dtype(proto.dtype)
    except TypeError:
        raise ServingError(
            f"Input {name!r} has a dtype that TensorFlow does not know. Received the number {proto.dtype}."
        ) from None


def shape(proto: TensorProto, name: str) -> tuple[int, ...]:
    """Returns the shape of input `name`; raises ServingError if it is open."""
    sizes = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank:
        raise ServingError(f"Input {name!r} must say its shape. Received one of unknown rank.")
    if any(size < 0 for size in sizes):
        raise ServingError(f"Input {name!r} must have a shape of sizes from 0. Received {sizes}.")
    return sizes


def read(proto: TensorProto, name: str, *, max_bytes: int) -> NDArray[Any]:
    """Returns the array of input `name`.

    Raises:
        ServingError: If dtype, shape and values do not fit each other, or the array is larger than
            `max_bytes`: one value and a shape can stand for any number of values.
    """
    kind, sizes = dtype(proto, name), shape(proto, name)
    wrong = _what_is_wrong(proto, kind, math.prod(sizes))
    if wrong:
        raise ServingError(f"Input {name!r} is not a tensor of shape {sizes}: {wrong}.")
    if _bytes(proto, kind, math.prod(sizes)) > max_bytes:
        raise ServingError(
            f"Input {name!r} of shape {sizes} is larger than the limit of {max_bytes} bytes.",
            "RESOURCE_EXHAUSTED",
        )
    try:
        array = tf.make_ndarray(proto)
    except (ValueError, TypeError, OverflowError) as error:
        raise ServingError(f"Input {name!r} is not a tensor of shape {sizes}: {error}.") from error
    # Any byte may stand in `tensor_content`, where the kernels count on 0 and 1.
    return array.view(np.uint8).astype(bool) if array.dtype == bool else array


def write(array: NDArray[Any]) -> TensorProto:
    """Returns the message of an array."""
    field = _VALUE_FIELDS.get(array.dtype.name)
    if field is None:
        return tf.make_tensor_proto(array)
    proto = TensorProto(
        dtype=tf.dtypes.as_dtype(array.dtype).as_datatype_enum,
        tensor_shape=tf.TensorShape(array.shape).as_proto(),
    )
    getattr(proto, field).extend(np.ravel(array).tolist())
    return proto


def _what_is_wrong(proto: TensorProto, kind: tf.DType, needed: int) -> str:
    field = _READ_FIELDS.get(kind.name)
    filled = [found.name for found, _ in proto.ListFields() if found.name.endswith("_val")]
    others = [found for found in filled if found != field]
    if field is None:
        return f"a tensor of {kind.name} cannot be sent"
    if others:
        return (
            f"values of {kind.name} come in {field!r} or 'tensor_content', not in {quoted(others)}"
        )
    content = len(proto.tensor_content)
    if content and kind == tf.string:
        return "strings come in 'string_val', not in 'tensor_content'"
    if content and content != needed * kind.size:
        return f"'tensor_content' has {content} bytes, and {needed * kind.size} are needed"
    # Fewer are fine: the last one stands for the rest, and none for zeros.
    found = len(getattr(proto, field)) // (2 if kind.is_complex else 1)
    return f"{field!r} has {found} values, and {needed} are needed" if found > needed else ""


def _bytes(proto: TensorProto, kind: tf.DType, count: int) -> int:
    """The size of the array in memory; all strings count, also where one stands for many."""
    size = count * kind.size
    if kind == tf.string and proto.string_val:
        size += sum(map(len, proto.string_val))
        size += len(proto.string_val[-1]) * (count - len(proto.string_val))
    return size
