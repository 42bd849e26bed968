"""Rows of a table and what a model takes and gives: columns to inputs, named arrays to further columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import quoted

Array = NDArray[Any]
Table = Any
GivenColumn: TypeAlias = "str | Sequence[str] | Mapping[str, str] | None"
ERROR = "error"


@dataclass(frozen=True)
class Columns:
    """Which columns a job reads.

    Args:
        inputs: The column of a model's input; of several inputs a list of columns in the model's order, or
            columns by the inputs' names; None for the only column there is beside `others` and `row_id`.
        others: Further columns by what the job calls them, such as `{"labels": "label"}`.
        row_id: The column by which errors name a row; None for `id`, if there is such a column.
        preprocess: Makes the inputs of what the columns hold.
    """

    inputs: GivenColumn = None
    others: Mapping[str, str] = field(default_factory=dict)
    row_id: str | None = None
    preprocess: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        given = self.inputs
        if given is not None and not isinstance(given, str):
            names = list(given.values() if isinstance(given, Mapping) else given)
            if not names or not all(isinstance(name, str) for name in names):
                raise ValueError(
                    "`column` must be a column's name, a list of names, or names by the model's inputs. "
                    f"Received: {given!r}."
                )
        if self.preprocess is not None and not callable(self.preprocess):
            raise TypeError(
                "`preprocess` must be a function from what the columns hold to the model's inputs. "
                f"Received: {self.preprocess!r}."
            )

    def check(self, present: Sequence[str], added: Sequence[str] = ()) -> None:
        """Raises a `ValueError` if a data set lacks a column, or has one that is to be added."""
        wanted = [*self._named(present), *self.others.values()]
        wanted += [] if self.row_id is None else [self.row_id]
        missing = [name for name in wanted if name not in present]
        if missing:
            raise ValueError(
                f"The data set has no column {quoted(missing)}. It has {quoted(present, most=30)}."
            )
        taken = [
            name
            for name in present
            if any(name == new or name.startswith(f"{new}/") for new in added)
        ]
        if taken:
            raise ValueError(
                f"The data set has a column {quoted(taken)} already, which is to be added. Rename it by "
                "`rename_columns`, or leave it out by `drop_columns`."
            )

    def read(self, table: Table) -> Rows:
        """Returns the rows of a table, of which only the columns that are needed are made arrays."""
        from ray.data.block import BlockAccessor

        names = self._named(table.column_names)
        row_id = self.row_id or ("id" if "id" in table.column_names else None)
        needed = dict.fromkeys([*names, *self.others.values(), *([row_id] if row_id else [])])
        arrays = BlockAccessor.for_block(table.select(list(needed))).to_numpy(list(needed))
        return Rows(
            {name: arrays[name] for name in names},
            {key: arrays[name] for key, name in self.others.items()},
            None if row_id is None else arrays[row_id],
        )

    def model_inputs(self, arrays: Mapping[str, Array]) -> Any:
        """Returns what the model takes: an array, a list or a dict of them, preprocessed.

        Raises:
            ValueError: If a value is missing, or rows have different shapes.
        """
        inputs: Any
        decoded = self.preprocess is not None
        made = {name: array if decoded else stacked(array, name) for name, array in arrays.items()}
        if isinstance(self.inputs, Mapping):
            inputs = {key: made[name] for key, name in self.inputs.items()}
        elif self.inputs is None or isinstance(self.inputs, str):
            (inputs,) = made.values()
        else:
            inputs = [made[name] for name in self.inputs]
        return inputs if self.preprocess is None else self.preprocess(inputs)

    def _named(self, present: Sequence[str]) -> list[str]:
        if isinstance(self.inputs, str):
            return [self.inputs]
        if isinstance(self.inputs, Mapping):
            return list(self.inputs.values())
        if self.inputs is not None:
            return list(self.inputs)
        taken = {*self.others.values(), self.row_id or "id", "label"}
        left = [name for name in present if name not in taken]
        if len(left) != 1:
            raise ValueError(
                f"`column` must say which of {quoted(left, most=30)} holds the model's input."
            )
        return left


@dataclass(frozen=True)
class Rows:
    """Some rows of the columns that a job reads.

    Args:
        inputs: Arrays of the model's inputs by column.
        others: Further arrays by what the job calls them.
        ids: What errors name each row by; None for its place in the batch.
        first: Place of the first row in its batch.
    """

    inputs: Mapping[str, Array]
    others: Mapping[str, Array]
    ids: Array | None
    first: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def part(self, start: int, stop: int) -> Rows:
        """Returns the rows from one place up to another."""
        rows = slice(start, stop)
        return Rows(
            {name: array[rows] for name, array in self.inputs.items()},
            {name: array[rows] for name, array in self.others.items()},
            None if self.ids is None else self.ids[rows],
            self.first + start,
        )

    @property
    def name(self) -> str:
        """What errors call the first row."""
        if self.ids is None:
            return f"Row {self.first} of a batch (name a column of ids by `id_column`)"
        found = self.ids[0]
        return f"The row with id {found.item() if isinstance(found, np.generic) else found!r}"


def stacked(values: Array, name: str) -> Array:
    """Returns a column as one array, where its rows came as arrays of their own.

    Raises:
        ValueError: If a value is missing, or rows have different shapes.

    Example:
        >>> rows = np.empty(2, object)
        >>> rows[:] = [np.ones(3), np.zeros(3)]
        >>> stacked(rows, "signal").shape
        (2, 3)
    """
    if values.dtype != object:
        return values
    rows = [_dense(row) for row in values]
    missing = [place for place, row in enumerate(rows) if row is None]
    if missing:
        raise ValueError(f"Column {name!r} holds no value.")
    shapes = list(dict.fromkeys(np.shape(row) for row in rows))
    if len(shapes) > 1:
        raise ValueError(f"Column {name!r} has rows of different shapes: {quoted(shapes)}.")
    return np.array(rows) if rows else np.zeros(0)


def _dense(row: Any) -> Any:
    """A row of nested lists, which Arrow gives as arrays of arrays, as one array."""
    if isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.dtype == object):
        return np.array([_dense(part) for part in row])
    return row


def extended(
    table: Table, arrays: Mapping[str, Any], good: NDArray[np.bool_], *, gaps: bool
) -> Table:
    """Returns a table with further columns, of which some rows have no values.

    Args:
        table: An Arrow table.
        arrays: Values by column, of the good rows alone.
        good: Which rows of the table they belong to. Others get NaN where values are floats and null where
            they are other scalars.
        gaps: Whether some row of the data set may have no values. Values that are arrays of no floats then
            are floats throughout, since Arrow's tensors know no null.
    """
    for name, values in arrays.items():
        table = table.append_column(name, _column(np.asarray(values), good, gaps))
    return table


def with_errors(table: Table, errors: Sequence[str | None]) -> Table:
    """Returns a table with what is wrong with each row, null where nothing is."""
    import pyarrow

    return table.append_column(ERROR, pyarrow.array(errors, pyarrow.string()))


def _column(values: Array, good: NDArray[np.bool_], gaps: bool) -> Any:
    import pyarrow
    from ray.data.block import BlockAccessor

    if values.ndim == 1 and values.dtype.kind not in "fc":
        kind = None if values.dtype.kind in "OUS" else pyarrow.from_numpy_dtype(values.dtype)
        waiting = iter(values.tolist())
        listed = [next(waiting) if fine else None for fine in good]
        return pyarrow.array(listed, kind or pyarrow.string())
    if gaps and values.dtype.kind not in "fc":
        values = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    if not good.all():
        whole = np.full((len(good), *values.shape[1:]), np.nan, values.dtype)
        whole[good] = values
        values = whole
    if values.ndim == 1:
        return pyarrow.array(values)
    some = values if len(values) else np.zeros((1, *values.shape[1:]), values.dtype)
    made = BlockAccessor.batch_to_arrow_block({"values": some}).column("values")
    return made.slice(0, len(values))  # Ray makes no tensors of no rows
