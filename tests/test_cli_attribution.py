"""`keras-pli explain` and `check` as a user would call them."""

import io
import re
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_pli.attribution import GradCAM, Saliency, load_attributions
from keras_pli.cli import main
from keras_pli.parquet import write_columns


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trained convolutional classifier of digits, its data, and the arguments that name them."""
    folder = tmp_path_factory.mktemp("explain")
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[:600, ..., None], digits.target[:600]
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu", name="first"),
            keras.layers.Conv2D(8, 3, activation="relu", name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x[:500], y[:500], epochs=3, verbose=0)
    classifier.save(folder / "clf.keras")
    np.savez(folder / "data.npz", x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    common = ["--model", str(folder / "clf.keras"), "--data", str(folder / "data.npz")]
    return classifier, x[500:], y[500:], common


@pytest.mark.slow
def test_explain_writes_arrays_and_pictures(files, tmp_path, monkeypatch):
    classifier, x, _, common = files
    command = ["explain", *common, "--method", "saliency,grad_cam", "--cam-layer", "first"]
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main([*command, "--samples", "5", "--pictures", "2", "--out", str(tmp_path)]) == 0
    lines = terminal.getvalue().split("\n")  # a bar is drawn over and over within its line
    assert [line for line in lines if not re.match(r"\W* *\d+/", line)] == [
        "saliency of 5 samples …",
        "grad_cam of 5 samples …",
        f"Wrote {tmp_path / 'saliency'}, {tmp_path / 'grad_cam'}.",
        f"Wrote {tmp_path / 'attributions.png'}.",
        "",
    ]
    expected = {"saliency": Saliency(classifier), "grad_cam": GradCAM(classifier, layer="first")}
    for name, method in expected.items():
        stored = load_attributions(tmp_path / name)
        np.testing.assert_allclose(
            stored["attributions"], method(x[:5]).attributions, rtol=1e-4, atol=1e-5
        )
    assert Image.open(tmp_path / "attributions.png").width > 300


def test_explain_chosen_samples_for_their_own_labels(files, tmp_path):
    classifier, x, y, common = files
    command = ["explain", *common, "--method", "gradient-times-input", "--target", "label"]
    options = ["--index", "7,3", "--pictures", "0", "--out", str(tmp_path)]
    assert main([*command, *options]) == 0
    stored = load_attributions(tmp_path / "gradient_times_input")
    expected = Saliency(classifier)(x[[7, 3]], y[[7, 3]])
    np.testing.assert_allclose(stored["scores"], expected.scores, rtol=1e-4)
    assert not (tmp_path / "attributions.png").exists()
    # The same folder with other samples would mix them up.
    assert main([*command, "--index", "7,4", *options[2:]]) == 1


@pytest.mark.slow
def test_explain_a_file_of_inputs_alone(files, tmp_path):
    _, x, _, common = files
    np.savez(tmp_path / "x.npz", x=x[:3])
    command = ["explain", *common[:2], "--data", str(tmp_path / "x.npz"), "--method", "Saliency"]
    assert main([*command, "--target", "4", "--out", str(tmp_path / "out")]) == 0
    assert len(load_attributions(tmp_path / "out" / "saliency")["index"]) == 3
    assert main([*command, "--target", "label", "--out", str(tmp_path / "other")]) == 1


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16", "int64"])
@pytest.mark.slow
def test_explain_images_of_any_type_of_numbers(files, tmp_path, dtype):
    classifier, x, _, common = files
    images = (x[:3] * 16).astype(dtype)
    np.savez(tmp_path / "x.npz", x=images)
    command = ["explain", *common[:2], "--data", str(tmp_path / "x.npz"), "--method", "saliency"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    found = load_attributions(tmp_path / "out" / "saliency")["attributions"]
    expected = Saliency(classifier)(images.astype("float32")).attributions
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert Image.open(tmp_path / "out" / "attributions.png").width > 300


@pytest.mark.slow
def test_explain_parquet_and_write_parquet(files, tmp_path, capsys):
    classifier, x, y, common = files
    for number, rows in enumerate((slice(0, 4), slice(4, 9))):
        columns = {"image": x[rows], "label": y[rows]}
        write_columns(tmp_path / "data" / f"{number}.parquet", columns)
    command = ["explain", *common[:3], str(tmp_path / "data"), "--method", "saliency"]
    command += ["--target", "label", "--samples", "6", "--pictures", "0", "--format", "parquet"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out" / "saliency").glob("part-*.parquet"))
    stored = load_attributions(tmp_path / "out" / "saliency")
    np.testing.assert_allclose(stored["scores"], Saliency(classifier)(x[:6], y[:6]).scores, 1e-5)
    write_columns(tmp_path / "two.parquet", {"image": x, "other": x})
    command[4] = str(tmp_path / "two.parquet")
    assert main([*command, "--out", str(tmp_path / "two")]) == 1
    assert "of which 'image', 'other' hold arrays" in capsys.readouterr().err


@pytest.mark.slow
def test_explain_with_a_model_of_a_fixed_batch(tmp_path):
    image = keras.Input(batch_shape=(4, 8, 8, 1))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    model.save(tmp_path / "clf.keras")
    x = np.random.default_rng(0).random((7, 8, 8, 1), dtype=np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    files = ["--model", str(tmp_path / "clf.keras"), "--data", str(tmp_path / "x.npz")]
    assert main(["explain", *files, "--method", "saliency", "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "attributions.png").width > 300


@pytest.mark.slow
def test_check_runs_both_tests(files, tmp_path, capsys):
    common = files[-1]
    command = ["check", *common, "--method", "saliency,guided_backprop", "--tests", "model,data"]
    options = ["--samples", "6", "--seeds", "2", "--epochs", "2", "--out", str(tmp_path)]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    assert "saliency is sensitive. With the upper 2 of 3 layers random" in printed
    assert "guided_backprop is " in printed
    assert "permuted" in printed
    table = pd.read_csv(tmp_path / "model-randomization.csv")
    assert set(table["method"]) == {"saliency", "guided_backprop"}
    assert list(table["layer"].unique()) == ["head", "second", "first"]
    assert set(pd.read_csv(tmp_path / "data-randomization.csv")["mode"]) == {"data"}
    assert Image.open(tmp_path / "model-randomization.png").width > 300


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "salience"], "'salience'.*'saliency'"),
        (["--method", "saliency", "--target", "eleven"], "'eleven'"),
        (["--method", "saliency", "--target", "10"], "10.*0 to 9"),
        (["--method", "saliency", "--index", "100"], "0 to 99.*100"),
        (["--method", "grad_cam", "--cam-layer", "third"], "'third'.*'first'"),
    ],
)
def test_errors_name_what_is_wrong(files, tmp_path, capsys, options, message):
    assert main(["explain", *files[-1], *options, "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error, flags=re.DOTALL)


def test_an_unknown_test_is_named(files, tmp_path, capsys):
    command = ["check", *files[-1], "--method", "saliency", "--tests", "weights"]
    assert main([*command, "--out", str(tmp_path)]) == 1
    assert "'weights'" in capsys.readouterr().err
