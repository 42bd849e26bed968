"""What a move's arguments become when it is made: plain, frozen, finite Python values."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def number(value: Any, name: str) -> float:
    """Returns a finite float.

    Raises:
        TypeError: If `value` is no real number (a boolean is none).
        ValueError: If it is NaN or infinite.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(
            f"`{name}` must be a number. Received: {value!r} of {type(value).__name__}."
        )
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if not np.isfinite(result):
        raise ValueError(f"`{name}` must be finite. Received: {value!r}.")
    return result


def fraction(value: Any, name: str) -> float:
    """Returns a float in [0, 1]; raises ValueError for another number."""
    result = number(value, name)
    if not 0 <= result <= 1:
        raise ValueError(f"`{name}` must lie in [0, 1]. Received: {value!r}.")
    return result


def positive(value: Any, name: str) -> float:
    """Returns a float above zero; raises ValueError for another number."""
    result = number(value, name)
    if result <= 0:
        raise ValueError(f"`{name}` must be positive. Received: {value!r}.")
    return result


def factors(value: Any, name: str) -> float | tuple[float, ...]:
    """Returns one factor, or one a component; none may be negative.

    Raises:
        ValueError: If a factor is negative, NaN or infinite, or there is more than one axis.
    """
    result = number(value, name) if np.ndim(value) == 0 else vector(value, name)
    if np.min(result) < 0:
        raise ValueError(f"`{name}` may not be negative. Received: {value!r}.")
    return result


def vector(value: Any, name: str) -> tuple[float, ...]:
    """Returns one finite float a component; raises ValueError for anything else."""
    array = _real_array(value, name)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be one finite number a component, such as (1.0, -2.0). "
            f"Received: {value!r}."
        )
    return tuple(array.tolist())


def rows(value: Any, name: str) -> tuple[tuple[float, ...], ...]:
    """Returns positions of shape `(k, components)` as nested tuples, or raises ValueError."""
    array = _real_array(value, name)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"`{name}` must have the shape (points, components). Received shape {array.shape}."
        )
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        raise ValueError(f"`{name}` must be finite. Received NaN or infinity in row {bad[0]}.")
    return tuple(tuple(row) for row in array.tolist())


def text(value: Any, name: str) -> str | None:
    """Returns a string or None.

    Raises:
        TypeError: If it is anything else.
        ValueError: If it holds half of a character, which no file and no page could show.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"`{name}` holds half of a character (a lone surrogate). Received: {value!r:.80}."
            ) from error
        return str(value)
    raise TypeError(f"`{name}` must be a string or None. Received: {value!r}.")


def any_callable(value: Any, name: str) -> Any:
    """Returns a callable; raises TypeError for anything else."""
    if not callable(value):
        raise TypeError(f"`{name}` must be callable. Received: {value!r}.")
    return value


def brief(values: Any) -> str:
    """Writes a number or a vector in few digits, for sentences.

    Example:
        >>> brief((1.0, -2.5))
        '(1, -2.5)'
    """
    if np.ndim(values):
        return f"({', '.join(brief(value) for value in values)})"
    return f"{values:.4g}"


def _real_array(value: Any, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"`{name}` must be a regular array. Received: {value!r}.") from error
    if array.dtype.kind not in "fiu" and array.size:
        raise ValueError(
            f"`{name}` must hold real numbers. Received dtype {array.dtype}: {value!r}."
        )
    return array.astype(np.float64)
