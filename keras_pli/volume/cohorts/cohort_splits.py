"""Rows of a cohort divided by subject, the classes in equal shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number
from .cohort_table import CohortError

Rows = NDArray[np.intp]

# Shares are met to a twentieth where there are subjects enough.
_MOST_FOLDS = 20


def fold_rows(
    codes: NDArray[Any], subjects: NDArray[Any], classes: tuple[Any, ...], count: int, seed: int
) -> list[Rows]:
    """The rows of each fold: subjects whole, the classes in shares as equal as they can be.

    Raises:
        CohortError: If a class has fewer subjects than there are folds, or a fold got none of a class.
    """
    count = checked_number(count, "count", least=2, whole=True)
    seed = checked_number(seed, "seed", least=0, below=2**32, whole=True)
    from sklearn.model_selection import StratifiedGroupKFold

    numbers = _subjects_of(codes, subjects, classes)
    few = [f"class {label!r}: {number}" for label, number in numbers.items() if number < count]
    if few:
        raise CohortError(
            f"Folds need at least {count} subjects of each class for {count} folds; there are fewer. "
            "Take fewer folds, or leave the class out. Subjects:",
            few,
        )
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    found = [rows for _, rows in folds.split(codes, codes, subjects)]
    for number, rows in enumerate(found):
        lacking = [label for code, label in enumerate(classes) if code not in codes[rows]]
        if lacking:
            raise CohortError(
                f"Fold {number} of {count} would have no image of the class {lacking[0]!r}, as subjects "
                "are not divided. Take fewer folds or another seed."
            )
    return found


def split_rows(
    codes: NDArray[Any],
    subjects: NDArray[Any],
    classes: tuple[Any, ...],
    test_share: float,
    seed: int,
) -> tuple[Rows, Rows]:
    """The rows to train and to test on: some of so many folds that the share is met best.

    Raises:
        CohortError: If a class has one subject only, or a part got none of a class.
    """
    share = checked_number(test_share, "test_share", below=1)
    if share <= 0:
        raise ValueError(f"`test_share` must be above 0. Received: {test_share!r}.")
    least = min(_subjects_of(codes, subjects, classes).values())
    choices = [
        (abs(taken / count - share), count, taken)
        for count in range(2, max(2, min(least, _MOST_FOLDS)) + 1)
        for taken in range(1, count)
    ]
    _, count, taken = min(choices)
    folds = fold_rows(codes, subjects, classes, count, seed)
    test = np.sort(np.concatenate(folds[:taken]))
    return np.setdiff1d(np.arange(len(codes)), test), test


def _subjects_of(
    codes: NDArray[Any], subjects: NDArray[Any], classes: tuple[Any, ...]
) -> dict[Any, int]:
    """How many subjects each class has; of a cohort of one class nothing can be divided."""
    present = {
        label: len(set(subjects[codes == code].tolist())) for code, label in enumerate(classes)
    }
    if len(present) < 2:
        raise CohortError(f"All images are of one class, {classes[0]!r}; a split needs two.")
    return present
