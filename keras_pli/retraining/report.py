"""The self-contained page of an experiment.

The one place below the command line that draws: a result shows itself, and plotting depends on nothing.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .. import plotting
from ..plotting.page import page, page_figure, page_note, page_table

if TYPE_CHECKING:
    from .result import ExperimentResult
    from .seed_run import SeedRun

EMBEDDING_NOTE = (
    "Held-out samples, through the baseline's embedder. achieved: share of the asked displacement; missed: "
    "distance left to the targets, in units of the displacement asked; drift: of the points not asked to "
    "move, in units of the map's spread; separation: change in the silhouette of the classes."
)
PERFORMANCE_NOTE = (
    "Held-out samples, mean over seeds ± half the 95 % interval. The control trained for as long, from the "
    "same weights and on the same batches, without the intervention."
)


def html_page(
    result: ExperimentResult, *, images: ArrayLike | None = None, seed: int | None = None
) -> str:
    """Returns the page of an experiment as HTML with its figures inside.

    Args:
        result: An experiment with at least one finished seed.
        images: The held-out inputs, where they are images.
        seed: Seed whose maps are drawn.
    """
    run = result.run_of(seed)
    parts = [
        f"<h2>The plan and the maps, seed {run.seed}</h2>",
        f"<pre>{escape(run.plan)}</pre>",
        page_figure(maps_figure(result, run), "Maps before, edited, after control and after PLI"),
        "<h2>Embedding response</h2>",
        page_note(EMBEDDING_NOTE),
        page_table(_response_table(result)),
    ]
    if run.test_targets is not None and run.train_map.shape[1] == 2:
        arrows = arrows_figure(result, run)
        parts.append(page_figure(arrows, "Displacement of the held-out samples"))
    parts += [
        "<h2>Performance response</h2>",
        page_note(PERFORMANCE_NOTE),
        page_table(result.table()),
        page_figure(scores_figure(result), "F1 of each class and group"),
    ]
    if len(result.runs) > 1:
        differences = differences_figure(result)
        parts.append(page_figure(differences, "Paired differences between PLI and control"))
    parts += _changes(result, run, images)
    title = "Projective latent intervention"
    return page(title, parts, settings=_settings(result), verdict=result.verdict())


def maps_figure(result: ExperimentResult, run: SeedRun) -> Figure:
    """The paper's figure 3: training map before and edited, held-out maps after control and PLI."""
    panels = {
        "Before (train)": run.train_map,
        "Edited (train)": run.train_targets,
        "Control (test)": run.test_maps["control"],
        "PLI (test)": run.test_maps["PLI"],
    }
    labels = dict(zip(panels, [result.train_labels] * 2 + [result.labels] * 2, strict=True))
    return plotting.embedding_comparison(panels, labels, class_names=_names(result))


def scores_figure(result: ExperimentResult, metric: str = "f1") -> Figure:
    """Bars of one score for each class and group."""
    summary = result.summary()
    table = summary[summary["metric"] == metric].rename(columns={"name": "class"})
    moved = [result.name_of(label) for label in result.moved_classes]
    table = table.assign(low=table["low"].clip(lower=0), high=table["high"].clip(upper=1))
    marked = moved if len(moved) < len(result._classes()) else []
    return plotting.class_scores(table, metric=metric, emphasise=marked)


def differences_figure(result: ExperimentResult, metric: str = "f1") -> Figure:
    """Each seed's difference between PLI and control."""
    return plotting.paired_differences(result.differences(metric))


def arrows_figure(result: ExperimentResult, run: SeedRun) -> Figure:
    """Where PLI took the held-out samples, and where the plan asked them to go."""
    return plotting.displacement_arrows(
        run.test_maps["baseline"],
        run.test_maps["PLI"],
        result.labels,
        moved=run.test_moved,
        target=run.test_targets,
        class_names=_names(result),
        title="From the baseline's map to that after PLI (test)",
    )


def changes_figure(
    result: ExperimentResult, run: SeedRun, images: ArrayLike, gained: bool
) -> Figure:
    """Samples that PLI gets right and the control wrong, or the other way round."""
    changed = result.changed(run.seed)
    rows = changed[changed["gained"] == gained].head(16)
    chosen = np.asarray(images)[rows["index"].to_numpy()]
    captions = [
        f"{label}\n(control: {control})" if gained else f"{label}\n(PLI: {pli})"
        for label, control, pli in zip(rows["label"], rows["control"], rows["PLI"], strict=True)
    ]
    return plotting.image_strip(chosen, captions)


def _changes(result: ExperimentResult, run: SeedRun, images: ArrayLike | None) -> list[str]:
    changed = result.changed(run.seed)
    gained = int(changed["gained"].sum())
    lost = len(changed) - gained
    parts = [
        f"<h2>Samples that changed, seed {run.seed}</h2>",
        page_note(
            f"PLI is right and the control wrong on {gained} of {len(result.labels)} held-out samples, "
            f"and the other way round on {lost}."
        ),
    ]
    if images is None or np.ndim(images) not in (3, 4):
        return parts
    for title, number, sign in (
        ("Right with PLI alone", gained, True),
        ("Lost with PLI", lost, False),
    ):
        if number:
            figure = changes_figure(result, run, images, sign)
            parts += [f"<h3>{title}</h3>", page_figure(figure, title)]
    return parts


def _settings(result: ExperimentResult) -> str:
    about = result.about
    scale = {"spread": "in units of the map's spread", None: "plain squared distance"}
    return (
        f"{len(result.runs)} seed{'s' if len(result.runs) != 1 else ''}, layer {about['layer']}, "
        f"λ = {about['embedding_weight']} ({scale.get(about['scale'], about['scale'])}), "
        f"{'moved points only' if about['moved_only'] else 'all points'}, {about['epochs']} epochs of "
        f"retraining; {about['train_samples']} training and {about['test_samples']} held-out samples."
    )


def _response_table(result: ExperimentResult) -> pd.DataFrame:
    return result.response().set_index(["seed", "run"]).map(lambda value: f"{value:.3f}")


def _names(result: ExperimentResult) -> Any:
    return None if result.class_names is None else list(result.class_names)
