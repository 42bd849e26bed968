import numpy as np
import pytest
from sklearn.decomposition import PCA

from keras_pli.embedding.components import WIDE, leading_components, mean_and_variance


@pytest.fixture(scope="module")
def z():
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 12)) @ (rng.normal(size=(12, 12)) * np.linspace(5, 0.1, 12)).T


def assert_equal_to_scikit_learn(found, z, count, offset=0.0, tolerance=1e-6):
    reference = PCA(count, svd_solver="full").fit(z)
    np.testing.assert_allclose(found.variance, reference.explained_variance_, rtol=tolerance)
    np.testing.assert_allclose(found.axes.T, reference.components_, atol=tolerance)
    np.testing.assert_allclose(found.mean - offset, reference.mean_, atol=1e-6)
    expected = reference.transform(z)
    error = np.abs(found.transform(z + offset) - expected).max()
    assert error < max(tolerance, 1e-6) * np.abs(expected).max()


@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_equals_scikit_learn(z, count, offset):
    # The signs, too.
    assert_equal_to_scikit_learn(leading_components(z + offset, count), z, count, offset)


@pytest.mark.parametrize("scale", [1e-20, 1e18, 1e30])
def test_scale(z, scale):
    found, plain = leading_components(scale * z, 3), leading_components(z, 3)
    np.testing.assert_allclose(found.axes, plain.axes, atol=1e-9)
    np.testing.assert_allclose(found.variance / scale**2, plain.variance)


@pytest.mark.parametrize("scale", [1.0, 1e18])
def test_many_features(scale):
    rng = np.random.default_rng(1)
    low = rng.normal(size=(300, 3)) * [9, 6, 4]
    z = 1e4 + low @ rng.normal(size=(3, WIDE + 20)) + 0.1 * rng.normal(size=(300, WIDE + 20))
    found = leading_components(z * scale, 3, seed=0)
    assert found.variance.shape == (3,)
    reference = PCA(3, svd_solver="full").fit(z)
    np.testing.assert_allclose(found.variance / scale**2, reference.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(found.axes.T, reference.components_, atol=1e-3)
    scores = found.transform(z * scale) / scale
    np.testing.assert_allclose(scores, reference.transform(z), atol=0.1)


def test_far_rows_do_not_turn_the_axes(z):
    reference = leading_components(z, 3)
    far = z.copy()
    far[17] = 1e6
    found = leading_components(far, 3)
    # Of the others they hold nearly as much as the best could.
    held = np.var(z @ found.axes, axis=0, ddof=1).sum()
    assert held > 0.9 * reference.variance.sum()
    assert (found.variance < 2 * reference.variance).all()
    turned = np.linalg.norm(found.axes - PCA(3).fit(far).components_.T, axis=0)
    assert (turned > 0.1).any()  # scikit-learn's first points at the far row


def test_no_more_than_there_can_be():
    z = np.random.default_rng(2).normal(size=(5, 20))
    assert leading_components(z, 30).axes.shape == (20, 5)
    assert leading_components(z.T[:, :1], 30).axes.shape == (1, 1)


def test_single_point():
    found = leading_components(np.full((1, 3), 2.0), 2)
    assert (found.variance == 0).all()
    assert (found.transform(np.full((1, 3), 2.0)) == 0).all()


def test_mean_and_variance(z):
    mean, variance = mean_and_variance(z + 1e7)
    np.testing.assert_allclose(mean - 1e7, z.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(variance, z.var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("seed", [0, None])
def test_leaves_the_global_generator_alone(seed):
    # So many features that scikit-learn's randomised solver is taken.
    z = np.random.default_rng(3).normal(size=(700, WIDE + 1)).astype(np.float32)
    before = np.random.get_state()[1:]  # noqa: NPY002
    leading_components(z, 3, seed=seed)
    after = np.random.get_state()[1:]  # noqa: NPY002
    assert np.array_equal(before[0], after[0])
    assert before[1:] == after[1:]
