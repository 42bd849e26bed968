"""Where new points go by their neighbours, and not by a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from ..checks import checked_number, finite_array, one_of
from .arguments import checked_points
from .points import centred_points, features_of, to_unit_length


def place_by_neighbors(
    new: ArrayLike,
    z: ArrayLike,
    y: ArrayLike,
    *,
    n_neighbors: int = 3,
    metric: str = "euclidean",
) -> NDArray[np.float32]:
    """Places new points on any map, each at the median of its nearest training points' positions.

    A network places new points less well than those it was trained on; this places them as faithfully as the
    map shows its own. openTSNE's transform starts from such medians (Poličar, Stražar & Zupan 2023). It has
    no gradient, needs the training points at hand, and puts no point where there was none: retrain by a
    map's `predict`. A point whose two positions lie far apart is one that the network is unsure of.

    Args:
        new: Points to place, shape `(new, ...)`.
        z: The points of the map, shape `(samples, ...)`, such as those of `fit`; memory-mapped or not.
        y: Their positions, shape `(samples, components)`: of `predict`, of a plan, or of another package.
        n_neighbors: Neighbours looked for. The median of three or five is robust to one that lies elsewhere;
            more blur the map.
        metric: `"euclidean"` or `"cosine"`, as the map's own.

    Returns:
        float32 array of shape `(new, components)`.

    Raises:
        ValueError: If lengths or features differ, a value is not finite, a row is 0 where the cosine is asked
            for, there are fewer points than neighbours, or the metric is unknown.
        TypeError: If values are not real numbers, or points are a sparse matrix.

    Example:
        >>> z, y = [[0.0], [1.0], [2.0], [9.0]], [[0.0, 0], [1, 0], [2, 0], [0, 50]]
        >>> place_by_neighbors([[1.2]], z, y).tolist()
        [[1.0, 0.0]]
    """
    one_of(metric, ["euclidean", "cosine"], "metric")
    arrays = {"new": checked_points(new, "new"), "z": checked_points(z, "z")}
    y = finite_array(y, "y", ndim=2)
    if len(y) != len(arrays["z"]):
        raise ValueError(
            f"`z` and `y` must hold the same points. Received: {len(arrays['z'])} and {len(y)}."
        )
    if features_of(arrays["new"]) != features_of(arrays["z"]):
        raise ValueError(
            "`new` must have the features of `z`. "
            f"Received shapes {arrays['new'].shape} and {arrays['z'].shape}."
        )
    checked_number(n_neighbors, "n_neighbors", least=1, below=len(y) + 1, whole=True)
    cosine = metric == "cosine"
    prepare = {name: to_unit_length(array) if cosine else None for name, array in arrays.items()}
    points = centred_points(arrays["z"], prepare["z"])
    queries = points.alike(arrays["new"], prepare["new"])
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(points.values)
    return np.median(y[search.kneighbors(queries, return_distance=False)], axis=1)
