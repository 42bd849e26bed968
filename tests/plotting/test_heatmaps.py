import numpy as np
import pytest
from test_class_styles import DEUTERANOPIA, lab, linear

from keras_pli.plotting.heatmaps import (
    central_peak,
    faded,
    heatmap,
    over_white,
    overlay_colors,
    picture,
    spatial_dimensions,
)
from keras_pli.plotting.style import contrast_on_white

RNG = np.random.default_rng(3)


def test_channels_are_summed_with_their_signs_or_as_absolute_values():
    values = RNG.normal(size=(4, 5, 3))
    signed = heatmap(values, (4, 5, 3), dimensions=2, percentile=90)
    by_hand = values[..., 0] + values[..., 1] + values[..., 2]
    np.testing.assert_allclose(signed.values, by_hand)
    assert signed.signed and signed.reduction == "sum over 3 channels"
    ranked = np.sort(np.abs(by_hand).ravel())
    # The 90th percentile of 20 values lies a tenth of the way from the 18th to the 19th.
    assert signed.limit == pytest.approx(0.9 * ranked[17] + 0.1 * ranked[18])
    sizes = heatmap(values, (4, 5, 3), dimensions=2, signed=False)
    np.testing.assert_allclose(sizes.values, np.abs(values).sum(axis=2))
    assert (sizes.norm.vmin, sizes.reduction) == (0.0, "sum of absolute values over 3 channels")


def test_the_data_decide_about_signs():
    assert not heatmap([0.0, 1.0], (2,), dimensions=1).signed
    assert heatmap([-1e-9, 1.0], (2,), dimensions=1).signed
    forced = heatmap([0.0, 1.0], (2,), dimensions=1, signed=True, percentile=100)
    assert (forced.norm.vmin, forced.norm.vmax) == (-1.0, 1.0)


def test_one_outlier_does_not_blank_the_map():
    values = RNG.normal(size=(20, 20))
    before = heatmap(values, (20, 20), dimensions=2).limit
    values[3, 3] = 1e6
    heat = heatmap(values, (20, 20), dimensions=2)
    assert before <= heat.limit < 1.3 * before and heat.clipped


def test_few_or_no_pixels_still_have_a_scale():
    values = np.zeros((20, 20))
    empty = heatmap(values, (20, 20), dimensions=2)
    assert empty.limit == 0 and empty.ticks == [0.0] and not empty.clipped
    assert (empty.strength == 0).all() and empty.norm(0.0) == 0
    values[3, 3] = 4.0
    assert heatmap(values, (20, 20), dimensions=2).limit == 4.0


@pytest.mark.parametrize(
    "shape, attribution, expected",
    [
        ((9,), (9,), 1),
        ((128, 9), (128, 9), 1),
        ((28, 28), (28, 28), 2),
        ((12, 6), (12,), 1),
        ((28, 28, 1), (28, 28, 1), 2),
        ((28, 28, 3), (28, 28), 2),
        ((28, 28, 12), (28, 28), 2),
        ((8, 9, 10), (8, 9, 10), 3),
        ((8, 9, 10, 2), (8, 9, 10, 2), 3),
        ((8, 9, 10, 1), (8, 9, 10), 3),
    ],
)
def test_spatial_axes_are_read_from_the_shapes(shape, attribution, expected):
    assert spatial_dimensions(shape, attribution) == expected
    assert spatial_dimensions(shape, attribution, expected) == expected


def test_the_most_central_of_equal_peaks():
    values = RNG.integers(0, 3, size=(5, 6, 7)).astype(float)
    centre = np.array([2, 3, 3])
    peaks = [p for p in np.ndindex(5, 6, 7) if values[p] == 2]
    nearest = min(np.linalg.norm(np.array(p) - centre) for p in peaks)
    found = central_peak(values)
    assert values[found] == 2 and np.linalg.norm(np.array(found) - centre) == nearest
    assert central_peak(np.ones((5, 6, 7))) == (2, 3, 3)


@pytest.mark.parametrize("signed", [True, False])
def test_opacity_and_darkness_grow_with_the_value(signed):
    colors = np.asarray(overlay_colors(signed, 0.8).colors)
    positive = colors[255:] if signed else colors
    assert positive[0, 3] == 0 and positive[-1, 3] == pytest.approx(0.8)
    assert (np.diff(positive[:, 3]) > 0).all()
    on_white = np.asarray(over_white(overlay_colors(signed, 0.8)).colors)
    contrast = [contrast_on_white(rgb) for rgb in (on_white[255:] if signed else on_white)]
    assert (np.diff(contrast) > 0).all()
    if signed:
        np.testing.assert_allclose(colors[:, 3], colors[::-1, 3])


def test_signs_differ_for_every_eye_from_a_fifth_of_the_scale():
    colors = np.asarray(over_white(overlay_colors(True, 0.9)).colors)
    for share in (0.2, 0.5, 1.0):
        ends = colors[255 + int(255 * share)], colors[255 - int(255 * share)]
        for sight in (np.eye(3), DEUTERANOPIA):
            first, second = (lab(sight @ linear(tuple(color))) for color in ends)
            assert np.linalg.norm(first - second) > 15


def test_images_stay_readable_and_lose_their_own_colours():
    rgb = RNG.random((5, 6, 3))
    pale = faded(picture(rgb, dimensions=2))
    luminance = 0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]
    np.testing.assert_allclose(pale, 0.66 + 0.34 * luminance)
    assert picture(np.full((2, 2), 51, np.uint8), dimensions=2).mean() == pytest.approx(0.2)
    two = RNG.random((5, 6, 2))
    np.testing.assert_allclose(picture(two, dimensions=2), two.mean(axis=2))
