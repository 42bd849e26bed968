"""Callbacks on classes, on several labels a sample, and on labels that are neither."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.metrics import f1_score

from keras_pli.callbacks import EmbeddingResponse, EmbeddingSnapshots, PerformanceResponse
from keras_pli.retraining import PLILoss, PLIModel, performance_response

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 6)).astype(np.float32)
TAGS = (X[:, :4] + 0.3 * RNG.normal(size=(80, 4)) > 0.2).astype(int)
TARGETS = RNG.normal(size=(80, 2)).astype(np.float32)
VALUES = X[:, 0] + 0.5


def pli_of(outputs, activation, loss, weight=0.0, layer="logits"):
    keras.utils.set_random_seed(3)
    classifier = keras.Sequential(
        [keras.Input((6,)), layers.Dense(outputs, activation, name="head")]
    )
    embedder = keras.Sequential([keras.Input((outputs,)), layers.Dense(2)])
    pli = PLIModel(classifier, embedder, layer)
    pli.compile(keras.optimizers.Adam(0.3), PLILoss(loss, weight), run_eagerly=True)
    return pli


def fit(pli, labels, *callbacks):
    y = {"label": labels, "embedding": TARGETS}
    return pli.fit(X, y, batch_size=20, verbose=0, callbacks=callbacks).history


class TestSeveralLabels:
    @pytest.mark.parametrize("activation", ["sigmoid", pytest.param(None, marks=pytest.mark.slow)])
    def test_f1_of_each_is_scikit_learns(self, activation):
        pli = pli_of(4, activation, keras.losses.BinaryCrossentropy(from_logits=activation is None))
        history = fit(pli, TAGS, PerformanceResponse(groups={"pair": [0, 3]}, class_names="abcd"))
        outputs = pli.classifier.predict(X, verbose=0)
        predicted = outputs > (0.5 if activation else 0.0)
        each = f1_score(TAGS, predicted, average=None)
        np.testing.assert_allclose([history[f"f1_{name}"][-1] for name in "abcd"], each)
        assert (predicted != (outputs > 0.25)).any()  # another threshold would be another score
        weighted = f1_score(TAGS, predicted, average="weighted")
        assert history["f1"][-1] == pytest.approx(weighted)
        pair = f1_score(TAGS[:, [0, 3]], predicted[:, [0, 3]], average="weighted")
        assert history["f1_pair"][-1] == pytest.approx(pair)

    def test_of_another_number_than_outputs(self):
        pli = pli_of(4, "sigmoid", "binary_crossentropy")
        with pytest.raises(ValueError, match=r"PerformanceResponse needs labels.*\(80, 3\)"):
            fit(pli, TAGS, PerformanceResponse((X, TAGS[:, :3])))

    @pytest.mark.slow
    def test_the_map_has_no_classes_to_separate(self):
        pli = pli_of(4, "sigmoid", "binary_crossentropy", weight=0.5)
        history = fit(pli, TAGS, EmbeddingResponse())
        assert np.isnan(history["separation"]).all()
        assert np.isfinite(history["achieved"]).all()

    @pytest.mark.slow
    def test_one_label_each_of_several_sigmoids_is_a_class(self):
        pli = pli_of(3, "sigmoid", "binary_crossentropy")
        labels = X[:, :3].argmax(axis=1)
        history = fit(pli, np.eye(3)[labels], PerformanceResponse())
        predicted = pli.classifier.predict(X, verbose=0).argmax(axis=1)
        expected = f1_score(labels, predicted, average="weighted")
        assert history["f1"][-1] == pytest.approx(expected)


class TestLabelsThatAreNoClasses:
    @pytest.mark.parametrize(
        "labels", [VALUES, VALUES[:, None], np.round(10 * VALUES), X[:, :2]], ids=list("abcd")
    )
    @pytest.mark.parametrize("callback", [PerformanceResponse, EmbeddingResponse])
    def test_are_refused(self, callback, labels):
        pli = pli_of(1 if labels.shape[1:] != (2,) else 2, None, "mse", weight=0.5)
        with pytest.raises(
            ValueError, match=rf"{callback.__name__} needs.*classes: whole .*Received float"
        ):
            fit(pli, labels, callback())

    def test_whole_numbers_beyond_the_outputs(self):
        with pytest.raises(
            ValueError, match=r"PerformanceResponse` must be classes from 0 to 1.*: 2"
        ):
            fit(pli_of(1, None, "mse"), np.arange(80) % 3, PerformanceResponse())

    @pytest.mark.slow
    def test_a_map_is_watched_without_labels(self):
        pli = pli_of(1, None, "mse", weight=0.5)
        callback = EmbeddingResponse((X, {"embedding": TARGETS}))
        assert np.isfinite(fit(pli, VALUES, callback)["achieved"]).all()

    def test_performance_needs_labels(self):
        with pytest.raises(ValueError, match=r"needs labels: y\['label'\]. Received: 'embedding'"):
            fit(pli_of(1, None, "mse"), VALUES, PerformanceResponse((X, {"embedding": TARGETS})))

    @pytest.mark.slow
    @pytest.mark.parametrize("labels", [VALUES, TAGS], ids=["numbers", "several labels"])
    def test_snapshots_keep_them_as_they_are(self, labels, tmp_path):
        pli = pli_of(1 if labels.ndim == 1 else 4, None, "mse")
        fit(pli, labels, EmbeddingSnapshots(tmp_path))
        with np.load(tmp_path / "epoch-001.npz") as stored:
            np.testing.assert_array_equal(stored["labels"], labels)
        assert (tmp_path / "epoch-001.png").exists()
        assert (tmp_path / "embedding.gif").exists()


def test_data_of_two_lengths():
    with pytest.raises(ValueError, match=r"hold 80 inputs, but of targets {'label': 70}"):
        fit(pli_of(1, None, "mse"), VALUES, PerformanceResponse((X, np.zeros(70, int))))


@pytest.mark.slow
def test_a_tanh_decides_at_zero():
    pli = pli_of(1, "tanh", "hinge", layer="head")
    labels = (X[:, 0] > 0.2).astype(int)
    history = fit(pli, labels, PerformanceResponse())
    outputs = pli.classifier.predict(X, verbose=0)[:, 0]
    assert ((outputs > 0) != (outputs > 0.5)).any()
    assert history["f1_1"][-1] == pytest.approx(f1_score(labels, outputs > 0))


class TestTable:
    def test_columns_are_scikit_learns(self):
        predicted = RNG.integers(0, 2, TAGS.shape)
        table = performance_response(TAGS, predicted, groups={"pair": [1, 2]})
        each = f1_score(TAGS, predicted, average=None)
        np.testing.assert_allclose(table["f1"][:4], each)
        pair = f1_score(TAGS[:, 1:3], predicted[:, 1:3], average="weighted")
        assert table["f1"][4] == pytest.approx(pair)
        assert table["support"].tolist()[:4] == TAGS.sum(axis=0).tolist()

    def test_columns_of_other_values(self):
        with pytest.raises(ValueError, match=r"must hold 0 and 1. Received: 0, 2\."):
            performance_response(TAGS, TAGS + (TAGS == 1))

    def test_another_shape(self):
        with pytest.raises(ValueError, match=r"labels, \(80, 4\). Received: \(80, 3\)"):
            performance_response(TAGS, TAGS[:, :3])
