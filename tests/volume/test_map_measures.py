"""Overlap, stability and masked inputs, against closed forms."""

import keras
import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from keras_pli.attribution import Attribution
from keras_pli.attribution.attribution import PositionAttribution
from keras_pli.volume import dice, fold_stability, masked_input_accuracy

L = keras.layers
SIZES = (6, 5, 4)


def random_maps(samples=3, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, *SIZES))


def half():
    inside = np.zeros(SIZES, bool)
    inside[:3] = True
    return inside


class TestDice:
    def test_counts_the_overlap_and_no_background(self):
        """Two disjoint sets of 2.7 % of a volume agree in 94.6 % of the voxels, and overlap nowhere."""
        first, second = np.zeros((10, 10, 10), bool), np.zeros((10, 10, 10), bool)
        first.ravel()[:27], second.ravel()[-27:] = True, True
        assert (first == second).mean() == pytest.approx(0.946)
        assert dice(first, second) == 0
        assert dice(first, first) == 1

    def test_of_booleans_by_its_formula(self):
        random = np.random.default_rng(0)
        marked, truth = (random.uniform(size=(4, *SIZES)) < share for share in (0.3, 0.5))
        wanted = [
            2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(marked, truth, strict=True)
        ]
        np.testing.assert_allclose(dice(marked, truth), wanted)
        inside = half()
        wanted = [
            2 * (a & b & inside).sum() / ((a & inside).sum() + (b & inside).sum())
            for a, b in zip(marked, truth, strict=True)
        ]
        np.testing.assert_allclose(dice(marked, truth, within=inside), wanted)

    @pytest.mark.parametrize("absolute", [False, True])
    @pytest.mark.parametrize("share", [None, 0.2])
    def test_of_the_strongest_voxels_of_the_region(self, share, absolute):
        maps, inside = random_maps(), half()
        truth = random_maps(seed=1) > 0.8
        found = dice(maps, truth, share=share, within=inside, absolute=absolute)
        for one, own, score in zip(maps, truth & inside, found, strict=True):
            values = np.where(inside, abs(one) if absolute else one, -np.inf)
            count = own.sum() if share is None else round(share * inside.sum())
            marked = values >= np.sort(values.ravel())[-count]
            assert score == pytest.approx(2 * (marked & own).sum() / (count + own.sum()))

    def test_ties_are_settled_by_the_mean_over_all_orders(self):
        truth = np.zeros(SIZES, bool)
        truth[0] = True  # a sixth of the voxels
        assert dice(np.zeros(SIZES), truth) == pytest.approx(1 / 6)
        assert dice(np.zeros(SIZES), truth, share=0.5) == pytest.approx(2 * 0.5 / 6 / (0.5 + 1 / 6))
        mixed = np.zeros(SIZES)
        mixed[0, :2], mixed[1] = 2.0, 1.0  # 8 hits, and 12 places for 0 of 20
        assert dice(mixed, truth) == pytest.approx(8 / 20)

    def test_takes_what_methods_find(self):
        maps, truth = random_maps(), random_maps(seed=1) > 0.8
        channels = np.stack([maps, maps], axis=-1)
        wanted = dice(maps, truth)
        np.testing.assert_allclose(dice(Attribution(channels, np.ones(3)), truth), wanted)
        np.testing.assert_allclose(dice(PositionAttribution(channels, np.ones(3)), truth), wanted)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"maps": np.ones((5, 4))}, ValueError, r"\(samples, X, Y, Z\).*\(5, 4\)"),
            ({"maps": np.full(SIZES, np.nan)}, ValueError, "`maps` must be finite"),
            ({"truths": np.ones(SIZES)}, TypeError, "`truths` must be boolean.*float64"),
            ({"truths": np.ones((2, 2, 2), bool)}, ValueError, r"`truths`.*\(2, 2, 2\)"),
            ({"truths": ~half(), "within": half()}, ValueError, "inside the region` is empty"),
            ({"within": np.zeros(SIZES, bool)}, ValueError, "`within` is empty"),
            ({"share": 1.0}, ValueError, r"`share`.*\(0, 1\).*1.0"),
            ({"maps": half(), "share": 0.5}, ValueError, "Boolean maps.*0.5"),
        ],
    )
    def test_what_makes_no_sense(self, options, error, message):
        given = {"maps": random_maps(1)[0], "truths": half(), **options}
        with pytest.raises(error, match=message):
            dice(given.pop("maps"), given.pop("truths"), **given)


class TestFoldStability:
    def test_by_scipy_and_by_hand(self):
        folds = {name: random_maps(seed=seed) for seed, name in enumerate("abc")}
        folds["b"] = folds["a"] + 0.3 * folds["b"]
        inside = half()
        table = fold_stability(folds, inside, share=0.2).set_index(["first", "second"])
        assert list(table.index) == [("a", "b"), ("a", "c"), ("b", "c")]
        assert (table["samples"] == 3).all()
        for pair, row in table.iterrows():
            ranks, overlaps = [], []
            for one, other in zip(*(folds[name][:, inside] for name in pair), strict=True):
                ranks.append(spearmanr(one, other).statistic)
                tops = [set(np.argsort(values)[-12:]) for values in (one, other)]
                overlaps.append(len(tops[0] & tops[1]) / 12)
            assert row["spearman"] == pytest.approx(np.mean(ranks))
            assert row["dice"] == pytest.approx(np.mean(overlaps))
        assert table.loc[("a", "b"), "spearman"] > 0.8

    def test_without_signs_and_without_constant_maps(self):
        maps = random_maps()
        maps[0] = 0
        found = fold_stability([maps, -maps], absolute=True).iloc[0]
        assert (found["spearman"], found["dice"], found["samples"]) == (1, 1, 2)
        assert fold_stability([maps, -maps]).iloc[0]["spearman"] == -1
        none = fold_stability([maps[:1], maps[1:2]]).iloc[0]
        assert np.isnan(none["spearman"]) and none["samples"] == 0

    @pytest.mark.parametrize(
        ("folds", "message"),
        [
            ([random_maps()], "at least two folds.*1"),
            ({"a": random_maps(2), "b": random_maps()}, r"same samples.*'a': \(2, 6, 5, 4\)"),
            ({"a": np.ones((2, 2)), "b": random_maps()}, r"maps of fold 'a'.*\(2, 2\)"),
        ],
    )
    def test_what_makes_no_sense(self, folds, message):
        with pytest.raises(ValueError, match=message):
            fold_stability(folds)


@pytest.fixture(scope="module")
def classifier():
    """Class 1 where one plane of voxels is bright; all others do not count."""
    model = keras.Sequential([keras.Input((*SIZES, 1)), L.Flatten(), L.Dense(2)])
    weights = np.zeros((*SIZES, 2), np.float32)
    weights[1, :, :, 1] = 1
    model.layers[-1].set_weights([weights.reshape(-1, 2), np.float32([1, 0])])
    return model


@pytest.fixture(scope="module")
def cohort():
    x = np.zeros((8, *SIZES, 1), np.float32)
    y = np.array([0, 1] * 4)
    x[y == 1, 1] = 1
    return x, y


class TestMaskedInputs:
    def test_the_rows_of_a_classifier_that_is_known(self, classifier, cohort):
        x, y = cohort
        found = np.zeros(SIZES)
        found[1] = 1
        table = masked_input_accuracy(classifier, x, y, found, share=0.34, within=half())
        accuracy = table["accuracy"]
        assert accuracy["everything"] == accuracy["whole region"] == accuracy["map"] == 1
        # Without the plane all volumes look like class 0, as filled ones do.
        assert accuracy["complement"] == accuracy["nothing"] == 0.5
        assert table["balanced"]["complement"] == 0.5
        inside = half().sum()
        wanted = np.array([120, inside, 20, inside - 20]) / 120
        np.testing.assert_allclose(table["seen"].iloc[:4], wanted)
        assert table["seen"]["random region"] == table["seen"]["map"]
        assert table["seen"]["nothing"] == 0
        interval = binomtest(4, 8).proportion_ci(method="wilson")
        assert tuple(table.loc["nothing", ["low", "high"]]) == pytest.approx(
            (interval.low, interval.high)
        )

    def test_random_regions_lie_in_the_region_in_patches_and_differ(self, classifier, cohort):
        from keras_pli.volume.explaining.masked_inputs import _random_regions

        within = np.broadcast_to(half(), (8, *SIZES))
        first, second = (_random_regions(within, 0.2, draw, 0) for draw in (0, 1))
        assert (first.sum(axis=(1, 2, 3)) == 12).all()
        assert not (first & ~within).any()
        assert (first != second).any(axis=(1, 2, 3)).all()
        np.testing.assert_array_equal(first, _random_regions(within, 0.2, 0, 0))
        cube = np.ones((1, 20, 20, 20), bool)
        (patch,) = _random_regions(cube, 0.1, 0, 0)
        assert np.mean(patch[1:] == patch[:-1]) > 0.95  # 0.82 for voxels drawn one by one

    @pytest.mark.parametrize("fill", [2.0, "mean", "blur"])
    def test_what_is_not_seen_is_filled(self, classifier, cohort, fill):
        from scipy.ndimage import gaussian_filter

        from keras_pli.volume.explaining.masked_inputs import _filled

        x = np.random.default_rng(0).normal(size=(2, *SIZES, 2)).astype(np.float32)
        found = _filled(x, np.broadcast_to(half(), (2, *SIZES)), fill)
        for one, shown in zip(x, found, strict=True):
            for channel in range(2):
                values = one[..., channel].astype(float)
                wanted = {
                    2.0: 2.0,
                    "mean": values[:3].mean(),
                    "blur": gaussian_filter(values, [s / 8 for s in SIZES], mode="nearest"),
                }[fill]
                np.testing.assert_allclose(shown[..., channel], wanted + 0 * values, atol=1e-5)

    def test_signs_count_unless_told(self, classifier, cohort):
        x, y = cohort
        found = np.ones(SIZES)
        found[1] = -2
        tables = [
            masked_input_accuracy(classifier, x, y, found, share=1 / 6, absolute=absolute)
            for absolute in (False, True)
        ]
        assert [table["accuracy"]["map"] for table in tables] == [0.5, 1]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"y": np.arange(8)}, "classes of the model.*0 to 1.*from 0 to 7"),
            ({"y": np.zeros(8)}, "whole numbers.*float64"),
            ({"y": np.zeros(3, int)}, r"each of the 8 samples.*\(3,\)"),
            ({"maps": np.ones((2, *SIZES))}, r"\(8, 6, 5, 4\), or \(6, 5, 4\).*\(2, 6, 5, 4\)"),
            ({"fill": "black"}, "`fill` must be one of 'mean', 'blur'"),
            ({"draws": 0}, "`draws`"),
            ({"share": 0}, "`share`"),
            ({"within": np.zeros(SIZES, bool)}, "`within` is empty"),
        ],
    )
    def test_what_makes_no_sense(self, classifier, cohort, change, message):
        given = {"x": cohort[0], "y": cohort[1], "maps": np.ones(SIZES), **change}
        with pytest.raises(ValueError, match=message):
            masked_input_accuracy(classifier, **given)
