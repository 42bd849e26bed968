"""How large the blocks are that actors take.

An actor does a block in one go: it holds the block and what comes of it, and where it dies the block is done
again. Ray's own blocks, of 128 MiB, hold a hundred thousand small images, so that one actor would have all of
them and the others none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

BATCHES = 16  # in a block
LEAST = 4 * 2**20  # bytes; of smaller blocks, files would be many and small


def block_bytes(types: Iterable[Any], batch_size: int, most: int | None) -> int | None:
    """Returns how large blocks of a data set may be.

    Args:
        types: Arrow's types of its columns.
        batch_size: Rows that an actor gets at a time.
        most: The caller's own limit, which is not exceeded; None for none.

    Returns:
        Bytes; the caller's limit where the size of a row follows from no type, as of encoded images.

    Example:
        >>> import pyarrow as pa
        >>> image = pa.fixed_shape_tensor(pa.uint8(), [224, 224, 3])
        >>> block_bytes([image], 64, None) // 2**20
        147
        >>> block_bytes([image], 64, 128 * 2**20) // 2**20
        128
        >>> block_bytes([pa.binary()], 64, 128 * 2**20) // 2**20
        128
    """
    sizes = [_bytes(kind) for kind in types]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return most
    wanted = max(LEAST, BATCHES * batch_size * math.ceil(sum(known)))
    return wanted if most is None else min(most, wanted)


def _bytes(kind: Any) -> float | None:
    """Bytes of a value of a type, None where values differ; texts count as nothing."""
    from pyarrow import DataType, types

    if not isinstance(kind, DataType):  # of blocks that are tables of pandas
        return None
    if types.is_string(kind) or types.is_large_string(kind):
        return 0.0
    storage = getattr(kind, "storage_type", kind)
    shape = getattr(kind, "shape", None)
    if types.is_fixed_size_list(storage):
        shape = (storage.list_size,)
    try:
        if shape is None:
            return float(storage.bit_width) / 8
        each = _bytes(storage.value_type)
    except (AttributeError, TypeError, ValueError):  # lists, bytes, Python's objects
        return None
    return None if each is None else math.prod(shape) * each
