import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import auc

from keras_pli.plotting import faithfulness_curves, randomization_curves

LAYERS = ["logits", "nested/conv2", "conv1"]


@pytest.fixture
def table():
    """Two methods, two modes, two measures, with signs and without; in no order."""
    rows = [
        (method, mode, LAYERS[step], step, measure, absolute, base - 0.1 * step + 0.05 * absolute)
        for method, base in (("saliency", 0.3), ("guided", 0.9))
        for mode in ("cascading", "independent")
        for measure in ("spearman", "top_k")
        for absolute in (False, True)
        for step in range(3)
    ]
    columns = ["method", "mode", "layer", "step", "measure", "absolute", "mean"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(low=frame["mean"] - 0.04, high=frame["mean"] + 0.04)


def curves(ax):
    return [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 3]


def test_a_panel_a_measure_and_a_line_a_method(table):
    figure = randomization_curves(table.sample(frac=1.0, random_state=0), title="CNN")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert sorted(titles) == sorted(
        f"{measure}, {kind}"
        for measure in ("Spearman", "Top-k overlap")
        for kind in ("signed", "absolute values")
    )
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for title, ax in zip(titles, figure.axes, strict=True):
        lift = 0.05 * ("absolute" in title)
        for name, points in zip(legend, curves(ax), strict=True):
            base = {"saliency": 0.3, "guided": 0.9}[name] + lift
            np.testing.assert_allclose(points, [(i, base - 0.1 * i) for i in range(3)])
    ticks = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert ticks == LAYERS
    assert not any(text.get_text() for text in figure.axes[0].get_xticklabels())


def test_colours_are_those_of_the_legend_and_bands_those_of_the_intervals(table):
    figure = randomization_curves(table)
    handles = [handle.get_color() for handle in figure.legends[0].get_lines()]
    ax = figure.axes[0]
    assert [line.get_color() for line in ax.lines] == handles
    for band, line in zip(ax.collections, ax.lines, strict=True):
        corners = band.get_paths()[0].vertices[:, 1]
        centre = line.get_ydata()
        assert corners.min() == pytest.approx(centre.min() - 0.04)
        assert corners.max() == pytest.approx(centre.max() + 0.04)


def test_layers_on_their_own_are_dots_side_by_side(table):
    figure = randomization_curves(table, mode="independent")
    first, second = figure.axes[0].lines
    assert {first.get_linestyle(), second.get_linestyle()} == {"None"}
    assert (first.get_xdata() < second.get_xdata()).all()
    assert np.abs(first.get_xdata() - np.arange(3)).max() < 0.5
    intervals = figure.axes[0].collections[1].get_segments()
    assert [line[:, 0].tolist() for line in intervals] == [[x, x] for x in second.get_xdata()]


def test_levels_for_all_measures_or_for_one(table):
    figure = randomization_curves(table, threshold=0.5, chance={"top_k": 0.1})
    for ax in figure.axes:
        levels = {line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 2}
        spearman = "Spearman" in ax.get_title(loc="left")
        assert levels == ({0.5} if spearman else {0.5, 0.1})
        names = {text.get_text() for text in ax.texts}
        assert names == ({"threshold"} if spearman else {"threshold", "chance"})


def test_the_axis_reaches_below_zero_only_where_the_table_does(table):
    low, high = randomization_curves(table).axes[0].get_ylim()
    assert -0.1 < low < 0 and 1 < high < 1.1
    table.loc[0, "low"] = -0.6
    assert -0.7 < randomization_curves(table).axes[0].get_ylim()[0] < -0.6


@pytest.mark.slow
def test_missing_intervals_panels_and_many_methods_and_layers(table, pixels):
    kept = ~((table["measure"] == "spearman") & table["absolute"])
    figure = randomization_curves(table[kept].assign(low=np.nan, high=np.nan))
    assert sum(ax.get_visible() for ax in figure.axes) == 3
    rows = table[(table["measure"] == "spearman") & ~table["absolute"]].iloc[:1]
    many = pd.concat(
        rows.assign(method=f"method {m}", step=step, layer=f"block/{step}")
        for m in range(17)
        for step in range(40)
    )
    figure = randomization_curves(many)
    assert len(figure.legends[0].get_texts()) == 17 and not figure.axes[0].collections
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks == [f"block/{step}" for step in range(0, 40, 4)]
    # The legend stands beside the panel and within the figure.
    pixels(figure)
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 > figure.axes[0].get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1 and legend.y0 >= 0


@pytest.mark.parametrize(
    "change, arguments, message",
    [
        (lambda t: t.drop(columns=["low", "step"]), {}, "Missing: 'step', 'low'"),
        (lambda t: t[:0], {}, "at least one row"),
        (lambda t: pd.concat([t, t[:1]]), {}, r"Repeated: \('saliency', 'cascading', 0"),
        (lambda t: t.assign(mean=1.5), {}, r"\[-1, 1\].*1.5"),
        (lambda t: t, {"mode": "cascade"}, "Did you mean 'cascading'"),
        (lambda t: t[t["mode"] == "cascading"], {"mode": "independent"}, "modes: 'cascading'"),
        (lambda t: t.assign(layer=list("abcd") * 12), {}, "steps 0, 1, 2"),
    ],
)
def test_randomization_errors(table, change, arguments, message):
    with pytest.raises(ValueError, match=message):
        randomization_curves(change(table), **arguments)


FRACTIONS = np.array([0.0, 0.1, 0.3, 0.6, 1.0])
SCORES = {
    "random": np.array([0.9, 0.8, 0.6, 0.4, 0.1]),
    "saliency": np.array([0.9, 0.3, 0.2, 0.15, 0.1]),
    "grad_$cam": np.array([0.9, 0.5, 0.3, 0.1, 0.1]),
}


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_areas_are_the_trapezoids_and_the_best_comes_first(kind):
    figure = faithfulness_curves(SCORES, FRACTIONS, kind=kind, baseline="random", score="logit")
    ax = figure.axes[0]
    areas = {name: auc(FRACTIONS, values) for name, values in SCORES.items()}
    order = sorted(areas, key=areas.get, reverse=kind == "insertion")
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == [f"{areas[name]:.3f}  {name}".replace("$", r"\$") for name in order]
    for line, name in zip(ax.lines, order, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([FRACTIONS, SCORES[name]], 1))
    assert ax.get_legend().get_title().get_text().split()[1] == {"d": "less"}.get(kind[0], "more")
    assert (ax.get_ylabel(), ax.get_ylim()[0]) == ("logit", 0.0)
    assert ax.get_xlabel() == {"d": "pixels deleted"}.get(kind[0], "pixels inserted")


def test_a_method_keeps_its_colour_and_the_baseline_is_grey_and_dashed():
    def strokes(kind, baseline=None):
        ax = faithfulness_curves(SCORES, FRACTIONS, kind=kind, baseline=baseline).axes[0]
        labels = [text.get_text().split()[1] for text in ax.get_legend().get_texts()]
        lines = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
        return dict(zip(labels, lines, strict=True))

    deletion, insertion = strokes("deletion"), strokes("insertion", "random")
    assert deletion["saliency"] == insertion["saliency"]
    assert insertion["random"][1] == "--" != deletion["random"][1]
    assert len({color for color, _ in insertion.values()}) == 3


def test_axes_given_and_scores_below_zero():
    host = Figure()
    left, right = host.subplots(1, 2)
    assert faithfulness_curves({"m": -SCORES["random"]}, FRACTIONS, ax=left) is host
    assert left.get_ylim()[0] == pytest.approx(-0.9) and not right.lines
    assert left.get_legend() and not host.legends


@pytest.mark.parametrize(
    "curves, fractions, arguments, message",
    [
        ({}, FRACTIONS, {}, "at least one method"),
        ({"m": [1.0, 0.5]}, FRACTIONS, {}, r"'m'.*\(5,\).*\(2,\)"),
        ({"m": FRACTIONS * np.nan}, FRACTIONS, {}, "`m` must be finite"),
        (SCORES, FRACTIONS[::-1], {}, "increase within"),
        (SCORES, 100 * FRACTIONS, {}, "increase within"),
        (SCORES, FRACTIONS, {"kind": "delete"}, "Did you mean 'deletion'"),
        (SCORES, FRACTIONS, {"baseline": "randm"}, "Did you mean 'random'"),
    ],
)
def test_faithfulness_errors(curves, fractions, arguments, message):
    with pytest.raises(ValueError, match=message):
        faithfulness_curves(curves, fractions, **arguments)


def test_a_mean_curve_has_the_band_that_is_given():
    shares, mean = np.array([0.0, 0.5, 1.0]), np.array([0.9, 0.4, 0.1])
    ends = (mean - 0.2, mean + 0.1)
    figure = faithfulness_curves({"a": mean, "b": mean / 2}, shares, bands={"a": ends})
    (ax,) = figure.axes
    (band,) = ax.collections
    drawn = band.get_paths()[0].vertices
    for share, low, high in zip(shares, *ends, strict=True):
        own = drawn[np.isclose(drawn[:, 0], share), 1]
        assert {round(y, 6) for y in own} == {round(low, 6), round(high, 6)}
    assert ax.get_ylim()[0] == pytest.approx(-0.1)
    with pytest.raises(ValueError, match=r"'a', 'b'.*'c'"):
        faithfulness_curves({"a": mean, "b": mean}, shares, bands={"c": ends})
    with pytest.raises(ValueError, match=r"two ends of shape \(3,\)"):
        faithfulness_curves({"a": mean}, shares, bands={"a": (mean[:2], mean)})
