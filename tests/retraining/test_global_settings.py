"""The main job under Keras's global settings other than its defaults."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_pli import ParametricTSNE, activations
from keras_pli.callbacks import EmbeddingResponse, PerformanceResponse
from keras_pli.intervention import InterventionPlan, Shift
from keras_pli.retraining import PLILoss, PLIModel, pli_experiment

PLAN = InterventionPlan([Shift(1, by=(1.0, 0.5))])


@pytest.fixture(autouse=True)
def without_tracing():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def float64():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # as layers have it where floatx comes first
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def channels_first():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


def trained_map(z, **settings):
    tsne = ParametricTSNE(perplexity=10, hidden_units=(8,), seed=0, **settings)
    history = tsne.fit(
        z, epochs=1, pretrain_epochs=1, steps_per_epoch=2, validation_data=z, verbose=0
    )
    assert np.isfinite([history.history["kl"], history.history["val_kl"]]).all()
    return tsne


def watched_training(classifier, train, test, tsne):
    """A PLIModel with its callbacks, all that it logs a number."""
    x, labels = train
    pli = PLIModel(classifier, tsne)
    loss = PLILoss(embedding_weight=0.3)
    pli.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"], run_eagerly=True)
    targets = tsne.predict(activations(classifier, x), verbose=0) + 0.5
    logs = pli.fit(
        x,
        {"label": labels, "embedding": targets},
        class_weight={0: 2.0},
        sample_weight=np.ones(len(x)),
        validation_data=test,
        callbacks=[EmbeddingResponse(), PerformanceResponse(test)],
        verbose=0,
    ).history
    assert np.isfinite([logs[name] for name in ("loss", "val_loss", "achieved", "f1")]).all()


def an_experiment(classifier, train, test, tsne):
    """An experiment whose control is plain training."""
    x, labels = train
    classifier.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    arms = {}
    result = pli_experiment(
        classifier,
        train,
        test,
        PLAN,
        embedder=tsne,
        epochs=1,
        batch_size=len(x),
        seeds=1,
        on_trained=lambda seed, arm, model: arms.update({arm: model.get_weights()}),
        verbose=0,
    )
    assert np.isfinite(result.scores()["f1"]).all()
    classifier.fit(x, labels, batch_size=len(x), epochs=1, shuffle=False, verbose=0)
    for ours, plain in zip(arms["control"], classifier.get_weights(), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-6)
    assert not np.allclose(arms["PLI"][0], arms["control"][0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_float64(float64, blobs):
    classifier = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, "softmax", kernel_regularizer="l2")]
    )
    assert classifier.dtype == "float64"
    z = activations(classifier, blobs[0][0])
    trained_map(z, batches="uniform")
    network = keras.Sequential([keras.Input((3,)), layers.Dense(2, kernel_regularizer="l2")])
    trained_map(z, network=network)
    tsne = trained_map(z)
    an_experiment(classifier, *blobs, tsne)
    watched_training(classifier, *blobs, tsne)


@pytest.mark.slow
def test_channels_first(channels_first, blobs):
    classifier = keras.Sequential(
        [
            keras.Input((1, 2, 3)),
            layers.Conv2D(4, 2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax"),
        ]
    )
    images = [(x.reshape(-1, 1, 2, 3), labels) for x, labels in blobs]
    try:
        classifier(images[0][0][:1])
    except tf.errors.UnimplementedError:
        pytest.skip("TensorFlow convolves with channels first on a CPU by oneDNN alone")
    an_experiment(classifier, *images, trained_map(activations(classifier, images[0][0])))
