import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr
from scipy.stats import chisquare

from keras_pli.embedding import Affinities, NeighborGraph, affinities, nearest_neighbors
from keras_pli.embedding.batches import NeighborBatches, UniformBatches, anchor_rows

SAMPLES = 300


def tensor(array, dtype):
    return keras.ops.convert_to_tensor(np.asarray(array, dtype))


def divergence(p, y, pairs=None):
    """KL(p‖q) of dense affinities and a map, by SciPy in float64."""
    y = y.astype(np.float64)
    kernel = 1 / (1 + np.sum((y[:, None] - y[None, :]) ** 2, axis=-1))
    np.fill_diagonal(kernel, 0)
    q = kernel / kernel.sum()
    return rel_entr(p, q + np.eye(len(y))).sum()


def drawn_as_neighbour(p):
    """How often each point is drawn as a neighbour when every point is an anchor once."""
    often = np.zeros(len(p))
    for row, probabilities in zip(p.neighbors, p.conditional, strict=True):
        for j, probability in zip(row, probabilities, strict=True):
            often[j] += probability
    return often


@pytest.fixture(scope="module")
def z():
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=5, size=(6, 8))
    return (centres[rng.integers(6, size=SAMPLES)] + rng.normal(size=(SAMPLES, 8))).astype(
        "float32"
    )


@pytest.fixture(scope="module")
def p(z):
    return affinities(nearest_neighbors(z, perplexity=10), perplexity=10)


@pytest.fixture(scope="module")
def y(z):
    """A map with structure: two axes of the data, stretched."""
    return 3 * z[:, :2]


def edges_counted(p, y, size):
    """Bias of log Z if a batch's own edges stood among its pairs."""
    squared = np.sum((y[:, None] - y[None, :]).astype(np.float64) ** 2, axis=-1)
    kernel = 1 / (1 + squared)
    of_edges = np.sum(p.to_sparse().toarray() * kernel)
    np.fill_diagonal(kernel, 0)
    of_pairs = kernel.sum() / (SAMPLES * (SAMPLES - 1))
    return np.log(1 + (of_edges / of_pairs - 1) / (size - 1))


class TestUniform:
    @pytest.mark.parametrize("size", [2, 50, SAMPLES])
    def test_affinities_are_those_of_the_pairs(self, z, p, size):
        tables = UniformBatches.of(z, p)
        points = np.random.default_rng(1).permutation(SAMPLES)[:size]
        found = keras.ops.convert_to_numpy(tables.affinities(tensor(points, "int32")))
        expected = p.to_sparse()[points][:, points].toarray()
        assert found.shape == (size, size)
        if expected.sum() > 0:
            expected = expected / expected.sum()
            np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-10)

    def test_padded_graphs(self):
        rng = np.random.default_rng(2)
        graph = nearest_neighbors(rng.normal(size=(40, 3)), 12)
        distances = graph.distances.copy()
        distances[np.arange(12) >= rng.integers(1, 13, size=(40, 1))] = np.inf
        p = affinities(NeighborGraph(graph.indices, distances), perplexity=4)
        points = rng.permutation(40)[:25]
        found = UniformBatches.of(np.zeros((40, 3), "float32"), p).affinities(
            tensor(points, "int32")
        )
        expected = p.to_sparse()[points][:, points].toarray()
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5, atol=1e-10)

    def test_draws_the_anchors(self, z, p):
        anchors = tensor([4, 2, 9], "int32")
        drawn = UniformBatches.of(z, p).draw(anchors, keras.random.SeedGenerator(0))
        assert np.array_equal(drawn, [4, 2, 9])

    @pytest.mark.parametrize("exaggeration", [1.0, 4.0])
    def test_divergence(self, z, p, y, exaggeration):
        tables = UniformBatches.of(z, p)
        points = np.random.default_rng(3).permutation(SAMPLES)[:120]
        of_batch = p.to_sparse()[points][:, points].toarray()
        of_batch /= of_batch.sum()
        expected = divergence(of_batch, y[points])
        loss, kl = tables.divergence(
            tensor(y[points], "float32"), tensor(points, "int32"), exaggeration
        )
        np.testing.assert_allclose(float(kl), expected, rtol=1e-4)
        squared = np.sum((y[points][:, None] - y[points][None, :]) ** 2, axis=-1)
        pull = np.sum(of_batch * np.log1p(squared.astype(np.float64)))
        np.testing.assert_allclose(float(loss), expected + (exaggeration - 1) * pull, rtol=1e-4)

    def test_batch_without_neighbours(self, z, p, y):
        joint = p.to_sparse()
        points = next([0, j] for j in range(1, SAMPLES) if joint[0, j] == 0)
        loss, kl = UniformBatches.of(z, p).divergence(
            tensor(y[points], "float32"), tensor(points, "int32"), 4.0
        )
        assert float(loss) == float(kl) == 0


def drawing(tables, seed, y):
    """A compiled function from anchors to loss and divergence of a batch that is drawn."""
    positions = tensor(y, "float32")

    @tf.function
    def drawn(anchors):
        points = tables.draw(anchors, seed)
        return tables.divergence(keras.ops.take(positions, points, axis=0), points, 2.0)

    return drawn


class TestNeighbors:
    def test_draws_follow_the_conditional_probabilities(self, z, p):
        tables = NeighborBatches.of(z, p)
        seed = keras.random.SeedGenerator(5)
        anchors = np.repeat(np.arange(20), 1000)
        drawn = np.concatenate(
            [np.asarray(tables.draw(tensor(anchors, "int32"), seed))[:, None] for _ in range(5)], 1
        )
        assert np.array_equal(drawn[: len(anchors)], np.repeat(anchors[:, None], 5, axis=1))
        values = []
        for i in range(20):
            counts = np.bincount(drawn[len(anchors) :][anchors == i].ravel(), minlength=SAMPLES)
            expected = 5000 * p.conditional[i].astype(np.float64)
            listed = counts[p.neighbors[i]]
            assert listed.sum() == 5000
            often = expected >= 5  # the rest are taken together, as the test asks for
            observed = np.append(listed[often], listed[~often].sum())
            wanted = np.append(expected[often], expected[~often].sum())
            wanted, observed = wanted[wanted > 0], observed[wanted > 0]
            values.append(chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue)
        # Twenty tests, seeded: none may be extreme, and they must not crowd at one end.
        assert min(values) > 1e-4
        assert 0.2 < np.mean(values) < 0.8

    def test_same_seed_same_draws(self, z, p):
        tables = NeighborBatches.of(z, p)
        anchors = tensor(np.arange(SAMPLES), "int32")
        first, again, other = (
            np.asarray(tables.draw(anchors, keras.random.SeedGenerator(s))) for s in (1, 1, 2)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_padding_is_never_drawn(self):
        neighbors = np.tile(np.array([[1, 2, 0]], dtype=np.int32), (3, 1))
        conditional = np.array(
            [[1, 0, 0], [0.25, 0.75, 0], [1 / 3, 1 / 3, 1 / 3]], dtype=np.float32
        )
        p = Affinities(neighbors, conditional, np.zeros(3))
        tables = NeighborBatches.of(np.zeros((3, 2), "float32"), p)
        anchors = np.repeat([0, 1, 2], 5000)
        drawn = np.asarray(tables.draw(tensor(anchors, "int32"), keras.random.SeedGenerator(0)))
        drawn = drawn[len(anchors) :]
        assert set(drawn[anchors == 0]) == {1}
        assert set(drawn[anchors == 1]) == {1, 2}
        assert set(drawn[anchors == 2]) == {0, 1, 2}

    @pytest.mark.parametrize("size", [60, 200])
    def test_estimates_the_divergence_of_all_points(self, z, p, y, size):
        tables = NeighborBatches.of(z, p)
        seed, random = keras.random.SeedGenerator(1), np.random.default_rng(1)
        pulls, means = [], []
        joint = p.to_sparse().toarray()
        entropy = rel_entr(joint, 1.0 * (joint > 0)).sum()
        constant = entropy + np.log(SAMPLES) + np.log(SAMPLES - 1)
        drawn = drawing(tables, seed, y)
        for _ in range(400):
            anchors = tensor(random.permutation(SAMPLES)[: size // 2], "int32")
            doubled, kl = (float(v) for v in drawn(anchors))
            pulls.append(doubled - kl)
            # The mean of the kernel is estimated, and its logarithm taken: averaging the logarithms would
            # come out low by half its relative variance. So the means are averaged, as the theory asks.
            means.append(np.exp(kl - pulls[-1] - constant))
        found = np.mean(pulls) + np.log(np.mean(means)) + constant
        error = np.hypot(np.std(pulls) / 20, np.std(means) / np.mean(means) / 20)
        expected = divergence(joint, y)
        # Anchors are drawn without replacement, so that an anchor meets the neighbours of the N − 1 others
        # and misses its own: log Z is low by at most the share of one point among N.
        assert abs(found - expected) < 3 * error + edges_counted(p, y, SAMPLES)
        # What counting the drawn edges as pairs would add is more than that: the test can tell.
        assert edges_counted(p, y, size) > error + edges_counted(p, y, SAMPLES)

    def test_attraction_is_unbiased(self, z, p, y):
        tables = NeighborBatches.of(z, p)
        seed = keras.random.SeedGenerator(2)
        anchors = tensor(np.arange(SAMPLES), "int32")
        drawn, pulls = drawing(tables, seed, y), []
        for _ in range(300):
            loss, kl = drawn(anchors)
            pulls.append(float(loss) - float(kl))
        squared = np.sum((y[:, None] - y[None, :]).astype(np.float64) ** 2, axis=-1)
        expected = np.sum(p.to_sparse().toarray() * np.log1p(squared))
        assert abs(np.mean(pulls) - expected) < 4 * np.std(pulls) / np.sqrt(300)

    def test_a_point_drawn_twice_does_not_repel_itself(self, z, p):
        tables = NeighborBatches.of(z, p)
        points = tensor([0, 1, 2, 1, 2, 0], "int32")  # edges 0-1, 1-2, 2-0
        y = np.array([[0.0, 0], [3, 0], [0, 4]], dtype=np.float32)
        _, kl = tables.divergence(tensor(y[np.asarray(points)], "float32"), points, 1.0)
        squared = {(0, 1): 9.0, (1, 2): 25.0, (0, 2): 16.0}
        pull = np.mean(np.log1p(list(squared.values())))
        # Of the pairs of places, those of one point and those drawn as edges count for nothing; a point that
        # is drawn n times as a neighbour for each time as an anchor counts for 2 / (1 + n).
        order = [0, 1, 2, 1, 2, 0]
        often = np.asarray(drawn_as_neighbour(p))[[0, 1, 2]]
        weight = 2 / (1 + often)
        kernels, weights = [], []
        for a in range(6):
            for b in range(6):
                i, j = order[a], order[b]
                if i != j and abs(a - b) != 3:
                    kernels.append(1 / (1 + squared[min(i, j), max(i, j)]))
                    weights.append(weight[i] * weight[j])
        expected = pull + np.log(np.average(kernels, weights=weights)) + tables.constant
        np.testing.assert_allclose(float(kl), expected, rtol=1e-5)


class TestAnchorRows:
    @pytest.mark.parametrize(("samples", "batch"), [(100, 10), (103, 10), (7, 7), (50, 30)])
    def test_no_row_holds_a_point_twice(self, samples, batch):
        rows = anchor_rows(samples, batch, 57, np.random.default_rng(0))
        assert rows.shape == (57, batch)
        assert rows.dtype == np.int32
        assert rows.min() >= 0
        assert rows.max() < samples
        assert all(len(set(row)) == batch for row in rows.tolist())

    def test_every_pass_holds_every_point_once(self):
        rows = anchor_rows(100, 10, 30, np.random.default_rng(0)).reshape(3, 100)
        assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(100), (3, 1)))
        assert not np.array_equal(rows[0], rows[1])

    def test_leftovers_differ_from_pass_to_pass(self):
        rows = anchor_rows(13, 5, 20_000, np.random.default_rng(0))
        passes = rows.reshape(10_000, 10)
        assert all(len(set(row)) == 10 for row in passes[:200].tolist())
        # Each of 13 points is left out in 3/13 of 10,000 passes: 2308 ± 42.
        left_out = 10_000 - np.bincount(rows.ravel(), minlength=13)
        np.testing.assert_allclose(left_out, 10_000 * 3 / 13, atol=5 * 42)

    def test_seeded(self):
        first, again, other = (anchor_rows(40, 8, 11, np.random.default_rng(s)) for s in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
