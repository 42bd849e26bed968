import csv
import doctest
import importlib
import io
import json
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image
from sklearn.metrics import f1_score

import keras_pli.callbacks as package
from keras_pli import InterventionPlan, Shift, Weigh, activations
from keras_pli.callbacks import EmbeddingResponse, EmbeddingSnapshots, PerformanceResponse
from keras_pli.retraining import PLILoss, PLIModel, embedding_response

MODULES = [f"{package.__name__}.{entry.name}" for entry in pkgutil.iter_modules(package.__path__)]
RESPONSE = ("achieved", "missed", "drift", "separation")


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", package.__all__)
def test_every_callback_has_an_example(name):
    found = doctest.DocTestFinder().find(getattr(package, name), name)
    assert any(test.examples for test in found)


def blobs(seed=3, count=60):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.random.default_rng(0).normal(size=(3, 6))
    return (centres[labels] + rng.normal(size=(count, 6))).astype(np.float32), labels


X, LABELS = blobs()
X_TEST, LABELS_TEST = blobs(seed=4, count=45)


@pytest.fixture(scope="module")
def embedder():
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((3,)), layers.Dense(8, "tanh"), layers.Dense(2)])


def classifier_of(seed=0, outputs=3):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu"),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(outputs, "softmax" if outputs > 1 else "sigmoid"),
        ]
    )


def shifted(classifier, embedder, x, labels):
    """Targets with class 1 moved."""
    targets = np.array(embedder(activations(classifier, x)))
    targets[labels == 1] += (1.0, 0.5)
    return {"label": labels, "embedding": targets, "moved": labels == 1}


@pytest.fixture
def pli(embedder, untraced):
    """A model whose test runs without traces, which cost more than its few steps."""
    model = PLIModel(classifier_of(), embedder)
    model.compile(keras.optimizers.Adam(0.02), PLILoss(embedding_weight=0.5))
    with untraced():
        yield model


@pytest.fixture
def targets(pli, embedder):
    return shifted(pli.classifier, embedder, X, LABELS)


def fit(model, y, callbacks, **arguments):
    keras.utils.set_random_seed(1)
    given = {"epochs": 2, "batch_size": 20, "verbose": 0, **arguments}
    return model.fit(X, y, callbacks=callbacks, **given).history


class Watch(keras.callbacks.Callback):
    """Keeps map and outputs of every epoch by the classifier's own prediction."""

    def __init__(self, embedder, x):
        super().__init__()
        self.embedder, self.x, self.maps, self.outputs = embedder, x, [], []

    def on_train_begin(self, logs=None):
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        classifier = self.model.classifier
        self.maps.append(self.embedder.predict(activations(classifier, self.x), verbose=0))
        self.outputs.append(classifier.predict(self.x, verbose=0))


class TestEmbeddingResponse:
    @pytest.mark.parametrize("held_out", [pytest.param(False, marks=pytest.mark.slow), True])
    def test_agrees_with_the_function(self, pli, embedder, targets, tmp_path, held_out):
        x, y = X, targets
        if held_out:
            x, y = X_TEST, shifted(pli.classifier, embedder, X_TEST, LABELS_TEST)
        watch = Watch(embedder, x)
        callback = EmbeddingResponse((x, y) if held_out else None, prefix="my_")
        path = tmp_path / "log.csv"
        history = fit(pli, targets, [watch, callback, keras.callbacks.CSVLogger(path)])
        with path.open() as file:
            logged = list(csv.DictReader(file))
        assert len(logged) == 2
        for epoch in range(2):
            expected = embedding_response(
                watch.maps[0], y["embedding"], y["moved"], watch.maps[epoch + 1], y["label"]
            )
            for name in RESPONSE:
                assert history[f"my_{name}"][epoch] == pytest.approx(expected[name], abs=1e-4)
                assert float(logged[epoch][f"my_{name}"]) == history[f"my_{name}"][epoch]
        assert abs(history["my_achieved"][-1]) > 0.01

    def test_a_plan_says_where_held_out_points_shall_go(self, pli, embedder, targets):
        plan = InterventionPlan([Shift(1, (1.0, 0.5)), Weigh([0], 2.0)])
        expected = EmbeddingResponse(
            (X_TEST, shifted(pli.classifier, embedder, X_TEST, LABELS_TEST)), prefix="own_"
        )
        by_plan = EmbeddingResponse((X_TEST, LABELS_TEST), plan=plan)
        history = fit(pli, targets, [expected, by_plan])
        for name in RESPONSE:
            np.testing.assert_allclose(history[name], history[f"own_{name}"], atol=1e-5)

    @pytest.mark.parametrize(
        ("data", "changes"),
        [(None, [Shift(1, (1, 0))]), ((X_TEST, LABELS_TEST), [Shift([0], (1, 0))])],
    )
    def test_a_plan_that_does_not_carry_over(self, data, changes):
        with pytest.raises(ValueError, match=r"by class or lasso. Received \w+ data and:\nInterv"):
            EmbeddingResponse(data, plan=InterventionPlan(changes))

    def test_without_a_map(self, tmp_path):
        model = PLIModel(classifier_of())
        model.compile("sgd", PLILoss(embedding_weight=0.0))
        for callback in (EmbeddingResponse(), EmbeddingSnapshots(tmp_path)):
            with pytest.raises(
                ValueError, match="watches the map, and the PLIModel has no embedder"
            ):
                fit(model, LABELS, [callback])

    @pytest.mark.slow
    def test_moved_are_those_whose_target_lies_elsewhere(self, pli, targets):
        without = {name: targets[name] for name in ("label", "embedding")}
        weights = pli.classifier.get_weights()
        assert set(RESPONSE) <= set(fit(pli, without, [EmbeddingResponse()]))
        callback, other = EmbeddingResponse((X, targets)), EmbeddingResponse((X, without))
        pli.classifier.set_weights(weights)
        for each in (callback, other):
            each.set_model(pli)
            each.on_train_begin()
        np.testing.assert_array_equal(other._moved, LABELS == 1)
        np.testing.assert_array_equal(other._moved, callback._moved)

    @pytest.mark.slow
    def test_stands_before_what_records_it(self, pli, targets, tmp_path):
        paths = [tmp_path / name for name in ("before.csv", "after.csv")]
        before, after = (keras.callbacks.CSVLogger(path) for path in paths)
        fit(pli, targets, [before, EmbeddingResponse(), after])
        heads = [path.read_text().splitlines()[0].split(",") for path in paths]
        assert "achieved" not in heads[0]
        assert set(RESPONSE) <= set(heads[1])

    @pytest.mark.slow
    def test_a_checkpoint_can_watch_it(self, pli, targets, tmp_path):
        keeper = keras.callbacks.ModelCheckpoint(
            tmp_path / "best.keras", monitor="achieved", mode="max", save_best_only=True
        )
        fit(pli, targets, [EmbeddingResponse(), keeper])
        assert keras.saving.load_model(tmp_path / "best.keras").name == pli.classifier.name

    @pytest.mark.slow
    def test_a_second_fit_starts_from_where_it_stands(self, pli, embedder, targets):
        callback = EmbeddingResponse()
        first = fit(pli, targets, [callback])
        watch = Watch(embedder, X)
        second = fit(pli, targets, [callback, watch], epochs=1)
        expected = embedding_response(
            watch.maps[0], targets["embedding"], LABELS == 1, watch.maps[1], LABELS
        )
        assert second["achieved"][0] == pytest.approx(expected["achieved"], abs=1e-4)
        assert len(first["achieved"]) == 2
        assert len(second["achieved"]) == 1

    @pytest.mark.slow
    def test_one_hot_labels(self, pli, targets):
        pli.compile("sgd", PLILoss("categorical_crossentropy", 0.5))
        history = fit(pli, {**targets, "label": np.eye(3)[LABELS]}, [EmbeddingResponse()])
        assert np.isfinite(history["separation"]).all()

    @pytest.mark.slow
    def test_at_the_most_so_many(self, pli, targets):
        chosen = []
        callbacks = [
            EmbeddingResponse(most=25, seed=seed, prefix=prefix)
            for seed, prefix in ((0, "a_"), (0, "b_"), (1, "c_"))
        ]
        fit(pli, targets, callbacks, epochs=1)
        for callback in callbacks:
            assert len(callback._x) == len(callback._moved) == 25
            rows = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in callback._x]
            assert len(set(rows)) == 25
            np.testing.assert_array_equal(callback._y["label"], LABELS[rows])
            np.testing.assert_array_equal(callback._y["embedding"], targets["embedding"][rows])
            chosen.append(rows)
        assert chosen[0] == chosen[1] != chosen[2]

    def test_no_targets(self, pli, targets):
        with pytest.raises(ValueError, match=r"needs targets.*Received: 'label'"):
            fit(pli, targets, [EmbeddingResponse((X, LABELS))])


class TestPerformanceResponse:
    def test_agrees_with_scikit_learn(self, pli, embedder, targets):
        seen, held_out = Watch(embedder, X), Watch(embedder, X_TEST)
        options = {"groups": {"pair": [0, 2]}, "class_names": list("abc")}
        callbacks = [
            PerformanceResponse(**options),
            PerformanceResponse((X_TEST, LABELS_TEST), prefix="val_", **options),
            PerformanceResponse((X_TEST, {"label": LABELS_TEST}), prefix="named_", **options),
        ]
        history = fit(pli, targets, [seen, held_out, *callbacks])
        for prefix, watch, labels in (
            ("", seen, LABELS),
            ("val_", held_out, LABELS_TEST),
            ("named_", held_out, LABELS_TEST),
        ):
            for epoch in range(2):
                predicted = watch.outputs[epoch + 1].argmax(axis=1)
                each = f1_score(labels, predicted, average=None, labels=[0, 1, 2], zero_division=0)
                found = [history[f"{prefix}f1_{name}"][epoch] for name in "abc"]
                np.testing.assert_allclose(found, each)
                for key, classes in (("f1_pair", [0, 2]), ("f1", [0, 1, 2])):
                    expected = f1_score(
                        labels, predicted, average="weighted", labels=classes, zero_division=0
                    )
                    assert history[prefix + key][epoch] == pytest.approx(expected)

    def test_subgroups_and_the_worst_of_them(self, targets):
        classifier = classifier_of()
        model = PLIModel(classifier)
        model.compile("sgd", PLILoss(embedding_weight=0.0), run_eagerly=True)
        groups = np.where(np.arange(len(X_TEST)) % 3 == 0, "few", "many")
        callback = PerformanceResponse((X_TEST, LABELS_TEST), subgroups=groups)
        history = fit(model, LABELS, [callback], epochs=1)
        right = classifier.predict(X_TEST, verbose=0).argmax(axis=1) == LABELS_TEST
        found = [right[groups == name].mean() for name in ("few", "many")]
        assert history["accuracy_few"] + history["accuracy_many"] == pytest.approx(found)
        assert history["accuracy_worst"] == pytest.approx([min(found)])
        with pytest.raises(ValueError, match="are of the samples in `data`"):
            PerformanceResponse(subgroups=groups)

    @pytest.mark.slow
    def test_names_and_prefix(self, pli, targets):
        history = fit(pli, targets, [PerformanceResponse(prefix="val_")], epochs=1)
        assert {"val_f1_0", "val_f1_1", "val_f1_2", "val_f1"} <= set(history)

    @pytest.mark.slow
    def test_logs_are_plain_numbers(self, pli, targets, tmp_path):
        logged = []
        callback = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logged.append(json.dumps(logs))
        )
        fit(pli, targets, [PerformanceResponse(), EmbeddingResponse(), callback], epochs=1)
        assert "f1_2" in logged[0]

    @pytest.mark.slow
    def test_early_stopping_can_watch_it(self, pli, targets):
        stopper = keras.callbacks.EarlyStopping("f1_1", mode="max", min_delta=9.0, patience=1)
        history = fit(pli, targets, [PerformanceResponse(), stopper], epochs=9)
        assert len(history["f1_1"]) == 2

    @pytest.mark.slow
    def test_a_single_sigmoid_output(self, embedder):
        embedder = keras.Sequential([keras.Input((1,)), layers.Dense(2)])
        binary = (LABELS == 1).astype(int)
        pli = PLIModel(classifier_of(outputs=1), embedder)
        pli.compile(keras.optimizers.Adam(0.05), PLILoss("binary_crossentropy", 0.0))
        watch = Watch(embedder, X)
        history = fit(pli, binary, [watch, PerformanceResponse()], epochs=4)
        predicted = watch.outputs[-1][:, 0] > 0.5
        assert 0 < predicted.sum() < 60
        assert history["f1_1"][-1] == pytest.approx(f1_score(binary, predicted))
        assert history["f1_0"][-1] == pytest.approx(f1_score(binary, predicted, pos_label=0))

    @pytest.mark.slow
    def test_a_group_of_strangers(self, pli, targets):
        with pytest.raises(ValueError, match="'g' names classes that are not there: 5"):
            fit(pli, targets, [PerformanceResponse(groups={"g": [5]})])

    @pytest.mark.slow
    def test_another_number_of_names(self, pli, targets):
        with pytest.raises(ValueError):
            fit(pli, targets, [PerformanceResponse(class_names=["a", "b"])])


def stored_epochs(folder):
    return sorted(path.name for path in folder.glob("*.npz"))


class TestEmbeddingSnapshots:
    def test_every_epoch(self, pli, embedder, targets, tmp_path):
        watch = Watch(embedder, X)
        callback = EmbeddingSnapshots(
            tmp_path / "maps", class_names=list("abc"), log_dir=tmp_path / "logs"
        )
        fit(pli, targets, [watch, callback])
        names = [f"epoch-00{epoch}" for epoch in range(3)]
        found = sorted(path.name for path in (tmp_path / "maps").iterdir())
        expected = [f"{name}.{ending}" for name in names for ending in ("npz", "png")]
        assert found == sorted([*expected, "embedding.gif"])
        for name, on_map in zip(names, watch.maps, strict=True):
            with np.load(tmp_path / "maps" / f"{name}.npz", allow_pickle=False) as stored:
                np.testing.assert_allclose(stored["embedding"], on_map, atol=1e-5)
                np.testing.assert_array_equal(stored["labels"], LABELS)
            picture = Image.open(tmp_path / "maps" / f"{name}.png")
            picture.load()
            assert picture.format == "PNG"
        with Image.open(tmp_path / "maps" / "embedding.gif") as animation:
            assert animation.n_frames == 3
        events = list((tmp_path / "logs").glob("events.out.tfevents*"))
        logged = {
            event.step: value.image
            for path in events
            for event in tf.compat.v1.train.summary_iterator(str(path))
            for value in event.summary.value
            if value.tag == "embedding"
        }
        assert sorted(logged) == [0, 1, 2]
        for image in logged.values():
            png = Image.open(io.BytesIO(image.encoded_image_string))
            assert png.size == (image.width, image.height)
            assert min(png.size) > 100
        assert len({image.encoded_image_string for image in logged.values()}) == 3

    @pytest.mark.slow
    def test_every_second_epoch_without_pictures(self, pli, targets, tmp_path):
        fit(pli, targets, [EmbeddingSnapshots(tmp_path, every=2, pictures=False)], epochs=5)
        assert stored_epochs(tmp_path) == ["epoch-000.npz", "epoch-002.npz", "epoch-004.npz"]
        assert len(list(tmp_path.iterdir())) == 3

    @pytest.mark.slow
    def test_three_components_have_no_pictures(self, tmp_path):
        embedder = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
        pli = PLIModel(classifier_of(), embedder)
        pli.compile("sgd", PLILoss(embedding_weight=0.0))
        fit(pli, LABELS, [EmbeddingSnapshots(tmp_path)], epochs=1)
        assert [path.suffix for path in tmp_path.iterdir()] == [".npz"] * 2

    @pytest.mark.slow
    def test_given_data_and_a_second_fit(self, pli, targets, tmp_path):
        callback = EmbeddingSnapshots(tmp_path, (X_TEST, LABELS_TEST), most=20)
        fit(pli, targets, [callback], epochs=1)
        fit(pli, targets, [callback], epochs=1)
        with Image.open(tmp_path / "embedding.gif") as animation:
            assert animation.n_frames == 2
        with np.load(tmp_path / "epoch-001.npz") as stored:
            assert stored["embedding"].shape == (20, 2)

    @pytest.mark.parametrize("every", [0, -1])
    def test_every(self, tmp_path, every):
        with pytest.raises(ValueError, match=f"a whole number from 1. Received: {every}"):
            EmbeddingSnapshots(tmp_path, every=every)


def all_three(folder, data=None):
    return [
        EmbeddingResponse(data),
        PerformanceResponse(data),
        EmbeddingSnapshots(folder, data, pictures=False),
    ]


@pytest.mark.slow
def test_training_is_not_disturbed(embedder, tmp_path):
    trained = []
    for watched in ("nothing", "its own data", "held out"):
        classifier = classifier_of()
        pli = PLIModel(classifier, embedder)
        pli.compile(keras.optimizers.Adam(0.02), PLILoss(embedding_weight=0.5))
        data = None
        if watched == "held out":
            data = (X_TEST, shifted(classifier, embedder, X_TEST, LABELS_TEST))
        y = shifted(classifier, embedder, X, LABELS)
        fit(pli, y, [] if watched == "nothing" else all_three(tmp_path, data))
        trained.append([np.copy(v.value) for v in classifier.variables])
    assert all(map(np.array_equal, trained[0], trained[1]))
    assert all(map(np.array_equal, trained[0], trained[2]))


def test_a_plain_model(tmp_path):
    classifier = classifier_of()
    classifier.compile("sgd", "sparse_categorical_crossentropy")
    for callback in all_three(tmp_path):
        with pytest.raises(TypeError, match=r"watches a PLIModel. Received: Sequential"):
            classifier.fit(X, LABELS, callbacks=[callback], verbose=0)


@pytest.mark.slow
def test_a_data_set_needs_data(pli, targets, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices((X, targets)).batch(20)
    for callback in all_three(tmp_path):
        with pytest.raises(ValueError, match=r"Give the callback `data=\(x, y\)`"):
            pli.fit(batches, callbacks=[callback], verbose=0)
    given = all_three(tmp_path, (X, targets))
    assert pli.fit(batches, callbacks=given, verbose=0).history["loss"]
