"""What a plan makes of arrays to train on: inputs, labels, targets and weights of the rows that are left."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import quoted
from ..intervention import EditedData, InterventionPlan
from ..intervention.data_changes import UNLABELLED, is_unlabelled, lacks_label
from ..network.activations import activations
from .data import Inputs, arrays_of, count_samples, rows_of
from .outputs import output_sizes, predicted

Array = NDArray[Any]


def edited_arrays(
    model: Any, x: Inputs, y: Any, plan: InterventionPlan, sample_weight: Any
) -> tuple[Inputs, dict[str, Array], Array | None]:
    """Returns inputs, labels with their targets, and weights, as a plan makes them for a `PLIModel`.

    Raises:
        ValueError: If there are no arrays, or targets beside the plan's, the plan needs a map and the model
            has no embedder, or the plan does not fit the samples.
    """
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
    numbers = class_numbers(given)
    if count_samples(x) != len(numbers):
        raise ValueError(
            f"There must be one label for each of the {count_samples(x)} samples. Received: {len(numbers)}."
        )
    if plan.needs_map:
        if model.embedder is None:
            raise ValueError(
                f"The plan moves or selects points on a map, and there is no embedder:\n{plan!r}"
            )
        positions = map_of(model.classifier, model.layer, model.embedder, x)
    sizes = output_sizes(model.classifier) or (None,)
    classes = None if sizes[-1] is None else max(2, sizes[-1])
    weights = _of_samples(sample_weight)
    edited = plan.edited_data(numbers, positions, sample_weight=weights, classes=classes)
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
        x = keras.tree.map_structure(np.asarray, x)  # of a tensor rows cannot be taken by number
        x, y = rows_of(x, edited.rows), rows_of(y, edited.rows)
    if targets is not None and targets[1].any() and not y["moved"].any():
        warnings.warn(
            "The plan moves no sample that is trained on: those it moves have no label, or are excluded.",
            stacklevel=4,
        )
    return x, y, None if np.all(weights == 1) else weights


def class_numbers(labels: Array) -> Array:
    """Returns labels as one integer a sample, -1 where there is none.

    Raises:
        ValueError: If they are not one class a sample.

    Example:
        >>> class_numbers(np.array([[0, 1.0], [1, 0], [0, 0]])).tolist()
        [1, 0, -1]
    """
    numbers = None
    if labels.dtype.kind not in "iubf":
        pass
    elif labels.ndim == 2 and labels.shape[1] > 1:
        named = labels.sum(axis=1)
        if np.all((labels == 0) | (labels == 1)) and np.all(named <= 1):
            numbers = np.where(named == 1, labels.argmax(axis=1), UNLABELLED)
            _tell_of_empty_rows(int(np.count_nonzero(named == 0)))
    elif labels.ndim in (1, 2) and np.all(labels == np.floor(labels)):
        numbers = labels.reshape(-1).astype(np.int64)
    if numbers is not None:
        _check_two_classes(numbers)
        return numbers
    some = quoted(labels.ravel()[:5])
    raise ValueError(
        "A plan edits labels of one class a sample: integers or one-hot rows. "
        f"Received {labels.dtype} of shape {labels.shape}: {some}, …"
    )


def as_plan(plan: Any) -> InterventionPlan:
    """Returns a plan, also of a list of changes.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(plan, list | tuple):
        return InterventionPlan(plan)
    if not isinstance(plan, InterventionPlan):
        raise TypeError(
            "`plan` must be an InterventionPlan, a list of changes or, in an experiment, a function that "
            f"makes one. Received: {type(plan).__name__}."
        )
    return plan


def _tell_of_empty_rows(count: int) -> None:
    if count:
        warnings.warn(
            f"{count} rows of the labels are all 0: a plan takes them for samples without a label, which are "
            "not trained on.",
            stacklevel=5,
        )


def _check_two_classes(numbers: Array) -> None:
    """Raises where -1 is one of two labels, and so may well be a class."""
    if is_unlabelled(numbers).any() and not lacks_label(numbers).any():
        raise ValueError(
            "A plan takes the label -1 for no label, and there is but one class beside it. Received: "
            f"{quoted(np.unique(numbers))}. Classes of -1 and 1? Pass `(labels > 0).astype(int)`, with a "
            "loss that takes it."
        )


def _of_samples(sample_weight: Any) -> Any:
    """The caller's weights as one number a sample."""
    if isinstance(sample_weight, Mapping):
        sample_weight = sample_weight["label"]
    weights = None if sample_weight is None else np.asarray(sample_weight)
    return weights[:, 0] if weights is not None and weights.shape[1:] == (1,) else weights


def map_of(
    classifier: keras.Model, layer: str | keras.Layer, embedder: keras.Model, x: Inputs
) -> NDArray[np.float32]:
    """Returns where an embedder puts the activations of a classifier's layer."""
    return predicted(embedder, activations(classifier, x, layer))


def _in_form_of(given: Array, edited: EditedData) -> Array:
    if given.ndim == 2 and given.shape[1] > 1:
        rows = given.copy()
        rows[edited.relabelled] = np.eye(given.shape[1])[edited.labels[edited.relabelled]]
        return rows
    labels = edited.labels.reshape(given.shape)
    narrow = labels.astype(given.dtype)
    return narrow if np.array_equal(narrow, labels) else labels  # a byte would wrap a larger number
