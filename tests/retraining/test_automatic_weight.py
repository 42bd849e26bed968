import doctest

import keras
import numpy as np
import pytest
from keras import layers

from keras_pli.intervention import Exclude, InterventionPlan, Shift, Weigh
from keras_pli.retraining import PLILoss, PLIModel, pli_experiment
from keras_pli.retraining.data import ShuffledBatches
from keras_pli.retraining.starting_point import reseed, restore, state_of
from keras_pli.retraining.trials import automatic_weight
from keras_pli.retraining.trials.automatic_weight import GRID, stratified

AUTO = {"embedding_weight": "auto", "scale": 1.0}


def test_examples_run():
    assert doctest.testmod(automatic_weight).failed == 0


@pytest.fixture(scope="module")
def classifier(blobs):
    keras.utils.set_random_seed(1)
    classifier = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu"),
            layers.Dropout(0.2),
            layers.Dense(3, "softmax"),
        ]
    )
    classifier.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    classifier.fit(*blobs[0], epochs=5, verbose=0)
    return classifier


@pytest.fixture(scope="module")
def data(blobs):
    x, labels = blobs[0]
    rows = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    return x, {"label": labels, "embedding": 3 * rows}


def compiled(classifier, embedder, loss):
    pli = PLIModel(classifier, embedder)
    pli.compile(keras.optimizers.Adam(0.02), loss, run_eagerly=True)
    return pli


def test_a_fit_is_one_with_the_weight_found(classifier, embedder, data, monkeypatch):
    """What the pilot did leaves no trace, and its cost is that of a retraining by hand."""
    found, find = [], PLIModel.find_weight

    def noted(self, *args, **settings):
        found.append(find(self, *args, **settings))
        return found[0]

    monkeypatch.setattr(automatic_weight, "GRID", (0.5,))
    monkeypatch.setattr(PLIModel, "find_weight", noted)
    start, ended = state_of(classifier), []
    length = {"epochs": 1, "batch_size": 45, "verbose": 0}
    for weight in ("auto", 0.5):
        restore(classifier, start)
        keras.utils.set_random_seed(3)
        loss = PLILoss(embedding_weight=weight, most_cost=0.5, scale=1.0)
        pli = compiled(classifier, embedder, loss)
        pli.fit(*data, **length)
        assert pli.loss_function.embedding_weight == 0.5
        ended.append(classifier.get_weights())
    for ours, others in zip(*ended, strict=True):
        np.testing.assert_array_equal(ours, others)
    train, test = stratified(data[1]["label"], 0.2, seed=0)
    accuracies = []
    for weight in (0.0, 0.5):
        restore(classifier, start)
        reseed(classifier, 0)
        rows = {name: values[train] for name, values in data[1].items()}
        batches = ShuffledBatches(data[0][train], rows, batch_size=45, seed=0)
        pli = compiled(classifier, embedder, PLILoss(embedding_weight=weight, scale=1.0))
        pli.fit(batches, shuffle=False, verbose=0)
        decided = classifier.predict(data[0][test], verbose=0).argmax(axis=1)
        accuracies.append(np.mean(decided == data[1]["label"][test]))
    restore(classifier, start)
    assert found[0].costs == {0.5: pytest.approx(accuracies[0] - accuracies[1])}
    assert found[0].held_out == len(test) == 18


@pytest.mark.parametrize("most_cost", [0.0, 0.003, 0.03, 0.2, 0.9])
def test_halving_finds_the_largest_that_passes(classifier, embedder, data, most_cost, monkeypatch):
    tried = []

    def accuracy(self, weight, **settings):
        tried.append((weight, settings["epochs"], settings["batch_size"]))
        return 0.9 - 0.1 * weight

    monkeypatch.setattr(automatic_weight.WeightPilot, "accuracy", accuracy)
    pli = compiled(classifier, embedder, PLILoss(most_cost=most_cost, **AUTO))
    wanted = max((weight for weight in GRID if 0.1 * weight <= most_cost), default=0.0)
    if wanted == 0:
        with pytest.warns(UserWarning, match="Even λ = 0.01 costs 0.001 of accuracy on 18 samples"):
            found = pli.find_weight(*data, epochs=7)
    else:
        found = pli.find_weight(*data, epochs=7)
    assert found.weight == wanted
    assert len(tried) <= 5
    assert {each[1:] for each in tried} == {(7, 32)}
    assert set(found.costs) == {weight for weight, *_ in tried} - {0.0}


@pytest.mark.slow
def test_an_experiment_finds_one_for_each_seed(classifier, embedder, blobs, monkeypatch, tmp_path):
    asked = []

    def accuracy(self, weight, *, epochs, batch_size, steps, class_weight=None):
        asked.append((self._seed, epochs, batch_size, len(self._weights), tuple(self._y)))
        return 0.9 - 0.1 * weight

    monkeypatch.setattr(automatic_weight.WeightPilot, "accuracy", accuracy)
    plan = InterventionPlan([Shift(1, by=(1.0, 0.0)), Weigh(2, 3.0)])
    given = {"embedder": embedder, "epochs": 1, "batch_size": 45, "seeds": [4], "verbose": 0}
    automatic = {"embedding_weight": "auto", "most_cost": 0.03, "out": tmp_path}
    (run,) = pli_experiment(classifier, *blobs, plan, **given, **automatic).runs
    assert set(asked) == {(4, 1, 45, 90, ("label", "embedding", "moved"))}
    result = pli_experiment(classifier, *blobs, plan, **given, **automatic)
    assert run.embedding_weight == result.runs[0].embedding_weight == 0.2
    assert result.about["embedding_weight"] == "auto"
    assert result.about["most_cost"] == 0.03
    with pytest.raises(ValueError, match="differs in most_cost"):
        pli_experiment(classifier, *blobs, plan, **given, **{**automatic, "most_cost": 0.1})
    with pytest.raises(ValueError, match="`most_cost` must be a number"):
        pli_experiment(classifier, *blobs, plan, **given, most_cost=-1)


@pytest.mark.parametrize("form", ["column", "one_hot"])
def test_labels_in_other_forms(classifier, embedder, data, form):
    labels = data[1]["label"]
    loss = "categorical_crossentropy" if form == "one_hot" else "sparse_categorical_crossentropy"
    given = np.eye(3)[labels] if form == "one_hot" else labels[:, None]
    pli = compiled(classifier, embedder, PLILoss(loss, **AUTO))
    pilot = automatic_weight.WeightPilot(pli, data[0], {**data[1], "label": given}, None, 0)
    np.testing.assert_array_equal(pilot._classes, labels)


def test_a_loss_that_is_to_find_it_is_stored_as_such():
    loss = PLILoss("mse", "auto", most_cost=0.2)
    read = PLILoss.from_config(loss.get_config())
    assert (read.embedding_weight, read.most_cost) == ("auto", 0.2)
    assert read.with_weight(0.5).embedding_weight == 0.5
    with pytest.raises(ValueError, match=r"be 'auto', or lie between 0 and 1. Received: 'most'"):
        PLILoss("mse", "most")
    with pytest.raises(ValueError, match="`most_cost` must be a number from 0 and less than 1"):
        PLILoss("mse", "auto", most_cost=1.0)


def test_what_does_not_fit(classifier, embedder, data):
    pli = compiled(classifier, embedder, PLILoss(**AUTO))
    batches = ShuffledBatches(*data, batch_size=30, seed=0)
    with pytest.raises(ValueError, match="needs arrays"):
        pli.fit(batches, verbose=0)
    with pytest.raises(ValueError, match="λ is 'auto', and not known yet"):
        pli.evaluate(*data, verbose=0)
    several = np.eye(3)[data[1]["label"]] + np.eye(3)[0]
    with pytest.raises(ValueError, match=r"must be of one class.*shape \(90, 3\)"):
        pli.find_weight(data[0], {**data[1], "label": several})
    with pytest.raises(
        ValueError, match=r"outputs of shape \(samples, classes\).*\(samples, 5, 3\)"
    ):
        automatic_weight._classes(data[1]["label"], (1, 5, 3))
    single = [0, 1, 2]
    with pytest.raises(ValueError, match="no class has two samples"):
        pli.find_weight(data[0][:3], {"label": np.array(single), "embedding": np.ones((3, 2))})


def test_what_no_training_can_use_is_refused(classifier, embedder, data):
    pli = compiled(classifier, embedder, PLILoss(**AUTO))
    (x, y), start = data, classifier.get_weights()
    bad = {"label": y["label"] - 1, "embedding": np.where(np.arange(90)[:, None] == 4, np.nan, 1)}

    def refused(words, x=x, y=y, **settings):
        with pytest.raises(ValueError, match=words):
            pli.find_weight(x, y, **settings)

    refused("Inputs of `x` must be finite.* rows 4", x=x * bad["embedding"][:, :1])
    refused(r"`y\['embedding'\]` must be finite", y={**y, "embedding": bad["embedding"]})
    refused(r"`y\['label'\]` must be classes from 0 to 2.* -1", y={**y, "label": bad["label"]})
    refused("`epochs` must be a whole number from 1. Received: 0", epochs=0)
    refused("`batch_size` must be a whole number from 1. Received: 0", batch_size=0)
    refused("none has a `sample_weight` above 0", sample_weight=np.zeros(90))
    refused("a finite number for each of the 90", sample_weight=np.full(90, np.inf))
    refused("a finite number for each of the 90", sample_weight=np.ones(3))
    for weights, before in zip(classifier.get_weights(), start, strict=True):
        np.testing.assert_array_equal(weights, before)


def test_a_training_that_diverges_follows_no_plan(classifier, embedder, data, monkeypatch):
    class Lost:
        history = {"loss": [1.0, np.nan]}  # noqa: RUF012

    pli = compiled(classifier, embedder, PLILoss(**AUTO))
    monkeypatch.setattr(PLIModel, "fit", lambda *_, **__: Lost)
    with pytest.raises(ValueError, match="λ = 0, and that training diverged: its loss is nan"):
        pli.find_weight(*data)
    pilot = automatic_weight.WeightPilot(pli, *data)
    assert pilot.accuracy(0.5, epochs=1, batch_size=45) == 0.0
    pilot.end()


@pytest.mark.slow
def test_a_plan_and_the_steps_that_are_meant(classifier, embedder, data, monkeypatch):
    lengths = []

    class Noted(ShuffledBatches):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            lengths.append(len(self))

    monkeypatch.setattr(automatic_weight, "GRID", (0.5,))
    monkeypatch.setattr(automatic_weight, "ShuffledBatches", Noted)
    pli = compiled(classifier, embedder, PLILoss(embedding_weight="auto", scale=1.0))
    plan = InterventionPlan([Shift(1, (1.0, 0.0)), Exclude(np.arange(45))])
    found = pli.find_weight(data[0], data[1]["label"], plan=plan, batch_size=9, steps=10)
    assert found.held_out == 9 and lengths == [8, 8]  # 10 steps of 45 samples, with 36 left
