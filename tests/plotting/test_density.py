import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import gaussian_kde

from keras_pli.plotting import class_density


def uncorrelated(count, seed=0):
    """Points whose sample covariance is exactly diagonal, as the kernel is."""
    cloud = np.random.default_rng(seed).normal(size=(count, 2))
    cloud[count // 2 :] += 2.5
    cloud -= cloud.mean(axis=0)
    whitened = cloud @ np.linalg.inv(np.linalg.cholesky(np.cov(cloud.T)).T)
    return whitened * (3.0, 0.5) + (10.0, -4.0)


def test_share_and_contour_agree_with_gaussian_kde():
    cloud, total = uncorrelated(400), 1000
    kde = gaussian_kde(cloud.T)
    width = np.sqrt(np.diag(kde.covariance))
    density = class_density(cloud, total=total, bandwidth=tuple(width))
    x, y = np.meshgrid(density.x, density.y)
    expected = kde([x.ravel(), y.ravel()]).reshape(x.shape) * 0.4 * np.pi * width.prod()
    np.testing.assert_allclose(density.share, expected, atol=0.003 * expected.max())
    inside, wanted = density.share > density.level, expected > 1 / total
    assert (inside != wanted).sum() < 0.005 * wanted.sum()


def test_a_map_too_wide_for_the_grid_keeps_the_kernel_along_the_other_axis():
    # 400 bandwidths along x alone: more cells than the grid may have.
    cloud, width = np.array([[0.0, 0.0], [400.0, 0.0], [400.0, 0.0]]), (1.0, 1.0)
    density = class_density(cloud, bandwidth=width)
    column = density.share[:, np.abs(density.x - 400).argmin()]
    expected = np.exp(-(density.y**2) / 2)
    np.testing.assert_allclose(column / column.max(), expected / expected.max(), atol=0.01)


def test_default_bandwidth_is_scotts_for_a_gaussian():
    cloud = np.random.default_rng(1).normal(size=(5000, 2)) * (2.0, 7.0)
    scott = np.sqrt(np.diag(gaussian_kde(cloud.T).covariance))
    np.testing.assert_allclose(class_density(cloud).bandwidth, scott, rtol=0.06)


def test_far_strays_do_not_blur_the_cluster():
    cloud = np.random.default_rng(1).normal(size=(500, 2))
    alone = class_density(cloud).bandwidth
    joined = class_density(np.concatenate([cloud, cloud[:25] + 60])).bandwidth
    assert max(joined) < 1.2 * max(alone)


@pytest.mark.parametrize(
    "count, least, most", [(10, 0.3, 0.9), (100, 0.8, 0.99), (2000, 0.93, 1.0)]
)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_contour_encloses_the_bulk_at_any_scale(count, least, most, scale):
    cloud = scale * np.random.default_rng(3).normal(size=(count, 2))
    density = class_density(cloud, total=3 * count)
    at = RegularGridInterpolator((density.y, density.x), density.share)(cloud[:, ::-1])
    assert least <= (at > density.level).mean() <= most


def test_stretching_the_map_stretches_the_density():
    cloud = np.random.default_rng(3).normal(size=(80, 2))
    small, large = class_density(cloud), class_density(cloud * 1000 + 5)
    # float32 coordinates may bin a point next door.
    np.testing.assert_allclose(large.share, small.share, atol=0.02 * small.share.max())
    np.testing.assert_allclose(large.x, small.x * 1000 + 5, rtol=1e-3)


def test_level_counts_all_points_of_the_map():
    cloud = np.random.default_rng(3).normal(size=(80, 2))
    own, shared = class_density(cloud), class_density(cloud, total=800)
    assert (own.level, shared.level) == (1 / 80, 1 / 800)
    # A class is no smaller for the company it has: share and level shrink alike.
    np.testing.assert_allclose(own.share / own.level, shared.share / shared.level)


def test_one_point_has_a_peak_and_no_contour():
    density = class_density([[3.0, -2.0]], total=50, smallest=0.1)
    assert density.peak == pytest.approx((3.0, -2.0), abs=0.03)
    assert density.clusters().max() < density.level


def test_identical_points_have_a_ring():
    density = class_density(np.full((40, 2), 7.0), total=50, smallest=0.1)
    assert density.bandwidth == pytest.approx((0.1, 0.1))
    assert density.peak == pytest.approx((7.0, 7.0), abs=0.03)
    assert density.clusters().max() > density.level


def test_identical_points_far_from_zero_without_lower_bound():
    assert np.isfinite(class_density(np.full((4, 2), 1e6)).share).all()


def test_strays_draw_no_rings_but_a_second_cluster_does():
    rng = np.random.default_rng(0)
    stray = np.array([[25.0, 25.0], [25.05, 25.0], [25.0, 25.05]])
    cloud = np.concatenate([rng.normal(size=(300, 2)), rng.normal(size=(60, 2)) - 20, stray])
    density = class_density(cloud)
    row, column = (np.abs(grid - 25).argmin() for grid in (density.y, density.x))
    assert density.share[row, column] > density.level > density.clusters()[row, column]
    row, column = (np.abs(grid + 20).argmin() for grid in (density.y, density.x))
    assert density.clusters()[row, column] > density.level


@pytest.mark.parametrize(
    "points, arguments, message",
    [
        (np.zeros((4, 3)), {}, r"2 components.*\(4, 3\)"),
        ([[np.nan, 0.0]], {}, "finite"),
        (np.zeros((4, 2)), {"total": 3}, "all 4 points. Received: 3"),
        (np.zeros((4, 2)), {"bandwidth": (1.0, 0.0)}, "positive"),
    ],
)
def test_errors(points, arguments, message):
    with pytest.raises(ValueError, match=message):
        class_density(points, **arguments)
