"""What the plan of a session makes of its map and its labels, and what of it can be told entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...intervention import EditedData, InterventionPlan
from ...intervention.data_changes import DataChange, Relabel, is_unlabelled
from ...intervention.edited_data import with_label
from ...intervention.move import Move
from ...intervention.selection import BoolArray, Indices, Selection


@dataclass(frozen=True, eq=False)
class EditedMap:
    """A map after a plan, and the data that would be trained on.

    Args:
        plan: The plan.
        targets: Where the points shall go, float32 `(samples, 2)`.
        moved: Which points a move selects, booleans `(samples,)`.
        data: Labels, weights and rows after the plan.
        selected: For each change of the plan the points that it selects.
        lost: Classes that have no sample left to train on, and had some.
    """

    plan: InterventionPlan
    targets: NDArray[np.float32]
    moved: BoolArray
    data: EditedData
    selected: Sequence[BoolArray] = field(repr=False)
    lost: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        plan: InterventionPlan,
        embedding: NDArray[np.float32],
        labels: NDArray[Any],
        classes: int,
    ) -> EditedMap:
        """Applies a plan.

        Raises:
            ValueError: If it does not fit the points; the change is named.
        """
        steps = {step.place: step for step in plan.replay(embedding, labels)}
        data = plan.edited_data(labels, embedding, classes=classes)
        lost = np.setdiff1d(labels[~is_unlabelled(labels)], data.labels[data.rows])
        positions, selected = embedding, []
        moved = np.zeros(len(embedding), dtype=bool)
        for place, change in enumerate(plan, start=1):
            if place in steps:
                positions = steps[place].targets
                moved |= steps[place].selected
                selected.append(steps[place].selected)
            elif isinstance(change, DataChange):
                assert isinstance(change.selection, Selection)
                selected.append(change.selection.resolve(positions, labels))
                if isinstance(change, Relabel):
                    labels = with_label(labels, selected[-1], change.label)
        return cls(plan, positions, moved, data, selected, tuple(lost.tolist()))

    @property
    def flags(self) -> NDArray[np.uint8]:
        """For each sample 1 if it is weighed, plus 2 if relabelled, plus 4 if excluded."""
        masks = (self.data.weighed, self.data.relabelled, self.data.excluded)
        return np.sum([mask * 2**bit for bit, mask in enumerate(masks)], axis=0, dtype=np.uint8)

    def lasting_changes(self) -> list[DataChange]:
        """The changes of the data, each with the points that it selects one by one.

        They hold on whatever map comes next, while moves belong to the map that they were made on.
        """
        return [
            self.lasting(place)
            for place, change in enumerate(self.plan)
            if isinstance(change, DataChange)
        ]

    def lasting(self, place: int) -> DataChange:
        """The change of the data at a place, counted from 0, with its points one by one."""
        change = self.plan.changes[place]
        assert isinstance(change, DataChange)
        return replace(change, selection=Indices(np.flatnonzero(self.selected[place])))


def kind_of(change: Any) -> str:
    """Returns whether a change is a "move" or a change of the "data"."""
    return "move" if isinstance(change, Move) else "data"
