"""`keras-pli inspect filters`, `activations` and `top` as a user would call them."""

import re

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_pli.cli import main
from keras_pli.files import read_arrays
from keras_pli.inspection import (
    ActivationMaps,
    ReceptiveFields,
    TopActivations,
    filters,
    top_activations,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A convolutional classifier of digits, their images, and the arguments that name both."""
    folder = tmp_path_factory.mktemp("inspect")
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[:200, ..., None], digits.target[:200]
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, activation="relu", name="first"),
            keras.layers.Conv2D(20, 3, activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(name="gap"),
            keras.layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    classifier.save(folder / "clf.keras")
    np.savez(folder / "data.npz", x_test=x, y_test=y)
    model, data = ["--model", str(folder / "clf.keras")], ["--data", str(folder / "data.npz")]
    return classifier, x, y, model, data


def test_filters_of_all_layers(files, tmp_path, capsys):
    classifier, _, _, model, _ = files
    assert main(["inspect", "filters", *model, "--out", str(tmp_path)]) == 0
    stored = read_arrays(tmp_path / "filters.npz")
    assert list(stored) == ["first", "second", "head"]
    np.testing.assert_array_equal(stored["second"], filters(classifier, "second"))
    assert "first: 3 x 3 x 1 x 6" in capsys.readouterr().out
    for name in ("first", "second"):
        assert Image.open(tmp_path / f"filters-{name}.png").width > 300
    assert not (tmp_path / "filters-head.png").exists()


def test_activations_of_chosen_samples(files, tmp_path, capsys):
    classifier, x, _, model, data = files
    command = ["inspect", "activations", *model, *data, "--layer", "first", "--index", "7,3"]
    assert main([*command, "--channels", "4,0", "--out", str(tmp_path)]) == 0
    found = ActivationMaps.load(tmp_path / "activations.npz")
    expected = np.asarray(classifier.get_layer("first")(x[[7, 3]]))[..., [4, 0]]
    np.testing.assert_allclose(found.maps, expected, rtol=1e-4, atol=1e-5)
    assert "sample 1: channels " in capsys.readouterr().out
    assert Image.open(tmp_path / "activations.png").width > 300


@pytest.mark.slow
def test_top_places_of_a_data_set(files, tmp_path, capsys):
    classifier, x, y, model, data = files
    command = ["inspect", "top", *model, *data, "--layer", "second", "--k", "3"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    found = TopActivations.load(tmp_path / "top.npz")
    expected = top_activations(classifier, x, "second", k=3, labels=y)
    np.testing.assert_array_equal(found.samples, expected.samples)
    np.testing.assert_allclose(found.projections, expected.projections, rtol=1e-4, atol=1e-5)
    table = pd.read_csv(tmp_path / "top.csv")
    assert len(table) == 48 and list(table["rank"][:3]) == [0, 1, 2]
    np.testing.assert_array_equal(table["label"], y[table["sample"]])
    assert Image.open(tmp_path / "top.png").width > 200
    assert "200 samples, 16 channels of second" in capsys.readouterr().out


@pytest.mark.slow
def test_the_set_that_is_looked_at(files, tmp_path, capsys):
    classifier, x, y, model, _ = files
    np.savez(
        tmp_path / "data.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:35], y_test=y[30:35]
    )
    data = ["--data", str(tmp_path / "data.npz"), "--layer", "first"]
    for part, count in (("train", 30), ("test", 5)):
        options = ["--set", part, "--out", str(tmp_path / part)]
        assert main(["inspect", "top", *model, *data, "--k", "2", *options]) == 0
        assert f"{count} samples" in capsys.readouterr().out
    found = TopActivations.load(tmp_path / "train/top.npz")
    expected = top_activations(classifier, x[:30], "first", k=2, labels=y[:30])
    np.testing.assert_array_equal(found.labels, expected.labels)
    options = ["--set", "train", "--index", "7", "--out", str(tmp_path)]
    assert main(["inspect", "activations", *model, *data, *options]) == 0
    np.testing.assert_array_equal(ActivationMaps.load(tmp_path / "activations.npz").inputs, x[[7]])


def test_receptive_fields_are_told_and_drawn(files, tmp_path, capsys):
    model = files[3]
    command = ["inspect", "receptive-field", *model, "--layer", "second"]
    assert main(command) == 0
    assert "second at 2,2: 5 x 5 x 1, entries 2:7 2:7 0:1" in capsys.readouterr().out
    assert main([*command, "--positions", "0,0", "3,1", "--out", str(tmp_path)]) == 0
    assert "second at 3,1: 5 x 5 x 1, entries 3:8 1:6 0:1" in capsys.readouterr().out
    assert ReceptiveFields.load(tmp_path / "fields.npz").positions.tolist() == [[0, 0], [3, 1]]
    assert Image.open(tmp_path / "fields.png").width > 200


def test_layers_and_tables_without_pictures(files, tmp_path):
    _, _, _, model, data = files
    command = ["inspect", "activations", *model, *data, "--layer", "gap", "--out", str(tmp_path)]
    assert main(command) == 0
    assert not (tmp_path / "activations.png").exists()
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3, name="a")(inputs)).save(tmp_path / "table.keras")
    np.savez(tmp_path / "table.npz", x=np.random.default_rng(0).normal(size=(9, 5)))
    command = ["inspect", "top", "--model", str(tmp_path / "table.keras"), "--layer", "a"]
    options = ["--data", str(tmp_path / "table.npz"), "--no-projections", "--out", str(tmp_path)]
    assert main([*command, *options]) == 0
    assert len(pd.read_csv(tmp_path / "top.csv")) == 27
    assert not (tmp_path / "top.png").exists()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("filters", ["--layer", "gap"], "'gap'.*GlobalAveragePooling2D.*'first', 'second', 'head'"),
        ("top", ["--layer", "frist"], "'frist'.*'first'"),
        ("top", ["--layer", "first", "--channels", "6"], "6.*0 to 5"),
        ("top", ["--layer", "first", "--channels", "one"], "--channels.*'one'"),
        ("top", ["--layer", "first", "--set", "train"], "lacks x_train"),
        ("receptive-field", ["--layer", "first", "--positions", "9,9"], r"within \(6, 6\).*9, 9"),
        ("activations", ["--layer", "first", "--measure", "median"], "'median'"),
        ("activations", ["--layer", "first", "--index", "900"], "0 to 199.*900"),
    ],
)
def test_errors_name_what_is_wrong(files, tmp_path, capsys, kind, options, message):
    _, _, _, model, data = files
    given = [
        *model,
        *(data if kind in ("top", "activations") else []),
        *options,
        "--out",
        str(tmp_path),
    ]
    assert main(["inspect", kind, *given]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error, flags=re.DOTALL)
