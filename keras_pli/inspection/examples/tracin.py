"""TracIn: what steps of the training on a sample did to the loss of others, over checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...checks import checked_number
from .checkpoints import Checkpoint, read_checkpoints, weights_of
from .influence import gradient_products
from .influence_result import Influence
from .last_layer import LastLayerReader
from .sample_losses import Array, Explain, Layers, Loss, SampleLosses, Samples


def tracin(
    model: keras.Model,
    train: Samples,
    test: Samples,
    *,
    checkpoints: str | Path | Sequence[Checkpoint] | None = None,
    learning_rates: float | Sequence[float] | None = None,
    layers: Layers | None = None,
    projection: int | None = None,
    loss: Loss = "cross_entropy",
    explain: Explain = "label",
    output: int | str | None = None,
    seed: int = 0,
    batch_size: int = 256,
    verbose: int = 0,
) -> Influence:
    """Sums over checkpoints the learning rate times ⟨g(train), g(test)⟩, g being gradients of the loss.

    TracInCP (Pruthi et al. 2020, section 3.2): to first order, what steps of plain gradient descent on the
    training sample took off the test sample's loss. Other optimizers scale gradients otherwise, and the
    values are then in no unit; their ranking is what counts.

    Checkpoints are weights at several times of the training, best at times when the loss falls quickly.
    `keras.callbacks.ModelCheckpoint("run/{epoch:03d}.weights.h5", save_weights_only=True)` stores them.

    Args:
        model: A built Keras model; it is left as it is.
        train: `(x, y)` that the model was trained on.
        test: `(x, y)` whose loss is explained.
        checkpoints: A folder of `.weights.h5` or `.keras` files, a list of them, or of lists of weights as
            `get_weights` gives them. None for the weights that the model has now.
        learning_rates: One for all checkpoints or one for each; None takes the compiled model's, or else 1.
        layers: None for the dense layer that makes the logits, in closed form: the product of errors times
            the product of activations (TracInCPFast). Or layers by path, or `"all"`, by per-sample gradients.
        projection: For `layers`, the dimension to which gradients are projected at random, so that `train` is
            passed once whatever the number of test samples; without, once for every 2²⁵ numbers of test
            gradients. Products are then right on average, with a standard deviation of at most
            ‖g‖ ‖g′‖ √(2 / projection).
        loss: As in `influence`.
        explain: As in `influence`; classes are those that the model predicts now.
        output: Which output, where the model has several.
        seed: Seed of the projection.
        batch_size: Samples at a time.
        verbose: 1 draws progress bars.

    Returns:
        `Influence`, whose values are above 0 where the training sample helped.

    Raises:
        ValueError: If shapes, labels or names do not fit, a checkpoint cannot be read or holds other weights,
            learning rates are of another number, or no dense layer makes the logits.
        TypeError: If `train` or `test` is no pair.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> random = np.random.default_rng(0)
        >>> x, y = random.normal(size=(20, 4)), random.integers(3, size=20)
        >>> weights = [model.get_weights()]  # and more as training goes on
        >>> found = tracin(model, (x, y), (x[:2], y[:2]), checkpoints=weights, learning_rates=0.1)
        >>> found.values.shape
        (2, 20)
    """
    if projection is not None:
        if layers is None:
            raise ValueError("`projection` is for `layers`: the last layer needs none.")
        projection = checked_number(projection, "projection", least=1, whole=True)
    losses = SampleLosses(model, loss, output=output, batch_size=batch_size)
    pair = losses.samples(train, "train"), losses.samples(test, "test")
    truth = pair[1][1]
    labels, predicted = losses.explained(pair[1], explain)
    pair = pair[0], (pair[1][0], labels)
    products = _products(losses, layers, projection, seed, verbose)
    files = read_checkpoints(model, checkpoints)
    rates = checked_rates(learning_rates, len(files), model)
    values = np.zeros((len(pair[1][1]), len(pair[0][1])))
    for checkpoint, rate in zip(files, rates, strict=True):
        weights = losses.weights(weights_of(model, checkpoint))
        values += rate * products(*pair, weights)
    about = {
        "method": "tracin",
        "layers": "last" if layers is None else str(layers),
        "checkpoints": len(files),
        "learning_rates": rates,
        "projection": projection,
        "explain": explain,
    }
    return Influence(values, pair[0][1], truth, predicted, about)


def own_tracin(
    losses: SampleLosses,
    samples: tuple[Any, NDArray[Any]],
    files: Sequence[Any],
    rates: Sequence[float],
    layers: Layers | None,
    *,
    verbose: int = 0,
) -> Array:
    """Returns the sum over checkpoints of the learning rate times ‖g‖² of each sample, `(samples,)`."""
    reader = LastLayerReader(losses) if layers is None else None
    found = np.zeros(len(samples[1]))
    for checkpoint, rate in zip(files, rates, strict=True):
        weights = losses.weights(weights_of(losses.model, checkpoint))
        if reader is not None:
            read = reader.read(samples, weights, verbose=verbose)
            squares = (read.features.astype(np.float64) ** 2).sum(axis=1)
            norms = squares * (read.errors**2).sum(axis=1)
        else:
            assert layers is not None
            norms = losses.per_sample(
                samples,
                losses.chosen(layers),
                lambda g: tf.reduce_sum(g**2),
                weights=weights,
                key="norm",
                verbose=verbose,
            )
        found += rate * norms
    return found


def _products(
    losses: SampleLosses, layers: Layers | None, projection: int | None, seed: int, verbose: int
) -> Callable[..., Array]:
    """What makes the products of gradients of training and test samples at given weights."""
    if layers is None:
        reader = LastLayerReader(losses)

        def closed(train: Any, test: Any, weights: Any) -> Array:
            seen, asked = (reader.read(part, weights, verbose=verbose) for part in (train, test))
            return asked.products(seen)

        return closed
    places = losses.chosen(layers)
    if projection is None:
        return lambda train, test, weights: gradient_products(
            losses, train, test, places, weights=weights, verbose=verbose
        )
    sketch = _sketch(losses, places, projection, seed)

    def projected(train: Any, test: Any, weights: Any) -> Array:
        seen, asked = (
            losses.per_sample(
                part,
                places,
                lambda g, buckets, signs: tf.math.unsorted_segment_sum(
                    signs * g, buckets, projection
                ),
                weights=weights,
                given=sketch,
                key=("sketch", projection),
                verbose=verbose,
            ).astype(np.float64)
            for part in (train, test)
        )
        return asked @ seen.T

    return projected


def _sketch(losses: SampleLosses, places: list[int], projection: int, seed: int) -> tuple[Any, Any]:
    """A bucket and a sign for each weight, by which sums in buckets keep products on average.

    A count sketch (Charikar et al. 2002): a projection with one entry a weight, and not `projection` of them.
    """
    size = sum(int(np.prod(losses.model.weights[place].shape)) for place in places)
    random = np.random.default_rng(seed)
    buckets = random.integers(projection, size=size).astype(np.int32)
    signs = random.choice(np.array([-1.0, 1.0], np.float32), size=size)
    return tf.constant(buckets), tf.constant(signs)


def checked_rates(
    given: float | Sequence[float] | None, count: int, model: keras.Model
) -> list[float]:
    """Returns one learning rate a checkpoint.

    Raises:
        ValueError: If they are of another number, or one is not above 0.
    """
    if given is None:
        rate = getattr(getattr(model, "optimizer", None), "learning_rate", 1.0)
        return [float(rate)] * count
    rates = [given] * count if np.ndim(given) == 0 else list(given)  # type: ignore[arg-type]
    if len(rates) != count:
        raise ValueError(
            f"`learning_rates` must be one number, or one for each of the {count} checkpoints. "
            f"Received: {len(rates)}."
        )
    return [checked_number(rate, "learning_rates", least=0) for rate in rates]
