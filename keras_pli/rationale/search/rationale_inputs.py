"""What comes in at the door of a rationale generator: images, target classes and cutoffs, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import finite_array, label_array, quoted
from ...images import check_range
from .decision import CutoffDecision


def checked_images(
    x: ArrayLike, shape: tuple[int, ...], value_range: tuple[float, float] | None
) -> NDArray[np.float32]:
    """Returns images as float32 `(samples, *shape)`.

    Args:
        x: What was given.
        shape: Shape of an image that the generator draws.
        value_range: Least and greatest value that it draws, or None for any.

    Raises:
        ValueError: If the shape is another, a value is not finite or out of range, or an image is constant.
        TypeError: If the values are not real numbers.
    """
    images = finite_array(x, "x", ndim=len(shape) + 1)
    if images.shape[1:] != shape:
        raise ValueError(
            f"`x` must hold images of the generator's shape {shape}. Received shape {images.shape}."
        )
    if value_range is not None:
        check_range(images, value_range, name="x", tolerance=1e-3)
    constant = np.flatnonzero(np.ptp(images.reshape(len(images), -1), axis=1) == 0)
    if len(constant):
        raise ValueError(
            f"`x` holds images of one value throughout, which show nothing: rows {quoted(constant)}."
        )
    return images


def checked_classes(
    target: ArrayLike | None, predicted: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int32]:
    """Returns one target class for each sample, int32; −1, the runner-up, where none is given.

    Args:
        target: What was given: a class, one for each sample, or None.
        predicted: The predicted classes.
        classes: How many there are.

    Raises:
        ValueError: If a target is not a class, or is predicted already.
    """
    samples = len(predicted)
    if target is None:
        return np.full(samples, -1, np.int32)
    given = np.asarray(target)
    given = label_array(np.full(samples, given) if given.ndim == 0 else given, samples, "target")
    wrong = ~np.isin(given, np.arange(classes))
    if wrong.any():
        raise ValueError(
            f"`target` must hold classes from 0 to {classes - 1}, the classifier's. "
            f"Received: {quoted(np.unique(given[wrong]))}."
        )
    same = np.flatnonzero(predicted == given)
    if len(same):
        raise ValueError(
            f"`target` is the predicted class already in {len(same)} of {samples} rows: {quoted(same)}. "
            "Leave them out, or ask for another class."
        )
    return given.astype(np.int32)


def checked_cutoffs(
    target: ArrayLike | None, values: NDArray[np.floating[Any]], decision: CutoffDecision
) -> NDArray[np.float32]:
    """Returns one cutoff for each sample, float32.

    Args:
        target: What was given: a cutoff, one for each sample, or None for the decision's.
        values: The predicted values.
        decision: Its cutoff and direction.

    Raises:
        ValueError: If there is no cutoff, one is not finite, or one is met already.
    """
    wanted: Any = decision.cutoff if target is None else target
    if wanted is None:
        raise ValueError(
            "A single output needs a value to reach: pass `target`, or `cutoff` when the generator is made."
        )
    given = np.asarray(wanted, np.float32)
    given = np.full(len(values), given) if given.ndim == 0 else given
    cutoffs = label_array(given, len(values), "target")
    if not np.isfinite(cutoffs).all():
        raise ValueError(f"`target` must be finite. Received: {quoted(cutoffs)}.")
    lower = decision.direction == "lower"
    met = np.flatnonzero(values <= cutoffs if lower else values >= cutoffs)
    if len(met):
        side = "lowered" if lower else "raised"
        raise ValueError(
            f"The output is to be {side}, and meets the cutoff already in {len(met)} of {len(values)} rows: "
            f"{quoted(met)}. Their outputs are {quoted(float(f'{value:.4g}') for value in values[met])}."
        )
    return cutoffs
