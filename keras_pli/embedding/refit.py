"""Maps before and after in one frame: points held in place, and how far they drifted all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import quoted


@dataclass(frozen=True, repr=False)
class Refit:
    """What came of training on with anchors.

    Args:
        history: The `keras.callbacks.History`.
        anchors: Indices of the points that were held, shape `(anchors,)`.
        drift: Distance of each of them from its place, in units of the map, shape `(anchors,)`.
        scale: Root mean square distance of the map's points from their centre.
    """

    history: Any
    anchors: NDArray[np.intp]
    drift: NDArray[np.float32]
    scale: float

    def __repr__(self) -> str:
        middle, most = np.quantile(self.drift, [0.5, 0.95]) / self.scale
        return (
            f"Refit({len(self.anchors)} anchors, which drifted by {middle:.1%} of the map's scale in the "
            f"median, 95 % of them by less than {most:.1%})"
        )


def checked_anchors(anchors: Any, samples: int, components: int) -> NDArray[np.float32]:
    """Returns the places of anchors, shape `(samples, components)`, with rows of NaN for free points.

    Raises:
        ValueError: If shapes do not fit, an index is out of range or given twice, a place is not finite, or
            there is no anchor at all.

    Example:
        >>> checked_anchors(([1], [[0.5, 2.0]]), samples=2, components=2).tolist()
        [[nan, nan], [0.5, 2.0]]
    """
    if isinstance(anchors, tuple):
        positions = _placed(anchors, samples, components)
    else:
        positions = np.asarray(anchors, dtype=np.float32)
        if positions.shape != (samples, components):
            raise ValueError(
                f"`anchors` must be places of shape {(samples, components)}, with NaN for free points, or a "
                f"pair (indices, positions). Received shape {positions.shape}."
            )
        free = np.isnan(positions)
        wrong = np.flatnonzero(
            np.isinf(positions).any(axis=1) | (free.any(axis=1) != free.all(axis=1))
        )
        if len(wrong):
            raise ValueError(
                f"Anchors must be finite in all components, or NaN in all: rows {quoted(wrong)}."
            )
    if not np.isfinite(positions).any():
        raise ValueError("`anchors` holds no point in place: use `fit` to train on without any.")
    return positions


def _placed(anchors: tuple[Any, ...], samples: int, components: int) -> NDArray[np.float32]:
    if len(anchors) != 2:
        raise ValueError(
            f"`anchors` must be a pair (indices, positions). Received {len(anchors)} parts."
        )
    indices, places = np.asarray(anchors[0]), np.asarray(anchors[1], dtype=np.float32)
    if (
        indices.ndim != 1
        or indices.dtype.kind not in "iu"
        or places.shape != (len(indices), components)
    ):
        raise ValueError(
            "The indices of anchors must be whole numbers of shape (anchors,), their positions of shape "
            f"(anchors, {components}). Received: {indices.dtype} {indices.shape} and {places.shape}."
        )
    outside = indices[(indices < 0) | (indices >= samples)]
    if len(outside):
        raise ValueError(f"Anchors out of range [0, {samples}): {quoted(outside)}.")
    found, counts = np.unique(indices, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"Anchors given more than once: {quoted(found[counts > 1])}.")
    if not np.isfinite(places).all():
        raise ValueError("Positions of anchors must be finite.")
    positions = np.full((samples, components), np.nan, dtype=np.float32)
    positions[indices] = places
    return positions
