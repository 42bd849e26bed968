"""Classifiers of every kind that is exported."""

import keras
import numpy as np
from keras import layers


def convolutional(axes=2, *, classes=4, head="softmax", name="classifier"):
    keras.utils.set_random_seed(axes)
    shape = {1: (24, 2), 2: (8, 8, 1), 3: (6, 6, 6, 1)}[axes]
    conv, pool = getattr(layers, f"Conv{axes}D"), getattr(layers, f"GlobalAveragePooling{axes}D")
    body = [conv(6, 3, activation="relu", name="conv"), pool(), layers.Dense(classes, head)]
    return keras.Sequential([keras.Input(shape, name="image"), *body], name=name)


def two_inputs():
    keras.utils.set_random_seed(4)
    image, table = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="table")
    z = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(image))
    z = layers.Dense(8, activation="relu")(layers.Concatenate()([z, table]))
    return keras.Model({"table": table, "image": image}, layers.Dense(3)(z))


def two_outputs():
    image = keras.Input((8, 8, 1), name="image")
    z = layers.Flatten()(image)
    classes = layers.Dense(3, "softmax", name="kind")(z)
    return keras.Model(image, [classes, layers.Dense(1, name="age")(z)])


def nested():
    backbone = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(6, 3, activation="relu", name="conv")],
        name="backbone",
    )
    image = keras.Input((8, 8, 1))
    z = layers.GlobalAveragePooling2D()(backbone(image))
    return keras.Model(image, layers.Activation("softmax")(layers.Dense(4)(z)))


def mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return convolutional()
    finally:
        keras.config.set_dtype_policy("float32")


def preprocessing():
    normalization = layers.Normalization(axis=-1)
    normalization.adapt(np.random.default_rng(0).random((20, 8, 8, 1)) * 255)
    image = keras.Input((8, 8, 1), name="pixels")
    z = layers.Resizing(6, 6)(layers.Rescaling(1 / 255)(normalization(image)))
    z = layers.RandomFlip()(z)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Conv2D(4, 3)(z))))


def with_words():
    image, word = keras.Input((8, 8, 1), name="image"), keras.Input((), dtype="string", name="word")
    lookup = layers.StringLookup(vocabulary=["left", "right"], output_mode="one_hot")
    z = layers.Concatenate()([layers.Flatten()(image), lookup(word)])
    return keras.Model([image, word], layers.Dense(3, "softmax")(z))


def binary():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(1, "sigmoid"),
        ]
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(6, 3, activation="relu")
        self.norm = layers.BatchNormalization()
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(4)

    def call(self, x, training=None):
        return self.head(self.pool(self.norm(self.conv(x), training=training)))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 8, 8, 1), "float32"))
    return model
