"""Changes in the words of a person who knows classes by name."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import fields
from typing import Any

from .change import Change
from .data_changes import Relabel
from .selection import ClassLabel


def named(change: Change, class_names: Sequence[Any] | None) -> Change:
    """Returns a change with names in place of the numbers of classes, to be read and not to be applied.

    Args:
        change: A change of a plan.
        class_names: Names of the classes 0, 1, …; None leaves the change as it is. So are numbers without a
            name.

    Example:
        >>> from keras_pli.intervention import Shift
        >>> print(named(Shift(1, by=(9, 0)), ["Coat", "Shirt"]))
        shift class 'Shirt' by (9, 0)
    """
    if class_names is None:
        return change
    told = copy(change)
    for entry in fields(told):
        value = getattr(told, entry.name)
        if isinstance(value, ClassLabel):
            object.__setattr__(told, entry.name, ClassLabel(_name(value.label, class_names)))
        elif isinstance(told, Relabel) and entry.name == "label":
            object.__setattr__(told, entry.name, _name(value, class_names))
    return told


def _name(label: int | str, class_names: Sequence[Any]) -> int | str:
    if isinstance(label, int) and 0 <= label < len(class_names):
        return str(class_names[label])
    return label
