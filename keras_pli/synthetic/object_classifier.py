"""The known-truth benchmark's network, and its training to an accuracy at which its maps mean something."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..checks import one_of
from .object_shapes import shapes
from .objects import SIZES, KnownTruth

FILTERS = {1: (16, 32, 32), 2: (16, 32, 32), 3: (16, 16, 32)}
KERNEL = {1: 7, 2: 3, 3: 3}  # wide enough for the last convolution to see an object whole
HEADS = ("gap", "dense")


def known_truth_classifier(
    dimensions: int = 2,
    *,
    size: int | None = None,
    head: str = "gap",
    batch_norm: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Builds the benchmark's convolutional network, with fresh weights.

    Three convolutions, each followed by a ReLU, with max-pooling by two between them. The last,
    `"conv_3"`, keeps a quarter of the input's resolution, so that Grad-CAM can point to a place.

    Args:
        dimensions: 1, 2 or 3.
        size: Length of the input along every axis, by default that of `known_truth`.
        head: `"gap"` for global average pooling before the softmax layer, so that class activation maps
            (CAM) exist, or `"dense"` for max-pooling and a softmax layer on all positions.
        batch_norm: Whether each convolution is followed by batch normalisation.
        seed: Seed of the weights.

    Returns:
        A `keras.Sequential`, not compiled.

    Raises:
        ValueError: If there is no such dimension or head.

    Example:
        >>> known_truth_classifier(3).get_layer("conv_3").output.shape
        (None, 4, 4, 4, 32)
    """
    one_of(dimensions, SIZES, "dimensions")
    one_of(head, HEADS, "head")
    size = SIZES[dimensions] if size is None else size
    network = [keras.Input((*[size] * dimensions, 1))]
    for number, filters in enumerate(FILTERS[dimensions], start=1):
        if number > 1:
            network.append(_layer("MaxPooling", dimensions)(2, name=f"pool_{number - 1}"))
        network += _convolution(dimensions, filters, batch_norm, number, seed + number)
    if head == "gap":
        network.append(_layer("GlobalAveragePooling", dimensions)(name="gap"))
    else:
        network.append(_layer("MaxPooling", dimensions)(2, name="pool_3"))
        network.append(keras.layers.Flatten(name="flatten"))
    network.append(
        keras.layers.Dense(
            len(shapes(dimensions).class_names),
            activation="softmax",
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            name="classes",
        )
    )
    return keras.Sequential(network, name=f"known_truth_{dimensions}d")


def train_known_truth(
    data: KnownTruth,
    held_out: KnownTruth,
    *,
    head: str = "gap",
    batch_norm: bool = False,
    accuracy: float = 0.99,
    epochs: int = 40,
    seed: int = 0,
) -> keras.Model:
    """Trains the benchmark's network until it classifies held-out samples well.

    Args:
        data: Samples to train on, from `known_truth`.
        held_out: Samples made with another seed; training stops when two epochs running reach `accuracy` on
            them, since one may do so by luck.
        head: `"gap"` or `"dense"`, see `known_truth_classifier`.
        batch_norm: Whether to use batch normalisation.
        accuracy: The share of held-out samples to be put into their class.
        epochs: The most epochs to train for.
        seed: Seed of the weights and of the order of training.

    Returns:
        The trained `keras.Model`, compiled. Its logits sum to 0, so that a map of one logit shows what
        speaks for its class against the others.

    Raises:
        ValueError: If the two sets differ in shape or are the same, or `accuracy` is not in (0, 1].
        RuntimeError: If the accuracy is not reached.

    Example:
        >>> from keras_pli.synthetic import known_truth
        >>> data, held_out = known_truth(1), known_truth(1, samples=1000, seed=1)
        >>> classifier = train_known_truth(data, held_out)
        >>> classifier.evaluate(held_out.x, held_out.y, verbose=0)[1] >= 0.99
        True
    """
    _check_sets(data, held_out)
    if not 0 < accuracy <= 1:
        raise ValueError(f"`accuracy` must lie in (0, 1]. Received: {accuracy}.")
    classifier = known_truth_classifier(
        data.x.ndim - 2, size=data.x.shape[1], head=head, batch_norm=batch_norm, seed=seed
    )
    classifier.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA makes an epoch of these networks 4 to 25 times slower on a CPU
    )
    random = np.random.default_rng(seed)
    history = [0.0]
    for _ in range(epochs):
        order = random.permutation(len(data.x))
        classifier.fit(data.x[order], data.y[order], batch_size=50, shuffle=False, verbose=0)
        history.append(classifier.evaluate(held_out.x, held_out.y, batch_size=250, verbose=0)[1])
        if min(history[-2:]) >= accuracy:
            _centre_logits(classifier)
            return classifier
    raise RuntimeError(
        f"The network did not put {accuracy:.1%} of the held-out samples into their class after two epochs "
        f"running; the best of {epochs} on {len(data.x)} samples was {max(history):.1%}. Train on more "
        "samples, for longer, or from another seed."
    )


def _centre_logits(classifier: keras.Model) -> None:
    """Takes from each logit what all have in common: the softmax is blind to it, a logit's map is not."""
    head = classifier.get_layer("classes")
    kernel, bias = head.get_weights()
    head.set_weights([kernel - kernel.mean(axis=1, keepdims=True), bias - bias.mean()])


def _convolution(
    dimensions: int, filters: int, batch_norm: bool, number: int, seed: int
) -> list[keras.Layer]:
    layers = [
        _layer("Conv", dimensions)(
            filters,
            KERNEL[dimensions],
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer=keras.initializers.HeNormal(seed),
            name=f"conv_{number}",
        )
    ]
    if batch_norm:
        # Training is short: at Keras's default of 0.99 the moving moments would lag behind the weights.
        layers.append(keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{number}"))
    return [*layers, keras.layers.ReLU(name=f"relu_{number}")]


def _layer(name: str, dimensions: int) -> Any:
    return getattr(keras.layers, f"{name}{dimensions}D")


def _check_sets(data: KnownTruth, held_out: KnownTruth) -> None:
    if data.x.shape[1:] != held_out.x.shape[1:]:
        raise ValueError(
            "Samples to train on and held out must have one shape. "
            f"Received: {data.x.shape[1:]} and {held_out.x.shape[1:]}."
        )
    if np.array_equal(data.x, held_out.x):
        raise ValueError("`held_out` holds the samples of `data`. Make it with another `seed`.")
