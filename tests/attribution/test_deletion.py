from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from slow_cases import by_default
from toy_networks import AXES, SHAPES, samples

from keras_pli.attribution.deletion import (
    Deletion,
    along_axes,
    blurred,
    circles,
    deleted_area,
    enlarging,
    roughness,
)

GRIDS = {1: (5,), 2: (4, 8), 3: (3, 5, 2)}


def enlarged_by_hand(mask, sizes):
    """Linear interpolation between the centres of cells, then a Gaussian of 5/8 of a cell."""
    for axis, (cells, size) in enumerate(zip(mask.shape, sizes, strict=True)):
        at = (np.arange(size) + 0.5) * cells / size - 0.5
        mask = np.apply_along_axis(
            lambda row, at=at: np.interp(at, range(len(row)), row), axis, mask
        )
        if cells < size:
            mask = ndimage.gaussian_filter1d(mask, 0.625 * size / cells, axis, mode="nearest")
    return mask


def deletion(axes, *, replaced=True, jitter=0, seed=0, count=5):
    shown = tf.constant(samples(axes, count, seed=9)) if replaced else None
    matrices = enlarging(GRIDS[axes], SHAPES[axes][:-1])
    return Deletion(tf.constant(samples(axes, count)), shown, matrices, (jitter,) * axes, seed)


def masks_of(axes, count=5):
    return np.random.default_rng(1).uniform(size=(count, *GRIDS[axes])).astype(np.float32)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_blurred_equals_scipy(axes, sigma):
    x = samples(axes)
    sigmas = [sigma * (1 + axis) for axis in range(axes)]
    wanted = ndimage.gaussian_filter(x, (0, *sigmas, 0), mode="nearest")
    np.testing.assert_allclose(blurred(tf.constant(x), sigmas), wanted, atol=1e-5)


def test_blurred_by_nothing():
    x = samples(2)
    np.testing.assert_allclose(blurred(tf.constant(x), [0, 0]), x, atol=1e-6)


def test_each_axis_is_multiplied_with_its_matrix():
    random = np.random.default_rng(0)
    values, first, second = (random.normal(size=s) for s in ((2, 3, 4, 5), (4, 6), (5, 7)))
    found = along_axes(tf.constant(values), [tf.constant(first), tf.constant(second)], first=2)
    np.testing.assert_allclose(found, np.einsum("abcd,ce,df->abef", values, first, second))


@pytest.mark.parametrize("axes", AXES)
def test_masks_are_enlarged_linearly_and_smoothed(axes):
    masks = masks_of(axes)
    found = deletion(axes).enlarged(tf.constant(masks)).numpy()
    wanted = [enlarged_by_hand(mask, SHAPES[axes][:-1]) for mask in masks]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    for level in (0.0, 1.0):
        flat = deletion(axes).enlarged(tf.fill(masks.shape, level))
        np.testing.assert_allclose(flat, level, atol=1e-6)


def test_a_mask_as_fine_as_the_input_stays_as_it_is():
    own = Deletion(tf.constant(samples(2)), None, enlarging((9, 8), (9, 8)), (0, 0), 0)
    masks = np.random.default_rng(0).uniform(size=(5, 9, 8)).astype(np.float32)
    np.testing.assert_allclose(own.enlarged(tf.constant(masks)), masks, atol=1e-6)


@pytest.mark.parametrize("axes", AXES)
def test_a_mask_blends_the_input_with_what_replaces_it(axes):
    own, masks = deletion(axes), masks_of(axes)
    share = np.stack([enlarged_by_hand(mask, SHAPES[axes][:-1]) for mask in masks])[..., None]
    wanted = share * samples(axes) + (1 - share) * samples(axes, seed=9)
    np.testing.assert_allclose(own.perturbed(tf.constant(masks), 3), wanted, atol=1e-5)
    versions = own.versions(tf.constant(masks[:2])).numpy()
    for index in range(2):
        alike = share[index] * samples(axes) + (1 - share[index]) * samples(axes, seed=9)
        np.testing.assert_allclose(versions[index], alike, atol=1e-5)


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_jitter_shifts_the_input_under_the_mask(axes):
    """And what replaces it, by each of the shifts up to two positions, over a continued border."""
    own, masks = deletion(axes, jitter=2), masks_of(axes)
    share = np.stack([enlarged_by_hand(mask, SHAPES[axes][:-1]) for mask in masks])[..., None]
    borders = [(0, 0), *[(2, 2)] * axes, (0, 0)]
    wide, wide_replaced = (
        np.pad(x, borders, mode="edge") for x in (samples(axes), samples(axes, seed=9))
    )
    met = set()
    for step in range(30):
        found = own.perturbed(tf.constant(masks), tf.constant(step)).numpy()
        fits = []
        for shift in np.ndindex((5,) * axes):
            sizes = SHAPES[axes][:-1]
            inside = tuple(slice(s, s + size) for s, size in zip(shift, sizes, strict=True))
            at = (slice(None), *inside)
            wanted = share * wide[at] + (1 - share) * wide_replaced[at]
            if np.allclose(found, wanted, atol=1e-4):
                fits.append(shift)
        assert len(fits) == 1
        met.update(enumerate(fits[0]))
    assert met == {(axis, shift) for axis in range(axes) for shift in range(5)}


def test_no_jitter_when_it_is_not_wanted():
    own, masks = deletion(2, jitter=2), tf.constant(masks_of(2))
    plain = deletion(2, jitter=0).perturbed(masks, 1)
    np.testing.assert_array_equal(own.perturbed(masks, 1, jittered=False), plain)


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_noise_has_the_moments_of_each_sample_and_channel(axes):
    scales = np.float32([0.1, 1, 5, 20, 3]).reshape(-1, *[1] * (axes + 1))
    x = tf.constant(samples(axes) * scales + scales)
    own = Deletion(x, None, enlarging(GRIDS[axes], SHAPES[axes][:-1]), (0,) * axes, 0)
    nothing = tf.zeros((5, *GRIDS[axes]))
    draw = tf.function(lambda step: own.perturbed(nothing, step))
    noise = np.stack([draw(tf.constant(step)) for step in range(300)])
    along = tuple(range(2, axes + 2))
    over = tuple(range(1, axes + 1))
    mean, deviation = noise.mean(axis=(0, *along)), noise.std(axis=(0, *along))
    np.testing.assert_allclose(deviation, x.numpy().std(axis=over), rtol=0.1)
    np.testing.assert_allclose(mean - x.numpy().mean(axis=over), 0, atol=0.1 * deviation.max())
    standard = (noise - mean.reshape(5, *[1] * axes, 2)) / deviation.reshape(5, *[1] * axes, 2)
    np.testing.assert_allclose(standard[:, :1], standard[:, 1:2], atol=0.3)  # the same draws


def test_noise_is_drawn_anew_at_each_step_and_by_the_seed():
    nothing = tf.zeros((5, *GRIDS[2]))
    own = deletion(2, replaced=False)
    first, second = own.perturbed(nothing, 0), own.perturbed(nothing, 1)
    other = deletion(2, replaced=False, seed=1).perturbed(nothing, 0)
    assert (first.numpy() != second.numpy()).all()
    assert (first.numpy() != other.numpy()).all()
    np.testing.assert_array_equal(first, own.perturbed(nothing, 0))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_area_and_roughness(axes, beta):
    masks = masks_of(axes)
    for mask, area, rough in zip(
        masks, deleted_area(tf.constant(masks)), roughness(tf.constant(masks), beta), strict=True
    ):
        assert float(area) == pytest.approx(1 - mask.mean(), abs=1e-6)
        wanted = 0.0
        for axis in range(axes):
            lines = np.moveaxis(mask, axis, -1).reshape(-1, mask.shape[axis])
            wanted += np.mean([sum(abs(b - a) ** beta for a, b in pairwise(r)) for r in lines])
        assert float(rough) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("cells", [4, 8, 28])
def test_an_edge_right_across_costs_the_same_on_any_grid(cells):
    for axes in AXES:
        masks = np.zeros((1, *[cells] * axes), np.float32)
        masks[:, : cells // 2] = 1
        assert float(roughness(tf.constant(masks), 3.0)[0]) == pytest.approx(1)


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_gradients_of_the_penalties_by_finite_differences(axes):
    masks = masks_of(axes, 1).astype(np.float64)

    def penalty(values):
        given = tf.constant(values, tf.float32)
        return 0.5 * deleted_area(given) + 0.1 * roughness(given, 3.0)

    given = tf.constant(masks, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = 0.5 * deleted_area(given) + 0.1 * roughness(given, 3.0)
    found = tape.gradient(total, given).numpy()
    for place in np.ndindex(masks.shape):
        move = np.zeros(masks.shape)
        move[place] = 1e-2
        slope = float((penalty(masks + move) - penalty(masks - move))[0]) / 2e-2
        assert found[place] == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize("grid", [(7,), (6, 9), (4, 5, 6)])
def test_circles_grow_until_they_delete_everything(grid):
    masks = circles(grid, 10).numpy()
    assert masks.shape == (10, *grid)
    areas = [(1 - mask).mean() for mask in masks]
    assert areas == sorted(areas)
    assert areas[-1] == 1
    for mask, limit in zip(masks, np.arange(1, 11) / 10 * np.sqrt(len(grid)), strict=True):
        for place in np.ndindex(grid):
            off = [(p + 0.5) / cells * 2 - 1 for p, cells in zip(place, grid, strict=True)]
            if abs(np.linalg.norm(off) - limit) > 1e-9:
                assert mask[place] == (np.linalg.norm(off) > limit)
