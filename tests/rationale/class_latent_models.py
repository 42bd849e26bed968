"""Generators and classifiers so simple that inversions and traversals are known in closed form."""

import keras
import numpy as np

SIDE = 4
PIXELS = SIDE * SIDE
STRUCTURE, BLOCK = 2, 2


def drawing(latent=STRUCTURE + BLOCK, seed=5):
    """Weights from codes to pixels."""
    return np.random.default_rng(seed).normal(size=(latent, PIXELS)).astype("float32")


def generator(weights, activation=None):
    """Images that are a linear function of codes, or a bent one."""
    codes = keras.Input((len(weights),))
    dense = keras.layers.Dense(PIXELS, activation, use_bias=False)
    model = keras.Model(codes, keras.layers.Reshape((SIDE, SIDE, 1))(dense(codes)))
    dense.set_weights([weights])
    return model


def classifier(weights, bias, activation="softmax"):
    """A linear classifier of images."""
    images = keras.Input((SIDE, SIDE, 1))
    dense = keras.layers.Dense(np.shape(weights)[1], activation)
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    dense.set_weights([np.asarray(weights, "float32"), np.asarray(bias, "float32")])
    return model


def random_classifier(classes=2, seed=7, activation="softmax"):
    random = np.random.default_rng(seed)
    units = 1 if activation == "sigmoid" and classes == 2 else classes
    weights = 0.4 * random.normal(size=(PIXELS, units))
    return classifier(weights, 0.3 * random.normal(size=units), activation)
