"""What decides about a result is told apart, what does not is not, and the same in every process."""

import copy
import doctest
import json
import random
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

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


def swish(strength):
    def act(x):
        return x * keras.ops.sigmoid(strength * x)

    return act


class Factor(layers.Layer):
    """A layer whose factor is in no configuration."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return self.factor * x


def looking_up(*words):
    layer = layers.IntegerLookup()
    layer.adapt(np.array(words))
    return keras.Sequential([keras.Input((1,), dtype="int64"), layer])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: layers.Dense(3, swish(1.0)), lambda: layers.Dense(3, swish(9.0))),
        (lambda: layers.Activation(swish(1.0)), lambda: layers.Activation(swish(9.0))),
        (lambda: layers.Lambda(swish(1.0)), lambda: layers.Lambda(swish(9.0))),
        (lambda: Factor(7), lambda: Factor(8)),
        (lambda: looking_up(1, 2), lambda: looking_up(1, 3)),
    ],
    ids=["argument", "layer", "lambda", "attribute", "vocabulary"],
)
def test_what_no_configuration_holds_is_told(one, other):
    def model(make):
        keras.utils.set_random_seed(0)
        made = make()
        if not isinstance(made, keras.Model):
            made = keras.Sequential([keras.Input((4,)), made])
        return model_identity(made)

    assert model(one) == model(one) != model(other)


def between_layers():
    x = keras.Input((8,))
    h = keras.ops.relu(layers.Dense(8)(x) + x)[:, :4]
    h = keras.ops.concatenate([h, keras.activations.relu(h)], axis=-1)
    words = keras.Input((5,))
    read = layers.LSTM(3)(layers.Embedding(9, 4, mask_zero=True)(words))
    return keras.Model([x, words], keras.ops.concatenate([layers.Dense(2)(h), read], axis=-1))


def test_names_that_keras_counts_for_operations_do_not_count():
    one = between_layers()
    assert model_identity(one) == model_identity(like(one, between_layers()))


def test_use_changes_nothing():
    model = Subclassed()
    before = model_identity(model)
    model.compile("sgd", "mse")
    x = np.zeros((2, 4), "float32")
    model.predict(x, verbose=0)
    model.evaluate(x, model(x), verbose=0)
    model.fit(x, model(x), verbose=0)  # without an error there is no step
    assert model_identity(model) == before


DISTANCE = 5.0


def helper(x):
    return x * DISTANCE


def reading_a_global(x):
    return [helper(part) for part in x]


class Segments:
    def __init__(self, size):
        self.size = size

    def __call__(self, image):
        return image // self.size


def test_values_of_a_class_and_its_other_methods_are_told():
    def thresholding(value, double):
        class Thresholding:
            threshold = value

            @staticmethod
            def scaled(x):
                return 2 * x if double else x

            def __call__(self, x):
                return self.scaled(x) > self.threshold

        return Thresholding()

    told = [value_identity(thresholding(*given)) for given in ((1, 0), (1, 0), (2, 0), (1, 1))]
    assert told[0] == told[1]
    assert len(set(told)) == 3


def test_telling_leaves_random_states_and_names_alone():
    identity._of_every_model.cache_clear()
    model = sequential()
    keras.utils.set_random_seed(5)
    expected = keras.random.normal((3,)), random.random(), layers.Dense(2).name
    keras.utils.set_random_seed(5)
    number = int(expected[-1].rpartition("_")[-1])
    model_identity(model)
    np.testing.assert_array_equal(keras.random.normal((3,)), expected[0])
    assert random.random() == expected[1]
    assert layers.Dense(2).name == f"dense_{number + 1}"


def test_what_a_function_refers_to_is_told(monkeypatch):
    before = callable_identity(reading_a_global)
    monkeypatch.setitem(globals(), "DISTANCE", 50.0)
    assert callable_identity(reading_a_global) != before  # by way of the helper
    monkeypatch.undo()
    assert callable_identity(reading_a_global) == before
    monkeypatch.setitem(globals(), "helper", lambda x: x + DISTANCE)
    assert callable_identity(reading_a_global) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Path("a"), Path("b")),
        (SimpleNamespace(rate=1), SimpleNamespace(rate=2)),
        (range(3), range(4)),
        (re.compile("a"), re.compile("b")),
        (np.random.default_rng(0), np.random.default_rng(1)),
        (np.array(["a", None], object), np.array(["b", None], object)),
        (Segments(4), Segments(5)),
        (partial(Segments, 4), partial(Segments, 5)),
        (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2)),
        (
            keras.optimizers.schedules.CosineDecay(0.1, 5),
            keras.optimizers.schedules.CosineDecay(0.1, 6),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_that_a_function_holds_are_told(one, other):
    def holding(thing):
        return lambda seed: thing

    told = [callable_identity(holding(copy.deepcopy(thing))) for thing in (one, one, other)]
    assert told[0] == told[1] != told[2]


def zeroed(model):
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    return model


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_true - y_pred


class OwnLayer(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


class OwnMetric(keras.metrics.Metric):
    def result(self):
        return 1.0


class OwnOptimizer(keras.optimizers.SGD):
    pass


@pytest.mark.parametrize(
    "make",
    [
        OwnLoss,
        OwnLayer,
        OwnMetric,
        OwnOptimizer,
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        lambda: layers.TimeDistributed(layers.Dense(2)),
        lambda: layers.Bidirectional(layers.LSTM(2)),
        lambda: partial(zeroed(sequential()), training=False),
    ],
)
def test_neither_names_that_keras_counts_nor_addresses_tell_objects(make):
    assert value_identity(make()) == value_identity(make())


def test_a_model_that_a_function_calls_is_told_by_its_weights():
    one = zeroed(sequential())
    other = zeroed(sequential())
    other.set_weights([weight + 1 for weight in one.get_weights()])
    for within in (lambda model: model, partial, lambda model: lambda x: model(x)):
        assert callable_identity(within(one)) != callable_identity(within(other))
        assert callable_identity(within(one)) == callable_identity(within(zeroed(sequential())))


def test_a_layer_that_a_function_calls_is_told_by_its_weights():
    dense = layers.Dense(2, kernel_initializer="ones")
    dense.build((None, 3))
    before = callable_identity(partial(dense, training=False))
    dense.set_weights([2 * weight for weight in dense.get_weights()])
    assert callable_identity(partial(dense, training=False)) != before


def test_a_model_that_holds_another_behind_a_partial_is_the_same_when_made_again():
    """As `PLIModel` holds its embedder."""

    def made(embedder):
        model = Subclassed()
        model.embed = partial(embedder, training=False)
        return model

    embedders = [zeroed(sequential()) for _ in range(3)]
    embedders[2].set_weights([weight + 1 for weight in embedders[0].get_weights()])
    one, again, other = (model_identity(made(each))["architecture"] for each in embedders)
    assert one == again != other


def test_a_method_of_a_model_and_a_class_are_told():
    model = sequential()
    assert callable_identity(model.predict) != callable_identity(
        like(model, sequential("tanh")).predict
    )
    assert value_identity(partial(keras.optimizers.SGD, 0.1)) != value_identity(
        partial(keras.optimizers.SGD, 0.2)
    )


def test_values_become_what_json_holds():
    given = {"a": (1, np.int64(2)), "b": {"z", "y"}, "c": np.ones(2), "d": b"x", "e": None}
    found = value_identity(given)
    assert found["a"] == [1, 2] and found["b"] == ["y", "z"] and found["e"] is None
    assert json.loads(json.dumps(found)) == found
    assert value_identity(np.ones(2)) != value_identity(np.ones(2, "float32"))


def test_examples_run():
    found = doctest.testmod(identity)
    assert found.attempted and not found.failed
