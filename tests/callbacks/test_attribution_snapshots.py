"""Attributions after each epoch: what is stored is what the method says of the model at the time."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from keras_pli.attribution import GradientTimesInput, Saliency
from keras_pli.callbacks import AttributionSnapshots
from keras_pli.retraining import PLILoss, PLIModel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6, 6, 1)).astype("float32")
LABELS = np.arange(40) % 3


def classifier_of(*, built=True):
    keras.utils.set_random_seed(1)
    stack = [layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential(([keras.Input((6, 6, 1))] if built else []) + stack)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)  # no trace for so few steps
    return model


def stored(folder, epoch):
    with np.load(folder / f"epoch-{epoch:03d}.npz") as arrays:
        return dict(arrays)


def test_each_epoch_is_explained_as_the_model_was(tmp_path):
    model, checked = classifier_of(), []

    class Check(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            checked.append(Saliency(self.model)(X[:4], 2))

    callback = AttributionSnapshots(tmp_path, X[:4], {"saliency": Saliency}, target=2)
    before = Saliency(model)(X[:4], 2)
    model.fit(X, LABELS, epochs=2, verbose=0, callbacks=[callback, Check()])
    for epoch, expected in enumerate([before, *checked]):
        arrays = stored(tmp_path, epoch)
        np.testing.assert_allclose(arrays["saliency"], expected.attributions, atol=1e-6)
        np.testing.assert_allclose(arrays["scores/saliency"], expected.scores, atol=1e-6)
        assert Image.open(tmp_path / f"epoch-{epoch:03d}.png").width > 200
    assert np.abs(stored(tmp_path, 0)["saliency"] - stored(tmp_path, 2)["saliency"]).max() > 1e-3


@pytest.mark.slow
def test_watching_does_not_change_training(tmp_path):
    plain, watched = classifier_of(), classifier_of()
    keras.utils.set_random_seed(5)
    plain.fit(X, LABELS, epochs=2, verbose=0)
    keras.utils.set_random_seed(5)
    callback = AttributionSnapshots(tmp_path, X[:2], GradientTimesInput, pictures=False)
    watched.fit(X, LABELS, epochs=2, verbose=0, callbacks=[callback])
    for one, other in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.glob("*.png"))
    assert set(stored(tmp_path, 1)) == {"GradientTimesInput", "scores/GradientTimesInput"}


@pytest.mark.slow
def test_every_other_epoch_and_a_model_built_in_fit(tmp_path):
    callback = AttributionSnapshots(tmp_path, X[:2], Saliency, every=2, pictures=False)
    classifier_of(built=False).fit(X, LABELS, epochs=4, verbose=0, callbacks=[callback])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["epoch-002.npz", "epoch-004.npz"]


@pytest.mark.slow
def test_of_a_pli_model_its_classifier(tmp_path):
    keras.utils.set_random_seed(0)
    embedder = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    classifier = classifier_of()
    model = PLIModel(classifier, embedder)
    loss = PLILoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True), 0.1)
    model.compile("sgd", loss=loss)
    targets = np.zeros((40, 2), "float32")
    callback = AttributionSnapshots(tmp_path, X[:2], Saliency, pictures=False)
    model.fit(X, {"label": LABELS, "embedding": targets}, epochs=1, verbose=0, callbacks=[callback])
    np.testing.assert_allclose(
        stored(tmp_path, 1)["Saliency"], Saliency(classifier)(X[:2]).attributions, atol=1e-6
    )


@pytest.mark.slow
def test_pictures_in_tensorboard(tmp_path):
    callback = AttributionSnapshots(
        tmp_path / "maps", X[:2], Saliency, row_labels=["cat", "dog"], log_dir=tmp_path / "logs"
    )
    classifier_of().fit(X, LABELS, epochs=1, verbose=0, callbacks=[callback])
    steps = []
    for file in (tmp_path / "logs").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            steps += [event.step for value in event.summary.value if value.tag == "attributions"]
    assert sorted(steps) == [0, 1]


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`every`"):
        AttributionSnapshots(tmp_path, X[:2], Saliency, every=0)
    callback = AttributionSnapshots(tmp_path, X[:2, :4], Saliency)
    with pytest.raises(ValueError, match=r"\(2, 4, 6, 1\)"):
        classifier_of().fit(X, LABELS, verbose=0, callbacks=[callback])
