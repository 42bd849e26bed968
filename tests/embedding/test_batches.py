import keras
import numpy as np
import pytest
from scipy.stats import chisquare

from keras_pli.embedding import NeighborGraph, affinities, nearest_neighbors
from keras_pli.embedding.batches import Draws, EdgeBatches, UniformBatches, anchor_rows
from keras_pli.embedding.memberships import Edges

SAMPLES = 300


def tensor(array, dtype):
    return keras.ops.convert_to_tensor(np.asarray(array, dtype))


def drawn_by(tables, anchors, levels):
    return np.asarray(tables.draw(tensor(anchors, "int32"), tensor(levels, "float32")))


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
def tables(z, p):
    weight = np.random.default_rng(1).random(SAMPLES, dtype=np.float32)
    return EdgeBatches.of(z, Edges(p.neighbors, p.conditional, weight), constant=1.5)


def symmetric_of(tables, points):
    """The affinities that the points of a batch list, as a symmetric matrix, and Σ p log p."""
    columns, values, entropy = (np.asarray(a) for a in tables.listed(tensor(points, "int32")))
    listed = np.zeros((len(points), len(points)))
    rows = np.repeat(np.arange(len(points)), columns.shape[1])
    np.add.at(listed, (rows, columns.ravel()), values.ravel())
    return (listed + listed.T) / 2, entropy


class TestUniform:
    @pytest.mark.parametrize("size", [2, 50, SAMPLES])
    def test_affinities_are_those_of_the_pairs(self, z, p, size):
        tables = UniformBatches.of(z, p)
        points = np.random.default_rng(1).permutation(SAMPLES)[:size]
        found, entropy = symmetric_of(tables, points)
        expected = p.to_sparse()[points][:, points].toarray()
        assert found.shape == (size, size)
        if expected.sum() > 0:
            expected = expected / expected.sum()
            np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-10)
        logs = np.log(expected, out=np.zeros_like(expected), where=expected > 0)
        np.testing.assert_allclose(entropy, np.sum(expected * logs), rtol=1e-5)

    def test_padded_graphs(self):
        rng = np.random.default_rng(2)
        graph = nearest_neighbors(rng.normal(size=(40, 3)), 12)
        distances = graph.distances.copy()
        distances[np.arange(12) >= rng.integers(1, 13, size=(40, 1))] = np.inf
        p = affinities(NeighborGraph(graph.indices, distances), perplexity=4)
        points = rng.permutation(40)[:25]
        found, _ = symmetric_of(UniformBatches.of(np.zeros((40, 3), "float32"), p), points)
        expected = p.to_sparse()[points][:, points].toarray()
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5, atol=1e-10)

    def test_draws_the_anchors(self, z, p):
        drawn = drawn_by(UniformBatches.of(z, p), [4, 2, 9], np.zeros(0))
        assert np.array_equal(drawn, [4, 2, 9])


class TestEdges:
    def test_draws_follow_the_conditional_probabilities(self, p, tables):
        anchors = np.repeat(np.arange(20), 5000)
        drawn = drawn_by(tables, anchors, np.random.default_rng(5).random(len(anchors)))
        assert np.array_equal(drawn[: len(anchors)], anchors)
        values = []
        for i in range(20):
            counts = np.bincount(drawn[len(anchors) :][anchors == i], minlength=SAMPLES)
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

    def test_padding_is_never_drawn(self):
        neighbors = np.tile(np.array([[1, 2, 0]], dtype=np.int32), (3, 1))
        conditional = np.array(
            [[1, 0, 0], [0.25, 0.75, 0], [1 / 3, 1 / 3, 1 / 3]], dtype=np.float32
        )
        edges = Edges(neighbors, conditional, np.ones(3, dtype=np.float32))
        tables = EdgeBatches.of(np.zeros((3, 2), "float32"), edges)
        anchors = np.repeat([0, 1, 2], 5000)
        levels = np.random.default_rng(0).random(15_000, dtype=np.float32)
        levels[::5000], levels[4999::5000] = 0, np.nextafter(np.float32(1), np.float32(0))
        drawn = drawn_by(tables, anchors, levels)[15_000:]
        assert set(drawn[anchors == 0]) == {1}
        assert set(drawn[anchors == 1]) == {1, 2}
        assert set(drawn[anchors == 2]) == {0, 1, 2}

    def test_points_of_a_batch_count_alike_in_the_mean(self, p, tables):
        """Drawn once as an anchor and as often as others list it as a partner, a point counts twice."""
        often = np.zeros(SAMPLES)
        for row, probabilities in zip(p.neighbors, p.conditional, strict=True):
            for j, probability in zip(row, probabilities, strict=True):
                often[j] += probability
        np.testing.assert_allclose(np.asarray(tables.point_weight) * (1 + often), 2, rtol=1e-5)


class TestDraws:
    @pytest.mark.parametrize(("batch_size", "size"), [(50, 25), (51, 25), (1, 2), (9999, 150)])
    def test_half_of_a_batch_of_edges_are_anchors(self, tables, batch_size, size):
        draws = Draws.of(tables, batch_size, 30, np.random.default_rng(0))
        assert len(draws) == 30
        assert draws.anchors.shape == draws.levels.shape == (30, size)

    def test_uniform_batches_draw_no_partners(self, z, p):
        draws = Draws.of(UniformBatches.of(z, p), 50, 30, np.random.default_rng(0))
        assert draws.anchors.shape == (30, 50)
        assert draws.levels.shape == (30, 0)

    def test_levels_are_uniform_and_their_own_in_each_step(self, tables):
        levels = np.asarray(Draws.of(tables, 100, 400, np.random.default_rng(0)).levels)
        counts = np.histogram(levels, bins=20, range=(0, 1))[0]
        assert chisquare(counts).pvalue > 1e-3
        assert 0 <= levels.min() < levels.max() < 1
        assert len(np.unique(levels[:, 0])) == 400

    def test_seeded(self, tables):
        first, again, other = (
            Draws.of(tables, 50, 30, np.random.default_rng(s)) for s in (1, 1, 2)
        )
        for name in ("anchors", "levels"):
            one, two, three = (np.asarray(getattr(d, name)) for d in (first, again, other))
            assert np.array_equal(one, two)
            assert not np.array_equal(one, three)


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
