"""The command line, in the process; `test_cli_serving.py` runs it as a command, too."""

import re
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from keras_pli import InterventionPlan, activations
from keras_pli.cli import main
from keras_pli.locks import one_writer


@pytest.fixture(scope="module")
def files(tmp_path_factory, untraced):
    """A trained classifier, its data and a folder in which `embed` has run."""
    folder = tmp_path_factory.mktemp("cli")
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[:700], digits.target[:700]
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential(
        [keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    with untraced():
        classifier.fit(x[:500], y[:500], epochs=3, verbose=0)
    classifier.save(folder / "clf.keras")
    np.savez(folder / "data.npz", x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    common = ["--model", str(folder / "clf.keras"), "--data", str(folder / "data.npz")]
    common += ["--out", str(folder / "out")]
    with untraced():
        assert main(["embed", *common, "--perplexity", "20", "--epochs", "1"]) == 0
    return folder, common


def undated_page(folder):
    """The page of an experiment, but for the minute at which it was written."""
    return re.sub(r"[-\d]+ [:\d]+ UTC", "", (folder / "report.html").read_text(encoding="utf-8"))


def test_embed_writes_a_map_of_the_layer(files):
    folder, _ = files
    with np.load(folder / "out" / "embedding.npz") as stored:
        assert stored["embedding"].shape == (500, 2)
        embedder = keras.saving.load_model(folder / "out" / "embedder.keras")
        with np.load(folder / "data.npz") as data:
            z = activations(keras.saving.load_model(folder / "clf.keras"), data["x_train"])
        np.testing.assert_allclose(embedder.predict(z, verbose=0), stored["embedding"], atol=1e-4)
    assert (folder / "out" / "map.png").stat().st_size > 10_000


def test_suggest_then_retrain_then_report(files, tmp_path, capsys):
    folder, common = files
    out = shutil.copytree(folder / "out", tmp_path / "out")
    common = [*common[:-1], str(out)]
    assert main(["suggest", *common, "--pairs", "1"]) == 0
    plan = InterventionPlan.load(out / "plan.json")
    assert len(plan) >= 1
    assert repr(plan) in capsys.readouterr().out
    assert main(["retrain", *common, "--seed", "5", "--epochs", "1", "--seeds", "1"]) == 0
    table, _, rest = capsys.readouterr().out.partition("Share of the asked displacement")
    assert rest and table.count("control") == 3  # a block each for precision, recall and F1
    assert set(pd.read_csv(out / "scores.csv")["run"]) == {"baseline", "control", "PLI"}
    pli = keras.saving.load_model(out / "classifier-pli.keras")
    with (
        np.load(folder / "data.npz") as data,
        np.load(out / "experiment" / "seed-5.npz") as stored,
    ):
        outputs = pli.predict(data["x_test"], verbose=0)
        np.testing.assert_allclose(outputs, stored["outputs_PLI"], rtol=1e-4, atol=1e-6)
    page = undated_page(out)
    assert main(["report", "--out", str(out), "--data", str(folder / "data.npz")]) == 0
    assert undated_page(out) == page


@pytest.mark.slow
def test_suggest_then_retrain_then_go_on_then_report(files, capsys):
    folder, common = files
    out = folder / "out"
    assert main(["suggest", *common, "--pairs", "1"]) == 0
    plan = InterventionPlan.load(out / "plan.json")
    assert len(plan) >= 1
    assert repr(plan) in capsys.readouterr().out
    retrain = ["retrain", *common, "--seed", "5"]
    assert main([*retrain, "--epochs", "1", "--seeds", "1"]) == 0
    seed_file = out / "experiment" / "seed-5.npz"
    first = seed_file.read_bytes()
    capsys.readouterr()
    # With another seed, the first one is not trained again.
    assert main([*retrain, "--epochs", "1", "--seeds", "2"]) == 0
    assert seed_file.read_bytes() == first
    printed = capsys.readouterr()
    table, _, rest = printed.out.partition("Share of the asked displacement")
    assert rest
    assert max(map(len, table.splitlines())) <= 100
    assert table.count("control") == 3  # a block each for precision, recall and F1
    assert "━" not in printed.out and "seed" in printed.err  # progress is no result
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["seed"]) == {5, 6}
    assert set(scores["run"]) == {"baseline", "control", "PLI"}
    pli = keras.saving.load_model(out / "classifier-pli.keras")
    with np.load(folder / "data.npz") as data:
        accuracy = np.mean(pli.predict(data["x_test"], verbose=0).argmax(1) == data["y_test"])
        with np.load(seed_file) as of_seed:
            stored = np.mean(of_seed["outputs_PLI"].argmax(1) == data["y_test"])
    assert accuracy == pytest.approx(stored)  # the classifier kept is that of the first seed
    page = undated_page(out)
    assert main(["report", "--out", str(out), "--data", str(folder / "data.npz")]) == 0
    assert undated_page(out) == page
    capsys.readouterr()
    assert main([*retrain, "--epochs", "2", "--seeds", "2"]) == 1
    assert "differs in epochs: there {'epochs': 1}, here {'epochs': 2}" in capsys.readouterr().err
    assert main([*retrain, "--epochs", "1", "--seeds", "2", "--learning-rate", "5"]) == 1
    assert (
        "differs in optimizer.learning_rate: there {'optimizer.learning_rate': 0.001"
        in capsys.readouterr().err
    )
    assert main(["retrain", *common, "--seed", "6", "--epochs", "1", "--seeds", "1"]) == 0
    assert "classifiers of seed 6 were not kept" in capsys.readouterr().out


@pytest.mark.slow
def test_errors_name_what_is_wrong(files, tmp_path, capsys):
    folder, common = files
    data, model = str(folder / "data.npz"), str(folder / "clf.keras")
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "half.npz", x_train=np.zeros((3, 8, 8)))
    np.savez(tmp_path / "nan.npz", x_train=np.full((90, 8, 8), np.nan), y_train=np.arange(90) % 3)
    out = str(tmp_path / "out")
    cases = [
        (["embed", "--model", "none.keras", "--data", data], "no model file none.keras"),
        (["embed", "--model", str(tmp_path / "broken.keras"), "--data", data], "cannot be loaded"),
        (["embed", "--model", model, "--data", str(tmp_path / "broken.npz")], "is not an .npz"),
        (["embed", "--model", model, "--data", str(tmp_path / "half.npz")], "lacks y_train"),
        (["embed", "--model", model, "--data", str(tmp_path / "nan.npz")], "NaN or infinity"),
        (["embed", "--model", model, "--data", data, "--perplexity", "400"], "Received: 400"),
        (["embed", "--model", model, "--data", data, "--layer", "dens"], "Did you mean 'dense"),
        (["suggest", "--model", model, "--data", data], "run `keras-pli embed`"),
        (["report"], "holds no stored experiment"),
    ]
    for arguments, message in cases:
        assert main([*arguments, "--out", out]) == 1, arguments
        assert message in capsys.readouterr().err
    (folder / "out" / "foreign.json").write_text('{"format": "else"}')
    assert main(["retrain", *common, "--plan", str(folder / "out" / "foreign.json")]) == 1
    assert "foreign.json" in capsys.readouterr().err
    bad_weight = ["--weight", "1.5", "--plan", str(folder / "out" / "foreign.json")]
    assert main(["retrain", *common, *bad_weight]) == 1


def test_one_command_at_a_time_writes_to_a_folder(files, capsys):
    folder, common = files
    with one_writer(folder / "out", "command"):
        assert main(["embed", *common]) == 1
        assert "out is being written by process" in capsys.readouterr().err


def test_wrong_usage_and_help(capsys):
    with pytest.raises(SystemExit) as left:
        main(["retrain"])
    assert left.value.code == 2
    for command in ([], ["embed"], ["suggest"], ["retrain"], ["report"], ["demo"]):
        with pytest.raises(SystemExit) as left:
            main([*command, "--help"])
        assert left.value.code == 0
        if not command:
            assert "keras-pli retrain" in capsys.readouterr().out


@pytest.mark.slow
def test_demo(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--seeds", "2"]) == 0
    assert "Share of the asked displacement" in capsys.readouterr().out
    assert {"report.html", "map.png", "plan.json"} <= {file.name for file in tmp_path.iterdir()}
