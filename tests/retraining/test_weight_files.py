"""Weights that a PLIModel saves are its classifier's, and training goes on from them exactly."""

import keras
import numpy as np
import pytest
from conftest import dense_embedder
from keras import layers

from keras_pli.retraining import PLILoss, PLIModel

X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
Y = {"label": np.arange(40) % 3, "embedding": np.random.default_rng(1).normal(size=(40, 2))}


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = layers.Dense(4, "relu"), layers.Dense(3, "softmax", name="head")

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def functional():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.Dense(4, "relu")(inputs)))


def sequential():
    return keras.Sequential(
        [keras.Input((6,)), layers.BatchNormalization(), layers.Dense(3, "softmax")]
    )


def pli_of(classifier):
    pli = PLIModel(classifier, dense_embedder())
    pli.compile(keras.optimizers.Adam(0.05), PLILoss(embedding_weight=0.5), run_eagerly=True)
    return pli


def fit(pli, epochs, *callbacks):
    return pli.fit(
        X, Y, epochs=epochs, batch_size=20, shuffle=False, verbose=0, callbacks=callbacks
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiled", "make"),
    [
        (compiled, make)
        for compiled in (False, True)
        for make in (Subclassed, functional, sequential)
    ],
)
def test_a_checkpoint_of_weights(make, compiled, tmp_path):
    path = tmp_path / "best.weights.h5"
    classifier = make()
    if compiled:
        classifier.compile("sgd", "mse")
    optimizer = getattr(classifier, "optimizer", None)
    pli = pli_of(classifier)
    fit(pli, 1, keras.callbacks.ModelCheckpoint(path, save_weights_only=True))
    trained, steps = classifier.get_weights(), int(pli.optimizer.iterations)
    other = make()
    other(X)
    other.load_weights(path)
    again = pli_of(make())
    fit(again, 2)
    again.load_weights(path)
    for found in (other.get_weights(), again.classifier.get_weights()):
        assert len(found) == len(trained)
        assert all(map(np.array_equal, found, trained))
    assert int(again.optimizer.iterations) == steps
    assert getattr(classifier, "optimizer", None) is optimizer


def test_weights_of_the_classifier_alone(tmp_path):
    source = functional()
    source.save_weights(tmp_path / "plain.weights.h5")
    pli = PLIModel(functional(), dense_embedder())
    pli.load_weights(tmp_path / "plain.weights.h5")
    assert all(map(np.array_equal, pli.classifier.get_weights(), source.get_weights()))
    pli.save_weights(tmp_path / "mine.weights.h5")
    other = functional()
    other.load_weights(tmp_path / "mine.weights.h5")
    assert all(map(np.array_equal, other.get_weights(), source.get_weights()))


@pytest.mark.slow
def test_training_goes_on_exactly_from_a_backup(tmp_path):
    start = functional().get_weights()
    trained = []

    class PowerCut(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    for interrupted in (False, True):
        pli = pli_of(functional())
        pli.classifier.set_weights(start)
        if interrupted:
            pli(X[:1])
            with pytest.raises(KeyboardInterrupt):
                fit(pli, 4, keras.callbacks.BackupAndRestore(tmp_path), PowerCut())
            pli = pli_of(functional())
            pli(X[:1])
            assert len(fit(pli, 4, keras.callbacks.BackupAndRestore(tmp_path)).epoch) == 2
        else:
            fit(pli, 4)
        trained.append(pli.classifier.get_weights())
    for ours, theirs in zip(*trained, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
