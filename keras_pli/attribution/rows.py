"""Explaining some rows of a data set: one target for every row, and what was found as named arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.targets import AtPosition, Within
from .attribution import Attribution
from .method import Method


def check_shared_target(target: Any) -> None:
    """Raises a `ValueError` for a target that is another for each sample: rows come in parts of any size.

    Example:
        >>> check_shared_target(3)
        >>> check_shared_target("label")
    """
    if isinstance(target, str) and target != "label":
        raise ValueError(
            f"`target` must be a class, 'label', a callable or None. Received: {target!r}."
        )
    parts = [target]
    if isinstance(target, AtPosition | Within):
        parts = [target.target]
        if isinstance(target, AtPosition) and np.ndim(target.position) > 1:
            parts.append(target.position)
    if any(np.ndim(part) > 0 for part in parts if not callable(part)):
        raise ValueError(
            "`target` must be the same for all samples of a data set, or 'label' for each sample's own. "
            f"Received: {target!r}."
        )


def explained_rows(
    method: Method, x: Any, target: Any, labels: NDArray[Any] | None = None, **options: Any
) -> dict[str, NDArray[Any]]:
    """Explains some rows of a data set and returns what was found as `named_arrays`.

    Args:
        method: Any attribution method.
        x: The rows' inputs, as `Method.__call__` takes them.
        target: A target for all rows (see `check_shared_target`), or `"label"`.
        labels: The label of each row, for `"label"`.
        **options: As in `Method.__call__`.

    Raises:
        ValueError: If a mask is not one for all samples, or as in `Method.__call__`.
        TypeError: As in `Method.__call__`.

    Example:
        >>> import keras
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> sorted(explained_rows(Saliency(model), np.ones((2, 4)), "label", np.array([0, 2])))
        ['attributions', 'scores']
    """
    if isinstance(target, str):
        return named_arrays(method(x, labels, **options))
    if isinstance(target, Within):
        rank = method.scoring(x).structured_outputs[0].shape.rank
        if np.ndim(target.mask) != rank - 2:
            raise ValueError(
                "The mask of a data set's target must be one for all samples, with an axis for each of the "
                f"output's {rank - 2} axes of positions. Received shape {np.shape(target.mask)}."
            )
    return named_arrays(method(x, target, **options))


def named_arrays(found: Attribution) -> dict[str, NDArray[Any]]:
    """Returns what a method found as arrays by name, samples first.

    Returns:
        `scores`, `attributions` (of several inputs `attributions/<key>`), `delta` where the method has one,
        and `details/<name>`.

    Example:
        >>> sorted(named_arrays(Attribution([np.ones((2, 4)), np.ones((2, 3))], np.ones(2))))
        ['attributions/0', 'attributions/1', 'scores']
    """
    arrays = {"scores": found.scores, **_named("attributions", found.attributions)}
    if found.delta is not None:
        arrays["delta"] = found.delta
    for name, value in found.details.items():
        arrays |= _named(f"details/{name}", value)
    return arrays


def _named(name: str, structure: Any) -> dict[str, NDArray[Any]]:
    """Gives the arrays of a structure names: `attributions`, or of several inputs `attributions/0`, …."""
    if not tf.nest.is_nested(structure):
        return {name: structure}
    keys = structure if isinstance(structure, dict) else range(len(structure))
    return {f"{name}/{key}": structure[key] for key in keys}
