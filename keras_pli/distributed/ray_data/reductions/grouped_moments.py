"""Moments of a column of a Ray data set, of all rows or by another column, from those of its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....checks import quoted
from ....optional import imported
from ..columns import ERROR, stacked
from .moments import Moments, Pairwise

Array = NDArray[Any]
ALL = "all"


def grouped_moments(
    dataset: Any, column: str, by: str | None = None
) -> tuple[dict[Any, Moments], int]:
    """Returns the moments of a column's rows by group, in the groups' order, and the number of rows left out.

    Each block of the data set is reduced where it lies; the partial moments, one array of the column's shape
    twice for each group, come here. Rows that have an `error` are left out.

    Args:
        dataset: A `ray.data.Dataset`.
        column: The column of numbers, `(rows, ...)`.
        by: The column of groups, or None for one group, `"all"`.

    Raises:
        TypeError: If it is no Ray data set.
        ValueError: If a column is missing, or no row is left.
        ray.exceptions.RayTaskError: If a value is not finite, or no number.
    """
    data = imported("ray.data", "Work on a cluster", extra="ray")
    if not isinstance(dataset, data.Dataset):
        raise TypeError(
            f"The data set must be a ray.data.Dataset. Received: {type(dataset).__name__}."
        )
    reduce = PartialMoments(column, by)
    known = dataset.schema(fetch_if_missing=False)  # asking for it would run what gives it
    if known is not None:
        reduce.check(known.names)
    partial = dataset.map_batches(reduce, batch_size=None, batch_format="pyarrow")
    found: dict[Any, Pairwise] = {}
    left_out = 0
    for batch in partial.iter_batches(batch_size=None, batch_format="numpy"):
        for group, count, mean, squares in zip(*(batch[name] for name in _PARTS), strict=True):
            if count < 0:
                left_out -= int(count)
            elif count:
                key = group.item() if isinstance(group, np.generic) else group
                found.setdefault(key, Pairwise()).add(Moments(int(count), mean, squares))
    if not found:
        raise ValueError(f"The data set has no row with {column!r}; {left_out} have an error.")
    return {group: found[group].total for group in sorted(found)}, left_out


_PARTS = ("group", "count", "mean", "squares")


@dataclass(frozen=True)
class PartialMoments:
    """Reduces some rows to a row for each group; with a negative count, to the number of those left out."""

    column: str
    by: str | None

    def check(self, present: Sequence[str]) -> None:
        """Raises a `ValueError` if a column is missing."""
        missing = [
            name for name in (self.column, self.by) if name is not None and name not in present
        ]
        if missing:
            raise ValueError(
                f"The data set has no column {quoted(missing)}. It has {quoted(present, most=30)}."
            )

    def __call__(self, table: Any) -> dict[str, Array]:
        """Returns groups, counts, means and sums of squares of the rows of an Arrow table."""
        from ray.data.block import BlockAccessor

        if not len(table):
            return {name: np.zeros(0) for name in _PARTS}
        self.check(table.column_names)
        needed = dict.fromkeys((self.column, self.by, ERROR))
        names = [name for name in needed if name in table.column_names]
        batch = BlockAccessor.for_block(table.select(names)).to_numpy(names)
        good = self._good(batch)
        values = stacked(batch[self.column], self.column)
        values, left_out = values[good], int((~good).sum())
        if values.dtype.kind not in "fiub":
            raise ValueError(
                f"Column {self.column!r} must hold numbers. Received dtype {values.dtype}."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"Column {self.column!r} must be finite. It holds NaN or infinity.")
        groups = self._groups(batch, good)
        # Sorted once, so that many groups take no longer than one.
        order = np.argsort(groups, kind="stable")
        found, starts = np.unique(groups[order], return_index=True)
        keys = found.tolist()
        parts = [Moments.of(values[rows]) for rows in np.split(order, starts[1:]) if len(rows)]
        if left_out or not parts:
            nothing = np.zeros(values.shape[1:])
            parts.append(Moments(-left_out, nothing, nothing))
            keys.append(keys[0] if keys else groups.dtype.type())
        return {
            "group": np.array(keys),
            "count": np.array([part.count for part in parts]),
            "mean": np.stack([part.mean for part in parts]),
            "squares": np.stack([part.squares for part in parts]),
        }

    def _good(self, batch: Mapping[str, Array]) -> NDArray[np.bool_]:
        errors = batch.get(ERROR)
        if errors is None:
            return np.ones(len(batch[self.column]), bool)
        return np.array([error is None or error != error for error in errors])

    def _groups(self, batch: Mapping[str, Array], good: NDArray[np.bool_]) -> Array:
        if self.by is None:
            return np.full(int(good.sum()), ALL)
        groups = np.array(batch[self.by][good].tolist())
        if not len(groups):
            return np.zeros(0, np.int64)
        if groups.ndim != 1 or groups.dtype.kind not in "biuUS":
            # Whole numbers of which some are null come as floats.
            raise ValueError(
                f"Column {self.by!r} must hold one whole number or text for each row, and no null. Received "
                f"shape {groups.shape} of {groups.dtype}."
            )
        return groups
