"""Influence functions: what a training sample's absence would do to predictions, without retraining."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...checks import checked_number, one_of
from .influence_result import Influence
from .last_layer import LastLayer, LastLayerReader
from .layer_curvature import CURVATURES, Curvature, LayerCurvature
from .sample_losses import Array, Explain, Layers, Loss, SampleLosses, Samples

_MOST_HELD = 2**25  # numbers of test gradients held at a time


def influence(
    model: keras.Model,
    train: Samples,
    test: Samples,
    *,
    layers: Layers | None = None,
    damping: float = 0.01,
    curvature: Curvature = "gauss_newton",
    loss: Loss = "cross_entropy",
    explain: Explain = "label",
    output: int | str | None = None,
    steps: int = 200,
    batch_size: int = 256,
    verbose: int = 0,
) -> Influence:
    """Estimates how each test sample's loss would change if a training sample were left out.

    g(test)ᵀ (H + λ)⁻¹ g(train) / n, with gradients g of the loss, and the Hessian H of the training
    objective: the mean loss over n samples and the regularisers (Koh & Liang 2017, equation 2, with the sign
    of leaving out). It is a first-order estimate about weights that are at a minimum: good for a last layer
    trained to the end, rough for deep layers, and only as a ranking where training has stopped early.

    Args:
        model: A built Keras model; it is left as it is.
        train: `(x, y)` that the model was trained on.
        test: `(x, y)` whose loss is explained.
        layers: None for the dense layer that makes the logits, in closed form and float64, solved exactly up
            to 4,000 weights (10,000 for many test samples), above by conjugate gradients. Or layers by path,
            or `"all"`, by gradients and conjugate gradients.
        damping: λ ≥ 0, in units of the Hessian; conjugate gradients need it where weights are at no minimum.
        curvature: For `layers`, `"gauss_newton"`, which has no negative curvature: it takes the loss for a
            function of the logits, or where it is not convex in these, of the outputs. Or `"hessian"`.
        loss: `"cross_entropy"` with integer labels, `"squared_error"`, or for `layers` a function
            `(y, outputs)` that gives one number a sample.
        explain: Of `"cross_entropy"`, whether the loss of y is explained (what helped the model to know the
            label), or with `"predicted"` that of the class predicted: of a wrong decision, what made the
            model say so. Predicted classes for y do the same, but then no table says what was true.
        output: Which output, where the model has several.
        steps: For `layers`, most steps of conjugate gradients for each test sample; a step is a pass over
            `train`.
        batch_size: Samples at a time.
        verbose: 1 draws progress bars.

    Returns:
        `Influence`, whose values are above 0 where the training sample helps.

    Raises:
        ValueError: If shapes, labels or names do not fit, weights are not finite, no dense layer makes the
            logits, the model ends in several sigmoid units and the loss is no function, the Hessian is
            singular or has a negative curvature beyond the damping, or a function's loss is convex in
            neither logits nor outputs and has no Gauss-Newton matrix.
        TypeError: If `train` or `test` is no pair.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> random = np.random.default_rng(0)
        >>> x, y = random.normal(size=(20, 4)), random.integers(3, size=20)
        >>> influence(model, (x, y), (x[:2], y[:2])).values.shape
        (2, 20)
    """
    damping = checked_number(damping, "damping", least=0)
    one_of(curvature, CURVATURES, "curvature")
    steps = checked_number(steps, "steps", least=1, whole=True)
    losses = SampleLosses(model, loss, output=output, batch_size=batch_size)
    pair = losses.samples(train, "train"), losses.samples(test, "test")
    truth = pair[1][1]
    labels, predicted = losses.explained(pair[1], explain)
    pair = pair[0], (pair[1][0], labels)
    if layers is None:
        values, named = _of_last_layer(losses, *pair, damping, verbose)
        about: dict[str, Any] = {"method": "influence", "layers": named, "damping": damping}
    else:
        places = losses.chosen(layers)
        curved = LayerCurvature(losses, places, pair[0], curvature)
        solve = curved.solver(damping, steps, verbose=verbose)
        values = gradient_products(losses, *pair, places, solve=solve, verbose=verbose)
        named = ", ".join(losses.model.weights[place].path for place in places)
        about = {"method": "influence", "layers": named, "damping": damping, "curvature": curvature}
    about["explain"] = explain
    return Influence(values / len(pair[0][1]), pair[0][1], truth, predicted, about)


def _of_last_layer(
    losses: SampleLosses, train: Any, test: Any, damping: float, verbose: int
) -> tuple[Array, str]:
    reader, weights = LastLayerReader(losses), losses.weights()
    seen, asked = (reader.read(part, weights, verbose=verbose) for part in (train, test))
    solve = seen.solver(damping, len(asked.errors), verbose=verbose)
    return seen.along(solve(asked.gradients())), seen.path


def own_influence(layer: LastLayer, damping: float, *, verbose: int = 0) -> Array:
    """Returns g(sample)ᵀ (H + λ)⁻¹ g(sample) / n of each training sample, `(samples,)`."""
    count = len(layer.errors)
    solve = layer.solver(damping, count, verbose=verbose)
    size = max(1, _MOST_HELD // int(np.prod(layer.shape)))
    found = []
    for start in range(0, count, size):
        rows = slice(start, start + size)
        gradients = layer.features[rows, :, None].astype(np.float64) * layer.errors[rows, None, :]
        found.append((gradients * solve(gradients)).sum(axis=(1, 2)))
    return np.concatenate(found) / count


def gradient_products(
    losses: SampleLosses,
    train: tuple[Any, NDArray[Any]],
    test: tuple[Any, NDArray[Any]],
    places: list[int],
    *,
    weights: Any = None,
    solve: Callable[[Array], Array] | None = None,
    verbose: int = 0,
) -> Array:
    """Returns inner products of test samples' gradients with training samples', `(tests, trainings)`.

    Test gradients are held some at a time, training gradients one at a time.

    Args:
        losses: The model and its loss.
        train: Inputs and labels.
        test: Inputs and labels.
        places: Places of the weights.
        weights: All weights; by default those that the model has.
        solve: What test gradients `(tests, weights)` are multiplied by first.
        verbose: 1 draws a progress bar.
    """
    weights = losses.weights() if weights is None else weights
    size = sum(int(np.prod(weights[place].shape)) for place in places)
    most = max(1, _MOST_HELD // size)
    x, y = test
    found = []
    for start in range(0, len(y), most):
        rows = slice(start, start + most)
        some = tf.nest.map_structure(lambda array, rows=rows: array[rows], x), y[rows]
        asked = losses.per_sample(some, places, lambda g: g, weights=weights, key="gradient")
        if solve is not None:
            asked = solve(asked.astype(np.float64)).astype(np.float32)
        products = losses.per_sample(
            train,
            places,
            lambda g, directions: tf.linalg.matvec(directions, g),
            weights=weights,
            given=[tf.constant(asked)],
            key="products",
            verbose=verbose,
        )
        found.append(products.T.astype(np.float64))
    return np.concatenate(found)
