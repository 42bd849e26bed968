import sys
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from scipy import sparse

from keras_pli.embedding import NeighborGraph, given_neighbors, nearest_neighbors
from keras_pli.embedding.memberships import Edges, curve, fuzzy_union, memberships

reverse_edges = import_module("keras_pli.embedding.reverse_edges")


@pytest.fixture(scope="module")
def umap():
    """umap-learn's functions as Python runs them: to compile them takes longer than all the tests."""
    with pytest.MonkeyPatch.context() as patch:
        # The package imports its ParametricUMAP, and with that PyTorch, unless there is none.
        patch.setitem(sys.modules, "umap.parametric_umap", None)
        from umap import umap_

        for name in ("smooth_knn_dist", "compute_membership_strengths"):
            function = getattr(umap_, name)
            patch.setattr(umap_, name, getattr(function, "py_func", function))
        yield umap_


def clusters(samples=150, features=5):
    """Three clusters, each ten times as wide as the one before."""
    rng = np.random.default_rng(0)
    scale = np.repeat([0.1, 1, 10], samples // 3)[:, None]
    return (scale * (3 + rng.normal(size=(samples, features)))).astype(np.float32)


def with_duplicates():
    z = clusters()
    z[10:14] = z[10]  # fewer than the sum of a row, log₂(k + 1)
    z[60:80] = z[60]  # more than k
    z[120:127] = z[120]  # between the two
    return z


def with_far_point():
    z = clusters()
    z[7] = 1e4
    return z


DATA = {"clusters": clusters, "duplicates": with_duplicates, "far point": with_far_point}


def of_umap(umap, graph):
    """Its directed memberships and their union, as matrices; its lists of neighbours begin with the point."""
    samples, k = graph.indices.shape
    itself = np.arange(samples, dtype=np.int32)[:, None]
    lists = {
        "knn_indices": np.hstack([itself, graph.indices]),
        "knn_dists": np.hstack([np.zeros((samples, 1), np.float32), graph.distances]),
    }
    settings = (np.zeros((samples, 1)), k + 1, None, "euclidean")
    directed = umap.fuzzy_simplicial_set(*settings, **lists, apply_set_operations=False)[0]
    return directed.toarray(), umap.fuzzy_simplicial_set(*settings, **lists)[0].toarray()


def as_matrix(neighbors, values):
    samples, k = neighbors.shape
    rows = np.repeat(np.arange(samples), k)
    entries = (values.ravel(), (rows, neighbors.ravel()))
    return sparse.coo_matrix(entries, shape=(samples, samples)).toarray()


def undirected(edges: Edges):
    """The graph that edges are drawn from, scaled to sum to 1."""
    drawn = as_matrix(edges.neighbors, edges.conditional * edges.weight[:, None]) / len(edges)
    return (drawn + drawn.T) / 2


class TestMemberships:
    @pytest.mark.parametrize("data", DATA)
    @pytest.mark.parametrize("k", [1, 2, 3, 15])
    def test_equal_umaps(self, umap, data, k):
        graph = nearest_neighbors(DATA[data](), k)
        found = as_matrix(graph.indices, memberships(graph))
        np.testing.assert_allclose(found, of_umap(umap, graph)[0], atol=2e-5)

    def test_rows_have_the_sum_asked_for(self):
        found = memberships(nearest_neighbors(clusters(), 15))
        np.testing.assert_allclose(found.sum(axis=1), 4, rtol=1e-6)
        assert (found[:, 0] == 1).all()

    @pytest.mark.parametrize("unit", [1e-30, 1e30])
    def test_do_not_depend_on_the_unit(self, unit):
        graph = nearest_neighbors(with_duplicates(), 15)
        scaled = NeighborGraph(graph.indices, graph.distances * np.float32(unit))
        np.testing.assert_allclose(memberships(scaled), memberships(graph), atol=1e-6)

    def test_kernels_are_no_narrower_than_a_thousandth_of_the_mean_distance(self):
        distances = np.array([[1, 1, 1, 1, 1.002, 5]], dtype=np.float32)
        graph = NeighborGraph(np.arange(1, 7, dtype=np.int32)[None], distances)
        mean = distances.sum(dtype=np.float64) / 7
        expected = np.exp(-(np.float64(distances[0, 4]) - 1) / (1e-3 * mean))
        np.testing.assert_allclose(memberships(graph)[0], [1, 1, 1, 1, expected, 0], rtol=1e-5)

    def test_points_that_are_all_the_same(self):
        graph = nearest_neighbors(np.ones((20, 3)), 5)
        np.testing.assert_array_equal(memberships(graph), np.ones((20, 5)))

    def test_equal_distances_share_the_sum(self):
        for k in range(2, 40):
            graph = NeighborGraph(np.arange(k)[None], np.float32([[0.1, *[0.7] * (k - 1)]]))
            shared = (np.log2(k + 1) - 1) / (k - 1)
            np.testing.assert_allclose(memberships(graph)[0, 1:], shared, rtol=1e-6)

    def test_padding_changes_nothing(self):
        graph = nearest_neighbors(clusters(), 9)
        short = slice(0, None, 2)
        padded = graph.distances.copy()
        padded[short, 4:] = np.inf
        found = memberships(NeighborGraph(graph.indices, padded))
        own = NeighborGraph(graph.indices[short, :4], graph.distances[short, :4])
        np.testing.assert_allclose(found[short, :4], memberships(own), rtol=1e-6)
        assert (found[short, 4:] == 0).all()
        np.testing.assert_allclose(found[1::2], memberships(graph)[1::2], rtol=1e-6)

    def test_rows_are_worked_through_in_chunks(self, monkeypatch):
        graph = nearest_neighbors(with_duplicates(), 15)
        at_once = memberships(graph)
        monkeypatch.setattr(reverse_edges, "CHUNK_ENTRIES", 100)
        np.testing.assert_allclose(memberships(graph), at_once, rtol=1e-6)


class TestUnion:
    @pytest.mark.parametrize("chunk", [40, 250_000])
    @pytest.mark.parametrize("data", DATA)
    def test_equals_umaps(self, umap, monkeypatch, data, chunk):
        monkeypatch.setattr(reverse_edges, "CHUNK_ENTRIES", chunk)
        graph = nearest_neighbors(DATA[data](), 8)
        edges = fuzzy_union(graph.indices, memberships(graph))
        expected = of_umap(umap, graph)[1]
        np.testing.assert_allclose(
            undirected(edges) * expected.sum(), expected, rtol=1e-4, atol=5e-5
        )

    def test_of_ones_is_the_symmetrized_graph_of_neighbors(self):
        graph = nearest_neighbors(clusters(), 6)
        ones = np.ones_like(graph.distances)
        listed = as_matrix(graph.indices, ones)
        expected = np.maximum(listed, listed.T)
        assert 0 < np.sum(listed * listed.T) < listed.sum()  # some edges are mutual, some are not
        found = undirected(fuzzy_union(graph.indices, ones))
        np.testing.assert_allclose(found * expected.sum(), expected, rtol=1e-5)

    def test_mean_over_draws_is_the_mean_over_edges(self):
        rng = np.random.default_rng(0)
        graph = nearest_neighbors(clusters(60), 4)
        values = rng.uniform(size=graph.indices.shape).astype(np.float32)
        edges = fuzzy_union(graph.indices, values)
        lists = [dict(zip(*row, strict=True)) for row in zip(graph.indices, values, strict=True)]
        measure = rng.normal(size=(60, 60))
        measure += measure.T
        total = weighted = 0.0
        for i in range(60):
            for j in range(i):
                a, b = lists[i].get(j, 0.0), lists[j].get(i, 0.0)
                total += a + b - a * b
                weighted += (a + b - a * b) * measure[i, j]
        partners = np.take_along_axis(measure, edges.neighbors, axis=1)
        drawn = np.mean(edges.weight * np.sum(edges.conditional * partners, axis=1))
        np.testing.assert_allclose(drawn, weighted / total, rtol=1e-5)

    def test_rows_are_distributions_and_weights_have_mean_1(self):
        graph = nearest_neighbors(with_duplicates(), 15)
        edges = fuzzy_union(graph.indices, memberships(graph))
        assert {array.dtype.name for array in (edges.conditional, edges.weight)} == {"float32"}
        assert edges.neighbors.dtype == np.int32
        np.testing.assert_allclose(edges.conditional.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(edges.weight.mean(), 1, rtol=1e-5)

    def test_padding_may_name_any_point(self):
        listed = sparse.random(40, 40, density=0.1, random_state=0, format="lil")
        listed.setdiag(0)
        listed[np.arange(40), (np.arange(40) + 1) % 40] = 0.5  # no row is empty
        graph = given_neighbors(listed.tocsr())
        padded = ~np.isfinite(graph.distances)
        assert padded.any()
        edges = fuzzy_union(graph.indices, memberships(graph))
        indices = graph.indices.copy()
        indices[padded] = np.random.default_rng(0).integers(40, size=padded.sum())
        others = fuzzy_union(indices, memberships(NeighborGraph(indices, graph.distances)))
        assert (others.conditional[padded] == 0).all()
        np.testing.assert_allclose(undirected(others), undirected(edges), rtol=1e-6)

    def test_of_rows_without_edges(self):
        neighbors = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
        edges = fuzzy_union(neighbors, np.array([[0.5, 0], [1, 0], [0, 0]], dtype=np.float32))
        np.testing.assert_allclose(edges.weight, [1.5, 1.5, 0])
        np.testing.assert_allclose(edges.conditional, [[1, 0]] * 3)

    def test_of_a_list_that_nobody_returns(self, monkeypatch):
        monkeypatch.setattr(
            reverse_edges, "CHUNK_ENTRIES", 1
        )  # a chunk of points that no other lists
        edges = fuzzy_union(np.array([[1], [2], [1]]), np.array([[0.25], [1], [1]]))
        np.testing.assert_allclose(edges.weight, np.array([0.25, 0.5, 0.5]) * 3 / 1.25)

    def test_memory_stays_below_a_few_numbers_an_entry(self):
        samples, k = 20_000, 30
        steps = 1 + np.arange(k, dtype=np.int32)
        neighbors = (np.arange(samples, dtype=np.int32)[:, None] + steps) % samples
        values = np.ones((samples, k), dtype=np.float32)
        tracemalloc.start()
        fuzzy_union(neighbors, values)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 32 * samples * k + 80 * reverse_edges.CHUNK_ENTRIES

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.ones((3, 2)), r"Received: \(3, 1\) and \(3, 2\)"),
            ([[1.0], [1.5], [np.nan]], "rows 1, 2"),
            (np.zeros((3, 1)), "No value of the 3 rows is above 0"),
        ],
    )
    def test_wrong_values(self, values, message):
        with pytest.raises(ValueError, match=message):
            fuzzy_union(np.array([[1], [0], [0]]), values)


class TestCurve:
    @pytest.mark.filterwarnings("ignore:divide by zero")  # umap-learn's, at distance 0
    @pytest.mark.parametrize(
        ("min_dist", "spread"), [(0, 1), (0.1, 1), (0.5, 1), (1, 1), (0.1, 5), (0.1, 0.3)]
    )
    def test_equals_umaps(self, umap, min_dist, spread):
        expected = umap.find_ab_params(spread, min_dist)
        np.testing.assert_allclose(curve(min_dist, spread), expected, rtol=1e-4)

    @pytest.mark.parametrize("unit", [1e-6, 1e6])
    def test_does_not_depend_on_the_unit(self, unit):
        a, b = curve(0.1, 1)
        np.testing.assert_allclose(curve(0.1 * unit, unit), (a / unit ** (2 * b), b), rtol=1e-6)

    @pytest.mark.parametrize(
        ("min_dist", "spread", "message"),
        [
            (-0.1, 1, "`min_dist` must be a number from 0. Received: -0.1"),
            (0.5, 0.4, "Received: spread=0.4, min_dist=0.5"),
            (0, 0, "Received: spread=0, min_dist=0"),
            (0.1, np.nan, "`spread` must be a number from 0. Received: nan"),
            (0.1, "wide", "Received: 'wide'"),
        ],
    )
    def test_wrong_distances(self, min_dist, spread, message):
        with pytest.raises(ValueError, match=message):
            curve(min_dist, spread)
