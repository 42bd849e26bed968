"""What an intervention did: the embedding response and the performance response.

The two axes on which Hinterreiter et al. (2020, section 4) assess a model's reaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_fscore_support

from ...checks import finite_array, label_array, quoted
from ...embedding import quality

SCORES = ("precision", "recall", "f1")


def embedding_response(
    before: ArrayLike,
    targets: ArrayLike,
    moved: ArrayLike,
    after: ArrayLike,
    labels: ArrayLike | None = None,
) -> dict[str, float]:
    """Measures how far the points of a map followed an intervention.

    Args:
        before: Map before retraining, shape `(samples, components)`.
        targets: The edited map, of the same shape.
        moved: Booleans of shape `(samples,)`, the points the plan asked to move.
        after: Map after retraining, through the same embedder.
        labels: Classes, for the silhouette.

    Returns:
        `achieved`: share of the asked displacement d that the moved points' own displacement a achieved,
        Σ a·d / Σ d·d; 1 where every point arrived, 0 where they stayed, NaN where nothing was asked.
        `missed`: root mean squared distance of the moved points from their targets, in units of the asked
        displacement's.
        `drift`: root mean squared displacement of the points not asked to move, in units of the map's
        spread; NaN where all were.
        `separation`: silhouette of the classes after, less that before; NaN without labels.

    Raises:
        ValueError: If shapes differ or a position is not finite.

    Example:
        >>> before, targets, after = [[0, 0], [9, 9]], [[2, 0], [9, 9]], [[1, 0], [9, 9]]
        >>> embedding_response(before, targets, [True, False], after)["achieved"]
        0.5
    """
    before = finite_array(before, "before", ndim=2).astype(np.float64)
    targets = finite_array(targets, "targets", ndim=2).astype(np.float64)
    after = finite_array(after, "after", ndim=2).astype(np.float64)
    moved = label_array(moved, len(before), "moved").astype(bool)
    if not before.shape == targets.shape == after.shape:
        raise ValueError(
            "The maps before, asked and after must have the same shape. "
            f"Received: {before.shape}, {targets.shape} and {after.shape}."
        )
    asked, found = targets - before, after - before
    demand = float(np.sum(np.square(asked[moved])))
    spread = float(np.sqrt(np.sum(np.var(before, axis=0))))
    rest = found[~moved]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "achieved": _ratio(float(np.sum(asked[moved] * found[moved])), demand),
            "missed": float(
                np.sqrt(_ratio(float(np.sum(np.square((targets - after)[moved]))), demand))
            ),
            "drift": _ratio(_rms(rest), spread) if len(rest) else float("nan"),
            "separation": _separation(before, after, labels),
        }


def performance_response(
    labels: ArrayLike,
    predicted: ArrayLike,
    *,
    classes: Sequence[Any] | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """Returns precision, recall and F1 of each class, and their averages over groups of classes.

    Averages are weighted by the number of samples, as in the last columns of the paper's Table 1.

    Args:
        labels: True classes, shape `(samples,)`; or, where a sample may have several, a column of 0 and 1 for
            each, `(samples, classes)`.
        predicted: Predicted classes, of the same shape.
        classes: Classes to list, in that order; by default those that occur.
        groups: Names and classes of groups to average over.

    Returns:
        A data frame with a row for each class and group, and columns `name`, `kind` (`"class"` or
        `"group"`), `precision`, `recall`, `f1` and `support`.

    Raises:
        ValueError: If shapes differ, columns hold other values, or a group names a class that is not listed.

    Example:
        >>> performance_response([0, 0, 1], [0, 1, 1])["f1"].round(2).tolist()
        [0.67, 0.67]
    """
    labels = np.asarray(labels)
    if labels.ndim == 2:
        labels, predicted = _columns(labels), _columns(np.asarray(predicted))
        if labels.shape != predicted.shape:
            raise ValueError(
                f"`predicted` must have the shape of the labels, {labels.shape}. Received: {predicted.shape}."
            )
        listed = list(range(labels.shape[1]) if classes is None else classes)
    else:
        predicted = label_array(predicted, len(labels), "predicted")
        found = np.unique(np.concatenate([labels, predicted]))
        listed = list(found if classes is None else classes)
    scores = precision_recall_fscore_support(labels, predicted, labels=listed, zero_division=0)
    table = pd.DataFrame(
        {"name": listed, "kind": "class", **dict(zip((*SCORES, "support"), scores, strict=True))}
    )
    table["name"] = table["name"].astype(object)
    rows = []
    for name, members in (groups or {}).items():
        strangers = [member for member in members if member not in listed]
        if strangers:
            raise ValueError(
                f"Group {name!r} names classes that are not there: {quoted(strangers)}. "
                f"Classes: {quoted(listed, most=30)}."
            )
        of_group = table[table["name"].isin(members)]
        weights = of_group["support"].to_numpy(dtype=float)
        means = {score: _weighted(of_group[score].to_numpy(), weights) for score in SCORES}
        rows.append({"name": name, "kind": "group", **means, "support": int(weights.sum())})
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def _columns(values: NDArray[Any]) -> NDArray[np.int64]:
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"Columns of labels must hold 0 and 1. Received: {quoted(np.unique(values))}."
        )
    return values.astype(np.int64)


def _weighted(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else float("nan")


def _separation(
    before: NDArray[np.float64], after: NDArray[np.float64], labels: ArrayLike | None
) -> float:
    if labels is None or len(np.unique(np.asarray(labels))) < 2:
        return float("nan")
    return quality.silhouette(after, labels, most=2000) - quality.silhouette(
        before, labels, most=2000
    )


def _rms(vectors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.sum(np.square(vectors), axis=1))))


def _ratio(value: float, unit: float) -> float:
    return value / unit if unit > 0 else float("nan")
