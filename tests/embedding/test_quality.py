import numpy as np
import pytest
import sklearn.manifold
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from keras_pli.embedding import quality


@pytest.fixture(scope="module", params=["random", "digits"])
def data(request):
    if request.param == "random":
        rng = np.random.default_rng(0)
        z, labels = rng.normal(size=(230, 6)), rng.integers(3, size=230)
        return z, z[:, :2] + 0.3 * rng.normal(size=(230, 2)), labels
    z, labels = load_digits(return_X_y=True)
    z, labels = z[:400], labels[:400]
    return z, PCA(2, random_state=0).fit_transform(z), labels


@pytest.mark.parametrize("k", [1, 5, 12, 50])
class TestNeighborhoods:
    def test_trustworthiness(self, data, k):
        z, y, _ = data
        # In float32, as here, so that the many ties among the digits fall alike.
        z, y = z.astype(np.float32), y.astype(np.float32)
        expected = sklearn.manifold.trustworthiness(z, y, n_neighbors=k)
        assert quality.trustworthiness(z, y, n_neighbors=k) == pytest.approx(expected, abs=1e-4)
        assert expected < 0.99

    def test_continuity(self, data, k):
        z, y, _ = data
        expected = sklearn.manifold.trustworthiness(
            y.astype(np.float32), z.astype(np.float32), n_neighbors=k
        )
        assert quality.continuity(z, y, n_neighbors=k) == pytest.approx(expected, abs=1e-4)

    def test_chunks(self, data, k, monkeypatch):
        z, y, _ = data
        whole = quality.trustworthiness(z, y, n_neighbors=k)
        monkeypatch.setattr(quality, "CHUNK_ENTRIES", 7 * len(z))
        assert quality.trustworthiness(z, y, n_neighbors=k) == pytest.approx(whole, abs=1e-6)

    def test_recall(self, data, k):
        z, y, _ = data
        lists = []
        for points in (z, y):
            distances = cdist(points, points)
            np.fill_diagonal(distances, np.inf)
            lists.append(np.argsort(distances, axis=1)[:, :k])
        kept = [len(set(a) & set(b)) for a, b in zip(*lists, strict=True)]
        expected = np.sum(kept) / (k * len(z))
        assert quality.neighbor_recall(z, y, n_neighbors=k) == pytest.approx(expected, abs=2e-3)


class TestClosedForms:
    def test_perfect_map(self):
        z = np.random.default_rng(1).normal(size=(80, 3))
        assert quality.trustworthiness(z, 5 * z) == 1
        assert quality.continuity(z, 5 * z) == 1
        assert quality.neighbor_recall(z, 5 * z) == 1

    def test_trustworthiness_and_continuity_differ(self):
        # A fold lays far points on each other (not trustworthy) and tears none apart (continuous).
        z = np.linspace(-1, 1, 101)[:, None]
        y = np.abs(z)
        assert quality.trustworthiness(z, y, n_neighbors=4) < 0.8
        assert quality.continuity(z, y, n_neighbors=4) > 0.95

    def test_further_axes(self):
        z = np.random.default_rng(2).normal(size=(60, 2, 3))
        y = z[:, 0, :2]
        assert quality.trustworthiness(z, y) == quality.trustworthiness(z.reshape(60, 6), y)


class TestClasses:
    @pytest.mark.parametrize("k", [1, 5])
    def test_knn_error(self, data, k):
        _, y, labels = data
        y = y.astype(np.float32)
        reference = KNeighborsClassifier(k).fit(y[::2], labels[::2])
        expected = 1 - reference.score(y[1::2], labels[1::2])
        found = quality.knn_error(y[::2], labels[::2], y[1::2], labels[1::2], n_neighbors=k)
        assert found == pytest.approx(expected, abs=1e-9)
        assert found > 0

    def test_knn_error_takes_columns_and_names(self):
        names = np.array([["a"], ["b"]])
        found = quality.knn_error([[0.0, 0], [9, 9]], names, [[1.0, 1], [8, 8]], names)
        assert found == 0

    def test_silhouette(self, data):
        _, y, labels = data
        expected = silhouette_score(y, labels)
        assert quality.silhouette(y, labels) == pytest.approx(expected, abs=1e-5)

    def test_silhouette_of_a_sample(self, data):
        _, y, labels = data
        whole = quality.silhouette(y, labels)
        first, again, other = (quality.silhouette(y, labels, most=150, seed=s) for s in (0, 0, 1))
        assert first == again
        assert first != other
        assert abs(first - whole) < 0.15


class TestDistanceCorrelation:
    def test_all_pairs(self, data):
        z, y, _ = data
        expected = spearmanr(pdist(z), pdist(y)).statistic
        assert quality.distance_correlation(z, y) == pytest.approx(expected, abs=1e-5)

    def test_chunks(self, data, monkeypatch):
        z, y, _ = data
        whole = quality.distance_correlation(z, y)
        monkeypatch.setattr(quality, "CHUNK_ENTRIES", 1000)
        assert quality.distance_correlation(z, y) == pytest.approx(whole, abs=1e-7)

    def test_drawn_pairs(self, data):
        z, y, _ = data
        whole = quality.distance_correlation(z, y)
        first, again, other = (
            quality.distance_correlation(z, y, pairs=8000, seed=s) for s in (0, 0, 1)
        )
        assert first == again
        assert first != other
        assert abs(first - whole) < 0.05


class TestErrors:
    measures = pytest.mark.parametrize(
        "measure",
        [
            quality.trustworthiness,
            quality.continuity,
            quality.neighbor_recall,
            quality.distance_correlation,
        ],
    )

    @measures
    def test_lengths(self, measure):
        with pytest.raises(ValueError, match=r"the same samples. Received: (30 and 31|31 and 30)"):
            measure(np.zeros((30, 3)), np.zeros((31, 2)))

    @measures
    def test_not_finite(self, measure):
        y = np.zeros((30, 2))
        y[4, 1] = np.nan
        with pytest.raises(ValueError, match="rows 4"):
            measure(np.zeros((30, 3)), y)

    @pytest.mark.parametrize("k", [0, 15, 40])
    def test_neighborhood(self, k):
        z = np.random.default_rng(0).normal(size=(30, 3))
        for measure in (quality.trustworthiness, quality.continuity, quality.neighbor_recall):
            with pytest.raises(ValueError, match=f"half the 30 samples. Received: {k}"):
                measure(z, z, n_neighbors=k)

    def test_labels(self):
        y = np.zeros((6, 2))
        with pytest.raises(ValueError, match=r"`labels_test`.*6 samples.*One-hot"):
            quality.knn_error(y, np.arange(6), y, np.eye(6))
        with pytest.raises(ValueError, match=r"`labels`.*\(5,\)"):
            quality.silhouette(y, np.arange(5))

    def test_silhouette_needs_two_classes(self):
        with pytest.raises(ValueError, match="labels"):
            quality.silhouette(np.random.default_rng(0).normal(size=(6, 2)), np.zeros(6))
