"""How a batch of points is formed from a graph of neighbours.

The tables of a training set are placed on the device once. A step is handed the indices of its anchors and,
where partners are drawn, a random number for each; whatever else it needs is looked up inside the compiled
step. So the batches of a training are the same on every backend, and those of a resumed training are those it
would have met.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from keras import ops
from numpy.typing import NDArray

from .affinity import Affinities
from .device_tables import on_device
from .memberships import Edges
from .reverse_edges import reverse_values

Tensor = Any

SAMPLE = 5_000  # points whose nearest neighbours are looked at


@dataclass(frozen=True)
class Batches(ABC):
    """The points of a training set on the device, and a way to form batches of them.

    Args:
        z: What the network is given, shape `(samples, ...)`.
        samples: Number of points.
        neighbors: Their neighbours, nearest first, int32 of shape `(samples, k)`.
    """

    z: Tensor
    samples: int
    neighbors: Tensor

    points_per_anchor: ClassVar[int] = 1

    @abstractmethod
    def draw(self, anchors: Tensor, levels: Tensor) -> Tensor:
        """Indices of the points of a batch.

        Args:
            anchors: Indices, shape `(anchors,)`.
            levels: Random numbers in [0, 1), shape `(anchors,)`.
        """


@dataclass(frozen=True)
class UniformBatches(Batches):
    """Batches of points drawn uniformly (van der Maaten 2009; Hinterreiter et al. 2020).

    The affinities are those of the batch's own pairs, scaled to sum to 1.

    Args:
        conditional: float32 of the shape of `neighbors`, the p_{j|i}.
        log_pair: float32 of the same shape, log (p_{j|i} + p_{i|j}) / 2.
    """

    conditional: Tensor
    log_pair: Tensor

    @classmethod
    def of(cls, z: NDArray[np.float32], p: Affinities) -> UniformBatches:
        """Places the tables on the device."""
        log_pair = np.empty_like(p.conditional)
        for rows, back in reverse_values(p.neighbors, p.conditional):
            pair = (p.conditional[rows] + back) / 2
            log_pair[rows] = np.log(pair, out=np.zeros_like(pair), where=pair > 0)
        tables = (p.neighbors, p.conditional, log_pair)
        return cls(on_device(z), len(p), *(on_device(table) for table in tables))

    def draw(self, anchors: Tensor, levels: Tensor) -> Tensor:
        """Indices of the points of a batch: the anchors themselves."""
        return anchors

    def listed(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Affinities among the points of a batch, held in the row of each point that lists the other.

        Args:
            points: Indices of different points, shape `(B,)`.

        Returns:
            Three tensors: places in the batch, int32 of shape `(B, k)`; the affinities of those pairs, with
            sum 1, or 0 for all if the batch holds no pair of neighbours; and Σ p log p over the symmetric
            affinities.
        """
        rank = ops.arange(points.shape[0], dtype="int32")
        outside = ops.full((self.samples,), -1, dtype="int32")
        place = ops.scatter_update(outside, points[:, None], rank)
        columns = ops.take(place, ops.take(self.neighbors, points, axis=0), axis=0)
        values = ops.where(columns >= 0, ops.take(self.conditional, points, axis=0), 0.0)
        total = ops.maximum(ops.sum(values), 1e-30)
        p = values / total
        entropy = ops.sum(p * ops.take(self.log_pair, points, axis=0)) - ops.sum(p) * ops.log(total)
        return ops.maximum(columns, 0), p, entropy


@dataclass(frozen=True)
class EdgeBatches(Batches):
    """Batches of edges drawn from a weighted graph, so that every point comes with one that attracts it.

    An anchor i is drawn uniformly, its partner j with the graph's conditional probability, and the edge
    counts with the weight of its anchor. The mean over such edges is, without bias, the weighted mean over
    all edges. Points that many others have for a neighbour come up more often than the rest.

    Args:
        cumulative: Conditional probabilities of the neighbours, summed along each row up to 1.
        edge_weight: Weight of the edges of each anchor, shape `(samples,)`, mean 1.
        point_weight: By how much less a point of a batch counts where all points should count alike.
        constant: What an objective adds that no map can change.
    """

    cumulative: Tensor
    edge_weight: Tensor
    point_weight: Tensor
    constant: float

    points_per_anchor = 2

    @classmethod
    def of(cls, z: NDArray[np.float32], edges: Edges, *, constant: float = 0.0) -> EdgeBatches:
        """Places the tables on the device."""
        cumulative = np.empty_like(edges.conditional)
        np.cumsum(edges.conditional, axis=1, out=cumulative)
        # The last neighbour with any weight ends its row at 1, whatever rounding left over.
        cumulative /= cumulative[:, -1:]
        # Half of a batch is drawn uniformly, half as partners: by how much a point comes up too often.
        popularity = np.zeros(len(z))
        for column, share in zip(edges.neighbors.T, edges.conditional.T, strict=True):
            popularity += np.bincount(column, share, minlength=len(z))
        return cls(
            on_device(z),
            len(z),
            on_device(edges.neighbors),
            on_device(cumulative),
            on_device(edges.weight),
            on_device((2.0 / (1.0 + popularity)).astype(np.float32)),
            constant,
        )

    def draw(self, anchors: Tensor, levels: Tensor) -> Tensor:
        """Indices of the points of a batch: the anchors, then a partner of each."""
        below = ops.take(self.cumulative, anchors, axis=0) <= levels[:, None]
        rank = ops.sum(ops.cast(below, "int32"), axis=1)
        lists = ops.take(self.neighbors, anchors, axis=0)
        partners = ops.take_along_axis(lists, rank[:, None], axis=1)[:, 0]
        return ops.concatenate([anchors, partners])


def nearest_distance(tables: Batches) -> float:
    """The median distance of points, as the network sees them, from their nearest; duplicates left out."""
    step = -(-tables.samples // SAMPLE)
    points = np.arange(0, tables.samples, step, dtype=np.int32)
    nearest = ops.take(tables.neighbors, points, axis=0)[:, 0]
    apart = ops.take(tables.z, points, axis=0) - ops.take(tables.z, nearest, axis=0)
    distances = ops.convert_to_numpy(ops.norm(apart, axis=-1))
    return float(np.median(distances[distances > 0])) if distances.any() else 0.0


@dataclass(frozen=True)
class Draws:
    """The random part of a training, laid out when it begins: one row a step.

    Args:
        anchors: int32 of shape `(steps, anchors)`.
        levels: float32 of the same shape, in [0, 1); of no columns where no partners are drawn.
    """

    anchors: Tensor
    levels: Tensor

    @classmethod
    def of(cls, tables: Batches, batch_size: int, steps: int, random: np.random.Generator) -> Draws:
        """Draws the batches of `steps` steps and places them on the device."""
        size = max(2, min(batch_size, tables.samples) // tables.points_per_anchor)
        anchors = anchor_rows(tables.samples, size, steps, random)
        drawn = anchors.shape if tables.points_per_anchor > 1 else (len(anchors), 0)
        return cls(on_device(anchors), on_device(random.random(drawn, dtype=np.float32)))

    def __len__(self) -> int:
        return self.anchors.shape[0]


def anchor_rows(
    samples: int, batch: int, rows: int, random: np.random.Generator
) -> NDArray[np.int32]:
    """Indices of each batch's anchors, shape `(rows, batch)`, in shuffled passes over the points.

    No row crosses from one pass into the next, so that a row never holds a point twice; what is left over
    at the end of a pass differs from pass to pass.
    """

    def passes() -> Iterator[NDArray[np.int64]]:
        while True:
            order = random.permutation(samples)[: samples // batch * batch]
            yield order.reshape(-1, batch)

    each = samples // batch
    found = list(itertools.islice(passes(), -(-rows // each)))
    return np.concatenate(found)[:rows].astype(np.int32)
