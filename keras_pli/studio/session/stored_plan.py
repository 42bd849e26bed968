"""The plan of a round in its folder: with all that can be undone, and plainly for the command line."""

from __future__ import annotations

from pathlib import Path

from ...files import read_json
from ...intervention import InterventionPlan
from .folder import SessionFolder
from .plan_editor import PlanEditor
from .rounds import Round

HISTORY, PLAN = "plan-history.json", "plan.json"


def plan_texts(folder: SessionFolder, of_round: Path, editor: PlanEditor) -> dict[Path, str]:
    """Returns what the files of a plan hold, by path: those of a round, and the session's own."""
    text = editor.plan.to_json()
    return {of_round / HISTORY: editor.to_json(), of_round / PLAN: text, folder.plan: text}


def stored_editor(folder: SessionFolder, entered: Round) -> tuple[PlanEditor, str | None]:
    """Returns the plan of a round, and what is lost of it in a sentence, or None.

    Where its history is damaged, the plan beside it serves, without what was undone or switched off. The
    first round begins with the plan that the command line left.
    """
    history, plan = entered.folder / HISTORY, entered.folder / PLAN
    lost = []
    if history.exists():
        try:
            return PlanEditor.of_record(read_json(history)), None
        except ValueError as error:
            lost.append(f"{history} cannot be read: {error}")
    elif not plan.exists() and entered.number == 0:
        plan = folder.plan
    if plan.exists():
        try:
            editor = PlanEditor(InterventionPlan.load(plan))
        except ValueError as error:
            lost.append(f"{plan} cannot be read: {error}")
        else:
            return editor, _told(lost, "The plan is that of plan.json; what was undone is lost.")
    return PlanEditor(), _told(lost, "The plan begins anew.")


def _told(lost: list[str], instead: str) -> str | None:
    return " ".join([*lost, instead]) if lost else None
