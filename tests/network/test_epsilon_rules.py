"""ε-LRP through normalization, softmax, attention and masks, as relevance handed from value to value."""

import keras
import numpy as np
import pytest
from attention_by_loops import HEADS, SHAPE, SIZE, Attention, Normalization, head_of
from toy_networks import LAYERS, randomized

from keras_pli.attribution.backprop import EpsilonLRP

ops = keras.ops


def samples(count=3, shape=SHAPE):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def linear(matrix, a, z, relevance):
    """Rᵢ = aᵢ Σⱼ wⱼᵢ Rⱼ / zⱼ (Bach et al. 2015, equation 56)."""
    return a * (matrix.T @ (relevance / z))


@pytest.mark.parametrize(
    ("layer", "shape", "groups"),
    [
        (LAYERS.LayerNormalization(), SHAPE, np.arange(20).reshape(5, 4)),
        (
            LAYERS.GroupNormalization(2),
            (2, 3, 4),
            np.arange(24).reshape(6, 2, 2).transpose(1, 0, 2).reshape(2, 12),
        ),
        (LAYERS.RMSNormalization(), SHAPE, np.arange(20).reshape(5, 4)),
    ],
    ids=["layer", "group", "rms"],
)
def test_normalization_with_its_size_held(layer, shape, groups):
    model, weights = head_of(layer, shape)
    normalized, x = Normalization(layer, groups, np.arange(groups.size)), samples(shape=shape)
    expected = []
    for one in x.astype(float):
        a = one.ravel()
        y = normalized(a)
        expected.append(linear(normalized.held(a), a, y, y * weights[:, 1]).reshape(shape))
    assert_equal(EpsilonLRP(model)(x, 1).attributions, expected)


def test_normalization_hands_relevance_on():
    """The identity rule: what has a mean of 0 keeps its relevance, place by place."""
    model, weights = head_of(LAYERS.LayerNormalization(center=False))
    x = samples()
    x -= x.mean(axis=-1, keepdims=True)
    by_place = np.asarray(model.layers[1](x)) * weights[:, 1].reshape(SHAPE)
    found = EpsilonLRP(model)(x, 1).attributions
    share = x * (by_place / x).mean(axis=-1, keepdims=True)  # by way of the mean, which is 0 in all
    np.testing.assert_allclose(share.sum(-1), 0, atol=1e-5)
    assert_equal(found, by_place - share)
    np.testing.assert_allclose(found.sum((1, 2)), by_place.sum((1, 2)), atol=1e-5)


def taylor(scores, shares, relevance):
    """Rᵢ = zᵢ (Rᵢ(s) − sᵢ Σ Rⱼ(s)) (Achtibat et al. 2024)."""
    return scores * (relevance - shares * relevance.sum(-1, keepdims=True))


def test_softmax():
    model, weights = head_of(LAYERS.Softmax())
    x = samples()
    shares = np.exp(x.astype(float))
    shares /= shares.sum(-1, keepdims=True)
    expected = taylor(x, shares, shares * weights[:, 1].reshape(SHAPE))
    assert_equal(EpsilonLRP(model)(x, 1).attributions, expected)


def test_attention():
    """Half of the relevance of a product to each factor, as relevance of single values."""
    layer = LAYERS.MultiHeadAttention(HEADS, SIZE)
    model, weights = head_of(layer)
    attention, x = Attention(layer), samples()
    expected = []
    for one in x.astype(float):
        query, key, value, scores, shares, outputs = attention.parts(one)
        relevance = outputs * attention.from_logit(weights[:, 1])
        # R_jip for what share ji and value ip made together of output jp.
        together = np.einsum("hji,hip,hjp->hjip", shares, value, relevance / outputs) / 2
        by_scores = taylor(scores, shares, together.sum(3))
        apart = np.einsum("hjd,hid,hji->hjid", query, key, by_scores / scores)
        apart /= 2 * np.sqrt(SIZE)
        parts = zip(
            (query, key, value),
            (apart.sum(2), apart.sum(1), together.sum(1)),
            attention.kernels,
            strict=True,
        )
        expected.append(
            sum(one * np.einsum("htd,fhd->tf", r / made, kernel) for made, r, kernel in parts)
        )
    assert_equal(EpsilonLRP(model)(x, 1).attributions, expected)


def masked_by_any(x):
    return ops.where(ops.any(ops.not_equal(x, 0), axis=1, keepdims=True), 2 * x, 1)[:, :1]


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        # z = (a − b)² has the relevance z, in the ratio of a and −b.
        (lambda x: ops.square(x[:, :1] - x[:, 1:]), (5, 2), (15, -6)),
        (lambda x: ops.var(x, axis=1, keepdims=True), (5, 2), (5 * 0.75, -2 * 0.75)),
        (lambda x: x[:, :1] / x[:, 1:], (6, 3), (2, 0)),
        (lambda x: 8 / (x[:, :1] + x[:, 1:]), (3, 1), (1.5, 0.5)),
        (lambda x: ops.matmul(x[:, None], x[:, :, None])[:, 0], (3, 2), (9, 4)),
        (lambda x: x[:, :1] * ops.cast(x[:, 1:] > 0, "float32"), (3, 2), (3, 0)),
        (masked_by_any, (3, 2), (6, 0)),
        (lambda x: ops.min(x, axis=1, keepdims=True), (3, 5), (3, 0)),
    ],
    ids=["square", "variance", "quotient", "inverse", "matrices", "step", "masked", "minimum"],
)
def test_by_hand(function, x, expected):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, LAYERS.Lambda(function)(inputs))
    found = EpsilonLRP(model, score="output")(np.array([x], np.float32), lambda z: z[:, 0])
    np.testing.assert_allclose(found.attributions, [expected], rtol=1e-5, atol=1e-5)


def test_what_is_not_conserved_is_said():
    """A sigmoid that receives next to nothing hands on much more than it gets; `delta` says so."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, LAYERS.Lambda(lambda x: ops.sigmoid(x - 1))(inputs))
    method = EpsilonLRP(model, epsilon=1e-9, score="output")
    found = method(np.array([[1 + 2**-10]], np.float32), lambda z: z[:, 1])
    score = 1 / (1 + np.exp(-(2.0**-10)))
    made = (2**10 + 1) * score
    np.testing.assert_allclose(found.attributions, [[made]], rtol=1e-5)
    np.testing.assert_allclose(found.delta, [made - score], rtol=1e-5)
    np.testing.assert_allclose(found.details["bias_share"], [-(2**10)], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.slow
def test_compiled():
    inputs = keras.Input(SHAPE)
    x = LAYERS.Masking()(inputs)
    x = LAYERS.LayerNormalization()(LAYERS.MultiHeadAttention(2, 3)(x, x))
    model = randomized(keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(x))))
    found = [EpsilonLRP(model, jit_compile=xla)(samples(), 1).attributions for xla in (False, True)]
    assert_equal(found[1], found[0])
