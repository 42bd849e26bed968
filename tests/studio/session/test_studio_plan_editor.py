"""The states of a plan, told and read again, and what an edit costs."""

import json
from copy import copy

import pytest

from keras_pli.intervention import Contract, Custom, Indices, Shift, Weigh, storage
from keras_pli.studio.conversation.kept_selections import (
    MOST_SENT,
    record_for_page,
    selection_asked,
)
from keras_pli.studio.session.plan_editor import PlanEditor
from keras_pli.studio.session.selections import ErrorsOf, read_selection

EDITS = {
    "added": lambda editor: editor.add(Shift(3, by=(1, 0))),
    "switched": lambda editor: editor.switch(2, on=False),
    "replaced": lambda editor: editor.replace(1, Contract(3, reason="Wide.")),
    "ordered": lambda editor: editor.order([3, 1, 4, 2]),
    "removed": lambda editor: editor.remove(1),
    "undone": lambda editor: editor.undo(),
    "set": lambda editor: editor.set([Weigh([4, 7], 2.0)]),
    "emptied": lambda editor: editor.set([]),
}


def read(text):
    return PlanEditor.of_record(json.loads(text))


def states(editor):
    """All that undoing and redoing shows, and where it stands."""
    walk, seen = copy(editor), [editor.entries]
    while walk.can_undo:
        walk.undo()
        seen.append(walk.entries)
    while walk.can_redo:
        walk.redo()
        seen.append(walk.entries)
    return seen


@pytest.mark.parametrize("until", range(1, len(EDITS) + 1))
def test_every_state_is_there_again(until):
    editor = PlanEditor([Contract(1), Contract(2), Contract(4)])
    for edit in list(EDITS.values())[:until]:
        edit(editor)
    again = read(editor.to_json())
    assert states(again) == states(editor)
    assert again.to_json() == editor.to_json()
    assert again.add(Contract(0)).number == editor.add(Contract(0)).number
    assert states(again) == states(editor)


def test_a_new_edit_drops_what_was_undone_from_the_text_too():
    editor = PlanEditor()
    editor.add(Contract(1))
    before = editor.to_json()
    editor.add(Contract(2))
    editor.undo()
    editor.add(Contract(3))
    assert "Contract" in before and '"label": 2' not in editor.to_json()
    other = copy(editor)
    other.add(Contract(4))
    assert states(read(editor.to_json())) == states(editor) != states(other)


def test_an_edit_costs_what_it_changes(monkeypatch):
    editor = PlanEditor()
    for _ in range(200):
        editor.add(Shift(Indices(range(500)), by=(1, 0)))
    size, told = len(editor.to_json()), []
    as_record = storage.as_record
    monkeypatch.setattr(storage, "as_record", lambda *given: told.append(1) or as_record(*given))
    editor.switch(100, on=False)
    assert len(editor.to_json()) - size < 100
    editor.plan.to_json()
    assert not told


def test_a_function_is_refused_before_it_is_in_the_plan():
    editor = PlanEditor()
    with pytest.raises(ValueError, match="JSON cannot hold a function"):
        editor.add(Custom(1, function=abs))
    assert not editor.entries and not editor.can_undo


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({}, "it lacks 'steps'"),
        ({"steps": 3}, "not iterable"),
        ({"steps": [{"keep": [0]}], "place": 0, "next": 1}, "expected 2"),
        ({"steps": [], "place": 0, "next": 1}, "out of range"),
    ],
)
def test_damage_is_told(record, words):
    with pytest.raises(ValueError, match=words):
        PlanEditor.of_record(record)


class TestLongLists:
    @pytest.fixture
    def editor(self):
        return PlanEditor([Weigh(range(MOST_SENT + 1), 2.0, reason="Rare."), Weigh([3], 2.0)])

    def test_a_page_is_told_how_many(self, editor):
        long, short = (record_for_page(entry) for entry in editor.entries)
        assert long == {
            "type": "Weigh",
            "selection": {"type": "Indices", "count": 2001, "entry": 1, "field": "selection"},
            "factor": 2.0,
            "reason": "Rare.",
        }
        assert short["selection"] == {"type": "Indices", "indices": [3]}

    def test_and_names_them_by_the_entry(self, editor):
        record = record_for_page(editor.entries[0])["selection"]
        assert selection_asked(editor, record) == Indices(range(2001))
        editor.remove(1)
        with pytest.raises(ValueError, match="no entry 1"):
            selection_asked(editor, record)
        with pytest.raises(ValueError, match="no such points"):
            selection_asked(editor, {**record, "entry": 2, "field": "factor"})


class TestSelections:
    @pytest.mark.parametrize(
        ("record", "words"),
        [
            ({"type": "ErrorsOf", "label": [1, 2]}, r"`label` must be a whole number"),
            ({"type": "ErrorsOf", "label": -1}, r"`label` must be a whole number from 0"),
            ({"type": "ErrorsOf", "label": None}, r"`label` must be a whole number"),
            ({"type": "ErrorsOf", "label": 1, "predicted": "a"}, r"`predicted` must be"),
            ({"type": "Column", "column": "loss", "code": "x"}, r"`code` must be a whole number"),
            (
                {"type": "Column", "column": "loss", "least": "a", "most": 1},
                r"`least` must be a number",
            ),
            ({"type": "Column", "column": "loss", "least": 0}, r"most"),
            (
                {"type": "Column", "name": "loss"},
                r"takes 'column', 'code' or 'column', 'least', 'most'",
            ),
            ({"type": "ErorsOf", "label": 1}, r"'ErrorsOf'"),
        ],
    )
    def test_what_is_no_selection_is_told(self, record, words):
        with pytest.raises(ValueError, match=words):
            read_selection(record)

    def test_errors_of_a_class(self):
        assert read_selection({"type": "ErrorsOf", "label": 8, "predicted": None}) == ErrorsOf(8)
