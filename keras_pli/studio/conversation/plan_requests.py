"""What a page asks of the plan: selections, changes, undo and redo, import and export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...brief import counted
from ...intervention import InterventionPlan
from ...intervention.change import Change
from ...intervention.selection import Selection
from ...intervention.storage import as_record, change_of
from ..session.edited_map import EditedMap
from ..session.plan_editor import PlanEditor
from ..session.selections import as_indices, read_selection
from ..session.session import StudioSession
from .fields import Fields, Reply
from .kept_selections import is_kept, selection_asked
from .plan_state import plan_state


def select(session: StudioSession, fields: Fields) -> Reply:
    """Which points are meant: a bit for each, the first in the lowest bit of the first byte."""
    selection = selection_asked(session.editor, fields.record("selection"))
    on = fields.text("on", options=("targets", "map"), default="targets")
    mask = session.select(selection, on=on)
    labels = session.edited.data.labels if on == "targets" else session.data.labels
    present, counts = np.unique(labels[mask], return_counts=True)
    classes = [
        {"name": session.class_name(label), "count": int(count)}
        for label, count in zip(present, counts, strict=True)
    ]
    content = {
        "count": int(np.count_nonzero(mask)),
        "classes": classes,
        "words": counted(int(np.count_nonzero(mask)), "point"),
    }
    return Reply(content, [np.packbits(mask, bitorder="little").tobytes()])


def change(session: StudioSession, fields: Fields) -> Reply:
    """Puts a change at the end of the plan."""
    made = _read_change(session, fields.record("change"))
    return _edit(session, lambda editor: editor.add(made), complete=True)


def edit_change(session: StudioSession, fields: Fields) -> Reply:
    """Puts another change in the place of an entry's."""
    number, made = fields.whole("entry"), _read_change(session, fields.record("change"))
    return _edit(session, lambda editor: editor.replace(number, made), complete=True)


def remove_change(session: StudioSession, fields: Fields) -> Reply:
    """Takes an entry out of the plan."""
    number = fields.whole("entry")
    return _edit(session, lambda editor: editor.remove(number))


def toggle_change(session: StudioSession, fields: Fields) -> Reply:
    """Turns an entry on or off."""
    number, on = fields.whole("entry"), fields.flag("on")
    return _edit(session, lambda editor: editor.switch(number, on=on))


def order_changes(session: StudioSession, fields: Fields) -> Reply:
    """Puts the entries in another order."""
    numbers = fields.listed("entries", int)
    return _edit(session, lambda editor: editor.order(numbers))


def undo(session: StudioSession, fields: Fields) -> Reply:
    """Goes back by one edit."""
    return _edit(session, PlanEditor.undo)


def redo(session: StudioSession, fields: Fields) -> Reply:
    """Goes on by one edit."""
    return _edit(session, PlanEditor.redo)


def clear_plan(session: StudioSession, fields: Fields) -> Reply:
    """Takes everything out of the plan; this can be undone."""
    return _edit(session, lambda editor: editor.set(()))


def import_plan(session: StudioSession, fields: Fields) -> Reply:
    """Puts the changes of a plan's JSON in the place of all."""
    plan = InterventionPlan.from_json(_json_text(fields.text("text")))
    return _edit(session, lambda editor: editor.set(plan.changes), complete=True)


def export_plan(session: StudioSession, fields: Fields) -> Reply:
    """The plan's JSON, of the changes that are on, as the command line reads it."""
    return Reply({"text": session.plan.to_json()})


def preview(session: StudioSession, fields: Fields) -> Reply:
    """Where the points would go with further changes at the end of the plan, which stays as it is.

    Where the plan cannot be applied, it is the last one that could, as in the targets.
    """
    more = [_read_change(session, record) for record in fields.listed("changes", dict)]
    plan = InterventionPlan([*session.edited.plan, *more])
    edited = EditedMap.of(plan, session.round.map, session.data.labels, session.classes)
    return Reply({}, [_positions(edited.targets), edited.moved.astype(np.uint8).tobytes()])


PLAN_REQUESTS = {
    function.__name__: function
    for function in (
        select,
        change,
        edit_change,
        remove_change,
        toggle_change,
        order_changes,
        undo,
        redo,
        clear_plan,
        import_plan,
        export_plan,
        preview,
    )
}


def _edit(
    session: StudioSession, action: Callable[[PlanEditor], Any], *, complete: bool = False
) -> Reply:
    session.edit(action, complete=complete)
    return Reply({"plan": plan_state(session)})


def _read_change(session: StudioSession, record: dict[str, Any]) -> Change:
    """The change that a record tells of; a selection that no plan knows becomes the points it means."""
    resolved = dict(record)
    for name, value in record.items():
        if is_kept(value):
            resolved[name] = selection_asked(session.editor, value)
        elif isinstance(value, dict) and value.get("type") in ("ErrorsOf", "Column"):
            selection = read_selection(value)
            assert not isinstance(selection, Selection)
            mask = session.select(selection)
            resolved[name] = as_record(as_indices(mask, "such samples"), "the selection")
    made = change_of(resolved, "The change")
    return replace(made, reason=made.reason.strip() or None) if made.reason else made


def _json_text(text: str) -> str:
    """The text itself: one that is no JSON could be taken for the path of a file."""
    text = text.removeprefix("\ufeff").lstrip()  # some editors mark a file's beginning
    if text[:1] != "{":
        raise ValueError(
            f"The file holds no plan: a plan is a JSON object. It begins {text[:40]!r}."
        )
    return text


def _positions(values: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()
