"""The smallest change of activations that brings a point to a given place of the map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import keras
import numpy as np
from numpy.typing import NDArray

from ..brief import brief_repr
from .jacobian import jacobian_of

Array = NDArray[np.float64]
HALVINGS = 8  # of a step that does not lower the merit
SETTLED = 1e-3  # change of the change, as a share of it, at which a sample is at its minimum
LONGEST = 1.0  # step, as a share of the layer's spread: farther away, a tangent says nothing
# Shares of the squared derivative that are added to it until a step is short enough: where the map is nearly
# flat in some direction, the undamped one leads far away.
DAMPINGS = (1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, eq=False)
class FoundActivations:
    """What a layer would have to hold for points to lie at given places.

    Attributes:
        activations: float32 `(samples, ...)`.
        positions: Where the embedder puts them, float32 `(samples, components)`.
        distance: What is left to the places asked for, in units of the map, `(samples,)`.
        reached: Whether that is within the tolerance, booleans `(samples,)`.
        change: Length of the change from the starting activations, `(samples,)`, as a share of the root
            mean squared distance of the layer's points from their mean: 1 is a change as long as a point is
            far from the mean.
    """

    activations: NDArray[np.float32]
    positions: NDArray[np.float32]
    distance: NDArray[np.float32]
    reached: NDArray[np.bool_]
    change: NDArray[np.float32]

    __repr__ = brief_repr


def smallest_change(
    embedder: keras.Model,
    places: NDArray[np.float32],
    start: NDArray[np.float32],
    *,
    guess: NDArray[np.float32],
    scale: float,
    tolerance: float,
    steps: int,
    batch_size: int,
) -> FoundActivations:
    """Looks for the activations nearest to `start` that the embedder puts at `places`.

    Minimises |z − start| subject to embedder(z) = place by sequential linearisation: the map is replaced by
    its tangent at the present z, for which the nearest solution is known, start + Jᵀ(J Jᵀ)⁻¹(place −
    embedder(z) + J (z − start)). A step is halved until it lowers |z − start|² / 2 + ρ |embedder(z) − place|,
    ρ above the multipliers, as in Zhang & Der Kiureghian ("Two improved algorithms for reliability
    analysis", 1995). Of a linear embedder the first step is the solution. A map has several such minima;
    the one found is near the start. Samples stop one by one.

    Args:
        embedder: The trained embedder, which is not changed.
        places: `(samples, components)`.
        start: `(samples, ...)`.
        guess: Activations that lie near the places, `(samples, ...)`: where the way from the start does not
            lead there, the search begins anew from these.
        scale: Root mean squared distance of the layer's points from their mean: the longest step, and the
            unit of `change`.
        tolerance: Distance from the place that counts as reached, in units of the map.
        steps: The most steps.
        batch_size: Samples at a time.
    """
    derivative = jacobian_of(embedder)
    found = []
    for first in range(0, len(places), batch_size):
        rows = slice(first, first + batch_size)
        here = _Search(derivative, places[rows], start[rows], scale, tolerance)
        here.run(steps)
        missed = np.flatnonzero(~here.reached)
        if len(missed):
            there = _Search(derivative, places[rows][missed], start[rows][missed], scale, tolerance)
            there.begin_at(guess[rows][missed])
            there.run(steps)
            here.take(there, missed)
        found.append(here.result())
    return FoundActivations(
        *(
            np.concatenate([getattr(part, item.name) for part in found])
            for item in fields(FoundActivations)
        )
    )


class _Search:
    """The search for one batch, in units of `scale` about the start."""

    def __init__(
        self,
        derivative: Callable[[NDArray[np.float32]], tuple[Array, Array]],
        places: NDArray[np.float32],
        start: NDArray[np.float32],
        scale: float,
        tolerance: float,
    ) -> None:
        self.derivative, self.start, self.scale = derivative, start, scale
        self.places, self.tolerance = places.astype(np.float64), tolerance
        self.change: Array = np.zeros((len(start), start[0].size))
        self.y, self.slopes = self._at(self.change)
        self.penalty: Array = np.zeros(len(start))
        # Who lies there already has no change to make smaller.
        self.moving: NDArray[np.bool_] = ~self.reached

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Who lies at the place asked for."""
        return self._distance(self.y) <= self.tolerance

    def begin_at(self, guess: NDArray[np.float32]) -> None:
        """Begins at given activations instead of the start, which the change is still measured from."""
        apart = guess.astype(np.float64) - self.start
        self.change = apart.reshape(self.change.shape) / self.scale
        self.y, self.slopes = self._at(self.change)
        self.moving[:] = True

    def run(self, steps: int) -> None:
        """Takes steps until all samples have stopped."""
        for _ in range(steps):
            if not self.moving.any():
                break
            self.step()

    def take(self, other: _Search, rows: NDArray[np.intp]) -> None:
        """Takes those samples of another search that came nearer."""
        nearer = other._distance(other.y) < self._distance(self.y)[rows]
        self.change[rows[nearer]], self.y[rows[nearer]] = other.change[nearer], other.y[nearer]

    def step(self) -> None:
        """Moves each sample to the solution for the tangent, or as far towards it as that helps."""
        towards, multipliers = self._to_tangent_solution()
        self.penalty = np.maximum(self.penalty, 2 * np.linalg.norm(multipliers, axis=1))
        before = self._merit(self.change, self.y)
        pending, share = self.moving.copy(), 1.0
        for _ in range(HALVINGS):
            tried = np.where(pending[:, None], self.change + share * towards, self.change)
            y, slopes = self._at(tried)
            better = pending & (self._merit(tried, y) < before)
            self.change[better], self.y[better], self.slopes[better] = (
                tried[better],
                y[better],
                slopes[better],
            )
            settled = better & self._settled(share * towards, y)
            self.moving &= ~settled
            pending &= ~better
            share /= 2
            if not pending.any():
                break
        self.moving &= ~pending  # no step helps

    def result(self) -> FoundActivations:
        """What has been found, measured on the activations as they are returned."""
        distance = self._distance(self.y)
        return FoundActivations(
            self._activations(self.change),
            self.y.astype(np.float32),
            distance.astype(np.float32),
            self.reached,
            np.linalg.norm(self.change, axis=1).astype(np.float32),
        )

    def _to_tangent_solution(self) -> tuple[Array, Array]:
        """Returns the step, and the multipliers of the constraint there.

        The step is the sum of two at right angles: one across the map's level sets, to the place, and one
        along them, to where the change is least.
        """
        kept, of_kept = self._combined((self.slopes @ self.change[..., None])[..., 0], DAMPINGS[0])
        across, of_across = self._combined(self.places - self.y, DAMPINGS[0])
        for damping in DAMPINGS[1:]:
            far = np.linalg.norm(across, axis=1) > LONGEST
            if not far.any():
                break
            shorter, of_shorter = self._combined(self.places - self.y, damping)
            across[far], of_across[far] = shorter[far], of_shorter[far]
        towards = across + kept - self.change
        length = np.linalg.norm(towards, axis=1, keepdims=True)
        return towards / np.maximum(length / LONGEST, 1.0), of_kept + of_across

    def _combined(self, wanted: Array, damping: float) -> tuple[Array, Array]:
        """Returns the least change of activations after which the tangent has changed by `wanted`."""
        squares = self.slopes @ self.slopes.transpose(0, 2, 1)
        size = np.trace(squares, axis1=1, axis2=2)[:, None, None]
        damped = squares + np.eye(squares.shape[1]) * np.maximum(damping * size, 1e-30)
        weights = np.linalg.solve(damped, wanted[..., None])
        return (self.slopes.transpose(0, 2, 1) @ weights)[..., 0], weights[..., 0]

    def _settled(self, moved: Array, y: Array) -> NDArray[np.bool_]:
        small = np.linalg.norm(moved, axis=1) <= SETTLED * np.linalg.norm(self.change, axis=1)
        return small & (self._distance(y) <= self.tolerance)

    def _merit(self, change: Array, y: Array) -> Array:
        return (change**2).sum(axis=1) / 2 + self.penalty * self._distance(y)

    def _distance(self, y: Array) -> Array:
        return np.linalg.norm(y - self.places, axis=1)

    def _activations(self, change: Array) -> NDArray[np.float32]:
        moved = self.start + self.scale * change.reshape(self.start.shape)
        return np.asarray(moved, dtype=np.float32)

    def _at(self, change: Array) -> tuple[Array, Array]:
        """Positions, and their derivative with respect to the change, `(batch, components, features)`."""
        y, slopes = self.derivative(self._activations(change))
        return y, self.scale * slopes.reshape(*y.shape, -1)
