"""What an experiment found, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...brief import percent
from ...intervals import mean_interval
from .seed_run import ARMS

_SHOWN = 0.0005  # less is written as 0.000


def verdict(
    response: pd.DataFrame,
    effects: pd.DataFrame,
    seeds: int,
    lacking: Sequence[str] = (),
    *,
    subgroups: pd.DataFrame | None = None,
    edited: Mapping[str, int] | None = None,
    moves: bool = True,
) -> str:
    """Says what an intervention did, and whether that is more than seed noise.

    Args:
        response: The embedding response of each seed and arm.
        effects: Paired differences in F1 with their intervals, as `ExperimentResult.effects` has them.
        seeds: The number of seeds.
        lacking: Names of classes that the plan moves and of which there is no held-out sample.
        subgroups: Paired differences in the accuracy of groups of samples, those to be told.
        edited: How many training samples the plan weighed, relabelled and excluded, and how many have no
            label.
        moves: Whether the plan moves points.
    """
    lines = [_embedding_sentence(response, lacking)] if moves else []
    lines += _edited_sentence(edited or {}, moves)
    if subgroups is not None:
        for effect in subgroups.itertuples():
            lines.append(_effect_sentence(effect, seeds, _of_samples(str(effect.group))))
    for effect in effects[effects["kind"] == "group"].itertuples():
        lines.append(_effect_sentence(effect, seeds, f"F1 of {effect.name!r} classes"))
    singles = effects[effects["kind"] == "class"]
    clear = singles[(singles["low"] > 0) | (singles["high"] < 0)]
    if seeds > 1 and len(clear):
        named = ", ".join(f"{e.name} {e.mean:+.3f}" for e in clear.itertuples())
        lines.append(
            f"Single classes whose interval leaves out zero ({len(clear)} of {len(singles)}; by chance one "
            f"in twenty would): {named}."
        )
    return "\n".join(lines)


def answer(
    response: pd.DataFrame, effects: pd.DataFrame, subgroups: pd.DataFrame, seeds: int
) -> str:
    """Says in one sentence whether the intervention helped.

    Args:
        response: The embedding response of each seed and arm.
        effects: Paired differences in F1 with their intervals.
        subgroups: Those in the accuracy of the group of samples to be told; empty for the F1 of classes.
        seeds: The number of seeds.
    """
    groups = list(effects[effects["kind"] == "group"].itertuples())
    first, others = groups[0], groups[1:]
    whose = f"F1 of {_classes(first.name)}"
    if len(subgroups):
        first, others = next(subgroups.itertuples()), groups
        whose = _of_samples(str(first.group))
    if np.isnan(first.mean):
        return f"Cannot be told: {whose} has no measure, as no held-out sample is of them."
    interval = f"95 % interval {first.low:+.3f} to {first.high:+.3f}, {seeds} seeds"
    change = _changed(first.mean)
    if seeds < 2 or np.isnan(first.low):
        start = f"Not certain yet: {whose} {change} against the control, in a single seed, which may be noise"
        if abs(first.mean) < _SHOWN:
            start = f"No difference: {whose} {change} against the control, in a single seed"
    elif first.low > 0:
        price = ", at a price" if any(other.high < 0 for other in others) else ""
        start = f"Yes{price}: {whose} {change} against the matched control ({interval})"
    elif first.high < 0:
        start = f"No, it did harm: {whose} {change} against the matched control ({interval})"
    else:
        start = f"No effect shown: {whose} {change}, within seed noise ({interval})"
    losers = [other for other in others if other.high < 0 and -other.mean >= _SHOWN]
    lost = "".join(f", and {_classes(o.name)} lost {-o.mean:.3f} F1" for o in losers)
    return f"{start}{lost}{_way(response)}."


def _classes(group: str) -> str:
    """A group of classes in words; the first three are those of an experiment without groups of its own."""
    known = {
        "moved": "the classes that the plan moves",
        "other": "the other classes",
        "all": "all classes",
    }
    return known.get(group, f"{group!r} classes")


def _changed(mean: float) -> str:
    """How a figure changed; what would be written as 0.000 neither rose nor fell."""
    if abs(mean) < _SHOWN:
        return "changed by less than 0.001"
    return f"{'rose' if mean > 0 else 'fell'} by {abs(mean):.3f}"


def _way(response: pd.DataFrame) -> str:
    if response.empty or response["achieved"].isna().all():
        return ""
    gone = response.groupby("run")["achieved"].mean()
    return (
        f"; held-out points went {percent(gone['PLI'])} of the way asked for, "
        f"{percent(gone['control'])} in the control"
    )


def _embedding_sentence(response: pd.DataFrame, lacking: Sequence[str]) -> str:
    if response.empty and lacking:
        return (
            f"The plan moves {', '.join(lacking)}, of which there is no held-out sample, so its embedding "
            "response has no held-out measure."
        )
    if response.empty:
        return (
            "The plan names single training points or a region without held-out ones, so its embedding "
            "response has no held-out measure."
        )
    if response["achieved"].isna().all():
        return "The plan asks no held-out point to move."
    by_arm = {arm: response[response["run"] == arm] for arm in ARMS}
    texts = []
    for arm in ("PLI", "control"):
        mean, low, high = mean_interval(by_arm[arm]["achieved"])
        interval = "" if np.isnan(low) else f" (95 % interval {percent(low)} to {percent(high)})"
        texts.append(f"{arm} {percent(mean)}{interval}")
    drift = {arm: float(by_arm[arm]["drift"].mean()) for arm in ARMS}
    rest = (
        ""
        if np.isnan(drift["PLI"])
        else (
            f" Points not asked to move drifted by {drift['PLI']:.2f} of the map's spread with PLI and "
            f"{drift['control']:.2f} without."
        )
    )
    return f"Share of the asked displacement achieved on held-out points: {', '.join(texts)}.{rest}"


def _edited_sentence(edited: Mapping[str, int], moves: bool) -> list[str]:
    done = [f"{count} {what}" for what, count in edited.items() if count and what != "unlabelled"]
    left = edited.get("unlabelled", 0)
    rest = f" {left} have no label and are not trained on." if left else ""
    if not done:
        return [f"Of the training samples{rest}"] if left else []
    said = "" if moves else " The plan moves no point, so there is no embedding response."
    return [f"Of the training samples {', '.join(done)}.{rest}{said}"]


def _of_samples(group: str) -> str:
    if group == "selected":
        return "accuracy of the held-out samples that the plan selects"
    return f"accuracy of the {group} group"


def _effect_sentence(effect: Any, seeds: int, whose: str) -> str:
    whose = whose[0].upper() + whose[1:]
    if np.isnan(effect.mean):
        return f"{whose} has no measure: no held-out sample is of them."
    start = f"{whose}, PLI less control: {effect.mean:+.3f}"
    if seeds < 2:
        return f"{start} in a single seed, which says nothing about noise between seeds."
    interval = f"95 % interval {effect.low:+.3f} to {effect.high:+.3f}, {effect.wins} of {seeds} seeds better"
    if effect.low > 0:
        return f"{start} ({interval}): better than the matched control."
    if effect.high < 0:
        return f"{start} ({interval}): worse than the matched control."
    return f"{start} ({interval}): no difference beyond seed noise."
