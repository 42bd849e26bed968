"""The self-contained page of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ....brief import counted
from ....intervals import mean_interval
from ....intervention import InterventionPlan
from ....intervention.naming import named
from ....plotting.page import (
    page,
    page_changes,
    page_code,
    page_details,
    page_facts,
    page_figure,
    page_key,
    page_list,
    page_note,
    page_panels,
    page_table,
)
from ....plotting.style import class_styles
from ..provenance import checksums, page_date, versions
from ..seed_run import ARMS, RUNS
from ..subgroups import WORST
from .figures import (
    arrows_figure,
    changes_figure,
    class_names,
    differences_figure,
    edited_data,
    map_figures,
    scores_figure,
)
from .tables import accuracies, baseline_note, caption, decimals, edited_table, f1_table, with_half

if TYPE_CHECKING:
    from ..result import ExperimentResult
    from ..seed_run import SeedRun

EMBEDDING_NOTE = (
    "Held-out samples, through the baseline's embedder. achieved: share of the asked displacement; missed: "
    "distance left to the targets, in units of the displacement asked; drift: of the points not asked to "
    "move, in units of the map's spread; separation: change in the silhouette of the classes."
)
CONTROL_NOTE = (
    "The control trained for as long, from the same weights and on the same batches, without the "
    "intervention."
)
DATA_CONTROL_NOTE = (
    "The control trained for as many steps, from the same weights, on the data as they were, without the "
    "intervention."
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
    figures = map_figures(result, run)
    parts = [
        "<h2>What to try next</h2>",
        page_list(result.advice()),
        *_plan(result, run, figures),
        *_held_out_maps(result, run, figures),
        *_embedding_response(result),
        *(_subgroups(result) if result.subgroups is not None else ()),
        *_performance_response(result),
        *(_subgroups(result) if result.subgroups is None else ()),
        *_changed_samples(result, run, images),
        *_provenance(result, run),
    ]
    title = "Projective latent intervention"
    settings = f"{_settings(result)} {page_date()}."
    return page(title, parts, settings=settings, verdict=result._findings(), answer=result.answer())


def _plan(result: ExperimentResult, run: SeedRun, figures: Mapping[str, Figure]) -> list[str]:
    parts = [f"<h2>The plan, seed {run.seed}</h2>", _plan_in_words(result, run)]
    if run.test_maps and not figures:
        components = run.test_maps["baseline"].shape[1]
        parts.append(page_note(f"Maps of {counted(components, 'component')} are not drawn."))
    if figures:
        parts += [_panels(figures, _of_train), _key(result)]
    edited = edited_data(result, run)
    if edited is not None and any(mask.any() for mask in edited.masks.values()):
        parts += [
            "<h3>What it changes in the training data</h3>",
            page_table(
                edited_table(result, edited),
                "training samples of the classes that are touched; others are as they were",
            ),
        ]
    return parts


def _plan_in_words(result: ExperimentResult, run: SeedRun) -> str:
    if run.plan_json is None:
        return page_code(run.plan)
    changes = [
        named(change, result.class_names)
        for change in InterventionPlan.from_json(run.plan_json).changes
    ]
    return page_changes(
        (str(change), f"because: {change.reason}" if change.reason else None) for change in changes
    )


def _held_out_maps(
    result: ExperimentResult, run: SeedRun, figures: Mapping[str, Figure]
) -> list[str]:
    if not figures:
        return []
    parts = [
        f"<h2>What became of the held-out samples, seed {run.seed}</h2>",
        page_note(
            "All maps are drawn by the baseline's embedder, to one scale, and show samples that no training "
            "has seen."
        ),
        _panels(figures, lambda title: not _of_train(title)),
        _key(result),
    ]
    if run.test_targets is not None and run.test_targets.shape[1] == 2:
        arrows = arrows_figure(result, run)
        parts.append(page_figure(arrows, "Displacement of the held-out samples"))
    return parts


def _panels(figures: Mapping[str, Figure], shown: Callable[[str], bool]) -> str:
    return page_panels({f"Map: {name}": figure for name, figure in figures.items() if shown(name)})


def _key(result: ExperimentResult) -> str:
    every = np.concatenate([result.train_labels, result.labels])
    return page_key(class_styles(every, class_names(result)).values())


def _of_train(title: str) -> bool:
    return title.endswith("(train)")


def _embedding_response(result: ExperimentResult) -> list[str]:
    response = result.response()
    if not result._moves:
        return []
    parts = ["<h2>Embedding response</h2>", page_note(EMBEDDING_NOTE)]
    if response.empty:
        return [*parts, page_note("There is none: see above.")]
    each = response.set_index(["seed", "run"]).map(decimals)
    if len(result.runs) < 2:
        return [*parts, page_table(each.droplevel("seed").rename_axis(None))]
    means = {
        arm: {
            name: with_half(mean_interval(part[name]))
            for name in response.columns.drop(["seed", "run"])
        }
        for arm, part in response.groupby("run")
    }
    table = pd.DataFrame(means).T.reindex(list(ARMS))
    return [
        *parts,
        page_table(table, caption(result)),
        page_details("Each seed", [page_table(each)]),
    ]


def _performance_response(result: ExperimentResult) -> list[str]:
    charts = {"F1 of each group and class": scores_figure(result)}
    if len(result.runs) > 1:
        charts["Paired differences in F1 between PLI and control"] = differences_figure(result)
    control = DATA_CONTROL_NOTE if result.edits_data else CONTROL_NOTE
    return [
        "<h2>Performance response</h2>",
        page_note(f"Held-out samples. {control} {baseline_note(result)}{accuracies(result)}"),
        page_table(f1_table(result), f"F1, {caption(result)}"),
        page_panels(charts),
        page_details("Precision, recall and F1", [page_table(result.table())]),
    ]


def _subgroups(result: ExperimentResult) -> list[str]:
    effects = result.subgroup_effects()
    if effects.empty:
        return []
    scores = result.subgroup_scores()
    means = scores.groupby(["group", "run"], sort=False)[["accuracy", "support"]].mean()
    ends = effects[["mean", "low", "high"]].itertuples(index=False)
    table = pd.DataFrame(
        {"PLI \N{MINUS SIGN} control": [with_half(each, sign="+") for each in ends]},
        index=pd.Index(effects["group"], name="group"),
    )
    for run in RUNS:
        table[run] = [f"{means.loc[(group, run), 'accuracy']:.3f}" for group in effects["group"]]
    # Which group is the worst may change from run to run, and with it its size.
    table["samples"] = [
        "" if group == WORST else f"{means.loc[(group, 'PLI'), 'support']:.0f}"
        for group in effects["group"]
    ]
    groups = (
        "as given"
        if result.subgroups is not None
        else "those that the plan selects, and the others"
    )
    return [
        "<h2>Groups of samples</h2>",
        page_note(f"Accuracy on groups of held-out samples: {groups}."),
        page_table(table, caption(result)),
    ]


def _changed_samples(result: ExperimentResult, run: SeedRun, images: ArrayLike | None) -> list[str]:
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


def _provenance(result: ExperimentResult, run: SeedRun) -> list[str]:
    facts = {
        "page made": page_date(),
        "with": versions(),
        "seeds": ", ".join(map(str, result.seeds)),
        "settings": ", ".join(f"{name} = {value}" for name, value in result.about.items()),
    }
    made_by = result.identity.get("keras_pli")
    if made_by is not None:
        facts["experiment made by"] = f"keras_pli {made_by}"
    if any(run.edited.values()):
        facts["training samples"] = ", ".join(f"{n} {what}" for what, n in run.edited.items() if n)
    facts |= {f"checksum of {name}": text for name, text in checksums(result).items()}
    parts = ["<h2>How this was made</h2>", page_facts(facts)]
    if "classifier.weights" not in result.identity and "classifier.source" not in result.identity:
        parts.append(
            page_note("Of an experiment that is kept in a folder, models and inputs are told, too.")
        )
    if run.plan_json is not None:
        parts.append(page_details(f"The plan as JSON, seed {run.seed}", [page_code(run.plan_json)]))
    return parts


def _settings(result: ExperimentResult) -> str:
    about = result.about
    scale = {"spread": "in units of the map's spread", None: "plain squared distance"}
    way = "λ = 0 as nothing moves"
    if result._moves:
        way = (
            f"λ = {_weights(result)} ({scale.get(about['scale'], about['scale'])}), "
            f"{'moved points only' if about['moved_only'] else 'all points'}"
        )
    return (
        f"{counted(len(result.runs), 'seed')}, layer {about['layer']}, {way}, {about['epochs']} epochs of "
        f"retraining; {about['train_samples']} training and {about['test_samples']} held-out samples."
    )


def _weights(result: ExperimentResult) -> str:
    """λ as it was asked for, and those that were chosen where that says no number."""
    asked = result.about["embedding_weight"]
    weights = [run.embedding_weight for run in result.runs]
    found = {weight for weight in weights if weight is not None}
    if isinstance(asked, str) and found:
        return f"{asked}: {', '.join(f'{weight:.3g}' for weight in sorted(found))}"
    return f"{asked}"
