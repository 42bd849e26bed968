"""Places on a map that tests point at or draw around."""

import numpy as np


def lonely(points):
    """The point that is farthest from all others."""
    gaps = np.hypot(*(points[:, None] - points[None]).T)
    np.fill_diagonal(gaps, np.inf)
    return int(gaps.min(axis=0).argmax())


def star(points, share=0.5):
    """Corners of a star over the middle of the map; lines of it are neither upright nor level."""
    centre, reach = np.median(points, axis=0), share * np.ptp(points, axis=0) / 2
    turns = np.arange(10) * np.pi / 5 + 0.3
    radii = np.where(np.arange(10) % 2, 0.45, 1.0)[:, None]
    return centre + radii * reach * np.stack([np.cos(turns), np.sin(turns)], axis=1)
