"""The way of a training through weight space, and the plane that shows most of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import checked_number
from ...files import read_arrays
from .directions import Direction, check_same_shapes, trainable_variables

# Of the variance, what counts as none.
_NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class PrincipalDirections:
    """The directions in which a training moved most.

    Attributes:
        directions: Unit directions, each a list of arrays like `model.trainable_variables`.
        coordinates: The training's points along them, float64 `(points, count)`, from `origin` on.
        explained: The share of the points' variance along each direction, float64 `(count,)`.
        origin: The weights at the origin, arrays like those of a direction: the last point, or the model.
        numbers: The number of each point: the optimizer's count of steps where a folder says it.
    """

    directions: list[Direction]
    coordinates: NDArray[np.float64]
    explained: NDArray[np.float64]
    origin: Direction
    numbers: list[int]

    def steps(self, points: int = 25, *, margin: float = 0.25) -> list[NDArray[np.float64]]:
        """Returns steps along each direction that cover the way, for `loss_surface`.

        Args:
            points: Number of steps along each.
            margin: What is added at both ends, as a share of the way's extent.
        """
        low, high = self.coordinates.min(axis=0), self.coordinates.max(axis=0)
        around = margin * np.maximum(high - low, 0.1 * np.max(high - low))
        return [np.linspace(a, b, points) for a, b in zip(low - around, high + around, strict=True)]

    @property
    def labels(self) -> list[str]:
        """What the axes of a figure are called, with the share of the variance."""
        names = [f"principal direction {number + 1}" for number in range(len(self.explained))]
        return [f"{name} ({share:.0%})" for name, share in zip(names, self.explained, strict=True)]

    def marks(self, count: int = 3) -> dict[int, str]:
        """Returns what to write beside some points of the way, for `plotting.loss_contours`.

        Args:
            count: How many there are between its start and its end, as far apart as the way allows.
        """
        gone = np.linalg.norm(np.diff(self.coordinates, axis=0), axis=1).cumsum()
        wanted = gone[-1] * np.arange(1, count + 1) / (count + 1)
        places = {int(np.argmin(np.abs(gone - one))) + 1 for one in wanted} - {len(gone)}
        return {0: "start"} | {place: f"step {self.numbers[place]}" for place in sorted(places)}

    def __repr__(self) -> str:
        shares = ", ".join(f"{share:.3f}" for share in self.explained)
        return f"PrincipalDirections(explained=[{shares}], points={len(self.coordinates)})"


def principal_directions(
    trajectory: str | os.PathLike[str] | Sequence[Sequence[ArrayLike]],
    *,
    count: int = 2,
    model: keras.Model | None = None,
) -> PrincipalDirections:
    """Returns the directions in which a training moved most, by a principal component analysis of its points.

    With the model at the last point, `loss_surface(..., trajectory=found)` is the plane on which the way is
    drawn (Li et al. 2018, section 7.2). The model is elsewhere where another callback gave it other weights
    at the end, as `EarlyStopping(restore_best_weights=True)` does: pass the `model` then. The components are
    those of the points' Gram matrix, in float64; memory is that of the points.

    A random walk, too, has most of its variance in two components (Antognini and Sohl-Dickstein 2018): a
    large share alone does not say that the training moved in a plane.

    Args:
        trajectory: The folder that `callbacks.WeightTrajectory` wrote, or points, each a list of arrays like
            `model.trainable_variables`.
        count: Number of directions.
        model: The model that the surface is drawn around, which coordinates start at; None for the last
            point.

    Raises:
        ValueError: If there are too few points, or these do not span so many directions; if shapes differ or
            a file is damaged.

    Example:
        >>> way = [[np.array([3.0, 1.0])], [np.array([1.0, 0.0])], [np.array([-1.0, 1.0])]]
        >>> found = principal_directions(way)
        >>> np.round(found.coordinates[:2, 0], 6).tolist(), np.round(found.explained, 3).tolist()
        ([4.0, 2.0], [0.923, 0.077])
    """
    count = checked_number(count, "count", least=1, whole=True)
    points, numbers = _points(trajectory)
    if len(points) <= count:
        raise ValueError(
            f"{count} directions need {count + 1} points or more. Received: {len(points)}."
        )
    for number, point in enumerate(points):
        check_same_shapes(points[0], point, f"trajectory[{number}]")
    parts = [
        np.stack([np.asarray(point[index], np.float64) for point in points])
        for index in range(len(points[0]))
    ]
    flat = [
        part.reshape(len(points), -1) - part.reshape(len(points), -1).mean(axis=0) for part in parts
    ]
    gram = np.sum([part @ part.T for part in flat], axis=0)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    if values[-1] <= _NOTHING * max(np.trace(gram), 1e-300):
        raise ValueError(
            f"The points of `trajectory` do not span {count} directions. Variances: {values.tolist()}."
        )
    lengths = np.sqrt(values)
    along = vectors * lengths
    shapes = [part.shape[1:] for part in parts]
    directions = [
        [
            (part.T @ vectors[:, axis] / lengths[axis]).reshape(shape)
            for part, shape in zip(flat, shapes, strict=True)
        ]
        for axis in range(count)
    ]
    origin = [part[-1] for part in parts] if model is None else _weights(model, points[0])
    ahead = [
        sum(
            np.sum((there - part[-1]) * one)
            for there, part, one in zip(origin, parts, direction, strict=True)
        )
        for direction in directions
    ]
    coordinates = along - along[-1] - np.array(ahead)
    signs = np.where(coordinates[0] < 0, -1.0, 1.0)  # the way starts at the positive side
    directions = [
        [sign * one for one in direction] for sign, direction in zip(signs, directions, strict=True)
    ]
    shares = values / np.trace(gram)
    return PrincipalDirections(directions, coordinates * signs, shares, origin, numbers)


def _weights(model: keras.Model, like: Sequence[Any]) -> Direction:
    variables = trainable_variables(model)
    check_same_shapes(like, variables, "model", [variable.path for variable in variables])
    return [np.asarray(keras.ops.convert_to_numpy(v.value), np.float64) for v in variables]


def _points(trajectory: Any) -> tuple[list[list[Any]], list[int]]:
    """The points, and the number of each."""
    if not isinstance(trajectory, str | os.PathLike):
        points = [list(point) for point in trajectory]
        return points, list(range(len(points)))
    files = sorted(Path(trajectory).glob("step-*.npz"))
    if not files:
        raise ValueError(
            f"{os.fspath(trajectory)} holds no weights. `callbacks.WeightTrajectory` stores them in training."
        )
    points = [[array for _, array in sorted(read_arrays(file).items())] for file in files]
    return points, [int(file.stem.partition("-")[2]) for file in files]
