"""A version appears where the metric improved, and it is the model of that epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli import PLILoss, PLIModel
from keras_pli.attribution import Saliency
from keras_pli.callbacks import ExportBest
from keras_pli.serving import versions

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = np.arange(20) % 3


def classifier_of():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def told(callback, model, values, name="val_loss"):
    """What an epoch's end with each value exports."""
    callback.set_model(model)
    seen = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {name: value})
        seen.append(len(callback.exported))
    return seen


@pytest.mark.slow
def test_only_improvements(tmp_path):
    callback = ExportBest(tmp_path / "m", warmup=None)
    assert told(callback, classifier_of(), [1.0, 1.2, 0.9, 0.9, float("nan"), 0.5]) == [
        1,
        1,
        2,
        2,
        2,
        3,
    ]
    assert versions(tmp_path / "m") == [1, 2, 3]
    assert callback.best == 0.5


def test_larger_is_better(tmp_path):
    callback = ExportBest(
        tmp_path / "m", monitor="val_accuracy", best=0.4, min_delta=0.1, warmup=None
    )
    found = told(callback, classifier_of(), [0.3, 0.45, 0.6, 0.65], "val_accuracy")
    assert found == [0, 0, 1, 1]


def test_nan_first_is_no_improvement(tmp_path):
    callback = ExportBest(tmp_path / "m", warmup=None)
    assert told(callback, classifier_of(), [float("nan"), 3.0]) == [0, 1]


def test_in_fit_it_is_the_model_of_that_epoch(tmp_path):
    model = classifier_of()
    probabilities = {}

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            probabilities[epoch] = self.model(X).numpy()

    callback = ExportBest(tmp_path / "m", monitor="loss", explanations=[Saliency], warmup=None)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[Watch(), callback])
    assert versions(tmp_path / "m") == [1, 2]  # the loss of this problem falls
    for epoch, version in enumerate(callback.exported):
        found = tf.saved_model.load(str(version)).signatures["serving_default"](x=X)
        np.testing.assert_allclose(found["probabilities"], probabilities[epoch], atol=1e-6)


@pytest.mark.slow
def test_of_a_pli_model(tmp_path):
    pli = PLIModel(classifier_of(), keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    pli.compile("sgd", PLILoss(embedding_weight=0.1))
    callback = ExportBest(tmp_path / "m", monitor="loss", warmup=None)
    y = {"label": Y, "embedding": np.ones((20, 2), "float32")}
    pli.fit(X, y, verbose=0, callbacks=[callback])
    assert "embed" in tf.saved_model.load(str(callback.exported[0])).signatures


def test_older_versions_are_removed_but_not_yours(tmp_path):
    folder = tmp_path / "m"
    (folder / "1").mkdir(parents=True)
    callback = ExportBest(folder, keep=1, warmup=None)
    told(callback, classifier_of(), [3, 2, 1])
    assert versions(folder) == [1, 4]


def test_a_metric_that_is_not_logged(tmp_path):
    with pytest.warns(UserWarning, match=r"no 'val_loss'.*'loss'"):
        told(ExportBest(tmp_path / "m"), classifier_of(), [1.0], "loss")
    assert not (tmp_path / "m").exists()


def test_bad_arguments(tmp_path):
    for options, words in (
        ({"monitor": "val_beauty"}, "'val_beauty'"),
        ({"mode": "up"}, "'up'"),
        ({"keep": 0}, "0"),
    ):
        with pytest.raises(ValueError, match=words):
            ExportBest(tmp_path, **options)
    with pytest.raises(TypeError, match="version"):
        ExportBest(tmp_path, version=3)
