"""Accuracy of groups of held-out samples, and of the worst of them, which a mean over all hides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...checks import label_array, quoted
from ...intervals import mean_interval

Array = NDArray[Any]
WORST = "worst"


def checked_subgroups(subgroups: ArrayLike | None, samples: int) -> Array | None:
    """Returns the group of each held-out sample as text.

    Raises:
        ValueError: If there is not one a sample, all are in the same, or one is named like the worst.

    Example:
        >>> checked_subgroups([0, 1, 1], 3).tolist()
        ['0', '1', '1']
    """
    if subgroups is None:
        return None
    groups = label_array(subgroups, samples, "subgroups")
    if groups.dtype.kind not in "iubU":
        raise ValueError(f"`subgroups` must be ints or strings. Received dtype {groups.dtype}.")
    groups = groups.astype(str)
    names = np.unique(groups)
    if len(names) < 2 or WORST in names:
        raise ValueError(
            f"`subgroups` must name at least two groups, none of them {WORST!r}. Received: {quoted(names)}."
        )
    return groups


def subgroup_accuracies(labels: Array, predicted: Array, groups: Array) -> pd.DataFrame:
    """Returns the accuracy of each group of samples, and that of the worst in a last row.

    The worst group's accuracy is what Sagawa et al. (2020, "Distributionally Robust Neural Networks for Group
    Shifts") ask to be high, where a shortcut serves most samples and fails the few that it misleads.

    Args:
        labels: True classes, `(samples,)`.
        predicted: Predicted ones.
        groups: The group of each sample.

    Returns:
        Columns `group`, `accuracy`, `support`.

    Example:
        >>> labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
        >>> found = subgroup_accuracies(labels, predicted, np.array(list("aabb")))
        >>> found["accuracy"].tolist()
        [1.0, 0.5, 0.5]
    """
    right = pd.DataFrame({"group": groups, "right": labels == predicted})
    by_group = right.groupby("group")["right"].agg(accuracy="mean", support="size").reset_index()
    worst = by_group.loc[[by_group["accuracy"].idxmin()]].assign(group=WORST)
    return pd.concat([by_group, worst], ignore_index=True)


def paired_effects(scores: pd.DataFrame) -> pd.DataFrame:
    """Returns mean accuracies of both arms, and their paired differences with intervals.

    Args:
        scores: Columns `seed`, `run`, `group`, `accuracy`.

    Returns:
        Columns `group`, `control`, `PLI` (means over seeds), `mean`, `low`, `high` (of the differences) and
        `wins`, the seeds in which PLI was better.
    """
    rows = []
    for group, part in scores.groupby("group", sort=False):
        wide = part.pivot(index="seed", columns="run", values="accuracy")
        differences = wide["PLI"] - wide["control"]
        mean, low, high = mean_interval(differences)
        arms: Mapping[str, float] = {arm: float(wide[arm].mean()) for arm in ("control", "PLI")}
        wins = int((differences > 0).sum())
        rows.append({"group": group, **arms, "mean": mean, "low": low, "high": high, "wins": wins})
    return pd.DataFrame(rows, columns=["group", "control", "PLI", "mean", "low", "high", "wins"])
