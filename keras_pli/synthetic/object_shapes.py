"""The small objects of the known-truth benchmark, all of one volume and brightness in each dimension.

Every object of a dimension, class or distractor, holds the same number of positions and the same values;
only their arrangement differs. So nothing that ignores arrangement (mean, variance, histogram) can tell a
class, and no object is brighter than another. No object of a class is hollow: the middle of what a coarse
map finds belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..brief import brief_repr

Array = NDArray[Any]
RAMP = np.linspace(0.25, 1.75, 16)  # mean 1, as bright as the objects of the other dimensions


@dataclass(frozen=True, eq=False)
class Shapes:
    """The objects of one dimension, as the positions they fill in a common box.

    Args:
        class_names: Names of the classes; the first templates are theirs, in this order.
        extent: Length of the box along every axis.
        cells: Positions, integers of shape `(templates, volume, dimensions)`.
        values: What each position adds to the background, `(templates, volume)`.
    """

    class_names: tuple[str, ...]
    extent: int
    cells: NDArray[np.int64]
    values: NDArray[np.float32]

    __repr__ = brief_repr


def shapes(dimensions: int) -> Shapes:
    """Returns the objects of 1-D signals, 2-D images or 3-D volumes.

    Distractors come in all orientations; the objects of the classes keep theirs.

    Example:
        >>> shapes(2).class_names, shapes(2).cells.shape
        (('bar', 'plus', 'saltire'), (9, 28, 2))
    """
    classes, distractors = {1: _bumps, 2: _figures, 3: _bodies}[dimensions]()
    templates = [*classes.values(), *(turned for one in distractors for turned in _turned(one))]
    extent = max(max(template.shape) for template in templates)
    # Centred in the box, so that objects of different reach are found at the same places.
    cells = [
        np.argwhere(template) + (extent - np.array(template.shape)) // 2 for template in templates
    ]
    values = [template[template > 0] for template in templates]
    return Shapes(tuple(classes), extent, np.stack(cells), np.stack(values).astype(np.float32))


def _bumps() -> tuple[dict[str, Array], list[Array]]:
    def peak(heights: Array) -> Array:
        return np.concatenate([heights[::2], heights[1::2][::-1]])

    classes = {"rising": RAMP, "falling": RAMP[::-1], "peak": peak(RAMP)}
    valley = peak(RAMP[::-1])
    two_peaks = np.concatenate([peak(RAMP[::2]), peak(RAMP[1::2])])
    return classes, [valley, two_peaks]


def _figures() -> tuple[dict[str, Array], list[Array]]:
    plus = np.zeros((8, 8))
    plus[3:5] = plus[:, 3:5] = 1
    return {"bar": np.ones((4, 7)), "plus": plus, "saltire": _saltire()}, _letters()


def _bodies() -> tuple[dict[str, Array], list[Array]]:
    ball = np.ones((4, 4, 4))
    ball[::3, ::3, ::3] = 0
    jack = np.zeros((6, 6, 6))
    jack[:, 2:4, 2:4] = jack[2:4, :, 2:4] = jack[2:4, 2:4, :] = 1
    return {"ball": ball, "jack": jack, "saltire": _plate(_saltire())}, [
        _plate(letter) for letter in _letters()
    ]


def _saltire() -> Array:
    row, column = np.indices((6, 6))
    return ((abs(row - column) < 2) | (abs(row + column - 5) < 2)).astype(float)


def _letters() -> list[Array]:
    u, h = np.ones((2, 6, 6))
    u[:4, 2:4] = 0
    h[:2, 2:4] = h[4:, 2:4] = 0
    return [u, h]


def _plate(figure: Array) -> Array:
    return np.stack([figure, figure])


def _turned(template: Array) -> list[Array]:
    """All different results of exchanging and reversing a template's axes."""
    found = {}
    for axes in permutations(range(template.ndim)):
        for steps in product((1, -1), repeat=template.ndim):
            turned = template.transpose(axes)[tuple(slice(None, None, step) for step in steps)]
            found[turned.shape, turned.tobytes()] = turned
    return list(found.values())
