"""Charts beside the maps of volumes: regions, folds, localisation, sizes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from keras_pli.intervals import mean_interval
from keras_pli.plotting import region_bars, score_points, size_distributions

RNG = np.random.default_rng(2)
NAMES = ["cerebellum", "left hippocampus", "ventricles"]
REGIONS = pd.DataFrame({"region": NAMES, "mean": [0.1, -0.4, 0.3]})
METHODS = pd.DataFrame(
    [
        {"region": region, "method": method, "mean": mean, "low": mean - 0.05, "high": mean + 0.1}
        for method, means in (("cam", (0.1, -0.4, 0.3)), ("saliency", (0.9, 0.0, -0.2)))
        for region, mean in zip(NAMES, means, strict=True)
    ]
)


def row_names(figure):
    return [tick.get_text() for tick in figure.axes[0].get_yticklabels()]


def test_regions_are_sorted_by_size_and_coloured_by_sign():
    figure = region_bars(REGIONS, title="Hippocampi $")
    (ax,) = figure.axes
    assert row_names(figure) == ["left hippocampus", "ventricles", "cerebellum"]
    assert [bar.get_width() for bar in ax.patches] == [-0.4, 0.3, 0.1]
    colors = [to_hex(bar.get_facecolor()) for bar in ax.patches]
    assert colors == ["#0072b2", "#d55e00", "#d55e00"]
    assert [text.get_text() for text in ax.texts] == ["−0.4", "0.3", "0.1"]
    assert [text.get_ha() for text in ax.texts] == ["right", "left", "left"]


def test_methods_stand_side_by_side_with_their_intervals():
    figure = region_bars(
        METHODS, group="method", interval=("low", "high"), most=2, title="Where it lies"
    )
    (ax,) = figure.axes
    assert row_names(figure) == ["cerebellum", "left hippocampus"]
    assert [bar.get_width() for bar in ax.patches] == [0.1, -0.4, 0.9, 0.0]
    lines = [line.get_xdata() for line in ax.lines[1:]]
    np.testing.assert_allclose(lines[0], [0.05, 0.2])
    assert "1 weaker regions left out" not in ax.get_xlabel()
    assert "1 weaker region left out" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cam", "saliency"]


def test_chance_is_drawn_across_each_bar_and_rows_without_value_are_left_out():
    table = REGIONS.assign(chance=[0.2, 0.3, 0.5])
    table.loc[3] = ["elsewhere", np.nan, 0.1]
    figure = region_bars(table, chance="chance")
    (ax,) = figure.axes
    assert row_names(figure) == ["left hippocampus", "ventricles", "cerebellum"]
    marks = [list(line.get_xdata()) for line in ax.lines[1:]]
    assert marks == [[0.3, 0.3], [0.5, 0.5], [0.2, 0.2]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["chance"]


def test_the_legend_of_methods_lies_below_the_title(pixels):
    long = "A title that is so long that it would run into the legend if they shared a line"
    figure = region_bars(METHODS, group="method", title=long)
    pixels(figure)
    (ax,) = figure.axes
    title = ax._left_title.get_window_extent()
    assert ax.get_legend().get_window_extent().y1 <= title.y0


@pytest.mark.parametrize(
    "table, arguments, message",
    [
        (REGIONS.drop(columns="mean"), {}, "Missing: 'mean'"),
        (REGIONS[:0], {}, "at least one row"),
        (METHODS, {}, "Repeated: .*cerebellum"),
        (REGIONS.assign(mean=np.nan), {}, "NaN in all of 'mean'"),
        (REGIONS.assign(mean=np.inf), {}, "finite.*'cerebellum'"),
        (REGIONS, {"interval": ("low", "high")}, "Missing: 'low', 'high'"),
        (REGIONS, {"most": 0}, "Received: 0"),
        (REGIONS, {"group": "method"}, "Missing: 'method'"),
        (
            pd.DataFrame({"region": "a", "g": range(9), "mean": 1.0}),
            {"group": "g"},
            "Received: 9",
        ),
    ],
)
def test_tables_of_regions_that_are_refused(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        region_bars(table, **arguments)


SCORES = pd.DataFrame(
    {"name": ["none"] * 5 + ["stripped"] * 5 + ["one"], "score": [*RNG.uniform(0.6, 0.9, 10), 0.95]}
)


def test_folds_their_mean_and_its_interval():
    figure = score_points(SCORES, chance=0.5, percent=True, title="Accuracy")
    (ax,) = figure.axes
    assert row_names(figure) == ["none", "stripped", "one"]
    for points, (_, group) in zip(ax.collections, SCORES.groupby("name", sort=False), strict=True):
        np.testing.assert_allclose(points.get_offsets()[:, 0], group["score"])
    mean, low, high = mean_interval(SCORES["score"][:5])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [low, high])
    assert ax.texts[0].get_text() == f"{100 * mean:.1f}"
    assert ax.lines[-1].get_xdata() == [0.5, 0.5]
    assert ax.get_xlabel() == "accuracy, %"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["one fold", "mean, 95 % interval", "chance"]


def test_methods_by_their_mean_each_with_its_chance():
    chance = {"none": 0.1, "stripped": 0.2, "one": 0.3}
    figure = score_points(SCORES, chance=chance, order="score", points="subject", label="Dice")
    means = SCORES.groupby("name")["score"].mean().sort_values(ascending=False)
    assert row_names(figure) == list(means.index)
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [chance[name] for name in means.index]
    assert len(score_points(SCORES).axes[0].get_legend().get_texts()) == 2


@pytest.mark.parametrize(
    "table, arguments, message",
    [
        (SCORES.drop(columns="score"), {}, "Missing: 'score'"),
        (SCORES.assign(score=np.inf), {}, "finite"),
        (SCORES, {"chance": {"none": 0.1}}, "None for 'stripped', 'one'"),
        (SCORES, {"chance": "half"}, "`chance`"),
        (SCORES, {"confidence": 95}, "Received: 95"),
        (SCORES, {"order": "name"}, "'given', 'score'"),
    ],
)
def test_tables_of_scores_that_are_refused(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        score_points(table, **arguments)


def test_sizes_before_and_after_on_the_same_bins():
    labels = np.repeat([0, 1], [60, 30])
    before = RNG.normal(1300, 50, 90) + 150 * (labels == 0)
    after = RNG.normal(1400, 50, 90)
    names = ["men", "women"]
    figure = size_distributions({"before": before, "after": after}, labels, class_names=names)
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    for ax, sizes in ((first, before), (second, after)):
        outline = ax.patches[3].get_xy()
        edges = np.unique(outline[:, 0])
        shares = np.histogram(sizes[labels == 1], edges)[0] / 30
        assert outline[:, 1].max() == pytest.approx(shares.max())
        means = [line.get_xdata()[0] for line in ax.lines]
        np.testing.assert_allclose(means, [sizes[labels == label].mean() for label in (0, 1)])
    assert [text.get_text() for text in first.get_legend().get_texts()] == names


def test_sizes_that_are_all_the_same():
    (ax,) = size_distributions({"after": np.ones(6)}, [0, 1] * 3).axes
    assert ax.get_xlim()[0] < 1.0 < ax.get_xlim()[1]


@pytest.mark.parametrize(
    "sizes, labels, message",
    [
        ({}, [0], "at least one stage"),
        ({"before": [1.0, 2.0], "after": [1.0]}, [0, 1], r"\(2,\).*\(1,\) in 'after'"),
        ({"before": [1.0, np.nan]}, [0, 1], r"sizes\['before'\]"),
        ({"before": [1.0, 2.0]}, [0], r"`labels`.*\(1,\)"),
    ],
)
def test_sizes_that_are_refused(sizes, labels, message):
    with pytest.raises(ValueError, match=message):
        size_distributions(sizes, labels)
