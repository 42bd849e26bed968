"""Results in a few words: shapes in place of arrays, and the range of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .checks import quoted


def brief(value: Any) -> str:
    """Says what a value is in a few words, whatever its size.

    Args:
        value: Arrays and tensors, also symbolic ones, are named by type and shape; of structures of them
            the entries, the first ten. Everything else is as Python writes it.

    Example:
        >>> brief([np.zeros((4, 2)), None, "spread"])
        "[float64 (4, 2), None, 'spread']"
    """
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and kind is not None:
        return f"{getattr(kind, 'name', kind)} {_shape(shape)}"
    if isinstance(value, Mapping):
        entries = [_Text(f"{key!r}: {brief(entry)}") for key, entry in value.items()]
        return f"{{{quoted(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{quoted(_Text(brief(entry)) for entry in value)}]"
    return repr(value)


def brief_repr(result: Any) -> str:
    """Returns the repr of a dataclass or a named tuple with shapes in place of arrays.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Found:
        ...     maps: np.ndarray
        ...     __repr__ = brief_repr
        >>> Found(np.zeros((4, 8)))
        Found(maps=float64 (4, 8))
    """
    names = [entry.name for entry in fields(result)] if is_dataclass(result) else result._fields
    entries = ", ".join(f"{name}={brief(getattr(result, name))}" for name in names)
    return f"{type(result).__name__}({entries})"


def span(values: Any) -> str:
    """Returns the smallest and largest of some numbers, and how many are not finite.

    Example:
        >>> span(np.array([0.5, -1.25, np.nan]))
        '−1.25 to 0.5, 1 not finite'
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    ends = [] if not len(finite) else sorted({float(finite.min()), float(finite.max())})
    said = (
        [" to ".join(f"{end:.3g}".replace("-", "\N{MINUS SIGN}") for end in ends)] if ends else []
    )
    if len(finite) < len(numbers):
        said.append(f"{len(numbers) - len(finite)} not finite")
    return ", ".join(said)


def counted(number: int, what: str) -> str:
    """Returns a number with its noun, in the plural where it is not one.

    Example:
        >>> counted(1, "sample"), counted(3, "sample")
        ('1 sample', '3 samples')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Returns a share in whole percent, never as a negative zero.

    Example:
        >>> percent(0.224), percent(-0.001)
        ('22 %', '0 %')
    """
    return f"{round(100 * share) + 0:d} %" if np.isfinite(share) else "-"


class _Text(str):
    """A text that `quoted` lists without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _shape(shape: Any) -> str:
    """A shape as a tuple; a symbolic one may not know its lengths, nor their number."""
    rank = getattr(shape, "rank", len(shape) if isinstance(shape, tuple) else None)
    if rank is None:
        return "(…)"
    return str(tuple(shape))
