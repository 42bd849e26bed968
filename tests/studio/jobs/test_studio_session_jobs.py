"""The jobs of a session, as a page starts, watches, stops and compares them."""

import json
import shutil
import threading
import warnings
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from job_studio import NAMES, ask, ended, plan_of, refused

import keras_pli as kp
from keras_pli.intervention import InterventionPlan, Shift, Weigh, propose, suggest
from keras_pli.retraining import PLILoss, PLIModel, pli_experiment
from keras_pli.studio import StudioData, StudioSession
from keras_pli.studio.conversation.job_requests import job_state
from keras_pli.studio.jobs import session_jobs
from keras_pli.studio.jobs.comparison import comparison
from keras_pli.studio.jobs.map_job import train_map
from keras_pli.studio.jobs.progress import Progress, Stopped
from keras_pli.studio.jobs.retraining_result import (
    RETRAINING,
    classifier_file,
    is_whole,
    write_map,
)

pytestmark = pytest.mark.usefixtures("without_tracing")


@pytest.fixture(scope="module")
def opened(given, tmp_path_factory):
    data, embedder = given
    made = StudioSession(data, tmp_path_factory.mktemp("jobs") / "run", embedder=embedder)
    yield made
    made.close()


@pytest.fixture
def session(opened):
    """A session whose plan is empty."""
    opened.edit(lambda editor: editor.set(()))
    return opened


@pytest.fixture
def heard(session):
    events = []
    unsubscribe = session.events.subscribe(
        lambda content, buffers: events.append((content, buffers))
    )
    yield events
    unsubscribe()


def test_suggestions_are_those_of_the_package(session, given):
    data, _ = given
    found = ended(session, "suggest", pairs=1)
    with_names = suggest(
        session.round.outputs, data.labels, session.round.map, pairs=1, class_names=NAMES
    )
    assert len(with_names) and found["words"] == f"{len(with_names)} move suggested"
    text = json.loads(with_names.to_json())["changes"]
    assert [one["change"] for one in found["changes"]] == text
    assert "'Coat'" in found["changes"][0]["words"] and found["changes"][0]["reason"]
    for one in found["changes"]:
        ask(session, "change", change=one["change"])
    assert session.plan == with_names


def test_suggestions_come_behind_the_plan(session, given):
    data, _ = given
    plan_of(session, Shift(0, by=(-20.0, 0.0)))
    found = ended(session, "suggest")
    edited = session.edited
    expected = suggest(session.round.outputs, data.labels, edited.targets, class_names=NAMES)
    assert [one["change"] for one in found["changes"]] == (
        json.loads(expected.to_json())["changes"]
    )


@pytest.mark.slow
def test_a_check_is_that_of_the_package(session, given):
    data, embedder = given
    tf.config.run_functions_eagerly(False)  # a pilot has many steps
    plan_of(session, Weigh(2, 2.0), Shift(2, by=(2.0, -6.0)), Shift(0, by=(-1.0, -1.0)))
    number = session.editor.entries[0].number
    session.edit(lambda editor: editor.switch(number, on=False))
    before = session.round.classifier.get_weights()
    found = ended(session, "check", samples=20, weight="auto")
    model = PLIModel(data.classifier, embedder)
    model.compile(data.optimizer, PLILoss(data.loss, 0.1))
    expected = session.plan.check(
        session.round.map,
        data.labels,
        model=model,
        x=data.train[0],
        samples=20,
        class_names=NAMES,
    )
    for told, move in zip(found["moves"], expected.moves, strict=True):
        assert (
            told["sentence"].lower() == f"{move.finding}.".lower()
            and told["points"] == move.points == 20
        )
        assert told["pilot_share"] == pytest.approx(move.pilot_share, abs=1e-5)
    assert [told["place"] for told in found["moves"]] == [1, 2]
    on = [entry.number for entry in session.editor.entries if entry.on]
    assert [told["entry"] for told in found["moves"]] == on
    names = [NAMES[met.other] for met in expected.moves[0].collides]
    assert found["moves"][0]["collides"] == names and "Shirt" in names
    assert found["passes"] == expected.passes
    assert found["share"] == pytest.approx(expected.pilot_share, abs=1e-5)
    assert all(map(np.array_equal, before, session.round.classifier.get_weights()))
    tf.config.run_functions_eagerly(True)


@pytest.mark.slow
def test_a_check_is_stopped_within_its_pilot(session, monkeypatch):
    said = []
    monkeypatch.setattr(PLIModel, "layer_reach", lambda self, *given, **how: said.append("layer"))
    report = Progress.report

    def stop_in_the_second_training(self, words, share=None):
        said.append(words)
        if "with the plan" in words:
            session.jobs.stop()
        report(self, words, share)

    monkeypatch.setattr(Progress, "report", stop_in_the_second_training)
    monkeypatch.setattr(session_jobs, "check_moves", partial(session_jobs.check_moves, steps=4))
    plan_of(session, Shift(2, by=(2.0, -6.0)))
    ask(session, "start", job="check", options={"samples": 20})
    assert session.jobs.wait(60).state == "stopped"
    assert said.index("layer") < said.index(
        "Training on a sample for a try, without the plan, epoch 1 of 4"
    )
    assert said[-1] == "Training on a sample for a try, with the plan, epoch 1 of 4"


def test_a_check_of_the_map_alone(session):
    plan_of(session, Shift(2, by=(2.0, -6.0)))
    found = ended(session, "check", samples=0)
    assert found["share"] is None and found["moves"][0]["pilot_share"] is None
    assert found["moves"][0]["collides"] == ["Shirt", "Coat"] and not found["passes"]


def test_proposals_are_those_of_the_package(given, tmp_path):
    """With a label that is wrong, and a training sample that is held out, too."""
    data, embedder = given
    (x, labels), (x_test, labels_test) = data.train, data.test
    labels, x_test = labels.copy(), x_test.copy()
    labels[2] = 1
    x_test[0] = x[4]
    wrong = StudioData.of(data.classifier, x, labels, test=(x_test, labels_test), class_names=NAMES)
    session = StudioSession(wrong, tmp_path / "run", embedder=embedder)
    try:
        found = ended(session, "propose")
        expected = propose(
            session.round.activations,
            labels,
            session.round.outputs,
            test=x_test,
            inputs=x,
            class_names=NAMES,
        )
        text = json.loads(expected.plan().to_json())["changes"]
        assert [one["change"] for one in found["proposals"]] == text
        assert found["proposals"][0]["kind"] == "duplicate"
        assert found["proposals"][0]["indices"] == [4] and found["proposals"][0]["count"] == 1
        assert any("'Bag'" in one["words"] for one in found["proposals"])
        for one in found["proposals"]:
            ask(session, "change", change=one["change"])
        again = ended(session, "propose")
        assert not [one for one in again["proposals"] if one["change"] in text]
    finally:
        session.close()


@pytest.mark.slow
def test_retraining_from_the_page(session, given, heard, tmp_path):
    data, embedder = given
    plan = [Shift(0, by=(-1.0, -1.0)), Weigh(1, 2.0)]
    plan_of(session, *plan)
    assert ask(session, "comparison")["none"]
    assert "nothing was retrained" in refused(session, "report")
    options = {"weight": 0.5, "epochs": 2, "batch_size": 20}
    told = ended(session, "retrain", **options)
    weights = {}
    result = pli_experiment(
        data.classifier,
        data.train,
        data.test,
        InterventionPlan(plan),
        embedder=embedder,
        embedding_weight=0.5,
        epochs=2,
        batch_size=20,
        seeds=1,
        class_names=NAMES,
        on_trained=lambda seed, arm, model: weights.update({arm: model.get_weights()}),
        verbose=0,
    )
    assert told["answer"] == result.answer() and told["advice"] == result.advice()
    waiting = session_jobs.waiting_retraining(session)
    for arm, file in waiting.classifiers.items():
        kept = keras.saving.load_model(file).get_weights()
        assert all(map(np.array_equal, kept, weights[arm]))
    reply = ask(session, "comparison")
    assert {name: reply[name] for name in told} == told == comparison(waiting)
    assert "<html" in ask(session, "report")["html"]
    epochs = [content for content, _ in heard if content["event"] == "epoch"]
    assert [(one["arm"], one["epoch"]) for one in epochs] == [
        (arm, epoch) for arm in ("control", "PLI") for epoch in (1, 2)
    ]
    assert heard[-1][0]["job"]["state"] == "done"
    assert heard[-1][0]["job"]["options"]["weight"] == 0.5
    ask(session, "discard")


def test_stopped_from_the_page(session, heard):
    plan_of(session, Shift(0, by=(-1.0, -1.0)))

    def stop_at_first(content, buffers):
        if content["event"] == "epoch":
            ask(session, "stop")

    unsubscribe = session.events.subscribe(stop_at_first)
    ask(session, "start", job="retrain", options={"epochs": 50, "batch_size": 20})
    assert "'retrain' is still running" in refused(session, "start", job="suggest")
    assert session.jobs.wait(60).state == "stopped"
    unsubscribe()
    assert len([1 for content, _ in heard if content["event"] == "epoch"]) == 1
    assert ask(session, "comparison")["none"]


@pytest.mark.parametrize(
    ("job", "first"),
    [("suggest", "Looking for a free way"), ("propose", "Looking for samples that are held out")],
)
def test_searches_end_with_the_part_in_which_they_are_stopped(session, job, first):
    plan_of(session)
    stop, said = threading.Event(), []

    def stop_in_the_first_part(words, share):
        said.append(words)
        if words.startswith(first):
            stop.set()

    kind, prepare = session_jobs._JOBS[job]
    with pytest.raises(Stopped):
        prepare(session, kind())(Progress(stop_in_the_first_part, stop=stop))
    assert said[-1].startswith(first)


def test_a_damaged_retraining_is_none_to_compare(session):
    folder = session.round.folder / RETRAINING / "damaged"
    for arm in ("control", "PLI"):
        write_map(folder, arm, session.round.map)
        classifier_file(folder, arm).touch()
    (folder / "retraining.json").write_text("{}", encoding="utf-8")
    assert is_whole(folder) and not job_state(session)["comparison"]
    shutil.rmtree(folder)


def test_what_cannot_be_started(session, heard):
    before = session.jobs.current
    for job, options, words in (
        ("retrain", {}, "There is nothing to train: the plan holds no change that is on"),
        ("check", {}, "There is nothing to check: the plan moves no points"),
        ("dance", {}, "`job` must be one of 'suggest'"),
        ("retrain", {"weight": 3}, "`weight` (λ) must be a number from 0 to 1"),
        ("suggest", {"pears": 3}, "takes no option 'pears'. Did you mean 'pairs'"),
        ("check", {"samples": -1}, "`samples` must be a whole number from 0"),
    ):
        assert words in refused(session, "start", job=job, options=options)
    assert session.jobs.current is before and heard == []


def test_a_plan_that_cannot_be_applied_is_not_trained(session):
    plan_of(session, Shift(0, by=(-1.0, -1.0)))
    session.edit(lambda editor: editor.add(Weigh([500], 2.0)))
    words = refused(session, "start", job="retrain")
    assert words.startswith("The plan cannot be trained as it stands. Step 2, weigh point 500")


class TestMaps:
    @pytest.mark.slow
    def test_a_new_map(self, given, tmp_path):
        data, embedder = given
        session = StudioSession(data, tmp_path / "run", embedder=embedder)
        tf.config.run_functions_eagerly(False)  # a map has many steps
        plan_of(session, Weigh(1, 2.0))
        before = session.round.map
        found = ended(session, "refresh", seed=3)
        assert found["round"] == session.round.number == 1
        assert session.round.note.parent == 0 and "refreshed" in session.round.note.title
        assert not np.allclose(session.round.map, before)
        assert isinstance(session.round.embedder, kp.ParametricTSNE)
        assert len(session.plan.data_changes) == 1
        places = session.round.map
        assert ended(session, "refresh")["round"] == session.round.number == 2
        drift = np.linalg.norm(session.round.map - places, axis=1)
        assert 0 < drift.mean() < 0.5 * places.std()  # trained on, in the same frame
        assert not (session.folder.round(0) / session_jobs.NEW_MAP).exists()
        session.close()
        tf.config.run_functions_eagerly(True)

    @pytest.mark.slow
    def test_training_one_is_stopped_and_leaves_nothing(self, tmp_path):
        said = []
        progress = Progress(lambda words, share: said.append((words, share)))

        def report(words, share):
            said.append(words)
            if words.startswith("Training the map"):
                progress._stop.set()

        progress._report = report
        z = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(Stopped):
                train_map(progress, z, tmp_path / "map.keras")
        assert said[0] == "Looking for the neighbours of each point"
        assert said[-1].startswith("Training the map, epoch 1 of ")
        assert not any(tmp_path.iterdir())
