"""How far attributions change where the input hardly does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..attribution import Attribution, Method
from ..checks import checked_number, finite_array
from ..network.inputs import GivenTarget
from .scoring import Array, Scorer


def max_sensitivity(
    method: Method,
    x: ArrayLike,
    attributions: ArrayLike | Attribution | None = None,
    target: GivenTarget = None,
    *,
    radius: float = 0.02,
    draws: int = 10,
    seed: int = 0,
    verbose: int = 0,
) -> NDArray[np.float64]:
    """Returns the greatest relative change of attributions within a small neighbourhood of each input.

    max ‖φ(y) − φ(x)‖ / ‖φ(x)‖ over inputs y drawn evenly with ‖y − x‖∞ ≤ r (Yeh et al. 2019, section 3;
    the division makes it independent of the method's units). 0 for the gradients of a linear model.

    Args:
        method: An attribution method of a model with one input.
        x: Inputs `(samples, ...)`.
        attributions: What the method gives for `x`, where it has been computed already.
        target: As in `Method`. None takes the classes predicted for `x`, for the inputs around it too.
        radius: r, in units of the inputs.
        draws: Number of inputs y, displaced alike for every sample.
        seed: Seed of the displacements.
        verbose: 1 draws a progress bar.

    Returns:
        float64 array `(samples,)`; NaN where all attributions are zero.

    Raises:
        TypeError: If `method` is no attribution method.
        ValueError: If a shape does not fit, a value is not finite, or a number lies outside its range.

    Example:
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> max_sensitivity(Saliency(model), np.ones((3, 4)))
        array([0., 0., 0.])
    """
    if not isinstance(method, Method):
        raise TypeError(
            f"`method` must be an attribution method. Received: {type(method).__name__}."
        )
    radius = checked_number(radius, "radius", least=0)
    draws = checked_number(draws, "draws", least=1, whole=True)
    scorer = Scorer(method)
    images = scorer.inputs(x)
    aim = scorer.aim(images, target)
    found = _maps_of(method, images, aim) if attributions is None else _array(attributions)
    random = np.random.default_rng(seed)
    progress = keras.utils.Progbar(draws, verbose=verbose, unit_name="draw")
    changes = np.zeros(len(images))
    for _ in range(draws):
        moved = images + random.uniform(-radius, radius, images.shape[1:]).astype(np.float32)
        around = _maps_of(method, moved, aim)
        if around.shape != found.shape:
            raise ValueError(
                f"`attributions` must be what the method gives, of shape {around.shape}. "
                f"Received shape {found.shape}."
            )
        changes = np.maximum(changes, _norms(around - found))
        progress.add(1)
    norms = _norms(found)
    return changes / np.where(norms > 0, norms, np.nan)


def _maps_of(method: Callable[..., Attribution], x: Array, aim: Any) -> NDArray[np.float64]:
    return _array(method(x, aim))


def _array(attributions: ArrayLike | Attribution) -> NDArray[np.float64]:
    given = attributions.attributions if isinstance(attributions, Attribution) else attributions
    return finite_array(given, "attributions").astype(np.float64)


def _norms(values: Array) -> NDArray[np.float64]:
    return np.linalg.norm(values.reshape(len(values), -1), axis=1)
