"""How sharply the loss rises around the weights of a model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import plotting
from ..brief import counted
from ..inspection import filter_normalized_directions, hessian_eigenvalues, loss_line
from .context import Context, ReportedSet, some_of
from .predictions import loss_and_labels
from .section import DoesNotApplyError, Section, Shown

_MOST_SAMPLES = 512
_MOST_WEIGHTS = 5_000_000  # above which a line or an eigenvalue takes more than a report should
_LINES, _POINTS = 2, 21
_STEP = 0.01  # of the weights' length, along the sharpest direction


def sharpness(context: Context) -> Section:
    """The largest eigenvalue of the Hessian of the loss, and the loss along random directions."""
    model = context.model
    size = int(sum(np.prod(variable.shape) for variable in model.trainable_variables))
    if not size:
        raise DoesNotApplyError("The model has no trainable weights.")
    if size > _MOST_WEIGHTS:
        raise DoesNotApplyError(
            f"The model has {size:,} trainable weights, and a report looks at sharpness up to "
            f"{_MOST_WEIGHTS:,}. `inspection.hessian_eigenvalues` has no such limit."
        )
    part = _some(context)
    loss, labels = loss_and_labels(model, part.x, part.labels, len(context.class_names))
    found = hessian_eigenvalues(
        model, part.x, labels, loss=loss, seed=context.seed, verbose=context.verbose
    )
    directions = filter_normalized_directions(model, _LINES, seed=context.seed)
    steps = np.linspace(-1, 1, _POINTS)
    lines = [
        loss_line(model, part.x, labels, one, alphas=steps, loss=loss, verbose=context.verbose)
        for one in directions
    ]
    value, residual = float(found.values[0]), float(found.residuals[0])
    length = float(
        np.sqrt(sum(np.sum(np.square(np.asarray(w, np.float64))) for w in _weights(context)))
    )
    foreseen = value * (_STEP * length) ** 2 / 2
    near = [-_STEP * length, 0.0, _STEP * length]
    line = loss_line(model, part.x, labels, found.directions[0], alphas=near, loss=loss)
    seen = float(line.losses[[0, 2]].mean() - line.losses[1])
    belief = (
        f"Largest eigenvalue {value:.3g} of the Hessian of the mean cross-entropy over "
        f"{counted(len(part), 'sample')}, right to {max(residual / max(abs(value), 1e-12), 1e-4):.2%}. "
        f"{_foretold(foreseen, seen)} Sharpness compares trainings of one architecture alone: layers "
        "that are scaled against each other change it, and not what the network computes."
    )
    figure = plotting.loss_curve(
        steps,
        {f"direction {index + 1}": one.losses for index, one in enumerate(lines)},
        label="step along a random, filter-normalised direction",
    )
    note = "At 1 the step is as long as the weights, filter by filter. The model lies at 0."
    table = pd.DataFrame(
        {"value": [f"{value:.4g}", f"{size:,}", f"{lines[0].losses[_POINTS // 2]:.4g}"]},
        index=["largest eigenvalue", "trainable weights", "mean cross-entropy"],
    )
    shown = (Shown("loss lines", figure, note=note), Shown("sharpness", table))
    return Section("Sharpness", belief, shown)


def _some(context: Context) -> ReportedSet:
    """The training samples, where there are, since it is their loss that was made small."""
    part = context.test if context.train is None else context.train
    if len(part) <= _MOST_SAMPLES:
        return part
    random = np.random.default_rng(context.seed)
    return some_of(part, np.sort(random.choice(len(part), _MOST_SAMPLES, replace=False)))


def _weights(context: Context) -> list[np.ndarray]:
    return [np.asarray(variable.numpy()) for variable in context.model.trainable_variables]


def _foretold(foreseen: float, seen: float) -> str:
    """Whether the eigenvalue foretells the loss a short step away."""
    told = (
        f"A step of {_STEP:.0%} of the weights' length along it would raise the loss by {foreseen:.3g}, and "
        f"raises it by {seen:.3g}: "
    )
    if abs(seen - foreseen) <= 0.25 * abs(foreseen):
        return told + "the bowl that it describes is there."
    return (
        told
        + "the loss is no bowl at that distance, and the eigenvalue holds for shorter steps only."
    )
