"""DeepLIFT through normalization, softmax, attention and masks, against the rules written out slowly."""

import keras
import numpy as np
import pytest
from attention_by_loops import HEADS, SHAPE, SIZE, Attention, Normalization, head_of
from slow_cases import by_default
from toy_networks import LAYERS, randomized

from keras_pli.attribution import Saliency
from keras_pli.attribution.backprop import DeepLIFT

ops = keras.ops


def samples(count=3, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


NORMALIZATIONS = {
    "layer": (LAYERS.LayerNormalization(), SHAPE, np.arange(20).reshape(5, 4)),
    "group": (
        LAYERS.GroupNormalization(2),
        (2, 3, 4),
        np.arange(24).reshape(6, 2, 2).transpose(1, 0, 2).reshape(2, 12),
    ),
    "rms": (LAYERS.RMSNormalization(), SHAPE, np.arange(20).reshape(5, 4)),
}


@pytest.mark.parametrize("name", by_default("layer", of=NORMALIZATIONS))
def test_normalization(name):
    layer, shape, groups = NORMALIZATIONS[name]
    model, weights = head_of(layer, shape)
    normalized = Normalization(layer, groups, np.arange(groups.size))
    x, starts = samples(shape=shape), samples(seed=1, shape=shape)
    starts[2] = 0  # where the size is no more than ε
    expected = []
    for one, start in zip(x.astype(float), starts.astype(float), strict=True):
        a, b = one.ravel(), start.ravel()
        slopes = weights[:, 1] @ normalized.secant(a, b)
        expected.append((slopes * (a - b)).reshape(shape))
        rise = weights[:, 1] @ (normalized(a) - normalized(b))
        np.testing.assert_allclose(expected[-1].sum(), rise, rtol=1e-9)
    assert_equal(DeepLIFT(model)(x, 1, baseline=starts).attributions, expected)


def logarithmic_mean(s, t):
    return np.where(np.isclose(s, t, rtol=1e-9), s, (s - t) / (np.log(s) - np.log(t)))


def through_softmax(slopes, s, t):
    """λᵢ (gᵢ − Σ λⱼ gⱼ / Σ λⱼ) along the last axis."""
    weights = logarithmic_mean(s, t)
    mean = (weights * slopes).sum(-1, keepdims=True) / weights.sum(-1, keepdims=True)
    return weights * (slopes - mean)


def test_softmax():
    """By logarithmic means; a common shift changes nothing, also a large one."""
    model, weights = head_of(LAYERS.Softmax())
    x, starts = samples(), samples(seed=1)
    shares = [np.exp(z.astype(float)) for z in (x, starts)]
    s, t = (part / part.sum(-1, keepdims=True) for part in shares)
    expected = through_softmax(weights[:, 1].reshape(SHAPE), s, t) * (x - starts)
    rise = np.sum((s - t) * weights[:, 1].reshape(SHAPE), axis=(1, 2))
    np.testing.assert_allclose(expected.sum((1, 2)), rise, rtol=1e-5)
    assert_equal(DeepLIFT(model)(x, 1, baseline=starts).attributions, expected)
    shifted = DeepLIFT(model)(x, 1, baseline=starts + np.float32(64))
    np.testing.assert_allclose(shifted.attributions.sum((1, 2)), rise, atol=1e-4)
    near = DeepLIFT(model)(x, 1, baseline=x - np.float32(2**-8)).attributions * 2**8
    assert np.abs(near - Saliency(model)(x, 1).attributions).max() < 1e-4


def test_attention():
    """Δ(AB) = ΔA mean(B) + mean(A) ΔB, head by head."""
    layer = LAYERS.MultiHeadAttention(HEADS, SIZE)
    model, weights = head_of(layer)
    attention, x, starts = Attention(layer), samples(), samples(seed=1)
    expected = []
    for one, start in zip(x.astype(float), starts.astype(float), strict=True):
        there, here = attention.parts(one), attention.parts(start)
        query, key, value, _, shares, _ = ((a + b) / 2 for a, b in zip(there, here, strict=True))
        slopes = attention.from_logit(weights[:, 1])
        by_shares = np.einsum("hjd,hid->hji", slopes, value)
        by_scores = through_softmax(by_shares, there[4], here[4]) / np.sqrt(SIZE)
        parts = [
            np.einsum("hji,hid->hjd", by_scores, key),
            np.einsum("hji,hjd->hid", by_scores, query),
            np.einsum("hji,hjd->hid", shares, slopes),
        ]
        by_x = sum(
            np.einsum("htd,fhd->tf", part, kernel)
            for part, kernel in zip(parts, attention.kernels, strict=True)
        )
        expected.append(by_x * (one - start))
    assert_equal(DeepLIFT(model)(x, 1, baseline=starts).attributions, expected)


# Sums.


def transformer_block(x):
    attended = LAYERS.LayerNormalization()(x)
    x = LAYERS.Add()([x, LAYERS.MultiHeadAttention(2, 3)(attended, attended)])
    return LAYERS.Dense(4)(LAYERS.Dense(6, "gelu")(LAYERS.LayerNormalization()(x)))


def masked_attention(x):
    x = LAYERS.Masking()(x)
    return LAYERS.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)


BRANCHES = {
    "transformer": transformer_block,
    "masked": masked_attention,
    "dot attention": lambda x: LAYERS.Attention()([LAYERS.Masking()(x)] * 2),
    "additive attention": lambda x: LAYERS.AdditiveAttention()([x, x]),
    "grouped queries": lambda x: LAYERS.GroupQueryAttention(3, 4, 2)(x, x),
    "unit": LAYERS.UnitNormalization(),
    "rms": LAYERS.RMSNormalization(),
    "standardized": LAYERS.Lambda(
        lambda x: (x - ops.mean(x, 1, keepdims=True)) / (ops.std(x, 1, keepdims=True) + 0.1)
    ),
    "log softmax": LAYERS.Activation("log_softmax"),
    "logsumexp": LAYERS.Lambda(lambda x: ops.logsumexp(x, axis=2)),
    "similarity": LAYERS.Dot((2, 2), normalize=True),
    "quotient": LAYERS.Lambda(lambda x: x / (1 + ops.abs(x)) + 1 / (2 + ops.exp(x))),
    "signs": LAYERS.Lambda(lambda x: x[:, :, :1] / (x + 0.4)),
    "minimum": LAYERS.Lambda(lambda x: ops.min(x, axis=1)),
    "gate": LAYERS.Lambda(lambda x: x * ops.cast(x > ops.mean(x, 2, keepdims=True), x.dtype)),
    "logic": LAYERS.Lambda(
        lambda x: ops.where(
            ops.logical_or(ops.logical_not(x > 1), ops.logical_and(x > 0.3, x[:, :, :1] > 0)), x, 0
        )
    ),
    "all": LAYERS.Lambda(lambda x: ops.where(ops.all(x > -1, axis=2, keepdims=True), x, 2)),
}


FEW = ["transformer", "masked", "signs", "gate"]


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.parametrize("names", by_default(FEW, of=[FEW, list(BRANCHES)]), ids=["few", "all"])
def test_sums_to_the_difference(names):
    """One logit for each branch, so that one trace tells of all; some rows masked, or all at the baseline."""
    inputs = keras.Input(SHAPE)
    ends = []
    for branch in (BRANCHES[name] for name in names):
        made = branch([inputs, inputs] if isinstance(branch, LAYERS.Dot) else inputs)
        ends.append(LAYERS.Dense(1)(LAYERS.Flatten()(made)))
    model = randomized(keras.Model(inputs, LAYERS.Concatenate()(ends)))
    x = samples(1)
    x[:, 3:] = 0
    starts = np.concatenate([np.zeros_like(x), np.full_like(x, 0.3), samples(1, seed=1)])
    times, count = len(starts), len(names)
    found = DeepLIFT(model)(
        np.repeat(x, times * count, axis=0),
        np.tile(np.arange(count), times),
        baseline=np.repeat(starts, count, axis=0),
    )
    rises = np.asarray(model(x)) - np.asarray(model(starts))
    sums = found.attributions.sum((1, 2)).reshape(times, count)
    for name, found_rises, expected in zip(names, sums.T, rises.T, strict=True):
        np.testing.assert_allclose(found_rises, expected, atol=1e-5, err_msg=name)


# By hand.


def gated_by_any(x):
    """0.5 where both are 0, and the first one elsewhere."""
    return ops.where(ops.any(ops.not_equal(x, 0), axis=1, keepdims=True), x[:, :1], 0.5)


@pytest.mark.parametrize(
    ("function", "x", "baseline", "expected"),
    [
        # Half of Δa, and (a − b) Δc on average by the condition, shared by those who made it true.
        (gated_by_any, (3, 2), (0, 0), (2.0, 0.5)),
        (lambda x: x[:, :1] / x[:, 1:], (6, 3), (1, 1), (2.5, -1.5)),
        (lambda x: ops.matmul(x[:, None], x[:, :, None])[:, 0], (3, 2), (1, 1), (8, 3)),
        (lambda x: ops.min(x, axis=1, keepdims=True), (3, 1), (0, 2), (1, 0)),
        (lambda x: ops.min(x, axis=1, keepdims=True), (0, 1), (3, 2), (-2, 0)),
    ],
    ids=["any", "quotient", "matrices", "risen minimum", "fallen minimum"],
)
def test_by_hand(function, x, baseline, expected):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, LAYERS.Lambda(function)(inputs))
    method = DeepLIFT(model, baseline=np.array(baseline), score="output")
    found = method(np.array([x], np.float32), lambda logits: logits[:, 0])
    np.testing.assert_allclose(found.attributions, [expected], atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.slow
def test_compiled_and_in_half_precision():
    def network(dtype):
        inputs = keras.Input(SHAPE)
        x = LAYERS.Masking(dtype=dtype)(inputs)
        x = LAYERS.MultiHeadAttention(2, 3, dtype=dtype)(x, x)
        x = LAYERS.LayerNormalization(dtype=dtype)(x)
        return randomized(keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(x))))

    x = samples()
    x[1, 3:] = 0
    model = network("float32")
    expected = DeepLIFT(model, baseline=0.2)(x, 1).attributions
    compiled = DeepLIFT(model, baseline=0.2, jit_compile=True)(x, 1).attributions
    half = DeepLIFT(network("mixed_float16"), baseline=0.2)(x, 1).attributions
    assert_equal(compiled, expected)
    assert np.abs(half - expected).max() < 0.02 * np.abs(expected).max()
