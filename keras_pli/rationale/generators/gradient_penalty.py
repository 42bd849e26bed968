"""The gradient penalty of a Wasserstein critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor
) -> Tensor:
    """How far the critic's slope is from 1 between real and generated samples.

    (‖∇f(x̂)‖₂ − 1)² at x̂ = ε x + (1 − ε) x̃, the norm being over all axes of a sample
    (Gulrajani et al. 2017, equation 3). Where the gradient is zero, the norm's derivative is taken as zero.

    Args:
        critic: From samples to one number each.
        real: Samples x, `(samples, ...)`.
        fake: As many samples x̃.
        mix: One ε in [0, 1] for each sample, `(samples,)`.

    Returns:
        The penalty of each sample, `(samples,)`, to be averaged.

    Example:
        >>> slope_two = lambda x: 2.0 * x[:, 0]
        >>> gradient_penalty(slope_two, tf.ones((3, 2)), tf.zeros((3, 2)), tf.constant([0.1, 0.5, 0.9]))
        <tf.Tensor: shape=(3,), dtype=float32, numpy=array([1., 1., 1.], dtype=float32)>
    """
    mix = tf.reshape(mix, (-1, *[1] * (real.shape.rank - 1)))
    between = mix * real + (1.0 - mix) * fake
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = critic(between)
    slopes = tape.gradient(scores, between, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    squared = tf.reduce_sum(tf.square(slopes), axis=list(range(1, real.shape.rank)))
    # The root's derivative is infinite at zero, and infinity times zero is not a number.
    steep = squared > 0.0
    norm = tf.where(steep, tf.sqrt(tf.where(steep, squared, 1.0)), 0.0)
    return tf.square(norm - 1.0)
