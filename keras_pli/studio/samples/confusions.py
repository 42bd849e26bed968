"""Which class a classifier takes for which other one, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...intervention.data_changes import is_unlabelled


@dataclass(frozen=True)
class Confusion:
    """Samples of one class that are taken for another.

    Args:
        label: Their class.
        predicted: What they are taken for.
        count: How many they are.
        share: Which share of the samples of their class.
    """

    label: int
    predicted: int
    count: int
    share: float


def confusions(labels: NDArray[Any], predictions: NDArray[Any]) -> list[Confusion]:
    """Returns all confusions, one way each, by the share of the class that is lost to them.

    Args:
        labels: Classes, integers `(samples,)`; -1 for samples without a label, which are left aside.
        predictions: Classes that the classifier says, -1 for none.

    Example:
        >>> worst, other = confusions(np.array([0, 0, 1, 1, 1, 1]), np.array([0, 1, 0, 1, 1, 1]))
        >>> worst
        Confusion(label=0, predicted=1, count=1, share=0.5)
    """
    known = ~is_unlabelled(labels) & (predictions >= 0)
    labels, predictions = labels[known], predictions[known]
    supports = dict(
        zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True)
    )
    wrong = np.column_stack([labels, predictions])[labels != predictions]
    pairs, counts = np.unique(wrong, axis=0, return_counts=True)
    found = [
        Confusion(label, predicted, count, count / supports[label])
        for (label, predicted), count in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]
    return sorted(found, key=lambda pair: (-pair.share, -pair.count, pair.label, pair.predicted))
