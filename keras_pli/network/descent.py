"""Gradient descent for many samples at once, each of which stops by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from .adam import Moments, adam_step

Tensor = Any


@dataclass(frozen=True)
class Descent:
    """Adam within [0, 1], in one loop for a whole batch.

    A sample is frozen when its loss has not fallen by `tolerance` for `patience` steps; the loop ends when
    all are. Samples share nothing but the number of the step.

    Args:
        steps: The most steps.
        learning_rate: Adam's step size.
        patience: Steps without improvement after which a sample is frozen.
        tolerance: The least fall of the loss that counts as an improvement.
        smoothing: Share of the loss's running mean that a step keeps, for objectives with noise; 0 for none.
    """

    steps: int
    learning_rate: float
    patience: int
    tolerance: float
    smoothing: float = 0.0

    def minimum(
        self, objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], start: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the points of least loss, and the steps that each sample took, int32 `(batch,)`.

        Args:
            objective: From points `(batch, ...)` and the number of the step, a scalar, to the losses
                `(batch,)` and their gradients.
            start: Points to start from, in [0, 1].
        """

        def unfinished(state: _State) -> Tensor:
            return (state.step < self.steps) & tf.reduce_any(state.stale < self.patience)

        def advance(state: _State) -> tuple[_State]:
            return (self._advance(state, *objective(state.points, state.step)),)

        batch = tf.shape(start)[0]
        unknown, never = tf.fill((batch,), float("inf")), tf.zeros((batch,), tf.int32)
        moments = Moments.none(start)
        state = _State(tf.constant(0), start, moments, unknown, unknown, start, never, never)
        (end,) = tf.while_loop(unfinished, advance, (state,), parallel_iterations=1)
        return end.kept, end.taken

    def _advance(self, state: _State, losses: Tensor, slopes: Tensor) -> _State:
        active = state.stale < self.patience
        running = self.smoothing * state.loss + (1 - self.smoothing) * losses
        loss = tf.where(state.step > 0, running, losses)
        better = active & (loss < state.best - self.tolerance)
        move, moments = adam_step(state.moments, slopes, state.step + 1, self.learning_rate)
        moved = state.points - move
        return _State(
            step=state.step + 1,
            points=tf.where(_beside(active, moved), tf.clip_by_value(moved, 0, 1), state.points),
            moments=moments,
            loss=loss,
            best=tf.where(better, loss, state.best),
            kept=tf.where(_beside(better, moved), state.points, state.kept),
            stale=tf.where(better, 0, state.stale + 1),
            taken=state.taken + tf.cast(active, tf.int32),
        )


class _State(NamedTuple):
    """Where the descent stands.

    Attributes:
        step: Steps done, a scalar.
        points: Where the samples are, `(batch, ...)`.
        moments: Adam's, of the gradients.
        loss: The losses, smoothed, `(batch,)`.
        best: The least of them so far, `(batch,)`.
        kept: The points that had it.
        stale: Steps since then, `(batch,)`.
        taken: Steps that the sample took, `(batch,)`.
    """

    step: Tensor
    points: Tensor
    moments: Moments
    loss: Tensor
    best: Tensor
    kept: Tensor
    stale: Tensor
    taken: Tensor


def _beside(values: Tensor, points: Tensor) -> Tensor:
    """Gives `(batch,)` the axes to broadcast to `(batch, ...)`."""
    return tf.reshape(values, (-1, *[1] * (points.shape.rank - 1)))
