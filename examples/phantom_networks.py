"""A small convolutional network, for the examples with phantoms of chest radiographs."""

from __future__ import annotations

import keras
from keras import layers


def convolutional(x, y, *, classes=None, epochs=100):
    """Returns a network trained on images: a classifier, or without classes a regressor of one value."""
    keras.utils.set_random_seed(0)
    head = layers.Dense(1) if classes is None else layers.Dense(classes, activation="softmax")
    network = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(32, activation="relu"),
            head,
        ]
    )
    loss = "mse" if classes is None else "sparse_categorical_crossentropy"
    network.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    network.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    return network
