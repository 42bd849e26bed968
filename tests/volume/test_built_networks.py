"""Networks of a user's own: what is refused before any training, and what they are told by."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_pli.volume import cross_validate, pretrain_autoencoder
from keras_pli.volume.training.built_networks import (
    built_network,
    check_network,
    check_pooling,
    check_storable,
    network_identity,
)

SHAPE = (4, 4, 4, 1)
VOLUME = np.random.default_rng(0).normal(size=SHAPE).astype("float32")


def linear(activation=None, units=2, **options):
    head = layers.Dense(units, activation, **options)
    return lambda shape, classes, seed: keras.Sequential(
        [keras.Input(shape), layers.Flatten(), head.from_config(head.get_config())]
    )


class Subclassed(keras.Model):
    def __init__(self, units=2, ending=None):
        super().__init__()
        self.flatten, self.head, self.ending = layers.Flatten(), layers.Dense(units), ending

    def call(self, inputs):
        logits = self.head(self.flatten(inputs))
        return logits if self.ending is None else self.ending(logits)


@keras.saving.register_keras_serializable("tests")
class Registered(Subclassed):
    def get_config(self):
        return {}


def checked(build):
    network = built_network(build, SHAPE, 2, 0)
    check_network(network, VOLUME, 2)
    return network


@pytest.mark.parametrize(
    "build",
    [
        linear(),
        linear("log_softmax"),
        lambda *_: Subclassed(),
        lambda *_: keras.Sequential([layers.Flatten(), layers.Dense(2)]),
    ],
    ids=["functional", "log_softmax", "subclassed", "deferred"],
)
def test_logits_are_taken(build):
    assert checked(build)(VOLUME[None]).shape == (1, 2)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (linear("softmax"), "ends in a softmax"),
        (linear("sigmoid"), "ends in a sigmoid"),
        (lambda *_: Subclassed(ending=layers.Softmax()), "ends in a softmax"),
        (lambda *_: Subclassed(ending=keras.ops.softmax), "ends in a softmax"),
        (linear(units=3), r"of 2 logits.* shape \(1, 3\)"),
        (lambda *_: Subclassed(units=3), r"of 2 logits.* shape \(1, 3\)"),
        (lambda *_: Subclassed(ending=lambda y: [y, y]), "of 2 logits.* of list"),
        (lambda *_: linear()((5, 5, 5, 1), 2, 0), r"applied to volumes of shape \(4, 4, 4, 1\)"),
    ],
)
def test_what_cannot_be_trained_is_refused(build, match):
    with pytest.raises(ValueError, match=match):
        checked(build)


@pytest.mark.parametrize("build", [lambda *_: None, lambda *_: Subclassed])
def test_what_is_no_model(build):
    with pytest.raises(TypeError, match="`build` must return a Keras model"):
        checked(build)


def test_layers_without_seeds_get_one_and_random_numbers_go_on():
    build = linear()
    random.seed(3)
    expected = random.random()
    random.seed(3)
    one, again, other = (network_identity(build, SHAPE, 2, seed) for seed in (0, 0, 1))
    assert random.random() == expected
    assert one == again and one["weights"] != other["weights"]
    assert one["architecture"] == other["architecture"]
    assert one["architecture"] != network_identity(linear("tanh"), SHAPE, 2, 0)["architecture"]


@pytest.mark.slow
def test_weights_that_no_seed_settles_tell_nothing():
    generator = np.random.default_rng(0)

    def drawn(shape, classes, seed):
        network = linear()(shape, classes, seed)
        network.set_weights([generator.normal(size=w.shape) for w in network.get_weights()])
        return network

    assert network_identity(drawn, SHAPE, 2, 0) == network_identity(drawn, SHAPE, 2, 0)
    assert network_identity(drawn, SHAPE, 2, 0) != network_identity(linear(), SHAPE, 2, 0)


def test_a_class_that_is_not_read_back_is_refused_before_its_training():
    check_storable(built_network(lambda *_: Registered(), SHAPE, 2, 0))
    with pytest.raises(ValueError, match=r"cannot be kept in `out`.* Register"):
        check_storable(built_network(lambda *_: Subclassed(), SHAPE, 2, 0))


@pytest.fixture(params=["float64", "float16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")),
    reason="a GPU may have it",
)
def test_numbers_that_cannot_be_pooled_are_refused_at_the_door(policy):
    for function in (cross_validate, pretrain_autoencoder):  # before anything is looked at
        with pytest.raises(ValueError, match=f"policy of numbers is '{policy}'.*'float32' works"):
            function(None, None)


def pools_bfloat16():
    """Whether this processor's TensorFlow does; some have it only with AVX-512."""
    try:
        tf.nn.max_pool3d(tf.zeros((1, 2, 2, 2, 1), tf.bfloat16), 2, 2, "VALID")
    except tf.errors.OpError:
        return False
    return True


def test_mixed_numbers_are_taken_where_they_can_be_pooled():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        if pools_bfloat16():
            check_pooling()
            checked(linear())
        else:
            with pytest.raises(ValueError, match="no 3-D pooling of bfloat16"):
                check_pooling()
    finally:
        keras.config.set_dtype_policy(before)
