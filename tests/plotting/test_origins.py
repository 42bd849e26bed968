"""Maps that show where points came from, and which samples were weighed, relabelled or excluded."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.contour import ContourSet
from matplotlib.text import Annotation

from keras_pli import Contract, Exclude, InterventionPlan, Relabel, Shift, Weigh
from keras_pli.plotting import (
    class_styles,
    displacement_arrows,
    embedding_comparison,
    embedding_panels,
)


def arrows(ax):
    """Start and end of each arrow by its colour."""
    found = [text for text in ax.texts if isinstance(text, Annotation) and text.arrow_patch]
    return {to_hex(a.arrow_patch.get_edgecolor()): (a.xyann, a.xy) for a in found}


def dashed(ax):
    """Dashed outlines by colour."""
    sets = [one for one in ax.collections if isinstance(one, ContourSet)]
    return {to_hex(one.get_edgecolor()[0]) for one in sets if one.get_linestyle()[0][1] is not None}


def words(ax):
    return " ".join(text.get_text() for text in ax.texts)


def test_an_arrow_leads_from_the_old_mean_to_the_new(clusters):
    points, labels = clusters
    plan = InterventionPlan([Shift(1, by=(3, 6)), Contract(2, factor=0.5)])
    before, edited = plan.plot(points, labels).axes
    inks = {label: style.ink for label, style in class_styles(labels).items()}
    assert not arrows(before) and not dashed(before)
    ((color, (start, stop)),) = arrows(edited).items()  # contracted to its mean, 2 has none
    assert color == inks[1]
    mean = points[labels == 1].mean(axis=0)
    np.testing.assert_allclose((start, stop), (mean, mean + np.array([3, 6])), atol=1e-4)
    assert dashed(edited) == {inks[1], inks[2]}
    assert "dashed: before; arrow: the mean's way" in words(edited)


def test_the_dashed_line_is_the_outline_on_the_map_before(clusters):
    points, labels = clusters
    plan = InterventionPlan([Shift(1, by=(3, 6))])
    before, edited = plan.plot(points, labels).axes

    def outline(ax, color, style):
        sets = [one for one in ax.collections if isinstance(one, ContourSet)]
        (found,) = [
            one
            for one in sets
            if to_hex(one.get_edgecolor()[0]) == color
            and (one.get_linestyle()[0][1] is not None) == (style == "dashed")
        ]
        return found.get_paths()[0].vertices

    ink = class_styles(labels)[1].ink
    np.testing.assert_allclose(
        outline(before, ink, "solid"), outline(edited, ink, "dashed"), atol=1e-6
    )


@pytest.mark.slow
def test_a_plan_that_moves_nothing_has_no_key(clusters):
    points, labels = clusters
    for plan in (InterventionPlan(), InterventionPlan([Shift(1, by=(0, 0))])):
        edited = plan.plot(points, labels).axes[1]
        assert not arrows(edited) and not dashed(edited) and "arrow" not in words(edited)


def test_samples_that_are_weighed_relabelled_and_excluded_are_marked(clusters):
    points, labels = clusters
    plan = InterventionPlan([Weigh([0, 3], 9), Relabel([1], 0), Exclude([2, 5])])
    before, edited = plan.plot(points, labels).axes

    def marked(ax, most=5):
        """The places of marks of which there are few."""
        sets = [one.get_offsets() for one in ax.collections if isinstance(one, PathCollection)]
        return [np.asarray(one) for one in sets if len(one) < most]

    assert not marked(before)
    weighed, relabelled, excluded = marked(edited)
    for found, rows in ((weighed, [0, 3]), (relabelled, [1]), (excluded, [2, 5])):
        np.testing.assert_allclose(found, points[rows], rtol=1e-6)
    for what in ("weighed", "relabelled", "excluded"):
        assert what in words(edited)
    # The relabelled sample has its new class's colour.
    color = to_rgba(class_styles([0])[0].color)[:3]
    faces = [one.get_facecolor() for one in (before.collections[0], edited.collections[0])]
    assert [int((each[:, :3] == color).all(axis=1).sum()) for each in faces] == [60, 61]


@pytest.mark.slow
def test_maps_of_three_components_have_arrows(clusters):
    points, labels = clusters
    solid = np.c_[points, points[:, 0]]
    figure = InterventionPlan([Shift(1, by=(3, 6, 0)), Weigh(2, 3)]).plot(solid, labels)
    figure.draw_without_rendering()
    assert "weighed" in words(figure.axes[1])


def test_samples_without_a_label_have_no_outline_and_no_name(clusters):
    points, labels = clusters
    labels = np.where(labels == 2, -1, labels) % 4  # 3 for none
    labels = np.where(labels == 3, -1, np.where(points[:, 0] > 21, 5, labels))
    (ax,) = embedding_comparison({"a": points}, labels).axes
    assert len([one for one in ax.collections if isinstance(one, ContourSet)]) == 3
    assert "no label" not in words(ax)


def test_panels_are_a_figure_each_of_one_size(clusters):
    points, labels = clusters
    moved = labels == 1
    after = points + 4 * moved[:, None]
    figures = embedding_panels({"a": points, "b": after}, labels, came_from={"b": (points, moved)})
    axes = [figure.axes[0] for figure in figures.values()]
    assert list(figures) == ["a", "b"] and len({ax.get_xlim() for ax in axes}) == 1
    for figure in figures.values():
        figure.draw_without_rendering()
    assert axes[0].get_window_extent().width == pytest.approx(
        axes[1].get_window_extent().width, rel=0.01
    )
    assert all("map units" in words(ax) for ax in axes)


def test_the_scale_bar_names_its_unit(clusters):
    points, labels = clusters
    for divisor, text in ((1, "5 map units"), (5, "1 map unit")):
        figure = embedding_comparison({"a": points / divisor}, labels, limits=None)
        assert text in words(figure.axes[0]).replace("units units", "units")


def test_names_of_moved_classes_always_find_a_place():
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % 25
    points = rng.normal(size=(1000, 2))  # all classes at one place
    names = [f"Left ventricle {i}" for i in range(25)]
    moved = labels >= 22
    after = points + np.where(moved, 0.4, 0.0)[:, None]
    ax = displacement_arrows(points, after, labels, moved=moved, class_names=names).axes[0]
    written = {text.get_text().replace("\n", " ") for text in ax.texts}
    assert set(names[22:]) <= written


def test_what_names_no_panel_is_quoted(clusters):
    points, labels = clusters
    mask = labels == 1
    for options in ({"came_from": {"b": (points, mask)}}, {"signs": {"b": {"weighed": mask}}}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` names no panel: 'b'"):
            embedding_comparison({"a": points}, labels, **options)
    with pytest.raises(ValueError, match=r"\(180, 2\).*\(3, 2\)"):
        embedding_comparison({"a": points}, labels, came_from={"a": (points[:3], mask)})
