"""What a person decides of a finished retraining, and where the session goes on: keep, discard, go back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from ..session.rounds import Round
from ..session.session import StudioSession
from .retraining_result import RETRAINING, RetrainingResult, discard, finished

# Where a round has the retraining that it came from.
MADE_BY = "made-by"


def keep_retraining(session: StudioSession) -> Round:
    """Goes on from the classifier that was retrained with the plan, as a new round.

    The retraining, with the control and the report, moves to the round that it made.

    Raises:
        ValueError: If no retraining waits in this round.
        RuntimeError: If a job runs.
    """
    check_idle(session)
    with session.lock:
        made = _waiting(session)
        write_report(session, made)
        kept = session.new_round(
            made.classifiers["PLI"],
            title=f"Retrained with λ = {made.options.weight}, epochs: {made.options.epochs}",
            sentence=made.result.answer(),
        )
        shutil.move(made.folder, kept.folder / MADE_BY)
    return kept


def discard_retraining(session: StudioSession) -> None:
    """Removes the retrainings of this round; classifier, map and plan stay as they are.

    Raises:
        RuntimeError: If a job runs.
    """
    check_idle(session)
    with session.lock:
        discard(session.round.folder / RETRAINING)
    session.events.publish("round", {})


def write_report(session: StudioSession, made: RetrainingResult) -> Path:
    """Writes the page of a retraining into its folder, with images where there are; returns its path."""
    x = session.data.test[0]
    return made.write_report(x if isinstance(x, np.ndarray) and x.ndim in (3, 4) else None)


def go_to_round(session: StudioSession, number: int) -> None:
    """Looks at another round, with its plan as it was left.

    Raises:
        ValueError: If there is no such round.
        RuntimeError: If a job runs.
    """
    check_idle(session)
    session.go_to(number)


def check_idle(session: StudioSession) -> None:
    """Raises a `RuntimeError` while a job runs, which works on the round as it is."""
    job = session.jobs.current
    if job is not None and job.runs:
        raise RuntimeError(f"The job {job.name!r} runs: stop it first, or wait until it has ended.")


def _waiting(session: StudioSession) -> RetrainingResult:
    made = finished(session.round.folder / RETRAINING)
    if made is None:
        raise ValueError("There is nothing to keep: no retraining waits in this round.")
    return made
