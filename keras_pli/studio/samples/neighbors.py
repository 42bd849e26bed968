"""The nearest neighbours of samples in a layer's activations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number
from ...embedding import nearest_neighbors
from ...intervention.data_changes import is_unlabelled

COUNT = 10  # neighbours of each sample that are asked whether they agree
_CHUNK_ENTRIES = 4_000_000  # differences held at a time


class NotYetError(RuntimeError):
    """What was asked for is being looked for; it is worth asking again."""


class LayerNeighbors:
    """Nearest neighbours in a layer's activations: of one sample at once, of all in the background.

    Those of one sample are found by a pass over all activations, exactly, so that a card needs no index.
    Those of all are found once, when they are first asked for, by `keras_pli.nearest_neighbors`: exactly up
    to some tens of thousands of samples, approximately beyond. A sample is never its own neighbour, and its
    duplicates are.

    Args:
        activations: Shape `(samples, features)`, or a function that returns them when they are first needed.
        count: Neighbours of each sample in `of_all`; fewer where there are not as many samples.
        seed: Seed of the approximate search.

    Example:
        >>> neighbors = LayerNeighbors(np.array([[0.0], [1.0], [5.0], [1.0]]))
        >>> indices, distances = neighbors.of(1, count=2)
        >>> indices.tolist(), distances.tolist()
        ([3, 0], [0.0, 1.0])
    """

    def __init__(
        self,
        activations: NDArray[Any] | Callable[[], NDArray[Any]],
        *,
        count: int = COUNT,
        seed: int = 0,
    ) -> None:
        self._activations = activations
        self.count = checked_number(count, "count", least=1, whole=True)
        self.seed = seed
        self._found: Future[NDArray[np.int32]] | None = None
        self._lock = threading.Lock()

    @property
    def activations(self) -> NDArray[Any]:
        """The activations; raises ValueError if they are not of shape `(samples, features)`."""
        with self._lock:
            if callable(self._activations):
                self._activations = self._activations()
            found = self._activations = np.asarray(self._activations)
        if found.ndim != 2:
            raise ValueError(
                f"`activations` must have shape (samples, features). Received: {found.shape}."
            )
        return found

    def of(
        self, index: int, *, count: int = COUNT
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns a sample's nearest neighbours and how far they are, the nearest first.

        Args:
            index: The sample.
            count: How many at most.

        Raises:
            ValueError: If there is no such sample, or its activations are not finite.
        """
        activations = self.activations
        samples = len(activations)
        index = checked_number(index, "index", least=0, below=samples, whole=True)
        own: NDArray[Any] = np.asarray(activations[index], dtype=np.float32)
        if not np.isfinite(own).all():
            raise ValueError(f"The activations of sample {index} are not finite.")
        squares = np.empty(samples, dtype=np.float32)
        step = max(1, _CHUNK_ENTRIES // max(1, own.size))
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, samples, step):
                # Of differences, so that duplicates are at a distance of 0.
                away = activations[start : start + step] - own
                squares[start : start + step] = np.einsum("ij,ij->i", away, away)
        squares[index] = np.nan
        near = np.flatnonzero(np.isfinite(squares))
        if len(near) > count:
            near = near[np.argpartition(squares[near], count - 1)[:count]]
        distances = np.linalg.norm(activations[near].astype(np.float64) - own, axis=1)
        order = np.lexsort((near, distances))
        return near[order], distances[order]

    @property
    def ready(self) -> bool:
        """Whether the neighbours of all samples are known."""
        return self._found is not None and self._found.done()

    def of_all(self, *, patience: float | None = None) -> NDArray[np.int32]:
        """Returns the neighbours of all samples, `(samples, count)`; waits until they are found.

        Args:
            patience: Seconds to wait; None for as long as it takes. The search goes on in the background.

        Raises:
            ValueError: If there is but one sample, or activations are not finite.
            NotYetError: If they are not found by then.
        """
        found = self.start()
        if not wait([found], patience).done:
            raise NotYetError(
                "The nearest neighbours of all samples are still being looked for. Ask again in a while."
            )
        return found.result()

    def start(self) -> Future[NDArray[np.int32]]:
        """Begins to look for the neighbours of all samples, unless that was begun before."""
        with self._lock:
            if self._found is None:
                self._found = Future()
                threading.Thread(target=self._search, args=(self._found,), daemon=True).start()
            return self._found

    def _search(self, found: Future[NDArray[np.int32]]) -> None:
        try:
            activations = self.activations
            if len(activations) < 2:
                raise ValueError("A single sample has no neighbours.")
            count = min(self.count, len(activations) - 1)
            graph = nearest_neighbors(activations, count, seed=self.seed)
        except Exception as error:
            found.set_exception(error)
        else:
            found.set_result(graph.indices)


def disagreement(labels: NDArray[Any], neighbors: NDArray[Any]) -> NDArray[np.float32]:
    """Returns the share of each sample's neighbours whose label differs from its own, `(samples,)`.

    Neighbours without a label are left out. NaN stands for samples without a label, and for those none of
    whose neighbours has one.

    Args:
        labels: Classes, `(samples,)`; -1 for a sample without a label.
        neighbors: Indices of each sample's neighbours, `(samples, count)`.

    Example:
        >>> disagreement(np.array([0, 1, 1, -1]), np.array([[1, 2], [0, 2], [1, 3], [0, 1]])).tolist()
        [1.0, 0.5, 0.0, nan]
    """
    known = ~is_unlabelled(labels)
    counted = known[neighbors]
    differs = (labels[neighbors] != labels[:, None]) & counted
    with np.errstate(invalid="ignore"):
        share = differs.sum(axis=1) / counted.sum(axis=1).astype(np.float32)
    return np.where(known, share, np.float32(np.nan)).astype(np.float32)
