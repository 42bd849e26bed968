import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm
from matplotlib.text import Text

from keras_pli.plotting import (
    loss_contour_panels,
    loss_contours,
    loss_curve,
    loss_reliefs,
    spectral_density_curve,
)

STEPS = np.linspace(-1, 1, 21)
BOWL = 0.01 + STEPS[:, None] ** 2 + 2 * STEPS**2


def fills(ax):
    return ax.collections[0]


def test_levels_are_even_in_the_logarithm_and_shared():
    figure = loss_contour_panels(
        {"a": (STEPS, STEPS, BOWL), "b": (STEPS, STEPS, 10 * BOWL)}, levels=7
    )
    one, other = (fills(ax) for ax in figure.axes[:2])
    wanted = np.geomspace(BOWL.min(), 10 * BOWL.max(), 7)
    for filled in (one, other):
        np.testing.assert_allclose(filled.levels[:7], wanted)
        assert isinstance(filled.norm, LogNorm)
        assert (filled.norm.vmin, filled.norm.vmax) == (wanted[0], wanted[-1])


@pytest.mark.parametrize("losses", [BOWL - 1, 5 + 0.1 * BOWL])
def test_a_loss_below_zero_or_of_a_narrow_range_has_even_levels(losses):
    figure = loss_contours(STEPS, STEPS, losses, levels=5)
    np.testing.assert_allclose(
        fills(figure.axes[0]).levels[:5], np.linspace(losses.min(), losses.max(), 5)
    )


def test_the_first_direction_runs_across(pixels):
    # A wall at the last step of the first direction is at the right, at all heights.
    losses = np.ones((21, 21))
    losses[-1] = 100.0
    figure = loss_contours(STEPS, STEPS, losses)
    ax = figure.axes[0]
    picture = pixels(figure)[..., :3].astype(float)

    def color(x, y):
        across, up = ax.transData.transform((x, y))
        return picture[picture.shape[0] - round(up), round(across)]

    assert np.abs(color(0.99, -0.5) - color(0.99, 0.5)).max() < 3
    assert np.abs(color(0.99, 0.5) - color(-0.9, 0.5)).max() > 80


def test_a_way_is_drawn_with_an_open_start():
    way = np.array([[0.8, 0.5], [0.3, -0.2], [0.0, 0.0]])
    lines = loss_contours(STEPS, STEPS, BOWL, trajectory=way).axes[0].lines
    np.testing.assert_allclose(np.stack(lines[0].get_data()).T, way)
    np.testing.assert_allclose(np.ravel(lines[1].get_data()), way[0])
    assert lines[1].get_markerfacecolor() == "white"


def test_infinite_losses_count_as_higher_than_all(pixels):
    losses = BOWL.copy()
    losses[:3], losses[-1, -1] = np.inf, np.nan
    figure = loss_contours(STEPS, STEPS, losses)
    assert fills(figure.axes[0]).levels[-1] <= BOWL.max()
    assert pixels(loss_reliefs({"": (STEPS, STEPS, losses)})).std() > 5


def test_reliefs_share_their_height():
    figure = loss_reliefs({"a": (STEPS, STEPS, BOWL), "b": (STEPS, STEPS, 10 * BOWL)}, title="Two")
    low, high = np.log10([BOWL.min(), 10 * BOWL.max()])
    for ax in figure.axes[:2]:
        np.testing.assert_allclose(ax.get_zlim(), (low, high))


def test_a_line_of_wide_range_is_drawn_in_logarithms_and_metrics_below():
    figure = loss_curve(
        STEPS, {"a": 0.001 + STEPS**2, "b": 1 + STEPS**2}, {"accuracy": 1 - STEPS**2}
    )
    loss, accuracy = figure.axes
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["a", "b"]
    np.testing.assert_allclose(loss.lines[1].get_ydata(), 1 + STEPS**2)
    assert loss_curve(STEPS, 1 + STEPS**2).axes[0].get_yscale() == "linear"


def test_spectral_densities_each_at_their_own_values():
    values = {"a": np.linspace(-1, 1, 50), "b": np.linspace(0, 9, 60)}
    densities = {name: np.exp(-(where**2)) for name, where in values.items()}
    ax = spectral_density_curve(values, densities, floor=1e-3).axes[0]
    for line, name in zip(ax.lines, values, strict=False):
        np.testing.assert_allclose(line.get_ydata(), densities[name])
    assert ax.get_ylim()[0] == pytest.approx(1e-3)


def test_the_barrier_is_the_greatest_height_above_the_straight_line():
    steps = np.linspace(0, 1, 101)
    values = (
        1 + steps + 4 * steps * (1 - steps)
    )  # its ends are 1 and 2, and the barrier 1 lies halfway
    ax = loss_curve(steps, values, {"accuracy": steps}, ends=("a", "b")).axes[0]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 1 + steps)
    (barrier,) = ax.texts
    assert barrier.get_text() == "barrier 1" and barrier.xy == pytest.approx((0.5, 2.0))
    (rise,) = ax.collections
    np.testing.assert_allclose(rise.get_segments()[0], [[0.5, 1.5], [0.5, 2.5]])
    # A valley has none.
    assert not loss_curve(steps, 1 - values, ends=("a", "b")).axes[0].texts


def test_ticks_of_decades_need_no_fonts_of_mathematics(caplog):
    wide = 10.0 ** (-6 * STEPS)
    figures = [
        spectral_density_curve(STEPS, {"a": wide}, width=0.25),
        loss_curve(STEPS, wide),
        loss_contours(STEPS, STEPS, wide[:, None] * wide),
        loss_reliefs({"a": (STEPS, STEPS, wide[:, None] * wide)}),
    ]
    for figure in figures:
        figure.canvas.draw()
        for ax in figure.axes:
            for text in ax.findobj(Text):
                assert "$" not in text.get_text()
    assert "findfont" not in caplog.text
    assert "of width 0.25" in figures[0].axes[0].get_xlabel()


def test_points_of_a_coarse_grid_and_marks_are_drawn():
    steps = np.linspace(-1, 1, 5)
    way = np.array([[0.8, 0.5], [0.3, -0.2], [0.0, 0.0]])
    figure = loss_contours(
        steps, steps, 1 + steps[:, None] ** 2 + steps**2, trajectory=way, marks={1: "epoch 3"}
    )
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["start", "epoch 3"]
    np.testing.assert_allclose([text.xy for text in ax.texts], way[:2])
    points = [one for one in ax.collections if isinstance(one, PathCollection)]
    wanted = {(a, b) for a in steps for b in steps}
    assert {tuple(point) for point in points[0].get_offsets().tolist()} == wanted
    fine = loss_contours(STEPS, STEPS, BOWL).axes[0]
    assert not [one for one in fine.collections if isinstance(one, PathCollection)]


@pytest.mark.parametrize(
    ("draw", "error"),
    [
        (
            lambda: loss_contours(STEPS, STEPS[:5], BOWL),
            r"must have shape \(21, 5\).*Received: \(21, 21\)",
        ),
        (lambda: loss_contours(STEPS[::-1], STEPS, BOWL), "`alphas` must be two ascending numbers"),
        (lambda: loss_contours(STEPS, STEPS, np.nan * BOWL), "None of the values of '' is finite"),
        (
            lambda: loss_contours(STEPS, STEPS, BOWL, levels=1),
            "`levels` must be a whole number from 2",
        ),
        (
            lambda: loss_contours(STEPS, STEPS, BOWL, trajectory=[0.0, 1.0]),
            r"Received shape \(2,\)",
        ),
        (lambda: loss_contour_panels({}), "`surfaces` must hold at least one"),
        (lambda: loss_curve(STEPS, [1.0]), r"must have shape \(21,\)"),
        (
            lambda: loss_curve(STEPS, STEPS, ends=["a"]),
            r"`ends` must be two names. Received: \['a'",
        ),
        (lambda: spectral_density_curve(STEPS, {}), "`densities` must hold at least one"),
    ],
)
def test_bad_input_is_quoted(draw, error):
    with pytest.raises(ValueError, match=error):
        draw()
