"""Volumes: every method on a background of zeros, and Grad-CAM's weights at each position."""

import keras
import numpy as np
import pytest
from quick_methods import QUICK
from slow_cases import by_default, slow
from toy_networks import LAYERS, gap_network, randomized, samples, weights_of

from keras_pli.attribution import (
    METHODS,
    GradCAM,
    MeaningfulPerturbation,
    Saliency,
)

SIZES = (9, 8, 7)
WEIGHTS = ("mean", "elementwise", "positive")


def brain():
    inside = np.zeros(SIZES, bool)
    inside[2:8, 1:6, 2:7] = True
    return inside


@pytest.fixture(scope="module")
def network():
    """A block as in the paper's network, and a head that CAM can explain."""
    head = [LAYERS.GlobalAveragePooling3D(), LAYERS.Dense(2, name="head")]
    blocks = [LAYERS.Conv3D(3, 3, padding="same"), LAYERS.BatchNormalization(), LAYERS.ReLU()]
    model = keras.Sequential([keras.Input((*SIZES, 1)), *blocks, LAYERS.MaxPooling3D(2), *head])
    return randomized(model)


@pytest.fixture(scope="module")
def volumes():
    x = np.random.default_rng(1).normal(1.0, 0.3, size=(2, *SIZES, 1)).astype(np.float32)
    return x * brain()[..., None]


# The others go the ways of these.
WAYS = (Saliency, GradCAM)


@pytest.mark.parametrize("kind", by_default(*WAYS, of=METHODS))
def test_every_method_explains_volumes_with_a_background_of_zeros(kind, network, volumes):
    """The ties in its max-pooling have gradients, which are shared out; class 0 is one like the other."""
    method = kind(network, **QUICK.get(kind.__name__, {}))
    found = method(volumes, np.array([0, 1]))
    assert found.attributions.shape[:4] == volumes.shape[:4]
    assert np.isfinite(found.attributions).all()
    if kind is MeaningfulPerturbation:
        return
    logits = network.predict(volumes, verbose=0)
    np.testing.assert_allclose(found.scores, logits[[0, 1], [0, 1]], atol=1e-4)
    assert np.ptp(found.attributions[0]) > 0
    alone = method(volumes[:1], 0)
    scale = np.abs(found.attributions[0]).max()
    np.testing.assert_allclose(alone.attributions[0], found.attributions[0], atol=1e-3 * scale)


def linear_head(sizes=SIZES):
    """Maps, and one linear layer of all their values: the networks that HiResCAM was made for."""
    blocks = [LAYERS.Conv3D(4, 3, activation="relu"), LAYERS.AveragePooling3D(2, name="maps")]
    head = [LAYERS.Flatten(), LAYERS.Dense(2, name="head")]
    return randomized(keras.Sequential([keras.Input((*sizes, 1)), *blocks, *head]))


class TestWeights:
    @pytest.mark.slow
    def test_elementwise_is_faithful_to_a_linear_head(self, volumes):
        """Its sum is the logit less the bias (Draelos & Carin 2020), which Grad-CAM's is not."""
        model = linear_head()
        _, bias = weights_of(model, "head")
        found = {}
        for target in (0, 1):
            for weights in ("elementwise", "mean"):
                method = GradCAM(model, weights=weights, relu=False)
                own = method(volumes, target)
                sums = own.details["map"].sum(axis=(1, 2, 3))
                found[target, weights] = np.abs(sums + bias[target] - own.scores).max()
        assert max(found[target, "elementwise"] for target in (0, 1)) < 1e-4
        assert min(found[target, "mean"] for target in (0, 1)) > 0.01

    @pytest.mark.parametrize("weights", by_default("elementwise", "positive", of=WEIGHTS))
    @pytest.mark.parametrize("counterfactual", [False, slow(True)])
    def test_equals_its_formula(self, volumes, weights, counterfactual):
        model = linear_head()
        kernel, _ = weights_of(model, "head")
        until = keras.Model(model.inputs, model.get_layer("maps").output)
        maps = until.predict(volumes, verbose=0).astype(float)
        slopes = np.broadcast_to(kernel[:, 1].reshape(maps.shape[1:]), maps.shape)
        slopes = -slopes if counterfactual else slopes
        by_hand = {
            "mean": slopes.mean(axis=(1, 2, 3), keepdims=True),
            "elementwise": slopes,
            "positive": np.maximum(slopes, 0),
        }[weights]
        wanted = (by_hand * maps).sum(axis=-1)
        method = GradCAM(model, weights=weights, counterfactual=counterfactual, relu=False)
        np.testing.assert_allclose(method(volumes, 1).details["map"], wanted, atol=1e-5)

    @pytest.mark.slow
    def test_elementwise_is_grad_cam_where_pooling_is_global(self):
        model, x = gap_network(3), samples(3)
        mean, elementwise = (GradCAM(model, weights=w)(x, 2) for w in ("mean", "elementwise"))
        np.testing.assert_allclose(elementwise.attributions, mean.attributions, atol=1e-6)

    def test_unknown_weights(self):
        with pytest.raises(ValueError, match="`weights` must be one of 'mean', 'elementwise', 'po"):
            GradCAM(gap_network(3), weights="max")
