"""`keras-pli inspect maximise` as a user would call it."""

import keras
import numpy as np
import pytest
from PIL import Image
from slow_cases import slow

from keras_pli.cli import main
from keras_pli.inspection import ActivationMaximization, MaximizedImages
from keras_pli.rationale.digit_networks import FOLDER as NETWORKS


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("maximise") / "clf.keras"
    model.save(path)
    return model, str(path)


def test_classes_with_their_names(classifier, tmp_path, capsys):
    model, path = classifier
    given = ["inspect", "maximise", "--model", path, "--steps", "20", "--units", "2,0"]
    options = [
        "--class-names",
        "cat,dog,owl",
        "--other",
        path,
        "--seed",
        "3",
        "--out",
        str(tmp_path),
    ]
    assert main([*given, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("owl: activation ") and "probability" in lines[0]
    assert lines[-2].endswith(" of 2.") and f"{path} agrees on " in lines[-2]
    assert lines[-1] == f"Wrote {tmp_path / 'maximised.npz'}, {tmp_path / 'maximised.png'}."
    found = MaximizedImages.load(tmp_path / "maximised.npz")
    expected = ActivationMaximization(model, steps=20)([2, 0], seed=3)
    np.testing.assert_allclose(found.images, expected.images, atol=1e-5)
    assert Image.open(tmp_path / "maximised.png").width > 150


@pytest.mark.slow
def test_channels_of_a_layer(classifier, tmp_path, capsys):
    given = ["inspect", "maximise", "--model", classifier[1], "--layer", "first", "--steps", "3"]
    assert main([*given, "--range", "-1", "1", "--starts", "2", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(": activation") == 4
    assert MaximizedImages.load(tmp_path / "maximised.npz").images.shape == (4, 2, 8, 8, 1)


@pytest.mark.slow
def test_among_the_images_of_a_generator(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential(layers).save(tmp_path / "clf.keras")
    files = [
        "--model",
        str(tmp_path / "clf.keras"),
        "--generator",
        str(NETWORKS / "generator.keras"),
    ]
    assert main(["inspect", "maximise", *files, "--steps", "40", "--out", str(tmp_path)]) == 0
    found = MaximizedImages.load(tmp_path / "maximised.npz")
    assert (found.history[..., -1] > found.history[..., 0]).all()
    assert found.about["parameterization"] == "generator"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "2,x"], "--units must be whole numbers with commas between. Received: '2,x'."),
        (["--units", "7"], "`target` holds classes that do not exist: 7."),
        (["--layer", "last"], "'last'"),
        slow(
            ["--class-names", "cat,dog"],
            "must name every unit, up to 2. Received 2: 'cat', 'dog'.",
        ),
        (
            ["--layer", "first", "--class-names", "a"],
            "--class-names are of classes, and --layer asks",
        ),
        (["--range", "1", "0"], "increasing. Received: (1.0, 0.0)"),
    ],
)
def test_errors(classifier, tmp_path, capsys, options, message):
    given = ["inspect", "maximise", "--model", classifier[1], "--steps", "2"]
    assert main([*given, *options, "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
