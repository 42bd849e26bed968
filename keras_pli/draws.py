"""Random numbers that are the same in a graph and under XLA.

TensorFlow's stateless generators agree there in the bits that they draw, and not in the floats that they
make of them, whatever algorithm is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

Tensor = Any


def uniform(shape: Sequence[int], seed: tuple[Any, Any]) -> Tensor:
    """Returns draws from (0, 1), float32.

    Args:
        shape: Their shape.
        seed: Two integers, one of which may be the number of a step.

    Example:
        >>> draws = uniform((3, 1000), (0, 7))
        >>> bool(tf.reduce_all((draws > 0) & (draws < 1)))
        True
    """
    pair = tf.stack([tf.cast(part, tf.int64) for part in seed])
    bits = tf.random.stateless_uniform(shape, pair, None, None, tf.uint32, alg="philox")
    # As many bits as a float32 holds exactly, and half a step up, which leaves out 0.
    upper = tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32)
    return (upper + 0.5) * 2.0**-23


def normal(shape: Sequence[int], seed: tuple[Any, Any]) -> Tensor:
    """Returns draws from the standard normal distribution, float32.

    Args:
        shape: Their shape.
        seed: Two integers, one of which may be the number of a step.

    Example:
        >>> normal((3, 1000), (0, 7)).shape
        TensorShape([3, 1000])
    """
    return tf.math.ndtri(uniform(shape, seed))
