"""Searching a latent space for many samples at once, each of which stops where it has arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from ...network.adam import Moments, adam_step

Tensor = Any
# From codes `(batch, latent)`, what is known about the samples, and the steps that they took, `(batch,)`, to
# the gradients of their losses, a cost by which to keep the best place, and whether they have arrived.
Objective: TypeAlias = Callable[[Tensor, Any, Tensor], tuple[Tensor, Tensor, Tensor]]

# Steps after which the samples that have stopped are left out of the computation.
_TURN = 25


class SearchState(NamedTuple):
    """Where a search stands, or ended; every entry has the samples first.

    Attributes:
        codes: Where the samples are, `(batch, latent)`.
        moments: Adam's, of each sample's gradients.
        steps: Steps that the sample took, int32 `(batch,)`.
        arrived: Whether it has arrived, `(batch,)`.
        moving: Whether it still searches.
        best: The codes of least cost among those that it came by.
        cost: Their cost, infinite where there was none.
    """

    codes: Tensor
    moments: Moments
    steps: Tensor
    arrived: Tensor
    moving: Tensor
    best: Tensor
    cost: Tensor


@dataclass(frozen=True)
class LatentSearch:
    """Adam on latent codes, a whole batch in one loop.

    Samples share nothing, not even the number of the step. A sample is frozen where it arrives, with its
    part of Adam's state: later steps of the others do not change a bit of it. One whose gradient is not
    finite is frozen as well, without having arrived. The loop ends when all are frozen.

    The search runs eagerly, in a graph and under XLA.

    Args:
        steps: The most steps, 5,000 in Seah et al. (2018).
        learning_rate: Adam's step size, 0.1 in that paper.
        compact: Whether frozen samples are left out of the computation, so that a few late ones do not
            cost as much as all. XLA knows no such shapes; pass False there.

    Example:
        >>> def objective(codes, goals, steps):
        ...     away = tf.norm(codes - goals, axis=1)
        ...     return 2 * (codes - goals), away, away < 0.01
        >>> found = LatentSearch(steps=500).run(objective, tf.zeros((2, 3)), tf.ones((2, 3)))
        >>> found.arrived.numpy().tolist(), bool(tf.reduce_all(abs(found.codes - 1) < 0.01))
        ([True, True], True)
    """

    steps: int = 5000
    learning_rate: float = 0.1
    compact: bool = True

    def run(self, objective: Objective, start: Tensor, about: Any) -> SearchState:
        """Searches from `start`.

        Args:
            objective: Losses' gradients, costs and arrivals; see `Objective`.
            start: Codes to start from, float32 `(batch, latent)`.
            about: What the objective knows about each sample: a structure of tensors, samples first.
        """
        state = _begun(start)
        if not self.compact:
            return self._searched(objective, state, about, self.steps + 1)

        def turned(state: SearchState) -> tuple[SearchState]:
            rows = tf.where(state.moving)
            part, known = tf.nest.map_structure(lambda t: tf.gather_nd(t, rows), (state, about))
            part = self._searched(objective, part, known, _TURN)
            update = tf.tensor_scatter_nd_update
            return (tf.nest.map_structure(lambda t, new: update(t, rows, new), state, part),)

        loop = tf.while_loop(_unfinished, turned, (state,), parallel_iterations=1)
        return loop[0]

    def _searched(
        self, objective: Objective, state: SearchState, about: Any, rounds: int
    ) -> SearchState:
        def unfinished(state: SearchState, done: Tensor) -> Tensor:
            return _unfinished(state) & (done < rounds)

        def advanced(state: SearchState, done: Tensor) -> tuple[SearchState, Tensor]:
            return self._advanced(state, *objective(state.codes, about, state.steps)), done + 1

        start = (state, tf.constant(0))
        return tf.while_loop(unfinished, advanced, start, parallel_iterations=1)[0]

    def _advanced(
        self, state: SearchState, slopes: Tensor, costs: Tensor, arrived: Tensor
    ) -> SearchState:
        """One step of those that go on; the others are handed on as they are."""
        better = state.moving & (costs < state.cost)
        arrived = state.moving & arrived
        sound = tf.reduce_all(tf.math.is_finite(slopes), axis=1)
        moving = state.moving & ~arrived & sound & (state.steps < self.steps)
        steps = state.steps + tf.cast(moving, tf.int32)
        number = tf.maximum(steps, 1)[:, None]
        move, moments = adam_step(state.moments, slopes, number, self.learning_rate)
        goes = moving[:, None]
        return SearchState(
            codes=tf.where(goes, state.codes - move, state.codes),
            moments=moments.where(goes, state.moments),
            steps=steps,
            arrived=state.arrived | arrived,
            moving=moving,
            best=tf.where(better[:, None], state.codes, state.best),
            cost=tf.where(better, costs, state.cost),
        )


def bisected(
    reached: Callable[[Tensor], Tensor], near: Tensor, far: Tensor, *, halvings: int = 12
) -> Tensor:
    """Returns for each sample the least change on the straight way from `near` to `far` that reaches the aim.

    Where the aim is lost again farther on, it is one of the places where it is met; where `far` does not
    reach it, it is `far`, and where `near` does, `near`.

    Args:
        reached: From codes `(batch, latent)` to whether they reach the aim, bool `(batch,)`.
        near: Codes to stay close to, `(batch, latent)`.
        far: Codes that reach the aim.
        halvings: How often the way is halved; 12 find the place to 1/4096 of it.

    Example:
        >>> found = bisected(lambda codes: codes[:, 0] >= 0.3, tf.zeros((1, 2)), tf.ones((1, 2)))
        >>> [round(value, 2) for value in found.numpy()[0].tolist()]
        [0.3, 0.3]
    """

    def unfinished(done: Tensor, *_: Tensor) -> Tensor:
        return done < halvings

    def halved(done: Tensor, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        middle = (near + far) / 2
        met = reached(middle)[:, None]
        return done + 1, tf.where(met, near, middle), tf.where(met, middle, far)

    far = tf.where(reached(near)[:, None], near, far)
    start = (tf.constant(0), near, far)
    return tf.while_loop(unfinished, halved, start, parallel_iterations=1)[2]


def cheaper(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Returns each sample's result with the lower cost, which stands last; of equals the first."""
    better = other[-1] < one[-1]
    return tuple(
        tf.where(tf.reshape(better, (-1, *[1] * (new.shape.rank - 1))), new, old)
        for old, new in zip(one, other, strict=True)
    )


def _begun(start: Tensor) -> SearchState:
    batch = tf.shape(start)[0]
    return SearchState(
        codes=start,
        moments=Moments.none(start),
        steps=tf.zeros((batch,), tf.int32),
        arrived=tf.fill((batch,), False),
        moving=tf.fill((batch,), True),
        best=start,
        cost=tf.fill((batch,), float("inf")),
    )


def _unfinished(state: SearchState) -> Tensor:
    return tf.reduce_any(state.moving)
