import numpy as np
import pytest
from matplotlib.contour import ContourSet

from keras_pli.plotting import MapGrid, decoding_map, map_grid


@pytest.fixture
def grid():
    """Two cells of a map of 4 × 4, to the lower left and to the upper right."""
    return MapGrid(np.array([[0.5, 0.5], [3.5, 2.5]], dtype=np.float32), 1.0, (0.0, 4.0, 0.0, 4.0))


def drawn_at(figure, x, y):
    """The colour and opacity of the picture at a place of the map, in [0, 1]."""
    (shown,) = figure.axes[0].images
    canvas, (x0, x1, y0, y1) = np.asarray(shown.get_array()), shown.get_extent()
    row = int((y1 - y) / (y1 - y0) * len(canvas))  # the first row is the uppermost
    return canvas[row, int((x - x0) / (x1 - x0) * canvas.shape[1])] / 255


def texts(ax):
    return {text.get_text() for text in ax.texts}


class TestGrid:
    def test_cells_are_those_of_a_histogram(self):
        points = np.random.default_rng(0).normal(size=(300, 2)) * [4.0, 2.5]
        grid = map_grid(points, columns=15, least=2)
        x0, x1, y0, y1 = grid.limits
        rows = round((y1 - y0) / grid.side)
        edges = np.linspace(x0, x1, 16), np.linspace(y0, y1, rows + 1)
        counts, *_ = np.histogram2d(*points.T, bins=edges)
        assert counts.sum() == 300 and rows == pytest.approx((y1 - y0) / (x1 - x0) * 15)
        column, row = np.nonzero(counts >= 2)
        expected = [
            [edges[0][c] + grid.side / 2, edges[1][r] + grid.side / 2]
            for c, r in zip(column, row, strict=True)
        ]
        order = np.lexsort(grid.positions.T[::-1])
        np.testing.assert_allclose(grid.positions[order], expected, atol=1e-4)

    def test_all_cells(self):
        points = [[0.0, 0.0], [10.0, 10.0]]
        assert len(map_grid(points, columns=5, least=0).positions) == 25
        assert len(map_grid(points, columns=5).positions) == 2

    def test_one_place(self):
        assert len(map_grid(np.zeros((7, 2))).positions) == 1

    @pytest.mark.parametrize(
        ("points", "options", "message"),
        [
            (np.zeros((5, 3)), {}, r"must have 2 components. Received shape \(5, 3\)"),
            (np.eye(2), {"columns": 0}, "`columns` must be a whole number from 1"),
            (np.eye(2), {"least": 2}, r"No cell holds `least` = 2 points; the fullest holds 1"),
        ],
    )
    def test_errors(self, points, options, message):
        with pytest.raises(ValueError, match=message):
            map_grid(points, **options)


class TestMap:
    def test_each_image_lies_at_its_place(self, grid):
        images = np.stack([np.full((4, 4), 0.2), np.full((4, 4), 0.8)])
        figure = decoding_map(images, grid)
        for (x, y), grey in zip(grid.positions, (0.2, 0.8), strict=True):
            np.testing.assert_allclose(drawn_at(figure, x, y), [grey, grey, grey, 1], atol=0.003)
        assert drawn_at(figure, 1.5, 0.5)[3] == 0
        assert figure.axes[0].get_xlim() == (0, 4) and figure.axes[0].get_ylim() == (0, 4)

    def test_rows_run_down_and_columns_to_the_right(self, grid):
        image = np.zeros((4, 4, 3))
        image[0, 3] = [1.0, 0.5, 0.0]
        figure = decoding_map([image, image], grid)
        np.testing.assert_allclose(drawn_at(figure, 3.9, 2.9), [1, 0.5, 0, 1], atol=0.003)
        np.testing.assert_allclose(drawn_at(figure, 3.1, 2.1), [0, 0, 0, 1])

    def test_inverted(self, grid):
        figure = decoding_map(np.full((2, 4, 4, 1), 0.25), grid, invert=True)
        assert drawn_at(figure, 0.5, 0.5)[0] == pytest.approx(0.75, abs=0.003)

    def test_images_that_are_not_square_keep_their_shape(self, grid):
        figure = decoding_map(np.ones((2, 40, 20)), grid)
        assert drawn_at(figure, 0.5, 0.05)[3] == 1 and drawn_at(figure, 0.15, 0.5)[3] == 0

    def test_classes_have_outlines_and_names_beside_the_images(self, clusters):
        points, labels = clusters
        grid = map_grid(points)
        images = np.zeros((len(grid.positions), 8, 8))
        names = {"class_names": ["cat", "dog", "owl"], "title": "Pets"}
        figure = decoding_map(images, grid, embedding=points, labels=labels, **names)
        (ax,) = figure.axes
        assert texts(ax) >= {"cat", "dog", "owl"} and ax.get_title(loc="left") == "Pets"
        assert len([line for line in ax.collections if isinstance(line, ContourSet)]) == 3
        for text in ax.texts:
            if text.get_text() in names["class_names"]:
                assert drawn_at(figure, *text.get_position())[3] == 0

    @pytest.mark.slow
    def test_many_classes_have_a_legend(self):
        random = np.random.default_rng(0)
        labels = np.arange(600) % 20
        points = random.uniform(-30, 30, (20, 2))[labels] + random.normal(size=(600, 2))
        grid = map_grid(points, columns=20)
        images = np.zeros((len(grid.positions), 2, 2))
        figure = decoding_map(images, grid, embedding=points, labels=labels)
        assert len(figure.axes[0].get_legend().get_texts()) == 20

    def test_draws_into_given_axes(self, grid):
        figure = decoding_map(np.zeros((2, 2, 2)), grid)
        assert decoding_map(np.ones((2, 2, 2)), grid, ax=figure.axes[0]) is figure

    @pytest.mark.parametrize(
        ("images", "options", "message"),
        [
            (np.zeros((3, 4, 4)), {}, "each of the 2 cells of the grid. Received: 3"),
            (np.zeros((2, 4, 4, 2)), {}, r"last axis of 1 or 3\. Received shape \(2, 4, 4, 2\)"),
            (np.full((2, 4, 4), np.nan), {}, "`images` must be finite"),
            (np.zeros((2, 4, 4)), {"labels": [0, 1]}, "belong together"),
            (np.zeros((2, 4, 4)), {"value_range": (1, 0)}, "`value_range` must be increasing"),
        ],
    )
    def test_errors(self, grid, images, options, message):
        with pytest.raises(ValueError, match=message):
            decoding_map(images, grid, **options)
