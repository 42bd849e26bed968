"""What a plan says of held-out samples: where they shall go, and which of them it selects."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...intervention import ClassLabel, InterventionPlan, Move, Polygon
from ...intervention.selection import selections_of

Array = NDArray[Any]


def held_out_targets(
    plan: InterventionPlan, positions: Array | None, labels: Array
) -> tuple[Array | None, Array | None]:
    """Returns a plan's moves applied to held-out points, or None where they name single training points.

    Labels of held-out samples are true, so no change of the data is applied to them.
    """
    if positions is None or not plan.moves or not plan.transfers:
        return None, None
    try:
        return InterventionPlan(plan.moves).apply(positions, labels)
    except ValueError as error:  # such as a lasso that holds no held-out point
        warnings.warn(
            f"The plan does not carry over to the held-out samples: {error}", stacklevel=4
        )
        return None, None


def held_out_selected(
    plan: InterventionPlan, positions: Array | None, labels: Array
) -> Array | None:
    """Returns which held-out samples a plan's classes and lassos select, or None where there are none.

    Example:
        >>> from keras_pli import Weigh
        >>> held_out_selected(InterventionPlan([Weigh(3, 9), Weigh([0], 2)]), None, np.array([3, 8])).tolist()
        [True, False]
    """
    selected = np.zeros(len(labels), dtype=bool)
    places = np.empty((len(labels), 0), dtype=np.float32) if positions is None else positions
    for change in plan.changes:
        for part in selections_of(change):
            if isinstance(part, ClassLabel) or (isinstance(part, Polygon) and places.shape[1]):
                selected |= _resolved(part, places, labels)
        if isinstance(change, Move) and places.shape[1] and InterventionPlan([change]).transfers:
            places = _moved(change, places, labels)
    return selected if selected.any() else None


def _resolved(selection: ClassLabel | Polygon, places: Array, labels: Array) -> Array:
    try:
        return selection.resolve(places, labels)
    except ValueError:  # it holds no held-out point
        return np.zeros(len(labels), dtype=bool)


def _moved(move: Move, places: Array, labels: Array) -> Array:
    try:
        return move.apply(places, labels)[0]
    except ValueError:
        return places
