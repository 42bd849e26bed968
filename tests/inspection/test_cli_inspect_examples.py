"""`keras-pli inspect influence` and `prototypes` as a user would call them."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_pli.cli import main
from keras_pli.inspection import Prototypes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    digits = load_digits()
    x, y = (digits.images / 16)[:300].astype("float32"), digits.target[:300]
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "data.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Flatten(),
            layers.Dense(16, "relu", name="hidden"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    (folder / "run").mkdir()
    store = keras.callbacks.ModelCheckpoint(
        str(folder / "run" / "{epoch:03d}.weights.h5"), save_weights_only=True
    )
    model.fit(x[:200], y[:200], epochs=3, verbose=0, callbacks=[store])
    model.save(folder / "model.keras")
    return folder


def call(folder, kind, *options):
    files = ["--model", str(folder / "model.keras"), "--data", str(folder / "data.npz")]
    return main(["inspect", kind, *files, *options])


@pytest.mark.parametrize("method", ["influence", pytest.param("tracin", marks=pytest.mark.slow)])
def test_influence(trained, tmp_path, capsys, method):
    options = ["--method", method, "--index", "3,17", "--most", "2", "--out", str(tmp_path)]
    if method == "tracin":
        options += ["--checkpoints", str(trained / "run")]
    assert call(trained, "influence", *options) == 0
    said = capsys.readouterr().out
    assert "Most suspicious training labels: " in said and "label_errors.png" in said
    assert "Explained: the loss of the class predicted of 2 test samples" in said
    frame = pd.read_csv(tmp_path / "influence.csv")
    assert (frame["explained"] == frame["test_predicted"]).all()
    assert set(frame["test"]) == {3, 17} and (frame["rank"] <= 2).all()
    assert len(pd.read_csv(tmp_path / "label_errors.csv")) == 200
    for name in ("influence", "label_errors"):
        assert Image.open(tmp_path / f"{name}.png").width > 300


@pytest.mark.slow
def test_prototypes(trained, tmp_path, capsys):
    options = ["--layer", "hidden", "--count", "2", "--criticisms", "1", "--out", str(tmp_path)]
    assert call(trained, "prototypes", *options) == 0
    frame = pd.read_csv(tmp_path / "prototypes.csv")
    assert (frame.groupby("class").size() == 3).all()
    assert Image.open(tmp_path / "prototypes.png").width > 300
    said = capsys.readouterr().out
    stored = Prototypes.load(tmp_path / "prototypes.npz")
    assert stored.to_frame()["sample"].tolist() == frame["sample"].tolist()
    assert all(
        f"{label}: prototypes {row[0]}, {row[1]};" in said
        for label, row in enumerate(stored.prototypes)
    )
    assert call(trained, "prototypes", *options, "--class", "3,5") == 0
    assert sorted(set(pd.read_csv(tmp_path / "prototypes.csv")["class"])) == [3, 5]


def test_options_that_do_not_fit(trained, tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert call(trained, "influence", *out, "--checkpoints", "run") != 0
    assert "--checkpoints are for --method tracin." in capsys.readouterr().err
    assert call(trained, "influence", *out, "--index", "100") != 0
    assert "--index must lie from 0 to 99. Received: 100." in capsys.readouterr().err
    assert call(trained, "influence", *out, "--class-names", "a,b") != 0
    assert "--class-names must name every label. Received 2" in capsys.readouterr().err
    assert call(trained, "prototypes", *out, "--class-names", "a,b") != 0
    assert "and none for 2, 3, 4" in capsys.readouterr().err
    assert call(trained, "prototypes", *out, "--class", "3,12") != 0
    assert "--class must be among the labels" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.*sv"))
