"""How sharp a minimum is, by the loss nearby at its worst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

from ...checks import checked_number
from .data_loss import mean_loss
from .sharpness import Counted


@dataclass(frozen=True)
class EpsilonSharpness:
    """How far the loss rises within a small box around a solution.

    Attributes:
        sharpness: 100 (max L - L(θ)) / (1 + L(θ)), in percent.
        loss: The loss at the solution, L(θ).
        worst_loss: The greatest loss that was found in the box.
        epsilon: The size of the box.
    """

    sharpness: float
    loss: float
    worst_loss: float
    epsilon: float


def epsilon_sharpness(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    epsilon: float = 1e-3,
    steps: int = 10,
    starts: int = 1,
    seed: int = 0,
    verbose: int = 0,
    **options: Any,
) -> EpsilonSharpness:
    """Returns how far the loss rises within a small box around a solution.

    100 (max over z of L(θ + z) - L(θ)) / (1 + L(θ)), where every weight may move by |z_i| <= ε (|θ_i| + 1)
    (Keskar et al. 2017, "On Large-Batch Training for Deep Learning", metric 2.1 in the full space). The
    maximum is sought, as there, by ten steps of L-BFGS-B, from a random point in the box, since the gradient
    at a minimum leads nowhere. What is found is a lower bound of the maximum. Unlike filter-normalised
    surfaces, the measure depends on the scale of layers.

    Args:
        model: A Keras model at the solution.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What is to be predicted.
        epsilon: Size of the box, ε; the paper has 1e-3 and 5e-4.
        steps: Steps of the search; each takes one gradient over the data, or a few.
        starts: Random points to start from; the greatest loss counts.
        seed: Seed of these.
        verbose: 1 shows how many gradients there have been.
        **options: Of `DataLoss`: `loss`, `sample_weight`, `regularization`, `batch_size`, ….

    Raises:
        ValueError: If data, loss and model do not fit, or a number is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[1.0]])])
        >>> found = epsilon_sharpness(model, [[1.0]], [[1.0]], epsilon=0.1, loss="mse")
        >>> round(found.worst_loss, 6), round(found.sharpness, 4)  # (0.1 (1 + 1))², in percent
        (0.04, 4.0)
    """
    epsilon = checked_number(epsilon, "epsilon", least=0.0)
    steps = checked_number(steps, "steps", least=1, whole=True)
    starts = checked_number(starts, "starts", least=1, whole=True)
    generator = np.random.default_rng(checked_number(seed, "seed", least=0, whole=True))
    loss = mean_loss(model, x, y, options)
    weights = loss.weights().astype(np.float64)
    reach = epsilon * (np.abs(weights) + 1)
    loss.check_finite()
    at, _ = loss.gradient(weights)
    worst = at
    gradient = Counted(lambda part: loss.gradient(weights + reach * part), verbose)
    for _ in range(starts):
        start = generator.uniform(-0.5, 0.5, len(weights))
        worst = max(worst, _greatest(gradient, reach, start, steps))
    gradient.done()
    return EpsilonSharpness(100 * (worst - at) / (1 + at), at, worst, epsilon)


def _greatest(
    gradient: Callable[..., Any], reach: NDArray[np.float64], start: NDArray[np.float64], steps: int
) -> float:
    """The greatest loss that L-BFGS-B meets in the box, whose sides are -1 and 1."""
    found = []
    value, slope = gradient(start)
    # A first step then crosses about half of the box, whatever the unit of the loss.
    scale = 1 / max(float(np.mean(np.abs(reach * slope))), 1e-300)

    def objective(part: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, slope = gradient(part)
        found.append(value)
        return -scale * value, -scale * reach * slope

    limits = Bounds(-np.ones(len(start)), np.ones(len(start)))
    ended = {"maxiter": steps, "ftol": 0.0, "gtol": 0.0}
    minimize(objective, start, jac=True, method="L-BFGS-B", bounds=limits, options=ended)
    return max([*found, value])
