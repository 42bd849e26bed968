import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from small_maps import few_digits, make, mapped

from keras_pli.embedding import PrincipalProjection
from keras_pli.embedding.network import leading_components
from keras_pli.embedding.start import (
    RIDGE,
    start_by_least_squares,
    starting_places,
    starts_by_least_squares,
)


@pytest.fixture(scope="module")
def few():
    return few_digits()


@pytest.fixture(scope="module")
def scores(few):
    """By scikit-learn, which decides signs alike."""
    found = PCA(2).fit_transform(few)
    return found / found[:, 0].std()


def places_of(z, components):
    found = leading_components(z, components, seed=0).transform(z)
    return starting_places(found, components, seed=0)


def test_starting_places(few, scores):
    np.testing.assert_allclose(places_of(few, 2), scores, atol=1e-4)


def test_the_projection_has_found_them(few, scores):
    projection = PrincipalProjection(5)
    projection.adapt(few, seed=0)
    found = starting_places(projection.on_host(few), 2)
    np.testing.assert_allclose(found, scores, atol=1e-3)


def test_data_of_one_direction():
    z = np.outer(np.linspace(-1, 1, 80), [1.0, 2.0, 3.0]).astype(np.float32)
    found = places_of(z, 2)
    np.testing.assert_allclose(found.std(axis=0), [1, 0.1], rtol=0.3)


def test_fewer_components_than_asked_for():
    z = load_digits().data[:100, 2:3]
    found = places_of(z, 3)
    assert found[:, 0].std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(found[:, 1:].std(axis=0), 0.1, rtol=0.3)  # small and random


@pytest.mark.slow
def test_a_component_that_the_data_lack_is_used_all_the_same():
    z = load_digits().data[:150, 2:3] + np.linspace(0, 1, 150)[:, None]
    model = make("tsne")
    model.fit(z, epochs=2, steps_per_epoch=20, verbose=0)
    assert model.predict(z, verbose=0).std(axis=0).min() > 0.5


def test_constant_points():
    assert np.array_equal(places_of(np.ones((10, 3)), 2), np.zeros((10, 2)))


def mlp(**last):
    layers = [keras.layers.Dense(20, "silu"), keras.layers.Dense(2, **last)]
    return keras.Sequential(layers)


@pytest.mark.parametrize(
    ("network", "possible"),
    [
        (lambda: mlp(), True),
        (lambda: mlp(activation="tanh"), False),
        (lambda: mlp(use_bias=False), False),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), False),
        (lambda: keras.Sequential([keras.layers.Dense(2), keras.layers.ReLU()]), False),
        (lambda: make("umap").network, True),
    ],
)
def test_which_networks_can_be_solved_for(network, possible):
    assert starts_by_least_squares(network()) is possible


def test_least_squares_are_scikit_learns(few, scores):
    network = mlp()
    network.build((None, 64))
    start_by_least_squares(network, few / 16, scores)
    inputs = np.asarray(network.layers[0](few / 16), dtype=np.float64)
    strength = RIDGE * np.sum(inputs.var(axis=0)) * len(inputs) / inputs.shape[1]
    ridge = Ridge(strength).fit(inputs, scores)
    found = network.layers[1]
    scale = abs(ridge.coef_).max()
    np.testing.assert_allclose(np.asarray(found.kernel).T, ridge.coef_, atol=1e-3 * scale)
    np.testing.assert_allclose(network(few / 16), ridge.predict(inputs), atol=1e-3)


@pytest.mark.parametrize(
    "pretrain_epochs",
    [pytest.param(5, marks=pytest.mark.slow), None],
    ids=["regression", "least squares"],
)
@pytest.mark.usefixtures("stepped")
def test_a_training_begins_at_the_principal_components(few, scores, pretrain_epochs):
    model, maps = make("tsne", hidden_units=(100, 50)), []
    model.compile(keras.optimizers.Adam(0.005))
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: maps.append(mapped(model, few))
    )
    fit = {"epochs": 1, "batch_size": 100, "steps_per_epoch": 30, "verbose": 0}
    model.fit(few, pretrain_epochs=pretrain_epochs, callbacks=[look], **fit)
    for axis in range(2):
        assert np.corrcoef(maps[0][:, axis], scores[:, axis])[0, 1] > 0.97
        assert maps[0][:, axis].std() == pytest.approx(scores[:, axis].std(), rel=0.1)
