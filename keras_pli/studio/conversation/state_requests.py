"""What a page asks first: what there is, and where the points lie."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ...intervention.data_changes import lacks_label
from ...plotting.page import dark_color
from ...plotting.style import class_styles
from ...version import __version__
from ..jobs.decisions import has_report, kept_map
from ..session.session import StudioSession
from ..view_source import view_version
from .fields import Fields, Reply
from .job_requests import job_state
from .plan_state import plan_state
from .sample_requests import samples_state


def hello(session: StudioSession, fields: Fields) -> Reply:
    """All that a page needs to begin, or to find its way back after the connection was lost."""
    theirs, ours = fields.text("version"), view_version()
    if theirs != ours:
        raise ValueError(
            f"This page is of another version ({theirs}) than the studio that answers ({ours}): reload it."
        )
    data = session.data
    return Reply(
        {
            "version": ours,
            "keras_pli": __version__,
            "title": data.classifier.name,
            "layer": data.layer,
            "points": len(data.labels),
            "held_out": len(data.test[1]),
            "classes": class_list(session),
            "unlabelled": int(np.count_nonzero(lacks_label(data.labels))),
            "folder": str(session.folder.path),
            "note": session.note,
            **samples_state(session),
            "plan": plan_state(session),
            **round_state(session),
            **job_state(session),
        }
    )


def class_list(session: StudioSession) -> list[dict[str, Any]]:
    """Label, name, colours on light and dark grounds, and shape of every class."""
    styles = class_styles(np.arange(session.classes), session.data.class_names)
    return [
        {
            "label": label,
            "name": style.name,
            "color": style.color,
            "dark": dark_color(style.color),
            "shape": style.marker,
        }
        for label, style in styles.items()
    ]


def round_state(session: StudioSession) -> dict[str, Any]:
    """The rounds of the session, and which of them is looked at."""
    present = session.round
    notes = {note.number: note for note in session.rounds()} | {present.number: present.note}
    rounds = [
        {
            **asdict(note),
            "current": number == present.number,
            "report": has_report(session, number),
        }
        for number, note in sorted(notes.items())
    ]
    return {"round": next(note for note in rounds if note["current"]), "rounds": rounds}


def positions(session: StudioSession, fields: Fields) -> Reply:
    """Where the points lie, float32 `(points, 2)`; of the edited map also what was moved and edited.

    With `round`, where they lie on a map of the retraining that made that round.
    """
    of = fields.text("of", options=("map", "targets", "baseline", "asked", "control", "PLI"))
    number = fields.whole("round", least=0, default=None)
    with session.lock:
        revision, edited = session.revision, session.edited
        if number is not None:
            found = kept_map(session, number, of)
        else:
            found = edited.targets if of == "targets" else session.map_of(of)
    buffers = [np.ascontiguousarray(found, dtype="<f4").tobytes()]
    if of == "targets":
        buffers += [edited.moved.astype(np.uint8).tobytes(), edited.flags.tobytes()]
    return Reply({"of": of, "points": len(found), "revision": revision}, buffers)


def plan(session: StudioSession, fields: Fields) -> Reply:
    """The plan as it stands."""
    return Reply({"plan": plan_state(session)})


def rounds(session: StudioSession, fields: Fields) -> Reply:
    """The rounds, and which of them is looked at."""
    return Reply(round_state(session))


STATE_REQUESTS = {function.__name__: function for function in (hello, positions, plan, rounds)}
