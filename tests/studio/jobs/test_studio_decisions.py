"""What is decided of a retraining: kept, discarded, looked at again."""

import shutil
import threading

import numpy as np
import pytest
from job_studio import ask, ended, plan_of, refused

from keras_pli.intervention import InterventionPlan, Shift, Weigh
from keras_pli.retraining import pli_experiment
from keras_pli.studio import StudioSession
from keras_pli.studio.jobs import decisions

pytestmark = pytest.mark.usefixtures("without_tracing")


@pytest.fixture(scope="module")
def retrained(given, tmp_path_factory):
    """A folder with a session in which a retraining waits to be decided on."""
    data, embedder = given
    folder = tmp_path_factory.mktemp("decide") / "run"
    made = StudioSession(data, folder, embedder=embedder)
    plan_of(made, Shift(0, by=(1, 1)), Weigh(1, 2.0))
    ended(made, "retrain", weight=0.3, epochs=1, batch_size=20, seed=4)
    made.close()
    return folder


@pytest.fixture
def waiting(given, retrained, tmp_path):
    made = StudioSession(given[0], shutil.copytree(retrained, tmp_path / "run"))
    yield made
    made.close()


@pytest.mark.slow
def test_what_is_kept_is_the_experiments(waiting, given):
    data, embedder = given
    told = waiting.events
    heard = []
    told.subscribe(lambda content, _: heard.append(content["event"]))
    positions = waiting.map_of("PLI")
    trained = {}
    pli_experiment(
        waiting.classifier_copy(),
        data.train,
        data.test,
        waiting.plan,
        embedder=embedder,
        embedding_weight=0.3,
        epochs=1,
        batch_size=20,
        seeds=[4],
        verbose=0,
        on_trained=lambda seed, arm, model: trained.update({arm: model.get_weights()}),
    )
    assert not ask(waiting, "comparison")["changed"]
    plan_of(waiting, Shift(2, by=(1, 0)))  # since the training
    comparison_of_another = ask(waiting, "comparison")
    assert comparison_of_another["changed"]
    assert comparison_of_another["plan"][0] == "shift class 'Coat' by (1, 1)"
    content = ask(waiting, "keep")
    assert (content["round"]["number"], content["round"]["parent"]) == (1, 0)
    assert "1 step is carried over switched off" in content["note"]
    assert content["plan"]["entries"][1]["on"] is False
    for ours, theirs in zip(waiting.round.classifier.get_weights(), trained["PLI"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(waiting.round.map, positions, rtol=1e-4, atol=1e-4)
    assert {file.name for file in (waiting.round.folder / "made-by").iterdir()} >= {
        "report.html",
        "plan.json",
        "classifier-control.keras",
    }
    assert waiting.plan == InterventionPlan([Weigh(np.flatnonzero(data.labels == 1), 2.0)])
    assert "round" in heard
    ask(waiting, "go_to", round=0)
    assert ask(waiting, "comparison")["none"]
    assert "nothing to keep" in refused(waiting, "keep")
    assert waiting.plan == InterventionPlan([Shift(2, by=(1, 0))])


def test_the_control_is_kept_and_what_made_it_is_told(waiting):
    assert "`arm` must be one of" in refused(waiting, "keep", arm="best")
    compared, control = ask(waiting, "comparison"), waiting.map_of("control")
    kept = ask(waiting, "keep", arm="control")
    assert [entry["on"] for entry in kept["plan"]["entries"]] == [False, False]
    assert kept["note"].startswith("The control was trained without the plan, so 2 steps")
    np.testing.assert_allclose(waiting.round.map, control, rtol=1e-4, atol=1e-4)
    made_by = kept["round"]["made_by"]
    told = {name: made_by[name] for name in ("arm", "weight", "epochs", "seeds")}
    assert told == {"arm": "control", "weight": 0.3, "epochs": 1, "seeds": [4]}
    assert [note["report"] for note in kept["rounds"]] == [False, True]
    assert ask(waiting, "comparison", round=1) == compared
    assert "<html" in ask(waiting, "report", round=1)["html"]
    assert ask(waiting, "positions", of="PLI", round=1)["points"] == len(control)
    assert "No retraining made round 0" in refused(waiting, "report", round=0)


@pytest.mark.slow
def test_what_its_plan_asked_for_stays_when_the_plan_is_edited(waiting):
    assert ask(waiting, "comparison")["maps"] == ["baseline", "asked", "control", "PLI"]
    asked = waiting.edited.targets
    plan_of(waiting, Shift(1, by=(3, 0)))
    assert ask(waiting, "positions", of="asked")["points"] == len(asked)
    np.testing.assert_allclose(waiting.map_of("asked"), asked, rtol=1e-5, atol=1e-5)
    assert not np.allclose(waiting.edited.targets, asked)


def test_what_is_discarded_is_gone(waiting):
    before = waiting.plan
    assert not ask(waiting, "comparison").get("none")
    ask(waiting, "discard")
    assert ask(waiting, "comparison")["none"]
    assert "no retraining waits" in refused(waiting, "positions", of="PLI")
    assert (waiting.plan, waiting.round.number) == (before, 0)


@pytest.mark.slow
def test_nothing_is_decided_while_a_job_runs(waiting):
    end = threading.Event()
    waiting.jobs.start("other", lambda progress, **options: end.wait(10) and {})
    for kind, fields in (("keep", {}), ("discard", {}), ("go_to", {"round": 0})):
        assert "'other' runs" in refused(waiting, kind, **fields)
    end.set()
    waiting.jobs.wait(10)
    assert not ask(waiting, "comparison").get("none")


@pytest.mark.slow
def test_a_round_made_again_in_the_same_place_is_read_again(waiting):
    ask(waiting, "keep")
    folder = waiting.folder.round(1) / decisions.MADE_BY
    first = decisions.kept_retraining(waiting, 1)
    assert decisions.kept_retraining(waiting, 1) is first
    note = folder / "retraining.json"
    text = note.read_text()
    note.unlink()
    with pytest.raises(ValueError, match=r"holds no finished retraining"):
        decisions.kept_retraining(waiting, 1)
    note.write_text(text)
    assert decisions.kept_retraining(waiting, 1) is not first
