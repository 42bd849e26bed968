"""The figures of an experiment.

The one place below the command line that draws: a result shows itself, and plotting depends on nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .... import plotting
from ....intervention import InterventionPlan
from ....intervention.edited_data import EditedData
from ....plotting.style import new_figure, short
from .tables import groups_first

if TYPE_CHECKING:
    from ..result import ExperimentResult
    from ..seed_run import SeedRun

_WIDTH = 4.9  # inches of a chart, of which two stand side by side, and one fills a phone
_MANY = 12  # classes, above which bars are thin
_COLUMNS = 8  # images in a row, and letters that their captions may have together to be read
_LETTERS = 170


def maps_figure(result: ExperimentResult, run: SeedRun) -> Figure:
    """The paper's figure 3, and the held-out map before and as the plan asks for it."""
    maps = _maps(result, run)
    if (
        run.test_targets is not None and run.test_moved is not None
    ):  # with it there are two full rows
        titles = [*maps.panels]
        maps.panels["Asked (test)"] = run.test_targets
        maps.labels["Asked (test)"] = result.labels
        maps.came_from["Asked (test)"] = run.test_maps["baseline"], run.test_moved
        titles.insert(2, "Asked (test)")
        maps = replace(maps, panels={title: maps.panels[title] for title in titles})
    return plotting.embedding_comparison(
        maps.panels,
        maps.labels,
        columns=3,
        class_names=class_names(result),
        came_from=maps.came_from,
        signs=maps.signs,
    )


def scores_figure(result: ExperimentResult, metric: str = "f1") -> Figure:
    """Bars of one score for each group and class."""
    summary = groups_first(result.summary())
    table = summary[summary["metric"] == metric].rename(columns={"name": "class"})
    table = table.assign(low=table["low"].clip(lower=0), high=table["high"].clip(upper=1))
    rows = table["class"].nunique()
    each = 0.76 if rows <= _MANY + 2 else 0.5
    ax = new_figure(_WIDTH, each * rows + 0.9).add_subplot()
    return plotting.class_scores(table, metric=metric, emphasise=moved_names(result), ax=ax)


def differences_figure(result: ExperimentResult, metric: str = "f1") -> Figure:
    """Each seed's difference between PLI and control."""
    table = groups_first(result.differences(metric))
    rows = table["name"].nunique()
    ax = new_figure(_WIDTH, (0.42 if rows <= _MANY + 2 else 0.36) * rows + 1.0).add_subplot()
    marked = [name for name in moved_names(result) if name in set(table.dropna()["name"])]
    return plotting.paired_differences(table, emphasise=marked, ax=ax)


def arrows_figure(result: ExperimentResult, run: SeedRun) -> Figure:
    """Where PLI took the held-out samples, and where the plan asked them to go."""
    return plotting.displacement_arrows(
        run.test_maps["baseline"],
        run.test_maps["PLI"],
        result.labels,
        moved=run.test_moved,
        target=run.test_targets,
        class_names=class_names(result),
        title="From the baseline to PLI (test)",
        width=_WIDTH,
        legend=False,
    )


def changes_figure(
    result: ExperimentResult, run: SeedRun, images: ArrayLike, gained: bool
) -> Figure:
    """Samples that PLI gets right and the control wrong, or the other way round."""
    changed = result.changed(run.seed)
    rows = changed[changed["gained"] == gained].head(2 * _COLUMNS)
    wrong = "control" if gained else "PLI"
    captions = [
        f"{short(label)}\n({wrong}: {short(said)})"
        for label, said in zip(rows["label"], rows[wrong], strict=True)
    ]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    columns = max(1, min(_COLUMNS, _LETTERS // longest))
    chosen = np.asarray(images)[rows["index"].to_numpy()][: 2 * columns]
    return plotting.image_strip(chosen, captions[: 2 * columns], columns=columns)


def map_figures(result: ExperimentResult, run: SeedRun) -> dict[str, Figure]:
    """Maps of a seed by title, a figure each; none where they cannot be drawn."""
    if not drawn(run):
        return {}
    maps = _maps(result, run)
    return plotting.embedding_panels(
        maps.panels,
        maps.labels,
        class_names=class_names(result),
        came_from=maps.came_from,
        signs=maps.signs,
    )


def drawn(run: SeedRun) -> bool:
    """Whether a seed has maps that can be drawn."""
    return bool(run.test_maps) and run.test_maps["baseline"].shape[1] in (2, 3)


@dataclass(frozen=True)
class _Maps:
    """Maps by title, with what is drawn on each."""

    panels: dict[str, Any]
    labels: dict[str, Any]
    came_from: dict[str, tuple[Any, Any]]
    signs: dict[str, Mapping[str, Any]]


def _maps(result: ExperimentResult, run: SeedRun) -> _Maps:
    train = {"Before (train)": run.train_map, "Edited (train)": run.train_targets}
    train = {title: positions for title, positions in train.items() if positions is not None}
    test = {
        "Baseline (test)": run.test_maps["baseline"],
        "Control (test)": run.test_maps["control"],
        "PLI (test)": run.test_maps["PLI"],
    }
    labels = dict.fromkeys(train, result.train_labels) | dict.fromkeys(test, result.labels)
    came_from: dict[str, tuple[Any, Any]] = {}
    signs: dict[str, Mapping[str, Any]] = {}
    if "Edited (train)" in train:
        came_from["Edited (train)"] = run.train_map, run.train_moved
    if (edited := edited_data(result, run)) is not None and train:
        last = list(train)[-1]
        labels[last], signs[last] = edited.labels, edited.masks
    return _Maps({**train, **test}, labels, came_from, signs)


def edited_data(result: ExperimentResult, run: SeedRun) -> EditedData | None:
    """What a seed's plan makes of the training data; None where it cannot be told from what was stored."""
    if run.plan_json is None:
        return None
    plan = InterventionPlan.from_json(run.plan_json)
    if not plan.data_changes or (plan.needs_map and run.train_map is None):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class that is left out, which the training told
        return plan.edited_data(result.train_labels, run.train_map, classes=len(result._classes()))


def moved_names(result: ExperimentResult) -> list[str]:
    """The classes that moved, by name, where not all did."""
    moved = [result.name_of(label) for label in result.moved_classes]
    return moved if len(moved) < len(result._classes()) else []


def class_names(result: ExperimentResult) -> Any:
    """Names of the classes as figures take them."""
    return None if result.class_names is None else list(result.class_names)
