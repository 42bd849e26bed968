"""Where a map begins: on the first principal components of the data, by least squares where that can be."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

SAMPLE = 10_000  # points to which the last layer is fitted
FARTHEST = 10.0  # in standard deviations, which only far rows exceed
MISSING = 0.1  # standard deviation of components that the data do not have
FLAT = 1e-6  # of the first component's standard deviation, which only rounding leaves
RIDGE = 1e-3  # of the mean square of its inputs, which keeps the weights small
CHUNK = 1024


def starting_places(
    scores: NDArray[np.float32], components: int, *, seed: int | None = None
) -> NDArray[np.float32]:
    """Places on the first of some principal components, shape `(samples, components)`.

    The first has a standard deviation of 1. Where there are fewer components, as of a single output, or
    nothing varies along one, the rest are small and random.

    Args:
        scores: Scores on principal components, largest variance first, shape `(samples, any number)`.
        components: How many there shall be.
        seed: Seed of what is random.
    """
    scores = scores[:, :components]
    deviations = scores.std(axis=0, dtype=np.float64)
    if not deviations[0] > 0:
        return np.zeros((len(scores), components), dtype=np.float32)
    # From 0 a component would never move, as its gradient is 0 there, too.
    places = np.random.default_rng(seed).normal(scale=MISSING, size=(len(scores), components))
    varies = np.flatnonzero(deviations > FLAT * deviations[0])
    places[:, varies] = np.clip(scores[:, varies] / deviations[0], -FARTHEST, FARTHEST)
    return places.astype(np.float32)


def starts_by_least_squares(network: keras.Model) -> bool:
    """Whether the network ends in a plain dense layer whose weights can be solved for."""
    if not isinstance(network, keras.Sequential) or len(network.layers) < 2:
        return False
    last = network.layers[-1]
    linear = getattr(last, "activation", None) is keras.activations.linear
    return type(last) is keras.layers.Dense and last.use_bias and linear


def start_by_least_squares(
    network: keras.Sequential, inputs: NDArray[np.float32], targets: NDArray[np.float32]
) -> None:
    """Sets the weights of a network's last layer by ridge regression on targets.

    Args:
        network: A network of which `starts_by_least_squares` is true, built.
        inputs: What it is given, shape `(samples, ...)`.
        targets: What it shall return, shape `(samples, components)`.

    Raises:
        ValueError: If the layer before the last gives values that are not finite.
    """
    step = -(-len(inputs) // SAMPLE)
    inputs, targets = inputs[::step], targets[::step].astype(np.float64)
    *hidden, last = network.layers

    def features(chunk: Any) -> Any:
        for layer in hidden:
            chunk = layer(chunk)
        return ops.convert_to_numpy(chunk)

    starts = range(0, len(inputs), CHUNK)
    found = np.concatenate([features(inputs[i : i + CHUNK]) for i in starts]).astype(np.float64)
    center, middle = found.mean(axis=0), targets.mean(axis=0)
    found -= center
    gram = found.T @ found
    # Features that are all alike leave a positive diagonal, too.
    ridge = max(RIDGE * np.trace(gram) / len(gram), np.finfo(np.float64).tiny)
    kernel = np.linalg.solve(gram + ridge * np.eye(len(gram)), found.T @ (targets - middle))
    last.kernel.assign(kernel)
    last.bias.assign(middle - center @ kernel)
