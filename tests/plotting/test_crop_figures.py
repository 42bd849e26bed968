import numpy as np
import pytest

from keras_pli.plotting import activation_grid, crop_grid


def test_crops_share_a_scale_and_projections_have_their_own():
    crops = np.random.default_rng(0).uniform(-2, 2, size=(2, 3, 4, 5, 1))
    projections = np.zeros_like(crops)
    projections[1, 2, 0, 0] = -4.0
    figure = crop_grid(crops, projections, captions=[["a"] * 3] * 2, row_labels=["x", "y"])
    assert len(figure.axes) == 12
    low, high = crops.min(), crops.max()
    drawn = figure.axes[1].images[0].get_array()
    np.testing.assert_allclose(drawn, (crops[0, 1, ..., 0] - low) / (high - low))
    last = figure.axes[11].images[0].get_array()
    assert last[0, 0] == 0 and last[1, 1] == 0.5
    assert [figure.axes[place].get_ylabel() for place in (0, 3, 6)] == ["x", "", "y"]


def test_what_lies_beyond_the_border_is_not_drawn():
    crops = np.ones((1, 1, 3, 3, 3))
    crops[0, 0, 0] = np.nan
    drawn = crop_grid(crops).axes[0].images[0].get_array()
    np.testing.assert_array_equal(drawn[..., 3], [[0] * 3, [1] * 3, [1] * 3])


def test_maps_share_a_scale_beside_their_sample():
    maps = np.random.default_rng(0).uniform(size=(2, 2, 4, 4))
    figure = activation_grid(np.ones((2, 8, 8, 3)), maps, note="strength")
    assert figure.axes[0].get_title() == "input"
    shown = [figure.axes[place].images[0] for place in (1, 2, 4, 5)]
    assert {image.get_clim() for image in shown} == {(0.0, maps.max())}
    assert "strength" in figure.texts[-1].get_text() + figure.texts[-2].get_text()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: crop_grid(np.ones((2, 3, 5, 5)), np.ones((2, 3, 5, 4))), r"\(2, 3, 5, 4\)"),
        (lambda: crop_grid(np.full((1, 1, 3, 3), np.nan)), "no finite value"),
        (lambda: activation_grid(np.ones((2, 8, 8)), np.ones((3, 1, 4, 4))), "each of 2 samples"),
        (lambda: activation_grid(np.ones((2, 8)), np.ones((2, 1, 4, 4))), r"shape \(2, 8\)"),
    ],
)
def test_errors_quote_what_came(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
