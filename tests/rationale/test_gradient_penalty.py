"""The gradient penalty against closed forms and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pli.rationale.generators.gradient_penalty import gradient_penalty

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(7,), (5, 6, 2), (3, 4, 5, 1)])
def test_a_linear_critic_is_penalised_by_the_length_of_its_weights(shape):
    weights = RNG.normal(size=shape).astype("float32")
    real, fake = RNG.normal(size=(2, 4, *shape)).astype("float32")
    axes = list(range(1, len(shape) + 1))
    found = gradient_penalty(
        lambda x: tf.reduce_sum(x * weights, axis=axes),
        tf.constant(real),
        tf.constant(fake),
        tf.constant(RNG.uniform(size=4).astype("float32")),
    )
    expected = (np.sqrt(np.sum(weights.astype(float) ** 2)) - 1) ** 2
    np.testing.assert_allclose(found, np.full(4, expected), rtol=1e-5)


def test_slopes_are_taken_between_the_samples_at_the_weights_given():
    # f(x) = |x|² / 2 has the slope x itself, so the penalty tells where it was taken.
    real, fake = RNG.normal(size=(2, 6, 3, 3, 1)).astype("float32")
    mix = np.linspace(0, 1, 6, dtype="float32")
    found = gradient_penalty(
        lambda x: tf.reduce_sum(x * x, axis=[1, 2, 3]) / 2,
        tf.constant(real),
        tf.constant(fake),
        tf.constant(mix),
    )
    weight = mix[:, None, None, None]
    norms = np.linalg.norm((weight * real + (1 - weight) * fake).reshape(6, -1), axis=1)
    np.testing.assert_allclose(found, (norms - 1) ** 2, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_flat_critic_has_a_penalty_of_one_and_a_gradient_that_is_a_number(jit_compile):
    weights = tf.Variable(tf.zeros((4, 1)))

    @tf.function(jit_compile=jit_compile)
    def penalty_and_gradient():
        with tf.GradientTape() as tape:
            penalty = gradient_penalty(
                lambda x: tf.matmul(x, weights), tf.ones((2, 4)), tf.zeros((2, 4)), tf.ones(2)
            )
        return penalty, tape.gradient(penalty, weights)

    penalty, gradient = penalty_and_gradient()
    np.testing.assert_array_equal(penalty, [1, 1])
    np.testing.assert_array_equal(gradient, np.zeros((4, 1)))


def test_its_gradient_by_the_weights_is_that_of_finite_differences():
    real, fake = tf.constant(
        RNG.normal(size=(2, 3, 4))
    )  # float64: differences of float32 are coarse
    mix, start = tf.constant([0.2, 0.5, 0.9], tf.float64), RNG.normal(size=(4, 4))
    weights = tf.Variable(start)

    def total():
        return tf.reduce_sum(
            gradient_penalty(lambda x: tf.reduce_sum(tf.tanh(x @ weights), 1), real, fake, mix)
        )

    with tf.GradientTape() as tape:
        value = total()
    gradient = tape.gradient(value, weights).numpy()
    for place in [(0, 0), (1, 3), (3, 2)]:
        step = np.zeros((4, 4))
        step[place] = 1e-6
        weights.assign(start + step)
        above = total()
        weights.assign(start - step)
        assert float(above - total()) / 2e-6 == pytest.approx(gradient[place], rel=1e-5)
