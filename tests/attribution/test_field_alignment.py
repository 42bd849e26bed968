"""Class activation maps laid where the receptive fields of their values are, in volumes above all."""

import keras
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from slow_cases import slow
from toy_networks import LAYERS, gap_network, randomized, samples

from keras_pli.attribution import CAM, GradCAM, GuidedBackprop, GuidedGradCAM

SIZES = (22, 24, 23)


@pytest.fixture(scope="module")
def network():
    """Two blocks of a "valid" convolution and a pooling, as in the paper's network."""
    blocks = [
        LAYERS.Conv3D(3, 3, activation="relu"),
        LAYERS.MaxPooling3D(2, name="pool1"),
        LAYERS.Conv3D(4, 3, activation="relu"),
        LAYERS.MaxPooling3D(2, name="pool2"),
    ]
    head = [LAYERS.GlobalAveragePooling3D(), LAYERS.Dense(3, name="head")]
    return randomized(keras.Sequential([keras.Input((*SIZES, 1)), *blocks, *head]))


@pytest.fixture(scope="module")
def volumes():
    return np.random.default_rng(0).normal(size=(2, *SIZES, 1)).astype(np.float32)


def laid(maps, first, step, reach):
    """By SciPy: values at the middles of fields, the border continued, 0 where no field reaches."""
    found = np.zeros((len(maps), *SIZES))
    middles = [first + step * np.arange(size) for size in maps.shape[1:]]
    entries = [
        np.clip(np.arange(size), own[0], own[-1]) for size, own in zip(SIZES, middles, strict=True)
    ]
    seen = [
        (np.arange(size) >= own[0] - reach) & (np.arange(size) <= own[-1] + reach)
        for size, own in zip(SIZES, middles, strict=True)
    ]
    grid = np.stack(np.meshgrid(*entries, indexing="ij"), axis=-1)
    inside = np.logical_and.reduce(np.meshgrid(*seen, indexing="ij"))
    for number, one in enumerate(maps):
        found[number] = RegularGridInterpolator(middles, one)(grid) * inside
    return found


@pytest.mark.parametrize(
    # Of the first pooling: windows of 3 and 2 from entry 0 on; the second, 3 and 2 of these.
    ("layer", "first", "step", "reach"),
    [slow("pool1", 1.5, 2, 1.5), ("pool2", 4.5, 4, 4.5)],
)
def test_values_lie_at_the_middles_of_their_fields(network, volumes, layer, first, step, reach):
    found = GradCAM(network, layer=layer, relu=False, alignment="fields")(volumes, 0)
    wanted = laid(found.details["map"].astype(float), first, step, reach)
    np.testing.assert_allclose(found.attributions, wanted, atol=1e-5)


@pytest.mark.slow
def test_cam_and_guided_grad_cam_take_it_too(network, volumes):
    cam = CAM(network, alignment="fields")(volumes, 1)
    wanted = laid(cam.details["map"].astype(float), 4.5, 4, 4.5)
    np.testing.assert_allclose(cam.attributions, wanted, atol=1e-5)
    guided_cam = GuidedGradCAM(network, relu=False, alignment="fields")(volumes, 1)
    grad_cam = laid(guided_cam.details["map"].astype(float), 4.5, 4, 4.5)
    guided = GuidedBackprop(network)(volumes, 1).attributions
    np.testing.assert_allclose(guided_cam.attributions, guided * grad_cam[..., None], atol=1e-6)


@pytest.mark.slow
def test_is_the_same_where_windows_are_padded():
    inputs = [keras.Input((8, 8, 1)), LAYERS.Conv2D(4, 3, padding="same"), LAYERS.MaxPooling2D(2)]
    model = randomized(keras.Sequential([*inputs, LAYERS.Flatten(), LAYERS.Dense(3)]))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    stretched = GradCAM(model)(x, 1).attributions
    np.testing.assert_allclose(
        GradCAM(model, alignment="fields")(x, 1).attributions, stretched, atol=1e-6
    )


def test_options_that_make_no_sense():
    with pytest.raises(ValueError, match="`alignment` must be one of 'input', 'fields'"):
        GradCAM(gap_network(2), alignment="centre")
    tokens = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            LAYERS.Conv2D(4, 2, strides=2),
            LAYERS.Reshape((16, 4), name="tokens"),
            LAYERS.GlobalAveragePooling1D(),
            LAYERS.Dense(3),
        ]
    )
    method = GradCAM(
        tokens,
        layer="tokens",
        reshape=lambda t: keras.ops.reshape(t, (-1, 4, 4, 4)),
        alignment="fields",
    )
    with pytest.raises(ValueError, match="what `reshape` makes of 'tokens' lie is not known"):
        method(np.concatenate([samples(2)[:, :8]]), 1)
