"""What labels are called in tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_length(samples: NDArray[Any], count: int, name: str) -> None:
    """Raises a `ValueError` if an array holds another number of samples."""
    if len(samples) != count:
        raise ValueError(f"`{name}` must hold {count} samples. Received shape {samples.shape}.")


def plain_label(label: Any) -> Any:
    """Returns a label as a plain number or text, or a list where it is an array."""
    values = np.asarray(label)
    return values.item() if values.size == 1 else values.tolist()


def label_name(label: Any, class_names: Sequence[str] | None = None) -> str:
    """Returns what a label is called.

    Example:
        >>> label_name(np.int64(1), ["cat", "dog"]), label_name(0.12345)
        ('dog', '0.123')
    """
    value = plain_label(label)
    if class_names is not None and isinstance(value, int):
        return str(class_names[value])
    return f"{value:.3g}" if isinstance(value, float) else str(value)
