"""The plan of a session as pages show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...checks import quoted
from ...intervention.naming import named
from ..session.edited_map import kind_of
from ..session.session import StudioSession
from .kept_selections import record_for_page


def plan_state(session: StudioSession) -> dict[str, Any]:
    """Returns the plan entry by entry: what each says, why, whether it is on, how many points it selects."""
    with session.lock:
        entries, error = session.editor.entries, session.plan_error
        edited, editor, revision = session.edited, session.editor, session.revision
    counts: dict[int, int] = {}
    if error is None:
        on = [entry.number for entry in entries if entry.on]
        counts = {
            number: int(np.count_nonzero(mask))
            for number, mask in zip(on, edited.selected, strict=True)
        }
    return {
        "revision": revision,
        "entries": [
            {
                "id": entry.number,
                "on": entry.on,
                "words": str(named(entry.change, session.data.class_names)),
                "reason": entry.change.reason,
                "kind": kind_of(entry.change),
                "change": record_for_page(entry),
                "count": counts.get(entry.number),
            }
            for entry in entries
        ],
        "can_undo": editor.can_undo,
        "can_redo": editor.can_redo,
        "error": error,
        "warnings": _warnings(session, edited.lost) if error is None else [],
    }


def _warnings(session: StudioSession, lost: Sequence[int]) -> list[str]:
    if not lost:
        return []
    names = quoted(session.class_name(label) for label in lost)
    return [f"The plan leaves no sample of {names} to train on."]
