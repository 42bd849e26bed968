"""One page on a cohort: how well its classifier does, whether size decides, where its maps point."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from ... import plotting
from ...brief import counted
from ...checks import checked_number
from ...files import write_text
from ...plotting.page import page, page_figure, page_note, page_table
from ..explaining.explanation import CohortExplanation
from ..training.cross_validation import CrossValidation
from ..training.optimal_scaling import size_predictability
from .own_files import own_files
from .report_data import ReportData
from .report_methods import MethodParts
from .report_subjects import subject_parts

PAGE = "cohort_report.html"
_SIZE_DECIDES = 0.3  # a correlation with the brain's size that a reader must hear of
_HEADINGS = {
    "training_accuracy": "training accuracy",
    "validation_accuracy": "held-out accuracy",
    "validation_auc": "AUC",
}
_SCALED = {
    None: "sizes left as scanned",
    "quantile": "sizes of the classes matched in training (quantile)",
    "pot": "sizes of the classes matched in training (pot)",
    "reference": "all brains brought to one size (reference)",
}
_MATCHED = "Here the classes' sizes were matched in training; held-out brains keep theirs."
_SIZE_NOTES = {
    None: "Optimal scaling matches the distributions in training.",
    "quantile": _MATCHED,
    "pot": _MATCHED,
    "reference": "Here all brains were brought to one size, held-out ones, too.",
}
_STILL = {
    "quantile": "although the classes' sizes were matched in training",
    "pot": "although the classes' sizes were matched in training",
    "reference": "although all brains were brought to one size",
}


def cohort_report(
    found: CrossValidation,
    explained: CohortExplanation,
    out: str | os.PathLike[str],
    *,
    regions: Any = None,
    region_names: Mapping[int, str] | None = None,
    template: Any = None,
    share: float = 0.1,
    subjects: int = 4,
    title: str = "Report on a cohort",
    verbose: int = 0,
) -> Path:
    """Writes a page on a cross-validation and its maps, and pages of single subjects beside it.

    The page holds the accuracy of each fold; how far the decision follows the brain's size; for each method
    the mean map of each class; the attribution of each region; the accuracy of classifiers that see only the
    voxels of a mean map; and how far the folds' mean maps agree. The voxels of an image that a fold's
    classifier sees are those of the mean map over the images of *other* subjects in the same fold, each class
    counting the same (`mean_of_others`). So the image's own map, made for its class, cannot give its label
    away, and the network that made the maps and judges the image has trained on none of these images.

    Args:
        found: The cross-validation.
        explained: Its maps, of all images or of some, by `explain_cohort`.
        out: A folder: `cohort_report.html`, `subjects/<image>.html`, and the mean maps as
            `mean_maps/<method>_<class>.nii.gz`. What in a name cannot be in a file's name is replaced. Those
            that an earlier report wrote there (`report_files.json` lists them) and this one does not write
            anew are removed; nothing else is.
        regions: A label image, or its path, in the space of the template.
        region_names: Names by label; those of labels that the image lacks have no effect.
        template: An image, or its path, whose grid the mean maps have. None takes that of the first volume as
            the network sees it, which is right where all volumes are on one grid.
        share: Share of the brain's voxels that count as highlighted.
        subjects: How many pages of subjects: the surest right answers and the surest errors.
        title: Heading of the page.
        verbose: 1 draws a progress bar.

    Returns:
        The page's path.

    Raises:
        ValueError: If the maps explain other networks than the cross-validation's, a label image or template
            does not fit, or a number is out of range.

    Example:
        What `cross_validate` and `explain_cohort` returned, or what they left in folders:

        >>> found = CrossValidation.load("run/training")  # doctest: +SKIP
        >>> explained = CohortExplanation.load("run/maps")  # doctest: +SKIP
        >>> cohort_report(found, explained, "run", subjects=2)  # doctest: +SKIP
        PosixPath('run/cohort_report.html')
    """
    folder = Path(out)
    count = checked_number(subjects, "subjects", least=0, whole=True)
    steps = keras.utils.Progbar(
        len(explained.methods) + count + 1, verbose=verbose, unit_name="part"
    )
    data = ReportData(found, explained, folder, template)
    with own_files(folder, data.written):
        parts = [*_accuracy(found), *_size(found)]
        steps.add(1)
        parts += subject_parts(data, count, steps)
        told = list(verdicts(found))
        for method in explained.methods:
            of_method = MethodParts(data, method, regions, region_names, share)
            parts += of_method.parts()
            told += of_method.verdicts
            steps.add(1)
        text = page(title, parts, settings=_told(found, explained), verdict="\n".join(told))
        return write_text(folder / PAGE, text)


def _told(found: CrossValidation, explained: CohortExplanation) -> str:
    """The line below the heading."""
    return (
        f"{counted(len(found.predictions), 'image')} of "
        f"{counted(found.predictions['subject'].nunique(), 'subject')}, "
        f"{len(found.classes)} classes, {counted(len(found.table), 'fold')}; {_SCALED[found.scaling]}; "
        f"{counted(len(explained), 'image')} explained by {', '.join(explained.methods)}, each "
        "by the network that has not seen it"
    )


def verdicts(found: CrossValidation) -> Iterator[str]:
    """What was found, a sentence each."""
    yield (
        f"{found} These are {_counted(found)}. Always saying the most frequent class would give "
        f"{_most_frequent(found):.3f}."
    )
    if not found.sizes_known:
        return
    followed = found.size_correlation
    if np.isnan(followed):
        yield (
            "Whether the decision follows the brain's size within classes cannot be told: that takes two "
            "images of a class in a fold, of different size."
        )
    elif abs(followed) >= _SIZE_DECIDES and found.scaling is not None:
        yield (
            f"Within classes the decision still follows the brain's size (correlation {followed:+.2f}) "
            f"{_STILL[found.scaling]}: something that goes with size is left, such as resolution or field "
            "of view."
        )
    elif abs(followed) >= _SIZE_DECIDES:
        yield (
            f"Within classes the decision follows the brain's size (correlation {followed:+.2f}): maps "
            "of a classifier that decides by size point to edges. Train with optimal scaling."
        )
    else:
        yield (
            "Within classes the decision hardly follows the brain's size (correlation "
            f"{followed:+.2f})."
        )


def _most_frequent(found: CrossValidation) -> float:
    """The share of the class that most images have."""
    return float(found.predictions["label"].value_counts(normalize=True).max())


def _accuracy(found: CrossValidation) -> Iterator[str]:
    """The folds, and what is found of each class."""
    scores = found.table.rename(columns={"validation_accuracy": "score"})
    figure = plotting.score_points(
        scores.assign(name="held-out images"), chance=_most_frequent(found), percent=True
    )
    yield "<h2>Accuracy</h2>"
    yield page_figure(figure, f"Accuracy on {_counted(found)}, one point a fold")
    folds = found.table.set_index("fold").rename(columns=_HEADINGS)
    yield page_table(folds.round(3), f"Accuracy of each fold, {_counted(found)}")
    yield page_table(
        _sensitivity(found), "Held-out images of each class that are told as that class"
    )


def _counted(found: CrossValidation) -> str:
    """How many images are judged, of how many subjects."""
    subjects = counted(found.predictions["subject"].nunique(), "subject")
    return f"{counted(len(found.predictions), 'held-out image')} of {subjects}"


def _sensitivity(found: CrossValidation) -> pd.DataFrame:
    """The recall of each class, over all folds."""
    given = found.predictions
    right = given["label"] == given["predicted"]
    groups = given.assign(right=right).groupby(given["label"].map(found.classes.index))
    table = pd.DataFrame(
        {
            "images": groups.size(),
            "subjects": groups["subject"].nunique(),
            "sensitivity": groups["right"].mean().round(3),
        }
    )
    return table.rename(index=lambda code: str(found.classes[code])).rename_axis("class")


def _size(found: CrossValidation) -> Iterator[str]:
    """Whether the brain's size tells the class."""
    if not found.sizes_known:
        return
    given = found.predictions
    codes = np.array([found.classes.index(label) for label in given["label"]])
    volumes = given["brain_volume"].to_numpy()
    told = size_predictability(
        volumes, codes, groups=given["subject"].to_numpy(), folds=len(found.table)
    )
    stages = {f"as scanned; size alone tells the class with an AUC of {told.auc:.2f}": volumes}
    if found.scaling is not None:
        seen = volumes * given["scale"].to_numpy() ** 3
        kept = "" if found.scaling == "reference" else ": their sizes are kept"
        stages[f"as the networks saw the held-out images{kept}"] = seen
    names = [str(label) for label in found.classes]
    figure = plotting.size_distributions(stages, codes, class_names=names)
    yield "<h2>Brain size</h2>"
    yield page_figure(figure, "Distribution of brain volumes in each class")
    yield page_note(
        "A classifier can learn size wherever size tells the class (AUC far from 0.5). "
        + _SIZE_NOTES[found.scaling]
    )
