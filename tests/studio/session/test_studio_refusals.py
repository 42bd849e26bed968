"""What pages and callers must not give, and the sentences that they are told."""

import json

import numpy as np
import pytest
from tiny_studio import SAMPLES, SHIFT, ask, error_of

from keras_pli.studio import StudioData
from keras_pli.studio.conversation import Conversation
from keras_pli.studio.conversation.framing import framed, framed_reply, unframed

HALF = "cut \ud83d"


def plan_text(**change):
    changes = [{**SHIFT, **change}]
    return json.dumps({"format": "keras_pli.InterventionPlan", "version": 2, "changes": changes})


def test_half_of_a_character_is_kept_nowhere(session):
    assert "half of a character" in error_of(session, "change", change={**SHIFT, "reason": HALF})
    assert "half of a character" in error_of(session, "import_plan", text=plan_text(reason=HALF))
    assert not session.editor.entries
    framed(ask(session, "plan").content)


@pytest.mark.parametrize("number", [float("nan"), HALF])
def test_what_cannot_be_answered_under_its_number(session, number):
    reply = Conversation(session).ask({"id": number, "kind": "undo"})
    assert reply.content["id"] is None and "The message holds" in reply.content["error"]
    framed(reply.content)


def test_an_answer_that_cannot_be_sent_is_a_sentence():
    content, buffers = unframed(framed_reply({"id": 3, "share": float("inf")}, [b"abc"]))
    assert (content["id"], content["ok"], buffers) == (3, False, [])
    assert content["error"].startswith("The studio's answer cannot be sent")


def test_a_frame_without_lengths():
    with pytest.raises(ValueError, match=r"cannot be read: it holds no object with the lengths"):
        unframed(b"\x02\x00\x00\x00{}  ")


def test_a_plan_with_the_mark_of_an_editor(session):
    assert len(ask(session, "import_plan", text="\ufeff" + plan_text()).content["plan"]["entries"])


def test_a_plan_says_which_class_it_loses(session):
    record = {"type": "Exclude", "selection": {"type": "ClassLabel", "label": 0}}
    plan = ask(session, "change", change=record).content["plan"]
    assert plan["warnings"] == ["The plan leaves no sample of 'a' to train on."]
    assert ask(session, "undo").content["plan"]["warnings"] == []


class TestAStepThatDoesNotFit:
    @pytest.fixture
    def broken(self, session):
        relabel = {"type": "Relabel", "selection": {"type": "ClassLabel", "label": 1}, "label": 0}
        undone = {"type": "Relabel", "selection": {"type": "ClassLabel", "label": 0}, "label": 2}
        ask(session, "change", change=undone)
        ask(session, "toggle_change", entry=1, on=False)
        ask(session, "change", change=relabel)
        ask(session, "toggle_change", entry=2, on=False)
        ask(session, "change", change=SHIFT)
        ask(session, "toggle_change", entry=2, on=True)
        return session

    def test_is_called_as_the_page_calls_it(self, broken):
        told = ask(broken, "plan").content["plan"]["error"]
        assert told.startswith("Step 3, shift class 'b' by (2, -1): No sample has the label 1")

    def test_keeps_no_preview_from_being_shown(self, broken):
        more = {**SHIFT, "selection": {"type": "Indices", "indices": [0]}, "by": [9, 9]}
        (sent, moved) = ask(broken, "preview", changes=[more]).buffers
        targets = np.frombuffer(sent, "<f4").reshape(-1, 2)
        np.testing.assert_allclose(targets[0], broken.round.map[0] + 9, rtol=1e-6)
        assert moved[0] == 1


def test_a_selection_is_counted_by_the_labels_of_the_plan(session):
    points = {"type": "Indices", "indices": [0, 3]}
    ask(session, "change", change={"type": "Relabel", "selection": points, "label": 2})
    on_targets = ask(session, "select", selection=points).content["classes"]
    on_map = ask(session, "select", selection=points, on="map").content["classes"]
    assert (on_targets, on_map) == ([{"name": "c", "count": 2}], [{"name": "a", "count": 2}])


@pytest.mark.parametrize("label", [3, 99])
def test_errors_of_no_class(session, label):
    record = {"type": "ErrorsOf", "label": label}
    assert "`label` must be one of" in error_of(session, "select", selection=record)


def test_a_column_that_is_not_there(session):
    record = {"type": "Column", "column": "labels", "code": 1}
    assert "`column` must be one of" in error_of(session, "select", selection=record)


def test_a_list_of_something_else(session):
    told = error_of(session, "order_changes", entries=["first"])
    assert told.startswith(
        "`entries` of the request 'order_changes' must be a list of whole numbers"
    )


def test_the_map_of_a_round_is_not_written_to(session):
    with pytest.raises(ValueError, match="read-only"):
        session.round.map[0] = 0


class TestGiven:
    @pytest.mark.parametrize(
        ("labels", "told"),
        [
            (np.where(np.arange(SAMPLES) < 9, 1, -1), "Only class 1 is labelled: -1 stands for no"),
            (np.full(SAMPLES, -1), "No sample is labelled: -1 stands for no label"),
        ],
    )
    def test_labels_of_less_than_two_classes(self, data, labels, told):
        with pytest.raises(ValueError, match=told):
            StudioData.of(data.classifier, data.train[0], labels, test=data.test)

    def test_inputs_of_another_width(self, data):
        (x, labels), (x_test, labels_test) = data.train, data.test
        with pytest.raises(ValueError, match=r"'tiny' does not take these inputs, \(2,\) a sample"):
            StudioData.of(data.classifier, x[:, :2], labels)
        with pytest.raises(ValueError, match=r"Inputs of `test` must be as those of `train`"):
            StudioData.of(data.classifier, x, labels, test=(x_test[:, :2], labels_test))

    def test_a_layer_that_is_not_there(self, data):
        with pytest.raises(ValueError, match="There is no layer 'nope' in 'tiny'"):
            StudioData.of(data.classifier, *data.train, test=data.test, layer="nope")
