"""Training that diverges: an update that is not finite is not made, and ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ...replicas import assign_all, replica_count, total

Tensor = Any
HEALTHY = -1  # in place of the number of the step that failed


def apply_if_finite(
    optimizer: Any,
    loss: Tensor,
    gradients: Sequence[Tensor],
    variables: Sequence[Any],
    *,
    failed_at: Any,
    step: Tensor,
) -> None:
    """Makes an update if all of it is finite and none before it failed.

    Under several replicas it is made if it is finite on all of them.

    Args:
        optimizer: A built Keras optimizer.
        loss: The loss, a scalar.
        gradients: Its gradients.
        variables: What they are the gradients of.
        failed_at: An integer variable that holds `HEALTHY`, or the step of the first failure.
        step: Number of the present step.
    """
    if replica_count() > 1:
        _apply_on_all(optimizer, loss, gradients, variables, failed_at=failed_at, step=step)
        return
    sizes = [tf.reduce_sum(tf.abs(tensor)) for tensor in (loss, *gradients)]
    finite = tf.reduce_all(tf.math.is_finite(tf.stack(sizes)))
    healthy = tf.equal(failed_at, HEALTHY)

    def apply() -> Tensor:
        optimizer.apply(gradients, variables)
        return tf.constant(True)

    def note() -> Tensor:
        failed_at.assign(tf.where(healthy, step, failed_at))
        return tf.constant(False)

    tf.cond(finite & healthy, apply, note)


def _apply_on_all(
    optimizer: Any,
    loss: Tensor,
    gradients: Sequence[Tensor],
    variables: Sequence[Any],
    *,
    failed_at: Any,
    step: Tensor,
) -> None:
    """As `apply_if_finite`: replicas cannot meet within a condition, so one that fails is taken back."""
    sizes = [tf.reduce_sum(tf.abs(tensor)) for tensor in (loss, *gradients)]
    bad = tf.logical_not(tf.reduce_all(tf.math.is_finite(tf.stack(sizes))))
    healthy = tf.equal(failed_at, HEALTHY)
    made = healthy & tf.equal(total(tf.cast(bad, tf.float32)), 0.0)
    changed = [*variables, *optimizer.variables]
    before = [tf.identity(variable.value) for variable in changed]
    whole = [tf.convert_to_tensor(gradient) for gradient in gradients]
    optimizer.apply([tf.where(made, each, tf.zeros_like(each)) for each in whole], variables)
    after = [tf.convert_to_tensor(variable.value) for variable in changed]
    pairs = zip(after, before, strict=True)
    assign_all(changed, [tf.where(made, now, then) for now, then in pairs])
    failed_at.assign(tf.where(healthy & ~made, tf.cast(step, failed_at.dtype), failed_at))


class StopAtFailure(keras.callbacks.Callback):
    """Ends the training of a model whose `failed_at` tells that an update was not made."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks after each step."""
        if int(self.model.failed_at.numpy()) != HEALTHY:
            self.model.stop_training = True


def raise_if_failed(failed_at: Any) -> None:
    """Says what has happened once the training has ended.

    Raises:
        FloatingPointError: If an update was not made.
    """
    step = int(failed_at.numpy())
    if step != HEALTHY:
        raise FloatingPointError(
            f"A loss or gradient was not finite in step {step}; training has stopped and the weights are the "
            "last good ones. Lower the learning rate, or look for extreme values in the images."
        )
