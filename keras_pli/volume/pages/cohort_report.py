"""One page on a cohort: how well its classifier does, whether size decides, where its maps point."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ... import plotting
from ...brief import counted
from ...checks import checked_number
from ...files import write_text
from ...optional import imported
from ...plotting.page import page, page_figure, page_note, page_table
from ..explaining.cohort_maps import mean_map, region_table
from ..explaining.explanation import CohortExplanation
from ..explaining.map_measures import fold_stability
from ..explaining.masked_inputs import masked_input_accuracy
from ..training.cross_validation import CrossValidation
from ..training.optimal_scaling import size_predictability
from .subject_page import subject_page

PAGE = "cohort_report.html"
_SIZE_DECIDES = 0.3  # a correlation with the brain's size that a reader must hear of


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
    voxels of the mean map; and how far the folds' mean maps agree. The voxels that a fold's classifier sees
    are those of the mean map over the images of *other* folds, which cannot give an image's label away.

    Args:
        found: The cross-validation.
        explained: Its maps, of all images or of some, by `explain_cohort`.
        out: A folder: `cohort_report.html`, `subjects/<image>.html`, and the mean maps as
            `mean_maps/<method>_<class>.nii.gz`.
        regions: A label image, or its path, in the space of the template.
        region_names: Names by label.
        template: An image, or its path, whose grid the mean maps have. None takes that of the first volume as
            the network sees it, which is right where all volumes are on one grid.
        share: Share of the brain's voxels that count as highlighted.
        subjects: How many pages of subjects: the surest right answers and the surest errors.
        title: Heading of the page.
        verbose: 1 draws a progress bar.

    Returns:
        The page's path.

    Raises:
        ValueError: If a label image or template does not fit, or a number is out of range.

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
    report = _Report(found, explained, folder, regions, region_names, template, share)
    parts = [*report.accuracy(), *report.size()]
    steps.add(1)
    for method in explained.methods:
        parts += report.method(method)
        steps.add(1)
    parts += report.subjects(count, steps)
    text = page(title, parts, settings=report.told(), verdict="\n".join(report.verdicts()))
    return write_text(folder / PAGE, text)


@dataclass(frozen=True, eq=False)
class _Report:
    found: CrossValidation
    explained: CohortExplanation
    folder: Path
    regions: Any
    region_names: Mapping[int, str] | None
    template: Any
    share: float

    def told(self) -> str:
        """The line below the heading."""
        return (
            f"{counted(len(self.found.predictions), 'image')} of "
            f"{counted(self.found.predictions['subject'].nunique(), 'subject')}, "
            f"{len(self.found.classes)} classes, {counted(len(self.found.table), 'fold')}; "
            f"{counted(len(self.explained), 'image')} explained by {', '.join(self.explained.methods)}, each "
            "by the network that has not seen it"
        )

    def verdicts(self) -> Iterator[str]:
        """What was found, a sentence each."""
        most = self.found.predictions["label"].value_counts(normalize=True).max()
        yield f"{self.found} Always saying the most frequent class would give {most:.3f}."
        if not self.found.sizes_known:
            return
        followed = self.found.size_correlation
        if abs(followed) >= _SIZE_DECIDES:
            yield (
                f"Within classes the decision follows the brain's size (correlation {followed:+.2f}): maps "
                "of a classifier that decides by size point to edges. Train with optimal scaling."
            )
        else:
            yield (
                "Within classes the decision hardly follows the brain's size (correlation "
                f"{followed:+.2f})."
            )

    def accuracy(self) -> Iterator[str]:
        """The folds."""
        most = float(self.found.predictions["label"].value_counts(normalize=True).max())
        scores = self.found.table.rename(columns={"validation_accuracy": "score"})
        figure = plotting.score_points(
            scores.assign(name="held-out subjects"), chance=most, percent=True
        )
        yield "<h2>Accuracy</h2>"
        yield page_figure(figure, "Accuracy on held-out subjects, one point a fold")
        yield page_table(self.found.table.set_index("fold").round(3))

    def size(self) -> Iterator[str]:
        """Whether the brain's size tells the class."""
        if not self.found.sizes_known:
            return
        given = self.found.predictions
        codes = np.array([self.found.classes.index(label) for label in given["label"]])
        volumes = given["brain_volume"].to_numpy()
        told = size_predictability(
            volumes, codes, groups=given["subject"].to_numpy(), folds=len(self.found.table)
        )
        figure = plotting.size_distributions(
            {f"as scanned; size alone tells the class with an AUC of {told.auc:.2f}": volumes},
            codes,
            class_names=[str(label) for label in self.found.classes],
        )
        yield "<h2>Brain size</h2>"
        yield page_figure(figure, "Distribution of brain volumes in each class")
        yield page_note(
            "A classifier can learn size wherever size tells the class (AUC far from 0.5). Optimal scaling "
            "matches the distributions in training."
        )

    def method(self, method: str) -> Iterator[str]:
        """Mean maps, regions and masked inputs of one method."""
        yield f"<h2>{escape(method)}</h2>"
        maps, affines = self.explained.maps(method), self._affines
        labels = self.explained.table["explained"].to_numpy(object)
        background = mean_map(self._shown, affines, self._goal)
        brain = self._mean_brain
        means = {}
        for label in self.found.classes:
            chosen = labels == label
            if not chosen.any():
                continue
            means[label] = mean_map(maps[chosen], affines[chosen], self._goal, scaling="share")
            self._keep(means[label], method, label)
            figure = plotting.volume_mosaic(
                background.get_fdata(),
                np.where(brain, means[label].get_fdata(), 0),
                affine=background.affine,
                slices=15,
                title=f"mean map of class {label}, {counted(int(chosen.sum()), 'image')}",
            )
            yield page_figure(figure, f"Mean {method} map of class {label}")
        if self._stripped:
            yield page_note(
                "Drawn within the brain; what a coarse map has outside is in the files, and with regions in "
                "the table."
            )
        if self.regions is not None:
            yield from self._regions(method, means)
        yield from self._masked(maps)

    def subjects(self, count: int, steps: Any) -> Iterator[str]:
        """Pages of the surest right answers and the surest errors, and links to them."""
        if not count:
            return
        links = []
        for position in self._chosen(count):
            links.append(self._subject(position))
            steps.add(1)
        yield "<h2>Subjects</h2>"
        yield page_note(
            "The surest right answers and the surest errors; each page works by itself."
        )
        yield f"<ul>{''.join(links)}</ul>"

    @cached_property
    def _volumes(self) -> NDArray[np.float32]:
        return self.explained.volumes

    @cached_property
    def _brains(self) -> NDArray[np.bool_] | None:
        return self.explained.brains

    @cached_property
    def _affines(self) -> NDArray[np.float64]:
        return self.explained.affines

    @property
    def _goal(self) -> Any:
        """The image whose grid the mean maps have."""
        if self.template is not None:
            return self.template
        nibabel = imported("nibabel", "A mean map")
        return nibabel.Nifti1Image(self._volumes[0], self._affines[0])

    @cached_property
    def _shown(self) -> NDArray[np.float32]:
        """The volumes, dark outside of the brain: where it is stripped, 0 is a medium grey of the brain."""
        brains = self._brains
        if brains is None or not self._stripped:
            return self._volumes
        darkest = np.where(brains, self._volumes, np.inf).min(axis=(1, 2, 3), keepdims=True)
        return np.where(brains, self._volumes, darkest).astype(np.float32)

    @property
    def _stripped(self) -> bool:
        return self.found.preprocessing.skull_stripping != "none"

    @cached_property
    def _mean_brain(self) -> Any:
        """Where most brains are on the template's grid; everywhere where skulls were left."""
        if self._brains is None or not self._stripped:
            return True
        return mean_map(self._brains, self._affines, self._goal).get_fdata() > 0.5

    def _keep(self, image: Any, method: str, label: Any) -> None:
        target = self.folder / "mean_maps" / f"{method}_{label}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        image.to_filename(target)

    def _regions(self, method: str, means: Mapping[Any, Any]) -> Iterator[str]:
        """What maps hold in each region: of each image where all are on one grid, else of the means."""
        affine = self._affines[0]
        if np.allclose(self._affines, affine, atol=1e-3):
            maps, classes = self.explained.maps(method), self.explained.table["explained"].tolist()
            brain = self._brains
        else:
            maps = np.stack([image.get_fdata() for image in means.values()])
            classes, affine, brain = list(means), next(iter(means.values())).affine, None
        names = [str(label) for label in classes]
        table = region_table(
            maps, self.regions, self.region_names, classes=names, affine=affine, brain=brain
        )
        figure = plotting.region_bars(
            table[["class", "region", "enrichment"]].dropna().assign(chance=1.0),
            group="class",
            value="enrichment",
            chance="chance",
            label="share of the attribution over share of the voxels",
        )
        yield "<h3>Regions</h3>"
        yield page_figure(figure, "Attribution of each region, as a multiple of chance")
        shown = table.pivot_table(
            index="region", columns="class", values=["share", "enrichment"], sort=False
        )
        yield page_table(shown.round(3))

    def _masked(self, maps: NDArray[np.float32]) -> Iterator[str]:
        """What the classifiers find in the voxels that the mean map of other folds highlights."""
        folds = self.found.predictions["fold"].to_numpy()[self.explained.table["row"]]
        brains, volumes = self._brains, self._volumes[..., np.newaxis]
        classes = list(self.found.classes)
        codes = np.array([classes.index(label) for label in self.explained.table["label"]])
        tables: list[pd.DataFrame] = []
        means: dict[object, NDArray[np.float32]] = {}
        for fold in np.unique(folds):
            inside, outside = folds == fold, folds != fold
            means[int(fold)] = maps[inside].mean(axis=0)
            if not outside.any():
                continue
            table = masked_input_accuracy(
                self.found.models[int(fold)],
                volumes[inside],
                codes[inside],
                maps[outside].mean(axis=0),
                share=self.share,
                within=None if brains is None else brains[inside],
            )
            tables.append(table.assign(images=int(inside.sum())))
        if tables:
            yield "<h3>Seeing a part only</h3>"
            yield page_table(_pooled(tables).round(3))
            yield page_note(
                "Accuracy where everything but the named part is filled with 0. The map's part is the "
                f"strongest {100 * self.share:.0f} % of the brain in the mean map over other folds' images."
            )
        if len(means) > 1:
            within = None if brains is None else brains.all(axis=0)
            yield "<h3>Agreement of the folds' mean maps</h3>"
            yield page_table(fold_stability(means, within, share=self.share).round(3))

    def _chosen(self, count: int) -> Sequence[int]:
        table = self.explained.table
        rows = table["row"].to_numpy()
        p = self.found.predictions[[f"p_{name}" for name in self.found.classes]].to_numpy()[rows]
        sure = p.max(axis=1)
        right = (table["label"] == table["predicted"]).to_numpy()
        errors = np.flatnonzero(~right)[np.argsort(-sure[~right])][: count // 2]
        surest = np.flatnonzero(right)[np.argsort(-sure[right])][: count - len(errors)]
        return [int(i) for i in (*surest, *errors)]

    def _subject(self, position: int) -> str:
        row = self.explained.table.iloc[position]
        brains = self._brains
        p = self.found.predictions.iloc[int(row["row"])]
        name = str(row["name"])
        subject_page(
            self.folder / "subjects" / f"{name}.html",
            self._shown[position],
            {method: self.explained.maps(method)[position] for method in self.explained.methods},
            affine=self._affines[position],
            title=f"Subject {row['subject']}",
            prediction=str(row["predicted"]),
            truth=str(row["label"]),
            probabilities={str(name): float(p[f"p_{name}"]) for name in self.found.classes},
            verdicts=f"Maps explain class {row['explained']}, by a network that has not seen this subject.",
            outlines=None if brains is None else {"brain": brains[position]},
        )
        verdict = "right" if row["label"] == row["predicted"] else "wrong"
        return (
            f'<li><a href="subjects/{escape(name)}.html">{escape(name)}</a>: {escape(str(row["label"]))}, '
            f"predicted {escape(str(row['predicted']))} ({verdict})</li>"
        )


def _pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The folds' accuracies, weighed by their images."""
    weights = np.array([table["images"].iloc[0] for table in tables], float)
    columns = ["accuracy", "seen"]
    total = sum(table[columns] * weight for table, weight in zip(tables, weights, strict=True))
    return pd.DataFrame(total / weights.sum())
