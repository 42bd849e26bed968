import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from keras_pli.plotting import displacement_arrows


def paths(figure):
    (lines,) = [a for a in figure.axes[0].collections if isinstance(a, LineCollection)]
    return np.array(lines.get_segments())


def arrows(figure):
    return [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]


def diamonds(figure):
    return [
        np.ravel(line.get_xydata()) for line in figure.axes[0].lines if line.get_marker() == "D"
    ]


def test_class_arrows_join_the_means(clusters):
    points, labels = clusters
    after = points + np.array([[4.0, 0.0], [0.0, 5.0], [0.0, 0.0]])[labels]
    found = arrows(displacement_arrows(points, after, labels))
    assert len(found) == 2  # the third class stayed
    for label, arrow in enumerate(found):
        np.testing.assert_allclose(arrow.xyann, points[labels == label].mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(arrow.xy, after[labels == label].mean(axis=0), atol=1e-4)


def test_sample_is_seeded_and_of_moved_points_only(clusters):
    points, labels = clusters
    after, moved = points + 1.0, labels == 1
    first, again, other = (
        paths(displacement_arrows(points, after, labels, moved=moved, most=20, seed=seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == (20, 2, 2) and not np.array_equal(first, other)
    allowed = {tuple(point) for point in np.float32(points[moved])}
    assert {tuple(np.float32(start)) for start in first[:, 0]} <= allowed
    np.testing.assert_allclose(first[:, 1] - first[:, 0], 1.0, atol=1e-4)


def test_few_points_are_all_drawn_and_none_if_asked(clusters):
    points, labels = clusters
    assert len(paths(displacement_arrows(points, points, labels, most=180))) == 180
    figure = displacement_arrows(points, points + 1, labels, most=0)
    assert not [a for a in figure.axes[0].collections if isinstance(a, LineCollection)]


def test_diamonds_stand_where_the_plan_asked(clusters):
    points, labels = clusters
    target = points + np.where(labels == 2, 3.0, 0.0)[:, None]
    figure = displacement_arrows(points, points, labels, moved=labels == 2, target=target)
    (diamond,) = diamonds(figure)
    np.testing.assert_allclose(diamond, target[labels == 2].mean(axis=0), atol=1e-4)
    legend = figure.axes[0].get_legend().get_texts()
    assert "asked for" in [text.get_text() for text in legend]
    assert not diamonds(displacement_arrows(points, points, labels))


def test_given_axes_and_names(clusters):
    points, labels = clusters
    host = Figure()
    ax = host.add_subplot()
    names = ["cat", "dog", "owl"]
    assert displacement_arrows(points, points, labels, class_names=names, ax=ax) is host
    assert set(names) <= {text.get_text() for text in ax.texts}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"after": np.zeros((3, 2))}, r"`after` must have shape \(6, 2\).*\(3, 2\)"),
        ({"target": np.zeros((6, 3))}, r"`target`.*\(6, 3\)"),
        ({"before": np.full((6, 2), np.nan)}, "finite"),
        ({"labels": [0, 1]}, "6 samples"),
        ({"moved": [True]}, "`moved`"),
        ({"moved": [0, 1, 2, 3, 4, 5]}, "true or false"),
        ({"most": -1}, "Received: -1"),
    ],
)
def test_errors(arguments, message):
    good = {"before": np.zeros((6, 2)), "after": np.ones((6, 2)), "labels": np.zeros(6, int)}
    with pytest.raises(ValueError, match=message):
        displacement_arrows(**{**good, **arguments})
