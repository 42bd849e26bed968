"""Which points a person means, beyond what a plan itself can say: kinds of errors, values of a column."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number, one_of, quoted
from ...intervention.selection import SELECTION_KINDS, BoolArray, Indices, Selection
from ...intervention.storage import selection_of


@dataclass(frozen=True)
class ErrorsOf:
    """Samples of a class that the classifier takes for another one.

    Args:
        label: Their class.
        predicted: The class that they are taken for; None for any other.

    Raises:
        ValueError: If one of them is no class, such as -1.

    Example:
        >>> ErrorsOf(8, 1).mask(np.array([8, 8, 1]), np.array([1, 3, 8])).tolist()
        [True, False, False]
    """

    label: int
    predicted: int | None = None

    def __post_init__(self) -> None:
        checked_number(self.label, "label", least=0, whole=True)
        if self.predicted is not None:
            checked_number(self.predicted, "predicted", least=0, whole=True)

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

    Raises:
        ValueError: If that is no whole number.
    """

    column: str
    code: int

    def __post_init__(self) -> None:
        checked_number(self.code, "code", least=0, whole=True)


@dataclass(frozen=True)
class ColumnRange:
    """Samples whose value in a column lies in a range.

    Args:
        column: The column's name.
        least: The smallest value.
        most: The largest.

    Raises:
        ValueError: If one of them is no number.
    """

    column: str
    least: float
    most: float

    def __post_init__(self) -> None:
        checked_number(self.least, "least")
        checked_number(self.most, "most")


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
    makers = _MAKERS.get(kind) if isinstance(kind, str) else None
    if makers is None:
        if isinstance(kind, str):
            one_of(kind, [*SELECTION_KINDS, *_MAKERS], f"{where}: type")
        return selection_of(record, where)
    given = {name: value for name, value in record.items() if name != "type"}
    for make in makers:
        if set(given) <= {field.name for field in fields(make)}:
            try:
                return make(**given)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{where}: {error}") from error
    named = " or ".join(quoted(field.name for field in fields(make)) for make in makers)
    raise ValueError(f"{where}: a selection {kind!r} takes {named}. Received: {quoted(given)}.")


# By what JSON calls them; those of one name differ in their fields.
_MAKERS: dict[str, list[type[ErrorsOf] | type[ColumnCode] | type[ColumnRange]]] = {
    "ErrorsOf": [ErrorsOf],
    "Column": [ColumnCode, ColumnRange],
}


def as_indices(mask: BoolArray, words: str) -> Indices:
    """Returns the points of a mask one by one, as a plan holds them.

    Raises:
        ValueError: If there is none; `words` says what was looked for.
    """
    if not mask.any():
        raise ValueError(f"There are no {words}.")
    return Indices(np.flatnonzero(mask))
