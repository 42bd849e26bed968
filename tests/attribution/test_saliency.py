"""Gradients against finite differences, most of all where max-pooling meets a constant background."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import by_default, slow
from toy_networks import (
    AXES,
    LAYERS,
    SHAPES,
    differences,
    flat_network,
    gap_network,
    randomized,
    reference,
    samples,
    spatial,
)

from keras_pli.attribution import GradientTimesInput, Saliency

SIZES = {1: (41, 1), 2: (19, 18, 1), 3: (15, 14, 16, 1)}
# Windows that touch, that overlap, and that hang over the border.
POOLS = {"touching": (2, 2, "valid"), "overlapping": (2, 1, "valid"), "padded": (3, 2, "same")}


def scan(axes, count=2):
    """Random values in the middle of zeros, like a head in air."""
    rng = np.random.default_rng(0)
    x = np.zeros((count, *SIZES[axes]), np.float32)
    middle = tuple(slice(size // 3, 2 * size // 3) for size in SIZES[axes][:-1])
    x[(slice(None), *middle)] = rng.uniform(0.2, 1.0, size=x[(slice(None), *middle)].shape)
    return x


def pooling_network(axes, pool="touching", seed=0):
    """Convolutions with positive biases, so that all of the background ties for each maximum.

    None is padded: at a padded border, where a maximum is tied with others that move differently, the score
    would have no derivative.
    """
    layers = [keras.Input(SIZES[axes])]
    for _ in range(2):
        layers.append(spatial("Conv", axes)(4, 3, activation="relu"))
        layers.append(spatial("MaxPooling", axes)(*POOLS[pool]))
    model = keras.Sequential([*layers, LAYERS.Flatten(), LAYERS.Dense(3)], name=f"pooling{axes}")
    randomized(model, seed)
    for layer in model.layers:
        if hasattr(layer, "filters"):
            layer.bias.assign(np.full(layer.filters, 0.3))
    return model


def slope_of_the_mean(model, x, target, step=1e-6):
    """d(score)/dε of x + ε everywhere, which the gradient adds up to, in float64."""
    above, below = (reference(model, x.astype(float) + move)[:, target] for move in (step, -step))
    return (above - below) / (2 * step)


def total(attributions):
    return attributions.reshape(len(attributions), -1).sum(axis=1)


class TestMaxPoolingOverABackground:
    @pytest.mark.parametrize(
        ("axes", "pool"),
        by_default(
            *((2, "overlapping"), (3, "touching")),
            of=[(axes, pool) for axes in AXES for pool in POOLS],
        ),
    )
    def test_total_is_the_slope(self, axes, pool):
        model, x = pooling_network(axes, pool), scan(axes)
        expected = slope_of_the_mean(model, x, 1)
        found = total(Saliency(model)(x, target=1).attributions)
        np.testing.assert_allclose(found, expected, atol=1e-4)

    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.slow
    def test_eager_graph_and_xla_agree(self, axes):
        model, x = pooling_network(axes), scan(axes)
        graph = Saliency(model, jit_compile=False)(x, target=1).attributions
        compiled = Saliency(model, jit_compile=True)(x, target=1).attributions
        tf.config.run_functions_eagerly(True)
        try:
            eager = Saliency(model, jit_compile=False)(x, target=1).attributions
        finally:
            tf.config.run_functions_eagerly(False)
        np.testing.assert_allclose(compiled, graph, atol=1e-5)
        np.testing.assert_allclose(eager, graph, atol=1e-6)

    def test_tensorflow_still_counts_every_tied_voxel(self):
        """The reason for a derivative of our own; when this fails, it can go."""
        model, x = pooling_network(3), tf.constant(scan(3))
        with tf.GradientTape() as tape:
            tape.watch(x)
            scores = model(x, training=False)[:, 1]
        wrong = total(tape.gradient(scores, x).numpy())
        assert abs(wrong - slope_of_the_mean(model, x.numpy(), 1)).min() > 1

    @pytest.mark.slow
    def test_with_and_without_onednn(self):
        """The other setting, in another process, since TensorFlow reads it once."""
        other = "1" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else "0"
        script = """
import numpy as np
from test_saliency import Saliency, pooling_network, scan, slope_of_the_mean, total
for axes in (2, 3):  # which oneDNN pools
    model, x = pooling_network(axes), scan(axes)
    found = total(Saliency(model)(x, target=1).attributions)
    np.testing.assert_allclose(found, slope_of_the_mean(model, x, 1), atol=1e-4)
"""
        here = Path(__file__).parent
        paths = [str(here), str(here.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        settings = {"TF_ENABLE_ONEDNN_OPTS": other, "PYTHONPATH": os.pathsep.join(paths)}
        run = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr[-2000:]

    @pytest.mark.slow
    def test_a_volume_that_reaches_a_recurrent_layer(self):
        """Where one operation has a rule, all are passed back through one by one, loops included."""
        layers = [LAYERS.Conv3D(4, 3, activation="relu"), LAYERS.MaxPooling3D()]
        tail = [LAYERS.Reshape((-1, 4)), LAYERS.LSTM(3), LAYERS.Dense(3)]
        model = randomized(keras.Sequential([keras.Input(SHAPES[3]), *layers, *tail]))
        x = samples(3, count=2)
        with tf.GradientTape() as tape:
            at = tf.constant(x)
            tape.watch(at)
            score = model(at, training=False)[:, 1]
        expected = tape.gradient(score, at)  # nothing ties in noise
        found = Saliency(model)(x, target=1).attributions
        assert abs(found).max() > 1e-3
        np.testing.assert_allclose(found, expected, atol=1e-6)


class TestSaliency:
    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_equals_central_differences(self, axes):
        model = flat_network(axes, squash=None, normalized=True)
        x = samples(axes, count=2)
        np.testing.assert_allclose(reference(model, x), model.predict(x, verbose=0), atol=1e-5)
        found = Saliency(model)(x, target=1).attributions
        np.testing.assert_allclose(found, differences(model, x, 1), atol=1e-5)

    def test_is_the_weight_on_a_linear_model(self):
        model = randomized(keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)]))
        kernel, bias = model.layers[0].get_weights()
        x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
        found = Saliency(model)(x, target=2)
        np.testing.assert_array_equal(found.attributions, np.tile(kernel[:, 2], (5, 1)))
        np.testing.assert_allclose(found.scores, x @ kernel[:, 2] + bias[2], atol=1e-6)
        assert found.delta is None and not found.details


class TestGradientTimesInput:
    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_adds_up_to_the_score_without_biases(self, axes):
        layers = [
            spatial("Conv", axes)(4, 3, activation="relu", use_bias=False),
            spatial("MaxPooling", axes)(2),
            LAYERS.Flatten(),
            LAYERS.Dense(3, use_bias=False),
        ]
        model = randomized(keras.Sequential([keras.Input(SHAPES[axes]), *layers]))
        x = samples(axes)
        found = GradientTimesInput(model)(x, target=1)
        np.testing.assert_allclose(total(found.attributions), found.scores, atol=1e-5)
        gradients = Saliency(model)(x, target=1).attributions
        np.testing.assert_allclose(found.attributions, x * gradients, atol=1e-6)


@pytest.mark.parametrize("squash", ["softmax", slow("sigmoid")])
def test_of_a_probability_is_the_chain_rule_on_the_logits(squash):
    model, x = gap_network(1, squash=squash), samples(1)
    slopes = np.stack([Saliency(model)(x, label).attributions for label in range(3)])
    chances = model.predict(x, verbose=0).T[..., None, None]
    if squash == "softmax":
        expected = chances[1] * (slopes[1] - (chances * slopes).sum(axis=0))
    else:
        expected = chances[1] * (1 - chances[1]) * slopes[1]
    found = Saliency(model, score="probabilities")(x, 1)
    np.testing.assert_allclose(found.attributions, expected, atol=1e-6)
    np.testing.assert_allclose(found.scores, chances[1, :, 0, 0], atol=1e-6)
    with pytest.raises(ValueError, match="Layer 'first' has no probabilities"):
        Saliency(model, layer="first", score="probabilities")(x, 1)
