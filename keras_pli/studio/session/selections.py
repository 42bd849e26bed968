"""Which points a person means, beyond what a plan itself can say: kinds of errors, values of a column."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
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
    """

    column: str
    least: float
    most: float

    def __post_init__(self) -> None:
        for name in ("least", "most"):
            checked_number(getattr(self, name), name)


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
        if kind is not None:
            one_of(kind, [*SELECTION_KINDS, *_MAKERS], f"type of {where[:1].lower()}{where[1:]}")
        return selection_of(record, where)
    given = {name: value for name, value in record.items() if name != "type"}
    for make in makers:
        needed = {each.name for each in fields(make) if each.default is MISSING}
        if needed <= set(given) <= {each.name for each in fields(make)}:
            return make(**given)
    taken = " or ".join(quoted(each.name for each in fields(make)) for make in makers)
    raise ValueError(f"{where}: {kind!r} takes {taken}. Received: {quoted(given) or 'nothing'}.")


_MAKERS: dict[str, tuple[type[ErrorsOf] | type[ColumnCode] | type[ColumnRange], ...]] = {
    "ErrorsOf": (ErrorsOf,),
    "Column": (ColumnCode, ColumnRange),
}


def as_indices(mask: BoolArray, words: str) -> Indices:
    """Returns the points of a mask one by one, as a plan holds them.

    Raises:
        ValueError: If there is none; `words` says what was looked for.
    """
    if not mask.any():
        raise ValueError(f"There are no {words}.")
    return Indices(np.flatnonzero(mask))
