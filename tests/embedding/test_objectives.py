import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr
from slow_cases import by_default
from small_maps import dense_divergence

from keras_pli.embedding import affinities, nearest_neighbors
from keras_pli.embedding.memberships import curve, memberships
from keras_pli.embedding.objectives import (
    COINCIDENT,
    ContrastiveObjective,
    DivergenceObjective,
    EdgeObjective,
    FuzzyObjective,
    Objective,
)

SAMPLES = 60
EDGE_OBJECTIVES = {
    "umap": FuzzyObjective(6, negative_samples=3),
    "umap far": FuzzyObjective(6, min_dist=0.5, spread=2.0, negative_samples=5),
    "contrastive 0": ContrastiveObjective(6, spectrum=0.0, negative_samples=3),
    "contrastive 0.4": ContrastiveObjective(6, spectrum=0.4),
    "contrastive 1.2": ContrastiveObjective(6, spectrum=1.2),
}
OBJECTIVES = {
    "uniform": DivergenceObjective(8, batches="uniform", early_exaggeration=4.0),
    "neighbors": DivergenceObjective(8, batches="neighbors", early_exaggeration=4.0),
    **EDGE_OBJECTIVES,
}
FEW = ("uniform", "neighbors", "umap", "contrastive 0.4")


@pytest.fixture(scope="module")
def z():
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=5, size=(4, 5))
    return (centres[rng.integers(4, size=SAMPLES)] + rng.normal(size=(SAMPLES, 5))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def y(z):
    """A map with structure: two axes of the data, and some noise."""
    return (z[:, :2] + np.random.default_rng(1).normal(size=(SAMPLES, 2))).astype(np.float32)


def tensor(array, dtype):
    return keras.ops.convert_to_tensor(np.asarray(array, dtype))


def tables_of(objective, z):
    graph = nearest_neighbors(z, objective.neighbors(len(z)))
    return objective.tables(z, graph, batch_size=20)


def drawn(tables, anchors=10, seed=2):
    random = np.random.default_rng(seed)
    chosen = random.permutation(tables.samples)[:anchors]
    return np.asarray(
        tables.draw(tensor(chosen, "int32"), tensor(random.random(anchors), "float32"))
    )


def cost_of(objective, tables, y, points, early=0.0):
    loss, measure = objective.cost(
        tensor(y, "float32"), tensor(points, "int32"), tables, tensor(early, "float32")
    )
    return float(loss), float(measure)


def cost_and_gradient(objective, tables, points, jit_compile=False):
    """A compiled function from the map of all points and the phase to a batch's loss and its gradient."""
    points = tensor(points, "int32")

    @tf.function(jit_compile=jit_compile)
    def step(y, early):
        with tf.GradientTape() as tape:
            tape.watch(y)
            batch = keras.ops.take(y, points, axis=0)
            loss, _ = objective.cost(batch, points, tables, early)
        return loss, tf.convert_to_tensor(tape.gradient(loss, y))

    def found(y, early):
        loss, gradient = step(tensor(y, "float32"), tensor(early, "float32"))
        return float(loss), gradient.numpy()

    return found


def squared(y):
    y = np.asarray(y, dtype=np.float64)
    return np.sum((y[:, None] - y[None, :]) ** 2, axis=-1)


def probability(objective, distance, samples, early):
    """That a pair at a squared distance is an edge, by the papers' formulas."""
    if isinstance(objective, FuzzyObjective):
        return 1 / (1 + objective.a * (distance + COINCIDENT) ** objective.b)
    kernel = 1 / (1 + distance)
    m = objective.negative_samples
    spectrum = 1.0 if early else objective.spectrum
    partition = (100 * samples) ** (1 - spectrum) * (samples**2 / m) ** spectrum
    return kernel / (kernel + m * partition / samples**2)


def naive_cross_entropy(objective, tables, y, points, early):
    anchors = len(points) // 2
    weight = np.asarray(tables.edge_weight, dtype=np.float64)[points[:anchors]]
    weight = weight / weight.mean()
    distances, attraction, repulsion, pairs = squared(y), 0.0, 0.0, 0.0
    for e in range(anchors):
        p = probability(objective, distances[e, anchors + e], tables.samples, early)
        attraction -= weight[e] * np.log(p) / anchors
    for head in range(2 * anchors):
        for tail in range(anchors):
            if points[head] != points[tail]:
                p = probability(objective, distances[head, tail], tables.samples, early)
                repulsion -= weight[head % anchors] * np.log(1 - p)
                pairs += weight[head % anchors]
    return attraction + objective.negative_samples * repulsion / pairs


def naive_divergence_of_points(objective, tables, y, points, early, joint):
    p = joint[points][:, points]
    p = p / p.sum()
    kernel = 1 / (1 + squared(y)) * (1 - np.eye(len(y)))
    factor = objective.early_exaggeration if early else 1.0
    total = np.log(kernel.sum())
    for i, j in zip(*np.nonzero(p), strict=True):
        total += p[i, j] * (np.log(p[i, j]) - factor * np.log(kernel[i, j]))
    return total


def naive_divergence_of_edges(objective, tables, y, points, early, joint):
    """The mean over the drawn edges, and the weighted mean of the kernel over all other pairs."""
    conditional = np.asarray(affinities_of(tables, joint))
    often = 1 + conditional.sum(axis=0)
    anchors, distances = len(points) // 2, squared(y)
    pull = np.mean([np.log(1 + distances[e, anchors + e]) for e in range(anchors)])
    kernels, weights = [], []
    for a, b in itertools.product(range(2 * anchors), repeat=2):
        if points[a] != points[b] and abs(a - b) != anchors:
            kernels.append(1 / (1 + distances[a, b]))
            weights.append(1 / often[points[a]] / often[points[b]])
    entropy = rel_entr(joint, 1.0 * (joint > 0)).sum()
    pairs = tables.samples * (tables.samples - 1)
    factor = objective.early_exaggeration if early else 1.0
    return entropy + factor * pull + np.log(np.average(kernels, weights=weights) * pairs)


def affinities_of(tables, joint):
    """The dense p_{j|i}, from the table of their sums."""
    conditional = np.zeros_like(joint)
    values = np.diff(np.asarray(tables.cumulative, dtype=np.float64), axis=1, prepend=0)
    np.put_along_axis(conditional, np.asarray(tables.neighbors), values, axis=1)
    return conditional


def naive_cost(objective, tables, points, early, z):
    """A function from the map of all points to a batch's loss."""
    if isinstance(objective, EdgeObjective):
        return lambda y: naive_cross_entropy(objective, tables, y[points], points, early)
    p = affinities(nearest_neighbors(z, objective.neighbors(len(z))), perplexity=8)
    joint = p.to_sparse().toarray()
    uniform = objective.batches == "uniform"
    naive = naive_divergence_of_points if uniform else naive_divergence_of_edges
    return lambda y: naive(objective, tables, y[points], points, early, joint)


def central_differences(function, y, points, step=1e-5):
    gradient = np.zeros(y.shape)
    for cell in itertools.product(points, range(y.shape[1])):
        ends = []
        for sign in (1, -1):
            moved = y.astype(np.float64)
            moved[cell] += sign * step
            ends.append(function(moved))
        gradient[cell] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("name", by_default(*FEW, of=OBJECTIVES))
def test_loss_and_gradient(name, z, y):
    objective = OBJECTIVES[name]
    tables = tables_of(objective, z)
    points = drawn(tables)
    held = set(points.tolist())
    if tables.points_per_anchor > 1:
        assert len(held) < len(points)  # some are held twice
    step, losses = cost_and_gradient(objective, tables, points), []
    for early in (0.0, 1.0):
        naive = naive_cost(objective, tables, points, early, z)
        loss, gradient = step(y, early)
        losses.append(loss)
        assert loss == pytest.approx(naive(y), rel=1e-4)
        expected = central_differences(naive, y, held)
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
    # Only UMAP has no early phase.
    assert (losses[0] == losses[1]) is isinstance(objective, FuzzyObjective)


@pytest.mark.parametrize("name", by_default("umap", of=FEW))
def test_coincident_points_and_xla(name, z, y):
    objective = OBJECTIVES[name]
    tables = tables_of(objective, z)
    points = drawn(tables, anchors=12)
    duplicates = y.copy()
    duplicates[points[:10]] = duplicates[points[12:16]] = y[0]  # edges of length 0 are among them
    plain, compiled = (cost_and_gradient(objective, tables, points, jit) for jit in (False, True))
    for positions in (y, duplicates, np.ones_like(y), 1e6 * duplicates):
        (loss, gradient), (again, same) = plain(positions, 0.3), compiled(positions, 0.3)
        assert np.isfinite(loss)
        assert np.isfinite([*gradient.ravel(), again, *same.ravel()]).all()
        if abs(positions).max() > 1e5:
            continue  # where single precision leaves no digits of a difference
        assert again == pytest.approx(loss, rel=1e-5, abs=1e-5)
        scale = abs(gradient).max()
        np.testing.assert_allclose(same, gradient, rtol=1e-3, atol=1e-4 * scale + 1e-6)


def dense_edges(objective, z):
    """The symmetric matrix of edge weights, from the directed memberships."""
    graph = nearest_neighbors(z, objective.n_neighbors)
    directed = np.zeros((len(z), len(z)))
    values = 1.0 if isinstance(objective, ContrastiveObjective) else memberships(graph)
    np.put_along_axis(directed, graph.indices, values, axis=1)
    return directed + directed.T - directed * directed.T


def cross_entropy_of_all(objective, z, y):
    """The mean over all edges by weight, and m times that over an edge's ends and all other points."""
    edges, distances, samples = dense_edges(objective, z), squared(y), len(z)
    attraction = repulsion = 0.0
    for i in range(samples):
        for j in range(samples):
            if i != j:
                p = probability(objective, distances[i, j], samples, early=False)
                attraction -= edges[i, j] / edges.sum() * np.log(p)
                repulsion -= edges[i].sum() / edges.sum() * np.log(1 - p) / (samples - 1)
    return attraction + objective.negative_samples * repulsion


class TestExpectation:
    @pytest.mark.parametrize("name", by_default("contrastive 0.4", of=EDGE_OBJECTIVES))
    def test_over_all_partners_of_all_anchors(self, name, z, y):
        """Of a batch of all anchors the cost is a sum over edges: so one level may serve all of them, and
        the costs between any two levels at which a partner changes are the same."""
        objective, z, y = EDGE_OBJECTIVES[name], z[:14], y[:14]
        tables = tables_of(objective, z)
        anchors = tensor(range(14), "int32")
        levels = np.unique(np.append(0, np.asarray(tables.cumulative)))
        costs = []
        for level in (levels[:-1] + levels[1:]) / 2:
            points = np.asarray(tables.draw(anchors, tensor(np.full(14, level), "float32")))
            costs.append(cost_of(objective, tables, y[points], points)[0])
        found = np.dot(np.diff(levels), costs)
        assert found == pytest.approx(cross_entropy_of_all(objective, z, y), rel=1e-4)

    @pytest.mark.parametrize("name", EDGE_OBJECTIVES)
    @pytest.mark.slow
    def test_over_small_batches(self, name, z, y):
        objective = EDGE_OBJECTIVES[name]
        tables = tables_of(objective, z)
        positions = tensor(y, "float32")

        @tf.function
        def drawn_cost(anchors, levels):
            points = tables.draw(anchors, levels)
            return objective.cost(keras.ops.take(positions, points, axis=0), points, tables, 0.0)[0]

        random, costs = np.random.default_rng(5), []
        for _ in range(500):
            chosen = random.permutation(SAMPLES)[:20]
            costs.append(
                float(drawn_cost(tensor(chosen, "int32"), tensor(random.random(20), "float32")))
            )
        error = np.std(costs) / np.sqrt(len(costs))
        assert error < 0.02 * np.mean(costs)
        # Weights are divided by the mean of the batch's own, which is off by a share of 1 / batch.
        expected = cross_entropy_of_all(objective, z, y)
        assert abs(np.mean(costs) - expected) < 4 * error + 0.01 * expected


class TestFuzzy:
    @pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (1.577, 0.895), (0.3, 1.4)])
    def test_log_odds_of_given_a_and_b(self, a, b):
        objective = FuzzyObjective()
        objective.a, objective.b = a, b
        distance = np.array([0.3, 1.0, 7.0, 50.0])
        found = np.asarray(objective.dissimilarity(tensor(distance**2, "float32"), None, 0.0))
        membership = 1 / (1 + a * distance ** (2 * b))
        # Squared distances are COINCIDENT larger there.
        np.testing.assert_allclose(found, np.log(1 / membership - 1), atol=b * COINCIDENT / 0.3**2)

    def test_a_and_b_are_those_of_min_dist_and_spread(self):
        objective = FuzzyObjective(min_dist=0.3, spread=1.5)
        assert (objective.a, objective.b) == curve(0.3, 1.5)


class TestContrastive:
    def level(self, objective, z, early=0.0):
        """log(m Z̄ / N²)."""
        tables = tables_of(objective, z)
        return float(objective.dissimilarity(tensor(0.0, "float32"), tables, early))

    @pytest.mark.parametrize("m", [1, 5, 20])
    def test_ends_of_the_spectrum(self, z, m):
        like_tsne = self.level(ContrastiveObjective(6, spectrum=0, negative_samples=m), z)
        assert np.exp(like_tsne) * SAMPLES**2 / m == pytest.approx(100 * SAMPLES, rel=1e-5)
        like_umap = self.level(ContrastiveObjective(6, spectrum=1, negative_samples=m), z)
        assert like_umap == 0  # Z̄ = N² / m

    def test_early_phase_is_that_of_umap(self, z):
        assert self.level(ContrastiveObjective(6, spectrum=0), z, early=1.0) == 0

    def test_at_1_it_is_umap_with_its_kernel_moved_away_from_0(self):
        """1 / d² of UMAP with a = b = 1 is 1 / (1 + d²) here (Damrich et al. 2023, section 5)."""
        umap = FuzzyObjective()
        umap.a = umap.b = 1.0
        distance = tensor([0.0, 0.5, 3.0, 200.0], "float32")
        tables = type("Tables", (), {"samples": SAMPLES})
        found = ContrastiveObjective(spectrum=1).dissimilarity(distance, tables, 0.0)
        expected = umap.dissimilarity(distance + (1 - COINCIDENT), tables, 0.0)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


class TestDivergence:
    @pytest.mark.parametrize(
        ("samples", "batch_size", "uniform"),
        [(60, 20, True), (60, 19, False), (300, 99, False), (60, 500, True)],
    )
    def test_auto_draws_points_where_they_meet_neighbours(self, samples, batch_size, uniform):
        """With k = 24 neighbours, a point meets 24 · batch size / N of them in a batch, and needs a third."""
        z = np.random.default_rng(0).normal(size=(samples, 3)).astype(np.float32)
        graph = nearest_neighbors(z, 24)
        tables = DivergenceObjective(8).tables(z, graph, batch_size)
        assert (tables.points_per_anchor == 1) is uniform
        assert uniform is (24 * batch_size / samples >= 24 / 3)

    def test_auto_asks_for_ten_of_many_neighbours(self):
        z = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
        graph = nearest_neighbors(z, 60)
        found = [DivergenceObjective(20).tables(z, graph, size) for size in (14, 15)]
        assert [tables.points_per_anchor for tables in found] == [2, 1]

    def test_uniform_batches_of_all_points_are_the_divergence(self, z, y):
        objective = OBJECTIVES["uniform"]
        points = np.random.default_rng(6).permutation(SAMPLES)
        p = affinities(nearest_neighbors(z, 24), perplexity=8).to_sparse().toarray()
        loss, kl = cost_of(objective, tables_of(objective, z), y[points], points)
        assert loss == kl == pytest.approx(dense_divergence(p, y), rel=1e-4)

    def test_a_batch_without_neighbours(self, z, y):
        objective = OBJECTIVES["uniform"]
        tables = tables_of(objective, z)
        joint = affinities(nearest_neighbors(z, 24), perplexity=8).to_sparse()
        points = next([0, j] for j in range(1, SAMPLES) if joint[0, j] == 0)
        assert cost_of(objective, tables, y[points], points, 1.0) == (0, 0)

    @pytest.mark.parametrize("size", [20, 40])
    @pytest.mark.slow
    def test_edges_estimate_the_divergence_of_all_points(self, z, y, size):
        objective = OBJECTIVES["neighbors"]
        tables, positions = tables_of(objective, z), tensor(y, "float32")
        joint = affinities(nearest_neighbors(z, 24), perplexity=8).to_sparse().toarray()

        @tf.function
        def drawn_cost(anchors, levels):
            points = tables.draw(anchors, levels)
            return objective.cost(keras.ops.take(positions, points, axis=0), points, tables, 1.0)

        random, pulls, means = np.random.default_rng(1), [], []
        for _ in range(600):
            anchors = random.permutation(SAMPLES)[: size // 2]
            levels = tensor(random.random(size // 2), "float32")
            loss, kl = (float(v) for v in drawn_cost(tensor(anchors, "int32"), levels))
            pulls.append((loss - kl) / (objective.early_exaggeration - 1))
            # The mean of the kernel is estimated, and its logarithm taken: averaging the logarithms would
            # come out low by half its relative variance. So the means are averaged, as the theory asks.
            means.append(np.exp(kl - pulls[-1] - tables.constant))
        found = np.mean(pulls) + np.log(np.mean(means)) + tables.constant
        error = np.hypot(np.std(pulls), np.std(means) / np.mean(means)) / np.sqrt(600)
        # Anchors are drawn without replacement, so that an anchor meets the neighbours of the N − 1 others
        # and misses its own: log Z is low by at most the share of one point among N.
        allowed = 3 * error + edges_counted(joint, y, SAMPLES)
        assert abs(found - dense_divergence(joint, y)) < allowed
        # What counting the drawn edges as pairs would add is more than the error: the test can tell.
        assert edges_counted(joint, y, size) > error + edges_counted(joint, y, SAMPLES)
        # The attraction is estimated without bias.
        pull = np.sum(joint * np.log1p(squared(y)))
        assert abs(np.mean(pulls) - pull) < 4 * np.std(pulls) / np.sqrt(600)

    def test_a_point_drawn_twice_does_not_repel_itself(self, z):
        objective = OBJECTIVES["neighbors"]
        tables = tables_of(objective, z)
        points = np.array([0, 1, 2, 1, 2, 0])  # edges 0-1, 1-2, 2-0
        y = np.array([[0.0, 0], [3, 0], [0, 4]])
        expected = naive_cost(objective, tables, points, False, z)(y)
        assert cost_of(objective, tables, y[points], points)[1] == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("batches", ["uniform", "neighbors", "auto"])
    def test_steps_of_an_epoch(self, batches):
        objective = DivergenceObjective(8, batches=batches)
        few, many = (objective.steps_per_epoch(samples, 20) for samples in (600, 9000))
        assert (few, many) == (30 if batches == "uniform" else 100, 450)


def edges_counted(joint, y, size):
    """Bias of log Z if a batch's own edges stood among its pairs."""
    kernel = 1 / (1 + squared(y))
    of_edges = np.sum(joint * kernel)
    np.fill_diagonal(kernel, 0)
    of_pairs = kernel.sum() / (len(y) * (len(y) - 1))
    return np.log(1 + (of_edges / of_pairs - 1) / (size - 1))


class TestErrors:
    def test_too_few_points(self):
        with pytest.raises(ValueError, match=r"`n_neighbors` must be below .* 6. Received: 6"):
            FuzzyObjective(6).neighbors(6)
        assert FuzzyObjective(6).neighbors(7) == 6
        with pytest.raises(ValueError, match=r"third of the 30 points \(10\). Received: 10"):
            DivergenceObjective(10).neighbors(30)
        assert DivergenceObjective(10).neighbors(31) == 30

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: FuzzyObjective(1), "`n_neighbors` must be a whole number from 2"),
            (lambda: FuzzyObjective(negative_samples=-1), "`negative_samples` must be"),
            (lambda: FuzzyObjective(min_dist=2, spread=1), "not below `min_dist`"),
            (lambda: ContrastiveObjective(spectrum=np.nan), "`spectrum` must be"),
            (lambda: DivergenceObjective(batches="even"), "`batches`"),
            (lambda: DivergenceObjective(early_exaggeration=-1), "`early_exaggeration` must be"),
        ],
    )
    def test_settings_out_of_range(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_settings_survive(name):
    objective = OBJECTIVES[name]
    config = keras.saving.serialize_keras_object(objective)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(objective)
    assert vars(again) == vars(objective)


def test_an_objective_of_ones_own_must_say_what_a_batch_costs():
    class Mine(Objective):
        def neighbors(self, samples):
            return 3

    with pytest.raises(TypeError, match="abstract"):
        Mine()
