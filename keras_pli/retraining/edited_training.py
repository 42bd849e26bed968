"""What a plan makes of arrays to train on: inputs, labels, targets and weights of the rows that are left."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import quoted
from ..intervention import EditedData, InterventionPlan
from ..network.activations import ActivationReader
from .data import Inputs, arrays_of, rows_of
from .outputs import output_sizes, predicted

Array = NDArray[Any]


def edited_arrays(
    model: Any, x: Inputs, y: Any, plan: InterventionPlan, sample_weight: Any
) -> tuple[Inputs, dict[str, Array], Array | None]:
    """Returns inputs, labels with their targets, and weights, as a plan makes them for a `PLIModel`.

    Raises:
        ValueError: If there are no arrays, or targets beside the plan's, the plan needs a map and the model
            has no embedder, or as in `edited_training`.
        TypeError: If the plan is none.
    """
    if not isinstance(plan, InterventionPlan):
        raise TypeError(f"`plan` must be an InterventionPlan. Received: {type(plan).__name__}.")
    if y is None:
        raise ValueError(
            "A plan is applied to arrays: `fit(x, labels, plan=plan)`. "
            f"Received no labels, and as inputs: {type(x).__name__}."
        )
    x, y = arrays_of(x, y)
    if isinstance(y, dict):
        if set(y) != {"label"}:
            raise ValueError(
                f"With a plan, `y` must be labels alone: the plan says the rest. Received: {quoted(y)}."
            )
        y = y["label"]
    given, positions = np.asarray(y), None
    if plan.needs_map:
        if model.embedder is None:
            raise ValueError(
                f"The plan moves or selects points on a map, and there is no embedder:\n{plan!r}"
            )
        positions = map_of(model.classifier, model.layer, model.embedder, x)
    sizes = output_sizes(model.classifier) or (None,)
    numbers, classes = class_numbers(given), None if sizes[-1] is None else max(2, sizes[-1])
    edited = plan.edited_data(numbers, positions, sample_weight=sample_weight, classes=classes)
    targets = plan.apply(positions, numbers) if plan.moves and positions is not None else None
    return training_arrays(edited, x, _in_form_of(given, edited), targets)


def training_arrays(
    edited: EditedData, x: Inputs, labels: Array, targets: tuple[Array, Array] | None
) -> tuple[Inputs, dict[str, Array], Array | None]:
    """Returns what to train on, the rows that are left of a training set.

    Args:
        edited: What a plan made of its labels.
        x: Inputs of all samples.
        labels: Edited labels of all samples, in the form that the loss takes.
        targets: Target positions and moved points of all samples, or None.

    Returns:
        Inputs; `{"label"[, "embedding", "moved"]}`; weights, or None where all are 1.
    """
    y = {"label": labels}
    if targets is not None:
        y |= {"embedding": targets[0], "moved": targets[1].astype(np.float32)}
    weights = edited.of(edited.sample_weight)
    if len(edited.rows) < len(edited.labels):
        x, y = rows_of(x, edited.rows), rows_of(y, edited.rows)
    return x, y, None if np.all(weights == 1) else weights


def class_numbers(labels: Array) -> Array:
    """Returns labels as one integer a sample, -1 where there is none.

    Raises:
        ValueError: If they are not one class a sample.

    Example:
        >>> class_numbers(np.array([[0, 1.0], [1, 0], [0, 0]])).tolist()
        [1, 0, -1]
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        named = labels.sum(axis=1)
        if np.all((labels == 0) | (labels == 1)) and np.all(named <= 1):
            return np.where(named == 1, labels.argmax(axis=1), -1)
    elif labels.ndim in (1, 2):
        numbers = labels.reshape(-1)
        if labels.dtype.kind in "iub" or np.all(numbers == np.floor(numbers)):
            return numbers.astype(np.int64)
    some = quoted(labels.ravel()[:5])
    raise ValueError(
        "A plan edits labels of one class a sample: integers or one-hot rows. "
        f"Received {labels.dtype} of shape {labels.shape}: {some}, …"
    )


def map_of(
    classifier: keras.Model, layer: str | keras.Layer, embedder: keras.Model, x: Inputs
) -> NDArray[np.float32]:
    """Returns where an embedder puts the activations of a classifier's layer."""
    return predicted(embedder, predicted(ActivationReader(classifier, layer), x))


def _in_form_of(given: Array, edited: EditedData) -> Array:
    if given.ndim == 2 and given.shape[1] > 1:
        rows = given.copy()
        rows[edited.relabelled] = np.eye(given.shape[1])[edited.labels[edited.relabelled]]
        return rows
    return edited.labels.reshape(given.shape).astype(given.dtype)
