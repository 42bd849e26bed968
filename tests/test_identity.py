"""What decides about a result is told apart, what does not is not, and the same in every process."""

import doctest
import json
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli import identity
from keras_pli.identity import callable_identity, model_identity, value_identity

layers = keras.layers


def sequential(activation="relu"):
    stack = [keras.Input((4,)), layers.Dense(3, activation), layers.Dropout(0.2), layers.Dense(2)]
    return keras.Sequential(stack)


def functional(chained=False):
    x = keras.Input((4,))
    one = layers.Dense(4)(x)
    other = layers.Dense(4)(one if chained else x)
    return keras.Model(x, layers.Subtract()([one, other]))


def nested(activation="relu"):
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(sequential(activation)(x)))


class Subclassed(keras.Model):
    def __init__(self, activation="relu"):
        super().__init__()
        self.dense = layers.Dense(3, activation)
        self.build((None, 4))

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return self.dense(x)


class Doubled(Subclassed):
    def call(self, x):
        return 2 * self.dense(x)


def like(model, other):
    other.set_weights(model.get_weights())
    return other


MAKERS = [sequential, functional, nested, Subclassed]


@pytest.mark.parametrize("make", MAKERS)
def test_a_model_made_again_is_the_same(make):
    """Keras gives its layers other names; their weights are trained further by another optimizer."""
    one = make()
    other = like(one, make())
    other.compile("adam", "mse")
    other.trainable = False
    assert model_identity(one) == model_identity(other)
    weights = one.get_weights()
    other.set_weights([weights[0] + 1e-6, *weights[1:]])
    changed = model_identity(other)
    assert changed["architecture"] == model_identity(one)["architecture"]
    assert changed["weights"] != model_identity(one)["weights"]


@pytest.mark.parametrize("make", [sequential, nested, Subclassed])
def test_another_activation_is_another_model(make):
    one = make()
    assert model_identity(one) != model_identity(like(one, make("tanh")))


@pytest.mark.parametrize("make", [sequential, Subclassed])
def test_an_activation_changed_in_place_is_seen(make):
    model = make()
    before = model_identity(model)
    next(layer for layer in model.layers if "dense" in layer.name).activation = keras.ops.tanh
    assert model_identity(model) != before


def test_other_ways_between_the_same_layers_are_another_model():
    one = functional()
    assert model_identity(one) != model_identity(like(one, functional(chained=True)))


def test_another_class_or_call_is_another_model():
    assert model_identity(Subclassed()) != model_identity(like(Subclassed(), Doubled()))


def test_functions_are_told_by_their_code_and_what_they_hold():
    def power(n):
        def loss(a, b):
            return tf.abs(a - b) ** n

        return loss

    told = [
        callable_identity(function)
        for function in (
            power(1), power(2), partial(power, 1), partial(power, 2), lambda x: x + 1,
            lambda x: x + 2, tf.function(power(3)), np.mean, keras.losses.Huber(0.1),
            keras.losses.Huber(0.2), np.ones(3).sum, len, keras.losses.mean_squared_error,
        )
    ]  # fmt: skip
    assert len(set(told)) == len(told)
    assert callable_identity(power(2)) == told[1] and "power" in told[1]

    def again(n):
        return again(n - 1) if n else 0

    assert callable_identity(again) == callable_identity(again)


def test_values_become_what_json_holds():
    given = {"a": (1, np.int64(2)), "b": {"z", "y"}, "c": np.ones(2), "d": b"x", "e": None}
    found = value_identity(given)
    assert found["a"] == [1, 2] and found["b"] == ["y", "z"] and found["e"] is None
    assert json.loads(json.dumps(found)) == found
    assert value_identity(np.ones(2)) != value_identity(np.ones(2, "float32"))


def test_examples_run():
    found = doctest.testmod(identity)
    assert found.attempted and not found.failed
