"""Slices of the loss surface: its values on a line or a plane through a solution, or between two."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...parts import PartFolder, digest
from .data_loss import DataLoss, mean_loss
from .directions import (
    Direction,
    check_same_shapes,
    filter_normalized_directions,
    trainable_variables,
)
from .slices import LossLine, LossSurface
from .trajectory import PrincipalDirections

# How much of a grid an interruption loses.
_POINTS_A_PART = 8
_PARTS = "loss surface"


def loss_line(
    model: keras.Model,
    x: Any,
    y: Any,
    direction: Direction | None = None,
    *,
    alphas: ArrayLike | None = None,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    verbose: int = 0,
    **options: Any,
) -> LossLine:
    """Returns the loss along a line through a solution, L(θ + a d).

    The model is run in inference mode, with weights that are handed to it; its own are never written to.
    Moving statistics of batch normalisations stay as they are.

    Args:
        model: A Keras model at the solution.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What is to be predicted.
        direction: Arrays like `model.trainable_variables`; None draws one, filter-normalised.
        alphas: Steps along the direction, one after another; None for 51 from -1 to 1.
        seed: Seed of the direction that is drawn.
        store: Folder of what is done, by which an interrupted run goes on; None keeps nothing.
        verbose: 1 draws a progress bar.
        **options: Of `DataLoss`: `loss`, `metrics`, `sample_weight`, `regularization`, `batch_size`, ….

    Raises:
        ValueError: If a shape does not fit, steps are not finite, or `store` holds other results.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0]])])
        >>> line = loss_line(model, [[1.0]], [[2.0]], [np.array([[1.0]])], alphas=[-1, 0, 3], loss="mse")
        >>> line.losses.tolist()
        [1.0, 0.0, 9.0]
    """
    loss = mean_loss(model, x, y, options)
    if direction is None:
        (direction,) = filter_normalized_directions(model, 1, seed=seed)
    vectors = [loss.weights(), loss.flat(direction, "direction")]
    steps = _steps(np.linspace(-1, 1, 51) if alphas is None else alphas, "alphas")
    coefficients = np.stack([np.ones(len(steps)), steps], axis=1)
    losses, metrics = _evaluated(loss, vectors, coefficients, store, verbose)
    about = {"metrics": loss.metric_names, "samples": loss.samples}
    return LossLine(steps, losses, metrics, about)


def loss_surface(
    model: keras.Model,
    x: Any,
    y: Any,
    directions: Sequence[Direction] | None = None,
    *,
    alphas: ArrayLike | None = None,
    betas: ArrayLike | None = None,
    trajectory: PrincipalDirections | None = None,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    verbose: int = 0,
    **options: Any,
) -> LossSurface:
    """Returns the loss on a plane through a solution, L(θ + a d + b e) (Li et al. 2018, section 3).

    The model is run as `loss_line` says.

    Args:
        model: A Keras model at the solution.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What is to be predicted.
        directions: Two directions; None draws filter-normalised ones.
        alphas: Steps along the first, two or more; None for 25 from -1 to 1, or that cover `trajectory`.
        betas: Steps along the second; None for the same, or that cover `trajectory`.
        trajectory: What `principal_directions` found, in place of `directions`; `plot` draws the way of the
            training then. A warning says so if the model is not where its coordinates start.
        seed: Seed of the directions that are drawn.
        store: Folder of what is done, by which an interrupted run goes on; None keeps nothing.
        verbose: 1 draws a progress bar.
        **options: Of `DataLoss`: `loss`, `metrics`, `sample_weight`, `regularization`, `batch_size`, ….

    Raises:
        ValueError: If there are not two directions, a shape does not fit, steps are not finite, or `store`
            holds other results.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.zeros((2, 1))])
        >>> along = [np.array([[1.0], [0.0]])], [np.array([[0.0], [1.0]])]
        >>> surface = loss_surface(
        ...     model, np.eye(2), np.zeros((2, 1)), along, alphas=[0, 2], betas=[0, 1], loss="mse"
        ... )
        >>> surface.losses.tolist()
        [[0.0, 0.5], [2.0, 2.5]]
    """
    loss = mean_loss(model, x, y, options)
    if trajectory is not None:
        if directions is not None:
            raise ValueError("`trajectory` has directions of its own: leave `directions` out.")
        _warn_of_another_origin(loss, trajectory)
        directions = trajectory.directions
        covering = trajectory.steps() if len(directions) == 2 else [None, None]
        alphas = covering[0] if alphas is None else alphas
        betas = covering[1] if betas is None else betas
    given = filter_normalized_directions(model, seed=seed) if directions is None else directions
    if len(given) != 2:
        raise ValueError(f"`directions` must be two. Received: {len(given)}.")
    vectors = [loss.weights(), *(loss.flat(one, "directions") for one in given)]
    first = _steps(np.linspace(-1, 1, 25) if alphas is None else alphas, "alphas", least=2)
    second = first if betas is None else _steps(betas, "betas", least=2)
    along = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    coefficients = np.concatenate([np.ones((len(along), 1)), along], axis=1)
    losses, metrics = _evaluated(loss, vectors, coefficients, store, verbose)
    shape = len(first), len(second)
    about: dict[str, Any] = {"metrics": loss.metric_names, "samples": loss.samples}
    at = np.flatnonzero((along == 0).all(axis=1))
    # Where the grid leaves the solution out, it takes one pass more.
    about["loss"] = float(losses[at[0]] if len(at) else loss.at(vectors)([1.0, 0.0, 0.0])[0])
    if trajectory is not None:
        about["trajectory"] = trajectory.coordinates.tolist()
        about["marks"] = [list(mark) for mark in trajectory.marks().items()]
        about["labels"] = trajectory.labels
    values = losses.reshape(shape), metrics.reshape(-1, *shape)
    return LossSurface(first, second, *values, about)


def linear_interpolation(
    model: keras.Model,
    other: keras.Model | Sequence[ArrayLike],
    x: Any,
    y: Any,
    *,
    alphas: ArrayLike | None = None,
    store: str | os.PathLike[str] | None = None,
    verbose: int = 0,
    **options: Any,
) -> LossLine:
    """Returns the loss on the line between two solutions, L((1 - a) A + a B).

    A valley that leads from one to the other shows no barrier (Goodfellow, Vinyals and Saxe 2015,
    "Qualitatively characterizing neural network optimization problems", section 3). All weights of real
    numbers go from one to the other, also those that are not trainable, such as moving statistics of a batch
    normalisation: at the ends the loss is that of the solutions themselves. Between them the statistics are
    not those of the network that is there, which alone can make a barrier.

    Args:
        model: A Keras model, solution A.
        other: Solution B, a model of the same architecture or weights as `get_weights` gives them.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What is to be predicted.
        alphas: Where, 0 at A and 1 at B; None for 51 from 0 to 1.
        store: Folder of what is done, by which an interrupted run goes on; None keeps nothing.
        verbose: 1 draws a progress bar.
        **options: Of `DataLoss`: `loss`, `metrics`, `sample_weight`, `regularization`, `batch_size`, ….

    Returns:
        The line; its `barrier` is how far the loss rises between the solutions.

    Raises:
        ValueError: If the solutions' weights differ in number or shape (the first is named), steps are not
            finite, or `store` holds other results.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[1.0]])])
        >>> line = linear_interpolation(model, [[[-1.0]]], [[1.0]], [[0.0]], alphas=[0, 0.5, 1], loss="mse")
        >>> line.losses.tolist(), line.barrier
        ([1.0, 0.0, 1.0], 0.0)
    """
    trainable_variables(model)
    moved = [index for index, v in enumerate(model.weights) if "float" in v.dtype]
    variables = [model.weights[index] for index in moved]
    given = other.get_weights() if isinstance(other, keras.Model) else list(other)
    paths = [variable.path for variable in model.weights]
    check_same_shapes(model.weights, given, "other", paths)
    loss = mean_loss(model, x, y, {**options, "variables": variables})
    vectors = [loss.weights(), loss.flat([given[index] for index in moved], "other")]
    steps = _steps(np.linspace(0, 1, 51) if alphas is None else alphas, "alphas")
    losses, metrics = _evaluated(loss, vectors, np.stack([1 - steps, steps], 1), store, verbose)
    about = {"metrics": loss.metric_names, "samples": loss.samples, "ends": ["model", "other"]}
    return LossLine(steps, losses, metrics, about)


def _evaluated(
    loss: DataLoss,
    vectors: Sequence[NDArray[Any]],
    coefficients: NDArray[np.float64],
    store: str | os.PathLike[str] | None,
    verbose: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns losses `(points,)` and metrics `(metrics, points)` where weights are sums of vectors."""
    measured = loss.at(vectors)
    groups = np.array_split(
        coefficients, np.arange(_POINTS_A_PART, len(coefficients), _POINTS_A_PART)
    )
    progress = keras.utils.Progbar(len(coefficients), verbose=verbose, unit_name="point")
    identity = {**loss.identity(), "vectors": digest(*vectors[1:]), "points": digest(coefficients)}
    writing = nullcontext() if store is None else PartFolder(Path(store), _PARTS).writing(identity)
    found = []
    with writing as writer:
        for number, group in enumerate(groups):
            part = writer.read(number) if writer else None
            if part is None:
                rows = []
                for point in group:
                    value, metrics = measured(point)
                    rows.append([value, *metrics])
                    progress.add(1)
                part = {"values": np.array(rows, np.float64)}
                if writer:
                    writer.write(number, part)
            else:
                progress.add(len(group))
            found.append(part["values"])
        if writer:
            writer.finish(len(groups))
    values = np.concatenate(found)
    return values[:, 0], values[:, 1:].T


def _warn_of_another_origin(loss: DataLoss, trajectory: PrincipalDirections) -> None:
    """Warns if the model is not where a trajectory's coordinates start."""
    origin = loss.flat(trajectory.origin, "trajectory")
    if not np.allclose(origin, loss.weights(), rtol=1e-5, atol=1e-7):
        warnings.warn(
            "The model is not at the origin of `trajectory`, so the way is drawn beside its place: another "
            "callback may have restored other weights at the end of the training. Pass the model to "
            "`principal_directions(..., model=model)`.",
            stacklevel=3,
        )


def _steps(given: ArrayLike, name: str, *, least: int = 1) -> NDArray[np.float64]:
    steps = np.asarray(given, np.float64)
    if steps.ndim != 1 or not len(steps) or not np.isfinite(steps).all():
        raise ValueError(
            f"`{name}` must be finite numbers, one after another. Received: {given!r:.80}."
        )
    if len(np.unique(steps)) < least:
        raise ValueError(
            f"`{name}` must be two different steps or more, as a surface has two directions; of one, "
            f"`loss_line` gives the loss along the other. Received: {given!r:.80}."
        )
    return steps
