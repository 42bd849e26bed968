"""Every substituted rule against its paper's formula, matrix by matrix, for the predicted class."""

import functools

import matrix_networks as matrices
import numpy as np
import pytest
from matrix_networks import Branches, keras_network, steps_of
from toy_networks import LAYERS, spatial

from keras_pli.attribution.backprop import Deconvnet, DeepLIFT, EpsilonLRP, GuidedBackprop

SHAPES = {1: (9, 2), 2: (5, 5, 2), 3: (4, 5, 4, 1)}
EPSILON = 0.05
# Where Deconvnet has no other step than guided backprop.
AS_GUIDED = {f"{kind}{axes}" for kind in ("averages", "normalized", "top") for axes in SHAPES}
OWN = ("maximum", "overlapping", "top", "normalized")


def conv(axes, **options):
    return spatial("Conv", axes)(4, 2, **options)


def ends():
    return [LAYERS.Flatten(), LAYERS.Dense(3)]


def convolutions(axes):
    return [conv(axes), "relu", conv(axes, padding="same", strides=2), "relu", *ends()]


def transposed(axes):
    up = getattr(LAYERS, f"Conv{axes}DTranspose")
    ups = [up(2, 3, strides=2), "relu", up(2, 2, padding="same"), "relu"]
    return [conv(axes, strides=2), "relu", *ups, *ends()]


def depthwise(axes):
    layer = spatial("DepthwiseConv", axes)
    return [layer(2, depth_multiplier=2), "relu", layer(2, padding="same"), "relu", *ends()]


def maximum(axes):
    return [conv(axes), "relu", spatial("MaxPooling", axes)(2), *ends()]


def overlapping(axes):
    return [conv(axes, padding="same"), spatial("MaxPooling", axes)(2, 1), "relu", *ends()]


def top(axes):
    return [conv(axes), "relu", spatial("GlobalMaxPooling", axes)(), LAYERS.Dense(3)]


def averages(axes):
    pooling = spatial("AveragePooling", axes)(2, 1)
    mean = spatial("GlobalAveragePooling", axes)()
    return [conv(axes), "relu", pooling, conv(axes), "relu", mean, LAYERS.Dense(3)]


def normalized(axes):
    up = spatial("UpSampling", axes)(2)
    return [
        conv(axes, strides=2),
        LAYERS.BatchNormalization(),
        "relu",
        up,
        conv(axes),
        "relu",
        *ends(),
    ]


def merged(axes):
    sums = Branches([conv(axes, padding="same"), conv(axes, padding="same")], LAYERS.Add())
    joined = Branches([conv(axes), conv(axes)], LAYERS.Concatenate())
    return [conv(axes), "relu", sums, "relu", joined, "relu", *ends()]


SPATIAL = (convolutions, transposed, maximum, overlapping, top, averages, normalized, merged)
RECTIFIED = {
    "dense": ((7,), [LAYERS.Dense(6), "relu", LAYERS.Dense(5), "relu", LAYERS.Dense(3)]),
    **{
        f"{build.__name__}{axes}": (SHAPES[axes], build(axes))
        for build in SPATIAL
        for axes in SHAPES
    },
    **{f"depthwise{axes}": (SHAPES[axes], depthwise(axes)) for axes in (1, 2)},
    "grouped": (SHAPES[2], [conv(2), "relu", conv(2, groups=2), "relu", *ends()]),
    **{name: (SHAPES[2], [conv(2), name, *ends()]) for name in ("leaky_relu", "elu", "relu6")},
}
SMOOTH = {name: (SHAPES[2], [conv(2), name, *ends()]) for name in ("tanh", "silu")}
NETWORKS = {**RECTIFIED, **SMOOTH}


# As linear as other convolutions: of each of them one method.
ALIKE = ("depthwise2", "transposed2")


def fewer(names, *slow):
    """What is tested on images is slow on sequences and volumes: the rules know no number of axes."""
    return [
        pytest.param(name, marks=pytest.mark.slow)
        if name in ("grouped", *slow) or name[-1] in "13"
        else name
        for name in names
    ]


@functools.cache
def built(name):
    """A network in Keras, as steps, and three samples for it."""
    shape, layers = NETWORKS[name]
    model = keras_network(layers, shape)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    return model, steps_of(layers, shape), x


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", fewer(NETWORKS))
@pytest.mark.slow
def test_the_matrices_are_the_network(name):
    model, steps, x = built(name)
    assert_equal(np.asarray(model(x)), [matrices.trace(steps, sample)[-1] for sample in x])


@pytest.mark.parametrize("name", fewer(RECTIFIED, *ALIKE, "normalized2", "averages2"))
def test_guided_backprop(name):
    model, steps, x = built(name)
    expected = np.stack([matrices.guided(steps, sample) for sample in x])
    assert_equal(GuidedBackprop(model)(x).attributions, expected)


# What is rectified, guided backprop is told by the same list.
@pytest.mark.parametrize(
    "name",
    fewer(
        [name for name in RECTIFIED if name not in AS_GUIDED],
        *ALIKE,
        "elu",
        "relu6",
    ),
)
def test_deconvnet(name):
    model, steps, x = built(name)
    expected = np.stack([matrices.deconvolved(steps, sample) for sample in x])
    assert_equal(Deconvnet(model)(x).attributions, expected)


@pytest.mark.parametrize("name", fewer([*RECTIFIED, "tanh"], *ALIKE, "normalized2"))
def test_epsilon_lrp(name):
    model, steps, x = built(name)
    expected = np.stack([matrices.relevance(steps, sample, EPSILON) for sample in x])
    assert_equal(EpsilonLRP(model, epsilon=EPSILON)(x).attributions, expected)


@pytest.mark.parametrize(
    "name", fewer(NETWORKS, "leaky_relu", "elu", "tanh", "averages2", "merged2")
)
def test_deep_lift_from_the_baseline_of_each_sample(name):
    model, steps, x = built(name)
    baselines = np.random.default_rng(2).normal(size=x.shape).astype(np.float32)
    pairs = zip(x.astype(float), baselines.astype(float), strict=True)
    expected = np.stack([matrices.multipliers(steps, *pair) for pair in pairs])
    assert_equal(DeepLIFT(model)(x, baseline=baselines).attributions, expected)


@pytest.mark.parametrize(
    "name", fewer(["dense", *(f"{kind}{axes}" for kind in OWN for axes in SHAPES)], "normalized2")
)
def test_deep_lift_from_its_own_baseline(name):
    model, steps, x = built(name)
    baseline = np.random.default_rng(2).normal(size=x.shape[1:]).astype(np.float32)
    expected = [
        matrices.multipliers(steps, sample, baseline.astype(float)) for sample in x.astype(float)
    ]
    assert_equal(DeepLIFT(model, baseline=baseline)(x).attributions, np.stack(expected))
