"""NumPy arrays as columns of Arrow tables, and back: numbers, texts, and tensors of one shape.

Tensors are written as fixed shape tensors of Arrow, which Ray reads as arrays; pandas and Polars, which do
not know the type, read lists of the flat values. What is read are these, tensors of Ray, and lists of lists.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .optional import imported

Array = NDArray[Any]
# How Ray names its own types of tensors of one shape, in a file that is read without Ray.
_RAY_TENSOR = b"ray.data.arrow_tensor"


def to_arrow(values: Array) -> Any:
    """Returns an array as an Arrow array with an entry for each row; several axes make tensors.

    Args:
        values: `(rows, ...)`, numbers or texts.
    """
    pa = _arrow()
    if values.ndim == 1:
        # Of no text at all, Arrow would not know that it is one.
        texts = values.dtype.kind in "US"
        return pa.array(values.tolist(), pa.string()) if texts else pa.array(values)
    shape = values.shape[1:]
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    storage = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), storage)


def from_arrow(column: Any, field: Any) -> Array:
    """Returns an Arrow array as a NumPy array, `(rows, ...)`.

    Args:
        column: A `pyarrow.Array`.
        field: The `pyarrow.Field` that it has in its table.

    Raises:
        ValueError: If an entry is missing, rows differ in shape, or entries are neither numbers nor texts.
    """
    pa = _arrow()
    shape, order = tensor_shape(field)
    values, sizes = column, [len(column)]
    if isinstance(column.type, pa.BaseExtensionType):
        values = column.storage
    while True:
        if values.null_count:
            raise ValueError(f"Column {field.name!r} lacks values.")
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if not _is_list(values.type):
            break
        sizes.append(_shared_length(values, field.name))
        values = values.flatten()
    array = _plain(values, field)
    if shape is None:
        return array.reshape(sizes)
    array = array.reshape(sizes[0], *shape)
    return array if order is None else array.transpose(0, *(axis + 1 for axis in order))


def tensor_shape(field: Any) -> tuple[tuple[int, ...] | None, list[int] | None]:
    """Returns the shape of a column's tensors as they lie in memory, and the order of their axes.

    The shape is None where the type says none, as of lists; the order where it is that of the shape.
    """
    pa = _arrow()
    if isinstance(field.type, pa.BaseExtensionType):
        shape = getattr(field.type, "shape", None)
        return (None if shape is None else tuple(shape)), getattr(field.type, "permutation", None)
    noted = field.metadata or {}
    if noted.get(b"ARROW:extension:name", b"").startswith(_RAY_TENSOR):
        return tuple(json.loads(noted[b"ARROW:extension:metadata"])), None
    return None, None


def holds_arrays(field: Any) -> bool:
    """Returns whether a column's entries are tensors or lists."""
    shape, _ = tensor_shape(field)
    return shape is not None or _is_list(field.type)


def _is_list(kind: Any) -> bool:
    types = _arrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _shared_length(lists: Any, name: str) -> int:
    """How long all of some lists are."""
    if _arrow().types.is_fixed_size_list(lists.type):
        return int(lists.type.list_size)
    lengths = imported("pyarrow.compute", "Arrow's lists").list_value_length(lists)
    found = np.unique(lengths.to_numpy(zero_copy_only=False))
    if len(found) > 1:
        raise ValueError(
            f"Column {name!r} must hold arrays of one shape. Received lists of length {found[0]} and "
            f"{found[-1]}."
        )
    return int(found[0]) if len(found) else 0


def _plain(values: Any, field: Any) -> Array:
    types = _arrow().types
    if types.is_string(values.type) or types.is_large_string(values.type):
        return np.array(values.to_pylist(), dtype=np.str_)
    array: Array = np.empty(0, object)
    if not types.is_nested(values.type):
        array = values.to_numpy(zero_copy_only=False)
    if array.dtype.hasobject:
        raise ValueError(
            f"Column {field.name!r} must hold numbers, texts, lists of lists of numbers, or tensors of one "
            f"shape. Received {field.type}."
        )
    return array


def _arrow() -> Any:
    return imported("pyarrow", "Parquet", extra="parquet")
