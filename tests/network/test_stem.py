"""The affine beginning of a network, against gradients taken point by point with a tape."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose
from slow_cases import by_default

from keras_pli.attribution import IntegratedGradients, SmoothGrad
from keras_pli.network.backward import backpropagate
from keras_pli.network.operations import inner_types
from keras_pli.network.stem import Stem

STEPS = 5


def convolutional(rank):
    conv = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
    pool = (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)[rank - 1]
    image = keras.Input((6,) * rank + (2,))
    z = conv(3, 3, padding="same")(layers.Rescaling(0.5, offset=0.1)(image))
    z = pool(2)(layers.ReLU()(layers.BatchNormalization()(z)))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(z)))


def around_a_convolution():
    """Both the input and what the first convolution makes of it meet a nonlinearity."""
    image = keras.Input((6, 6, 2))
    z = layers.Conv2D(2, 3, padding="same")(image)
    z = layers.Multiply()([layers.Activation("tanh")(z), image])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(z)))


def folded_time():
    image = keras.Input((4, 6, 6, 2))
    z = layers.TimeDistributed(layers.Conv2D(2, 3))(image)
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(layers.Activation("tanh")(z))))


def recurrent():
    series = keras.Input((5, 2))
    return keras.Model(series, layers.Dense(3)(layers.LSTM(4)(layers.Dense(3)(series))))


def swapped():
    """Time comes before the samples for a while."""
    series = keras.Input((5, 2))
    z = keras.ops.transpose(layers.Dense(3)(series), (1, 0, 2))
    z = keras.ops.transpose(keras.ops.tanh(2 * z), (1, 0, 2))
    return keras.Model(series, layers.Dense(3)(layers.Flatten()(z)))


def reshaped():
    """The first axis holds parts of all samples for a while."""
    series = keras.Input((4, 2))
    z = keras.ops.reshape(2 * series, (4, -1, 2))
    z = keras.ops.reshape(keras.ops.tanh(z), (-1, 4, 2))
    return keras.Model(series, layers.Dense(3)(layers.Flatten()(z)))


def dilated():
    image = keras.Input((8, 8, 2))
    z = layers.Conv2D(3, 3, dilation_rate=2, activation="tanh")(image)
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(z)))


def linear():
    return keras.Sequential([keras.Input((4, 2)), layers.Flatten(), layers.Dense(3)])


def first_nonlinear():
    image = keras.Input((6, 6, 2))
    z = layers.Conv2D(3, 3)(layers.Activation("tanh")(image))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(z)))


def two_inputs():
    image, facts = keras.Input((6, 6, 2)), keras.Input((3,))
    z = layers.Flatten()(layers.Conv2D(3, 3, activation="tanh")(image))
    z = layers.Concatenate()([z, layers.Activation("softplus")(facts)])
    return keras.Model([image, facts], layers.Dense(3)(z))


NETWORKS = {
    "1-D": lambda: convolutional(1),
    "2-D": lambda: convolutional(2),
    "3-D": lambda: convolutional(3),
    **{
        make.__name__: make
        for make in (
            *(
                around_a_convolution,
                folded_time,
                recurrent,
                swapped,
                reshaped,
                dilated,
                linear,
                first_nonlinear,
            ),
            two_inputs,
        )
    },
}


@pytest.fixture(params=by_default("2-D", of=NETWORKS))
def model(request):
    keras.utils.set_random_seed(3)
    return NETWORKS[request.param]()


def samples_for(model, count=3):
    rng = np.random.default_rng(1)
    found = [rng.normal(size=(count, *t.shape[1:])).astype("float32") for t in model.inputs]
    return found if len(found) > 1 else found[0]


def gradients(model, target):
    """A function from inputs to the gradients of a score at them, by a tape."""

    @tf.function(autograph=False)
    def at(tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            score = model(tensors, training=False)[:, target]
        return tape.gradient(score, tensors)

    return lambda x: tf.nest.map_structure(np.asarray, at(tf.nest.map_structure(tf.constant, x)))


def stem_of(model):
    found = []

    def trace(x):
        inputs = [tf.identity(tensor) for tensor in x]
        logits = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        found.append(Stem.between(inputs, logits))
        return logits

    specs = [tf.TensorSpec(tensor.shape, tf.float32) for tensor in model.inputs]
    tf.function(trace, autograph=False).get_concrete_function(specs)
    return found[0]


class TestMeanGradient:
    def test_is_the_mean_of_single_gradients(self, model):
        x = samples_for(model)
        starts, gradient = [0.0, 0.3], gradients(model, 1)
        expected = tf.nest.map_structure(np.zeros_like, x)
        for start in starts:
            for alpha in (np.arange(STEPS) + 0.5) / STEPS:
                point = tf.nest.map_structure(
                    lambda a, start=start, alpha=alpha: np.float32(start + alpha * (a - start)), x
                )
                expected = tf.nest.map_structure(
                    lambda total, g, a, start=start: total + g * (a - start) / STEPS / len(starts),
                    *(expected, gradient(point), x),
                )
        method = IntegratedGradients(model, steps=STEPS, baselines=starts, batch_size=9)
        found = method(x, 1).attributions
        tf.nest.map_structure(
            lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected
        )

    @pytest.mark.parametrize("make", [NETWORKS["2-D"], recurrent, two_inputs])
    @pytest.mark.slow
    def test_one_by_one_it_is_the_same(self, make):
        keras.utils.set_random_seed(3)
        model = make()
        one, many = (
            IntegratedGradients(model, steps=STEPS, baselines=[0.0, 0.3], batch_size=size)
            for size in (1, 9)
        )
        tf.nest.map_structure(
            lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            *(method(samples_for(model), 1).attributions for method in (one, many)),
        )

    @pytest.mark.slow
    def test_of_noisy_copies_is_the_mean_of_their_gradients(self, model):
        x = samples_for(model)
        smooth = SmoothGrad(model, samples=4)
        tensors = tf.nest.map_structure(tf.constant, x)
        copies = [smooth._noisy(tensors, tf.constant([draw])) for draw in range(4)]
        gradient = gradients(model, 2)
        maps = [gradient(copy) for copy in copies]
        expected = tf.nest.map_structure(lambda *found: np.mean(found, axis=0), *maps)
        found = smooth(x, 2).attributions
        tf.nest.map_structure(
            lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected
        )

    @pytest.mark.parametrize("rank", by_default(2, of=[1, 2, 3]))
    def test_leaves_the_first_convolution_out_of_the_loop(self, rank):
        model = convolutional(rank)
        operations = (
            SmoothGrad(model, samples=STEPS).traced(samples_for(model)).graph.get_operations()
        )
        within = set().union(*(inner_types(operation) for operation in operations))
        backwards = "Conv3DBackpropInputV2" if rank == 3 else "Conv2DBackpropInput"
        assert "ReluGrad" in within
        assert backwards not in within
        assert backwards in {operation.type for operation in operations}

    @pytest.mark.slow
    def test_in_half_precision_the_sum_is_not(self):
        keras.utils.set_random_seed(0)
        half = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(3, 3, activation="tanh", dtype="mixed_float16"),
                layers.Flatten(),
                layers.Dense(3, dtype="float32"),
            ]
        )
        whole = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(3, 3, activation="tanh"),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
        whole.set_weights(half.get_weights())
        x = samples_for(half)
        found, expected = (
            IntegratedGradients(m, steps=256)(x, 0).attributions for m in (half, whole)
        )
        assert_allclose(found, expected, atol=5e-3)


class TestStem:
    @pytest.mark.parametrize("rank", [1, 2, 3])
    def test_ends_below_the_first_nonlinearity(self, rank):
        (output,) = stem_of(convolutional(rank)).outputs
        assert {user.type for user in output.consumers()} == {"Relu"}
        assert output.shape[-1] == 3

    def test_holds_each_place_where_it_ends(self):
        stem = stem_of(around_a_convolution())
        (image,) = stem.inputs
        (conv,) = (tensor for tensor in stem.outputs if tensor is not image)
        assert len(stem.outputs) == 2
        assert {user.type for user in conv.consumers()} == {"Tanh"}

    def test_is_the_input_before_a_nonlinearity(self):
        stem = stem_of(first_nonlinear())
        assert stem.outputs == tuple(stem.inputs)

    def test_is_all_of_a_linear_network(self):
        (output,) = stem_of(linear()).outputs
        assert output.shape.as_list() == [None, 3]

    def test_ends_where_samples_leave_the_first_axis(self):
        (output,) = stem_of(swapped()).outputs
        assert "Transpose" in {user.type for user in output.consumers()}


def test_sources_are_variables_of_their_own():
    """∂/∂x and ∂/∂y of y² + x y with y = 3x, each with the other held."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (None,))
        y = 3 * x
        score = tf.nn.relu(y**2 + x * y)
        for rules in ({}, {"Relu": lambda operation, gradients: gradients}):
            found = backpropagate(score, [x, y], rules)
            with tf.compat.v1.Session(graph=graph) as session:
                by_x, by_y = session.run(found, {x: [2.0]})
            assert_allclose(by_x, 6.0)
            assert_allclose(by_y, 2 * 6 + 2.0)


@pytest.mark.slow
def test_a_custom_gradient_may_pass_by_what_it_made_itself():
    inputs = keras.Input((6, 6, 1))
    maps = keras.layers.Conv2D(4, 3, activation="silu")(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 1)).astype(np.float32)
    found = IntegratedGradients(model, steps=32)(x, 1)
    np.testing.assert_allclose(found.delta, 0, atol=1e-4)
