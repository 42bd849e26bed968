"""How a batch of points is formed, and the divergence measured on it.

The tables of a training set are placed on the device once. The data pipeline hands over nothing but the
indices of points; whatever else a step needs is looked up or drawn inside the compiled step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from .affinity import Affinities
from .objective import attraction, kernel_sum, negative_entropy

Tensor = Any


@dataclass(frozen=True)
class UniformBatches:
    """Batches of points drawn uniformly (van der Maaten 2009; Hinterreiter et al. 2020).

    The affinities are those of the batch's own pairs, scaled to sum to 1.
    """

    z: Tensor
    neighbors: Tensor
    conditional: Tensor
    samples: int

    points_per_anchor = 1

    @classmethod
    def of(cls, z: NDArray[np.float32], p: Affinities) -> UniformBatches:
        """Places the tables on the device."""
        return cls(_on_device(z), _on_device(p.neighbors), _on_device(p.conditional), len(p))

    def draw(self, anchors: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Indices of the points of a batch: the anchors themselves."""
        return anchors

    def affinities(self, points: Tensor) -> Tensor:
        """Symmetric affinities of a batch of different points, shape `(B, B)`, with sum 1."""
        size = points.shape[0]
        rank = ops.arange(size, dtype="int32")
        place = ops.scatter_update(
            ops.full((self.samples,), -1, dtype="int32"), points[:, None], rank
        )
        columns = ops.take(place, ops.take(self.neighbors, points, axis=0), axis=0)
        values = ops.where(columns >= 0, ops.take(self.conditional, points, axis=0), 0.0)
        cells = rank[:, None] * size + ops.maximum(columns, 0)
        listed = ops.scatter(
            ops.reshape(cells, (-1, 1)), ops.reshape(values, (-1,)), (size * size,)
        )
        listed = ops.reshape(listed, (size, size))
        both = listed + ops.transpose(listed)
        return both / ops.maximum(ops.sum(both), 1e-30)

    def divergence(self, y: Tensor, points: Tensor, exaggeration: Tensor) -> tuple[Tensor, Tensor]:
        """The objective with exaggerated attraction, and KL(p‖q), both over the batch."""
        p = self.affinities(points)
        pull = attraction(y, p)
        partition = ops.log(kernel_sum(y, ops.ones((points.shape[0],), dtype=y.dtype)))
        # A batch without a single pair of neighbours has nothing to say about p.
        partition = ops.where(ops.sum(p) > 0, partition, 0.0)
        constant = negative_entropy(p)
        return constant + exaggeration * pull + partition, constant + pull + partition


@dataclass(frozen=True)
class NeighborBatches:
    """Batches of edges drawn from P, so that every point comes with one that attracts it.

    With i uniform and j drawn from p_{j|i}, the pair (i, j) in either order has probability p_ij, so the
    mean of log(1 + ‖y_i − y_j‖²) over the edges estimates the attraction of the whole set without bias. All
    other pairs of different points of the batch estimate the mean of the kernel, and with it log Z. Points
    that many others have for a neighbour come up more often than the rest, and weigh less there in return.
    The result is the divergence over all N points and not only over the batch.
    """

    z: Tensor
    neighbors: Tensor
    cumulative: Tensor
    weight: Tensor
    samples: int
    constant: float

    points_per_anchor = 2

    @classmethod
    def of(cls, z: NDArray[np.float32], p: Affinities) -> NeighborBatches:
        """Places the tables on the device."""
        cumulative = np.cumsum(p.conditional, axis=1, dtype=np.float64)
        # The last neighbour with any weight ends its row at 1, whatever rounding left over.
        cumulative /= cumulative[:, -1:]
        # Half of a batch is drawn uniformly, half as neighbours: by how much a point comes up too often.
        popularity = np.bincount(p.neighbors.ravel(), p.conditional.ravel(), minlength=len(p))
        weight = 2.0 / (1.0 + popularity)
        constant = p.negative_entropy + np.log(len(p)) + np.log(len(p) - 1)
        return cls(
            _on_device(z),
            _on_device(p.neighbors),
            _on_device(cumulative.astype(np.float32)),
            _on_device(weight.astype(np.float32)),
            samples=len(p),
            constant=float(constant),
        )

    def draw(self, anchors: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Indices of the points of a batch: the anchors, then a neighbour of each."""
        level = keras.random.uniform((anchors.shape[0], 1), dtype="float32", seed=seed)
        rank = ops.sum(
            ops.cast(ops.take(self.cumulative, anchors, axis=0) <= level, "int32"), axis=1
        )
        lists = ops.take(self.neighbors, anchors, axis=0)
        neighbors = ops.take_along_axis(lists, rank[:, None], axis=1)[:, 0]
        return ops.concatenate([anchors, neighbors])

    def divergence(self, y: Tensor, points: Tensor, exaggeration: Tensor) -> tuple[Tensor, Tensor]:
        """The objective with exaggerated attraction, and the estimate of KL(p‖q) over all points."""
        anchors = points.shape[0] // 2
        ends = ops.sum(ops.square(y[:anchors] - y[anchors:]), axis=1)
        pull = ops.mean(ops.log1p(ends))
        weight = ops.take(self.weight, points)
        # Left out of the pairs: a point met twice, with itself; and the drawn edges, which are close by
        # choice and would weigh too much.
        of_point = ops.scatter(points[:, None], weight, (self.samples,))
        same = ops.sum(weight * (ops.take(of_point, points) - weight))
        drawn = 2.0 * weight[:anchors] * weight[anchors:]
        total = kernel_sum(y, weight) - same - ops.sum(drawn / (1.0 + ends))
        pairs = ops.square(ops.sum(weight)) - ops.sum(ops.square(weight)) - same - ops.sum(drawn)
        # Where all other pairs are out of each other's sight, rounding could leave less than nothing.
        partition = ops.log(ops.maximum(total, 1e-6 * pairs) / pairs) + self.constant
        return exaggeration * pull + partition, pull + partition


STRATEGIES: dict[str, type[UniformBatches] | type[NeighborBatches]] = {
    "uniform": UniformBatches,
    "neighbors": NeighborBatches,
}


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


def _on_device(array: NDArray[Any]) -> Tensor:
    return ops.convert_to_tensor(array)
