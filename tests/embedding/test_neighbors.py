from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import NearestNeighbors

from keras_pli.embedding import (
    NeighborGraph,
    ParametricTSNE,
    given_neighbors,
    nearest_neighbors,
)

# Its first call compiles for a minute.
APPROXIMATE = pytest.param("approximate", marks=pytest.mark.slow)


def brute_force(z, k):
    z = z.reshape(len(z), -1).astype(np.float64)
    distances = cdist(z, z)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1)[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=6, size=(10, 20))
    return (centres[rng.integers(10, size=2000)] + rng.normal(size=(2000, 20))).astype(np.float32)


@pytest.fixture(scope="module")
def approximate(blobs):
    return nearest_neighbors(blobs, 15, method="approximate", seed=3)


class TestExact:
    # 3 features are searched with a tree, 40 by brute force.
    @pytest.mark.parametrize("shape", [(300, 3), (300, 40), (200, 6, 5, 2)])
    @pytest.mark.parametrize("method", ["exact", "auto"])
    def test_is_brute_force(self, shape, method):
        z = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        graph = nearest_neighbors(z, 17, method=method)
        indices, distances = brute_force(z, 17)
        assert np.array_equal(graph.indices, indices)
        np.testing.assert_allclose(graph.distances, distances, rtol=1e-6)
        assert graph.indices.dtype == np.int32
        assert graph.distances.dtype == np.float32

    def test_all_other_points(self):
        z = np.random.default_rng(2).normal(size=(12, 4))
        graph = nearest_neighbors(z, 11)
        assert np.array_equal(np.sort(graph.indices, axis=1)[3], np.delete(np.arange(12), 3))

    @pytest.mark.parametrize(("perplexity", "k"), [(5, 15), (7.4, 22), (50, 39)])
    def test_number_follows_from_the_perplexity(self, perplexity, k):
        z = np.random.default_rng(2).normal(size=(40, 4))
        assert nearest_neighbors(z, perplexity=perplexity).indices.shape == (40, k)

    def test_far_from_the_origin(self):
        # Expanding the square would lose the distances among points at 1e4.
        z = (1e4 + np.random.default_rng(3).normal(size=(200, 40))).astype(np.float32)
        indices, distances = brute_force(z, 10)
        graph = nearest_neighbors(z, 10, method="exact")
        np.testing.assert_allclose(graph.distances, distances, rtol=1e-5)
        assert np.mean(graph.indices == indices) > 0.99


def assert_found(graph, matrix, *, scale=1.0, rtol=1e-5):
    """That the neighbours are nearly all the nearest in a matrix of distances, with their distances there."""
    matrix = matrix.copy()
    np.fill_diagonal(matrix, np.inf)
    k = graph.indices.shape[1]
    nearest = np.argsort(matrix, axis=1)[:, :k]
    shared = [len(set(a) & set(b)) for a, b in zip(nearest, graph.indices, strict=True)]
    assert np.sum(shared) > 0.95 * graph.indices.size
    expected = np.take_along_axis(matrix, graph.indices, axis=1)
    np.testing.assert_allclose(graph.distances / scale, expected, rtol=rtol)


class TestRobust:
    @pytest.mark.parametrize("method", ["exact", APPROXIMATE])
    @pytest.mark.parametrize("features", [3, 40])
    @pytest.mark.parametrize("scale", [1e-30, 1e-18, 1.0, 1e18, 1e30])
    def test_neither_offset_nor_unit_matter(self, scale, features, method):
        z = np.random.default_rng(3).normal(size=(200, features))
        graph = nearest_neighbors((z + 1e7) * scale, 10, method=method, seed=0)
        assert_found(graph, cdist(z, z), scale=scale)

    @pytest.mark.parametrize("scale", [1e-60, 1e37])
    def test_where_float32_cannot_hold_the_unit_it_is_another(self, scale):
        z = np.random.default_rng(3).normal(size=(200, 40))
        graph = nearest_neighbors(z * scale, 10)
        indices, distances = brute_force(z, 10)
        assert np.array_equal(graph.indices, indices)
        ratio = graph.distances / distances
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)

    @pytest.mark.parametrize("method", ["exact", APPROXIMATE])
    @pytest.mark.parametrize("far", [1e4, 1e30])
    def test_a_far_row_leaves_the_others_their_neighbours(self, far, method):
        z = np.random.default_rng(3).normal(size=(300, 40))
        z[0] += far
        graph = nearest_neighbors(z, 10, method=method, seed=0)
        assert (graph.indices[0] > 0).all()
        others = NeighborGraph(graph.indices[1:] - 1, graph.distances[1:])
        assert_found(others, cdist(z[1:], z[1:]), rtol=1e-4)

    def test_memory_mapped(self, tmp_path):
        z = np.random.default_rng(3).normal(size=(200, 4, 10))
        np.save(tmp_path / "z.npy", z)
        graph = nearest_neighbors(np.load(tmp_path / "z.npy", mmap_mode="r"), 10)
        assert np.array_equal(graph.indices, brute_force(z, 10)[0])

    def test_chunks_change_nothing(self, monkeypatch):
        z = np.random.default_rng(3).normal(size=(200, 40))
        z[20:50] = z[20]
        whole = nearest_neighbors(z, 10)
        monkeypatch.setattr("keras_pli.embedding.search.QUERIES", 7)
        pieces = nearest_neighbors(z, 10)
        np.testing.assert_allclose(pieces.distances, whole.distances, rtol=1e-6)
        others = np.delete(np.arange(200), np.arange(20, 50))
        assert np.array_equal(pieces.indices[others], whole.indices[others])


class TestCosine:
    @pytest.fixture(scope="class")
    @staticmethod
    def z():
        return np.random.default_rng(5).normal(size=(250, 12)) * np.logspace(-9, 9, 250)[:, None]

    @pytest.mark.parametrize("method", ["exact", APPROXIMATE])
    @pytest.mark.parametrize("scale", [1.0, 1e-25, 1e28])
    def test_equals_scikit_learn(self, z, method, scale):
        graph = nearest_neighbors(z * scale, 9, metric="cosine", method=method, seed=0)
        assert_found(graph, cosine_distances(z))
        if method == "exact":
            theirs = NearestNeighbors(metric="cosine").fit(z).kneighbors(n_neighbors=9)
            np.testing.assert_allclose(graph.distances, theirs[0], rtol=1e-5)
            assert np.array_equal(graph.indices, theirs[1])

    def test_small_angles_keep_their_digits(self, z):
        # 1 − cos of these angles is below what the difference could hold in float32, and nearly in float64.
        z = 1e6 + z / np.linalg.norm(z, axis=1, keepdims=True)
        exact = z.astype(np.longdouble)
        exact /= np.sqrt(np.sum(exact**2, axis=1, keepdims=True))
        distances = np.sum((exact[:, None] - exact) ** 2, axis=2) / 2
        np.fill_diagonal(distances, np.inf)
        graph = nearest_neighbors(z, 9, metric="cosine")
        expected = np.sort(distances, axis=1)[:, :9].astype(np.float64)
        assert expected.max() < 1e-12
        np.testing.assert_allclose(graph.distances, expected, rtol=1e-3)

    def test_rows_of_zero(self, z):
        z = z.copy()
        z[[4, 200]] = 0
        with pytest.raises(ValueError, match=r"at the origin\. Received: rows 4, 200"):
            nearest_neighbors(z, 5, metric="cosine")


class TestPrecomputed:
    @pytest.fixture(scope="class")
    @staticmethod
    def matrix():
        # Not symmetric, and the diagonal says nothing.
        return np.random.default_rng(6).uniform(1, 2, size=(90, 90))

    def expected(self, matrix, k):
        matrix = matrix.copy()
        np.fill_diagonal(matrix, np.inf)
        order = np.argsort(matrix, axis=1)[:, :k]
        return order, np.take_along_axis(matrix, order, axis=1)

    @pytest.mark.parametrize("k", [1, 12, 89])
    def test_smallest_of_each_row(self, matrix, k, monkeypatch):
        monkeypatch.setattr("keras_pli.embedding.search.CHUNK_ENTRIES", 90 * 20)
        graph = nearest_neighbors(matrix, k, metric="precomputed")
        indices, distances = self.expected(matrix, k)
        assert np.array_equal(graph.indices, indices)
        np.testing.assert_allclose(graph.distances, distances, rtol=1e-6)

    def test_is_euclidean_of_euclidean_distances(self):
        z = np.random.default_rng(7).normal(size=(80, 5))
        found = nearest_neighbors(cdist(z, z), perplexity=5, metric="precomputed")
        expected = nearest_neighbors(z, perplexity=5)
        assert np.array_equal(found.indices, expected.indices)
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5)

    def test_sparse(self, matrix):
        held = np.where(matrix < 1.3, matrix, 0)
        graph = nearest_neighbors(sparse.csr_matrix(held), 4, metric="precomputed")
        indices, distances = self.expected(np.where(held > 0, held, np.inf), 4)
        listed = np.isfinite(distances)
        assert np.array_equal(graph.indices[listed], indices[listed])
        np.testing.assert_allclose(graph.distances, distances, rtol=1e-6)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d[:, :80], r"square. Received shape \(90, 80\)"),
            (
                lambda d: np.where(np.arange(90)[:, None] == 5, -d, d),
                "Negative distances in rows 5",
            ),
            (lambda d: np.where(np.arange(90)[:, None] == 7, np.nan, d), "NaN or infinity: rows 7"),
            (lambda d: d[None], "2 axes"),
        ],
    )
    def test_errors(self, matrix, change, message):
        with pytest.raises(ValueError, match=message):
            nearest_neighbors(change(matrix), 3, metric="precomputed")

    def test_is_exact(self, matrix):
        with pytest.raises(ValueError, match=r"the search is exact\. Received: 'approximate'"):
            nearest_neighbors(matrix, 3, metric="precomputed", method="approximate")


class TestProgress:
    def shown(self, capsys, **options):
        nearest_neighbors(np.random.default_rng(0).normal(size=(60, 9)), 3, **options)
        return capsys.readouterr().out

    def test_of_long_searches_alone(self, capsys, monkeypatch):
        monkeypatch.setattr("keras_pli.embedding.search.QUERIES", 20)
        assert not self.shown(capsys, verbose=True)
        monkeypatch.setattr("keras_pli.embedding.search.LONG_OPERATIONS", 0)
        assert "3/3" in self.shown(capsys, verbose=True)
        assert not self.shown(capsys)

    @pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
    def test_in_fit(self, capsys, monkeypatch, verbose):
        monkeypatch.setattr("keras_pli.embedding.search.LONG_OPERATIONS", 0)
        tsne = ParametricTSNE(perplexity=5, hidden_units=(4,), seed=0)
        tsne.compile(run_eagerly=True)
        z = np.random.default_rng(0).normal(size=(60, 9))
        tsne.fit(z, epochs=1, steps_per_epoch=1, verbose=verbose)
        assert ("chunk of neighbours" in capsys.readouterr().out) == bool(verbose)

    @pytest.mark.slow
    def test_of_the_approximate_search(self, capsys):
        assert "NN descent" in self.shown(capsys, verbose=1, method="approximate")
        assert not self.shown(capsys, method="approximate")


class TestDuplicates:
    @pytest.mark.parametrize("features", [3, 40])
    @pytest.mark.parametrize("method", ["exact", APPROXIMATE])
    def test_a_pair_is_kept_at_distance_zero(self, features, method):
        rng = np.random.default_rng(4)
        z = rng.normal(size=(150, features)).astype(np.float32)
        z = np.concatenate([z, z[:40]])
        graph = nearest_neighbors(z, 8, method=method, seed=0)
        assert not (graph.indices == np.arange(190)[:, None]).any()
        assert np.array_equal(graph.indices[:40, 0], np.arange(150, 190))
        assert np.array_equal(graph.indices[150:, 0], np.arange(40))
        assert (graph.distances[:40, 0] == 0).all()
        assert (graph.distances[:, 1] > 0).all()

    @pytest.mark.parametrize("features", [3, 40])
    def test_more_than_k(self, features):
        rng = np.random.default_rng(5)
        z = rng.normal(size=(100, features)).astype(np.float32)
        z[20:60] = z[20]
        graph = nearest_neighbors(z, 8, method="exact")
        assert not (graph.indices == np.arange(100)[:, None]).any()
        assert (graph.distances[20:60] == 0).all()
        assert np.isin(graph.indices[20:60], np.arange(20, 60)).all()
        assert all(len(set(row)) == 8 for row in graph.indices.tolist())

    def test_rows_stay_sorted(self):
        # Points closer to each other than the rounding of an expanded square.
        rng = np.random.default_rng(6)
        z = (100 + 1e-4 * rng.normal(size=(120, 30))).astype(np.float32)
        graph = nearest_neighbors(z, 12, method="exact")
        assert (np.diff(graph.distances, axis=1) >= 0).all()
        exact = np.linalg.norm(z[:, None].astype(np.float64) - z[graph.indices], axis=2)
        np.testing.assert_allclose(graph.distances, exact, rtol=1e-5)


@pytest.mark.slow
class TestApproximate:
    def test_recall(self, blobs, approximate):
        exact, _ = brute_force(blobs, 15)
        found = [len(set(a) & set(b)) for a, b in zip(approximate.indices, exact, strict=True)]
        assert np.sum(found) / exact.size >= 0.95

    def test_the_point_itself_is_left_out(self, approximate):
        assert approximate.indices.shape == (2000, 15)
        assert not (approximate.indices == np.arange(2000)[:, None]).any()

    def test_distances_are_those_of_the_neighbours(self, blobs, approximate):
        exact = np.linalg.norm(blobs[:, None] - blobs[approximate.indices], axis=2)
        np.testing.assert_allclose(approximate.distances, exact, rtol=1e-4)
        assert (np.diff(approximate.distances, axis=1) >= 0).all()

    def test_same_seed_same_graph(self, blobs, approximate):
        again = nearest_neighbors(blobs, 15, method="approximate", seed=3)
        assert np.array_equal(again.indices, approximate.indices)
        assert np.array_equal(again.distances, approximate.distances)

    def test_several_threads(self, blobs, approximate):
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(
                lambda seed: nearest_neighbors(blobs, 15, method="approximate", seed=seed), [3] * 4
            )
            assert all(np.array_equal(each.indices, approximate.indices) for each in found)


class TestGiven:
    @pytest.fixture
    def graph(self):
        z = np.random.default_rng(7).normal(size=(30, 4)).astype(np.float32)
        return NeighborGraph(*(a.astype(t) for a, t in zip(brute_force(z, 6), "if", strict=True)))

    def test_neighbor_graph(self, graph):
        found = given_neighbors(graph)
        assert np.array_equal(found.indices, graph.indices)
        assert np.array_equal(found.distances, graph.distances)

    @pytest.mark.parametrize("container", [tuple, list])
    def test_pair_with_self_entries(self, graph, container):
        own = np.arange(30)[:, None]
        pair = container([np.hstack([own, graph.indices]), np.hstack([0 * own, graph.distances])])
        found = given_neighbors(pair)
        assert np.array_equal(found.indices, graph.indices)
        assert np.array_equal(found.distances, graph.distances)

    def test_self_in_some_rows_only(self, graph):
        indices, distances = graph.indices.copy(), graph.distances.copy()
        indices[4, 2] = 4
        found = given_neighbors((indices, distances))
        assert np.array_equal(found.indices[4, :5], np.delete(indices[4], 2))
        assert np.array_equal(found.distances[4], [*np.delete(distances[4], 2), np.inf])
        assert np.array_equal(np.delete(found.indices, 4, axis=0), np.delete(indices, 4, axis=0))

    def test_unsorted_rows_are_sorted(self, graph):
        order = np.random.default_rng(0).permuted(np.tile(np.arange(6), (30, 1)), axis=1)
        pair = [np.take_along_axis(a, order, axis=1) for a in (graph.indices, graph.distances)]
        found = given_neighbors(pair)
        assert np.array_equal(found.indices, graph.indices)

    @pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_matrix])
    def test_sparse_with_ragged_rows(self, form):
        dense = np.array([[0, 2, 0, 1.0], [2, 0, 3, 0], [0, 3, 0, 0], [1, 0, 0, 0]])
        found = given_neighbors(form(dense))
        assert found.indices.shape == (4, 2)
        assert found.indices[:2].tolist() == [[3, 1], [0, 2]]
        assert found.indices[2:, 0].tolist() == [1, 0]
        assert found.distances.tolist() == [[1, 2], [2, 3], [3, np.inf], [1, np.inf]]

    def test_sparse_keeps_stored_zeros(self):
        # scikit-learn stores the distance 0 of a duplicate explicitly.
        matrix = sparse.csr_matrix(
            ([0.0, 5.0, 0.0, 4.0, 4.0], ([0, 0, 1, 1, 2], [1, 2, 0, 2, 1])), shape=(3, 3)
        )
        found = given_neighbors(matrix)
        assert found.indices[:2].tolist() == [[1, 2], [0, 2]]
        assert found.distances[:2].tolist() == [[0, 5], [0, 4]]

    def test_sklearn_graph(self):
        from sklearn.neighbors import kneighbors_graph

        z = np.random.default_rng(8).normal(size=(60, 5))
        for include_self in (True, False):
            matrix = kneighbors_graph(z, 7, mode="distance", include_self=include_self)
            found = given_neighbors(matrix)
            k = found.indices.shape[1]
            assert k == (6 if include_self else 7)
            assert np.array_equal(found.indices, brute_force(z, k)[0])

    @pytest.mark.parametrize(
        ("graph", "message"),
        [
            (sparse.csr_matrix((3, 4)), r"square.*\(3, 4\)"),
            (([[1], [5], [0]], [[1.0], [1], [1]]), r"out of range \[0, 3\) in rows 1"),
            (([[1], [0], [-1]], [[1.0], [1], [1]]), r"out of range \[0, 3\) in rows 2"),
            (([[1], [0], [1]], [[1.0], [-0.5], [1]]), "Negative or missing.*rows 1"),
            (([[1], [0], [1]], [[np.nan], [1], [1]]), "Negative or missing.*rows 0"),
            (([[1], [0], [1]], [[1.0, 2], [1, 2], [1, 2]]), r"\(3, 1\) and \(3, 2\)"),
            (([[0], [0], [2]], [[0.0], [1], [0]]), "without any neighbour but themselves"),
            (sparse.csr_matrix((3, 3)), "without any neighbour but themselves"),
        ],
    )
    def test_errors(self, graph, message):
        with pytest.raises(ValueError, match=message):
            given_neighbors(graph)

    def test_other_types(self):
        with pytest.raises(TypeError, match="Received: str"):
            given_neighbors("graph")
        with pytest.raises(TypeError, match=r"metric='precomputed'.* Received: ndarray"):
            given_neighbors(np.ones((5, 5)))


class TestErrors:
    def test_rows_that_are_not_finite_are_named(self):
        z = np.zeros((10, 3))
        z[[2, 7], 1] = np.nan, np.inf
        with pytest.raises(ValueError, match=r"`z`.*2 of 10 rows.*rows 2, 7"):
            nearest_neighbors(z, 3)

    @pytest.mark.parametrize("k", [0, -1, 10, 11])
    def test_k(self, k):
        with pytest.raises(ValueError, match=f"samples - 1 = 9. Received: {k}"):
            nearest_neighbors(np.zeros((10, 3)), k)

    def test_method(self):
        with pytest.raises(ValueError, match=r"`method`.*'exactly'.*Did you mean 'exact'"):
            nearest_neighbors(np.zeros((10, 3)), 3, method="exactly")

    def test_metric(self):
        with pytest.raises(ValueError, match=r"`metric`.*'cosin'.*Did you mean 'cosine'"):
            nearest_neighbors(np.zeros((10, 3)), 3, metric="cosin")

    def test_axes(self):
        with pytest.raises(ValueError, match=r"at least 2 axes.*\(10,\)"):
            nearest_neighbors(np.zeros(10), 3)


def test_given_graph_lists_no_neighbour_twice():
    indices = np.array([[1, 2], [0, 2], [1, 1]])
    with pytest.raises(ValueError, match="more than once in rows 2"):
        given_neighbors((indices, np.ones((3, 2))))
