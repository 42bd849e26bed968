"""What Keras's training loop does in its steps: regress on given places, or minimise an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..replicas import replica_number
from .batches import Batches, Draws
from .device_tables import on_device
from .objectives import Objective

Tensor = Any

JITTERED = (
    20_011  # displacements that are drawn; a prime, so that steps do not fall into its rhythm
)
STRIDE = 6_007  # places by which a step goes on among them


@dataclass(frozen=True)
class Stage(ABC):
    """The batches of a number of steps, and what each of them costs.

    Args:
        tables: The points.
        draws: The batches.
        rows_per_step: 1 where the batch of a step is shared out among the replicas; else their number, where
            each has a batch of its own.
    """

    tables: Batches
    draws: Draws
    rows_per_step: int = field(default=1, kw_only=True)

    def row(self, step: Tensor) -> Tensor:
        """Which row of the draws this replica takes in a step."""
        if self.rows_per_step == 1:
            return step
        return step * self.rows_per_step + replica_number()

    def points(self, row: Tensor) -> Tensor:
        """Indices of the points of the batch of a step."""
        return self.tables.draw(
            ops.take(self.draws.anchors, row, axis=0), ops.take(self.draws.levels, row, axis=0)
        )

    def inputs(self, points: Tensor, row: Tensor, places: Tensor | None = None) -> Tensor:
        """What the network is shown of these points, or of those at some places of the batch."""
        shown = points if places is None else ops.take(points, places)
        return ops.take(self.tables.z, shown, axis=0)

    @abstractmethod
    def cost(self, y: Tensor, points: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch of map points, and the quantity that is reported."""


@dataclass(frozen=True)
class Places:
    """Where points shall lie.

    Args:
        positions: float32 of shape `(samples, components)`, 0 where a point is free.
        held: float32 of shape `(samples,)`, 1 for a point that has a place, 0 for a free one.
    """

    positions: Tensor
    held: Tensor

    @classmethod
    def of(cls, positions: NDArray[np.float32]) -> Places:
        """Places the positions on the device; a row of NaN is a free point."""
        held = np.isfinite(positions[:, 0])
        return cls(
            on_device(np.where(held[:, None], positions, 0).astype(np.float32)),
            on_device(held.astype(np.float32)),
        )

    def squared_distance(self, y: Tensor, points: Tensor) -> Tensor:
        """Mean squared distance of those points of a batch that have a place; 0 if there are none."""
        held = ops.take(self.held, points)
        apart = ops.sum(ops.square(y - ops.take(self.positions, points, axis=0)), axis=1)
        return ops.sum(held * apart) / ops.maximum(ops.sum(held), 1.0)


@dataclass(frozen=True)
class Jitter:
    """Gaussian displacements, of which every step takes other ones; the same on every backend.

    Args:
        displacements: float32 of shape `(JITTERED, features)`.
    """

    displacements: Tensor

    @classmethod
    def of_scale(cls, scale: float, features: int, random: np.random.Generator) -> Jitter:
        """Draws displacements with that root mean square length."""
        drawn = random.standard_normal((JITTERED, features), dtype=np.float32)
        return cls(on_device(drawn * np.float32(scale / np.sqrt(features))))

    def of(self, places: Tensor, row: Tensor) -> Tensor:
        """Displacements of the points at these places of a batch, shape `(places, features)`."""
        return ops.take(self.displacements, (places + row * STRIDE) % JITTERED, axis=0)


@dataclass(frozen=True)
class RegressionStage(Stage):
    """Leads every point to a given place."""

    places: Places

    def cost(self, y: Tensor, points: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared difference of a coordinate."""
        loss = self.places.squared_distance(y, points) / y.shape[-1]
        return loss, loss


@dataclass(frozen=True)
class ObjectiveStage(Stage):
    """Minimises an objective; with anchors, holding some points in place.

    Args:
        objective: What a batch costs.
        early_rows: Number of rows of the early phase.
        anchors: Where some points shall stay, or None.
        anchor_weight: Weight of their mean squared distance from there.
        jitter: By what the points of a batch are displaced, or None.
    """

    objective: Objective
    early_rows: int
    anchors: Places | None = None
    anchor_weight: float = 0.0
    jitter: Jitter | None = None

    def inputs(self, points: Tensor, row: Tensor, places: Tensor | None = None) -> Tensor:
        """The points, displaced where there is jitter."""
        shown = super().inputs(points, row, places)
        if self.jitter is None:
            return shown
        if places is None:
            places = ops.arange(points.shape[0], dtype="int32")
        return shown + self.jitter.of(places, row)

    def cost(self, y: Tensor, points: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """The objective's cost, and what strays from the anchors."""
        early = ops.cast(row < self.early_rows, y.dtype)
        loss, measure = self.objective.cost(y, points, self.tables, early)
        if self.anchors is not None:
            loss = loss + self.anchor_weight * self.anchors.squared_distance(y, points)
        return loss, measure
