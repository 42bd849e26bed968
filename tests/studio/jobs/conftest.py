"""What a session with jobs is opened with."""

import keras
import numpy as np
import pytest
from job_studio import NAMES

from keras_pli.studio import StudioData


@pytest.fixture(scope="module")
def given():
    """What a session is opened with: a classifier that errs, and a map of its two features."""
    random = np.random.default_rng(2)
    labels = np.arange(90) % 3
    centres = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 6.0]])
    x = (centres[labels] + random.normal(size=(90, 2))).astype(np.float32)
    classifier = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)], name="tiny")
    classifier.set_weights([2 * centres.T, -np.square(centres).sum(axis=1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.SGD(0.01), loss)
    classifier.optimizer.build(classifier.trainable_variables)
    embedder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    back = np.linalg.pinv(2 * centres.T)  # from the logits to where the points are
    embedder.set_weights([back, np.square(centres).sum(axis=1) @ back])
    return StudioData.of(
        classifier, x[:60], labels[:60], test=(x[60:], labels[60:]), class_names=NAMES
    ), embedder
