"""What is said of plans before any training: moves suggested, moves checked, changes of the data proposed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...brief import counted
from ...intervention import EditedData, InterventionPlan, propose, suggest
from ...intervention.change import Change
from ...intervention.data_changes import UNLABELLED, Exclude, Weigh
from ...intervention.move_check import MoveCheck
from ...intervention.naming import named
from ...intervention.proposals import Proposal
from ...retraining import PLIModel
from ...retraining.trials.pilot import STEPS
from .plain import plain
from .progress import BatchProgress, Progress

Array = NDArray[Any]
SHOWN = 12  # samples of a proposal, to look at
PILOTS = 2


def suggest_moves(
    progress: Progress,
    *,
    outputs: Array,
    edited: EditedData,
    embedding: Array,
    class_names: Sequence[str],
    pairs: int = 2,
) -> dict[str, Any]:
    """Suggests moves against the confusions that a classifier makes most often (see `suggest`).

    Args:
        progress: Of the job.
        outputs: What the classifier puts out for the training samples, `(samples, classes)`.
        edited: Their labels after the plan; those that it excludes are left aside.
        embedding: Where the plan leaves them, `(samples, components)`: what is suggested comes behind it.
        class_names: Names of the classes.
        pairs: How many pairs of classes at the most.

    Returns:
        `changes`: for each `change` (as JSON holds it), `words` and `reason`; empty, with `words` that say
        so, where nothing is confused or no way is free.

    Raises:
        Stopped: If the job was stopped, at the end of a pair.
    """
    progress.report("Looking for classes that are confused")
    labels = np.full(len(edited.labels), UNLABELLED, dtype=np.int64)
    labels[edited.rows] = edited.labels[edited.rows]
    found = suggest(
        outputs,
        labels,
        embedding,
        pairs=pairs,
        class_names=class_names,
        on_step=progress.step,
    )
    progress.check()
    changes = [_change(change, class_names) for change in found]
    words = f"{counted(len(changes), 'move')} suggested" if changes else _nothing(outputs, labels)
    return {"changes": changes, "words": words}


def check_moves(
    progress: Progress,
    model: PLIModel,
    *,
    plan: InterventionPlan,
    entries: Sequence[int],
    x: Any,
    labels: Array,
    embedding: Array,
    class_names: Sequence[str],
    samples: int = 2000,
    steps: int = STEPS,
    seed: int = 0,
) -> dict[str, Any]:
    """Says what the moves of a plan will meet (see `InterventionPlan.check`).

    Args:
        progress: Of the job.
        model: A copy of the classifier with the map, compiled as for the training that is meant; its weights
            are given back.
        plan: The changes in force.
        entries: What each of them is called in the plan that is edited.
        x: Inputs of the training samples.
        labels: Their labels.
        embedding: Their map.
        class_names: Names of the classes.
        samples: Samples that the pilot trains on at the most; 0 to look at the map alone.
        steps: Steps of either training of the pilot.
        seed: Seed of the pilot.

    Returns:
        `moves`: for each `place`, `entry`, `words`, `sentence` (what was found, without these words),
        `passes`, `collides` (names), `pilot_share` (None where nothing was tried) and `points`; `share` of
        the way over all points; `passes`.

    Raises:
        ValueError: If the plan moves nothing or does not fit.
        Stopped: If the job was stopped, within a batch of the pilot.
    """
    check_moving(plan)
    progress.report("Looking at who lives where the points go", 0.0)
    tried: dict[str, Any] = {"model": _Watched(model, progress, steps), "x": x} if samples else {}
    check = plan.check(
        embedding,
        labels,
        samples=max(2, samples),
        seed=seed,
        class_names=class_names,
        **tried,
    )
    moves = [{**_told(move), "entry": entries[move.place - 1]} for move in check.moves]
    return plain({"moves": moves, "share": check.pilot_share, "passes": check.passes})


def check_moving(plan: InterventionPlan) -> None:
    """Raises a `ValueError` for a plan that moves nothing."""
    if not plan.moves:
        raise ValueError(
            "There is nothing to check: the plan moves no points. What changes of the data do, only a "
            "retraining tells."
        )


def propose_changes(
    progress: Progress,
    *,
    activations: Array,
    edited: EditedData,
    outputs: Array,
    class_names: Sequence[str],
    test: Array | None = None,
    inputs: Array | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Proposes changes of the data that the layer speaks for (see `propose`).

    Args:
        progress: Of the job.
        activations: Of the training samples, `(samples, features)`.
        edited: Their labels after the plan; what it has done already is not proposed again.
        outputs: What the classifier puts out for them.
        class_names: Names of the classes.
        test: Held-out samples to look for duplicates of, as `propose` takes them.
        inputs: The training inputs, where these are one array.
        seed: Seed of a sample where there are many.

    Returns:
        `proposals`: for each `change`, `words`, `reason`, `kind`, `count` and `indices`, the most telling
        samples, at most twelve; `words`, what was looked at.

    Raises:
        Stopped: If the job was stopped, at the end of a search.
    """
    found = propose(
        activations,
        edited.labels,
        outputs,
        test=test,
        inputs=inputs,
        class_names=class_names,
        seed=seed,
        on_step=progress.step,
    )
    progress.check()
    proposals = [
        {
            **_change(proposal.change, class_names),
            "kind": proposal.kind,
            "count": len(proposal.rows),
            "indices": proposal.shown(SHOWN).tolist(),
        }
        for proposal in found
        if not _is_done(proposal, edited)
    ]
    many = counted(len(proposals), "proposal") if proposals else "Nothing to propose"
    return {"proposals": proposals, "words": f"{many}, after a look at {found.looked_at}."}


class _Watched:
    """A model that tries plans and says what it is doing."""

    def __init__(self, model: PLIModel, progress: Progress, steps: int) -> None:
        self._model, self._progress, self._steps = model, progress, steps

    def layer_reach(self, *given: Any, **how: Any) -> Any:
        """As `PLIModel.layer_reach`."""
        self._progress.check()
        self._progress.report("Moving activations of the layer freely", 0.1)
        return self._model.layer_reach(*given, **how)

    def pilot(self, *given: Any, **how: Any) -> Any:
        """As `PLIModel.pilot`."""
        watching = BatchProgress(self._progress, _piloting, start=0.2, trainings=PILOTS)
        return self._model.pilot(*given, steps=self._steps, callbacks=[watching], **how)


def _piloting(model: PLIModel) -> str:
    assert model.loss_function is not None
    with_plan = bool(model.loss_function.embedding_weight)
    return f"Training on a sample for a try, {'with' if with_plan else 'without'} the plan"


def _change(change: Change, class_names: Sequence[str]) -> dict[str, Any]:
    """A change as a page takes it, with its words."""
    (record,) = json.loads(InterventionPlan([change]).to_json())["changes"]
    return {
        "change": record,
        "words": str(named(change, class_names)),
        "reason": change.reason,
    }


def _told(move: MoveCheck) -> dict[str, Any]:
    collides = [move.names.get(met.other, str(met.other)) for met in move.collides]
    return {
        "place": move.place,
        "words": move.move,
        "sentence": f"{move.finding[0].upper()}{move.finding[1:]}.",
        "passes": move.passes,
        "collides": list(dict.fromkeys(collides)),
        "pilot_share": move.pilot_share,
        "points": move.points,
    }


def _nothing(outputs: Array, labels: Array) -> str:
    known = labels != UNLABELLED
    wrong = int(np.count_nonzero(outputs.argmax(axis=1)[known] != labels[known]))
    if not wrong:
        return "Nothing to suggest: the classifier confuses none of the training samples."
    return (
        f"Nothing to suggest: the classifier errs on {counted(wrong, 'training sample')}, and no move of the "
        "classes confused most leads to where no other class lives."
    )


def _is_done(proposal: Proposal, edited: EditedData) -> bool:
    """Whether a plan does already what is proposed, or trains on none of the samples."""
    if edited.excluded[proposal.rows].all():
        return True
    if isinstance(proposal.change, Exclude):
        return False
    return isinstance(proposal.change, Weigh) and bool(edited.weighed[proposal.rows].all())
