import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from openTSNE.affinity import Multiscale, PerplexityBasedNN
from scipy.optimize import brentq
from scipy.spatial.distance import cdist

from keras_pli.embedding import Affinities, NeighborGraph, affinities, nearest_neighbors
from keras_pli.embedding.affinity import check_perplexity, find_roots


def naive_conditional(squared, log_sigma):
    """p_{j|i} of one row, straight from the definition."""
    weights = np.exp(-(squared - squared.min()) / (2 * np.exp(2 * log_sigma)))
    return weights / weights.sum()


def naive_entropy(squared, log_sigma):
    p = naive_conditional(squared, log_sigma)
    return -np.sum(p[p > 0] * np.log(p[p > 0]))


def solve(squared, perplexity):
    """log σ of one row by SciPy."""
    middle = 0.5 * np.log(np.median(squared - squared.min()) + np.finfo(float).tiny)
    return brentq(
        lambda s: naive_entropy(squared, s) - np.log(perplexity),
        middle - 30,
        middle + 30,
        xtol=1e-12,
    )


def perplexities(p):
    p = p.conditional.astype(np.float64)
    return np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1))


def mixed_scales(samples=400, features=6):
    """Clusters at very different scales, from 1e-6 to 1e6."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** np.repeat([-6, -3, 0, 3, 6], samples // 5)
    return (rng.normal(size=(samples, features)) * scale[:, None]).astype(np.float32)


class TestWidths:
    @pytest.mark.parametrize("perplexity", [1.5, 5, 50])
    def test_equal_scipys_brentq(self, perplexity):
        z = np.random.default_rng(1).normal(size=(200, 8))
        graph = nearest_neighbors(z, perplexity=perplexity)
        found = affinities(graph, perplexity=perplexity)
        squared = graph.distances.astype(np.float64) ** 2
        expected = [solve(row, perplexity) for row in squared]
        np.testing.assert_allclose(found.log_sigma, expected, atol=1e-6)
        rows = [naive_conditional(row, s) for row, s in zip(squared, expected, strict=True)]
        np.testing.assert_allclose(found.conditional, rows, rtol=1e-5, atol=1e-9)

    @pytest.mark.parametrize("perplexity", [1.5, 5, 50])
    def test_every_point_has_the_perplexity_whatever_its_scale(self, perplexity):
        graph = nearest_neighbors(mixed_scales(), perplexity=perplexity)
        p = affinities(graph, perplexity=perplexity)
        np.testing.assert_allclose(perplexities(p), perplexity, rtol=1e-4)
        np.testing.assert_allclose(p.conditional.sum(axis=1, dtype=np.float64), 1, atol=1e-6)
        assert np.isfinite(p.log_sigma).all()
        assert np.ptp(p.log_sigma) > np.log(1e6)

    @pytest.mark.parametrize("perplexity", [1.5, 5, 50])
    def test_heavy_tails_within_a_row(self, perplexity):
        rng = np.random.default_rng(2)
        distances = np.sort(10 ** rng.uniform(-6, 6, size=(300, 150)), axis=1).astype(np.float32)
        indices = np.array([(i + 1 + np.arange(150)) % 300 for i in range(300)], dtype=np.int32)
        p = affinities(NeighborGraph(indices, distances), perplexity=perplexity)
        np.testing.assert_allclose(perplexities(p), perplexity, rtol=1e-4)

    def test_scaling_the_data_moves_the_widths_alone(self):
        graph = nearest_neighbors(np.random.default_rng(3).normal(size=(100, 4)), perplexity=10)
        far = NeighborGraph(graph.indices, graph.distances * np.float32(1024))
        near, far = (affinities(g, perplexity=10) for g in (graph, far))
        np.testing.assert_allclose(far.log_sigma - near.log_sigma, np.log(1024), atol=1e-8)
        np.testing.assert_allclose(far.conditional, near.conditional, rtol=1e-6)

    def test_chunks_change_nothing(self, monkeypatch):
        graph = nearest_neighbors(np.random.default_rng(4).normal(size=(130, 4)), perplexity=10)
        whole = affinities(graph, perplexity=10)
        monkeypatch.setattr(sys.modules[affinities.__module__], "CHUNK", 7)
        pieces = affinities(graph, perplexity=10)
        assert np.array_equal(pieces.conditional, whole.conditional)
        assert np.array_equal(pieces.log_sigma, whole.log_sigma)


# Each with a bracket in which it changes sign once: steep, flat, lopsided, discontinuous, a root at an end.
FUNCTIONS = [
    (lambda x: x - 0.3, -1.0, 2.0),
    (lambda x: x**3 - 2 * x - 5, 2.0, 3.0),
    (lambda x: np.exp(x) - 1e-4, -20.0, 20.0),
    (lambda x: np.exp(-x) - 1e-8, -5.0, 50.0),
    (lambda x: (x - 1) ** 9, -3.0, 2.3),
    (lambda x: np.arctan(1e5 * (x - 0.7)), -10.0, 10.0),
    (lambda x: np.tanh(x - 5) + 1e-9, -40.0, 40.0),
    (lambda x: np.where(x < 0.1234, -1e-3, 7.0), -1.0, 1.0),
    (lambda x: np.cbrt(x - 0.25), -8.0, 1.0),
    (lambda x: 1e-12 * (x - 2), 0.0, 10.0),
    (lambda x: 1e12 * np.sin(x), 3.0, 4.0),
    (lambda x: x * np.exp(-(x**2)), -4.0, 3.0),
    (lambda x: x, 0.0, 1.0),
    (lambda x: x - 1, 0.0, 1.0),
    (lambda x: 3 - x, -100.0, 1e6),
]


class TestFindRoots:
    def run(self, functions, **options):
        calls = np.zeros(len(functions), dtype=int)

        def function(x, rows):
            np.add.at(calls, rows, 1)
            return np.array([functions[r][0](v) for v, r in zip(x, rows, strict=True)], dtype=float)

        lower, upper = (np.array([f[i] for f in functions]) for i in (1, 2))
        return find_roots(function, lower, upper, **options), calls

    def test_equals_scipy(self):
        roots, _ = self.run(FUNCTIONS)
        expected = [brentq(*f, xtol=1e-12, maxiter=1000) for f in FUNCTIONS]
        np.testing.assert_allclose(roots, expected, rtol=0, atol=2e-9)

    def test_needs_no_more_evaluations_than_scipy(self):
        _, calls = self.run(FUNCTIONS)
        for f, own in zip(FUNCTIONS, calls, strict=True):
            theirs = brentq(*f, xtol=5e-10, maxiter=1000, full_output=True)[1].function_calls
            assert own <= theirs + 3

    def test_each_alone_is_each_among_others(self):
        together, _ = self.run(FUNCTIONS)
        alone = [self.run([f])[0][0] for f in FUNCTIONS]
        assert np.array_equal(together, alone)

    def test_orientation_of_the_signs_does_not_matter(self):
        turned = [(lambda x, f=f[0]: -f(x), *f[1:]) for f in FUNCTIONS]
        assert np.array_equal(self.run(FUNCTIONS)[0], self.run(turned)[0])

    def test_tolerance(self):
        rough, calls = self.run(FUNCTIONS[:3], tolerance=1e-2)
        exact, more = self.run(FUNCTIONS[:3], tolerance=1e-12)
        assert (abs(rough - exact) <= 1e-2).all()
        assert calls.sum() < more.sum()
        np.testing.assert_allclose(exact, [brentq(*f, xtol=1e-13) for f in FUNCTIONS[:3]], 1e-11)

    def test_no_problems(self):
        assert find_roots(lambda x, rows: x, np.zeros(0), np.zeros(0)).shape == (0,)

    def test_no_change_of_sign(self):
        with pytest.raises(ValueError, match="same sign at both ends of brackets 1, 2"):
            find_roots(
                lambda x, rows: x + 10.0 * (rows > 0), np.full(3, -1.0), np.array([2.0, 2, 2])
            )


@pytest.fixture(scope="module", params=[5, 20])
def case(request):
    z = np.random.default_rng(5).normal(size=(250, 6)).astype(np.float32)
    z[:60] /= 8
    perplexity = request.param
    graph = nearest_neighbors(z, perplexity=perplexity)
    return z, perplexity, affinities(graph, perplexity=perplexity)


class TestJoint:
    def test_equals_a_dense_computation(self, case):
        z, perplexity, p = case
        samples, k = len(z), 3 * perplexity
        squared = cdist(z, z).astype(np.float64) ** 2
        conditional = np.zeros((samples, samples))
        for i in range(samples):
            others = np.delete(np.arange(samples), i)
            nearest = others[np.argsort(squared[i, others])[:k]]
            row = squared[i, nearest]
            conditional[i, nearest] = naive_conditional(row, solve(row, perplexity))
        joint = (conditional + conditional.T) / (2 * samples)
        np.testing.assert_allclose(p.to_sparse().toarray(), joint, rtol=1e-4, atol=1e-10)
        logs = np.log(joint, out=np.zeros_like(joint), where=joint > 0)
        np.testing.assert_allclose(p.negative_entropy, np.sum(joint * logs), rtol=1e-6)

    def test_equals_opentsne(self, case):
        z, perplexity, p = case
        settings = {"perplexity": perplexity, "method": "exact", "k_neighbors": 3 * perplexity}
        rows = PerplexityBasedNN(z, symmetrize=False, **settings).P.toarray()
        rows /= rows.sum(axis=1, keepdims=True)
        logs = np.log(rows, out=np.zeros_like(rows), where=rows > 0)
        # Its search gives up on a row now and then; such rows say nothing about ours.
        solved = abs(np.exp(-np.sum(rows * logs, axis=1)) / perplexity - 1) < 1e-4
        assert solved.mean() > 0.99
        theirs = PerplexityBasedNN(z, **settings).P.toarray()
        both = np.outer(solved, solved)
        np.testing.assert_allclose(
            p.to_sparse().toarray()[both], theirs[both], rtol=1e-3, atol=1e-9
        )

    def test_is_symmetric_and_sums_to_one(self, case):
        joint = case[2].to_sparse()
        assert abs(joint - joint.T).max() == 0
        np.testing.assert_allclose(joint.sum(), 1, rtol=1e-6)
        assert (joint.diagonal() == 0).all()

    def test_leaves_the_tables_alone(self, case):
        # SciPy sorts and compacts in place what it is given.
        p = case[2]
        neighbors, conditional = p.neighbors.copy(), p.conditional.copy()
        _ = p.to_sparse(), Affinities(p.neighbors, p.conditional, p.log_sigma).negative_entropy
        assert np.array_equal(p.neighbors, neighbors)
        assert np.array_equal(p.conditional, conditional)

    def test_chunks_do_not_change_the_entropy(self, case, monkeypatch):
        p = case[2]
        module = sys.modules["keras_pli.embedding.affinity"]
        found = []
        for rows in (7, 10_000):
            monkeypatch.setattr(module, "SUMMED", rows)
            found.append(Affinities(p.neighbors, p.conditional, p.log_sigma).negative_entropy)
        np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


class TestScales:
    PERPLEXITIES = (4, 10, 20)

    @pytest.fixture(scope="class")
    @staticmethod
    def graph():
        z = np.random.default_rng(5).normal(size=(250, 6))
        return nearest_neighbors(z, perplexity=TestScales.PERPLEXITIES)

    def test_the_largest_decides_the_number_of_neighbours(self, graph):
        assert graph.indices.shape == (250, 60)

    def test_is_the_mean_of_single_scales(self, graph):
        p = affinities(graph, perplexity=list(self.PERPLEXITIES))
        single = [affinities(graph, perplexity=each) for each in self.PERPLEXITIES]
        expected = np.mean([each.conditional.astype(np.float64) for each in single], axis=0)
        np.testing.assert_allclose(p.conditional, expected, atol=1e-7)
        assert np.array_equal(p.log_sigma, np.stack([each.log_sigma for each in single], axis=1))

    def test_equals_opentsne(self, graph):
        z = np.random.default_rng(5).normal(size=(250, 6))
        theirs = Multiscale(z, perplexities=self.PERPLEXITIES, method="exact").P.toarray()
        p = affinities(graph, perplexity=self.PERPLEXITIES).to_sparse().toarray()
        # Its search gives up on a row now and then.
        close = np.isclose(p, theirs, rtol=1e-3, atol=1e-9)
        assert close.mean() > 0.99

    def test_a_list_of_one_is_the_number(self, graph):
        one, number = (affinities(graph, perplexity=given) for given in ([10], 10))
        assert np.array_equal(one.conditional, number.conditional)
        assert (one.log_sigma.shape, number.log_sigma.shape) == ((250, 1), (250,))


class TestDegenerate:
    @pytest.fixture(autouse=True)
    def no_warnings(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield

    def check(self, p):
        for array in (p.conditional, p.to_sparse().toarray()):
            assert np.isfinite(array).all()
            assert (array >= 0).all()
        assert not np.isnan(p.log_sigma).any()
        assert np.isfinite(p.negative_entropy)
        np.testing.assert_allclose(p.conditional.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(p.to_sparse().sum(), 1, rtol=1e-5)

    @pytest.mark.parametrize("features", [3, 40])
    def test_nothing_but_duplicates(self, features):
        z = np.repeat(np.random.default_rng(0).normal(size=(1, features)), 60, axis=0)
        p = affinities(nearest_neighbors(z, perplexity=5), perplexity=5)
        self.check(p)
        np.testing.assert_allclose(p.conditional, 1 / 15)

    @pytest.mark.parametrize("features", [3, 40])
    def test_more_duplicates_than_the_perplexity(self, features):
        z = np.random.default_rng(1).normal(size=(90, features)).astype(np.float32)
        z[10:19] = z[10] + 50  # far, so that no other point has all of them for its nearest
        p = affinities(nearest_neighbors(z, perplexity=5), perplexity=5)
        self.check(p)
        # Eight duplicates at distance 0 share all the weight; σ has gone to 0.
        np.testing.assert_allclose(p.conditional[10:19, :8], 1 / 8)
        assert (p.conditional[10:19, 8:] == 0).all()
        assert (p.log_sigma[10:19] == -np.inf).all()
        others = np.delete(np.arange(90), np.arange(10, 19))
        np.testing.assert_allclose(perplexities(p)[others], 5, rtol=1e-4)

    def test_fewer_duplicates_than_the_perplexity(self):
        z = np.random.default_rng(2).normal(size=(90, 4)).astype(np.float32)
        z[10:13] = z[10]
        p = affinities(nearest_neighbors(z, perplexity=5), perplexity=5)
        self.check(p)
        np.testing.assert_allclose(perplexities(p), 5, rtol=1e-4)

    def test_constant_distances(self):
        # A regular simplex: every point as far from every other.
        p = affinities(nearest_neighbors(np.eye(40), perplexity=6), perplexity=6)
        self.check(p)
        np.testing.assert_allclose(p.conditional, 1 / 18)

    def test_padded_graph(self):
        rng = np.random.default_rng(3)
        graph = nearest_neighbors(rng.normal(size=(60, 3)), 20)
        indices, distances = graph.indices.copy(), graph.distances.copy()
        kept = rng.integers(1, 21, size=60)
        kept[:3] = 1, 2, 5
        distances[1, :2] = 0.5  # two neighbours at one distance
        distances[np.arange(20) >= kept[:, None]] = np.inf
        p = affinities(NeighborGraph(indices, distances), perplexity=5)
        self.check(p)
        rows = np.arange(20) >= kept[:, None]
        assert (p.conditional[rows] == 0).all()
        assert (p.neighbors[rows] == np.repeat(np.arange(60), 20 - kept)).all()
        few = np.flatnonzero(kept <= 5)
        for i in few:  # not more neighbours than the perplexity: all equal, σ = ∞
            np.testing.assert_allclose(p.conditional[i, : kept[i]], 1 / kept[i], rtol=1e-6)
        assert (p.log_sigma[few] == np.inf).all()
        np.testing.assert_allclose(np.delete(perplexities(p), few), 5, rtol=1e-4)
        assert np.array_equal(graph.indices, indices)  # what was given stays as it was
        dense = p.to_sparse().toarray()
        np.testing.assert_allclose(
            p.negative_entropy, np.sum(dense[dense > 0] * np.log(dense[dense > 0])), rtol=1e-6
        )

    def test_extreme_magnitudes(self):
        z = np.random.default_rng(4).normal(size=(60, 3))
        plain = affinities(nearest_neighbors(z, perplexity=5), perplexity=5)
        for scale in (1e-50, 1e-42, 1e-20, 1e18, 1e30, 1e37):
            p = affinities(nearest_neighbors(scale * z, perplexity=5), perplexity=5)
            self.check(p)
            assert np.array_equal(p.neighbors, plain.neighbors)
            np.testing.assert_allclose(p.conditional, plain.conditional, atol=1e-5)


class TestErrorsAndCost:
    @pytest.mark.parametrize("perplexity", [1, 0.5, -3, 10, 11, np.nan])
    def test_perplexity(self, perplexity):
        graph = nearest_neighbors(np.random.default_rng(0).normal(size=(30, 3)), 20)
        with pytest.raises(ValueError, match=rf"30 points \(10\). Received: {perplexity}"):
            affinities(graph, perplexity=perplexity)

    @pytest.mark.parametrize(
        ("perplexity", "received"),
        [([], r"\[\]"), ([5, 0.5], r"\[5, 0.5\]"), ([5, 10], r"\[5, 10\]"), ([[5]], r"\[\[5\]\]")],
    )
    def test_perplexities(self, perplexity, received):
        with pytest.raises(ValueError, match=f"`perplexity` must .*Received: {received}"):
            check_perplexity(perplexity, 30)

    def test_perplexity_before_the_points_are_known(self):
        check_perplexity([5, 1e6])
        with pytest.raises(ValueError, match=r"must be above 1. Received: \[5, 1\]"):
            check_perplexity([5, 1])

    @pytest.mark.slow
    def test_memory_grows_with_the_lists_and_not_with_the_square(self):
        samples, k = 20_000, 30
        rng = np.random.default_rng(6)
        indices = (np.arange(samples)[:, None] + rng.permuted(
            np.tile(np.arange(1, 101), (samples, 1)), axis=1)[:, :k]) % samples  # fmt: skip
        distances = np.sort(rng.random((samples, k)), axis=1).astype(np.float32)
        graph = NeighborGraph(indices.astype(np.int32), distances)
        tracemalloc.start()
        p = affinities(graph, perplexity=10)
        _ = p.negative_entropy
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # 20,000² float32 are 1,600 MB; one float64 list of neighbours is 4.8 MB. The result and the lists of
        # those that list a point are three halves; the rest is chunks.
        assert peak < 5 * samples * k * 8
