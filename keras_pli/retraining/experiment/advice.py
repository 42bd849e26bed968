"""What to try next, from what an experiment found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from ...brief import counted, percent
from ...intervals import mean_interval
from ...intervention.data_changes import is_unlabelled
from ...intervention.occupancy import NEIGHBORS, Collision, Residents

if TYPE_CHECKING:
    from .result import ExperimentResult

# Below the first share of the asked way nothing can be said of the rest of it; above the second the points
# did what was asked.
LITTLE, MUCH = 0.15, 0.3
# Accuracy that is worth a sentence. A single seed changes by that much of itself.
_COST, _COST_OF_ONE = 0.005, 0.01
_NOTHING_TO_GAIN = 0.97
_UNTRAINED = 0.01
_NEXT_TO_NOTHING = 0.02  # of F1, either way
_MOST_SEEDS = 60
_MOST_COLLISIONS = 2
_BEHIND = 0.1  # how far the worst group must lie behind all samples


def advice(result: ExperimentResult) -> list[str]:
    """Returns what to try next, the most pressing first; each a sentence or two.

    Args:
        result: An experiment with at least one finished seed.
    """
    found = _Found(result)
    said = [
        *_of_the_way(found),
        *_of_the_cost(found),
        *_of_the_gain(found),
        *_of_the_noise(found),
    ]
    if said:
        return said
    if found.better:
        return [
            "Nothing stands against it: repeat it with other data and more seeds before you rely on it."
        ]
    return [
        "Nothing was gained: select other points, such as `suggest` and `propose` find, or ask for more."
    ]


class _Found:
    """The figures that advice depends on."""

    def __init__(self, result: ExperimentResult) -> None:
        self.result = result
        response = result.response()
        self.achieved = _mean(response, "PLI", "achieved")
        self.drift = {arm: _mean(response, arm, "drift") for arm in ("control", "PLI")}
        accuracy = {
            run: np.array([np.mean(one.predicted(run) == result.labels) for one in result.runs])
            for run in ("baseline", "control", "PLI")
        }
        self.accuracy = {run: float(values.mean()) for run, values in accuracy.items()}
        self.cost = mean_interval(accuracy["control"] - accuracy["PLI"])
        self.seeds = len(result.runs)
        effects = result.effects("f1")
        self.group = effects[effects["kind"] == "group"].iloc[0]
        summary = result.summary()
        of_control = summary[(summary["run"] == "control") & (summary["metric"] == "f1")]
        self.control = of_control.set_index("name")["mean"]
        self.lowest = of_control[of_control["kind"] == "class"].set_index("name")["mean"]
        self.moves = result._moves
        self.edits = result.edits_data
        subgroups = result._told_subgroups()
        self.subgroup = subgroups.iloc[0] if len(subgroups) else None

    @property
    def better(self) -> bool:
        told = self.group if self.subgroup is None else self.subgroup
        return bool(told["low"] > 0)

    @property
    def shows_none(self) -> bool:
        """Whether F1 changed by next to nothing, which takes more than an interval that holds zero."""
        return bool(
            -_NEXT_TO_NOTHING <= self.group["low"] <= 0 <= self.group["high"] <= _NEXT_TO_NOTHING
        )

    @property
    def costs(self) -> bool:
        mean, low, _ = self.cost
        return mean >= _COST_OF_ONE if self.seeds < 2 else mean >= _COST and low > 0


def _of_the_way(found: _Found) -> Iterator[str]:
    about = found.result.about
    if not found.moves:
        return
    if np.isnan(found.achieved):
        yield (
            "How far held-out points went cannot be measured: select by class or lasso, which carry over "
            "to them, rather than by index or mask."
        )
    elif found.achieved < LITTLE and not found.costs:
        weight, epochs = about.get("embedding_weight"), about.get("epochs")
        chosen = [run.embedding_weight for run in found.result.runs]
        if isinstance(weight, str):  # chosen for each seed
            known = [one for one in chosen if one is not None]
            weight = float(np.mean(known)) if known else None
        now = f" (now {weight:.3g})" if weight is not None else ""
        for_now = f" (now {epochs})" if epochs is not None else ""
        yield (
            f"Held-out points went {percent(found.achieved)} of the way, so the plan was hardly tried: raise "
            f"λ{now} or the epochs{for_now}. If the map is no smooth one yet "
            "(`ParametricTSNE.smooth`), make it one: retraining can hardly follow a faithful map."
        )
    apart = found.drift["PLI"] - found.drift["control"]
    if about.get("moved_only") and apart > 0.3:
        yield (
            f"Points not asked to move drifted by {found.drift['PLI']:.2f} of the map's spread, "
            f"{found.drift['control']:.2f} in the control: with `moved_only=False` they are held."
        )


def _of_the_cost(found: _Found) -> Iterator[str]:
    if not found.better and (met := _collisions(found.result)):
        yield (
            f"The plan moves {met}: points of two classes in one place contradict the classification. Move "
            "elsewhere; `plan.check` says what is free."
        )
    if found.costs:
        yield f"Accuracy fell by {found.cost[0]:.3f} against the control: {_cheaper(found)}"
    elif found.group["high"] < 0 and found.moves:
        yield (
            f"F1 of {found.group['name']!r} classes fell: what the plan asks for costs more than it gives. "
            "Ask for less, in distance or in λ."
        )
    elif found.group["high"] < 0:
        yield (
            f"F1 of {found.group['name']!r} classes fell: weigh by a factor nearer to 1, or relabel and "
            "exclude fewer samples."
        )


def _cheaper(found: _Found) -> str:
    if not found.moves:
        return "weigh by a factor nearer to 1, or relabel and exclude fewer samples."
    if isinstance(found.result.about.get("embedding_weight"), str):
        return (
            "λ was chosen on a small part of the training set, which tells costs roughly. Allow less by "
            "`most_cost`, or give a smaller λ."
        )
    return 'lower λ, or let `embedding_weight="auto"` choose one that costs less than you allow.'


def _of_the_gain(found: _Found) -> Iterator[str]:
    name = str(found.group["name"])
    gained = found.accuracy["control"] - found.accuracy["baseline"]
    if gained >= _UNTRAINED and gained > 2 * abs(found.cost[0]):
        yield (
            f"Training on without the intervention raised accuracy from {found.accuracy['baseline']:.3f} to "
            f"{found.accuracy['control']:.3f}: the classifier was not trained to its end. Train it first, "
            "and ask what is left."
        )
    yield from _of_the_worst_group(found)
    score = float(found.control.get(name, np.nan))
    if found.better:
        return
    if score >= _NOTHING_TO_GAIN:
        worst = found.lowest.nsmallest(2)
        named = ", ".join(f"{label} {value:.3f}" for label, value in worst.items())
        yield (
            f"There is little to gain: the control has F1 {score:.3f} on {name!r} classes already. Its "
            f"lowest are {named}."
        )
    elif found.moves and not found.edits and found.achieved >= MUCH and found.shows_none:
        yield (
            f"Held-out points went {percent(found.achieved)} of the way and F1 did not follow "
            f"({_interval(found.group)}), so their place is not what these classes lack. The same selection "
            "may be worth more as `Weigh`, `Relabel` or `Exclude`."
        )


def _of_the_worst_group(found: _Found) -> Iterator[str]:
    if found.result.subgroups is None or found.subgroup is None:
        return
    behind = found.accuracy["PLI"] - found.subgroup["PLI"]
    if behind >= _BEHIND:
        yield (
            f"The worst group of samples has accuracy {found.subgroup['PLI']:.3f}, all together "
            f"{found.accuracy['PLI']:.3f}: select the training samples of that group and `Weigh` them"
            f"{' by more' if any(run.edited.get('weighed') for run in found.result.runs) else ''}."
        )


def _of_the_noise(found: _Found) -> Iterator[str]:
    if found.seeds < 2:
        yield "Run five seeds or more: one says nothing about the noise between them."
        return
    told = found.group if found.subgroup is None else found.subgroup
    whose = "F1" if found.subgroup is None else "the accuracy of these samples"
    mean, low, high = (float(told[key]) for key in ("mean", "low", "high"))
    if not low <= 0 <= high:
        return
    if mean <= 0:
        if high > _NEXT_TO_NOTHING:
            yield (
                f"The interval of {whose}, {_interval(told)}, leaves gain and loss open: more seeds would "
                "narrow it."
            )
        return
    needed = _seeds_needed(mean, (high - low) / 2, found.seeds)
    if needed is None and high <= _NEXT_TO_NOTHING:
        return
    takes = (
        f"more than {_MOST_SEEDS} seeds" if needed is None else f"about {counted(needed, 'seed')}"
    )
    yield (
        f"To tell a difference of {mean:+.3f} in {whose} from noise takes {takes} (here {found.seeds})."
    )


def _collisions(result: ExperimentResult) -> str:
    """The classes that the first seed's plan moves into others, in words; nothing where there are none."""
    run = result.runs[0]
    if run.train_map is None or run.train_targets is None or run.train_moved is None:
        return ""
    if not run.train_moved.any() or np.count_nonzero(~is_unlabelled(result.train_labels)) < 2:
        return ""
    residents = Residents(run.train_map, result.train_labels, NEIGHBORS)
    found = residents.collisions(run.train_targets, run.train_moved)
    named = [_collision(result, one) for one in found[:_MOST_COLLISIONS]]
    more = len(found) - len(named)
    return " and ".join(named) + (f", and {counted(more, 'more collision')}" if more > 0 else "")


def _collision(result: ExperimentResult, one: Collision) -> str:
    moved, other = result.name_of(one.label), result.name_of(one.other)
    whose = f"{moved}'s share of its" if one.of_residents else "its share of the"
    return (
        f"{moved} to where {other} lives ({whose} nearest neighbours rises from {percent(one.before)} to "
        f"{percent(one.after)})"
    )


def _interval(effect: pd.Series) -> str:
    return f"{effect['low']:+.3f} to {effect['high']:+.3f}"


def _seeds_needed(mean: float, half: float, seeds: int) -> int | None:
    """How many seeds, of the same noise, have an interval that leaves out zero; None if that is many."""
    deviation = half * np.sqrt(seeds) / stats.t.ppf(0.975, df=seeds - 1)
    for count in range(seeds + 1, _MOST_SEEDS + 1):
        if stats.t.ppf(0.975, df=count - 1) * deviation / np.sqrt(count) < abs(mean):
            return count
    return None


def _mean(response: pd.DataFrame, arm: str, what: str) -> float:
    values = response.loc[response["run"] == arm, what].dropna()
    return float(values.mean()) if len(values) else float("nan")
