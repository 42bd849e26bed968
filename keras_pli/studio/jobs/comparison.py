"""What a page shows of a finished retraining: the answer, tables, curves, and which maps there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...intervention.naming import named
from ...retraining import ExperimentResult
from ...retraining.experiment.seed_run import ARMS, RUNS
from .plain import plain
from .retraining_result import RetrainingResult

# As the tables of an experiment call its runs, and as a page does.
_CALLED = {"baseline": "before", "control": "control", "PLI": "pli"}


def comparison(retraining: RetrainingResult | None) -> dict[str, Any]:
    """Returns a finished retraining as plain data; `{"none": True}` where there is none.

    Returns:
        `answer` (a sentence), `verdict` (lines), `advice` (sentences), `table` (`columns` and `rows` of the
        experiment's table), `classes` (F1 of each on held-out samples, means over seeds: `name`, `before`,
        `control`, `pli`; None where there are no samples), `accuracy` by run, `curves` (what was logged, by
        arm, epoch by epoch, of the first seed), `maps` (names), `share` of the way that held-out points went
        (None where nothing tells), `weight` (λ of the first seed), `seeds`, `options`, and `plan`, the steps
        that were trained, each in words.
    """
    if retraining is None:
        return {"none": True}
    result, run = retraining.result, retraining.result.run_of(retraining.options.seed)
    findings = [line for line in result.verdict().splitlines() if not line.startswith("Next: ")]
    return plain(
        {
            "answer": result.answer(),
            "verdict": "\n".join(findings),
            "advice": result.advice(),
            "table": _table(result),
            "classes": _classes(result),
            "accuracy": {
                _CALLED[arm]: np.mean(
                    [np.mean(r.predicted(arm) == result.labels) for r in result.runs]
                )
                for arm in RUNS
            },
            "curves": {arm: run.history[arm] for arm in ARMS},
            "maps": list(retraining.maps),
            "share": _share(result),
            "weight": run.embedding_weight,
            "seeds": result.seeds,
            "options": retraining.options.told(),
            "plan": [str(named(change, result.class_names)) for change in retraining.plan],
        }
    )


def _table(result: ExperimentResult) -> dict[str, Any]:
    table = result.table().reset_index()
    return {"columns": [str(name) for name in table.columns], "rows": table.to_numpy().tolist()}


def _classes(result: ExperimentResult) -> list[dict[str, Any]]:
    scores = result.scores()
    of_class = scores[scores["kind"] == "class"]
    means = of_class.groupby(["name", "run"], sort=False)[["f1", "support"]].mean()
    told = []
    for name in of_class["name"].unique():
        measured = means.loc[(name, "baseline"), "support"] > 0
        f1 = {_CALLED[arm]: means.loc[(name, arm), "f1"] if measured else None for arm in RUNS}
        told.append({"name": str(name), **f1})
    return told


def _share(result: ExperimentResult) -> float | None:
    response = result.response()
    values = response.loc[response["run"] == "PLI", "achieved"].dropna()
    return float(values.mean()) if len(values) else None
