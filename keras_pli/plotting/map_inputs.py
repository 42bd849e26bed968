"""What a map is drawn from, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, quoted
from .style import ClassStyle


def map_positions(embedding: ArrayLike, name: str) -> NDArray[np.float32]:
    """Positions of shape `(samples, 2)` or `(samples, 3)`; a ValueError says what else was received."""
    points = finite_array(embedding, name, ndim=2)
    if points.shape[1] not in (2, 3):
        raise ValueError(f"`{name}` must have 2 or 3 components. Received shape {points.shape}.")
    return points


def checked_limits(limits: Sequence[float], points: NDArray[Any]) -> tuple[float, ...]:
    """Lower and upper end of each component, in turn; a ValueError says what else was received."""
    ends = np.asarray(limits, dtype=np.float64)
    wanted = 2 * points.shape[1]
    if ends.shape != (wanted,) or not np.isfinite(ends).all() or (ends[::2] >= ends[1::2]).any():
        raise ValueError(
            f"`limits` must be {wanted} numbers, the lower and upper end of each component. "
            f"Received: {limits!r}."
        )
    return tuple(float(end) for end in ends)


def greyed(styles: Mapping[Any, ClassStyle], highlight: Collection[Any] | None) -> frozenset[Any]:
    """The classes that are not highlighted, if any are."""
    if highlight is None:
        return frozenset()
    unknown = [label for label in highlight if label not in styles]
    if unknown:
        raise ValueError(
            f"`highlight` must list labels that occur: {quoted(styles)}. Not among them: "
            f"{quoted(unknown)}."
        )
    return frozenset(label for label in styles if label not in set(highlight))


def with_grey(
    styles: Mapping[Any, ClassStyle], pale: Collection[Any], grey: str
) -> dict[Any, ClassStyle]:
    """Returns the styles with the pale classes in a grey."""
    return {
        label: replace(style, color=grey) if label in pale else style
        for label, style in styles.items()
    }
