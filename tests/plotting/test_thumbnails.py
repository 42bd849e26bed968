"""Images on a grid: a cell each, near their places; and what is drawn."""

import doctest

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from keras_pli import plotting
from keras_pli.plotting import grid_places, thumbnails
from keras_pli.plotting.grid_places import _on_grid, _settled


def clusters(samples, seed=0):
    random = np.random.default_rng(seed)
    centres = 10 * random.normal(size=(5, 2))
    return centres[random.integers(5, size=samples)] + random.normal(size=(samples, 2))


@pytest.mark.parametrize("module", [grid_places, thumbnails])
def test_the_examples(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(("samples", "rows", "columns"), [(1, 1, 1), (300, 20, 15), (300, 25, 25)])
def test_each_has_a_cell_of_its_own(samples, rows, columns):
    found = grid_places.grid_places(clusters(samples), rows, columns)
    assert len(np.unique(found, axis=0)) == samples
    assert (found >= 0).all() and (found < (rows, columns)).all()


@pytest.mark.parametrize("columns", [15, 25])
def test_hardly_farther_off_than_the_optimal_assignment(columns):
    y, rows = clusters(300), 25
    cells = np.stack(np.indices((rows, columns)), axis=-1).reshape(-1, 2)
    wanted = _on_grid(y, rows, columns)
    costs = cdist(wanted, cells)
    least = costs[linear_sum_assignment(costs)].mean()
    found = np.linalg.norm(grid_places.grid_places(y, rows, columns) - wanted, axis=1).mean()
    assert least <= found < 1.1 * least


def test_of_those_that_ask_for_a_cell_the_nearest_gets_it():
    distances = np.array([[0.4, 0.9], [0.1, 0.8], [0.2, 0.7]])
    cells = np.array([[0, 1], [0, 1], [0, 1]])
    assert _settled(distances, cells, 2).tolist() == [-1, 0, 1]


def test_points_that_coincide_lie_about_their_place():
    found = grid_places.grid_places(np.array([[0.0, 0.0]] * 9 + [[10.0, 10.0]]), 12, 12)
    assert np.ptp(found[:9], axis=0).max() <= 4


@pytest.mark.slow
def test_many_points():
    found = grid_places.grid_places(clusters(20_000), 200, 200)
    assert len(np.unique(found, axis=0)) == 20_000


def test_too_few_cells():
    with pytest.raises(ValueError, match="5 points do not fit into 2 × 2 cells"):
        grid_places.grid_places(clusters(5), 2, 2)


def test_images_lie_where_their_points_do():
    y = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    images = np.stack([np.full((4, 6), value) for value in (0.2, 0.4, 0.6, 0.8)])
    figure = plotting.thumbnail_map(y, images, room=1, pixels=6)
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (12, 12, 3)
    np.testing.assert_allclose(
        picture[[8, 8, 2, 2], [2, 8, 2, 8], 0], [0.2, 0.4, 0.6, 0.8], atol=1e-6
    )
    assert (picture[0] == 1).all()  # an image keeps its aspect


def test_frames_have_the_colours_of_the_classes():
    labels = [1, 0]
    images = np.zeros((2, 8, 8, 3))
    figure = plotting.thumbnail_map(
        [[0.0, 0], [1, 0]], images, labels, class_names=["cat", "dog"], room=1
    )
    picture = figure.axes[0].images[0].get_array()
    styles = plotting.class_styles(labels, ["cat", "dog"])
    framed = [np.isclose(picture, to_rgb(styles[label].color)).all(axis=-1) for label in labels]
    columns = [np.flatnonzero(frame.any(axis=0)) for frame in framed]
    assert columns[0].max() < columns[1].min()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": np.zeros((3, 2))}, r"\(2, 2\).*\(3, 2\)"),
        ({"images": np.zeros((2, 8))}, r"\(2, 8\)"),
        ({"room": 0.5}, "`room`.*0.5"),
        ({"labels": [0, 1, 2]}, "labels"),
    ],
)
def test_errors(changes, message):
    given = {"y": np.zeros((2, 2)), "images": np.zeros((2, 8, 8)), **changes}
    with pytest.raises(ValueError, match=message):
        plotting.thumbnail_map(**given)
