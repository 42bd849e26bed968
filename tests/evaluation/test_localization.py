import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from sklearn.metrics import average_precision_score, jaccard_score
from slow_cases import by_default, slow

from keras_pli import evaluation
from keras_pli.evaluation import (
    average_precision,
    iou,
    localization,
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)

MEASURES = {
    "pointing_game": pointing_game,
    "relevance_mass_accuracy": relevance_mass_accuracy,
    "relevance_rank_accuracy": relevance_rank_accuracy,
    "iou": iou,
    "average_precision": average_precision,
}
SHAPES = {1: (40,), 2: (9, 7), 3: (5, 6, 4)}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def blocks(dimensions, samples=6, seed=0):
    """Boxes of different sizes at random places."""
    random = np.random.default_rng(seed)
    masks = np.zeros((samples, *SHAPES[dimensions]), dtype=bool)
    for mask in masks:
        length = random.integers(1, 4, size=dimensions)
        corner = [random.integers(n - k + 1) for n, k in zip(mask.shape, length, strict=True)]
        mask[tuple(slice(c, c + k) for c, k in zip(corner, length, strict=True))] = True
    return masks


@pytest.fixture(params=[1, 2, 3], ids=["1-D", "2-D", "3-D"])
def batch(request):
    """Maps of both signs without ties, higher on the objects, and masks."""
    masks = blocks(request.param)
    noise = np.random.default_rng(5).normal(size=masks.shape)
    return (noise + masks).astype(np.float32), masks


class TestAgainstSlowDerivations:
    @pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3])
    def test_pointing_game(self, batch, tolerance):
        maps, masks = batch
        expected = []
        for found, mask in zip(maps, masks, strict=True):
            place = np.array(np.unravel_index(found.argmax(), found.shape))
            nearest = np.linalg.norm(np.argwhere(mask) - place, axis=1).min()
            expected.append(nearest <= tolerance)
        np.testing.assert_array_equal(pointing_game(maps, masks, tolerance=tolerance), expected)

    def test_pointing_game_sees_hits_and_misses(self):
        maps = np.zeros((2, 5, 5))
        maps[0, 1, 1] = maps[1, 4, 4] = 1
        masks = np.zeros((2, 5, 5), dtype=bool)
        masks[:, 1, 1] = True
        np.testing.assert_array_equal(pointing_game(maps, masks), [1, 0])
        # The far corner lies 3 pixels off along each axis: 4.24 by Euclid, 3 by the larger axis.
        np.testing.assert_array_equal(pointing_game(maps, masks, tolerance=4.2), [1, 0])
        np.testing.assert_array_equal(pointing_game(maps, masks, tolerance=4.3), [1, 1])

    def test_mass(self, batch):
        maps, masks = batch
        expected = [
            sum(max(v, 0) for v in found[mask]) / sum(max(v, 0) for v in found.ravel())
            for found, mask in zip(maps.astype(float), masks, strict=True)
        ]
        np.testing.assert_allclose(relevance_mass_accuracy(maps, masks), expected, rtol=1e-6)

    def test_rank(self, batch):
        maps, masks = batch
        expected = []
        for found, mask in zip(maps, masks, strict=True):
            highest = set(np.argsort(found.ravel())[::-1][: mask.sum()])
            expected.append(len(highest & set(np.flatnonzero(mask))) / mask.sum())
        np.testing.assert_allclose(relevance_rank_accuracy(maps, masks), expected, rtol=1e-12)

    def test_iou(self, batch):
        maps, masks = batch
        expected = []
        for found, mask in zip(maps, masks, strict=True):
            marked = np.zeros(found.size, dtype=bool)
            marked[np.argsort(found.ravel())[::-1][: mask.sum()]] = True
            expected.append(jaccard_score(mask.ravel(), marked))
        np.testing.assert_allclose(iou(maps, masks), expected, rtol=1e-9)

    @pytest.mark.parametrize("threshold", [0.2, 0.5, 1.0])
    def test_iou_above_a_threshold(self, batch, threshold):
        maps, masks = batch
        expected = [
            jaccard_score(mask.ravel(), (found >= threshold * found.max()).ravel())
            for found, mask in zip(maps.astype(float), masks, strict=True)
        ]
        found = iou(maps, masks, threshold=threshold)
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_average_precision(self, batch):
        maps, masks = batch
        expected = [
            average_precision_score(mask.ravel(), found.ravel())
            for found, mask in zip(maps, masks, strict=True)
        ]
        np.testing.assert_allclose(average_precision(maps, masks), expected, rtol=1e-9)


class TestClosedForms:
    @every_measure
    def test_perfect_and_opposite_maps(self, batch, measure):
        _, masks = batch
        np.testing.assert_allclose(measure(masks.astype(float), masks), 1)
        opposite = measure(1 - masks.astype(float), masks)
        if measure is average_precision:
            assert (opposite < 0.2).all()
        else:
            np.testing.assert_array_equal(opposite, 0)

    @every_measure
    @pytest.mark.parametrize("value", [0.0, 2.0, -3.0])
    def test_constant_map_gets_the_share_of_the_object(self, batch, measure, value):
        _, masks = batch
        share = masks.reshape(len(masks), -1).mean(axis=1)
        found = measure(np.full(masks.shape, value), masks)
        if measure is iou:
            assert (found > 0).all()
            np.testing.assert_array_less(found, share + 1e-12)
        else:
            np.testing.assert_allclose(found, share)

    @every_measure
    def test_channels_are_summed(self, batch, measure):
        maps, masks = batch
        parts = np.random.default_rng(1).normal(size=(*maps.shape, 3)).astype(np.float32)
        parts[..., 2] = maps - parts[..., :2].sum(axis=-1)
        np.testing.assert_allclose(measure(parts, masks), measure(maps, masks), rtol=1e-4)
        np.testing.assert_array_equal(measure(maps[..., None], masks), measure(maps, masks))

    @every_measure
    def test_one_by_one(self, batch, measure):
        maps, masks = batch
        whole = measure(maps, masks)
        single = [measure(maps[i : i + 1], masks[i : i + 1])[0] for i in range(len(maps))]
        np.testing.assert_array_equal(whole, single)
        assert whole.shape == (len(maps),)
        assert whole.dtype == np.float64

    @every_measure
    def test_scale_does_not_matter(self, batch, measure):
        maps, masks = batch
        np.testing.assert_allclose(measure(8 * maps, masks), measure(maps, masks))

    def test_negative_relevance_carries_no_mass(self):
        masks = np.array([[True, False, False]])
        assert relevance_mass_accuracy([[1.0, 3.0, -50.0]], masks) == 0.25
        assert relevance_mass_accuracy([[-9.0, 3.0, -1.0]], masks) == 0

    def test_no_position_is_marked_where_none_is_positive(self):
        masks = np.array([[True, False, False]])
        for highest in (0.0, -1.0):
            assert iou([[highest, -2.0, -3.0]], masks, threshold=0.5) == 0


class TestTies:
    """What a tie gets is the average over breaking it at random."""

    maps = np.array([[5, 2, 2, 2, 2, 2, 1, 1, 0, 0, 7, 7]], dtype=float)
    masks = np.array([[1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0]], dtype=bool)

    @pytest.mark.parametrize("measure", [relevance_rank_accuracy, slow(iou)])
    def test_ties_are_broken_in_expectation(self, measure):
        noise = np.random.default_rng(2).uniform(0, 0.5, size=(5000, 12))
        broken = measure(self.maps + noise, np.repeat(self.masks, 5000, axis=0))
        assert broken.std() > 0.05
        assert measure(self.maps, self.masks)[0] == pytest.approx(broken.mean(), abs=6e-3)

    def test_tied_maxima(self):
        # Two maxima, one of them on the object.
        assert pointing_game(self.maps, self.masks) == 0.5

    @pytest.mark.parametrize("measure", [pointing_game, relevance_rank_accuracy, iou])
    def test_order_in_memory_does_not_matter(self, measure):
        turned = measure(self.maps[:, ::-1], self.masks[:, ::-1])
        np.testing.assert_allclose(turned, measure(self.maps, self.masks), rtol=1e-12)


class TestTable:
    @pytest.fixture
    def masks(self):
        masks = np.zeros((5, 12, 10), dtype=bool)
        for i, mask in enumerate(masks):
            mask[2 + i : 5 + i, 1 + i : 5 + i] = True
        return masks

    @pytest.fixture
    def images(self, masks):
        return np.random.default_rng(3).normal(size=(*masks.shape, 2)) + 2 * masks[..., None]

    def test_rows_columns_and_intervals(self, masks, images):
        maps = np.random.default_rng(4).normal(size=masks.shape) + masks
        table = localization({"ours": maps}, masks, images=images)
        assert list(table.index) == ["ours", "chance", "edge map", "centred blob"]
        assert list(table.columns.get_level_values("measure").unique()) == list(MEASURES)
        for name, measure in MEASURES.items():
            scores = measure(maps.astype(np.float32), masks)
            low, high = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
            row = table.loc["ours", name]
            np.testing.assert_allclose(
                row[["mean", "low", "high"]], [scores.mean(), low, high], rtol=1e-6
            )

    def test_no_edge_map_without_images(self, masks):
        assert list(localization({"ours": masks * 1.0}, masks).index) == [
            "ours",
            "chance",
            "centred blob",
        ]

    @pytest.mark.parametrize("dimensions", by_default(2, of=(1, 2, 3)))
    @pytest.mark.parametrize("tolerance", by_default(1, of=(0, 1)))
    def test_chance_is_what_random_maps_get(self, dimensions, tolerance):
        masks = blocks(dimensions, samples=1, seed=8)
        table = localization({"x": masks * 1.0}, masks, tolerance=tolerance)
        chance = table.xs("mean", axis=1, level="statistic").loc["chance"]
        draws = 2000
        maps = np.random.default_rng(6).normal(size=(draws, *masks.shape[1:]))
        many = np.repeat(masks, draws, axis=0)
        for name, measure in MEASURES.items():
            options = {"tolerance": tolerance} if measure is pointing_game else {}
            few = 500 if measure is average_precision else draws  # scikit-learn takes its time
            scores = measure(maps[:few], many[:few], **options)
            error = scores.std() / np.sqrt(few)
            assert abs(chance[name] - scores.mean()) < 4 * error, name

    def test_edge_map_is_the_sobel_magnitude(self, masks, images):
        edges = np.zeros(masks.shape)
        for i in range(len(masks)):
            for channel in range(2):
                image = images[i, ..., channel].astype(np.float32)
                edges[i] += np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1))
        table = localization({"by hand": edges}, masks, images=images)
        np.testing.assert_allclose(table.loc["edge map"], table.loc["by hand"], rtol=1e-5)

    def test_edges_of_a_volume(self):
        masks = blocks(3)
        volumes = np.random.default_rng(9).normal(size=masks.shape).astype(np.float32)
        edges = [
            np.sqrt(sum(ndimage.sobel(volume, axis) ** 2 for axis in range(3)))
            for volume in volumes
        ]
        table = localization({"by hand": np.stack(edges)}, masks, images=volumes)
        np.testing.assert_allclose(table.loc["edge map"], table.loc["by hand"], rtol=1e-5)

    def test_blob_lies_in_the_centre(self):
        def blob(start, stop):
            mask = np.zeros((1, 200), dtype=bool)
            mask[0, start:stop] = True
            return (
                localization({"x": mask * 1.0}, mask)
                .xs("mean", axis=1, level=1)
                .loc["centred blob"]
            )

        assert blob(100, 101)["pointing_game"] == 0.5  # one of two middle positions
        middle = blob(50, 150)
        assert middle["relevance_rank_accuracy"] == 1
        # The axis is four standard deviations long, the object two.
        expected = (stats.norm.cdf(1) - 0.5) / (stats.norm.cdf(2) - 0.5)
        assert middle["relevance_mass_accuracy"] == pytest.approx(expected, abs=1e-4)

    def test_blob_lies_in_the_centre_of_every_axis(self, masks):
        centred = np.zeros((1, 12, 10), dtype=bool)
        centred[0, 4:8, 4:6] = True
        beside = np.roll(centred, 3, axis=1)
        blob = localization({"x": centred * 1.0}, centred).loc["centred blob"]
        assert blob["pointing_game", "mean"] == 1
        # Widths follow the axes' lengths, so that four rows and two columns are nearest to the centre of
        # 12 × 10; were they equal, two rows and four columns would be as near.
        assert blob["relevance_rank_accuracy", "mean"] == 1
        blob = localization({"x": beside * 1.0}, beside).loc["centred blob"]
        assert blob["pointing_game", "mean"] == 0

    def test_absolute(self, masks):
        maps = np.where(masks, -3.0, 1.0)
        signed = localization({"x": maps}, masks).loc["x"]
        unsigned = localization({"x": maps}, masks, absolute=True).loc["x"]
        assert signed["pointing_game", "mean"] == 0
        assert unsigned["pointing_game", "mean"] == 1
        noise = np.random.default_rng(0).normal(size=masks.shape)
        table = localization({"x": noise}, masks, absolute=True)
        expected = localization({"x": abs(noise)}, masks)
        pd.testing.assert_frame_equal(table, expected)
        # Channels are summed before the sign is dropped: opposite ones cancel.
        pair = np.stack([maps, -maps], axis=-1)
        cancelled = localization({"x": pair}, masks, absolute=True)["iou"]
        np.testing.assert_allclose(cancelled.loc["x"], cancelled.loc["chance"])

    def test_one_sample_has_no_interval(self, masks):
        table = localization({"x": masks[:1] * 1.0}, masks[:1])
        assert table.xs("low", axis=1, level="statistic").isna().all(axis=None)
        assert isinstance(table, pd.DataFrame)


class TestErrors:
    masks = np.array([[True, False, False, False]] * 3)
    maps = np.arange(12.0).reshape(3, 4)

    @every_measure
    def test_masks(self, measure):
        empty, full = self.masks.copy(), self.masks.copy()
        empty[1], full[[0, 2]] = False, True
        with pytest.raises(ValueError, match="mask that is empty: `masks` 1"):
            measure(self.maps, empty)
        with pytest.raises(ValueError, match="mask that is full: `masks` 0, 2"):
            measure(self.maps, full)
        with pytest.raises(TypeError, match=r"must be boolean\. Received dtype float64"):
            measure(self.maps, self.masks.astype(float))
        with pytest.raises(ValueError, match=r"samples, \*spatial.*\(4,\)"):
            measure(self.maps[0], self.masks[0])
        with pytest.raises(ValueError, match=r"samples, \*spatial.*\(0, 4\)"):
            measure(self.maps[:0], self.masks[:0])

    @every_measure
    @pytest.mark.parametrize("shape", [(3, 5), (2, 4), (3, 4, 2, 1), (3, 4, 0), (3, 2, 2), (12, 1)])
    def test_shapes(self, measure, shape):
        with pytest.raises(ValueError, match=r"`attributions`.*\(3, 4\).*Received shape \("):
            measure(np.zeros(shape), self.masks)

    @every_measure
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, measure, value):
        maps = self.maps.copy()
        maps[2, 1] = value
        with pytest.raises(ValueError, match=r"`attributions` must be finite.*rows 2"):
            measure(maps, self.masks)

    @pytest.mark.parametrize("tolerance", [-1, np.nan])
    def test_tolerance(self, tolerance):
        with pytest.raises(ValueError, match=f"`tolerance`.*Received: {tolerance}"):
            pointing_game(self.maps, self.masks, tolerance=tolerance)

    @pytest.mark.parametrize("threshold", [0, -0.5, 1.5, np.nan])
    def test_threshold(self, threshold):
        with pytest.raises(ValueError, match=f"`threshold`.*Received: {threshold}"):
            iou(self.maps, self.masks, threshold=threshold)

    def test_table(self):
        with pytest.raises(ValueError, match="at least one method"):
            localization({}, self.masks)
        with pytest.raises(ValueError, match="'chance' stand beside"):
            localization({"chance": self.maps}, self.masks)
        with pytest.raises(ValueError, match=r"`attributions\['b'\]`.*\(3, 5\)"):
            localization({"a": self.maps, "b": np.zeros((3, 5))}, self.masks)
        with pytest.raises(ValueError, match=r"`attributions\['b'\]` must be finite"):
            localization({"a": self.maps, "b": self.maps * np.nan}, self.masks)
        with pytest.raises(ValueError, match=r"`images`.*\(3, 4\).*\(3, 7\)"):
            localization({"a": self.maps}, self.masks, images=np.zeros((3, 7)))
        with pytest.raises(ValueError, match="`tolerance`"):
            localization({"a": self.maps}, self.masks, tolerance=-2)


def test_public_names():
    assert set(MEASURES) <= set(evaluation.__all__)
