"""The small networks of codes, against scikit-learn and a forward pass by hand."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from slow_cases import slow

from keras_pli.rationale.latent_classifiers import linear_regressor, mlp, residual_network

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(300, 10)).astype("float32")


def test_the_linear_regressor_finds_least_squares():
    values = CODES @ RNG.normal(size=(10, 2)) + 0.1 * RNG.normal(size=(300, 2))
    model = linear_regressor(10, 2)
    model.compile(keras.optimizers.SGD(0.6), "mse")
    model.fit(CODES, values, epochs=40, batch_size=300, verbose=0)
    expected = LinearRegression().fit(CODES, values)
    np.testing.assert_allclose(model.get_weights()[0], expected.coef_.T, atol=1e-3)
    np.testing.assert_allclose(model.get_weights()[1], expected.intercept_, atol=1e-3)


def test_the_perceptron_has_two_layers_and_a_softmax_or_a_value():
    classifier, regressor = mlp(10, 3, units=7), mlp(10, units=7)
    assert classifier.count_params() == 11 * 7 + 8 * 3
    assert regressor.count_params() == 11 * 7 + 8
    np.testing.assert_allclose(classifier.predict(CODES, verbose=0).sum(axis=1), 1, atol=1e-5)
    first, bias, second, end = regressor.get_weights()
    expected = np.maximum(CODES @ first + bias, 0) @ second + end
    np.testing.assert_allclose(regressor.predict(CODES, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("activation", [slow("sigmoid"), "softmax", slow(None)])
def test_the_residual_network_adds_each_layer_to_its_input(activation):
    model = residual_network(10, 4, activation=activation, seed=3)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [100] * 6 + [4]
    hidden = CODES
    for number, layer in enumerate(dense[:-1]):
        kernel, bias = layer.get_weights()
        change = np.maximum(hidden @ kernel + bias, 0)
        hidden = change if number == 0 else hidden + change
    logits = hidden @ dense[-1].get_weights()[0] + dense[-1].get_weights()[1]
    expected = {
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "softmax": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        None: logits,
    }[activation]
    np.testing.assert_allclose(model.predict(CODES, verbose=0), expected, rtol=1e-3, atol=1e-4)


def test_the_seed_decides_the_weights():
    for build in (linear_regressor, mlp, lambda size, seed: residual_network(size, 2, seed=seed)):
        one, same, other = (build(5, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one.get_weights()[0], same.get_weights()[0])
        assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_bad_sizes_are_quoted():
    with pytest.raises(ValueError, match=r"`classes` must be at least 2.*1"):
        mlp(10, 1)
    with pytest.raises(ValueError, match=r"`latent_size`.*0"):
        linear_regressor(0)
    with pytest.raises(ValueError, match=r"`depth`.*0"):
        residual_network(10, 2, depth=0)
