import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from keras_pli.evaluation.similarity import similarities, spearman, ssim, top_k_overlap

SHAPES = [(12,), (9, 8), (7, 6, 5)]


def pair(shape, count=3, seed=0):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(count, *shape))
    return first, 0.6 * first + rng.normal(size=(count, *shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_spearman_equals_scipy_also_with_ties(shape):
    first, second = pair(shape)
    for one, other in ((first, second), (first.round(), second.round())):
        expected = [
            spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)
        ]
        np.testing.assert_allclose(spearman(one, other), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "window"), [((12,), 7), ((9, 8), 7), ((7, 6, 5), 5), ((4, 9), 3)]
)
def test_ssim_equals_scikit_image_on_maps_of_one_range(shape, window):
    first, second = pair(shape)
    for one, other, span in ((first, second, 2.0), (np.abs(first), np.abs(second), 1.0)):
        expected = [
            structural_similarity(
                a / np.abs(a).max(), b / np.abs(b).max(), win_size=window, data_range=span
            )
            for a, b in zip(one, other, strict=True)
        ]
        np.testing.assert_allclose(ssim(one, other), expected, atol=1e-6)


def test_ssim_leaves_out_axes_of_length_one_and_is_undefined_where_no_window_fits():
    first, second = pair((9, 8))
    flat = ssim(first[:, :, None, :], second[:, :, None, :])
    np.testing.assert_allclose(flat, ssim(first, second))
    assert np.isnan(ssim(*pair((9, 2)))).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.1, 0.35, 1.0])
def test_top_k_equals_an_intersection_of_sets(shape, share):
    first, second = pair(shape)
    count = max(1, round(share * first[0].size))
    expected = [
        len(set(np.argsort(-a.ravel())[:count]) & set(np.argsort(-b.ravel())[:count])) / count
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(top_k_overlap(first, second, share=share), expected)


def test_tied_positions_share_the_last_places():
    first = [[9.0, 8, 1, 1, 1, 1, 0, 0, 0, 0]]
    assert top_k_overlap(first, first, share=0.3) == pytest.approx(1)
    # Three tenths of every position are held by an even map, and the first holds 1, 1 and a quarter.
    assert top_k_overlap(first, np.zeros((1, 10)), share=0.3) == pytest.approx(
        (0.3 * 2 + 4 * 0.25) / 3
    )


@pytest.mark.parametrize("measure", [spearman, ssim, top_k_overlap])
def test_a_constant_map_has_nothing_to_keep(measure):
    first, _ = pair((9, 8), count=2)
    first[1] = 3.0
    assert measure(first, first)[0] == pytest.approx(1)
    assert np.isnan(measure(first, first)[1])
    lost = measure(first, np.zeros_like(first))[0]
    assert lost == pytest.approx({spearman: 0, top_k_overlap: 0.1}.get(measure, 0), abs=0.15)


def test_all_measures_come_with_and_without_signs():
    first, second = pair((9, 8))
    found = similarities(first, second, share=0.2)
    assert set(found) == {(m, a) for m in ("spearman", "ssim", "top_k") for a in (False, True)}
    flipped = similarities(first, -first, share=0.2)
    for measure in ("spearman", "ssim", "top_k"):
        np.testing.assert_allclose(flipped[measure, True], 1)
        assert np.all(flipped[measure, False] < 0.5)
    np.testing.assert_allclose(found["spearman", True], spearman(abs(first), abs(second)))
    np.testing.assert_allclose(found["top_k", False], top_k_overlap(first, second, share=0.2))


def test_the_unit_of_a_map_does_not_matter():
    first, second = pair((9, 8))
    for key, values in similarities(first, second, share=0.1).items():
        np.testing.assert_allclose(
            similarities(1e-4 * first, 50 * second, share=0.1)[key], values, rtol=1e-4
        )


def test_bad_maps_are_met_at_the_door():
    first, second = pair((9, 8))
    with pytest.raises(ValueError, match="same shape"):
        spearman(first, second[:, :4])
    with pytest.raises(ValueError, match="must be finite"):
        ssim(first, np.full_like(first, np.nan))
    with pytest.raises(ValueError, match="`share` must lie"):
        top_k_overlap(first, second, share=0)


class TestWithin:
    def regions(self):
        random = np.random.default_rng(7)
        first, second = random.normal(size=(2, 3, 8, 9, 7))
        within = np.zeros((3, 8, 9, 7), bool)
        within[0, 1:7, 2:9, :], within[1, :6], within[2, 1:7, 1:8, 1:6] = True, True, True
        return first, second, within

    def test_nothing_outside_counts(self):
        first, second, within = self.regions()
        found = similarities(first, second, share=0.2, within=within)
        for number, region in enumerate(within):
            one, other = first[number][region], second[number][region]
            rank = spearmanr(one, other).statistic
            assert found["spearman", False][number] == pytest.approx(rank)
            count = round(0.2 * region.sum())
            tops = [set(np.argsort(values)[-count:]) for values in (one, other)]
            overlap = len(tops[0] & tops[1]) / count
            assert found["top_k", False][number] == pytest.approx(overlap)
        noise = np.random.default_rng(1).normal(size=first.shape)
        changed = [
            np.where(within, maps, noise + shift) for shift, maps in enumerate((first, second))
        ]
        again = similarities(*changed, share=0.2, within=within)
        for measure, values in found.items():
            np.testing.assert_allclose(again[measure], values)

    def test_an_outline_makes_no_maps_alike(self):
        """Unrelated maps that are 0 outside of a brain are alike by its outline, and not inside of it."""
        first, second, within = self.regions()
        whole = similarities(first * within, second * within, share=0.2)["spearman", True]
        inside = similarities(first, second, share=0.2, within=within)["spearman", True]
        assert (whole > 0.3).all()
        assert (abs(inside) < 0.2).all()

    def test_everywhere_is_everywhere(self):
        first, second, within = self.regions()
        found = similarities(first, second, share=0.2, within=np.ones_like(within))
        for measure, values in similarities(first, second, share=0.2).items():
            np.testing.assert_allclose(found[measure], values)
