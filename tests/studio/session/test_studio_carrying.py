"""What of a plan goes on in a new round."""

import numpy as np
import pytest
from tiny_studio import new_round

from keras_pli import Contract, Exclude, InterventionPlan, Relabel, Shift, Weigh
from keras_pli.intervention import Polygon
from keras_pli.studio.session.carrying import carried_over
from keras_pli.studio.session.edited_map import EditedMap
from keras_pli.studio.session.plan_editor import PlanEditor

POINTS = np.array([[0, 0], [1, 0], [5, 5], [6, 5]], dtype=np.float32)
LABELS = np.array([0, 0, 1, 1])
LASSO = Polygon([(4, 4), (7, 4), (7, 7), (4, 7)])
TRAINED = [Shift(0, by=(1, 0)), Relabel([1], 1), Weigh(LASSO, 3.0)]


def applied(changes):
    return EditedMap.of(InterventionPlan(changes), POINTS, LABELS, 2)


def carried(editor, edited=None, **how):
    found = carried_over(
        editor.entries, edited or applied(editor.plan), trained=applied(TRAINED), **how
    )
    return [(entry.change, entry.on) for entry in found.editor.entries], found.note


def test_what_was_trained_stays_whatever_became_of_the_plan():
    kept, note = carried(PlanEditor())
    assert kept == [(Relabel([1], 1), True), (Weigh([2, 3], 3.0), True)] and note is None
    again, note = carried(PlanEditor(TRAINED))
    assert again == kept and note is None


def test_what_came_since_is_carried_over():
    since = [Contract(1, reason="Wide."), Exclude(LASSO), Weigh([0], 2.0)]
    editor = PlanEditor([*TRAINED, *since])
    editor.switch(6, on=False)
    kept, note = carried(editor)
    assert kept[2:] == [
        (Contract(1, reason="Wide."), False),
        (Exclude([2, 3]), True),
        (Weigh([0], 2.0), False),
    ]
    assert note.startswith("1 step is carried over switched off: moves and lassos belong")


def test_a_lasso_that_nobody_could_apply_is_switched_off():
    editor = PlanEditor([Weigh([9], 2.0), Exclude(LASSO)])
    kept, note = carried(editor, applied([]))
    assert kept[2:] == [(Weigh([9], 2.0), True), (Exclude(LASSO), False)] and "1 step" in note


def test_with_the_control_the_plan_is_carried_over_switched_off():
    editor = PlanEditor([*TRAINED[1:], Shift(1, by=(2, 2)), Exclude([0])])
    kept, note = carried(editor, by_plan=False)
    assert kept == [
        (Relabel([1], 1), False),
        (Weigh([2, 3], 3.0), False),
        (Shift(1, by=(2, 2)), False),
        (Exclude([0]), True),
    ]
    assert note.startswith("The control was trained without the plan, so 3 steps of it are")


@pytest.mark.slow
def test_with_a_new_map_alone(session):
    session.edit(lambda editor: editor.set([Shift(1, by=(1, 1), reason="Far."), Weigh(1, 2.0)]))
    heard = []
    session.events.subscribe(lambda content, _: heard.append(content))
    note = new_round(session)
    assert [entry.on for entry in session.editor.entries] == [False, True]
    assert session.editor.entries[0].change == Shift(1, by=(1, 1), reason="Far.")
    assert note == heard[-1]["note"] and "1 step is carried over switched off" in note
    with pytest.raises(ValueError, match="nothing to undo"):
        session.edit(PlanEditor.undo)
