"""Long lists of points stay at the server: a page is told their number, and names them by their entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ...intervention.selection import Indices
from ...intervention.storage import as_record
from ..session.plan_editor import Entry, PlanEditor
from ..session.selections import StudioSelection, read_selection

MOST_SENT = 2_000


def record_for_page(entry: Entry) -> dict[str, Any]:
    """Returns an entry's change as JSON holds it, but for lists of more than 2,000 points.

    Example:
        >>> from keras_pli.intervention import Weigh
        >>> record_for_page(Entry(4, Weigh(range(3000), 2.0)))["selection"]
        {'type': 'Indices', 'count': 3000, 'entry': 4, 'field': 'selection'}
    """
    values = {each.name: getattr(entry.change, each.name) for each in fields(entry.change)}
    kept = {
        name: {
            "type": "Indices",
            "count": len(value.rows),
            "entry": entry.number,
            "field": name,
        }
        for name, value in values.items()
        if isinstance(value, Indices) and len(value.rows) > MOST_SENT
    }
    stand_ins: dict[str, Any] = dict.fromkeys(kept, Indices([0]))
    short = replace(entry.change, **stand_ins) if kept else entry.change
    return {**as_record(short, "the change"), **kept}


def selection_asked(editor: PlanEditor, record: Mapping[str, Any]) -> StudioSelection:
    """Returns the selection that a page means, also one that `record_for_page` left here.

    Raises:
        ValueError: If it tells of none, or the entry that has it is gone.
    """
    if not is_kept(record):
        return read_selection(record)
    entry = editor.entry(record["entry"])
    found = getattr(entry.change, str(record.get("field")), None)
    if not isinstance(found, Indices):
        raise ValueError(f"The entry {entry.number} of the plan holds no such points any more.")
    return found


def is_kept(record: Any) -> bool:
    """Whether a record stands for points that `record_for_page` left here."""
    return isinstance(record, Mapping) and "entry" in record and "indices" not in record
