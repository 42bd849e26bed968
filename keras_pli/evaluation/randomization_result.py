"""What a randomisation test found: a table of similarities, and a verdict in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..brief import counted
from ..checks import quoted
from ..intervals import mean_interval
from .similarity import Maps, similarities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INSENSITIVE, SIGN_ONLY, SENSITIVE = "insensitive", "sensitive in sign only", "sensitive"
UNDECIDED = "undecided"
Rows: TypeAlias = list[dict[str, Any]]
_KEYS = ["method", "mode", "layer", "step", "measure", "absolute"]


@dataclass(frozen=True)
class SensitivityVerdict:
    """What a randomisation test says about a method.

    Args:
        conclusion: `"insensitive"`, `"sensitive in sign only"`, `"sensitive"` or `"undecided"`.
        reason: The figures it rests on, in words.
    """

    conclusion: str
    reason: str

    def __str__(self) -> str:
        return f"{self.conclusion}. {self.reason}"


@dataclass(frozen=True, eq=False)
class RandomizationResult:
    """What a randomisation test found.

    Args:
        table: A row for each method, step, measure and `absolute`, with columns `method`, `mode`, `layer`,
            `step` (counted from the top, 1 first), `measure` (`"spearman"`, `"ssim"` or `"top_k"`),
            `absolute` (whether signs were dropped), the `mean` similarity over samples and seeds, the ends
            `low` and `high` of its 95 % interval over seeds by Student's t (NaN for a single seed), and
            `reference`, the similarity to judge it by (see the tests).
        verdicts: The verdict on each method.
        threshold: The rank correlation from which on maps count as the same.
        training: Of the data randomisation test, the accuracy on the training set and the number of epochs
            for each seed and kind of labels; else None.
    """

    table: pd.DataFrame
    verdicts: Mapping[str, SensitivityVerdict]
    threshold: float
    training: pd.DataFrame | None = None

    def __str__(self) -> str:
        return "\n".join(f"{method} is {verdict}" for method, verdict in self.verdicts.items())

    def __repr__(self) -> str:
        told = (f"{method} {verdict.conclusion}" for method, verdict in self.verdicts.items())
        return f"RandomizationResult of {counted(len(self.verdicts), 'method')}: {', '.join(told)}"

    def _repr_html_(self) -> str:
        from ..plotting.notebook import notebook_html

        verdicts = pd.DataFrame(
            {
                "conclusion": [verdict.conclusion for verdict in self.verdicts.values()],
                "reason": [verdict.reason for verdict in self.verdicts.values()],
            },
            index=list(self.verdicts),
        )
        title = repr(self).split(":")[0]
        return notebook_html(title, table=verdicts, figure=self.plot())

    def plot(self) -> Figure:
        """Draws how similar the maps stay to those of the trained model, with the threshold of the verdict.

        Returns:
            A new `plotting.randomization_curves`.
        """
        from ..plotting import randomization_curves

        mode = str(self.table["mode"].iloc[0])
        return randomization_curves(self.table, mode=mode, threshold={"spearman": self.threshold})


def checked_seeds(seeds: int | Iterable[int]) -> list[int]:
    """Returns the seeds, a number of which is counted from 0.

    Raises:
        ValueError: If there is none, one is negative, or one comes twice.
    """
    if isinstance(seeds, int | np.integer):
        seeds = range(int(seeds))
    numbers = [int(seed) for seed in seeds]
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ValueError(
            "`seeds` must name at least one seed, each once and none negative. "
            f"Received: {quoted(numbers)}."
        )
    return numbers


def check_ranges(**shares: float) -> None:
    """Raises a `ValueError` for a number that does not lie in (0, 1]."""
    for name, value in shares.items():
        if not 0 < value <= 1:
            raise ValueError(f"`{name}` must lie in (0, 1]. Received: {value!r}.")


def similarity_rows(
    before: Mapping[str, Maps],
    after: Mapping[str, Maps],
    share: float,
    within: NDArray[np.bool_] | None = None,
    **place: Any,
) -> Rows:
    """Returns the mean similarity over samples of each method's maps, a row for each measure.

    Args:
        before: Maps by method.
        after: Maps of the same samples by other weights.
        share: Share of the positions that `"top_k"` takes.
        within: The positions that count, booleans like the maps; None for all.
        **place: What else the rows hold.
    """
    return [
        {
            "method": method,
            **place,
            "measure": measure,
            "absolute": absolute,
            "value": mean_interval(values)[0],
        }
        for method, maps in before.items()
        for (measure, absolute), values in similarities(
            maps, after[method], share=share, within=within
        ).items()
    ]


def similarity_table(rows: Rows, references: Rows) -> pd.DataFrame:
    """Summarises rows over seeds, with the mean of the reference rows beside."""
    summary = []
    for key, group in pd.DataFrame(rows).groupby(_KEYS, sort=False):
        mean, *ends = mean_interval(group["value"])
        low, high = np.clip(ends, -1, 1)  # where similarities end, and Student's t does not
        summary.append(
            {**dict(zip(_KEYS, key, strict=True)), "mean": mean, "low": low, "high": high}
        )
    keys = ["method", "measure", "absolute"]
    beside = pd.DataFrame(references).groupby(keys, sort=False)["value"].mean().rename("reference")
    return pd.DataFrame(summary).merge(beside.reset_index(), on=keys, how="left")


def verdict(rows: pd.DataFrame, threshold: float, *, change: str, pair: str) -> SensitivityVerdict:
    """Says whether maps depend on what was randomised.

    The maps as the method gives them decide first: if their mean rank correlation with the original ones is
    above the threshold, with the whole interval, they are insensitive. Else the maps without signs, as heat
    maps are often drawn, are judged likewise.

    Args:
        rows: Of a method's table, the rows that decide; where there are several steps, their mean does.
        threshold: The rank correlation from which on maps count as the same.
        change: What was randomised, in words.
        pair: What `reference` compares, in words.
    """
    correlations = rows[rows["measure"] == "spearman"]
    figures = correlations.groupby("absolute")[["mean", "low", "high", "reference"]].mean()
    signed, absolute = (figures.loc[kind] for kind in (False, True))
    if np.isnan(signed["mean"]):
        return SensitivityVerdict(UNDECIDED, "all its maps of the trained model are constant.")
    if _side(signed, threshold) != "below":
        decided = _side(signed, threshold) == "above"
        conclusion = INSENSITIVE if decided else UNDECIDED
    else:
        conclusion = {"above": SIGN_ONLY, "below": SENSITIVE}.get(
            _side(absolute, threshold), UNDECIDED
        )
    reason = (
        f"{change}, its maps correlate by {_figure(signed)} with the original ones, and without signs by "
        f"{_figure(absolute)}. From {threshold:.2f} on they count as the same. {pair} correlate by "
        f"{signed['reference']:.2f}, without signs by {absolute['reference']:.2f}."
    )
    return SensitivityVerdict(conclusion, f"{reason} {_MEANING[conclusion]}")


_MEANING = {
    INSENSITIVE: "They show the input more than what the model learned.",
    SIGN_ONLY: "Drawn without signs, they show the input more than what the model learned.",
    SENSITIVE: "They depend on what the model learned.",
    UNDECIDED: "The interval leaves it open; more seeds narrow it.",
}


def _side(figures: pd.Series, threshold: float) -> str:
    """Where the interval lies, or the mean of a single seed."""
    low = figures["mean"] if np.isnan(figures["low"]) else figures["low"]
    high = figures["mean"] if np.isnan(figures["high"]) else figures["high"]
    return "above" if low >= threshold else "below" if high < threshold else "across"


def _figure(figures: pd.Series) -> str:
    text = f"{figures['mean']:.2f}"
    if np.isnan(figures["low"]):
        return f"{text} (one seed)"
    return f"{text} (95 % interval {figures['low']:.2f} to {figures['high']:.2f})"
