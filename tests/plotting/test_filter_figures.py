import numpy as np
import pytest

from keras_pli.plotting import filter_evolution, filter_grid, filter_images


def texts(figure):
    return " ".join(text.get_text() for text in figure.texts)


def test_zero_is_mid_grey_and_all_filters_share_a_scale():
    kernel = np.zeros((2, 2, 3, 2))
    kernel[0, 0, 0, 0], kernel[1, 1, :, 1] = 2.0, -1.0
    first, second = (ax.images[0].get_array() for ax in filter_images(kernel, scale="all").axes)
    np.testing.assert_allclose(first[0, 0], [1.0, 0.5, 0.5])
    np.testing.assert_allclose(second[1, 1], [0.25, 0.25, 0.25])
    np.testing.assert_allclose(second[0, 0], 0.5)


def test_a_strong_filter_does_not_hide_the_others():
    kernel = np.zeros((2, 2, 1, 3))
    kernel[0, 0, 0], kernel[1, 1, 0] = [8.0, 0.5, 0.0], [4.0, -0.25, 0.0]
    axes = filter_images(kernel).axes
    strong, weak, none = (ax.images[0].get_array() for ax in axes)
    np.testing.assert_allclose(strong, [[1.0, 0.5], [0.5, 0.75]])
    np.testing.assert_allclose(weak, [[1.0, 0.5], [0.5, 0.25]])
    np.testing.assert_allclose(none, 0.5)
    assert [ax.get_xlabel() for ax in axes] == ["0: ±8", "1: ±0.5", "2: ±0"]
    rows = filter_grid(np.concatenate([kernel, kernel / 2], axis=2)).axes
    assert [ax.images[0].norm.vmax for ax in rows] == [8.0, 8.0, 0.5, 0.5, 1.0, 1.0]
    assert [ax.get_ylabel() for ax in rows[::2]] == ["0\n±8", "1\n±0.5", "2\n±0"]
    epochs = filter_evolution(np.stack([kernel, 2 * kernel]), [0, 1]).axes
    np.testing.assert_allclose(epochs[2].images[0].get_array()[0, 0], 0.75)  # half of its end
    fixed = filter_images(kernel, limit=16.0).axes[0]
    np.testing.assert_allclose(fixed.images[0].get_array()[0, 0], 0.75)


def test_signals_are_curves():
    kernel = np.random.default_rng(0).normal(size=(7, 3, 4))
    figure = filter_images(kernel, scale="all")
    lines = figure.axes[1].lines[1:]  # after that of zero
    np.testing.assert_allclose([line.get_ydata() for line in lines], kernel[..., 1].T)
    assert len({ax.get_ylim() for ax in figure.axes}) == 1


@pytest.mark.slow
def test_a_grid_has_filters_by_channels_and_says_what_it_leaves_out():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 6))
    figure = filter_grid(kernel, inputs=2, outputs=3)
    shown = [ax.images[0].get_array() for ax in figure.axes]
    np.testing.assert_allclose(shown, [kernel[..., c, f] for f in range(3) for c in range(2)])
    assert "the first 3 of 6 filters" in texts(figure) and "the first 2 of 5 channels" in texts(
        figure
    )
    assert "first" not in texts(filter_grid(kernel))


def test_volumes_are_middle_slices_or_all():
    kernel = np.random.default_rng(0).normal(size=(3, 2, 4, 1, 1))
    middle = filter_grid(kernel).axes[0].images[0].get_array()
    np.testing.assert_allclose(middle, kernel[1, ..., 0, 0])
    every = np.ma.filled(filter_grid(kernel, slices="all").axes[0].images[0].get_array(), np.nan)
    assert every.shape == (2, 14)
    np.testing.assert_allclose(every[:, 10:], kernel[2, ..., 0, 0])
    assert np.isnan(every[:, 4]).all()


def test_evolution_has_a_column_an_epoch_and_shows_the_strongest_channel():
    kernels = np.random.default_rng(0).normal(size=(3, 2, 2, 4, 2))
    kernels[-1, :, :, 2, 1] = 9.0
    figure = filter_evolution(kernels, [0, 2, 4])
    assert [ax.get_title() for ax in figure.axes[:3]] == ["start", "2", "4"]
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), kernels[0, :, :, 2, 1])
    assert figure.axes[3].get_ylabel() == "1, channel 2\n±9"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: filter_images(np.ones((3, 3, 2, 4))), r"`filter_grid`.*\(3, 3, 2, 4\)"),
        (lambda: filter_images(np.ones((3, 3, 1, 4)), names=["a"]), "4 entries. Received: 1"),
        (lambda: filter_images(np.full((3, 3, 1, 1), np.nan)), "finite"),
        (lambda: filter_images(np.ones((3, 3, 1, 1)), limit=0), "above 0. Received: 0"),
        (lambda: filter_images(np.ones((3, 3, 1, 1)), scale="one"), "'one'"),
        (lambda: filter_grid(np.ones((3, 3))), r"Received shape \(3, 3\)"),
        (lambda: filter_grid(np.ones((3, 3, 1, 1)), slices="some"), "'some'"),
        (lambda: filter_grid(np.ones((3, 3, 1, 1)), inputs=0), "`inputs`.*Received: 0"),
        (lambda: filter_evolution(np.ones((2, 3, 3, 1, 1)), [0]), "1 epochs"),
    ],
)
def test_errors_quote_what_came(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
