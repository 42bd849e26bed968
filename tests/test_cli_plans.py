"""Plans on the command line: suggested, proposed, checked, and retrained by."""

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from keras_pli import ExperimentResult, InterventionPlan, Relabel, Shift, Weigh
from keras_pli.cli import main
from keras_pli.commands.data import load_data


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A classifier of digits, of whose training labels some are wrong and some missing."""
    folder = tmp_path_factory.mktemp("plans")
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[:700], digits.target[:700].copy()
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential(
        [keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x[:500], y[:500], epochs=8, verbose=0)
    classifier.save(folder / "clf.keras")
    y[:10] = (y[:10] + 1) % 10
    y[10:30] = -1
    np.savez(folder / "data.npz", x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    common = ["--model", str(folder / "clf.keras"), "--data", str(folder / "data.npz")]
    return folder, y, common


def test_proposals_are_picked_into_the_plan(files, tmp_path, capsys):
    _, _, common = files
    common = [*common, "--out", str(tmp_path)]
    assert main(["propose", *common]) == 0
    proposals = InterventionPlan.load(tmp_path / "proposals.json")
    assert len(proposals) and not proposals.needs_map
    assert (tmp_path / "proposals.png").stat().st_size > 5_000
    assert not (tmp_path / "plan.json").exists()
    there = InterventionPlan([*proposals.changes[:1], Shift(3, (1, 0))])
    there.save(tmp_path / "plan.json")
    assert main(["propose", *common, "--pick", "1,2"]) == 0  # what the plan has is not added twice
    plan = InterventionPlan.load(tmp_path / "plan.json")
    assert plan.changes == (*proposals.changes[:2], Shift(3, (1, 0)))  # before the moves
    assert "Added 1 of 2 to" in capsys.readouterr().out


@pytest.mark.slow
def test_picks_that_are_none(files, tmp_path, capsys):
    _, _, common = files
    common = [*common, "--out", str(tmp_path)]
    assert main(["propose", *common, "--pick", "1,99"]) == 1
    assert "Received: 99" in capsys.readouterr().err
    assert main(["propose", *common, "--pick", "first"]) == 1
    assert "such as 1,3. Received: 'first'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_of_data_needs_no_map(files, tmp_path):
    _, _, common = files
    common = [*common, "--out", str(tmp_path)]
    assert main(["propose", *common, "--pick", "1,2"]) == 0
    assert main(["retrain", *common, "--epochs", "1", "--seeds", "1"]) == 0
    run = ExperimentResult.load(tmp_path / "experiment").run_of()
    assert run.train_map is None and sum(run.edited.values()) > 0
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_moves_are_checked_on_the_map(files, tmp_path, capsys):
    _, _, common = files
    common = [*common, "--out", str(tmp_path)]
    assert main(["embed", *common, "--perplexity", "20", "--epochs", "1", "--smooth"]) == 0
    assert main(["check-plan", *common]) == 1
    assert "There is no plan" in capsys.readouterr().err
    InterventionPlan([Weigh(8, 2.0)]).save(tmp_path / "plan.json")
    assert main(["check-plan", *common]) == 1
    assert "There is nothing to check" in capsys.readouterr().err
    InterventionPlan([Shift(3, by=(5, 0)), Weigh(8, 2.0)]).save(tmp_path / "plan.json")
    assert main(["check-plan", *common, "--map-only"]) == 0
    assert "1. shift class 3 by (5, 0): " in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "plan-check.csv")) >= 1
    assert main(["check-plan", *common, "--weight", "0"]) == 1
    assert "λ" in capsys.readouterr().err
    assert main(["suggest", *common, "--pairs", "1"]) == 0  # what the plan has of data stays
    assert InterventionPlan.load(tmp_path / "plan.json").data_changes == (Weigh(8, 2.0),)
    assert InterventionPlan.load(tmp_path / "plan-before-1.json").moves == (Shift(3, by=(5, 0)),)


@pytest.mark.slow
def test_moves_are_tried_and_retrained_by(files, tmp_path, capsys):
    _, _, common = files
    common = [*common, "--out", str(tmp_path)]
    assert main(["embed", *common, "--perplexity", "20", "--epochs", "1", "--smooth"]) == 0
    assert main(["suggest", *common, "--pairs", "1"]) == 0
    plan = InterventionPlan([Shift(3, by=(5, 0)), Weigh(8, 2.0), Relabel([10], 4)])
    plan.save(tmp_path / "plan.json")
    capsys.readouterr()
    assert main(["check-plan", *common, "--weight", "0.5", "--samples", "200"]) == 0
    assert "of the way" in capsys.readouterr().out
    assert (tmp_path / "plan-check.png").stat().st_size > 5_000
    assert main(["retrain", *common, "--epochs", "1", "--seeds", "1", "--weight", "0.2"]) == 0
    run = ExperimentResult.load(tmp_path / "experiment").run_of()
    assert run.edited["relabelled"] == 1 and run.embedding_weight == 0.2


@pytest.mark.slow
def test_the_largest_weight_that_does_no_harm(files, tmp_path, capsys):
    _, _, common = files
    common = [*common, "--out", str(tmp_path)]
    assert main(["embed", *common, "--perplexity", "20", "--epochs", "1", "--smooth"]) == 0
    InterventionPlan([Shift(3, by=(5, 0))]).save(tmp_path / "plan.json")
    assert main(["retrain", *common, "--epochs", "1", "--seeds", "1", "--weight", "auto"]) == 0
    assert 0 <= ExperimentResult.load(tmp_path / "experiment").run_of().embedding_weight <= 1


def test_a_fifth_is_held_out_of_what_has_a_label(files, tmp_path):
    _, y, _ = files
    x = np.arange(500.0)[:, None]
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y[:500])
    (_, kept), (_, held_out) = load_data(str(tmp_path / "data.npz"))
    assert np.count_nonzero(kept == -1) == 20 and held_out.min() == 0 and len(held_out) == 96


def test_weights_of_other_kinds(files, tmp_path, capsys):
    _, _, common = files
    with pytest.raises(SystemExit):
        main(["retrain", *common, "--out", str(tmp_path), "--weight", "much"])
    assert "must be a number or auto. Received: 'much'" in capsys.readouterr().err
