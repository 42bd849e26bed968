"""The guard beside a classifier whose weights, and so its accuracy, follow a script."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_pli.callbacks import AccuracyGuard
from keras_pli.retraining import PLILoss, PLIModel

LABELS = np.arange(20) % 2


class Script(keras.callbacks.Callback):
    """Lets an epoch end with a number of the samples decided rightly, of 20."""

    def __init__(self, *right):
        super().__init__()
        self.right = right

    def on_epoch_end(self, epoch, logs=None):
        self.model.classifier.set_weights([weights(self.right[epoch], epoch + 1)])


def weights(right, scale=1):
    """A column for each sample, with its class's weight first or not."""
    decided = np.where(np.arange(20) < right, LABELS, 1 - LABELS)
    return scale * np.eye(2, dtype=np.float32)[decided]


@pytest.fixture(scope="module")
def pli():
    classifier = keras.Sequential([keras.Input((20,)), layers.Dense(2, "softmax", use_bias=False)])
    embedder = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    model = PLIModel(classifier, embedder)
    model.compile(keras.optimizers.SGD(0.0), PLILoss(embedding_weight=0.0), run_eagerly=True)
    return model


def run(pli, guard, *right):
    pli.classifier.set_weights([weights(18)])
    rows = np.eye(20, dtype=np.float32)
    given = {"epochs": len(right), "batch_size": 20, "verbose": 0}
    return pli.fit(rows, LABELS, callbacks=[Script(*right), guard], **given).history


@pytest.mark.parametrize(
    "right, patience, stopped, kept, left",
    [
        ((19, 17, 16, 20), 1, 2, 1, (17, 2)),  # .9 before: .85 is let pass, .8 is not
        ((16, 20), 1, 0, None, (18, 1)),
        ((19, 18, 17), 1, None, 2, (17, 3)),
        ((19, 10, 17, 10, 10), 2, 4, 2, (17, 3)),
        ((19, 10), 2, None, 0, (19, 1)),  # ends in an epoch that costs too much
    ],
)
def test_the_last_weights_within_the_cost_are_restored(pli, right, patience, stopped, kept, left):
    guard = AccuracyGuard(most_cost=0.05, patience=patience, prefix="my_")
    history = run(pli, guard, *right)
    assert guard.accuracy_before == 0.9
    assert (guard.stopped_epoch, guard.kept_epoch) == (stopped, kept)
    assert guard.restored == (len(history["my_guarded_accuracy"]) - 1 != kept)
    ran = right if stopped is None else right[: stopped + 1]
    assert history["my_guarded_accuracy"] == [count / 20 for count in ran]
    np.testing.assert_array_equal(pli.classifier.get_weights()[0], weights(*left))


@pytest.mark.slow
def test_a_second_fit_starts_anew(pli, capsys):
    guard = AccuracyGuard(most_cost=0.05, verbose=1)
    run(pli, guard, 19, 10)
    assert (
        "fell from 0.9000 to 0.5000, by more than 0.05: the classifier has the weights of epoch 1."
        in (capsys.readouterr().out)
    )
    run(pli, guard, 10)
    assert guard.kept_epoch is None
    assert "weights from before training" in capsys.readouterr().out
    run(pli, guard, 18)
    assert (guard.restored, guard.stopped_epoch) == (False, None)


def test_what_does_not_fit(pli):
    with pytest.raises(ValueError, match="`most_cost` must be a number from 0 and less than 1"):
        AccuracyGuard(most_cost=1.0)
    with pytest.raises(ValueError, match=r"`patience` must be a whole number from 1. Received: 0"):
        AccuracyGuard(patience=0)
    rows = np.eye(20, dtype=np.float32)
    for labels in (LABELS / 3, np.ones((20, 2), int)):
        with pytest.raises(ValueError, match=r"AccuracyGuard needs labels that are classes"):
            run(pli, AccuracyGuard((rows, labels)), 18)
    with pytest.raises(ValueError, match=r"labels of AccuracyGuard.*from 0 to 1"):
        run(pli, AccuracyGuard((rows, LABELS + 1)), 18)


def test_what_is_not_finite_is_wrong(pli):
    class Broken(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.classifier.set_weights([weights(18) * np.nan])

    guard = AccuracyGuard(most_cost=0.05)
    labels, rows = (
        np.zeros(20, int),
        np.eye(20, dtype=np.float32),
    )  # all of the class that NaN decides for
    pli.classifier.set_weights([np.eye(2, dtype=np.float32)[np.zeros(20, int)]])
    pli.fit(rows, labels, epochs=2, batch_size=20, verbose=0, callbacks=[Broken(), guard])
    assert guard.restored and np.isfinite(pli.classifier.get_weights()[0]).all()
