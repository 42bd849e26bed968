import numpy as np
import pytest
from scipy.spatial.distance import cdist

from keras_pli.embedding import place_by_neighbors


def naive(new, z, y, k, metric="euclidean"):
    nearest = np.argsort(cdist(new, z, metric), axis=1)[:, :k]
    return np.stack([[np.median(y[row, c]) for c in range(y.shape[1])] for row in nearest])


@pytest.fixture(scope="module")
def points():
    random = np.random.default_rng(0)
    z = random.normal(size=(400, 7))
    return z, random.normal(size=(400, 2)).astype(np.float32), random.normal(size=(150, 7))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_equals_a_naive_search(points, k, metric):
    z, y, new = points
    found = place_by_neighbors(new, z, y, n_neighbors=k, metric=metric)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, naive(new, z, y, k, metric), atol=1e-6)


def test_neither_offset_nor_unit_matters(points):
    z, y, new = points
    expected = naive(new, z, y, 3)
    for moved in (lambda x: x + 1e7, lambda x: x * 1e18, lambda x: x * 1e-18):
        np.testing.assert_allclose(place_by_neighbors(moved(new), moved(z), y), expected, atol=1e-6)


def test_one_by_one_as_together_in_chunks(points, monkeypatch):
    z, y, new = points
    whole = place_by_neighbors(new, z, y)
    single = np.concatenate([place_by_neighbors(row[None], z, y) for row in new])
    monkeypatch.setattr("keras_pli.embedding.points.CHUNK_ENTRIES", 50)
    np.testing.assert_allclose(single, whole, atol=1e-6)
    np.testing.assert_allclose(place_by_neighbors(new, z, y), whole, atol=1e-6)


def test_points_of_the_map_by_one_neighbour_stay(points):
    z, y, _ = points
    np.testing.assert_array_equal(place_by_neighbors(z, z, y, n_neighbors=1), y)


def test_images_from_a_file(points, tmp_path):
    z, y, new = points
    np.save(tmp_path / "z.npy", z[:, :6].reshape(-1, 3, 2))
    stored = np.load(tmp_path / "z.npy", mmap_mode="r")
    found = place_by_neighbors(new[:, :6].reshape(-1, 3, 2), stored, y)
    np.testing.assert_allclose(found, naive(new[:, :6], z[:, :6], y, 3), atol=1e-6)


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"new": np.ones((2, 6))}, r"shapes \(2, 6\) and \(400, 7\)"),
            ({"y": np.ones((399, 2))}, "400 and 399"),
            ({"new": np.full((2, 7), np.nan)}, "`new` must be finite"),
            ({"n_neighbors": 401}, "Received: 401"),
            ({"n_neighbors": 0}, "Received: 0"),
            ({"metric": "precomputed"}, "precomputed"),
            ({"new": np.zeros((2, 7)), "metric": "cosine"}, "not defined for points at the origin"),
        ],
    )
    def test_says_what_is_wrong(self, points, change, match):
        z, y, new = points
        with pytest.raises(ValueError, match=match):
            place_by_neighbors(**{"new": new, "z": z, "y": y, **change})

    def test_of_text(self, points):
        z, y, _ = points
        with pytest.raises(TypeError, match="`new` must hold real numbers"):
            place_by_neighbors([["a"]], z, y)
