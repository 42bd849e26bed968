import doctest

import keras
import numpy as np
import tensorflow as tf

from keras_pli.network import adam
from keras_pli.network.adam import Moments, adam_step

RNG = np.random.default_rng(0)
GRADIENTS = RNG.normal(size=(30, 4, 3)).astype("float32") * np.float32([[1e-3], [1], [50], [0]])


def by_hand(gradients, rate):
    """Algorithm 1 of Kingma & Ba in float64: where the points are behind each step, from 0."""
    first = second = points = np.zeros(gradients.shape[1:])
    visited = []
    for t, gradient in enumerate(gradients.astype(float), start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        points = points - rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        visited.append(points)
    return np.array(visited)


def keras_adam(gradients, rate):
    variable = keras.Variable(np.zeros(gradients.shape[1:], "float32"))
    optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
    visited = []
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [variable])
        visited.append(variable.numpy())
    return np.array(visited)


def ours(gradients, rate):
    points, moments, visited = tf.zeros(gradients.shape[1:]), Moments.none(gradients[0]), []
    for step, gradient in enumerate(gradients, start=1):
        move, moments = adam_step(moments, tf.constant(gradient), tf.constant(step), rate)
        points -= move
        visited.append(points.numpy())
    return np.array(visited)


def test_goes_the_way_of_the_paper_and_of_keras():
    visited = by_hand(GRADIENTS, 0.1)
    np.testing.assert_allclose(ours(GRADIENTS, 0.1), visited, atol=2e-5)
    # Where gradients are far above ε; Keras has ε beside the root before its bias is corrected.
    np.testing.assert_allclose(keras_adam(GRADIENTS, 0.1)[:, 1:], visited[:, 1:], atol=2e-5)


def test_samples_may_be_at_steps_of_their_own():
    """A sample that begins late moves as one that begins at once."""
    late = 7
    moments = Moments.none(GRADIENTS[0])
    points, steps = np.zeros_like(GRADIENTS[0]), np.zeros((4, 1), "int32")
    for number, gradient in enumerate(GRADIENTS):
        goes = np.array([[True], [number >= late], [True], [True]])
        steps = steps + goes
        used = gradient.copy()
        used[1] = GRADIENTS[number - late, 1]
        move, fresh = adam_step(moments, tf.constant(used), tf.maximum(steps, 1), 0.1)
        moments = fresh.where(tf.constant(goes), moments)
        points = np.where(goes, points - move, points)
    visited = by_hand(GRADIENTS, 0.1)
    np.testing.assert_allclose(points[[0, 2, 3]], visited[-1, [0, 2, 3]], atol=2e-5)
    np.testing.assert_allclose(points[1], visited[-1 - late, 1], atol=2e-5)


def test_examples_run():
    assert doctest.testmod(adam).failed == 0
