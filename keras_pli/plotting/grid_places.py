"""Cells of a grid for the points of a map, one for each, near where they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

ASKED = 32  # free cells that a point which finds no room looks at first


def grid_places(y: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.intp]:
    """Gives each point of a map a cell of its own, near its place.

    All points ask for the nearest free cell at the same time, the nearest of those that ask for a cell gets
    it, and the others ask again. It takes some ten rounds, and little more room than the optimal assignment
    (see the tests), which takes N³ steps.

    Args:
        y: Points of shape `(samples, 2)`; the map is laid over the grid with its own aspect.
        rows: Cells down, the first one at the top.
        columns: Cells across.

    Returns:
        Row and column of each point, shape `(samples, 2)`.

    Raises:
        ValueError: If there are fewer cells than points.

    Example:
        >>> grid_places(np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 4.0]]), 2, 2).tolist()
        [[1, 0], [0, 0], [0, 1]]
    """
    if rows * columns < len(y):
        raise ValueError(f"{len(y)} points do not fit into {rows} × {columns} cells.")
    cells = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    cells = cells.reshape(-1, 2).astype(np.float64)
    wanted = _on_grid(y, rows, columns)
    found = np.full(len(y), -1)
    waiting, free = np.arange(len(y)), np.arange(len(cells))
    asked = min(ASKED, len(cells))
    while len(waiting):
        tree = cKDTree(cells[free])
        distances, ranks = tree.query(wanted[waiting], k=min(asked, len(free)))
        distances, ranks = distances.reshape(len(waiting), -1), ranks.reshape(len(waiting), -1)
        taken = _settled(distances, free[ranks], len(cells))
        found[waiting[taken >= 0]] = taken[taken >= 0]
        waiting, free = waiting[taken < 0], np.setdiff1d(free, taken)
    return cells[found].astype(np.intp)


def _settled(
    distances: NDArray[np.float64], cells: NDArray[np.intp], count: int
) -> NDArray[np.intp]:
    """The cell that each point gets among those it asks for in turn, or −1; shape `(points,)`."""
    owner = np.full(count, -1)
    found = np.full(len(cells), -1)
    for column in range(cells.shape[1]):
        asking = np.flatnonzero(found < 0)
        asking = asking[owner[cells[asking, column]] < 0]
        # The last to be written is the nearest.
        order = asking[np.argsort(-distances[asking, column], kind="stable")]
        owner[cells[order, column]] = order
        won = asking[owner[cells[asking, column]] == asking]
        found[won] = cells[won, column]
    return found


def _on_grid(y: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Where points lie in units of cells, as row and column, the map centred."""
    low, high = y.min(axis=0), y.max(axis=0)
    sides = zip(high - low, (columns, rows), strict=True)
    # Along one row of cells there is room for nothing but a line.
    scale = min((max(count - 1, 0.5) / side for side, count in sides if side), default=0.0)
    across = (columns - 1) / 2 + scale * (y[:, 0] - (low[0] + high[0]) / 2)
    down = (rows - 1) / 2 - scale * (y[:, 1] - (low[1] + high[1]) / 2)
    return np.stack([down, across], axis=1)
