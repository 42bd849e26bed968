"""Which points a person means, beyond what a plan itself can say: kinds of errors, values of a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...intervention.selection import BoolArray, Indices, Selection
from ...intervention.storage import selection_of


@dataclass(frozen=True)
class ErrorsOf:
    """Samples of a class that the classifier takes for another one.

    Args:
        label: Their class.
        predicted: The class that they are taken for; None for any other.

    Example:
        >>> ErrorsOf(8, 1).mask(np.array([8, 8, 1]), np.array([1, 3, 8])).tolist()
        [True, False, False]
    """

    label: int
    predicted: int | None = None

    def mask(self, labels: NDArray[Any], predictions: NDArray[Any]) -> BoolArray:
        """Returns which samples these are, booleans `(samples,)`."""
        wrong = (labels == self.label) & (predictions != self.label)
        return wrong if self.predicted is None else wrong & (predictions == self.predicted)


@dataclass(frozen=True)
class ColumnCode:
    """Samples that have one of a column's categories.

    Args:
        column: The column's name.
        code: The category's number.
    """

    column: str
    code: int


@dataclass(frozen=True)
class ColumnRange:
    """Samples whose value in a column lies in a range.

    Args:
        column: The column's name.
        least: The smallest value.
        most: The largest.
    """

    column: str
    least: float
    most: float


StudioSelection: TypeAlias = Selection | ErrorsOf | ColumnCode | ColumnRange


def read_selection(record: Any, where: str = "The selection") -> StudioSelection:
    """Returns the selection that a record of JSON tells of.

    Args:
        record: `{"type": "ErrorsOf", "label": …, "predicted": …}`, `{"type": "Column", "column": …}` with
            `code`, or with `least` and `most`, or a selection as plans are stored.
        where: What it is called in errors.

    Raises:
        ValueError: If it tells of none.

    Example:
        >>> read_selection({"type": "ErrorsOf", "label": 8, "predicted": 1})
        ErrorsOf(label=8, predicted=1)
    """
    kind = record.get("type") if isinstance(record, dict) else None
    fields = {} if kind is None else {name: record[name] for name in record if name != "type"}
    makers: list[type[ErrorsOf] | type[ColumnCode] | type[ColumnRange]] = []
    if kind == "ErrorsOf":
        makers = [ErrorsOf]
    elif kind == "Column":
        makers = [ColumnCode, ColumnRange]
    for make in makers:
        try:
            return make(**fields)
        except TypeError:
            continue
    if makers:
        raise ValueError(f"{where}: a {kind} cannot be made of {fields!r}.")
    return selection_of(record, where)


def as_indices(mask: BoolArray, words: str) -> Indices:
    """Returns the points of a mask one by one, as a plan holds them.

    Raises:
        ValueError: If there is none; `words` says what was looked for.
    """
    if not mask.any():
        raise ValueError(f"There are no {words}.")
    return Indices(np.flatnonzero(mask))
