"""What is trained under a strategy is made in its scope, and says so where it is not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli import PLILoss, PLIModel
from keras_pli.rationale import GeneratorEncoder, WassersteinGAN

SHAPE = (8, 8, 1)


def classifier():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def critic():
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)])


def generator():
    layers = [keras.layers.Dense(64, "tanh"), keras.layers.Reshape(SHAPE)]
    return keras.Sequential([keras.Input((3,)), *layers])


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0"])


def test_a_model_goes_by_the_strategy_of_its_classifier(strategy):
    with strategy.scope():
        trained = classifier()
    pli = PLIModel(trained)
    pli.compile("sgd", PLILoss(embedding_weight=0.0))
    assert pli.distribute_strategy is strategy
    assert pli.optimizer.iterations.value.distribute_strategy is strategy


def test_a_classifier_made_outside_is_refused(strategy):
    outside = classifier()
    with strategy.scope(), pytest.raises(ValueError, match=r"Made outside of it: .* of classifier"):
        PLIModel(outside)


def test_an_optimizer_made_outside_is_refused(strategy):
    with strategy.scope():
        pli = PLIModel(classifier())
        gan = WassersteinGAN(SHAPE, generator=generator(), critic=critic())
    with pytest.raises(ValueError, match=r"Made outside of it: .* of optimizer"):
        pli.compile(keras.optimizers.SGD(0.1), PLILoss(embedding_weight=0.0))
    with pytest.raises(ValueError, match=r"Made outside of it: .* of optimizer"):
        gan.compile(keras.optimizers.SGD(0.1))


def test_networks_made_outside_are_refused(strategy):
    networks = {"generator": generator(), "critic": critic()}
    encoder = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    with strategy.scope():
        with pytest.raises(ValueError, match=r"Made outside of it: .* of generator"):
            WassersteinGAN(SHAPE, **networks)
        with pytest.raises(ValueError, match=r"Made outside of it: .* of encoder"):
            GeneratorEncoder(networks["generator"], encoder=encoder)


def test_a_gan_made_outside_of_the_scope_of_its_networks_is_refused(strategy):
    with strategy.scope():
        networks = {"generator": generator(), "critic": critic()}
    with pytest.raises(ValueError, match=r"generator was made in the scope of a MirroredStrategy"):
        WassersteinGAN(SHAPE, **networks)


def test_a_fit_in_the_scope_of_another_strategy_is_refused(strategy):
    with strategy.scope():
        pli = PLIModel(classifier())
        gan = WassersteinGAN(SHAPE, generator=generator(), critic=critic())
    pli.compile("sgd", PLILoss("mse", embedding_weight=0.0))
    gan.compile("sgd", "sgd")
    x = np.zeros((4, 4), np.float32)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        with pytest.raises(ValueError, match=r"Received: the scope of another, a MirroredStrategy"):
            pli.fit(x, x[:, :3], verbose=0)
        with pytest.raises(ValueError, match=r"Received: the scope of another, a MirroredStrategy"):
            gan.fit(np.zeros((40, *SHAPE), np.float32), epochs=1, batch_size=4, verbose=0)


def test_a_model_made_outside_is_not_fitted_in_a_scope_of_one_device(strategy):
    pli = PLIModel(classifier())
    pli.compile("sgd", PLILoss("mse", embedding_weight=0.0))
    x = np.zeros((4, 4), np.float32)
    with strategy.scope(), pytest.raises(ValueError, match=r"Made outside of it: .* of classifier"):
        pli.fit(x, x[:, :3], verbose=0)


def test_several_replicas_take_one_step_at_a_time(monkeypatch):
    monkeypatch.setattr("keras_pli.strategies.replicas_of", lambda model: 2)
    pli = PLIModel(classifier())
    pli.compile("sgd", PLILoss("mse", embedding_weight=0.0), steps_per_execution=2)
    gan = WassersteinGAN(SHAPE, generator=generator(), critic=critic())
    gan.compile("sgd", "sgd", steps_per_execution=2)
    network = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    encoder = GeneratorEncoder(generator(), encoder=network, levels=1)
    encoder.compile(steps_per_execution=2)
    x, images = np.zeros((4, 4), np.float32), np.zeros((40, *SHAPE), np.float32)
    for fit in (lambda: pli.fit(x, x[:, :3]), lambda: gan.fit(images), lambda: encoder.fit(images)):
        with pytest.raises(ValueError, match="steps_per_execution=2, and 2 replicas"):
            fit()
