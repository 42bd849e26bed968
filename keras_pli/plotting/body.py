"""Where in a volume there is something to see, and in which greys it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .images import natural_range

Box: TypeAlias = tuple[tuple[int, int], ...]

_BODY = 0.1  # of the contrast between background and body
_LEVEL = 0.01  # of the contrast, within which a background counts as one value
_MOSTLY = 0.8  # of what is no body
_SPECKS = 0.002  # share of a slice that noise in the background may fill
_MARGIN = 0.03  # of the longest edge


def background(volume: NDArray[np.float64]) -> float:
    """Returns the value around the body: the median of the eight corners."""
    return float(np.median(volume[np.ix_(*[[0, -1]] * 3)]))


def body(volume: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns which voxels of a volume differ from what is in its corners; all where none does.

    Example:
        >>> volume = np.zeros((5, 5, 5))
        >>> volume[1:4, 2:4, 2] = -1.0
        >>> int(body(volume).sum())
        6
    """
    away = np.abs(volume - background(volume))
    contrast = float(np.percentile(away, 99.5)) or float(away.max())
    return away > _BODY * contrast if contrast else np.ones(volume.shape, dtype=bool)


def box_around(
    seen: NDArray[np.bool_],
    edges: Sequence[float] | NDArray[np.float64],
    *,
    whole: NDArray[np.bool_] | None = None,
    margin: float = _MARGIN,
) -> Box:
    """Returns first and last voxel along each axis of a box around what is seen, with a margin.

    Args:
        seen: Which voxels are body; slices with no more than specks of it are left out.
        edges: Edges of a voxel.
        whole: Voxels that must lie within, each of them.
        margin: Share of the longest edge that is left around it, and a voxel at least; 0 for none.

    Example:
        >>> seen = np.zeros((20, 9, 9), dtype=bool)
        >>> seen[6:12, 3:7] = True
        >>> box_around(seen, (1, 1, 1))
        ((5, 12), (2, 7), (0, 8))
    """
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        kept = seen.mean(axis=others) > _SPECKS
        if whole is not None:
            kept |= whole.any(axis=others)
        places = np.flatnonzero(kept) if kept.any() else np.arange(len(kept))
        ends.append((int(places[0]), int(places[-1])))
    air = margin * max(
        (last - first + 1) * edge for (first, last), edge in zip(ends, edges, strict=True)
    )
    box = []
    for (first, last), edge, size in zip(ends, edges, seen.shape, strict=True):
        more = max(1, round(air / edge)) if margin else 0
        box.append((max(first - more, 0), min(last + more, size - 1)))
    return tuple(box)


def surroundings(volume: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns where a volume has the one value of its corners, as far as that reaches in from its sides.

    Such is the 0 around a brain that was cut out. There is none in a scan whose background is noise.

    Args:
        volume: Its values.
        inside: Which of them are body.

    Example:
        >>> volume = np.zeros((5, 5, 5))
        >>> volume[1:4, 1:4, 1:4] = 1.0
        >>> volume[2, 2, 2] = 0.0
        >>> int(surroundings(volume, body(volume)).sum())
        98
    """
    away = np.abs(volume - background(volume))
    level = away <= _LEVEL * float(away[inside].max())
    if inside.all() or level.sum() < _MOSTLY * (~inside).sum():
        return np.zeros(volume.shape, dtype=bool)
    # What is not reached from outside: holes, and what the body shuts in.
    return level & ~ndimage.binary_fill_holes(~level)


def body_range(volume: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Returns the values to draw black and white so that the body has its own contrast.

    Half a percent of the body's voxels at each end lies beyond, as vessels are brighter than any tissue.

    Args:
        volume: Its values.
        inside: Which of them are body.

    Example:
        >>> volume = np.arange(1001.0)
        >>> body_range(volume.reshape(7, 11, 13), volume.reshape(7, 11, 13) >= 0)
        (5.0, 995.0)
    """
    around = background(volume)
    low, high = (float(end) for end in np.percentile(volume[inside], (0.5, 99.5)))
    low = min(low, around) if around < high else low
    return (low, high) if low < high else natural_range(volume)
