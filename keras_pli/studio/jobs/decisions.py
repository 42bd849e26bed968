"""What a person decides of a finished retraining, and where the session goes on: keep, discard, go back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...brief import counted
from ...checks import one_of
from ...retraining.experiment.seed_run import ARMS
from ..session.carrying import Carried, carried_over
from ..session.edited_map import EditedMap
from ..session.session import StudioSession
from .retraining_result import REPORT, RETRAINING, RetrainingResult, discard, finished, loaded

# Where a round has the retraining that it came from.
MADE_BY = "made-by"


def keep_retraining(session: StudioSession, arm: str = "PLI") -> str | None:
    """Goes on from a retrained classifier, as a new round.

    The retraining, with both classifiers and the report, moves to the round that it made. Its plan begins
    with what was trained, not with what the plan is by now; see `carried_over`.

    Args:
        session: The session.
        arm: `"PLI"` for the classifier that was trained with the plan, `"control"` for the one without.

    Returns:
        What became of steps that were not trained, a sentence, or None.

    Raises:
        ValueError: If no retraining waits in this round, or there is no such arm.
        RuntimeError: If a job runs, or a round is being made.
        OSError: If the folder cannot be written.
    """
    arm = one_of(arm, ARMS, "arm")
    check_free(session)
    with session.lock:
        parent, made = session.round, _waiting(session)
    write_report(session, made)
    trained = EditedMap.of(made.plan, parent.map, session.data.labels, session.classes)

    def carried() -> Carried:
        check_idle(session)  # one may have been started since
        entries = session.editor.entries
        return carried_over(entries, session.edited, trained=trained, by_plan=arm == "PLI")

    about = _made_by(made, arm)
    _, note = session.new_round(
        parent,
        made.classifiers[arm],
        title=_title(about),
        sentence=made.result.answer(),
        made_by=about,
        carried=carried,
        beside=lambda folder: shutil.move(made.folder, folder / MADE_BY),
    )
    return note


def kept_retraining(session: StudioSession, number: int) -> RetrainingResult:
    """Returns the retraining that made a round.

    Raises:
        ValueError: If none made it, or what it left is damaged.
    """
    folder = session.folder.round(number) / MADE_BY
    if not folder.is_dir():
        raise ValueError(f"No retraining made round {number}.")
    return loaded(folder)


def kept_map(session: StudioSession, number: int, name: str) -> NDArray[np.float32]:
    """Returns a map of the retraining that made a round, float32 `(samples, 2)`; errors as above."""
    maps = kept_retraining(session, number).maps
    return maps[one_of(name, maps, "of")]


def has_report(session: StudioSession, number: int) -> bool:
    """Whether the round was made by a retraining whose report is there."""
    return (session.folder.round(number) / MADE_BY / REPORT).exists()


def discard_retraining(session: StudioSession) -> None:
    """Removes the retrainings of this round; classifier, map and plan stay as they are.

    Raises:
        RuntimeError: If a job runs, or a round is being made.
    """
    check_free(session)
    with session.lock:
        discard(session.round.folder / RETRAINING)
    session.events.publish("round", {})


def write_report(session: StudioSession, made: RetrainingResult) -> Path:
    """Writes the page of a retraining into its folder, with images where there are; returns its path."""
    x = session.data.test[0]
    return made.write_report(x if isinstance(x, np.ndarray) and x.ndim in (3, 4) else None)


def go_to_round(session: StudioSession, number: int) -> str | None:
    """Looks at another round, with its plan as it was left; returns what is lost of that, or None.

    Raises:
        ValueError: If there is no such round.
        RuntimeError: If a job runs, or a round is being made.
    """
    check_free(session)
    return session.go_to(number)


def check_free(session: StudioSession) -> None:
    """Raises a `RuntimeError` while a job runs or a new round is being made, perhaps for another window."""
    check_idle(session)
    if session.makes_round:
        raise RuntimeError("A new round is being made: wait until it is there.")


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


def _made_by(made: RetrainingResult, arm: str) -> dict[str, Any]:
    options = made.options
    found = made.result.run_of(options.seed).embedding_weight
    return {
        "arm": arm,
        "weight": options.weight if found is None else found,
        "epochs": options.epochs,
        "seeds": list(made.result.seeds),
        "options": options.told(),
    }


def _title(about: dict[str, Any]) -> str:
    epochs = counted(about["epochs"], "epoch")
    if about["arm"] == "control":
        return f"Control, retrained without the plan for {epochs}"
    return f"Retrained with λ = {about['weight']:.3g} for {epochs}"
