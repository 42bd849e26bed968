"""Meaningful perturbation in a region: the brain of a volume, or any other part of an input."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from test_deletion import enlarged_by_hand, masks_of
from toy_networks import AXES, SHAPES, flat_network, reference, samples

from keras_pli.attribution import MeaningfulPerturbation
from keras_pli.attribution.deletion import (
    Deletion,
    deleted_area,
    discs_within,
    enlarging,
    moments_within,
    roughness,
)

LAYERS = keras.layers
SIZES = (8, 9, 7)
GRIDS = {1: (5,), 2: (4, 8), 3: (3, 5, 2)}


def regions_of(axes, count=5):
    """Others for each sample, none empty."""
    found = np.random.default_rng(3).uniform(size=(count, *SHAPES[axes][:-1])) < 0.4
    found[(slice(None), *[2] * axes)] = True
    return found


def deletion(axes, region):
    shown = tf.constant(samples(axes, seed=9))
    matrices = enlarging(GRIDS[axes], SHAPES[axes][:-1])
    return Deletion(
        tf.constant(samples(axes)), shown, matrices, (0,) * axes, 0, tf.constant(region)
    )


def brains(count=3):
    """Two boxes of bright voxels in zeros, the second of which decides."""
    x = np.zeros((count, *SIZES, 1), np.float32)
    inside = np.zeros(SIZES, bool)
    inside[1:7, 1:8, 1:6] = True
    x[:, inside] = np.random.default_rng(0).uniform(0.5, 1.5, size=(count, inside.sum(), 1))
    return x, inside


@pytest.fixture(scope="module")
def model():
    """The probability depends on the mean of one corner of the box, and as much on the background."""
    weights = np.zeros(SIZES, np.float32)
    weights[4:7, 5:8, 3:6] = 10 / 27
    weights[0] = 10 / weights[0].size
    network = keras.Sequential(
        [keras.Input((*SIZES, 1)), LAYERS.Flatten(), LAYERS.Dense(1, activation="sigmoid")]
    )
    network.layers[-1].set_weights([weights.reshape(-1, 1), np.float32([-5])])
    return network


class TestDeletionWithin:
    @pytest.mark.parametrize("axes", AXES)
    def test_nothing_is_deleted_outside(self, axes):
        region, masks = regions_of(axes), masks_of(axes)
        own = deletion(axes, region)
        by_hand = np.stack([enlarged_by_hand(mask, SHAPES[axes][:-1]) for mask in masks])
        share = np.where(region, by_hand, 1)
        np.testing.assert_allclose(own.enlarged(tf.constant(masks)), share, atol=1e-5)
        x, shown = samples(axes), samples(axes, seed=9)
        wanted = share[..., None] * x + (1 - share[..., None]) * shown
        np.testing.assert_allclose(own.perturbed(tf.constant(masks), 0), wanted, atol=1e-5)
        versions = own.versions(tf.constant(np.stack([masks[::-1], masks]))).numpy()
        np.testing.assert_allclose(versions[1], wanted, atol=1e-5)
        one = np.where(region, by_hand[2], 1)[..., None]
        alike = own.versions(tf.constant(masks[2:3])).numpy()[0]
        np.testing.assert_allclose(alike, one * x + (1 - one) * shown, atol=1e-5)

    @pytest.mark.parametrize("axes", AXES)
    def test_the_area_is_the_mean_over_the_region(self, axes):
        region, masks = regions_of(axes), masks_of(axes)
        weights = deletion(axes, region).cell_weights()
        found = deleted_area(tf.constant(masks), weights)
        for mask, inside, area in zip(masks, region, found, strict=True):
            deleted = 1 - enlarged_by_hand(mask, SHAPES[axes][:-1])
            assert float(area) == pytest.approx(deleted[inside].mean(), abs=1e-5)
        np.testing.assert_allclose(
            tf.reduce_sum(weights, axis=range(1, axes + 1)), np.ones(5), atol=1e-5
        )

    def test_an_empty_region_has_no_area(self):
        own = deletion(2, np.zeros((5, 9, 8), bool))
        assert not own.cell_weights().numpy().any()
        assert not deleted_area(tf.constant(masks_of(2)), own.cell_weights()).numpy().any()

    @pytest.mark.parametrize("axes", AXES)
    def test_roughness_counts_pairs_of_cells_that_count(self, axes):
        masks = masks_of(axes)
        cells = np.random.default_rng(5).uniform(size=masks.shape) < 0.7
        found = roughness(tf.constant(masks), 2.0, tf.constant(cells))
        for mask, own, rough in zip(masks, cells, found, strict=True):
            wanted = 0.0
            for axis in range(axes):
                lines = np.moveaxis(mask, axis, -1).reshape(-1, mask.shape[axis])
                counts = np.moveaxis(own, axis, -1).reshape(lines.shape)
                pairs = sum(
                    (line[i + 1] - line[i]) ** 2
                    for line, count in zip(lines, counts, strict=True)
                    for i in range(len(line) - 1)
                    if count[i] and count[i + 1]
                )
                wanted += pairs / counts.any(axis=1).sum()
            assert float(rough) == pytest.approx(wanted, abs=1e-5)
        everything = tf.ones(masks.shape, tf.bool)
        np.testing.assert_allclose(
            roughness(tf.constant(masks), 3.0, everything), roughness(tf.constant(masks), 3.0)
        )

    @pytest.mark.parametrize("axes", AXES)
    def test_moments_of_the_region(self, axes):
        x, region = samples(axes), regions_of(axes)
        mean, variance = moments_within(tf.constant(x), tf.constant(region))
        for index, inside in enumerate(region):
            flat = (index, *[0] * axes)
            np.testing.assert_allclose(mean[flat], x[index][inside].mean(axis=0), atol=1e-5)
            np.testing.assert_allclose(variance[flat], x[index][inside].var(axis=0), atol=1e-5)

    def test_discs_grow_about_the_middle_of_the_region(self):
        weights = np.zeros((2, 9, 10, 8), np.float32)
        weights[0, 1:4, 2:9, 5:8] = 1
        weights[1] = 1
        discs = discs_within(tf.constant(weights), 6).numpy()
        assert discs.shape == (6, 2, 9, 10, 8)
        assert not discs[-1].any()  # everything is deleted
        assert (np.diff(discs, axis=0) <= 0).all()
        limits = np.linspace(0, np.sqrt(3), 7)[1:-1]
        for number, limit in enumerate(limits):
            for place in np.ndindex(9, 10, 8):
                off = [
                    (p - m) / h for p, m, h in zip(place, (2, 5, 6), (1.5, 3.5, 1.5), strict=True)
                ]
                if abs(np.linalg.norm(off) - limit) > 1e-6:
                    assert discs[number, 0][place] == (np.linalg.norm(off) > limit)


class TestWithin:
    def test_the_background_stays_and_the_rest_is_found(self, model):
        x, inside = brains()
        method = MeaningfulPerturbation(
            model, grid=SIZES, replacement="constant", within=lambda x: x[..., 0] != 0
        )
        found = method(x, 1, baseline=0.0)
        maps = found.attributions[..., 0]
        assert (maps[:, ~inside] == 0).all()
        decisive = maps[:, 4:7, 5:8, 3:6].mean()
        rest = maps[:, inside].mean()
        assert decisive > 0.5
        assert decisive > 3 * rest
        np.testing.assert_allclose(found.details["area"], maps[:, inside].mean(axis=1), atol=1e-5)
        share = 1 - found.attributions
        deleted = model.predict(share * x, verbose=0)[:, 0]
        np.testing.assert_allclose(found.details["deleted_score"], deleted, atol=1e-5)

    @pytest.mark.slow
    def test_functions_and_arrays_say_the_same_in_any_batch(self, model):
        x, _ = brains(5)
        x[3:, :, :3] = 0
        each = x[..., 0] != 0
        options = {"steps": 12, "replacement": "noise", "patience": 12}
        by_function = MeaningfulPerturbation(model, within=lambda x: x[..., 0] != 0, **options)
        by_array = MeaningfulPerturbation(model, within=each, batch_size=2, **options)
        expected = by_function(x, 1)
        assert (expected.attributions[each] > 0).any()
        np.testing.assert_allclose(by_array(x, 1).attributions, expected.attributions, atol=1e-4)
        alone = np.concatenate([by_function(one[None], 1).attributions for one in x])
        np.testing.assert_allclose(alone, expected.attributions, atol=1e-4)

    @pytest.mark.slow
    def test_starts_from_the_smallest_disc_of_each_region(self):
        network, x = flat_network(2, squash=None), samples(2, 4)
        region = np.zeros((4, 9, 8), bool)
        region[:2, :4, :4], region[2:, 3:, 2:7] = True, True
        method = MeaningfulPerturbation(
            network, replacement="constant", within=region, steps=1, learning_rate=0.0, jitter=0
        )
        masks = method(x, 1, baseline=0.0).details["mask"]
        matrices = enlarging((5, 4), (9, 8))
        own = Deletion(tf.constant(x), tf.zeros_like(x), matrices, (0, 0), 0, tf.constant(region))
        weights = own.cell_weights()
        discs = discs_within(weights, 16)
        versions = own.versions(discs).numpy()

        def probabilities(inputs):
            logits = reference(network, inputs)
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            return powers[:, 1] / powers.sum(axis=1)

        scores, whole = np.stack([probabilities(one) for one in versions]), probabilities(x)
        for index, mask in enumerate(masks):
            goal = scores[-1, index] + 0.01 * (whole[index] - scores[-1, index])
            first = next(k for k, value in enumerate(scores[:, index]) if value <= goal + 1e-7)
            wanted = np.where(weights[index] > 0, discs[first, index], 1)
            np.testing.assert_array_equal(mask, wanted)

    @pytest.mark.slow
    def test_of_an_empty_region_nothing_is_deleted(self, model):
        x, _ = brains(2)
        x[1] = 0
        method = MeaningfulPerturbation(model, steps=3, within=lambda x: x[..., 0] != 0)
        found = method(x, 1)
        assert not found.attributions[1].any()
        assert found.details["area"][1] == 0
        assert found.details["deleted_score"][1] == pytest.approx(found.scores[1])
        assert np.isfinite(found.attributions).all()

    def test_the_blur_is_a_gaussian_whose_border_is_continued(self, model):
        """Also of a volume whose brain is cut by the border, and along axes of different lengths."""
        x, inside = brains(1)
        x[:, -1] = x[:, 1]
        method = MeaningfulPerturbation(model, within=inside, sigma=2.0, jitter=0)
        shown = method._deletion(tf.constant(x), None).replaced.numpy()[0, ..., 0]
        wanted = ndimage.gaussian_filter(x[0, ..., 0].astype(float), 2.0, mode="nearest")
        np.testing.assert_allclose(shown, wanted, atol=1e-6)

    def test_the_constant_is_the_mean_of_the_region(self, model):
        x, inside = brains(2)
        method = MeaningfulPerturbation(model, replacement="constant", within=inside)
        shown = method._deletion(tf.constant(x), None).replaced.numpy()
        for one, constant in zip(x, shown, strict=True):
            np.testing.assert_allclose(constant, one[inside].mean(), atol=1e-5)

    @pytest.mark.parametrize("within", ["array", "function"])
    @pytest.mark.slow
    def test_is_exported(self, model, within, tmp_path):
        x, inside = brains(2)
        given = inside if within == "array" else (lambda x: x[..., 0] != 0)
        method = MeaningfulPerturbation(model, steps=3, within=given)
        module = tf.Module()
        module.model, module.explain = model, method.traced(x, target="given")
        tf.saved_model.save(module, str(tmp_path), signatures=None)
        found = tf.saved_model.load(str(tmp_path)).explain(tf.constant(x), tf.fill((2,), 1))
        np.testing.assert_allclose(found[0], method(x, 1).attributions, atol=1e-5)

    def test_regions_of_samples_are_not_exported(self, model):
        x, inside = brains(2)
        method = MeaningfulPerturbation(model, steps=3, within=np.stack([inside, inside]))
        with pytest.raises(ValueError, match=r"each sample of a call.*not exported.*\(8, 9, 7\)"):
            method.traced(x)

    def test_settings_tell_regions_apart(self, model):
        _, inside = brains(1)
        first, second = (
            repr(MeaningfulPerturbation(model, within=region)) for region in (inside, ~inside)
        )
        assert first != second
        assert "within=array(8, 9, 7)#" in first

    @pytest.mark.parametrize(
        ("within", "error", "message"),
        [
            (np.ones(SIZES), TypeError, "`within` must be booleans.*float64"),
            (np.ones((3, 3), bool), ValueError, r"\(8, 9, 7\), or \(2, 8, 9, 7\).*\(3, 3\)"),
            (np.ones((3, *SIZES), bool), ValueError, r"\(2, 8, 9, 7\).*\(3, 8, 9, 7\)"),
            (np.zeros(SIZES, bool), ValueError, "`within` is empty: nothing"),
            (np.arange(2)[:, None, None, None] < np.ones(SIZES), ValueError, "samples 1"),
            (lambda x: x[..., 0], TypeError, r"\(batch, 8, 9, 7\).*float32"),
            (lambda x: x != 0, ValueError, r"\(batch, 8, 9, 7\).*\(None, 8, 9, 7, 1\)"),
        ],
    )
    def test_regions_that_do_not_fit(self, model, within, error, message):
        with pytest.raises(error, match=message):
            MeaningfulPerturbation(model, within=within)(brains(2)[0], 1)
