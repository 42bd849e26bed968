"""Many passes over the same samples within one compiled function: path steps, noise draws, windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any


def summed(
    evaluate: Callable[[Tensor, Tensor], Any], count: int, zeros: Any, *, batch: Tensor, room: int
) -> Any:
    """Sums what `evaluate` finds at the positions 0, …, count − 1, as many at a time as there is room for.

    Memory is that of one evaluation, whatever the count.

    Args:
        evaluate: From positions `(p,)`, int32, and weights `(p,)`, float32, to a structure like `zeros`,
            summed over the positions by these weights. A weight is 1, or 0 for a position that only fills
            up the last evaluation.
        count: Number of positions, at least 1.
        zeros: Where the sums start; their shapes stay.
        batch: Number of samples in the batch, a scalar.
        room: Inputs that may run through the model at a time; one position takes `batch` of them.

    Returns:
        The sums, a structure like `zeros`.
    """
    if count == 1:  # without a loop, which would slow down the loops within it
        found = evaluate(tf.zeros(1, tf.int32), tf.ones(1))
        return tf.nest.map_structure(tf.add, zeros, found)

    def unfinished(done: Tensor, _: Any) -> Tensor:
        return done < count

    def advance(done: Tensor, total: Any) -> tuple[Tensor, Any]:
        # Worked out in here from the batch's size, so that XLA sees a constant.
        rounds = -(-count // tf.clip_by_value(room // batch, 1, count))
        together = -(-count // rounds)
        positions = done + tf.range(together)
        found = evaluate(tf.minimum(positions, count - 1), tf.cast(positions < count, tf.float32))
        return done + together, tf.nest.map_structure(tf.add, total, found)

    loop = tf.while_loop(unfinished, advance, (tf.constant(0), zeros), parallel_iterations=1)
    return loop[1]


def repeated(samples: Any, times: Tensor) -> Any:
    """Repeats a batch as a whole: `(batch, ...)` becomes `(times * batch, ...)`; None stays None.

    Callables, which stand for a target, stay as well.
    """
    if samples is None or callable(samples):
        return samples
    return tf.nest.map_structure(
        lambda tensor: tf.reshape(
            tf.broadcast_to(tensor, tf.concat([[times], tf.shape(tensor)], axis=0)),
            tf.concat([[-1], tf.shape(tensor)[1:]], axis=0),
        ),
        samples,
    )


def unfolded(tensor: Tensor, times: Tensor) -> Tensor:
    """The inverse of `repeated` in shape: `(times * batch, ...)` becomes `(times, batch, ...)`."""
    shape = tf.concat([[times, -1], tf.shape(tensor)[1:]], axis=0)
    return tf.reshape(tensor, shape)


def weighted(tensor: Tensor, weights: Tensor) -> Tensor:
    """Sums `(times * batch, ...)` over the repeats by their weights `(times,)`, to `(batch, ...)`."""
    return tf.tensordot(weights, unfolded(tensor, tf.size(weights)), axes=1)


def folded(tensor: Tensor) -> Tensor:
    """The inverse of `unfolded`: `(times, batch, ...)` becomes `(times * batch, ...)`."""
    return tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
