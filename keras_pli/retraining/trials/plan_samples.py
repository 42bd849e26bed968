"""Samples on a map with what a plan asks of them, checked against the model that shall follow it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import finite_array, label_array, quoted
from ...intervention.data_changes import UNLABELLED
from ..data import Inputs, as_arrays, check_finite, rows_of
from ..labels import check_classes
from ..loss import PLILoss

Array = NDArray[Any]
_LOOKED_AT = 64  # samples by which a map is recognised


@dataclass(frozen=True)
class PlanSamples:
    """What a plan is tried on.

    Args:
        x: Inputs, shape `(samples, ...)`, or a list or dict of them.
        labels: Classes counted from 0, -1 for samples that have none.
        targets: The edited map, `(samples, components)`.
        moved: Booleans `(samples,)`, the points that the plan moves.
    """

    x: Inputs = field(repr=False)
    labels: Array
    targets: NDArray[np.float32]
    moved: NDArray[np.bool_]

    __repr__ = brief_repr

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Rows of the samples that have a label."""
        return np.flatnonzero(self.labels != UNLABELLED)

    def x_of(self, rows: NDArray[np.int64]) -> Inputs:
        """The inputs of some samples, as Keras takes them."""
        # Of a list Keras would not know that it holds inputs.
        return rows_of(tuple(self.x) if isinstance(self.x, list) else self.x, rows)


def plan_samples(
    model: Any,
    x: Inputs,
    labels: ArrayLike,
    embedding: ArrayLike,
    targets: ArrayLike,
    moved: ArrayLike | None,
) -> PlanSamples:
    """Checks samples, their map and what is asked of them against a compiled `PLIModel`.

    Raises:
        ValueError: If the model is not compiled, has no embedder or a λ of 0; lengths differ; fewer than two
            samples have a label, or labels are not classes of the classifier; an input is not finite; or the
            map is not the one that the model's embedder makes of the inputs.
    """
    _check_model(model)
    positions = finite_array(embedding, "embedding", ndim=2)
    asked = finite_array(targets, "targets", ndim=2)
    if asked.shape != positions.shape:
        raise ValueError(
            f"The edited map must have the map's shape, {positions.shape}. Received: {asked.shape}."
        )
    classes = label_array(labels, len(positions))
    if classes.dtype.kind not in "iu":
        raise ValueError(
            "A model is tried with integer labels, classes counted from 0. "
            f"Received dtype {classes.dtype}: {quoted(classes)}."
        )
    chosen = np.any(asked != positions, axis=1)
    if moved is not None:
        chosen = label_array(moved, len(positions), "moved").astype(bool)
    x = as_arrays(x, len(positions))
    lengths = sorted({len(values) for values in keras.tree.flatten(x)})
    if lengths != [len(positions)]:
        raise ValueError(
            f"`x` must hold the {len(positions)} samples that are on the map. Received: {quoted(lengths)}."
        )
    check_finite(x, len(positions), "x")
    given = PlanSamples(x, classes, asked, chosen)
    if len(given.labelled) < 2:
        raise ValueError(
            f"A plan is tried on at least two samples with a label. Received: {len(given.labelled)}."
        )
    rows = np.unique(np.linspace(0, len(positions) - 1, _LOOKED_AT).astype(np.int64))
    seen = model(given.x_of(rows), training=False)
    outputs, found = (keras.ops.convert_to_numpy(seen[name]) for name in ("label", "embedding"))
    if outputs.ndim != 2:
        raise ValueError(
            "A plan is tried on a classifier with outputs of shape (samples, classes). "
            f"Received outputs of shape {outputs.shape}."
        )
    check_classes(classes[given.labelled], max(2, outputs.shape[1]), "labels")
    _check_map(positions[rows], found.astype(np.float32), positions)
    return given


def way_gone(before: Array, targets: Array, after: Array) -> float:
    """The share Σ a·d / Σ d·d of the way d asked for that points went by a; NaN where none was asked for.

    Example:
        >>> way_gone(np.zeros((1, 2)), np.array([[2.0, 0.0]]), np.array([[1.0, 3.0]]))
        0.5
    """
    asked, went = ((end - before).astype(np.float64) for end in (targets, after))
    demand = float(np.sum(np.square(asked)))
    return float(np.sum(asked * went)) / demand if demand > 0 else float("nan")


def _check_model(model: Any) -> None:
    loss: PLILoss | None = model.loss_function
    if loss is None:
        raise ValueError(
            "A plan is tried with the loss of a compiled model: call `compile(optimizer, loss=PLILoss(...))` "
            "first."
        )
    if model.embedder is None:
        raise ValueError("A plan's moves are tried on a map: give PLIModel an `embedder`.")
    weight = loss.embedding_weight
    if isinstance(weight, str):
        raise ValueError(
            "A plan is tried with a number as `embedding_weight` (λ): compile with the one that "
            f"`PLIModel.find_weight` finds. Received: {weight!r}."
        )
    if not weight > 0:
        raise ValueError(
            "A plan is tried with an `embedding_weight` (λ) above 0; with 0 it asks nothing of the "
            f"classifier. Received: {weight!r}."
        )


def _check_map(given: Array, found: Array, whole: Array) -> None:
    if found.shape[1] != given.shape[1]:
        raise ValueError(
            f"The map has {given.shape[1]} components, the model's embedder gives {found.shape[1]}."
        )
    off = np.linalg.norm(given - found, axis=1)
    spread = float(np.sqrt(whole.var(axis=0).sum()))
    if not np.isfinite(found).all():
        raise ValueError(
            "The model's embedder gives places that are not finite: its weights are not."
        )
    if float(np.median(off)) > 0.05 * spread:
        raise ValueError(
            "`embedding` is not the map that the model's embedder makes of `x`: its points lie "
            f"{np.median(off):.3g} away, at a spread of {spread:.3g}. Pass "
            "`embedder.predict(keras_pli.activations(classifier, x, layer=...))`."
        )
