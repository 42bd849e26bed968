import doctest

import keras
import numpy as np
import pytest
from keras import layers

from keras_pli import activations
from keras_pli.retraining import PLILoss, PLIModel
from keras_pli.retraining.trials import head, layer_reach
from keras_pli.retraining.trials.head import head_of
from keras_pli.retraining.trials.layer_reach import reachable_activations

X = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
LABELS = np.arange(12) % 3


@pytest.mark.parametrize("module", [head, pytest.param(layer_reach, marks=pytest.mark.slow)])
def test_examples_run(module):
    assert doctest.testmod(module).failed == 0


def dense():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", name="hidden"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, "softmax", name="end"),
        ]
    )


def operation():
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.ops.softmax(layers.Dense(3)(inputs)))


def convolutional():
    inputs = keras.Input((6,))
    y = layers.Conv2D(3, 2, name="maps")(layers.Reshape((3, 2, 1))(inputs))
    return keras.Model(
        inputs, layers.Flatten()(layers.Softmax()(layers.AveragePooling2D((2, 1))(y)))
    )


def nested():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3)(dense_body(inputs)))


dense_body = keras.Sequential(
    [keras.Input((6,)), layers.Dense(5, "tanh", name="a"), layers.Dense(4, "relu")], name="body"
)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(8, "relu", name="hidden")
        self.end = layers.Dense(1, "sigmoid")

    def call(self, inputs):
        return self.end(self.hidden(inputs))


@pytest.mark.parametrize(
    "build, layer",
    [
        (dense, "logits"),
        (dense, "hidden"),
        (dense, "end"),
        (operation, "logits"),
        (convolutional, "logits"),
        (convolutional, "maps"),
        (nested, "logits"),
        (nested, "body/a"),
        (nested, "body"),
        (Subclassed, "logits"),
    ],
)
def test_the_head_makes_of_activations_what_the_classifier_gives(build, layer):
    classifier = build()
    wanted = classifier(X)
    nodes = [len(found._inbound_nodes) for found in classifier._flatten_layers()]
    run = head_of(classifier, layer)
    with keras.StatelessScope():
        features = PLIModel(classifier, keras.Sequential(), layer)._tap.run(X, training=False)[1]
    np.testing.assert_allclose(run(features), wanted, atol=1e-6)
    assert nodes == [len(found._inbound_nodes) for found in classifier._flatten_layers()]


def test_a_way_around_the_layer_is_an_error():
    inputs = keras.Input((6,))
    hidden = layers.Dense(6, name="hidden")(inputs)
    around = keras.Model(inputs, layers.Dense(3)(hidden + inputs), name="around")
    with pytest.raises(ValueError, match="'around' cannot be run from the activations of 'hidden'"):
        head_of(around, "hidden")
    subclassed = Subclassed()
    subclassed(X)
    with pytest.raises(ValueError, match="cannot be run from the activations of 'hidden'"):
        head_of(subclassed, "hidden")


@pytest.fixture(scope="module")
def linear():
    """A softmax of six features, and a map that is its logits."""
    keras.utils.set_random_seed(4)
    classifier = keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])
    embedder = keras.Sequential([keras.Input((3,)), layers.Dense(3, use_bias=False)])
    embedder.set_weights([np.eye(3, dtype=np.float32)])
    return classifier, embedder


def test_activations_become_those_of_least_loss(linear, monkeypatch):
    """Each sample's optimum by SciPy; a part of the rows at a time changes nothing."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    classifier, embedder = linear
    weight, asked = 0.2, np.array([2.0, -1.0, 0.5], np.float32)
    monkeypatch.setattr(layer_reach, "_AT_A_TIME", 8)
    pli = PLIModel(classifier, embedder)
    pli.compile("adam", PLILoss("sparse_categorical_crossentropy", weight, scale=2.0))
    z = activations(classifier, X)
    targets = z + asked

    def loss(point, row):
        classification = logsumexp(point) - point[LABELS[row]]
        return (1 - weight) * classification + weight * np.sum((point - targets[row]) ** 2) / 2

    weights = classifier.get_weights()
    found = reachable_activations(pli, z, LABELS, targets, steps=150, rate=0.1)
    for row in range(12):
        least = minimize(loss, z[row].astype(float), args=(row,)).fun
        assert loss(found.activations[row].astype(float), row) == pytest.approx(least, abs=0.01)
    np.testing.assert_allclose(found.embedding, found.activations, atol=1e-5)
    assert found.achieved == pytest.approx(
        np.mean((found.activations - z) @ asked) / (asked @ asked), abs=1e-5
    )
    before = z.argmax(1) == LABELS
    assert found.kept == np.mean((found.outputs.argmax(1) == LABELS)[before])
    for kept, now in zip(weights, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_what_does_not_fit_is_met_at_the_door(linear):
    pli = PLIModel(*linear)
    z = activations(linear[0], X)
    with pytest.raises(ValueError, match="compile"):
        reachable_activations(pli, z, LABELS, z)
    pli.compile("adam", PLILoss(scale=1.0))
    with pytest.raises(ValueError, match="'labels': 11"):
        reachable_activations(pli, z, LABELS[:11], z)
    with pytest.raises(ValueError, match=r"the map's shape, \(12, 3\)"):
        reachable_activations(pli, z, LABELS, z[:, :2])
