"""The parts of a report on one method: mean maps, regions, what is found in the voxels highlighted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ... import plotting
from ...brief import counted
from ...optional import imported
from ...plotting.page import page_figure, page_note, page_table
from ..explaining.cohort_maps import OUTSIDE, mean_map, region_table
from ..explaining.file_names import file_names
from ..explaining.map_measures import fold_stability
from ..explaining.masked_inputs import masked_input_accuracy
from ..explaining.mean_of_others import mean_of_others
from .report_data import ReportData

_AGREE = 0.3  # a rank correlation of mean maps below which folds do not agree


@dataclass(frozen=True, eq=False)
class MethodParts:
    """Writes what a report says of one method.

    Args:
        data: The cross-validation and its maps.
        method: The method's name.
        regions: A label image, or None.
        region_names: Names by label.
        share: Share of the brain's voxels that count as highlighted.
        verdicts: Gets what the parts find, a sentence each.
    """

    data: ReportData
    method: str
    regions: Any
    region_names: Mapping[int, str] | None
    share: float
    verdicts: list[str] = field(default_factory=list)

    def parts(self) -> Iterator[str]:
        """The parts of the page, in HTML."""
        yield f"<h2>{escape(self.method)}</h2>"
        maps = self.data.explained.maps(self.method)
        means = self._means(maps)
        for label, mean in means.items():
            yield self._mosaic(label, mean)
        if self.data.stripped:
            yield page_note(
                "Drawn within the brain; what a coarse map has outside is in the files, and with regions in "
                "the table."
            )
        if self.regions is not None:
            yield from self._regions(maps)
        yield from self.masked(maps)
        yield from self.agreement(maps)

    def _labels(self, column: str) -> NDArray[Any]:
        return self.data.explained.table[column].to_numpy(object)

    @property
    def _folds(self) -> NDArray[np.int64]:
        rows = self.data.explained.table["row"].to_numpy()
        return self.data.found.predictions["fold"].to_numpy()[rows]

    def _means(self, maps: NDArray[np.float32]) -> dict[Any, Any]:
        """The mean map of each class that is explained, which is kept as a file."""
        data, labels = self.data, self._labels("explained")
        pairs = [(one, label) for one in data.explained.methods for label in data.found.classes]
        names = file_names((one, str(label)) for one, label in pairs)
        files = dict(zip(pairs, names, strict=True))
        folder = data.folder / "mean_maps"
        folder.mkdir(parents=True, exist_ok=True)
        means = {}
        for label in data.found.classes:
            chosen = labels == label
            if chosen.any():
                mean = mean_map(maps[chosen], data.affines[chosen], data.goal, scaling="share")
                file = f"{files[self.method, label]}.nii.gz"
                mean.to_filename(folder / file)
                data.written.add(f"mean_maps/{file}")
                means[label] = mean
        return means

    def _mosaic(self, label: Any, mean: Any) -> str:
        background = self.data.background
        chosen = self._labels("explained") == label
        own = int((self._labels("label")[chosen] == label).sum())
        images = counted(int(chosen.sum()), "image")
        told = f"mean map of class {label}, {images}"
        if own < chosen.sum():
            told = f"evidence for {label}, {images} (of which {own} are labelled {label})"
        figure = plotting.volume_mosaic(
            background.get_fdata(),
            np.where(self.data.mean_brain, mean.get_fdata(), 0),
            affine=background.affine,
            slices=15,
            title=told,
        )
        return page_figure(figure, f"{self.method}: {told}")

    def _regions(self, maps: NDArray[np.float32]) -> Iterator[str]:
        """What the map of each image holds in each region, on the image's own grid."""
        data, regions, affine = self.data, self.regions, self.data.affines[0]
        if not np.allclose(data.affines, affine, atol=1e-3):
            affine = data.affines
            if not isinstance(regions, str | Path) and not hasattr(regions, "affine"):
                kind = imported("nibabel", "Regions on grids of their own").Nifti1Image
                regions = kind(np.asarray(regions).astype(np.int32), data.background.affine)
        names = [str(label) for label in self._labels("explained")]
        table = region_table(
            maps, regions, self.region_names, classes=names, affine=affine, brain=data.brains
        )
        lost = table.loc[table["voxels"] == 0, "region"].unique()
        within = "" if data.brains is None else ", in the brain"
        figure = plotting.region_bars(
            table[["class", "region", "enrichment"]].dropna().assign(chance=1.0),
            group="class",
            value="enrichment",
            chance="chance",
            label=f"share of the attribution over share of the voxels{within}",
        )
        yield "<h3>Regions</h3>"
        yield page_figure(figure, "Attribution of each region, as a multiple of chance")
        yield from _outside(table)
        shown = table.pivot_table(
            index="region", columns="class", values=["share", "enrichment"], sort=False
        )
        shown.columns = [f"{value}, class {label}" for value, label in shown.columns]
        yield page_table(shown.round(3), "What the maps hold in each region, means over images")
        if len(lost):
            yield page_note(f"Without a voxel on the maps' grid, in the brain: {', '.join(lost)}.")

    def masked(self, maps: NDArray[np.float32]) -> Iterator[str]:
        """What the classifiers find in the voxels that the maps of other images of the fold highlight."""
        data, folds = self.data, self._folds
        volumes, classes = data.volumes[..., np.newaxis], list(data.found.classes)
        codes = np.array([classes.index(label) for label in self._labels("label")])
        subjects = self._labels("subject").astype(str)
        tables: list[pd.DataFrame] = []
        for fold in np.unique(folds):
            held_out = np.flatnonzero(folds == fold)
            means, known = mean_of_others(maps[held_out], codes[held_out], subjects[held_out])
            judged = held_out[known]
            if not len(judged):
                continue
            table = masked_input_accuracy(
                data.found.models[int(fold)],
                volumes[judged],
                codes[judged],
                means[known],
                share=self.share,
                within=None if data.brains is None else data.brains[judged],
            )
            tables.append(table.assign(images=len(judged)))
        yield "<h3>Seeing a part only</h3>"
        if not tables:
            yield page_note(
                "Not told: a fold needs maps of two subjects of each of its classes for the mean map of the "
                "others."
            )
            return
        place = "volume" if data.brains is None else "brain"
        count = sum(int(table["images"].iloc[0]) for table in tables)
        pooled = _pooled(tables)
        self.verdicts.append(_decides(self.method, pooled, count))
        shown = pooled.rename(
            index=_parts_of(place),
            columns={"accuracy": "held-out accuracy", "seen": "share seen"},
        )
        yield page_table(shown.round(3), "Accuracy where only a part is seen")
        yield page_note(
            f"Accuracy on {counted(count, 'image')} where everything but the named part is filled with 0. "
            f"The map's part is the strongest {100 * self.share:.0f} % of the {place} in the mean map over "
            "the images of other subjects in the same fold, each class counting the same. The network that "
            "judges an image has made these maps, and has trained on none of the images."
        )

    def agreement(self, maps: NDArray[np.float32]) -> Iterator[str]:
        """How far the folds' mean maps agree, in the voxels that most brains share."""
        folds, brains = self._folds, self.data.brains
        means: dict[object, Any] = {
            int(fold): maps[folds == fold].mean(axis=0) for fold in np.unique(folds)
        }
        if len(means) < 2:
            return
        within = None if brains is None else brains.mean(axis=0) > 0.5
        yield "<h3>Agreement of the folds' mean maps</h3>"
        if within is not None and not within.any():
            yield page_note("Not told: no voxel is in most of the brains' masks.")
            return
        found = fold_stability(means, within, share=self.share)
        alike = float(found["spearman"].mean())
        if alike < _AGREE:
            self.verdicts.append(
                f"{self.method}: the folds' mean maps do not agree (rank correlation {alike:.2f} on "
                "average): none of them alone tells what sets the classes apart."
            )
        shown = found[["spearman", "dice"]].rename(columns={"spearman": "Spearman", "dice": "Dice"})
        shown.index = pd.Index(
            [
                f"{one} and {other}"
                for one, other in zip(found["first"], found["second"], strict=True)
            ],
            name="folds",
        )
        yield page_table(
            shown.round(3),
            f"Rank correlation, and Dice of the strongest {100 * self.share:.0f} % (by chance 0 and "
            f"{self.share:.2f})",
        )


def _outside(table: pd.DataFrame) -> Iterator[str]:
    """Which share of the attribution lies outside of the brain, where brains are known."""
    outside = table[table["region"] == OUTSIDE]
    if not len(outside):
        return
    shares = ", ".join(
        f"{100 * share:.0f} % (class {label})"
        for label, share in zip(outside["class"], outside["share"], strict=True)
    )
    yield page_note(
        f"Outside the brain lies this share of the attribution: {shares}. A region's enrichment is its share "
        "of the attribution inside the brain over its share of the brain's voxels; that of the row "
        "“outside the brain” relates to the whole volume."
    )


def _parts_of(place: str) -> dict[str, str]:
    """What the parts that a classifier sees are called on the page."""
    return {
        "whole region": place,
        "map": "map's part",
        "complement": f"{place} without the map's part",
    }


def _decides(method: str, table: pd.DataFrame, images: int) -> str:
    """Whether the map's part decides, as far as the accuracies tell."""
    whole, alone, rest, random = (
        float(table["accuracy"].loc[name])
        for name in ("whole region", "map", "complement", "random region")
    )
    figures = (
        f"that part alone gives an accuracy of {alone:.2f}, random regions {random:.2f}; without it "
        f"{rest:.2f} instead of {whole:.2f}"
    )
    cost = whole - rest
    less = 0.5 / images  # than half an image is no difference
    if alone - random < less and cost < less:
        return f"{method}: the mean map does not show what decides ({figures})."
    if cost < less:
        return f"{method}: leaving the mean map's part out costs no accuracy ({figures})."
    return f"{method}: leaving the mean map's part out costs {cost:.2f} of accuracy ({figures})."


def _pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The folds' accuracies, weighed by their images."""
    weights = np.array([table["images"].iloc[0] for table in tables], float)
    columns = ["accuracy", "seen"]
    total = sum(table[columns] * weight for table, weight in zip(tables, weights, strict=True))
    return pd.DataFrame(total / weights.sum())
