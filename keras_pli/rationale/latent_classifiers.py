"""Classifiers and regressors of codes: small networks on what an encoder has learned."""

from __future__ import annotations

import keras

from .generators.networks import check_sizes


def linear_regressor(latent_size: int, outputs: int = 1, *, seed: int = 0) -> keras.Model:
    """Builds a linear regression of codes, such as that of scaled BNP (Seah et al. 2018, sections 2 and 3).

    Args:
        latent_size: Length of a code.
        outputs: Number of values predicted.
        seed: Seed of the weights.

    Returns:
        A built, uncompiled `keras.Model` from `(samples, latent_size)` to `(samples, outputs)`.

    Raises:
        ValueError: If a size is less than 1.

    Example:
        >>> linear_regressor(100).output_shape
        (None, 1)
    """
    check_sizes(latent_size=latent_size, outputs=outputs)
    codes = keras.Input((latent_size,), name="codes")
    return keras.Model(codes, _dense(outputs, seed, name="outputs")(codes), name="linear_regressor")


def mlp(
    latent_size: int, classes: int | None = None, *, units: int = 100, seed: int = 0
) -> keras.Model:
    """Builds a perceptron of two layers on codes (Seah et al. 2018, section 2).

    Args:
        latent_size: Length of a code.
        classes: Number of classes, for a softmax over them, or None for the regression of one value.
        units: Width of the hidden layer.
        seed: Seed of the weights.

    Returns:
        A built, uncompiled `keras.Model` from `(samples, latent_size)` to `(samples, classes or 1)`.

    Raises:
        ValueError: If a size is less than 1, or there are fewer than two classes.

    Example:
        >>> mlp(100, classes=10).output_shape
        (None, 10)
    """
    check_sizes(latent_size=latent_size, units=units)
    if classes is not None and classes < 2:
        raise ValueError(
            f"`classes` must be at least 2, or None for a regression. Received: {classes}."
        )
    codes = keras.Input((latent_size,), name="codes")
    hidden = _dense(units, seed, activation="relu", name="hidden")(codes)
    if classes is None:
        outputs = _dense(1, seed + 1, name="outputs")(hidden)
    else:
        outputs = _dense(classes, seed + 1, activation="softmax", name="outputs")(hidden)
    return keras.Model(codes, outputs, name="mlp")


def residual_network(
    latent_size: int,
    outputs: int,
    *,
    activation: str | None = "sigmoid",
    units: int = 100,
    depth: int = 6,
    seed: int = 0,
) -> keras.Model:
    """Builds six fully connected layers of 100 units with residual connections, and an output layer.

    The classifier of ChestX-ray8 in Seah et al. (2018, section 2). The first layer brings codes to the
    width; every other adds the ReLU of a linear map to its input.

    Args:
        latent_size: Length of a code.
        outputs: Number of outputs.
        activation: At the end: `"sigmoid"` for findings that do not exclude each other, as there,
            `"softmax"` for classes, None for a regression.
        units: Width of the layers.
        depth: Their number.
        seed: Seed of the weights.

    Returns:
        A built, uncompiled `keras.Model` from `(samples, latent_size)` to `(samples, outputs)`.

    Raises:
        ValueError: If a size is less than 1.

    Example:
        >>> residual_network(100, outputs=8).count_params()
        61408
    """
    check_sizes(latent_size=latent_size, outputs=outputs, units=units, depth=depth)
    codes = keras.Input((latent_size,), name="codes")
    hidden = _dense(units, seed, activation="relu", name="layer_1")(codes)
    for number in range(2, depth + 1):
        change = _dense(units, seed + number, activation="relu", name=f"layer_{number}")(hidden)
        hidden = keras.layers.Add(name=f"sum_{number}")([hidden, change])
    last = _dense(outputs, seed + depth + 1, activation=activation, name="outputs")
    return keras.Model(codes, last(hidden), name="residual_network")


def _dense(units: int, seed: int, *, name: str, activation: str | None = None) -> keras.Layer:
    start = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(units, activation=activation, kernel_initializer=start, name=name)
