"""One small autoencoder for each class: what IM1 takes the look of a class from."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import ArrayLike

from ...checks import finite_array, label_array, quoted


def class_autoencoders(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    classes: Sequence[int] | None = None,
    bottleneck: int = 8,
    epochs: int = 30,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[int, keras.Model]:
    """Trains an autoencoder for each class on its images alone.

    Van Looveren & Klaise (2019) train convolutional ones; these have one hidden layer on either side of the
    bottleneck, which takes seconds a class. A narrow bottleneck is what makes them tell classes apart: a wide
    one reconstructs anything.

    Args:
        images: Images of all classes, `(samples, height, width, channels)`, best those that the explained
            classifier was trained on.
        labels: The class of each image.
        classes: The classes to train for; None for all that occur.
        bottleneck: Length of the code between encoder and decoder.
        epochs: As in Keras.
        batch_size: As in Keras.
        seed: Seed of weights and order.

    Returns:
        A Keras model from images to images for each class.

    Raises:
        ValueError: If shapes do not fit or a class has no image.

    Example:
        >>> random = np.random.default_rng(0)
        >>> images = random.uniform(-1, 1, (40, 4, 4, 1))
        >>> sorted(class_autoencoders(images, np.arange(40) % 2, epochs=1))
        [0, 1]
    """
    pictures = finite_array(images, "images", ndim=4)
    known = label_array(labels, len(pictures))
    wanted = np.unique(known) if classes is None else np.asarray(classes)
    absent = [label for label in wanted if not (known == label).any()]
    if absent:
        raise ValueError(f"`classes` holds {quoted(absent)}, of which there is no image.")
    found = {}
    for label in wanted:
        rows = pictures[known == label]
        model = _autoencoder(rows.shape[1:], bottleneck, 1000 * seed + 10 * int(label))
        model.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
        model.optimizer.build(model.trainable_variables)  # or Keras traces the first step twice
        data = tf.data.Dataset.from_tensor_slices((rows, rows)).shuffle(len(rows), seed=seed)
        model.fit(data.batch(batch_size), epochs=epochs, shuffle=False, verbose=0)
        found[int(label)] = model
    return found


def _autoencoder(shape: tuple[int, ...], bottleneck: int, seed: int) -> keras.Model:
    def dense(units: int, place: int, activation: str | None = None) -> keras.Layer:
        start = keras.initializers.GlorotUniform(seed + place)
        return layers.Dense(units, activation, kernel_initializer=start, dtype="float32")

    pictures = keras.Input(shape)
    hidden = dense(64, 0, "selu")(layers.Flatten()(pictures))
    code = dense(bottleneck, 1)(hidden)
    hidden = dense(64, 2, "selu")(code)
    values = dense(int(np.prod(shape)), 3)(hidden)
    return keras.Model(pictures, layers.Reshape(shape)(values), name="class_autoencoder")
