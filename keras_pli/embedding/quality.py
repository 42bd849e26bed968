"""How faithful a map is: neighbourhoods kept, distances kept, classes kept apart.

Every measure works through the points in chunks, so that none needs an array of samples × samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from ..checks import finite_array, label_array
from .neighbors import nearest_neighbors

CHUNK_ENTRIES = 8_000_000  # distances held at a time


def trustworthiness(z: ArrayLike, y: ArrayLike, *, n_neighbors: int = 12) -> float:
    """Measures how far neighbours in the map are neighbours in the data (Venna & Kaski 2001).

    Equal to `sklearn.manifold.trustworthiness`, in chunks.

    Args:
        z: Data of shape `(samples, ...)`.
        y: Map of shape `(samples, components)`.
        n_neighbors: Neighbourhood size, below samples / 2; 12 as in van der Maaten (2009).

    Returns:
        A float in [0, 1]; 1 if every neighbour in the map is one in the data.

    Raises:
        ValueError: If lengths differ, a value is not finite, or there are too few samples.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> trustworthiness(z, z, n_neighbors=5)
        1.0
    """
    z, y = _pair(z, y, n_neighbors)
    samples = len(z)
    in_map = nearest_neighbors(y, n_neighbors, method="exact").indices
    penalty = 0
    for rows, distances in _distance_chunks(z):
        own = np.arange(len(distances)), np.arange(samples)[rows]
        distances[own] = np.inf
        order = np.argsort(distances, axis=1)
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(samples)[None, :], axis=1)
        of_neighbors = np.take_along_axis(ranks, in_map[rows], axis=1) + 1
        penalty += int(np.maximum(of_neighbors - n_neighbors, 0).sum())
    worst = samples * n_neighbors * (2 * samples - 3 * n_neighbors - 1) / 2
    return 1.0 - penalty / worst


def continuity(z: ArrayLike, y: ArrayLike, *, n_neighbors: int = 12) -> float:
    """Measures how far neighbours in the data are neighbours in the map: trustworthiness, roles exchanged.

    Takes, returns and raises what `trustworthiness` does.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> continuity(z, z, n_neighbors=5)
        1.0
    """
    return trustworthiness(y, z, n_neighbors=n_neighbors)


def neighbor_recall(z: ArrayLike, y: ArrayLike, *, n_neighbors: int = 12) -> float:
    """Returns the share of each point's nearest neighbours in the data that are its nearest in the map.

    Takes and raises what `trustworthiness` does.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> neighbor_recall(z, 3 * z, n_neighbors=5)
        1.0
    """
    z, y = _pair(z, y, n_neighbors)
    in_data = nearest_neighbors(z, n_neighbors, method="exact").indices
    in_map = nearest_neighbors(y, n_neighbors, method="exact").indices
    kept = sum(
        int(np.any(in_data[:, column, None] == in_map, axis=1).sum())
        for column in range(n_neighbors)
    )
    return kept / in_data.size


def knn_error(
    y_train: ArrayLike,
    labels_train: ArrayLike,
    y_test: ArrayLike,
    labels_test: ArrayLike,
    *,
    n_neighbors: int = 1,
) -> float:
    """Returns the error of classifying held-out points by the vote of their neighbours in the map.

    Args:
        y_train: Map of the training points, shape `(samples, components)`.
        labels_train: Their classes.
        y_test: Map of points the embedding has not seen.
        labels_test: Their classes.
        n_neighbors: Number of voters; 1 as in van der Maaten (2009).

    Returns:
        The share of test points put into a wrong class, a float in [0, 1].

    Raises:
        ValueError: If lengths differ or a value is not finite.

    Example:
        >>> knn_error([[0.0, 0], [9, 9]], ["a", "b"], [[1.0, 1], [8, 8]], ["a", "a"])
        0.5
    """
    y_train = finite_array(y_train, "y_train", ndim=2)
    y_test = finite_array(y_test, "y_test", ndim=2)
    voters = KNeighborsClassifier(n_neighbors, n_jobs=-1)
    voters.fit(y_train, label_array(labels_train, len(y_train), "labels_train"))
    found = voters.predict(y_test)
    return float(np.mean(found != label_array(labels_test, len(y_test), "labels_test")))


def distance_correlation(
    z: ArrayLike, y: ArrayLike, *, pairs: int = 200_000, seed: int | None = 0
) -> float:
    """Returns Spearman's rank correlation of distances in the data with distances in the map.

    Args:
        z: Data of shape `(samples, ...)`.
        y: Map of shape `(samples, components)`.
        pairs: Number of pairs drawn at random; all pairs are taken where there are no more.
        seed: Seed of that draw.

    Returns:
        A float in [−1, 1].

    Raises:
        ValueError: If lengths differ or a value is not finite.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> round(distance_correlation(z, 2 * z), 6)
        1.0
    """
    z, y = _pair(z, y, 1)
    samples = len(z)
    if samples * (samples - 1) // 2 <= pairs:
        i, j = np.triu_indices(samples, k=1)
    else:
        random = np.random.default_rng(seed)
        i = random.integers(samples, size=pairs)
        j = (i + random.integers(1, samples, size=pairs)) % samples
    chunks = np.array_split(np.arange(len(i)), max(1, len(i) * z.shape[1] // CHUNK_ENTRIES))
    far_in_data = np.concatenate([np.linalg.norm(z[i[c]] - z[j[c]], axis=1) for c in chunks])
    return float(spearmanr(far_in_data, np.linalg.norm(y[i] - y[j], axis=1)).statistic)


def silhouette(
    y: ArrayLike, labels: ArrayLike, *, most: int = 10_000, seed: int | None = 0
) -> float:
    """Returns the mean silhouette coefficient of the classes (Rousseeuw 1987), by scikit-learn.

    Args:
        y: Map of shape `(samples, components)`.
        labels: Class of each sample.
        most: Larger sets are sampled down to this number, since the cost is quadratic.
        seed: Seed of that sample.

    Returns:
        A float in [−1, 1]; near 1 where the classes are compact and far apart.

    Raises:
        ValueError: If lengths differ, a value is not finite, or there are fewer than two classes.

    Example:
        >>> round(silhouette([[0.0, 0], [0, 1], [50, 0], [50, 1]], [0, 0, 1, 1]), 2)
        0.98
    """
    y = finite_array(y, "y", ndim=2)
    labels = label_array(labels, len(y))
    sample = most if len(y) > most else None
    return float(silhouette_score(y, labels, sample_size=sample, random_state=seed))


def _pair(
    z: ArrayLike, y: ArrayLike, n_neighbors: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    z, y = finite_array(z, "z"), finite_array(y, "y")
    if len(z) != len(y):
        raise ValueError(
            f"Data and map must hold the same samples. Received: {len(z)} and {len(y)}."
        )
    if not 1 <= n_neighbors < len(z) / 2:
        raise ValueError(
            f"`n_neighbors` must lie between 1 and half the {len(z)} samples. Received: {n_neighbors}."
        )
    return z.reshape(len(z), -1), y.reshape(len(y), -1)


def _distance_chunks(z: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    height = max(1, CHUNK_ENTRIES // len(z))
    for start in range(0, len(z), height):
        rows = slice(start, min(start + height, len(z)))
        yield rows, pairwise_distances(z[rows], z)
