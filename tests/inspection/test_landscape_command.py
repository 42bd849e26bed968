"""`keras-pli inspect landscape` as a user would call it."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_pli import inspection
from keras_pli.cli import main


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)).astype("float32"), rng.integers(0, 3, 60)
    np.savez(folder / "data.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    for seed, name in enumerate(("one", "other")):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(3, "softmax")]
        )
        model.save(folder / f"{name}.keras")
    return folder


def call(files, out, *options):
    model, data = str(files / "one.keras"), str(files / "data.npz")
    return main(
        ["inspect", "landscape", "--model", model, "--data", data, "--out", str(out), *options]
    )


@pytest.mark.slow
def test_a_surface_and_its_sharpness(files, tmp_path, capsys):
    assert call(files, tmp_path, "--grid", "5", "--span", "0.5", "--sharpness") == 0
    printed = capsys.readouterr().out
    assert "Largest Hessian eigenvalue" in printed and "surface.png" in printed
    found = inspection.LossSurface.load(tmp_path / "surface.npz")
    np.testing.assert_allclose(found.alphas, np.linspace(-0.5, 0.5, 5))
    model = keras.saving.load_model(files / "one.keras")
    with np.load(files / "data.npz") as stored:
        x, y = stored["x_train"], stored["y_train"]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    at = [found.losses[2, 2], found.metrics[0, 2, 2]]
    np.testing.assert_allclose(at, model.evaluate(x, y, verbose=0), rtol=1e-5)
    figures = json.loads((tmp_path / "sharpness.json").read_text("utf-8"))
    wanted = inspection.hessian_eigenvalues(model, x, y).values[0]
    assert figures["largest_eigenvalue"] == pytest.approx(wanted, rel=1e-2)
    for name in ("surface", "spectrum"):
        assert Image.open(tmp_path / f"{name}.png").width > 300
    assert not (tmp_path / "parts").exists()


def test_a_line_between_two_models(files, tmp_path, capsys):
    assert call(files, tmp_path, "--grid", "5", "--between", str(files / "other.keras")) == 0
    assert "Barrier between the solutions: " in capsys.readouterr().out
    found = inspection.LossLine.load(tmp_path / "line.npz")
    np.testing.assert_allclose(found.alphas, np.linspace(0, 1, 5))


@pytest.mark.slow
def test_a_line_of_some_samples(files, tmp_path):
    assert call(files, tmp_path, "--grid", "3", "--lines", "1", "--index", "0,5") == 0
    assert inspection.LossLine.load(tmp_path / "line.npz").losses.shape == (3,)


def test_bad_input_is_quoted(files, tmp_path, capsys):
    assert call(files, tmp_path, "--index", "40") != 0
    assert "--index must lie from 0 to 39. Received: 40." in capsys.readouterr().err
    assert call(files, tmp_path, "--between", "none.keras") != 0
    assert "There is no model file none.keras" in capsys.readouterr().err
