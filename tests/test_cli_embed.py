"""`keras-pli embed`: an objective and its own options, and what the commands after it make of the map."""

import inspect
import re

import keras
import numpy as np
import pytest
from PIL import Image

import keras_pli as kp
from keras_pli.cli import main

KINDS = {
    "tsne": kp.ParametricTSNE,
    "umap": kp.ParametricUMAP,
    "contrastive": kp.ContrastiveEmbedding,
}


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """Arguments that name a classifier and its data."""
    folder = tmp_path_factory.mktemp("embed")
    keras.utils.set_random_seed(0)
    head = keras.layers.Dense(3, activation="softmax")
    classifier = keras.Sequential([keras.Input((4,)), head])
    classifier.compile("sgd", "sparse_categorical_crossentropy")
    classifier.save(folder / "clf.keras")
    x, y = np.random.default_rng(0).normal(size=(90, 4)).astype("float32"), np.arange(90) % 3
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:30], y_test=y[:30])
    return ["--model", str(folder / "clf.keras"), "--data", str(folder / "data.npz")]


def embedded(common, out, *options):
    assert main(["embed", *common, "--out", str(out), *options]) == 0
    return keras.saving.load_model(out / "embedder.keras")


@pytest.mark.parametrize(
    ("options", "kind", "objective"),
    [
        pytest.param(["--perplexity", "8"], "tsne", {"perplexity": 8.0}, marks=pytest.mark.slow),
        pytest.param(
            ["--perplexity", "5", "8", "20"],
            "tsne",
            {"perplexity": (5.0, 8.0, 20.0)},
            marks=pytest.mark.slow,
        ),
        (["--neighbors", "7", "--min-dist", "0.3"], "umap", {"n_neighbors": 7, "min_dist": 0.3}),
        pytest.param(
            ["--neighbors", "7", "--spectrum", "0.5"],
            "contrastive",
            {"n_neighbors": 7, "spectrum": 0.5},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_objective_and_its_options(common, tmp_path, capsys, options, kind, objective):
    options = [*options, "--metric", "cosine", "--epochs", "1", "--batch-size", "20"]
    embedder = embedded(common, tmp_path, "--objective", kind, "--seed", "4", *options)
    assert type(embedder) is KINDS[kind]
    assert (embedder.metric, embedder.seed) == ("cosine", 4)
    for name, value in objective.items():
        assert getattr(embedder.objective, name) == value
    printed = capsys.readouterr()
    assert f"{KINDS[kind].__name__} of 90 points, 3 features of 'logits'" in printed.out
    assert main(["suggest", *common, "--out", str(tmp_path), "--pairs", "1"]) == 0
    with np.load(tmp_path / "embedding.npz") as stored:
        assert stored["embedding"].shape == (90, 2)


@pytest.mark.slow
def test_epochs(common, tmp_path, monkeypatch):
    """What is not given is left to the map: its number of epochs, or the paper's."""
    asked = []

    def noted(self, z, **settings):
        asked.append((settings, self.fit_defaults))
        raise ValueError("That is enough.")

    monkeypatch.setattr(kp.ParametricEmbedding, "fit", noted)
    both = ["--epochs", "auto", "--batch-size", "auto"]
    for options in ([], both, ["--paper", "--perplexity", "8"]):
        assert main(["embed", *common, "--out", str(tmp_path / "out"), *options]) == 1
    (default, _), (auto, _), (paper, own) = asked
    assert default == {"epochs": None, "batch_size": None} == paper
    assert auto == {"epochs": "auto", "batch_size": "auto"}
    assert (own.epochs, own.batch_size) == (10, 500)


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        ("umap", ["--perplexity", "5", "8"], "umap takes no --perplexity. Its options are --n"),
        ("umap", ["--paper", "--spectrum", "0"], "umap takes no --paper, --spectrum."),
        ("tsne", ["--neighbors", "8"], "tsne takes no --neighbors. Its options are --perplexity,"),
        ("contrastive", ["--min-dist", "0"], "takes no --min-dist. Its options are --neighbors,"),
        ("sne", [], "argument --objective: invalid choice: 'sne'"),
        ("tsne", ["--epochs", "0"], "argument --epochs: must be a whole number from 1"),
        ("tsne", ["--epochs", "always"], "or `auto`. Received: 'always'"),
        (
            "tsne",
            ["--batch-size", "many"],
            "argument --batch-size: must be a whole number from 1, or",
        ),
    ],
)
def test_options_of_another_objective_are_wrong_usage(capsys, objective, options, message):
    with pytest.raises(SystemExit) as left:
        given = ["--model", "m", "--data", "d", "--out", "o", "--objective", objective]
        main(["embed", *given, *options])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        ("tsne", ["--perplexity", "1"], "`perplexity` must be above 1. Received: 1.0"),
        ("umap", ["--min-dist", "3"], "Received: spread=1.0, min_dist=3.0"),
        ("contrastive", ["--spectrum", "nan"], "`spectrum` must be"),
    ],
)
def test_numbers_out_of_range_are_met_before_a_model_is_read(
    tmp_path, capsys, objective, options, message
):
    given = ["--model", "none.keras", "--data", "none.npz", "--out", str(tmp_path / "out")]
    assert main(["embed", *given, "--objective", objective, *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_names_the_defaults_that_the_classes_have(capsys):
    with pytest.raises(SystemExit):
        main(["embed", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    flags = {
        "--perplexity": ("tsne", "perplexity"),
        "--neighbors": ("umap", "n_neighbors"),
        "--min-dist": ("umap", "min_dist"),
        "--spectrum": ("contrastive", "spectrum"),
    }
    for flag, (kind, name) in flags.items():
        stated = re.search(rf" {flag} [A-Z].*?\(default: ([\d.]+)\)", said)[1]
        assert float(stated) == inspect.signature(KINDS[kind]).parameters[name].default
    both = [
        inspect.signature(KINDS[kind]).parameters["n_neighbors"] for kind in KINDS if kind != "tsne"
    ]
    assert len({parameter.default for parameter in both}) == 1
    sizes = [KINDS[kind]().objective.batch_size(20_000) for kind in ("umap", "tsne")]
    assert sizes[0] < sizes[1]
    assert f"default: auto, which is {sizes[0]} or all points, of tsne more from 10,000" in said
    paper, smooth = (make().fit_defaults for make in (KINDS["tsne"].paper, KINDS["tsne"].smooth))
    for name in ("epochs", "batch_size"):
        asked = f"with --paper {getattr(paper, name)}, with --smooth {getattr(smooth, name)})"
        assert said.count(asked) == 1, asked


@pytest.mark.slow
def test_thumbnails_are_of_images(common, tmp_path, capsys):
    assert main(["embed", *common, "--thumbnails", "--out", str(tmp_path)]) == 1
    assert "--thumbnails draws images" in capsys.readouterr().err
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6, 6)), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "clf.keras")
    x = np.random.default_rng(0).random((60, 6, 6), dtype=np.float32)
    np.savez(
        tmp_path / "x.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x, y_test=np.arange(60) % 3
    )
    given = [
        "--model",
        str(tmp_path / "clf.keras"),
        "--data",
        str(tmp_path / "x.npz"),
        "--epochs",
        "1",
    ]
    few = [*given, "--class-names", "cat,dog", "--out", str(tmp_path)]
    assert main(["embed", *few]) == 1
    assert "No name for the labels 2" in capsys.readouterr().err
    embedded(given, tmp_path, "--perplexity", "8", "--thumbnails", "--class-names", "cat,dog,owl")
    assert Image.open(tmp_path / "thumbnails.png").width > 500
