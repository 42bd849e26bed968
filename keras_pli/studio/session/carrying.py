"""What of a plan goes on in a new round: what was trained is done, the rest is kept and told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ...brief import counted
from ...intervention.data_changes import DataChange
from ...intervention.selection import Polygon
from .edited_map import EditedMap
from .plan_editor import Entry, PlanEditor


class Carried(NamedTuple):
    """What a new round begins with.

    Attributes:
        editor: Its plan.
        note: What became of steps that nobody trained, in a sentence, or None where there are none.
    """

    editor: PlanEditor
    note: str | None


def carried_over(
    entries: Sequence[Entry],
    edited: EditedMap,
    *,
    trained: EditedMap | None = None,
    by_plan: bool = True,
) -> Carried:
    """Returns the plan of a new round.

    What its classifier was trained with is done: changes of the data stay in force, on the same points one by
    one, whatever became of them in the plan since, and moves go. All else is carried over: changes of the
    data as they are, moves switched off, since they were drawn on another map. Of a control, which is trained
    without the plan, the plan's changes of the data are switched off as well.

    Args:
        entries: The plan as it stands, on or off.
        edited: The map after it, or after the last one that could be applied.
        trained: The map after the plan of the retraining that made the round; None where none did.
        by_plan: Whether the classifier is the one that was trained with that plan, not the control.
    """
    waiting = [] if trained is None else list(trained.plan)
    known, kept = [], []
    for entry in entries:
        known.append(entry.change in waiting)
        if known[-1]:
            waiting.remove(entry.change)
        kept.append(_kept(entry, edited))
    if not by_plan:
        begun = [
            replace(entry, on=entry.on and not is_known)
            for entry, is_known in zip(kept, known, strict=True)
        ]
        return Carried(PlanEditor.of_entries(begun), _note_of_control(entries, begun))
    rest = [place for place, is_known in enumerate(known) if not is_known]
    lasting = [] if trained is None else trained.lasting_changes()
    begun = [Entry(0, change) for change in lasting] + [kept[place] for place in rest]
    note = _note([entries[place] for place in rest], [kept[place] for place in rest])
    return Carried(PlanEditor.of_entries(begun), note)


def _kept(entry: Entry, edited: EditedMap) -> Entry:
    """An entry that holds on another map, or is off."""
    if not isinstance(entry.change, DataChange):
        return replace(entry, on=False)
    places = [place for place, change in enumerate(edited.plan) if change is entry.change]
    if places:
        return replace(entry, change=edited.lasting(places[0]))
    # One that is off, or in a plan that cannot be applied: a lasso on another map holds other points.
    return replace(entry, on=entry.on and not isinstance(entry.change.selection, Polygon))


def _note(then: Sequence[Entry], now: Sequence[Entry]) -> str | None:
    off = _switched_off(then, now)
    if not off:
        return None
    return (
        f"{counted(off, 'step')} {'is' if off == 1 else 'are'} carried over switched off: moves and lassos "
        "belong to the map that they were drawn on."
    )


def _note_of_control(then: Sequence[Entry], now: Sequence[Entry]) -> str | None:
    off = _switched_off(then, now)
    if not off:
        return None
    return (
        f"The control was trained without the plan, so {counted(off, 'step')} of it "
        f"{'is' if off == 1 else 'are'} carried over switched off."
    )


def _switched_off(then: Sequence[Entry], now: Sequence[Entry]) -> int:
    return sum(before.on and not after.on for before, after in zip(then, now, strict=True))
