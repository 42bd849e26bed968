"""A session of the studio: what a plan does to it, and that all of it is there again."""

import random

import numpy as np
import pytest
from tiny_studio import CLASSES, SAMPLES, SHIFT, ask, error_of, linear, new_round

import keras_pli as kp
from keras_pli.studio import StudioData, StudioSession
from keras_pli.studio.conversation import Conversation, kept_selections
from keras_pli.studio.view_source import view_version


def test_map_is_the_embedders(session, data, embedder):
    x, _ = data.train
    weights, bias = data.classifier.get_weights()
    expected = (x @ weights + bias) @ embedder.get_weights()[0]
    found = np.frombuffer(ask(session, "positions", of="map").buffers[0], "<f4").reshape(-1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_targets_are_the_plans(session, data):
    ask(session, "change", change=SHIFT)
    ask(
        session,
        "change",
        change={"type": "Weigh", "selection": {"type": "Indices", "indices": [0, 5]}, "factor": 3},
    )
    plan = kp.InterventionPlan([kp.Shift(1, by=(2, -1)), kp.Weigh([0, 5], 3)])
    targets, moved, flags = ask(session, "positions", of="targets").buffers
    expected, expected_moved = plan.apply(session.round.map, data.labels)
    assert targets == expected.astype("<f4").tobytes()
    assert np.array_equal(np.frombuffer(moved, np.uint8), expected_moved)
    assert np.flatnonzero(np.frombuffer(flags, np.uint8) == 1).tolist() == [0, 5]
    assert kp.InterventionPlan.load(session.folder.plan) == plan


def test_undo_gives_the_old_bytes(session):
    before = ask(session, "positions", of="targets").buffers
    ask(session, "change", change=SHIFT)
    assert ask(session, "positions", of="targets").buffers != before
    assert not ask(session, "undo").content["plan"]["entries"]
    assert ask(session, "positions", of="targets").buffers == before
    assert error_of(session, "undo").startswith("There is nothing to undo")


def test_errors_of_become_points(session, data):
    wrong = np.flatnonzero((data.labels == 0) & (session.round.predictions == 2))
    record = {"type": "ErrorsOf", "label": 0, "predicted": 2}
    mask = np.unpackbits(
        np.frombuffer(ask(session, "select", selection=record).buffers[0], np.uint8),
        bitorder="little",
    )[:SAMPLES]
    assert len(wrong) and np.flatnonzero(mask).tolist() == wrong.tolist()
    ask(session, "change", change={"type": "Exclude", "selection": record, "reason": " odd "})
    (change,) = session.plan.changes
    assert change == kp.Exclude(wrong, reason="odd")


def test_opened_again_all_is_there(data, folder):
    first = StudioSession(data, folder)
    ask(first, "change", change=SHIFT)
    ask(first, "change", change={**SHIFT, "by": [0, 5]})
    ask(first, "undo")
    with pytest.raises(RuntimeError, match="is being written by"):
        StudioSession(data, folder)
    first.close()
    second = StudioSession(data, folder)
    assert second.plan == first.plan and second.note is None
    assert second.round.map.tobytes() == first.round.map.tobytes()
    ask(second, "redo")
    assert len(second.plan) == 2
    second.close()


def test_other_data_or_map_is_refused(data, folder):
    x, labels = data.train
    other = StudioData.of(data.classifier, x + 1, labels, test=data.test)
    with pytest.raises(ValueError, match="another train inputs"):
        StudioSession(other, folder)
    with pytest.raises(ValueError, match="another map"):
        StudioSession(data, folder, embedder=linear(2, CLASSES, 9, "other"))


def test_a_change_that_cannot_be_made_is_refused(session):
    far = [[900, 900], [901, 900], [900, 901]]
    lasso = {"type": "Polygon", "vertices": far}
    assert "holds none" in error_of(session, "change", change={**SHIFT, "selection": lasso})
    assert not session.plan.changes
    assert ask(session, "select", selection=lasso).content["count"] == 0


def test_an_entry_that_another_needs_switched_off(session):
    square = np.array([[50, 50], [60, 50], [60, 60], [50, 60]])
    vertices = (square + session.round.map.max(axis=0)).tolist()
    by = (session.round.map.max(axis=0) + 55 - session.round.map[0]).tolist()
    ask(
        session,
        "change",
        change={"type": "Shift", "selection": {"type": "Indices", "indices": [0]}, "by": by},
    )
    ask(
        session,
        "change",
        change={"type": "Contract", "selection": {"type": "Polygon", "vertices": vertices}},
    )
    first = session.editor.entries[0].number
    plan = ask(session, "toggle_change", entry=first, on=False).content["plan"]
    assert "holds none" in plan["error"]
    assert [entry["on"] for entry in plan["entries"]] == [False, True]
    assert ask(session, "toggle_change", entry=first, on=True).content["plan"]["error"] is None


def test_a_new_round_keeps_what_was_said_of_the_data(session):
    ask(session, "change", change=SHIFT)
    ask(
        session,
        "change",
        change={"type": "Relabel", "selection": {"type": "Indices", "indices": [3]}, "label": 1},
    )
    ask(
        session,
        "change",
        change={"type": "Weigh", "selection": {"type": "ClassLabel", "label": 1}, "factor": 2},
    )
    ones = np.flatnonzero(session.edited.data.labels == 1)
    new_round(session, trained=session.edited)
    assert session.plan == kp.InterventionPlan([kp.Relabel([3], 1), kp.Weigh(ones, 2)])
    rounds = ask(session, "rounds").content["rounds"]
    assert [(note["title"], note["parent"], note["current"]) for note in rounds] == [
        ("As given", None, False),
        ("Kept", 0, True),
    ]
    ask(session, "go_to", round=0)
    assert len(session.plan) == 3


def test_hello_and_another_version(session):
    content = ask(session, "hello", version=view_version()).content
    assert content["points"] == SAMPLES
    assert [each["name"] for each in content["classes"]] == ["a", "b", "c"]
    assert "reload" in error_of(session, "hello", version="0.1-other")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "nothing"}, "There is no request 'nothing'"),
        ({"kind": "change"}, "lacks `change`"),
        ({"kind": "change", "change": {"type": "Explode"}}, "Explode"),
        ({"kind": "remove_change", "entry": 99}, "no entry 99"),
        ({"kind": "import_plan", "text": "/etc/passwd"}, "holds no plan"),
        ({"kind": "go_to", "round": 4}, "no round 4"),
    ],
)
def test_bad_requests_are_answered(session, fields, told):
    reply = Conversation(session).ask(fields)
    assert told in reply.content["error"]


def test_opening_leaves_the_random_state_as_it_was(data, folder):
    before = random.getstate()
    StudioSession(data, folder).close()
    assert random.getstate() == before


def test_long_lists_of_points_stay_at_the_server(session, monkeypatch):
    monkeypatch.setattr(kept_selections, "MOST_SENT", 3)
    points = {"type": "Indices", "indices": [4, 8, 15, 16, 23]}
    weigh = {"type": "Weigh", "selection": points, "factor": 2}
    (entry,) = ask(session, "change", change=weigh).content["plan"]["entries"]
    told = entry["change"]["selection"]
    assert told == {"type": "Indices", "count": 5, "entry": entry["id"], "field": "selection"}
    assert ask(session, "select", selection=told).content["count"] == 5
    ask(session, "edit_change", entry=entry["id"], change={**entry["change"], "factor": 4})
    assert list(session.plan) == [kp.Weigh([4, 8, 15, 16, 23], 4)]
