"""Outputs that are probabilities without a softmax that can be undone: refused, or explained as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import all_but, by_default
from toy_networks import LAYERS, randomized

from keras_pli.attribution import Saliency
from keras_pli.evaluation.scoring import Scorer
from keras_pli.network.activations import activations
from keras_pli.network.forward import Network, named_outputs, probabilities

OPS = keras.ops


def ending(head, shape=(4,)):
    """A linear layer of three units on the last axis, and what comes after."""
    inputs = keras.Input(shape)
    return randomized(keras.Model(inputs, head(LAYERS.Dense(3)(inputs)), name="net"))


class Called(keras.Model):
    """A model whose `call` is a function of TensorFlow's, compiled or not."""

    def __init__(self, head):
        super().__init__(name="net")
        self.dense, self.head = LAYERS.Dense(3), head

    def call(self, inputs):
        return self.head(self.dense(inputs))


class Compiled(Called):
    call = tf.function(Called.call)


def called(head, kind=Called):
    model = kind(head)
    model(np.zeros((1, 4), np.float32))
    return model


def stored(folder):
    """A model that is a SavedModel inside."""
    ending(LAYERS.Softmax()).export(folder, verbose=False)
    inputs = keras.Input((4,))
    layer = keras.layers.TFSMLayer(folder, call_endpoint="serve")
    return keras.Model(inputs, layer(inputs), name="net")


def shares(evidence):
    return evidence / OPS.sum(evidence, axis=-1, keepdims=True)


def bags(head):
    return ending(head, (5, 4))


def maps(head):
    return ending(head, (4, 6, 4))


def scattered(p):
    places = np.array([[0], [2], [1]], np.int32)
    return tf.transpose(tf.scatter_nd(places, tf.transpose(p), tf.stack([3, tf.shape(p)[0]])))


# More heads on three units: no softmax or sigmoid of anything, and bounded, counted or normalized.
CURVED = {
    "survival": lambda z: OPS.cumprod(OPS.sigmoid(z), axis=-1),
    "probit": lambda z: 0.5 * (1 + OPS.erf(z / 1.4142)),
    "hard tanh": lambda z: 0.5 + 0.5 * OPS.hard_tanh(z),
    "hard sigmoid": OPS.hard_sigmoid,
    "clipped": lambda z: 1 - OPS.clip(0.2 * z + 0.5, 0, 1),
    "log sigmoid": OPS.log_sigmoid,
    "evidence": lambda z: OPS.softplus(z) + 1,
    "square": lambda z: z**2 * 1.0,
    "sine": lambda z: 0.5 + 0.5 * OPS.sin(z),
    "arc tangent": lambda z: 0.5 + OPS.arctan(z) / np.pi,
    "softsign": lambda z: 0.5 * (1 + OPS.softsign(z)),
    "order": lambda z: OPS.cast(OPS.argsort(z, axis=-1), "float32"),
    "choice": lambda z: OPS.one_hot(OPS.argmax(z, axis=-1), 3),
    "reciprocal": lambda z: OPS.relu(z) * OPS.reciprocal(0.1 + OPS.sum(OPS.relu(z), -1, True)),
    "power": lambda z: OPS.softplus(z) * OPS.power(OPS.sum(OPS.softplus(z), -1, True), -1.0),
    "scattered": lambda z: LAYERS.Lambda(scattered, output_shape=(3,))(OPS.softmax(z)),
}
# And heads that are logits, or squashes of them, whatever they look like.
LINEAR = {
    "temperature": lambda z: OPS.softmax(z / 2.0),
    "distances": lambda z: -OPS.sum((z[..., None] - np.eye(3, dtype="f")) ** 2, axis=1),
    "experts": lambda z: OPS.einsum(
        "bk,bkc->bc", OPS.softmax(z), LAYERS.Reshape((3, 2))(LAYERS.Dense(6)(z))
    ),
    "gated": lambda z: z * OPS.sigmoid(LAYERS.Dense(3)(z)),
    "pooled ReLU maps": lambda z: OPS.mean(OPS.relu(z)[:, None], axis=1),
    "softmax of a column": lambda z: LAYERS.Flatten()(
        LAYERS.Softmax(axis=1)(LAYERS.Reshape((3, 1))(z))
    ),
}


# These are refused as others are: as a function that squashes, and no softmax.
ALIKE = (
    "probit",
    "hard tanh",
    "log sigmoid",
    "sine",
    "arc tangent",
    "softsign",
    "power",
    "hard sigmoid",
    "scattered",
)


@pytest.mark.parametrize(
    "name",
    all_but(*ALIKE, of=CURVED),
)
def test_a_curve_however_scaled_is_no_logit(name):
    model = ending(CURVED[name])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with pytest.raises(ValueError, match=r"No logits can be found in 'net'.*score='output'"):
        Saliency(model)(x, 0)
    with pytest.raises(ValueError, match=r"No logits can be found in 'net'"):
        activations(model, x)
    found = Scorer(Saliency(model, score="output"))(x, 1)
    np.testing.assert_allclose(found, model(x)[:, 1], atol=1e-6)


@pytest.mark.parametrize("name", by_default("experts", of=LINEAR))
def test_what_is_linear_in_a_layer_is_a_logit(name):
    model = ending(LINEAR[name])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    logits, outputs = activations(model, x), np.asarray(model(x))
    np.testing.assert_allclose(Saliency(model)(x, 1).scores, logits[:, 1], atol=1e-5)
    expected = OPS.softmax(logits) if abs(outputs.sum(axis=1) - 1).max() < 1e-5 else logits
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


MODELS = {
    "a compiled softmax": (lambda: called(OPS.softmax, Compiled), "compiled function"),
    "a maximum over sigmoids": (lambda: bags(lambda z: OPS.max(OPS.sigmoid(z), axis=1)), "Sigmoid"),
    "pooled sigmoids": (
        lambda: bags(lambda z: LAYERS.GlobalMaxPooling1D()(OPS.sigmoid(z))),
        "Sigmoid",
    ),
    "a noisy or": (lambda: bags(lambda z: 1 - OPS.prod(1 - OPS.sigmoid(z), axis=1)), "Sigmoid"),
    "attention over softmaxes": (
        lambda: bags(lambda z: OPS.sum(OPS.softmax(z) * OPS.softmax(z[..., :1], axis=1), axis=1)),
        "Softmax",
    ),
    "evidence": (lambda: ending(lambda z: shares(OPS.softplus(z) + 1)), "RealDiv"),
    "ReLU with a sum of 1": (lambda: ending(lambda z: shares(OPS.relu(z) + 0.01)), "RealDiv"),
    "sparsemax": (lambda: ending(LAYERS.Activation("sparsemax")), "Maximum"),
    "ReLU as a maximum": (lambda: ending(lambda z: OPS.maximum(z, 0.0)), "ends in Maximum"),
    "a gather": (lambda: ending(lambda z: OPS.take(OPS.softmax(z), [2, 0, 1], axis=-1)), "Gather"),
    "a product": (lambda: ending(lambda z: OPS.softmax(z) * np.float32([0.5, 1, 2])), "Mul"),
    "padding": (lambda: maps(lambda z: LAYERS.ZeroPadding2D()(OPS.softmax(z))), "Pad"),
    "upsampling": (lambda: maps(lambda z: LAYERS.UpSampling2D()(OPS.softmax(z))), "Softmax"),
    "resizing": (lambda: maps(lambda z: LAYERS.Resizing(9, 9)(OPS.softmax(z))), "Resize"),
    "a softmax of channels first": (lambda: maps(LAYERS.Softmax(axis=1)), "4 values, which are not"),
    "a softmax over positions": (
        lambda: maps(lambda z: OPS.reshape(OPS.softmax(OPS.reshape(z, (-1, 72))), (-1, 4, 6, 3))),
        "72 values, which are not the last axis",
    ),
    "a flattened map": (lambda: maps(lambda z: LAYERS.Flatten()(OPS.softmax(z))), "3 values"),
    "a condition": (
        lambda: called(lambda z: tf.cond(tf.reduce_sum(z) > 0, lambda: tf.nn.softmax(z), lambda: z)),
        "If, which cannot be looked into",
    ),
    "a function of NumPy": (
        lambda: called(lambda z: tf.ensure_shape(tf.numpy_function(_softmax, [z], tf.float32), [None, 3])),
        "PyFunc, which cannot be looked into",
    ),
}  # fmt: skip


def _softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


LIKEWISE = (
    "a compiled softmax",
    "a maximum over sigmoids",
    "a softmax of channels first",
    "a SavedModel",
)


def run(network, x):
    @tf.function
    def function(inputs):
        return network.forward(inputs).logits

    return function(tf.constant(x)).numpy()


@pytest.mark.parametrize("kind", all_but(*LIKEWISE, of=[*MODELS, "a SavedModel"]))
def test_is_refused_and_read_as_it_is(kind, tmp_path):
    make, words = MODELS.get(kind, (lambda: stored(tmp_path), "compiled function"))
    model = make()
    shape = (4,) if isinstance(model, Called) else model.inputs[0].shape[1:]
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    with pytest.raises(ValueError, match=rf"No logits.*'net'.*{words}.*score='output'.*`layer`"):
        run(Network(model), x)
    np.testing.assert_allclose(run(Network(model, score="output"), x), model(x), rtol=1e-5)


def test_the_error_comes_from_methods_too():
    with pytest.raises(ValueError, match="No logits can be found in 'net'"):
        Saliency(called(OPS.softmax, Compiled))(np.ones((1, 4)))


def test_a_compiled_linear_layer_gives_logits():
    model = called(lambda z: z * 1.0, Compiled)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(run(Network(model), x), model(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("head", "back"),
    [
        (OPS.softmax, np.asarray),
        (OPS.log_softmax, np.exp),
        (OPS.sigmoid, np.asarray),
        (lambda z: LAYERS.Permute((2, 1, 3))(OPS.softmax(z)), np.asarray),
        (lambda z: LAYERS.Reshape((24, 3))(OPS.softmax(z)), np.asarray),
    ],
)
def test_probabilities_of_positions_are_the_models_own(head, back):
    model = maps(head)
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 4)).astype(np.float32)

    @tf.function
    def function(inputs):
        return probabilities(Network(model).forward(inputs))

    np.testing.assert_allclose(function(tf.constant(x)), back(np.asarray(model(x))), rtol=1e-5)


def test_outputs_have_names():
    class Sized(keras.Model):
        output_names = ("organ", "finding")

    nameless = keras.Sequential()
    assert list(named_outputs(nameless, [1, 2])) == ["0", "1"]
    assert list(named_outputs(nameless, {"mask": 1, "boxes": (2, {"far": 3})})) == [
        "mask",
        "boxes_0",
        "boxes_1_far",
    ]
    assert named_outputs(Sized(), (1, 2)) == {"organ": 1, "finding": 2}
