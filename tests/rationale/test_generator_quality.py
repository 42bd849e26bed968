import keras
import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import entropy, ortho_group

from keras_pli.rationale.measures.generator_quality import (
    frechet_distance,
    frechet_of_gaussians,
    generator_quality,
    kernel_distance,
    mode_coverage,
    precision_recall,
    standardized,
)

RNG = np.random.default_rng(11)


def covariance(features, rank=None):
    root = RNG.normal(size=(rank or features, features))
    return root.T @ root / features


# Fréchet distance


def test_frechet_of_commuting_gaussians_is_known():
    axes = ortho_group.rvs(5, random_state=0)
    one, two = RNG.uniform(0.1, 3, 5), RNG.uniform(0.1, 3, 5)
    shift = RNG.normal(size=5)
    found = frechet_of_gaussians(shift, (axes * one) @ axes.T, 0 * shift, (axes * two) @ axes.T)
    assert found == pytest.approx(shift @ shift + ((np.sqrt(one) - np.sqrt(two)) ** 2).sum())


def test_frechet_equals_scipys_matrix_root():
    one, two = covariance(6), covariance(6)
    means = RNG.normal(size=(2, 6))
    root = sqrtm(one @ two).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(one + two - 2 * root)
    assert frechet_of_gaussians(means[0], one, means[1], two) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_have_a_distance():
    one = covariance(6, rank=2)
    assert frechet_of_gaussians(np.zeros(6), one, np.zeros(6), one) == pytest.approx(0, abs=1e-7)
    other = covariance(6, rank=3)
    found = frechet_of_gaussians(np.zeros(6), one, np.ones(6), other)
    assert 6 < found < 6 + np.trace(one) + np.trace(other)


def test_frechet_of_samples_estimates_that_of_their_gaussians():
    one, two = covariance(3), covariance(3)
    middle = np.array([1.0, 0.0, -1.0])
    samples = (
        RNG.multivariate_normal(mean, cov, 40_000)
        for mean, cov in ((middle, one), (0 * middle, two))
    )
    known = frechet_of_gaussians(middle, one, 0 * middle, two)
    assert frechet_distance(*samples) == pytest.approx(known, rel=0.03)


def test_frechet_uses_unbiased_covariances():
    one, two = RNG.normal(size=(60, 4)), RNG.normal(size=(50, 4)) * 2 + 1
    root = sqrtm(np.cov(one.T) @ np.cov(two.T)).real
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum()
    expected += np.trace(np.cov(one.T) + np.cov(two.T) - 2 * root)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-6)


def test_too_few_samples_are_said():
    with pytest.warns(UserWarning, match="biased upwards"):
        frechet_distance(RNG.normal(size=(30, 4)), RNG.normal(size=(39, 4)))


def test_one_feature_is_enough():
    points = RNG.normal(size=(100, 1))
    assert frechet_distance(points, points + 3) == pytest.approx(9, rel=1e-5)


# Kernel distance


def naive_discrepancy(one, two):
    def kernel(x, y):
        return (float(np.dot(x, y)) / len(x) + 1) ** 3

    n, m = len(one), len(two)
    within = sum(kernel(one[i], one[j]) for i in range(n) for j in range(n) if i != j) / (
        n * (n - 1)
    )
    other = sum(kernel(two[i], two[j]) for i in range(m) for j in range(m) if i != j) / (
        m * (m - 1)
    )
    across = sum(kernel(x, y) for x in one for y in two) / (n * m)
    return within + other - 2 * across


def test_kernel_distance_equals_a_double_loop():
    one, two = RNG.normal(size=(24, 5)), RNG.normal(size=(24, 5)) + 0.3
    found = kernel_distance(one, two, size=24, subsets=1)
    assert found.mean == pytest.approx(naive_discrepancy(one, two), rel=1e-9)
    assert found.deviation == 0


def test_kernel_distance_is_unbiased():
    """Of one distribution it is 0 on average, also from few samples, where a biased one is not."""
    found = [
        kernel_distance(RNG.normal(size=(10, 2)), RNG.normal(size=(10, 2)), size=10, subsets=1).mean
        for _ in range(400)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20
    assert np.min(found) < 0


def test_kernel_distance_averages_subsets():
    one, two = RNG.normal(size=(100, 3)), RNG.normal(size=(80, 3)) + 1
    few, same, other = (
        kernel_distance(one, two, size=20, subsets=30, seed=seed) for seed in (1, 1, 2)
    )
    assert few == same and few != other and few.deviation > 0
    assert few.mean == pytest.approx(kernel_distance(one, two, size=80, subsets=1).mean, rel=0.2)


def test_subsets_cannot_be_larger_than_the_sample():
    with pytest.raises(ValueError, match="takes 50 samples"):
        kernel_distance(RNG.normal(size=(40, 3)), RNG.normal(size=(60, 3)), size=50)


# Precision and recall


def naive_precision(real, generated, k):
    inside = 0
    for point in generated:
        for j, centre in enumerate(real):
            others = sorted(np.linalg.norm(real[i] - centre) for i in range(len(real)) if i != j)
            if np.linalg.norm(point - centre) <= others[k - 1]:
                inside += 1
                break
    return inside / len(generated)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_equal_loops(k):
    real, generated = RNG.normal(size=(30, 2)), RNG.normal(size=(40, 2)) * 1.5 + 1
    found = precision_recall(real, generated, k=k)
    assert found.precision == pytest.approx(naive_precision(real, generated, k))
    assert found.recall == pytest.approx(naive_precision(generated, real, k))
    assert 0 < found.precision < 1 and 0 < found.recall <= 1


def test_a_dropped_mode_costs_recall_only():
    real = np.concatenate([RNG.normal(size=(100, 2)), RNG.normal(size=(100, 2)) + 50])
    found = precision_recall(real, RNG.normal(size=(200, 2)))
    assert found.precision > 0.9 and found.recall < 0.55
    assert cdist(real[:1], real[100:]).min() > 20


def test_precision_needs_neighbours():
    with pytest.raises(ValueError, match="`k` = 5"):
        precision_recall(RNG.normal(size=(5, 2)), RNG.normal(size=(9, 2)), k=5)


# Classes


def test_divergence_is_scipys():
    real, made = RNG.integers(4, size=300), RNG.integers(4, size=50)
    shares = [np.bincount(labels, minlength=4) / len(labels) for labels in (made, real)]
    assert mode_coverage(real, made).divergence == pytest.approx(entropy(*shares))


def test_rare_classes_do_not_count_as_covered():
    assert mode_coverage(np.arange(100) % 4, [0] * 50 + [1] * 49 + [2]).modes == 2
    with pytest.raises(ValueError, match="does not"):
        mode_coverage([0, 1], [2])


# Together


def test_standardised_by_the_reference_alone():
    one = RNG.normal(size=(50, 3)) * [1, 100, 0] + [0, 5, 7]
    other = RNG.normal(size=(20, 3))
    found, theirs = standardized(one, other)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), [1, 1, 0], atol=1e-9)
    np.testing.assert_allclose(theirs[:, 1], (other[:, 1] - one[:, 1].mean()) / one[:, 1].std())
    np.testing.assert_allclose(theirs[:, 2], other[:, 2] - 7, atol=1e-6)


def test_features_that_hardly_occur_do_not_decide():
    """One of 500 real images has it, in units of which all the others of a standard deviation are far off."""
    real = np.concatenate([RNG.normal(size=(500, 3)), np.zeros((500, 1))], axis=1)
    other = real[::-1] + 0.0
    real[0, 3], other[:5, 3] = 1e-3, 1e-3
    found = frechet_distance(*standardized(real, other))
    assert found < 0.1
    assert standardized(real)[0][0, 3] == pytest.approx(1, abs=0.01)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)), layers.Flatten(),
            layers.Dense(4, "tanh", name="hidden"), layers.Dense(2, "softmax"),
        ]
    )  # fmt: skip


def images(samples, spread=1.0, seed=0):
    return spread * np.random.default_rng(seed).normal(size=(samples, 6, 6, 1)).astype("float32")


@pytest.mark.slow
def test_real_images_score_about_the_floor(network):
    table = generator_quality(images(1200), images(700, seed=1), network, "hidden", subset_size=200)
    assert table.index.tolist() == ["fid", "kid", "precision", "recall"]
    assert (table["samples"] == 600).all() and (table["features"] == 4).all()
    assert abs(table.value["fid"] - table.floor["fid"]) < 0.05
    assert abs(table.value["kid"]) < 0.02 and abs(table.floor["kid"]) < 0.02
    assert (table.loc[["precision", "recall"], ["value", "floor"]] > 0.9).all(axis=None)


def test_worse_images_score_worse(network):
    real = images(1200)
    found = [
        generator_quality(
            real,
            real[:700] + images(700, noise, seed=2),
            network,
            "hidden",
            subset_size=100,
            subsets=10,
        ).value
        for noise in (0.0, 0.5, 2.0)
    ]
    assert found[0]["fid"] < found[1]["fid"] < found[2]["fid"]
    assert found[0]["kid"] < found[1]["kid"] < found[2]["kid"]
    assert found[2]["precision"] < found[0]["precision"]


@pytest.mark.slow
def test_the_units_of_a_layer_do_not_matter(network):
    keras_layers = [*network.layers[:2], keras.layers.Rescaling(1000.0, 5.0, name="thousands")]
    scaled = keras.Sequential([keras.Input((6, 6, 1)), *keras_layers])
    real, made = images(400), images(200, 0.5, seed=3)
    plain = generator_quality(real, made, network, "hidden")
    found = generator_quality(real, made, scaled, "thousands")
    np.testing.assert_allclose(found["value"], plain["value"], rtol=1e-3)


def test_too_few_images_are_refused(network):
    with pytest.raises(ValueError, match="Too few images: 40 real"):
        generator_quality(images(40), images(19), network, "hidden")
    with pytest.raises(ValueError, match="one shape"):
        generator_quality(images(40), images(40)[:, :5], network, "hidden")
