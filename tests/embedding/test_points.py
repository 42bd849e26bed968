import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from keras_pli.embedding.points import FAR, centred_points, far_rows_drawn_in


@pytest.fixture(scope="module")
def z():
    return np.random.default_rng(0).normal(size=(300, 4, 5))


def distances(points):
    values = points.values.astype(np.float64)
    return np.ldexp(cdist(values, values), points.exponent)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_keeps_distances(z, scale, offset):
    z = (z + offset) * scale
    points = centred_points(z)
    assert points.values.dtype == np.float32
    assert points.values.shape == (300, 20)
    assert 0.5 < np.median(np.linalg.norm(points.values, axis=1)) * 2 < 2
    flat = (z / scale).reshape(300, 20)
    np.testing.assert_allclose(distances(points) / scale, cdist(flat, flat), rtol=1e-5)


def test_values_center_and_exponent_are_the_points(z):
    points = centred_points(z + 40)
    back = np.ldexp(points.values.astype(np.float64), points.exponent) + points.center
    np.testing.assert_allclose(back, (z + 40).reshape(300, 20), atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", ml_dtypes.bfloat16])
def test_types(z, dtype):
    small = np.clip(10 * z + 60, 0, 255).astype(dtype)
    flat = small.astype(np.float64).reshape(300, 20)
    np.testing.assert_allclose(distances(centred_points(small)), cdist(flat, flat), rtol=1e-5)


def test_memory_mapped(z, tmp_path):
    np.save(tmp_path / "z.npy", z)
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    assert np.array_equal(centred_points(mapped).values, centred_points(z).values)


def test_one_row_beyond_all_bounds(z):
    far = z.copy()
    far[7] = 3e38
    points = centred_points(far)
    assert np.isfinite(np.square(points.values)).all()
    others = np.delete(np.arange(300), 7)
    flat = z.reshape(300, 20)
    np.testing.assert_allclose(
        distances(points)[np.ix_(others, others)], cdist(flat, flat)[np.ix_(others, others)], 1e-5
    )
    assert (distances(points)[7, others] > 1e14).all()


def test_nothing_but_one_point():
    assert (centred_points(np.full((5, 2), 7.0)).values == 0).all()


def test_prepared_rows(z):
    assert np.array_equal(
        centred_points(z, lambda part, rows: 3 * rows).values, centred_points(3 * z).values
    )


def test_holds_no_copy_in_float64():
    z = np.random.default_rng(1).normal(size=(100_000, 60)).astype(np.float32)
    tracemalloc.start()
    centred_points(z)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * z.nbytes  # what it returns, and chunks; a copy in float64 would be two more


class TestFarRows:
    def moved(self, z):
        center, drawn_in = far_rows_drawn_in(z)
        return center, drawn_in(slice(0, None), z.reshape(len(z), -1).astype(np.float64))

    def test_ordinary_rows_stay(self, z):
        center, moved = self.moved(z)
        np.testing.assert_allclose(center, np.median(z.reshape(300, 20), axis=0))
        assert np.array_equal(moved, z.reshape(300, 20) - center)

    def test_far_rows_keep_their_direction(self, z):
        far = z.copy()
        far[3], far[200] = 1e6, -1e3
        center, moved = self.moved(far)
        radius = np.linalg.norm(moved, axis=1)
        typical = np.quantile(np.linalg.norm(far.reshape(300, 20) - center, axis=1), 0.95)
        np.testing.assert_allclose(radius[[3, 200]], FAR * typical)
        direction = far.reshape(300, 20)[[3, 200]] - center
        cosine = np.sum(direction * moved[[3, 200]], axis=1)
        np.testing.assert_allclose(cosine, np.linalg.norm(direction, axis=1) * FAR * typical)

    def test_where_nearly_all_coincide_the_others_stay(self):
        z = np.zeros((100, 3))
        z[:3] = np.eye(3)
        assert np.array_equal(self.moved(z)[1], z)
