"""Inputs of every number of axes, linear models with closed forms, and a small network to loop over."""

import keras
import numpy as np

SHAPES = {"features": (10,), "1-D": (11, 2), "2-D": (5, 6, 2), "3-D": (3, 4, 5, 1)}


def samples(shape, count=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def linear_model(shape, classes=3, seed=1):
    """A linear model with a bias, and its weights `(*shape, classes)`."""
    model = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    )
    weights = samples((*shape, classes), count=1, seed=seed)[0]
    model.layers[-1].set_weights([weights.reshape(-1, classes), np.arange(classes) - 1.0])
    return model, weights.astype(np.float64)


def network(shape, activation="softmax", units=3):
    """A small non-linear classifier of 2-D images."""
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(4, 3, activation="relu", bias_initializer="random_normal"),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation),
        ]
    )


def naive_scores(model, x, target):
    """The model's own output, one sample at a time."""
    return np.array([model(one[None]).numpy()[0, cls] for one, cls in zip(x, target, strict=True)])


def contributions(weights, x, cls, baseline=0.0):
    """What each position adds to the score of a linear model, `(samples, positions)`."""
    values = weights[..., cls] * (x - baseline)
    return values.reshape(len(x), -1) if x.ndim == 2 else values.sum(axis=-1).reshape(len(x), -1)
