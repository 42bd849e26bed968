"""What a plan makes of the training data: labels, weights, and the rows that are trained on."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import finite_array, label_array, quoted
from .data_changes import DataChange, Exclude, Relabel, Weigh, is_unlabelled
from .selection import BoolArray, Polygon, Selection


@dataclass(frozen=True, eq=False)
class EditedData:
    """Labels and weights of a training set after a plan, and which of its rows are trained on.

    Args:
        labels: One label a sample, `(n,)`; -1 where there is still none.
        sample_weight: float32 `(n,)`.
        rows: Samples that are trained on, int64 in order: neither excluded nor without a label.
        weighed: Booleans `(n,)`, the samples that a `Weigh` selected.
        relabelled: Booleans `(n,)`, those whose label is another than it was.
        excluded: Booleans `(n,)`, those that an `Exclude` selected.

    Example:
        >>> from keras_pli import Exclude, InterventionPlan
        >>> edited = InterventionPlan([Exclude([1])]).edited_data([3, 8, 8, -1])
        >>> edited.of([10.0, 11.0, 12.0, 13.0]).tolist(), edited.counts["excluded"]
        ([10.0, 12.0], 1)
    """

    labels: NDArray[Any]
    sample_weight: NDArray[np.float32]
    rows: NDArray[np.int64]
    weighed: BoolArray
    relabelled: BoolArray
    excluded: BoolArray

    __repr__ = brief_repr

    def of(self, values: ArrayLike) -> NDArray[Any]:
        """Returns the rows of an array that are trained on, such as of the inputs or of `labels`."""
        array = np.asarray(values)
        if len(array) != len(self.labels):
            raise ValueError(
                f"There must be one entry for each of the {len(self.labels)} samples. Received: {len(array)}."
            )
        return array[self.rows]

    @property
    def masks(self) -> dict[str, BoolArray]:
        """Which samples were weighed, relabelled and excluded, by these words."""
        return {name: getattr(self, name) for name in ("weighed", "relabelled", "excluded")}

    @property
    def counts(self) -> dict[str, int]:
        """How many samples were weighed, relabelled and excluded, and how many have no label."""
        masks = {**self.masks, "unlabelled": is_unlabelled(self.labels)}
        return {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}


class DataEditor:
    """Training data in the course of a plan, change by change.

    Args:
        labels: Labels of shape `(n,)`, -1 for those that have none.
        sample_weight: Weights of shape `(n,)` that the caller gives, or None.
        classes: The number of classes, where labels are counted from 0; None for the labels that occur.

    Raises:
        ValueError: If weights are negative, not finite or of another number.
    """

    def __init__(
        self, labels: ArrayLike, sample_weight: ArrayLike | None, classes: int | None
    ) -> None:
        self.given = _checked_labels(labels)
        self.labels = self.given.copy()
        samples = len(self.given)
        self.weights = _checked_weights(sample_weight, samples)
        self.weighed, self.excluded, self.told = (np.zeros(samples, dtype=bool) for _ in range(3))
        present = np.unique(self.given[~is_unlabelled(self.given)]).tolist()
        self.classes: Collection[Any] = present if classes is None else range(classes)

    def make(self, change: DataChange, positions: NDArray[Any] | None) -> None:
        """Makes one change, with the map as it stands, if there is one.

        Raises:
            ValueError: If the selection does not fit, a class is not there, a sample was relabelled otherwise
                before, or a polygon has no map to be laid over.
        """
        mask = self._selected(change.selection, positions)
        if isinstance(change, Weigh):
            self.weights[mask] *= change.factor
            self.weighed |= mask
        elif isinstance(change, Exclude):
            self.excluded |= mask
        elif isinstance(change, Relabel):
            self._relabel(mask, change.label)
        else:
            raise TypeError(f"No such change of data is known: {type(change).__name__}.")

    def result(self) -> EditedData:
        """Returns what the changes so far have made of the data.

        Raises:
            ValueError: If no sample is left to train on, or weights became infinite.
        """
        left_out = self.excluded | is_unlabelled(self.labels)
        rows = np.flatnonzero(~left_out)
        if not len(rows):
            raise ValueError(
                f"The plan leaves nothing to train on: of {len(left_out)} samples, "
                f"{np.count_nonzero(self.excluded)} are excluded and the others have no label."
            )
        had = self.given[~is_unlabelled(self.given)]
        lost = np.setdiff1d(had, self.labels[rows])
        if len(lost):
            warnings.warn(f"The plan leaves no training sample of {quoted(lost)}.", stacklevel=4)
        return EditedData(
            labels=self.labels,
            sample_weight=finite_array(self.weights, "sample_weight", ndim=1),
            rows=rows,
            # What is left out has no other part in the training.
            weighed=self.weighed & ~self.excluded,
            relabelled=(self.labels != self.given) & ~self.excluded,
            excluded=self.excluded,
        )

    def _selected(self, selection: Any, positions: NDArray[Any] | None) -> BoolArray:
        assert isinstance(selection, Selection)
        if positions is None:
            if isinstance(selection, Polygon):
                raise ValueError(
                    "A lasso selects on the map: call `edited_data(labels, embedding)`. "
                    "Received no embedding."
                )
            positions = np.empty((len(self.labels), 0), dtype=np.float32)
        return selection.resolve(positions, self.labels)

    def _relabel(self, mask: BoolArray, label: int | str) -> None:
        if label not in self.classes:
            raise ValueError(
                f"There is no class {label!r} ({type(label).__name__}). "
                f"The classes are: {quoted(list(self.classes), most=30)}."
            )
        twice = np.flatnonzero(mask & self.told & (self.labels != label))
        if len(twice):
            other = np.unique(self.labels[twice])
            raise ValueError(
                f"{len(twice)} of these samples were relabelled before as {quoted(other)}: "
                f"rows {quoted(twice)}. A sample has one label."
            )
        self.labels = with_label(self.labels, mask, label)
        self.told |= mask


def with_label(labels: NDArray[Any], mask: BoolArray, label: int | str) -> NDArray[Any]:
    """Returns labels of which some are another.

    Example:
        >>> with_label(np.array(["hat", "bag"]), np.array([True, False]), "trousers").tolist()
        ['trousers', 'bag']
    """
    # Numpy would cut a longer name, and wrap a larger number.
    kind = np.result_type(labels, np.asarray(label))
    changed = labels.astype(kind)
    changed[mask] = label
    return changed


def _checked_labels(labels: ArrayLike) -> NDArray[Any]:
    array = label_array(labels, len(np.asarray(labels)))
    if array.dtype.kind == "f" and np.all(array == np.floor(array)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise ValueError(
            f"Labels must be integers or strings. Received dtype {array.dtype}: {quoted(array[:5])}, …"
        )
    return array


def _checked_weights(sample_weight: ArrayLike | None, samples: int) -> NDArray[np.float64]:
    if sample_weight is None:
        return np.ones(samples)
    weights = finite_array(sample_weight, "sample_weight", ndim=1).astype(np.float64)
    if len(weights) != samples:
        raise ValueError(
            f"`sample_weight` must have one entry for each of the {samples} samples. "
            f"Received: {len(weights)}."
        )
    if (weights < 0).any():
        raise ValueError(
            f"`sample_weight` may not be negative. Received: {quoted(weights[weights < 0])}."
        )
    return weights
