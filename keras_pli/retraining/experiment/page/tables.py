"""The tables of an experiment's page, as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ....intervals import mean_interval
from ....intervention.data_changes import UNLABELLED
from ....intervention.edited_data import EditedData
from ..seed_run import RUNS

if TYPE_CHECKING:
    from ..result import ExperimentResult


def edited_table(result: ExperimentResult, edited: EditedData) -> pd.DataFrame:
    """What a plan does to the training samples of each class that it touches."""
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


def f1_table(result: ExperimentResult) -> pd.DataFrame:
    """F1 of each group and class: the difference first, then the runs."""
    summary = groups_first(result.summary())
    summary = summary[summary["metric"] == "f1"]
    texts = [with_half(each) for each in summary[["mean", "low", "high"]].itertuples(index=False)]
    table = summary.assign(text=texts).pivot(index="name", columns="run", values="text")
    names = list(dict.fromkeys(summary["name"]))
    table = table.reindex(index=names, columns=list(RUNS))
    effects = result.effects("f1").set_index("name").reindex(names)
    ends = effects[["mean", "low", "high"]].itertuples(index=False)
    changes = [with_half(each, sign="+") for each in ends]
    table.insert(0, "PLI \N{MINUS SIGN} control", changes)
    if len(result.runs) > 1:
        table["seeds better"] = [f"{wins} of {len(result.runs)}" for wins in effects["wins"]]
    return table.rename_axis(index="class", columns=None)


def accuracies(result: ExperimentResult) -> str:
    """Accuracy of the runs, in a sentence."""
    values = {
        run: np.array([np.mean(one.predicted(run) == result.labels) for one in result.runs])
        for run in RUNS
    }
    told = ", ".join(f"{run} {scores.mean():.3f}" for run, scores in values.items())
    change = with_half(mean_interval(values["PLI"] - values["control"]), sign="+")
    return f"Accuracy: {told}; PLI less control {change}."


def groups_first(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table's rows, those of groups before those of classes."""
    return table.sort_values("kind", key=lambda kind: kind != "group", kind="stable")


def caption(result: ExperimentResult) -> str:
    """What the numbers of a table are."""
    if len(result.runs) < 2:
        return "one seed"
    return f"mean of {len(result.runs)} seeds ± half the 95 % interval"


def baseline_note(result: ExperimentResult) -> str:
    """Why the baseline has no interval, where it has none."""
    outputs = [run.outputs["baseline"] for run in result.runs]
    if len(outputs) < 2 or not all(np.array_equal(outputs[0], other) for other in outputs[1:]):
        return ""
    return "The baseline is one classifier for all seeds, and so has no interval. "


def with_half(interval: Any, sign: str = "") -> str:
    """A mean with half its interval, where it has one."""
    mean, low, high = interval
    if np.isnan(mean):
        return "-"
    text = f"{round(mean, 3) + 0.0:{sign}.3f}"  # no negative zero
    return text if np.isnan(low) else f"{text} ± {(high - low) / 2:.3f}"


def decimals(value: float) -> str:
    """A number, or a dash where there is none."""
    return "-" if np.isnan(value) else f"{value:.3f}"
