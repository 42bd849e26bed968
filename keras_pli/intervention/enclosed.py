"""Which points a polygon encloses: the even-odd rule, up to the rounding of float32 coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def enclosed(points: NDArray[np.float64], vertices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns which points lie inside a polygon or on its outline, booleans `(n,)`.

    Each edge is compared with the points at its height alone, so that a lasso costs hardly more with many
    corners than with few.

    Args:
        points: Shape `(n, 2)`.
        vertices: Corners of shape `(k, 2)`, in order; the last is joined to the first.

    Example:
        >>> triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> enclosed(np.array([[0.5, 0.5], [1.0, 1.0], [2.0, 2.0]]), triangle).tolist()
        [True, True, False]
    """
    tolerance = float(np.finfo(np.float32).eps * max(np.abs(points).max(), np.abs(vertices).max()))
    low, high = vertices.min(axis=0) - tolerance, vertices.max(axis=0) + tolerance
    # A lasso holds few of many points; those outside its box need no look at every edge.
    mask = ((points >= low) & (points <= high)).all(axis=1)
    mask[mask] = _inside(points[mask], vertices, tolerance)
    return mask


def _inside(
    points: NDArray[np.float64], vertices: NDArray[np.float64], tolerance: float
) -> NDArray[np.bool_]:
    odd = np.zeros(len(points), dtype=bool)
    outline = np.zeros(len(points), dtype=bool)
    order = np.argsort(points[:, 1])
    points = points[order]
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        edge = end - start
        if not edge.any():
            continue
        low, high = sorted((start[1], end[1]))
        # Points below and above an edge neither straddle it nor lie on it.
        bounds = [low - 2 * tolerance, high + 2 * tolerance]
        slab = slice(*np.searchsorted(points[:, 1], bounds, side="left"))
        offset = points[slab] - start
        # Half-open in y, so that a ray through a corner meets one of its two edges, not both.
        straddles = (start[1] > points[slab, 1]) != (end[1] > points[slab, 1])
        across = edge[0] * offset[:, 1] - edge[1] * offset[:, 0]
        odd[slab] ^= straddles & ((across > 0) == (edge[1] > 0))
        # No point of an edge is nearer than the line through it.
        near = np.flatnonzero(np.abs(across) <= 2 * tolerance * np.hypot(*edge))
        offset = offset[near]
        along = np.clip(offset @ edge / (edge @ edge), 0, 1)
        away = np.hypot(*(offset - along[:, None] * edge).T)
        outline[slab.start + near[away <= tolerance]] = True
    found = np.empty(len(points), dtype=bool)
    found[order] = odd | outline
    return found
