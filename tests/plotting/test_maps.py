import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from keras_pli.plotting import class_styles, embedding_comparison, embedding_map
from keras_pli.plotting.frame import fitting_limits
from keras_pli.plotting.style import marker_path


def scatters(ax):
    return [artist for artist in ax.collections if isinstance(artist, PathCollection)]


def contour_colors(ax):
    sets = [artist for artist in ax.collections if isinstance(artist, ContourSet)]
    return [to_hex(contour.get_edgecolor()[0]) for contour in sets]


def drawn_points(ax):
    return sum(len(scatter.get_offsets()) for scatter in scatters(ax))


def names(ax):
    scale = {text.get_text() for text in ax.texts if "map unit" in text.get_text()}
    return {text.get_text() for text in ax.texts} - scale


def test_one_scatter_and_one_contour_a_class(clusters):
    points, labels = clusters
    figure = embedding_map(points, labels, class_names=["cat", "dog", "owl"], title="Map")
    (ax,) = figure.axes
    assert len(scatters(ax)) == 1 and drawn_points(ax) == 180
    assert scatters(ax)[0].get_rasterized()
    assert contour_colors(ax) == [style.ink for style in class_styles(labels).values()]
    assert names(ax) == {"cat", "dog", "owl"}
    assert ax.get_aspect() == 1 and not ax.get_xticks().size
    assert ax.get_title(loc="left") == "Map"


def test_point_colours_follow_their_labels(clusters):
    points, labels = clusters
    scatter = scatters(embedding_map(points, labels).axes[0])[0]
    where = {tuple(point): label for point, label in zip(np.float32(points), labels, strict=True)}
    styles = class_styles(labels)
    for point, face in zip(scatter.get_offsets(), scatter.get_facecolor(), strict=True):
        assert to_hex(face) == styles[where[tuple(np.float32(point))]].color.lower()


@pytest.mark.slow
def test_twenty_classes_have_their_shapes_and_a_legend():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 20
    points = rng.uniform(-30, 30, (20, 2))[labels] + rng.normal(size=(400, 2))
    ax = embedding_map(points, labels).axes[0]
    (scatter,) = scatters(ax)
    assert drawn_points(ax) == 400
    where = {tuple(point): label for point, label in zip(np.float32(points), labels, strict=True)}
    styles = class_styles(labels)
    for point, path, size in zip(
        scatter.get_offsets(), scatter.get_paths(), scatter.get_sizes(), strict=True
    ):
        style = styles[where[tuple(np.float32(point))]]
        shape = marker_path(style.marker)
        np.testing.assert_array_equal(path.vertices, shape.vertices)
        assert size == pytest.approx(scatter.get_sizes().min() * style.area / 0.72)
    assert len(ax.get_legend().get_texts()) == 20


def test_names_do_not_overlap_and_stay_inside():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 10
    name = "Left Ventricular Outflow Tract {}".format
    figure = embedding_map(rng.normal(size=(300, 2)), labels, class_names=[*map(name, range(10))])
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts if "Tract" in text.get_text()]
    assert len(boxes) == 10
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    frame = ax.get_window_extent().padded(1)
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())


def test_the_picture_changes_with_the_data(clusters, pixels):
    points, labels = clusters
    limits = (-5, 25, -5, 25)
    first = pixels(embedding_map(points, labels, limits=limits))
    again = pixels(embedding_map(points, labels, limits=limits))
    other = pixels(embedding_map(points + 1.0, labels, limits=limits))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=2).mean() > 0.005


def test_one_point_identical_points_and_an_unused_name():
    points = np.concatenate([np.zeros((30, 2)), [[5.0, 5.0]]])
    labels = np.repeat([0, 2], [30, 1])
    ax = embedding_map(points, labels, class_names=["a", "unused", "c"]).axes[0]
    assert len(contour_colors(ax)) == 1
    assert names(ax) == {"a", "c"}


@pytest.mark.parametrize("points", [np.zeros((1, 2)), np.full((3, 2), 1e6), [[0, 0], [0, 9]]])
def test_degenerate_maps_render(points, pixels):
    assert pixels(embedding_map(points, np.zeros(len(points)))).std() > 0


def test_without_labels_no_classes(clusters):
    ax = embedding_map(clusters[0], title="All").axes[0]
    assert drawn_points(ax) == 180
    assert not contour_colors(ax) and ax.get_legend() is None
    assert len({to_hex(face) for face in scatters(ax)[0].get_facecolor()}) == 1


def test_contours_and_names_can_be_left_out(clusters):
    ax = embedding_map(*clusters, contours=False, direct_labels=False).axes[0]
    assert not contour_colors(ax) and not names(ax)
    assert len(ax.get_legend().get_texts()) == 3


def test_three_components_in_perspective(clusters, pixels):
    points, labels = clusters
    cube = np.concatenate([points, points[:, :1]], axis=1)
    figure = embedding_map(cube, labels, mark=[0, 5])
    assert figure.axes[0].name == "3d"
    assert figure.axes[0].get_legend() is not None and not contour_colors(figure.axes[0])
    moved = embedding_map(cube * (1, 1, -1), labels, mark=[0, 5])
    assert (pixels(figure) != pixels(moved)).any()


def test_highlight_greys_the_others(clusters):
    points, labels = clusters
    ax = embedding_map(points, labels, highlight=[1]).axes[0]
    grey, colored = scatters(ax)
    assert len(grey.get_offsets()) == 120 and len(colored.get_offsets()) == 60
    assert to_hex(colored.get_facecolor()[0]) == class_styles(labels)[1].color.lower()
    assert grey.get_zorder() < colored.get_zorder()


def test_marks_are_numbered_in_order(clusters):
    points, labels = clusters
    ax = embedding_map(points, labels, mark=[7, 3]).axes[0]
    placed = {text.get_text(): text.xy for text in ax.texts if hasattr(text, "xy")}
    np.testing.assert_allclose(placed["1"], points[7], rtol=1e-6)
    np.testing.assert_allclose(placed["2"], points[3], rtol=1e-6)


def test_draws_in_given_axes_also_within_a_subfigure(clusters):
    figure = Figure()
    ax = figure.subfigures(1, 2)[1].add_subplot()
    assert embedding_map(*clusters, ax=ax) is figure
    assert drawn_points(ax) == 180


def test_dollars_in_names_are_no_mathematics(clusters, pixels):
    points, labels = clusters
    assert pixels(embedding_map(points, labels, class_names=["$x_{$", "a$b$", "c"])).std() > 0


def test_pyplot_holds_no_figure(clusters):
    from matplotlib import pyplot

    embedding_comparison({"a": clusters[0]}, clusters[1])
    embedding_map(*clusters)
    assert not pyplot.get_fignums()


def test_panels_share_limits_colours_and_one_legend(clusters):
    points, labels = clusters
    keep = labels != 0
    panels = {"train": points, "edited": points * 2, "test": points[keep]}
    own = {"train": labels, "edited": labels, "test": labels[keep]}
    figure = embedding_comparison(panels, own, columns=2, class_names=["a", "b", "c"])
    first, second, third = figure.axes
    assert [ax.get_title(loc="left") for ax in figure.axes] == list(panels)
    assert first.get_xlim() == second.get_xlim() == third.get_xlim()
    assert first.get_ylim() == second.get_ylim() == third.get_ylim()
    assert first.get_xlim()[1] > (points * 2)[:, 0].max()
    assert contour_colors(first)[1:] == contour_colors(third)
    assert len(contour_colors(third)) == 2
    assert len(figure.legends) == 1 and first.get_legend() is None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert drawn_points(third) == keep.sum()


def test_panel_marks_highlight_and_missing_labels(clusters):
    points, labels = clusters
    panels = {"a": points, "b": points}
    named = {"class_names": ["a", "b", "c"], "highlight": [0]}
    figure = embedding_comparison(panels, labels, mark={"b": [4]}, **named)
    assert [len(scatters(ax)) for ax in figure.axes] == [2, 3]
    assert "1" not in {text.get_text() for text in figure.axes[0].texts}
    assert "1" in {text.get_text() for text in figure.axes[1].texts}
    assert not embedding_comparison(panels).legends


@pytest.mark.slow
def test_panels_of_three_components(clusters):
    cube = np.concatenate([clusters[0], clusters[0][:, :1]], axis=1)
    figure = embedding_comparison({"a": cube, "b": cube}, clusters[1])
    assert [ax.name for ax in figure.axes] == ["3d", "3d"]
    figure.draw_without_rendering()
    for ax in figure.axes:
        # Each name stands on its class, which matplotlib has projected into the plane for drawing.
        drawn = [np.asarray(dots.get_offsets()) for dots in ax.collections]
        names = {text.get_text(): text for text in ax.texts}
        for label in np.unique(clusters[1]):
            place = names[str(label)].get_position()
            nearest = [np.hypot(*(dots - place).T).min() for dots in drawn]
            assert np.argmin(nearest) == label
    step = int(re.search(r"grid: (\d+) map units", " ".join(names)).group(1))
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        assert np.allclose(np.diff(axis.get_majorticklocs()), step)


def test_limits_fit_all_points_and_are_never_a_sliver():
    low_x, high_x, low_y, high_y = fitting_limits([np.array([[0.0, 0.0], [30.0, 1.0]])])
    assert low_x < 0 and high_x > 30 and low_y < 0 and high_y > 1
    assert (high_x - low_x) / (high_y - low_y) < 1.51


POINTS, LABELS = np.random.default_rng(0).normal(size=(6, 2)), [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"embedding": np.full((6, 2), np.inf)}, "finite"),
        ({"embedding": np.zeros((6, 4))}, r"2 or 3 components.*\(6, 4\)"),
        ({"labels": LABELS[:5]}, r"6 samples.*\(5,\)"),
        ({"labels": np.eye(6)}, "One-hot"),
        ({"class_names": ["a", "b"]}, "No name for the labels 2"),
        ({"highlight": [9]}, "Not among them: 9"),
        ({"mark": [6]}, r"below 6.*with 6"),
        ({"mark": [0.5]}, "indices"),
        ({"limits": (0, 1, 5, 5)}, r"\(0, 1, 5, 5\)"),
        ({"limits": (0, 1)}, "4 numbers"),
        ({"embedding": np.zeros((6, 3)), "ax": Figure().add_subplot()}, "three-dimensional"),
        ({"ax": Figure().add_subplot(projection="3d")}, "two-dimensional"),
    ],
)
def test_map_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        embedding_map(**{"embedding": POINTS, "labels": LABELS, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"panels": {}}, "at least one"),
        ({"columns": 0}, "Received: 0"),
        ({"panels": {"a": POINTS, "b": np.zeros((6, 3))}}, "as many components"),
        ({"labels": {"b": LABELS}}, "same panels"),
        ({"labels": {"a": LABELS[:2]}}, r"labels\['a'\]"),
        ({"mark": {"z": [0]}}, "no panel: 'z'"),
    ],
)
def test_comparison_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        embedding_comparison(**{"panels": {"a": POINTS}, "labels": LABELS, **arguments})
