"""Starts the jobs of a session: what each takes of it, and what it leaves in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...checks import check_options, one_of
from ...network.activations import ActivationReader
from ...retraining import PLILoss, PLIModel
from ...retraining.loss import AUTOMATIC
from ...retraining.outputs import predicted
from ...settings import Settings, number, setting
from ..session.carrying import carried_over
from ..session.folder import writing_in
from ..session.rounds import CLASSIFIER, EMBEDDER, load_network
from ..session.session import StudioSession
from .comparison import comparison
from .jobs import Job
from .map_job import refresh_map
from .plan_jobs import check_moves, check_moving, propose_changes, suggest_moves
from .progress import Progress
from .retraining_job import check_changes, retrain
from .retraining_options import MOST_SEED, RetrainingOptions, checked_weight
from .retraining_result import RETRAINING, RetrainingResult, finished
from .unfinished import Unfinished, unfinished

NEW_MAP = "new-map.keras"
Work: TypeAlias = Callable[[Progress], Mapping[str, Any]]
# λ of a check, where the retraining is to find its own.
TRIED_WEIGHT = 0.1


@dataclass(frozen=True)
class SuggestOptions(Settings):
    """Options of "suggest".

    Args:
        pairs: How many confused pairs of classes at the most.
    """

    pairs: int = field(default=2, metadata=number(least=1, whole=True))


@dataclass(frozen=True)
class CheckOptions(Settings):
    """Options of "check".

    Args:
        samples: Samples that a pilot trains on at the most; 0 to look at the map alone.
        weight: λ, as it shall be in the retraining; `"auto"` is tried as 0.1.
        seed: Seed of the pilot.
    """

    samples: int = field(default=2000, metadata=number(least=0, whole=True))
    weight: float | str = field(default=TRIED_WEIGHT, metadata=setting(checked_weight))
    seed: int = field(default=0, metadata=number(least=0, below=MOST_SEED, whole=True))


@dataclass(frozen=True)
class SeedOptions(Settings):
    """Options of "propose" and "refresh".

    Args:
        seed: Seed of what is drawn.
    """

    seed: int = field(default=0, metadata=number(least=0, below=MOST_SEED, whole=True))


def start_job(session: StudioSession, name: str, options: Mapping[str, Any] | None = None) -> Job:
    """Begins a job on the session's round and plan as they stand now; later edits have no part in it.

    Args:
        session: The session.
        name: `"suggest"`, `"check"`, `"propose"`, `"retrain"` or `"refresh"`.
        options: What it is told; what is missing is as by default.

    Raises:
        ValueError: If there is no such job, an option is out of range, or the plan holds nothing that the job
            could work on.
        TypeError: If an option is unknown.
        RuntimeError: If another job runs.
    """
    kind, prepare = _JOBS[one_of(name, _JOBS, "job")]
    given = dict(options or {})
    check_options(kind, given)
    chosen = kind(**given)
    with session.lock:
        work = prepare(session, chosen)

    def run(progress: Progress, **told: Any) -> Mapping[str, Any]:
        with writing_in(session.folder.path):
            return work(progress)

    return session.jobs.start(name, run, asdict(chosen))


def waiting_retraining(session: StudioSession) -> RetrainingResult | None:
    """Returns the finished retraining of the round that waits to be kept or discarded, or None."""
    return finished(retraining_folder(session))


def unfinished_retraining(session: StudioSession) -> Unfinished | None:
    """Returns the round's retraining that ended before it was finished; None while one runs, or without."""
    job = session.jobs.current
    if job is not None and job.runs:
        return None
    return unfinished(retraining_folder(session), session.plan)


def retraining_folder(session: StudioSession) -> Path:
    """Where the retrainings of the present round lie."""
    return session.round.folder / RETRAINING


def _suggest(session: StudioSession, options: SuggestOptions) -> Work:
    return partial(
        suggest_moves,
        outputs=session.round.outputs,
        edited=session.edited.data,
        embedding=session.edited.targets,
        class_names=session.data.class_names,
        pairs=options.pairs,
    )


def _check(session: StudioSession, options: CheckOptions) -> Work:
    data, present, plan = session.data, session.round, session.plan
    check_moving(plan)
    entries = [entry.number for entry in session.editor.entries if entry.on]

    def work(progress: Progress) -> dict[str, Any]:
        progress.report("Preparing a copy of the classifier", 0.0)
        model = PLIModel(session.classifier_copy(), present.embedder, data.layer)
        weight = TRIED_WEIGHT if options.weight == AUTOMATIC else options.weight
        model.compile(data.optimizer, PLILoss(data.loss, weight))
        return check_moves(
            progress,
            model,
            plan=plan,
            entries=entries,
            x=data.train[0],
            labels=data.labels,
            embedding=present.map,
            class_names=data.class_names,
            samples=options.samples,
            seed=options.seed,
        )

    return work


def _propose(session: StudioSession, options: SeedOptions) -> Work:
    data, present, edited = session.data, session.round, session.edited.data

    def work(progress: Progress) -> dict[str, Any]:
        progress.report("Reading the layer's activations")
        x, held_out = data.train[0], data.test[0]
        beside: dict[str, Any] = {"inputs": x, "test": held_out}
        if not isinstance(x, np.ndarray):  # several inputs: duplicates are looked for in the layer
            reader = ActivationReader(present.classifier, data.layer)
            beside = {"test": predicted(reader, held_out)}
        return propose_changes(
            progress,
            activations=present.activations,
            edited=edited,
            outputs=present.outputs,
            class_names=data.class_names,
            seed=options.seed,
            **beside,
        )

    return work


def _retrain(session: StudioSession, options: RetrainingOptions) -> Work:
    data, present, plan = session.data, session.round, session.plan
    check_changes(plan)
    if session.plan_error is not None:
        raise ValueError(f"The plan cannot be trained as it stands. {session.plan_error}")
    folder = retraining_folder(session)

    def work(progress: Progress) -> dict[str, Any]:
        progress.report("Preparing a copy of the classifier", 0.0)
        made = retrain(
            progress,
            options,
            classifier=session.classifier_copy(),
            train=data.train,
            test=data.test,
            plan=plan,
            embedder=present.embedder,
            layer=data.layer,
            folder=folder,
            loss=data.loss,
            optimizer=data.optimizer,
            class_names=data.class_names,
        )
        return comparison(made)

    return work


def _refresh(session: StudioSession, options: SeedOptions) -> Work:
    begun = session.round

    def work(progress: Progress) -> dict[str, Any]:
        progress.report("Reading the layer's activations", 0.0)
        file = begun.folder / NEW_MAP
        refresh_map(
            progress,
            begun.activations,
            file,
            embedder=load_network(begun.folder / EMBEDDER),
            places=begun.map,
            seed=options.seed,
        )
        try:
            made, note = session.new_round(
                begun,
                begun.folder / CLASSIFIER,
                title=f"Map of round {begun.number} refreshed",
                carried=lambda: carried_over(session.editor.entries, session.edited),
                embedder=file,
            )
        finally:
            file.unlink(missing_ok=True)
        return {"round": made.number, "note": note}

    return work


_JOBS: dict[str, tuple[type[Any], Callable[[StudioSession, Any], Work]]] = {
    "suggest": (SuggestOptions, _suggest),
    "check": (CheckOptions, _check),
    "propose": (SeedOptions, _propose),
    "retrain": (RetrainingOptions, _retrain),
    "refresh": (SeedOptions, _refresh),
}
