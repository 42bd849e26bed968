"""`keras-pli report-model` as a user would call it."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_pli.cli import main
from keras_pli.reporting import model_report


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The arguments that name a small classifier of digits and its data."""
    folder = tmp_path_factory.mktemp("report")
    x, y = load_digits(n_class=3, return_X_y=True)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((64,)), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential(layers).save(folder / "clf.keras")
    x = x.astype("float32") / 16
    np.savez(folder / "data.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    return ["--model", str(folder / "clf.keras"), "--data", str(folder / "data.npz")]


def test_a_page_is_written(files, tmp_path, capsys):
    some = ["--parts", "confusion, provenance", "--class-names", "zero,one,two", "--samples", "100"]
    assert main(["report-model", *files, *some, "--title", "Mine", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Accuracy 0.")
    assert f"Wrote {tmp_path / 'model_report.html'}." in said.out
    assert "Part 2 of 2: provenance" in said.err
    text = (tmp_path / "model_report.html").read_text(encoding="utf-8")
    for expected in ("<h1>Mine</h1>", "clf.keras", "data.npz", "<th>two</th>", "100 of them drawn"):
        assert expected in text


@pytest.mark.slow
def test_a_failing_part_is_told_and_the_page_is_there(files, tmp_path, capsys, monkeypatch):
    def fails(context):
        raise RuntimeError("no luck")

    monkeypatch.setitem(model_report.PARTS, "map", fails)
    some = ["--parts", "map,confusion", "--out", str(tmp_path)]
    assert main(["report-model", *files, *some]) == 1
    said = capsys.readouterr()
    assert "The page is written, without what failed. map: RuntimeError: no luck" in said.err
    text = (tmp_path / "model_report.html").read_text(encoding="utf-8")
    assert "This part failed: RuntimeError: no luck" in text
    assert "Each class" in text


def test_unknown_parts_are_quoted_and_nothing_is_written(files, tmp_path, capsys):
    assert main(["report-model", *files, "--parts", "maps", "--out", str(tmp_path)]) == 1
    assert "'maps'" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))
