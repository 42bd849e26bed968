"""Retrainings that ended before they were finished: what they were told, so that one can go on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...brief import counted
from ...files import read_json, write_json
from ...intervention import InterventionPlan
from ...retraining.experiment.seed_run import seed_file
from .retraining_options import RetrainingOptions
from .retraining_result import EXPERIMENT, NOTE, PLAN, seeds_of

BEGUN = "begun.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfinished:
    """A retraining that was stopped, or whose process ended.

    Args:
        options: What it was told.
        done: How many of its seeds are done; they are not trained again.
        same_plan: Whether its plan is the one that stands now.
    """

    options: RetrainingOptions
    done: int
    same_plan: bool

    def told(self) -> dict[str, Any]:
        """Returns it as plain data for a page: `words`, `options` and `same_plan`."""
        options = self.options
        words = (
            f"A retraining with λ = {options.weight} and {counted(options.epochs, 'epoch')} ended before it "
            f"was finished, with {self.done} of {counted(options.seeds, 'seed')} done."
        )
        if not self.same_plan:
            words += " The plan has changed since: retrained now, it begins anew."
        elif self.done:
            words += " Retrained with the same settings, it goes on from there."
        else:
            words += " Retrained with the same settings, it begins anew."
        return {"words": words, "options": options.told(), "same_plan": self.same_plan}


def note_begun(folder: Path, options: RetrainingOptions) -> None:
    """Notes in a retraining's folder what it is told."""
    write_json(folder / BEGUN, {"options": options.told()})


def unfinished(parent: Path, plan: InterventionPlan) -> Unfinished | None:
    """Returns the retraining that was begun last in a folder, if it was not finished.

    Args:
        parent: Where the retrainings of a round lie.
        plan: The plan as it stands.
    """
    notes = sorted(parent.glob(f"*/{BEGUN}"), key=lambda note: note.stat().st_mtime_ns)
    if not notes or (notes[-1].parent / NOTE).exists():
        return None
    folder = notes[-1].parent
    try:
        options = RetrainingOptions.of(read_json(notes[-1]).get("options"))
        its_plan = InterventionPlan.load(folder / PLAN)
    except (ValueError, TypeError, OSError) as error:
        _log.warning("What was begun in %s cannot be told: %s", folder, error)
        return None
    done = [seed for seed in seeds_of(options) if seed_file(folder / EXPERIMENT, seed).exists()]
    return Unfinished(options, len(done), its_plan == plan)
