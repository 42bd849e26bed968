"""The self-contained page of an experiment.

The one place below the command line that draws: a result shows itself, and plotting depends on nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ... import plotting
from ...brief import counted
from ...intervals import mean_interval
from ...intervention import InterventionPlan
from ...intervention.data_changes import UNLABELLED
from ...intervention.edited_data import EditedData
from ...intervention.naming import named
from ...plotting.page import (
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
from ...plotting.style import class_styles, new_figure
from .provenance import checksums, page_date, versions
from .seed_run import ARMS, RUNS
from .subgroups import WORST

if TYPE_CHECKING:
    from .result import ExperimentResult
    from .seed_run import SeedRun

EMBEDDING_NOTE = (
    "Held-out samples, through the baseline's embedder. achieved: share of the asked displacement; missed: "
    "distance left to the targets, in units of the displacement asked; drift: of the points not asked to "
    "move, in units of the map's spread; separation: change in the silhouette of the classes."
)
CONTROL_NOTE = (
    "The control trained for as long, from the same weights and on the same batches, without the "
    "intervention."
)
_WIDTH = 4.9  # inches of a chart, of which two stand side by side, and one fills a phone
_MANY = 12  # classes, above which bars are thin


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
    figures = _map_figures(result, run)
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


# Figures


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
        class_names=_names(result),
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
    return plotting.class_scores(table, metric=metric, emphasise=_moved_names(result), ax=ax)


def differences_figure(result: ExperimentResult, metric: str = "f1") -> Figure:
    """Each seed's difference between PLI and control."""
    table = groups_first(result.differences(metric))
    rows = table["name"].nunique()
    ax = new_figure(_WIDTH, (0.42 if rows <= _MANY + 2 else 0.36) * rows + 1.0).add_subplot()
    marked = [name for name in _moved_names(result) if name in set(table.dropna()["name"])]
    return plotting.paired_differences(table, emphasise=marked, ax=ax)


def arrows_figure(result: ExperimentResult, run: SeedRun) -> Figure:
    """Where PLI took the held-out samples, and where the plan asked them to go."""
    return plotting.displacement_arrows(
        run.test_maps["baseline"],
        run.test_maps["PLI"],
        result.labels,
        moved=run.test_moved,
        target=run.test_targets,
        class_names=_names(result),
        title="From the baseline to PLI (test)",
        width=_WIDTH,
        legend=False,
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


# Parts of the page


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
                _edited_table(result, edited),
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
    return page_key(class_styles(every, _names(result)).values())


def _of_train(title: str) -> bool:
    return title.endswith("(train)")


def _map_figures(result: ExperimentResult, run: SeedRun) -> dict[str, Figure]:
    if not drawn(run):
        return {}
    maps = _maps(result, run)
    return plotting.embedding_panels(
        maps.panels,
        maps.labels,
        class_names=_names(result),
        came_from=maps.came_from,
        signs=maps.signs,
    )


def _embedding_response(result: ExperimentResult) -> list[str]:
    response = result.response()
    if not result._moves:
        return []
    parts = ["<h2>Embedding response</h2>", page_note(EMBEDDING_NOTE)]
    if response.empty:
        return [*parts, page_note("There is none: see above.")]
    each = response.set_index(["seed", "run"]).map(_number)
    if len(result.runs) < 2:
        return [*parts, page_table(each.droplevel("seed").rename_axis(None))]
    means = {
        arm: {
            name: _with_half(mean_interval(part[name]))
            for name in response.columns.drop(["seed", "run"])
        }
        for arm, part in response.groupby("run")
    }
    table = pd.DataFrame(means).T.reindex(list(ARMS))
    return [
        *parts,
        page_table(table, _caption(result)),
        page_details("Each seed", [page_table(each)]),
    ]


def _performance_response(result: ExperimentResult) -> list[str]:
    charts = {"F1 of each group and class": scores_figure(result)}
    if len(result.runs) > 1:
        charts["Paired differences in F1 between PLI and control"] = differences_figure(result)
    return [
        "<h2>Performance response</h2>",
        page_note(
            f"Held-out samples. {CONTROL_NOTE} {_baseline_note(result)}{_accuracies(result)}"
        ),
        page_table(_f1_table(result), f"F1, {_caption(result)}"),
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
        {"PLI \N{MINUS SIGN} control": [_with_half(each, sign="+") for each in ends]},
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
        page_table(table, _caption(result)),
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


# Tables and words


def groups_first(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table's rows, those of groups before those of classes."""
    return table.sort_values("kind", key=lambda kind: kind != "group", kind="stable")


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


def _edited_table(result: ExperimentResult, edited: EditedData) -> pd.DataFrame:
    before, after = np.asarray(result.train_labels), edited.labels
    trained = np.zeros(len(before), dtype=bool)
    trained[edited.rows] = True
    rows = {}
    for label in np.unique(np.concatenate([before, after])).tolist():
        was, now = before == label, after == label
        weights = edited.sample_weight[now & trained]
        rows["no label" if label == UNLABELLED else result.name_of(label)] = {
            "samples": was.sum(),
            "weighed": (edited.weighed & now).sum(),
            "relabelled from": (edited.relabelled & was).sum(),
            "relabelled to": (edited.relabelled & now).sum(),
            "excluded": (edited.excluded & now).sum(),
            "trained on": (now & trained).sum(),
            "mean weight": f"{weights.mean():.3g}" if len(weights) else "-",
        }
    table = pd.DataFrame(rows).T.rename_axis(index="class")
    done = table[["weighed", "relabelled from", "relabelled to", "excluded"]].astype(int)
    return table.drop(columns=done.columns[~done.any()]).loc[done.any(axis=1)]


def _f1_table(result: ExperimentResult) -> pd.DataFrame:
    summary = groups_first(result.summary())
    summary = summary[summary["metric"] == "f1"]
    texts = [_with_half(each) for each in summary[["mean", "low", "high"]].itertuples(index=False)]
    table = summary.assign(text=texts).pivot(index="name", columns="run", values="text")
    names = list(dict.fromkeys(summary["name"]))
    table = table.reindex(index=names, columns=list(RUNS))
    effects = result.effects("f1").set_index("name").reindex(names)
    ends = effects[["mean", "low", "high"]].itertuples(index=False)
    changes = [_with_half(each, sign="+") for each in ends]
    table.insert(0, "PLI \N{MINUS SIGN} control", changes)
    if len(result.runs) > 1:
        table["seeds better"] = [f"{wins} of {len(result.runs)}" for wins in effects["wins"]]
    return table.rename_axis(index="class", columns=None)


def _accuracies(result: ExperimentResult) -> str:
    values = {
        run: np.array([np.mean(one.predicted(run) == result.labels) for one in result.runs])
        for run in RUNS
    }
    told = ", ".join(f"{run} {scores.mean():.3f}" for run, scores in values.items())
    change = _with_half(mean_interval(values["PLI"] - values["control"]), sign="+")
    return f"Accuracy: {told}; PLI less control {change}."


def _caption(result: ExperimentResult) -> str:
    if len(result.runs) < 2:
        return "one seed"
    return f"mean of {len(result.runs)} seeds ± half the 95 % interval"


def _baseline_note(result: ExperimentResult) -> str:
    outputs = [run.outputs["baseline"] for run in result.runs]
    if len(outputs) < 2 or not all(np.array_equal(outputs[0], other) for other in outputs[1:]):
        return ""
    return "The baseline is one classifier for all seeds, and so has no interval. "


def _with_half(interval: Any, sign: str = "") -> str:
    """A mean with half its interval, where it has one."""
    mean, low, high = interval
    if np.isnan(mean):
        return "-"
    text = f"{round(mean, 3) + 0.0:{sign}.3f}"  # no negative zero
    return text if np.isnan(low) else f"{text} ± {(high - low) / 2:.3f}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _moved_names(result: ExperimentResult) -> list[str]:
    """The classes that moved, by name, where not all did."""
    moved = [result.name_of(label) for label in result.moved_classes]
    return moved if len(moved) < len(result._classes()) else []


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


def _names(result: ExperimentResult) -> Any:
    return None if result.class_names is None else list(result.class_names)
