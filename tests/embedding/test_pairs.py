import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.embedding import pairs
from keras_pli.embedding.pairs import kernel_sum, squared_distances


def attraction(y, p):
    """Of a batch in which every row lists all points."""
    size = y.shape[0]
    return pairs.attraction(y, keras.ops.tile(keras.ops.arange(size)[None], (size, 1)), p)


def naive_attraction(y, p):
    total = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            total += p[i, j] * np.log(1 + np.sum((y[i] - y[j]) ** 2))
    return total


def naive_kernel_sum(y, weight):
    total = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            if i != j:
                total += weight[i] * weight[j] / (1 + np.sum((y[i] - y[j]) ** 2))
    return total


NAIVE = {attraction: naive_attraction, kernel_sum: naive_kernel_sum}


def central_differences(function, y, step=1e-5):
    gradient = np.zeros_like(y)
    for cell in np.ndindex(*y.shape):
        ends = []
        for sign in (1, -1):
            moved = y.copy()
            moved[cell] += sign * step
            ends.append(function(moved))
        gradient[cell] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def symmetric(size, *, zeros=0.5, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random((size, size)) * (rng.random((size, size)) > zeros)
    p = np.triu(p, 1)
    return (p + p.T) / (2 * p.sum())


def weights_for(term, size):
    if term is attraction:
        return symmetric(size)
    return np.random.default_rng(9).uniform(0.1, 2, size)


def gradient_of(term, y, weights, *, jit_compile):
    weights = tf.constant(weights, tf.float32)

    @tf.function(jit_compile=jit_compile)
    def step(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = term(y, weights)
        return value, tape.gradient(value, y)

    value, gradient = step(tf.constant(y, tf.float32))
    return float(value), gradient.numpy()


def autodiff_of(term, y, weights):
    """The same terms in plain operations, differentiated by TensorFlow in float64."""
    y, weights = tf.constant(y, tf.float64), tf.constant(weights, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(y)
        distances = tf.reduce_sum((y[:, None] - y[None, :]) ** 2, axis=-1)
        if term is attraction:
            value = tf.reduce_sum(weights * tf.math.log(1 + distances))
        else:
            both = (
                weights[:, None] * weights[None, :] * (1 - tf.eye(len(weights), dtype=tf.float64))
            )
            value = tf.reduce_sum(both / (1 + distances))
    return float(value), tape.gradient(value, y).numpy()


TERMS = pytest.mark.parametrize("term", [attraction, kernel_sum], ids=["attraction", "kernel"])
COMPONENTS = pytest.mark.parametrize("components", [2, 3])
WAYS = pytest.mark.parametrize(
    ("components", "jit_compile"),
    [(2, False), pytest.param(2, True, marks=pytest.mark.slow), (3, False)],
    ids=["2", "2-xla", "3"],
)


@TERMS
@WAYS
class TestTerms:
    def test_value_and_gradient(self, term, jit_compile, components):
        y = np.random.default_rng(1).normal(scale=3, size=(14, components))
        weights = weights_for(term, 14)
        value, gradient = gradient_of(term, y, weights, jit_compile=jit_compile)
        np.testing.assert_allclose(value, NAIVE[term](y, weights), rtol=1e-5)
        differences = central_differences(lambda moved: NAIVE[term](moved, weights), y)
        np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=2e-6)
        plain = autodiff_of(term, y, weights)
        np.testing.assert_allclose(value, plain[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, plain[1], rtol=1e-4, atol=2e-6)

    def test_duplicates(self, term, jit_compile, components):
        y = np.random.default_rng(2).normal(size=(12, components))
        y[3:7] = y[3]
        weights = weights_for(term, 12)
        value, gradient = gradient_of(term, y, weights, jit_compile=jit_compile)
        expected = autodiff_of(term, y, weights)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=2e-6)

    def test_all_in_one_place(self, term, jit_compile, components):
        y = np.full((8, components), 0.3)
        value, gradient = gradient_of(term, y, weights_for(term, 8), jit_compile=jit_compile)
        expected = (
            0.0
            if term is attraction
            else np.outer(*[weights_for(term, 8)] * 2)[~np.eye(8, dtype=bool)].sum()
        )
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(gradient, 0, atol=1e-5)

    def test_far_outliers(self, term, jit_compile, components):
        y = np.random.default_rng(3).normal(size=(12, components))
        y[5] = 1e4
        y[6] = -1e4
        y[7] = y[6] + 1.0
        weights = weights_for(term, 12)
        value, gradient = gradient_of(term, y, weights, jit_compile=jit_compile)
        expected = autodiff_of(term, y, weights)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        # At 1e4 float32 positions are 1e-3 apart.
        np.testing.assert_allclose(gradient, expected[1], rtol=2e-3, atol=1e-4)

    def test_upstream_gradient(self, term, jit_compile, components):
        y = np.random.default_rng(4).normal(size=(6, components))
        weights = weights_for(term, 6)
        alone = gradient_of(term, y, weights, jit_compile=jit_compile)[1]
        scaled = gradient_of(lambda *args: -2.5 * term(*args), y, weights, jit_compile=jit_compile)[
            1
        ]
        np.testing.assert_allclose(scaled, -2.5 * alone, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("block", [1, 4, 7, 20])
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_sum_in_blocks_of_rows(block, jit_compile, monkeypatch):
    """Of 14 rows blocks that come out even, that do not, and one that they do not fill."""
    y = np.random.default_rng(7).normal(scale=3, size=(14, 2))
    y[3:6] = y[3]
    weights = weights_for(kernel_sum, 14)
    monkeypatch.setattr(pairs, "MOST_PAIRS", 195)
    monkeypatch.setattr(pairs, "BLOCK", block)
    value, gradient = gradient_of(kernel_sum, y, weights, jit_compile=jit_compile)
    np.testing.assert_allclose(value, naive_kernel_sum(y, weights), rtol=1e-5)
    plain = autodiff_of(kernel_sum, y, weights)[1]
    np.testing.assert_allclose(gradient, plain, rtol=1e-4, atol=2e-6)


@COMPONENTS
def test_the_sum_is_the_divergence(components):
    """KL(p‖q) of Student-t affinities, by its definition."""
    y = np.random.default_rng(5).normal(size=(20, components))
    p = symmetric(20)
    kernel = 1 / (1 + np.sum((y[:, None] - y[None, :]) ** 2, axis=-1)) * (1 - np.eye(20))
    q = kernel / kernel.sum()
    expected = np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0]))
    constant = np.sum(p[p > 0] * np.log(p[p > 0]))
    y, p = (keras.ops.convert_to_tensor(a.astype(np.float32)) for a in (y, p))
    partition = keras.ops.log(kernel_sum(y, keras.ops.ones((20,))))
    found = constant + float(attraction(y, p) + partition)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_attraction_of_listed_pairs():
    """Each row lists some points of the batch, at places of its own."""
    rng = np.random.default_rng(5)
    y = rng.normal(size=(7, 2)).astype(np.float32)
    columns = rng.integers(7, size=(7, 3)).astype(np.int32)
    p = rng.random((7, 3)).astype(np.float32)
    expected = 0.0
    for i in range(7):
        for j, value in zip(columns[i], p[i], strict=True):
            expected += value * np.log(1 + np.sum((y[i] - y[j]) ** 2))
    found = pairs.attraction(*(keras.ops.convert_to_tensor(a) for a in (y, columns, p)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_squared_distances_keep_their_digits():
    rng = np.random.default_rng(6)
    y = (1000 + 1e-2 * rng.normal(size=(30, 2))).astype(np.float32)
    y[4] = y[9]
    found = keras.ops.convert_to_numpy(squared_distances(keras.ops.convert_to_tensor(y)))
    expected = np.sum((y[:, None].astype(np.float64) - y[None, :]) ** 2, axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[4, 9] == 0


def test_squared_distances_of_others():
    y, others = (np.random.default_rng(s).normal(size=(5 + s, 3)) for s in (0, 1))
    found = squared_distances(*(tf.constant(a, tf.float32) for a in (y, others)))
    expected = np.sum((y[:, None] - others[None, :]) ** 2, axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
