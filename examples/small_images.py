"""Images and a network that the studies of labels share."""

from __future__ import annotations

import keras
import numpy as np
from data import load

TRAIN, TEST = 4000, 4000


def images_of(path, seed):
    """Training images of a seed, and held-out ones: (samples, height, width, channels) in [0, 1], classes."""
    drawn = []
    for (x, y), count in zip(load(keras.datasets.fashion_mnist, path), (TRAIN, TEST), strict=True):
        rows = np.random.default_rng(seed).permutation(len(y))[:count]
        images = x[rows].reshape(len(rows), *x.shape[1:3], -1).astype("float32") / x.max()
        drawn.append((images, y[rows].ravel().astype(int)))
    return drawn


def trained(x, labels, classes, seed, *, batch_size, epochs):
    """A small convolutional network, trained on the labels given."""
    keras.utils.set_random_seed(seed)
    classifier = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", name="features"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x, labels, batch_size=batch_size, epochs=epochs, verbose=0)
    return classifier
