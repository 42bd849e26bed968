"""One step of Adam for many samples at once, each of which may be at a step of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

Tensor = Any


class Moments(NamedTuple):
    """What Adam remembers of the gradients so far, shaped like the points.

    Attributes:
        first: Their running mean.
        second: The running mean of their squares.
    """

    first: Tensor
    second: Tensor

    @classmethod
    def none(cls, points: Tensor) -> Moments:
        """Returns the moments before the first step."""
        return cls(tf.zeros_like(points), tf.zeros_like(points))

    def where(self, chosen: Tensor, other: Moments) -> Moments:
        """Returns these moments where `chosen` holds, and the other ones elsewhere."""
        pairs = zip(self, other, strict=True)
        return Moments(*(tf.where(chosen, mine, others) for mine, others in pairs))


def adam_step(
    moments: Moments, gradients: Tensor, step: Tensor, learning_rate: float
) -> tuple[Tensor, Moments]:
    """Returns what to take from the points, and the moments behind the step.

    Algorithm 1 of Kingma & Ba ("Adam: A Method for Stochastic Optimization", 2015), with its decay rates .9
    and .999, and ε = 1e-8 beside the root.

    Args:
        moments: Of the steps before.
        gradients: At the points, `(batch, ...)`.
        step: The number of this step, 1 for the first; a scalar, or one for each sample with the axes to
            broadcast.
        learning_rate: Adam's step size α.

    Example:
        >>> slopes = tf.constant([[2.0, -0.5]])
        >>> moved, _ = adam_step(Moments.none(slopes), slopes, tf.constant(1), 0.1)
        >>> [round(value, 4) for value in moved.numpy()[0].tolist()]  # the first step has one length
        [0.1, -0.1]
    """
    time = tf.cast(step, tf.float32)
    first = 0.9 * moments.first + 0.1 * gradients
    second = 0.999 * moments.second + 0.001 * gradients**2
    mean, square = first / (1 - 0.9**time), second / (1 - 0.999**time)
    return learning_rate * mean / (tf.sqrt(square) + 1e-8), Moments(first, second)
