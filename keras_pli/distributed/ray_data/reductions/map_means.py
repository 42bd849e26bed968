"""The mean map of a data set, or one for each class, with its spread."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ....brief import counted
from .grouped_moments import grouped_moments

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from ray.data import Dataset

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """Mean maps of a data set by group.

    Args:
        groups: The values of the column that groups, in order; `("all",)` where none does.
        counts: Maps in each group, `(groups,)`.
        means: Their mean, `(groups, ...)`, in the maps' units.
        deviations: Their standard deviation at each place, likewise; NaN for a group of one map.
        left_out: Rows without a map, because they had an error.
        by: The column that groups, or None.
    """

    groups: tuple[Hashable, ...]
    counts: NDArray[np.int64]
    means: Array
    deviations: Array
    left_out: int = 0
    by: str | None = None

    @property
    def errors(self) -> Array:
        """The standard error of each mean, `(groups, ...)`."""
        counts = self.counts.reshape(-1, *[1] * (self.means.ndim - 1))
        return np.asarray(self.deviations / np.sqrt(counts))

    def __getitem__(self, group: Hashable) -> Array:
        """Returns the mean map of a group.

        Raises:
            KeyError: If there is no such group.
        """
        if group not in self.groups:
            raise KeyError(f"There is no group {group!r}. The groups: {list(self.groups)}.")
        return np.asarray(self.means[self.groups.index(group)])

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.means.shape[1:]))
        of = "" if self.by is None else f" by {self.by}, {counted(len(self.groups), 'group')}"
        lost = f"; {counted(self.left_out, 'row')} left out" if self.left_out else ""
        return f"MeanMaps of {counted(int(self.counts.sum()), 'map')} {shape}{of}{lost}"

    def _repr_html_(self) -> str:
        from ....plotting.notebook import notebook_html

        table = self.to_frame().set_index("group")
        return notebook_html(repr(self), table=table, figure=self.plot() if self._drawn else None)

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with a row for each group.

        Its columns: `group`, `maps`, and of what the places have the mean: `mean_size`, the absolute value
        of the mean map; `deviation`; and `standard_error`, which tells how far the mean map can be trusted.
        """
        axes = tuple(range(1, self.means.ndim))
        return pd.DataFrame(
            {
                "group": list(self.groups),
                "maps": self.counts,
                "mean_size": np.abs(self.means).mean(axis=axes),
                "deviation": self.deviations.mean(axis=axes),
                "standard_error": self.errors.mean(axis=axes),
            }
        )

    def plot(self, *, most: int = 12) -> Figure:
        """Draws the mean maps of the first groups on one scale.

        Args:
            most: How many groups at most.

        Raises:
            ValueError: If maps have no axis of positions, or more than three.
        """
        from ....plotting.explained import explained_samples

        if not self._drawn:
            raise ValueError(
                f"Maps of one to three axes of positions are drawn. Received shape {self.means.shape[1:]}."
            )
        titles = [
            f"{self._named(group)}, {counted(int(count), 'map')}"
            for group, count in zip(self.groups, self.counts, strict=True)
        ]
        return explained_samples(self.means[:most], titles=titles[:most])

    def _named(self, group: Hashable) -> str:
        """A number says nothing without its column's name; a text speaks for itself."""
        return f"{self.by} {group}" if self.by and not isinstance(group, str) else str(group)

    @property
    def _drawn(self) -> bool:
        return 2 <= self.means.ndim <= 5


def mean_maps(
    explained: Dataset, *, by: str | None = None, column: str = "attributions"
) -> MeanMaps:
    """Returns the mean of a data set's maps, of all or by a column such as the label.

    Maps are read once. Blocks are reduced where they lie, and what comes to the caller is two arrays of a
    map's shape for each of them and each group: memory does not grow with the data set. Numbers are float64
    and combined in pairs, so that maps far from zero keep their digits; two runs agree up to rounding, since
    blocks come as they are done.

    Args:
        explained: Rows with maps of one shape, as `explain` gives them. Rows with an `error` are left out.
        by: The column that groups, of whole numbers or texts, such as the label; None takes all rows
            together.
        column: The column of maps; of several inputs `attributions/<key>`.

    Returns:
        A `MeanMaps`.

    Raises:
        TypeError: If `explained` is no Ray data set.
        ValueError: If a column is missing, or no row has a map.
        ray.exceptions.RayTaskError: If a map is not finite.

    Example:
        >>> import ray
        >>> rows = [{"attributions": np.full((2, 2), i), "label": i % 2} for i in range(6)]
        >>> found = mean_maps(ray.data.from_items(rows), by="label")
        >>> found.groups, found[1].tolist()
        ((0, 1), [[3.0, 3.0], [3.0, 3.0]])
    """
    found, left_out = grouped_moments(explained, column, by)
    return MeanMaps(
        tuple(found),
        np.array([moments.count for moments in found.values()]),
        np.stack([moments.mean for moments in found.values()]),
        np.stack([moments.deviation for moments in found.values()]),
        left_out,
        by,
    )
