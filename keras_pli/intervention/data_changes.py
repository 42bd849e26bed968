"""Changes of what a classifier is trained on: samples are weighed, relabelled, or left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .change import Change
from .selection import ClassLabel, SelectionLike, as_selection
from .values import brief, positive

UNLABELLED = -1
"""The label of a sample that has none yet; it is not trained on."""


@dataclass(frozen=True)
class DataChange(Change, abstract=True):
    """One change of the training data: the selected samples count, or are labelled, otherwise.

    Where the points lie stays as it is, and held-out samples are as they are.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`. A polygon
            is laid over the map as the moves before it leave it; a class has the samples that changes before
            it left there.
        reason: Why, a sentence kept with the change.
    """

    selection: SelectionLike = field(metadata={"convert": as_selection})


@dataclass(frozen=True)
class Weigh(DataChange):
    """Lets samples count more, or less, in the loss.

    A class, or a group within one, that is rare for no good reason is heard when it is weighed. Weights
    multiply: of two changes that select the same sample, and with the caller's `sample_weight`. They are
    not normalised, so the loss grows with them, as with weights in Keras.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        factor: What their weight is multiplied by, above 0; to leave samples out there is `Exclude`.
        reason: Why, a sentence kept with the change.

    Raises:
        ValueError: If the factor is not positive and finite.

    Example:
        >>> from keras_pli import InterventionPlan
        >>> plan = InterventionPlan([Weigh([0], 19.0, reason="The only red 3.")])
        >>> plan.edited_data([3, 3, 8]).sample_weight.tolist()
        [19.0, 1.0, 1.0]
    """

    factor: float = field(metadata={"convert": positive})

    def __str__(self) -> str:
        return f"weigh {self.selection} by {brief(self.factor)}"


def _class_label(value: Any, name: str) -> int | str:
    label = ClassLabel(value).label
    if label == UNLABELLED:
        raise ValueError(
            f"`{name}` must name a class; {UNLABELLED} stands for no label. To leave samples out "
            "there is `Exclude`."
        )
    return label


@dataclass(frozen=True)
class Relabel(DataChange):
    """Gives samples another label, or a first one: unlabelled samples have the label -1.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        label: The class they shall have, an int or a string such as the labels are.
        reason: Why, a sentence kept with the change.

    Raises:
        TypeError: If `label` is neither an int nor a string.
        ValueError: If `label` is -1, or, when the plan is used, there is no such class.

    Example:
        >>> from keras_pli import InterventionPlan
        >>> plan = InterventionPlan([Relabel([1, 3], 3)])
        >>> edited = plan.edited_data([3, 8, 8, -1, -1])
        >>> edited.labels.tolist(), edited.rows.tolist()
        ([3, 3, 8, 3, -1], [0, 1, 2, 3])
    """

    label: int | str = field(metadata={"convert": _class_label})

    def __str__(self) -> str:
        return f"relabel {self.selection} as class {self.label!r}"


@dataclass(frozen=True)
class Exclude(DataChange):
    """Leaves samples out of training.

    They stay on the map, where other changes select and move them as before.

    Args:
        selection: A class label, indices of shape `(k,)`, a mask of shape `(n,)` or a `Selection`.
        reason: Why, a sentence kept with the change.

    Example:
        >>> from keras_pli import InterventionPlan
        >>> InterventionPlan([Exclude([0])]).edited_data([3, 3, 8]).rows.tolist()
        [1, 2]
    """

    def __str__(self) -> str:
        return f"exclude {self.selection}"


def is_unlabelled(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns which labels stand for none; strings always name a class.

    Example:
        >>> is_unlabelled(np.array([3, -1])).tolist(), is_unlabelled(np.array(["3", "-1"])).tolist()
        ([False, True], [False, False])
    """
    if labels.dtype.kind not in "iuf":
        return np.zeros(len(labels), dtype=bool)
    return np.asarray(labels == UNLABELLED)


def lacks_label(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """As `is_unlabelled`, of labels at the door: of two labels, -1 is meant for a class.

    Example:
        >>> lacks_label(np.array([0, 1, -1])).tolist(), lacks_label(np.array([1, -1])).tolist()
        ([False, False, True], [False, False])
    """
    missing = is_unlabelled(labels)
    return missing if len(np.unique(labels[~missing])) > 1 else np.zeros(len(labels), dtype=bool)
