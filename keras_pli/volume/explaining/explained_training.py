"""Which network explains which image of a cohort, and whether the two belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...checks import quoted
from ...identity import identity_digest
from ..cohorts.cohort import Cohort
from ..images.preprocessing import Preprocessing
from ..training.cross_validation import CrossValidation, training_identity


@dataclass(frozen=True, eq=False)
class Explained:
    """What explains the images of a cohort.

    Args:
        networks: One, or one for each fold.
        fold: Which of them explains each image.
        scales: What each image is enlarged by for it.
        classes: The names of the networks' outputs.
        preprocessing: What brings the files to the form that the networks receive.
    """

    networks: Sequence[keras.Model]
    fold: NDArray[np.int64]
    scales: Sequence[float]
    classes: tuple[Any, ...]
    preprocessing: Preprocessing


def explained_by(
    models: CrossValidation | keras.Model, cohort: Cohort, preprocessing: Preprocessing | None
) -> Explained:
    """Returns what explains the images of a cohort.

    Raises:
        ValueError: If a cross-validation is of another cohort, other classes or another preprocessing, or one
            network comes without preprocessing.
    """
    if isinstance(models, CrossValidation):
        _check_preprocessing(models.preprocessing, preprocessing)
        _check_cohort(models, cohort)
        found = models.predictions
        fold, scales = found["fold"].to_numpy(int), found["scale"].tolist()
        return Explained(models.models, fold, scales, models.classes, models.preprocessing)
    if preprocessing is None:
        raise ValueError(
            "`preprocessing` must be given for a network: only a cross-validation knows its own. "
            "Received: None."
        )
    count = len(cohort)
    classes = tuple(cohort.classes or ())
    return Explained([models], np.zeros(count, int), [1.0] * count, classes, preprocessing)


def checked_target(target: Any, classes: Sequence[Any]) -> str | int:
    """Returns `"predicted"`, `"label"` or the position of a class, given that or its name.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(target, str):
        if target in ("predicted", "label"):
            return str(target)
        names = [str(name) for name in classes]
        if target in names:
            return names.index(target)
    whole = isinstance(target, int | np.integer) and not isinstance(target, bool)
    if whole and 0 <= target < len(classes):
        return int(target)
    raise ValueError(
        f"`target` must be 'predicted', 'label', one of the classes {quoted(map(str, classes))} as text, or "
        f"a class's position from 0 to {len(classes) - 1}. Received: {target!r}."
    )


def _check_cohort(models: CrossValidation, cohort: Cohort) -> None:
    known, classes = models.predictions, tuple(cohort.classes or ())
    if list(map(str, classes)) != list(map(str, models.classes)):
        raise ValueError(
            f"The cross-validation is of the classes {quoted(models.classes)}, in this order. The cohort's "
            f"are {quoted(classes)}."
        )
    subjects = known["subject"].tolist()
    if subjects != cohort.subjects.tolist():
        raise ValueError(
            f"The cross-validation is of another cohort: of {len(subjects)} images, the first of subject "
            f"{subjects[0]!r}. Received {len(cohort)}, the first of subject {cohort.subjects[0]!r}."
        )
    labels = [str(classes[code]) for code in cohort.labels]
    other = np.flatnonzero(known["label"].astype(str).to_numpy() != np.array(labels))
    if len(other):
        raise ValueError(
            "The cross-validation is of another cohort: labels differ in the positions "
            f"{quoted(other)}. The first was {known['label'].iloc[other[0]]!r}, and is now "
            f"{labels[other[0]]!r}."
        )
    if training_identity(cohort, models.preprocessing, models.models) != models.identity:
        raise ValueError(
            "The cross-validation is of other images: of the same subjects and labels, but the bytes of an "
            "image or mask, or of the preprocessing's template, are not those of the training."
        )


def _check_preprocessing(trained: Preprocessing, given: Preprocessing | None) -> None:
    if given is None:
        return
    before, now = _options(trained), _options(given)
    differing = [
        name for name in before if identity_digest(before[name]) != identity_digest(now[name])
    ]
    if differing:
        raise ValueError(
            "`preprocessing` must be that of the training, or None, which takes it. It differs: "
            f"{ {name: now[name] for name in differing} }, and in training "
            f"{ {name: before[name] for name in differing} }."
        )


def _options(preprocessing: Preprocessing) -> dict[str, Any]:
    found = {item.name: getattr(preprocessing, item.name) for item in fields(preprocessing)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in found.items()}
