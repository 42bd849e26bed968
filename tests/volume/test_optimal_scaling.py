import numpy as np
import ot
import pytest
from scipy import ndimage, stats
from sklearn.metrics import roc_auc_score

from keras_pli.volume import (
    optimal_scales,
    reference_scales,
    scale_volumes,
    scaled_brain_volumes,
    size_predictability,
)


def cohort(counts=(120, 120), shift=1.5, seed=0):
    """Brain volumes of classes whose logarithms are so many deviations apart, in random order."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    volumes = np.exp(np.log(1500) + 0.1 * (random.normal(size=len(labels)) + shift * labels))
    return volumes, labels


@pytest.mark.parametrize("reference", ["barycentre", 0, 1])
def test_both_methods_agree_where_classes_are_of_one_size(reference):
    volumes, labels = cohort()
    quantile, pot = (
        optimal_scales(volumes, labels, method=method, reference=reference)
        for method in ("quantile", "pot")
    )
    np.testing.assert_allclose(quantile, pot, rtol=1e-9)
    after = np.cbrt(volumes) * quantile
    np.testing.assert_allclose(np.sort(after[labels == 0]), np.sort(after[labels == 1]), rtol=1e-9)
    if reference != "barycentre":
        np.testing.assert_allclose(quantile[labels == reference], 1)


@pytest.mark.parametrize("counts", [(90, 160), (40, 41), (60, 80, 100)])
def test_methods_are_close_for_other_counts_and_sizes_no_longer_differ(counts):
    volumes, labels = cohort(counts)
    found = [optimal_scales(volumes, labels, method=method) for method in ("quantile", "pot")]
    lengths = np.cbrt(volumes)
    # Apart from the few at the ends, where neighbours are far between.
    assert np.quantile(abs(found[0] - found[1]) * lengths, 0.9) < 0.3 * lengths.std() / 10
    for scales in found:
        after = scaled_brain_volumes(volumes, scales)
        assert stats.ks_2samp(after[labels == 0], after[labels == 1]).pvalue > 0.9


def test_the_barycentre_is_pots_and_its_cost_the_least():
    volumes, labels = cohort((30, 30))
    lengths = np.cbrt(volumes)
    scales = optimal_scales(volumes, labels)
    first, second = (np.sort((lengths * scales)[labels == label]) for label in (0, 1))
    weights = np.full((30, 1), 1 / 30)
    start = np.linspace(first[0], first[-1], 30)[:, None]
    bary = ot.lp.free_support_barycenter(
        [lengths[labels == label][:, None] for label in (0, 1)],
        [weights[:, 0]] * 2,
        start,
        numItermax=100,
    )
    np.testing.assert_allclose(first, np.sort(bary[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(first, second)
    # No pairing of the classes moves less: half of the transport's cost.
    cost = ot.emd2_1d(lengths[labels == 0], lengths[labels == 1], metric="sqeuclidean")
    moved = [np.mean((lengths * (scales - 1))[labels == label] ** 2) for label in (0, 1)]
    np.testing.assert_allclose(moved, cost / 4)


@pytest.mark.parametrize("method", ["quantile", "pot"])
@pytest.mark.parametrize("counts", [(50, 50), (50, 70)])
def test_ties_stay_ties_and_order_is_kept(method, counts):
    volumes, labels = cohort(counts)
    volumes = np.round(volumes / 60) * 60
    scales = optimal_scales(volumes, labels, method=method)
    after = np.cbrt(volumes) * scales
    for label in (0, 1):
        own, then = volumes[labels == label], after[labels == label]
        assert all(np.ptp(then[own == value]) < 1e-9 for value in own)
        assert (np.diff(then[np.argsort(own)]) > -1e-9).all()
    order = np.random.default_rng(1).permutation(len(volumes))
    again = optimal_scales(volumes[order], labels[order], method=method)
    np.testing.assert_allclose(again, scales[order], rtol=1e-9)
    if counts == (50, 50):
        other = optimal_scales(volumes, labels, method="pot")
        np.testing.assert_allclose(scales, other, rtol=1e-9)


@pytest.mark.slow
def test_before_scaling_size_tells_the_class_and_afterwards_it_does_not():
    volumes, labels = cohort((900, 700), seed=3)
    before = size_predictability(volumes, labels)
    assert abs(before.auc - roc_auc_score(labels, volumes)) < 0.02 and before.ks_p_value < 1e-6
    assert len(before.fold_aucs) == 5 and np.isclose(np.mean(before.fold_aucs), before.auc)
    for method in ("quantile", "pot"):
        after = size_predictability(volumes, labels, scaling=method)
        # Three standard errors of an AUC of so many by chance.
        assert abs(after.auc - 0.5) < 0.045 and after.ks_p_value > 0.9


def test_distributions_made_equal_to_the_last_subject_give_an_auc_below_one_half():
    # As the documentation says; so that nobody takes it for a finding.
    volumes, labels = cohort((150, 130), seed=3)
    after = scaled_brain_volumes(volumes, optimal_scales(volumes, labels))
    assert size_predictability(after, labels).auc < 0.45


def test_a_rule_without_labels_leaves_nothing_to_predict():
    volumes, labels = cohort((60, 60), shift=2.0)
    scales = reference_scales(volumes, volumes[:60].mean())
    after = scaled_brain_volumes(volumes, scales)
    np.testing.assert_allclose(after, volumes[:60].mean())
    assert size_predictability(after, labels).auc == 0.5


def test_the_scale_of_a_held_out_subject_would_tell_its_label():
    volumes, labels = cohort((150, 150), shift=2.0)
    scales = optimal_scales(volumes, labels)
    assert roc_auc_score(labels, -scales) > 0.99  # so it is never to be computed for one


def test_classes_of_one_mean_that_differ_otherwise_are_found():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 150)
    volumes = 1500 + np.where(labels == 1, 200, 40) * random.normal(size=300)
    assert abs(roc_auc_score(labels, volumes) - 0.5) < 0.12
    assert size_predictability(volumes, labels).auc > 0.75


def test_samples_of_a_subject_stay_in_one_fold():
    # Classes alternate with size: a subject on both sides is recognised, a new one is put wrong.
    subjects = np.repeat(np.arange(6), 20)
    labels, volumes = subjects % 2, 1000 + 200.0 * subjects
    assert size_predictability(volumes, labels, folds=3).auc > 0.6
    assert size_predictability(volumes, labels, groups=subjects, folds=3).auc < 0.2


def test_more_than_two_classes():
    volumes, labels = cohort((50, 50, 50), shift=2.0)
    names = np.array(["a", "b", "c"])[labels]
    assert size_predictability(volumes, names).auc > 0.85
    after = size_predictability(volumes, names, scaling="quantile")
    assert abs(after.auc - 0.5) < 0.1 and after.ks_p_value > 0.99


class TestScaleVolumes:
    def test_the_brains_volume_scales_with_the_cube_and_its_middle_stays(self):
        grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1)
        middles = np.array([[11, 12.0, 10.5], [13, 10, 12.0]])
        balls = np.stack([((grid - m) ** 2).sum(axis=-1) < 36 for m in middles]).astype("float32")
        scales = np.array([1.3, 0.8])
        found = scale_volumes(balls[..., None], scales)
        assert found.shape == (2, 24, 24, 24, 1) and found.dtype == np.float32
        for before, after, scale in zip(balls, found[..., 0], scales, strict=True):
            assert abs(after.sum() / before.sum() / scale**3 - 1) < 0.03
            moved = np.subtract(ndimage.center_of_mass(after), ndimage.center_of_mass(before))
            assert abs(moved).max() < 0.05

    def test_scale_one_changes_nothing_and_the_input_is_left_alone(self):
        x = np.random.default_rng(0).normal(size=(1, 5, 6, 7)).astype("float32")
        before = x.copy()
        np.testing.assert_array_equal(scale_volumes(x, [1.0]), x)
        assert not np.array_equal(scale_volumes(x, [1.2]), x)
        np.testing.assert_array_equal(x, before)

    def test_equals_scipys_zoom_about_the_mask(self):
        x = np.random.default_rng(1).normal(size=(1, 9, 9, 9)).astype("float32")
        mask = np.zeros((1, 9, 9, 9), bool)
        mask[0, 2:5, 3:6, 4:7] = True  # its middle: (3, 4, 5)
        found = scale_volumes(x, [2.0], brains=mask)
        index = np.moveaxis(np.indices((9, 9, 9)).reshape(3, -1).T, 0, -1)
        middle = np.array([[3], [4], [5]])
        wanted = ndimage.map_coordinates(
            x[0].astype("float64"), middle + (index - middle) / 2, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(found.ravel(), wanted, atol=1e-5)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"volumes": np.ones((4, 4, 4))}, r"Received shape \(4, 4, 4\)"),
            ({"scales": [1.0, 2.0]}, "one entry for each of the 1 samples"),
            ({"scales": [-1.0]}, r"`scales` must be positive .* Rows 0 hold -1.0"),
            ({"volumes": np.zeros((1, 4, 4, 4))}, "A brain must have voxels. .* samples 0"),
            ({"brains": np.ones((1, 3, 3, 3))}, "`brains` must have the shape"),
        ],
    )
    def test_bad_arguments(self, options, match):
        with pytest.raises(ValueError, match=match):
            scale_volumes(**{"volumes": np.ones((1, 4, 4, 4)), "scales": [1.1], **options})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"brain_volumes": [1.0, 0.0, 2.0, 3.0]}, r"`brain_volumes` must be positive .* Rows 1"),
        ({"brain_volumes": np.ones((4, 1))}, r"`brain_volumes` must be \(subjects,\)"),
        ({"labels": [0, 1]}, "`labels` must have one entry"),
        ({"labels": [1, 1, 1, 1]}, "two classes or more. Received: 1"),
        ({"method": "sinkhorn"}, "`method` must be one of 'quantile', 'pot'"),
        ({"reference": 2}, "`reference` must be one of 'barycentre', 0, 1"),
    ],
)
def test_bad_arguments(options, match):
    arguments = {"brain_volumes": [1.0, 2, 3, 4], "labels": [0, 0, 1, 1], **options}
    with pytest.raises(ValueError, match=match):
        optimal_scales(**arguments)


def test_classes_smaller_than_the_folds_are_refused():
    with pytest.raises(ValueError, match=r"at least 5 samples each.* Received: \{0: 2, 1: 2\}"):
        size_predictability([1.0, 2, 3, 4], [0, 0, 1, 1])
    with pytest.raises(ValueError, match="`scaling` must be one of"):
        size_predictability([1.0, 2, 3, 4], [0, 0, 1, 1], folds=2, scaling="none")
