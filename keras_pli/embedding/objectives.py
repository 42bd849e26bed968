"""What a batch of map points costs: t-SNE's divergence, UMAP's cross-entropy, and the spectrum between them.

An objective says which neighbours it looks at, what they weigh, and what a batch of map points costs. All
else about training belongs to `ParametricEmbedding`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..checks import checked_number, one_of
from .affinity import affinities, check_perplexity
from .batches import Batches, EdgeBatches, UniformBatches
from .memberships import Edges, curve, fuzzy_union, memberships
from .neighbors import NeighborGraph
from .pairs import attraction, kernel_sum, squared_distances

Tensor = Any

# Neighbours that a point of a uniform batch must meet in it on average, or which share of them where they are
# few; else edges are drawn. Measured, 10-NN error of held-out pixels, uniform / edges, 150 neighbours: of
# 10,000 points, which meet 15, .234 / .249 in equal time; of 60,000, which meet 6, .216 / .214 in 67 / 55 s.
NEIGHBORS_MET = 10.0
SHARE_MET = 1 / 3
BATCH_SIZE = 1000
LEAST_STEPS_PER_EPOCH = 100
# Added to squared distances of UMAP, so that points which coincide push each other with finite force.
COINCIDENT = 1e-3


class Objective(ABC):
    """What a batch of map points costs; subclass it for an objective of your own.

    A subclass says how many neighbours it looks at (`neighbors`), makes the tables from which batches are
    formed (`tables`), and computes the cost of a batch (`cost`) in `keras.ops`. To be saved it is registered
    with Keras and has `get_config`.
    """

    measure: str = "objective"
    """Name of the reported quantity in the history."""

    @abstractmethod
    def neighbors(self, samples: int) -> int:
        """Number of neighbours of each point that are looked at.

        Raises:
            ValueError: If `samples` points are too few for the objective.
        """

    def batch_size(self, samples: int) -> int:
        """Points in a batch, where `fit` is not told: 1,000, or all where there are fewer."""
        return min(samples, BATCH_SIZE)

    def steps_per_epoch(self, samples: int, batch_size: int) -> int:
        """One pass over the points, and at least 100 steps, so that a small set settles in as many epochs."""
        return max(LEAST_STEPS_PER_EPOCH, samples // batch_size)

    @abstractmethod
    def tables(self, z: NDArray[np.float32], graph: NeighborGraph, batch_size: int) -> Batches:
        """The tables on the device from which batches are formed.

        Args:
            z: What the network is given, shape `(samples, ...)`.
            graph: The points' neighbours.
            batch_size: Points in a batch.
        """

    @abstractmethod
    def cost(self, y: Tensor, points: Tensor, tables: Any, early: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and the quantity that is reported.

        Args:
            y: Map points, float32 of shape `(B, components)`.
            points: Their indices, as `tables.draw` gave them.
            tables: What `tables` returned.
            early: 1.0 in the early phase of training, else 0.0.
        """

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """Makes the objective that `get_config` describes."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_pli")
class DivergenceObjective(Objective):
    """t-SNE: the Kullback-Leibler divergence between affinities of the data and of the map.

    van der Maaten & Hinton (2008), equations 3 to 5; Hinterreiter et al. (2020), section 2.1.

    Args:
        perplexity: Effective number of neighbours, above 1 and below N / 3; or several, whose affinities are
            averaged.
        batches: `"uniform"`, `"neighbors"`, or `"auto"`: uniform as long as a batch of that size shows a
            point at least ten of its neighbours on average, or a third of them.
        early_exaggeration: Factor on the attraction in the early phase of training.
    """

    measure = "kl"

    def __init__(
        self,
        perplexity: float | Sequence[float] = 50.0,
        *,
        batches: str = "auto",
        early_exaggeration: float = 1.5,
    ) -> None:
        check_perplexity(perplexity)
        self.perplexity: float | Sequence[float] = (
            perplexity
            if isinstance(perplexity, int | float)
            else tuple(np.asarray(perplexity).tolist())
            if np.ndim(perplexity)
            else float(np.asarray(perplexity))
        )
        self.batches = one_of(batches, ["auto", "uniform", "neighbors"], "batches")
        self.early_exaggeration = checked_number(early_exaggeration, "early_exaggeration", least=0)

    def neighbors(self, samples: int) -> int:
        """k = min(3 · perplexity, N − 1)."""
        check_perplexity(self.perplexity, samples)
        return min(int(3 * np.max(self.perplexity)), samples - 1)

    def batch_size(self, samples: int) -> int:
        """As for every objective, and beyond 10,000 points more with the square root of their number.

        So a batch goes on showing a point some of its neighbours, while the pairs of a batch grow no faster
        than the points.

        Example:
            >>> [DivergenceObjective().batch_size(samples) for samples in (200, 10_000, 90_000)]
            [200, 1000, 3000]
        """
        return max(super().batch_size(samples), math.isqrt(BATCH_SIZE * samples // 10))

    def steps_per_epoch(self, samples: int, batch_size: int) -> int:
        """As for every objective, but with `batches="uniform"` one pass over the points, as in the papers."""
        if self.batches == "uniform":
            return max(1, samples // batch_size)
        return super().steps_per_epoch(samples, batch_size)

    def tables(
        self, z: NDArray[np.float32], graph: NeighborGraph, batch_size: int
    ) -> UniformBatches | EdgeBatches:
        """Batches of points, or of edges drawn from P."""
        p = affinities(graph, perplexity=self.perplexity)
        del graph  # its distances, of which nothing is needed any more
        if self.batches == "uniform" or (
            self.batches == "auto" and _neighbors_meet(p.neighbors.shape[1], batch_size / len(z))
        ):
            return UniformBatches.of(z, p)
        edges = Edges(p.neighbors, p.conditional, np.ones(len(p), dtype=np.float32))
        constant = p.negative_entropy + np.log(len(p)) + np.log(len(p) - 1)
        return EdgeBatches.of(z, edges, constant=float(constant))

    def cost(
        self, y: Tensor, points: Tensor, tables: UniformBatches | EdgeBatches, early: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The divergence with exaggerated attraction, and without.

        Of a uniform batch it is the divergence over the batch, else an estimate of that over all points.
        """
        exaggeration = 1.0 + early * (self.early_exaggeration - 1.0)
        if isinstance(tables, UniformBatches):
            return _divergence_of_points(y, points, tables, exaggeration)
        return _divergence_of_edges(y, points, tables, exaggeration)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "perplexity": self.perplexity,
            "batches": self.batches,
            "early_exaggeration": self.early_exaggeration,
        }


def _neighbors_meet(neighbors: int, share: float) -> bool:
    """Whether a batch of a share of the points shows a point enough of its neighbours."""
    return share * neighbors >= min(NEIGHBORS_MET, SHARE_MET * neighbors)


def _divergence_of_points(
    y: Tensor, points: Tensor, tables: UniformBatches, exaggeration: Tensor
) -> tuple[Tensor, Tensor]:
    columns, p, constant = tables.listed(points)
    pull = attraction(y, columns, p)
    partition = ops.log(kernel_sum(y, ops.ones((points.shape[0],), dtype=y.dtype)))
    # A batch without a single pair of neighbours has nothing to say about p.
    partition = ops.where(ops.sum(p) > 0, partition, 0.0)
    return constant + exaggeration * pull + partition, constant + pull + partition


def _divergence_of_edges(
    y: Tensor, points: Tensor, tables: EdgeBatches, exaggeration: Tensor
) -> tuple[Tensor, Tensor]:
    """Drawn edges estimate the attraction; all other pairs of the batch the mean of the kernel, so log Z."""
    anchors = points.shape[0] // 2
    ends = ops.sum(ops.square(y[:anchors] - y[anchors:]), axis=1)
    pull = ops.mean(ops.log1p(ends))
    weight = ops.take(tables.point_weight, points)
    # Left out of the pairs: a point met twice, with itself; and the drawn edges, which are close by
    # choice and would weigh too much.
    of_point = ops.scatter(points[:, None], weight, (tables.samples,))
    same = ops.sum(weight * (ops.take(of_point, points) - weight))
    drawn = 2.0 * weight[:anchors] * weight[anchors:]
    total = kernel_sum(y, weight) - same - ops.sum(drawn / (1.0 + ends))
    pairs = ops.square(ops.sum(weight)) - ops.sum(ops.square(weight)) - same - ops.sum(drawn)
    # Where all other pairs are out of each other's sight, rounding could leave less than nothing.
    partition = ops.log(ops.maximum(total, 1e-6 * pairs) / pairs) + tables.constant
    return exaggeration * pull + partition, pull + partition


class EdgeObjective(Objective):
    """Telling edges of a graph from random pairs: the cross-entropy of a similarity in the map.

    A pair is taken for an edge with probability 1 / (1 + exp(u)), where u grows with its distance; a subclass
    says how. Each edge comes with `negative_samples` random pairs of either of its ends. Instead of drawing
    so few, they are averaged over the anchors of the batch, which are uniformly drawn points; that has the
    same expectation.

    Args:
        n_neighbors: Neighbours of a point, itself not counted.
        negative_samples: Random pairs for each edge.

    Raises:
        ValueError: If an argument is out of range.
    """

    measure = "cross_entropy"

    def __init__(self, n_neighbors: int = 15, *, negative_samples: float = 5.0) -> None:
        self.n_neighbors = checked_number(n_neighbors, "n_neighbors", least=2, whole=True)
        self.negative_samples = checked_number(negative_samples, "negative_samples", least=0)
        if not self.negative_samples:
            raise ValueError(
                "`negative_samples` must be above 0: nothing else pushes points apart."
            )

    def neighbors(self, samples: int) -> int:
        """The number asked for, which must be below that of the points."""
        if self.n_neighbors >= samples:
            raise ValueError(
                f"`n_neighbors` must be below the number of points, {samples}. "
                f"Received: {self.n_neighbors}."
            )
        return self.n_neighbors

    @abstractmethod
    def edges(self, graph: NeighborGraph) -> Edges:
        """The weighted edges of a graph of neighbours."""

    @abstractmethod
    def dissimilarity(self, squared: Tensor, tables: EdgeBatches, early: Tensor) -> Tensor:
        """u, the log odds that a pair at that squared distance is no edge."""

    def tables(self, z: NDArray[np.float32], graph: NeighborGraph, batch_size: int) -> EdgeBatches:
        """Batches of edges drawn by their weights."""
        return EdgeBatches.of(z, self.edges(graph))

    def cost(
        self, y: Tensor, points: Tensor, tables: EdgeBatches, early: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The cross-entropy of the batch, which is also what is reported."""
        anchors = points.shape[0] // 2
        ends = ops.sum(ops.square(y[:anchors] - y[anchors:]), axis=1)
        edge = ops.take(tables.edge_weight, points[:anchors])
        edge = edge / ops.mean(edge)
        heads = ops.concatenate([edge, edge])[:, None]
        # A random pair is none of a point with itself, which the batch may hold twice.
        other = ops.cast(points[:, None] != points[None, :anchors], y.dtype)
        pairs = heads * other
        pairs = self.negative_samples * pairs / ops.sum(pairs)
        apart = squared_distances(y, y[:anchors])
        attractive = ops.softplus(self.dissimilarity(ends, tables, early))
        repulsive = ops.softplus(-self.dissimilarity(apart, tables, early))
        loss = ops.mean(edge * attractive) + ops.sum(pairs * repulsive)
        return loss, loss

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"n_neighbors": self.n_neighbors, "negative_samples": self.negative_samples}


@keras.saving.register_keras_serializable(package="keras_pli")
class FuzzyObjective(EdgeObjective):
    """UMAP: the cross-entropy of fuzzy memberships, with negative samples (McInnes, Healy & Melville 2018).

    Two map points at distance d are neighbours with membership 1 / (1 + a d^2b), where a and b are fitted to
    `min_dist` and `spread`.

    Args:
        n_neighbors: Neighbours of a point, itself not counted; umap-learn counts it.
        min_dist: Distance in the map down to which neighbours are pulled.
        spread: Scale of the map.
        negative_samples: Random pairs for each edge.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        n_neighbors: int = 15,
        *,
        min_dist: float = 0.1,
        spread: float = 1.0,
        negative_samples: float = 5.0,
    ) -> None:
        super().__init__(n_neighbors, negative_samples=negative_samples)
        self.min_dist, self.spread = min_dist, spread
        self.a, self.b = curve(min_dist, spread)

    def edges(self, graph: NeighborGraph) -> Edges:
        """The fuzzy union of the points' memberships."""
        return fuzzy_union(graph.indices, memberships(graph))

    def dissimilarity(self, squared: Tensor, tables: EdgeBatches, early: Tensor) -> Tensor:
        """log(a d^2b)."""
        return float(np.log(self.a)) + self.b * ops.log(squared + COINCIDENT)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "min_dist": self.min_dist, "spread": self.spread}


@keras.saving.register_keras_serializable(package="keras_pli")
class ContrastiveObjective(EdgeObjective):
    """Neg-t-SNE: negative sampling with a fixed normalisation, between t-SNE and UMAP (Damrich et al. 2023).

    With the Cauchy kernel q = 1 / (1 + d²), a pair is an edge with probability q / (q + m Z̄ / N²). At
    `spectrum` 0, Z̄ = 100 N, which approximates t-SNE's partition function; at 1, Z̄ = N² / m, which is
    UMAP's choice; between and beyond them log Z̄ is linear. Early in training it is that of 1.

    Args:
        n_neighbors: Neighbours of a point, itself not counted; an edge joins points of which one lists the
            other.
        spectrum: 0 for a map like t-SNE's, 1 for one like UMAP's.
        negative_samples: m, the number of random pairs for each edge.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, n_neighbors: int = 15, *, spectrum: float = 0.0, negative_samples: float = 5.0
    ) -> None:
        super().__init__(n_neighbors, negative_samples=negative_samples)
        self.spectrum = checked_number(spectrum, "spectrum")

    def edges(self, graph: NeighborGraph) -> Edges:
        """Equal weights for all edges of the symmetric graph."""
        return fuzzy_union(graph.indices, np.isfinite(graph.distances).astype(np.float32))

    def dissimilarity(self, squared: Tensor, tables: EdgeBatches, early: Tensor) -> Tensor:
        """log(m Z̄ / N²) + log(1 + d²)."""
        at_zero = np.log(100.0 * self.negative_samples / tables.samples)  # and 0 at 1
        level = float((1.0 - self.spectrum) * at_zero) * (1.0 - early)
        return level + ops.log1p(squared)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "spectrum": self.spectrum}
