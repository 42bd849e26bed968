"""What labels are called in tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import label_array, quoted


def check_length(samples: NDArray[Any], count: int, name: str, *, of: str) -> None:
    """Raises a `ValueError` if an array holds another number of samples than a function was given."""
    if samples.shape[:1] != (count,):
        raise ValueError(
            f"`{name}` must hold the samples given to {of}: {count}. Received shape {samples.shape}."
        )


def class_labels(labels: ArrayLike, samples: int, name: str) -> NDArray[Any]:
    """Returns labels that samples can be parted by, `(samples,)`: numbers or texts.

    Raises:
        ValueError: If the shape is another, or a label is missing.
    """
    array = label_array(labels, samples, name)
    missing = array.dtype.kind == "f" and not np.isfinite(array).all()
    if array.dtype.kind not in "iubfUS" or missing:
        raise ValueError(
            f"`{name}` must hold numbers or texts, one for each sample. "
            f"Received dtype {array.dtype}, values such as {quoted(array[:3].tolist())}."
        )
    return array


def check_names(
    class_names: Sequence[str] | None, *labels: NDArray[Any], name: str = "`class_names`"
) -> None:
    """Raises a `ValueError` if an integer label has no name; a negative one has none.

    Example:
        >>> check_names(["cat", "dog"], np.array([0, 2, -1]))
        Traceback (most recent call last):
        ValueError: `class_names` must name every label. Received 2, for labels 0 to 1, and none for -1, 2.
    """
    if class_names is None:
        return
    whole = [np.ravel(array) for array in labels if array.dtype.kind in "iu" and array.size]
    used = np.unique(np.concatenate(whole)) if whole else np.zeros(0, np.int64)
    lacking = used[(used < 0) | (used >= len(class_names))]
    if len(lacking):
        raise ValueError(
            f"{name} must name every label. Received {len(class_names)}, for labels 0 to "
            f"{len(class_names) - 1}, and none for {quoted(lacking)}."
        )


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
    if class_names is not None and isinstance(value, int) and value >= 0:
        return str(class_names[value])
    return f"{value:.3g}" if isinstance(value, float) else str(value)
