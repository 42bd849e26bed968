"""Outlines of classes, against matplotlib's contours of the same density."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path

from keras_pli.plotting.outlines import class_outlines
from keras_pli.studio import StudioData
from keras_pli.studio.samples.outlines import map_outlines
from keras_pli.studio.samples.samples import Samples


@pytest.fixture(scope="module")
def cloud():
    """Class 0 in two clusters of 200 and 100 points, class 1 between them, class 2 a single point."""
    rng = np.random.default_rng(0)
    parts = [(-10, 200), (10, 100), (0, 150)]
    points = [rng.normal((x, 0), size=(count, 2)) for x, count in parts]
    labels = np.repeat([0, 0, 1, 2], [200, 100, 150, 1])
    return np.concatenate([*points, [[0.0, 20.0]]]), labels


def area(line):
    x, y = line.T
    return abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def from_left(lines):
    return sorted(lines, key=lambda line: line[:, 0].mean())


def test_lines_are_those_of_the_figures(cloud):
    points, labels = cloud
    drawn = class_outlines(points, labels, width=float(np.ptp(points[:, 0])))
    for found in map_outlines(points, labels).classes[:2]:
        ax = Figure().add_subplot()
        drawn[found.label].draw(ax, "black")
        paths = ax.collections[0].get_paths()[0].to_polygons(closed_only=False)
        assert len(found.lines) == len(paths)
        for line, path in zip(from_left(found.lines), from_left(paths), strict=True):
            assert area(line) == pytest.approx(area(path), rel=0.02)
            assert np.array_equal(line[0], line[-1])


def test_names_stand_at_the_densest_spot_and_not_between_clusters(cloud):
    zero, one, _ = map_outlines(*cloud).classes
    assert len(zero.lines) == len(zero.places) == 2
    assert zero.label_at == zero.places[0]  # the cluster with more of the class is the denser one
    for place, centre in zip(zero.places, ((-10, 0), (10, 0)), strict=True):
        assert np.hypot(*np.subtract(place, centre)) < 1
        assert sum(Path(line).contains_point(place) for line in zero.lines) == 1
    assert np.hypot(*one.label_at) < 1


def test_outlines_go_with_the_map(cloud):
    points, labels = cloud
    maps = [map_outlines(each, labels).classes for each in (points, 3 * points + (5, -2))]
    for before, after in zip(*maps, strict=True):
        for line, moved in zip(from_left(before.lines), from_left(after.lines), strict=True):
            assert area(moved) == pytest.approx(9 * area(line), rel=0.02)


def test_most_of_a_class_lies_within(cloud):
    points, labels = cloud
    zero = map_outlines(points, labels).classes[0]
    inside = np.any([Path(line).contains_points(points) for line in zero.lines], axis=0)
    assert 0.85 < inside[labels == 0].mean() <= 1
    assert inside[labels == 1].mean() < 0.05


def test_a_single_point_has_a_place_at_most_a_ring(cloud):
    alone = map_outlines(*cloud).classes[2]
    assert np.allclose(alone.label_at, (0, 20), atol=0.5)
    assert len(alone.lines) <= 1


def test_samples_without_a_label_are_no_class(cloud):
    points, labels = cloud
    hidden = np.where(labels == 1, -1, labels)
    found = map_outlines(points, hidden)
    assert [each.label for each in found.classes] == [0, 2]
    whole = map_outlines(points, labels).classes[0]
    assert area(found.classes[0].lines[0]) == pytest.approx(area(whole.lines[0]))


def test_points_at_one_spot():
    found = map_outlines(np.ones((5, 2)), np.zeros(5, int)).classes[0]
    assert np.allclose(found.label_at, (1, 1), atol=1e-3)


def test_classes_on_top_of_each_other_cannot_be_told():
    points = np.random.default_rng(0).normal(size=(600, 2))
    assert not map_outlines(points, np.arange(600) % 6).told_apart
    assert map_outlines(points, np.zeros(600, int)).told_apart


def test_no_labels_no_outlines():
    assert map_outlines(np.eye(2), np.array([-1, -1])).classes == ()


def test_bad_input():
    with pytest.raises(ValueError, match=r"2 components. Received shape \(4, 3\)"):
        map_outlines(np.zeros((4, 3)), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"`points` must be finite"):
        map_outlines(np.full((4, 2), np.nan), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"one entry for each of the 4 samples"):
        map_outlines(np.zeros((4, 2)), np.zeros(3, int))


def test_outlines_are_of_the_map_that_is_asked_for():
    """Two maps of one revision, the first of which nobody else holds any more."""
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1], 60)
    x = random.normal(size=(120, 2)).astype(np.float32)
    classifier = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    data = StudioData.of(classifier, x, labels)
    entered = SimpleNamespace(
        classifier=classifier, outputs=np.ones((len(data.labels), 2), np.float32)
    )
    samples = Samples(data).of(entered)
    for shift in (0, 50, 100):
        points = np.float32(data.labels[:, None] * 8 + shift) + x[: len(data.labels)]
        found = samples.outlines("PLI", points, data.labels)
        expected = map_outlines(points, data.labels)
        del points
        assert [each.label_at for each in found.classes] == [
            each.label_at for each in expected.classes
        ]
