from itertools import pairwise

import numpy as np
import pytest

from keras_pli.intervention import ClassLabel, Indices, Mask, Polygon, Shift
from keras_pli.intervention.selection import as_selection

SQUARE = [(0, 0), (2, 0), (2, 2), (0, 2)]
EMBEDDING = np.array([[0, 0], [1, 1], [2, 3], [4, 1]], dtype=np.float32)
LABELS = np.array([4, 9, 4, 7])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (4, ClassLabel(4)),
        (np.int64(4), ClassLabel(4)),
        (np.array(4), ClassLabel(4)),
        ("Shirt", ClassLabel("Shirt")),
        (np.str_("Shirt"), ClassLabel("Shirt")),
        ([4], Indices([4])),
        ((0, 2), Indices([0, 2])),
        (np.array([0, 2], dtype=np.uint8), Indices([0, 2])),
        ([True, False], Mask([True, False])),
        (np.array([False, True]), Mask([False, True])),
        (Polygon(SQUARE), Polygon(SQUARE)),
    ],
)
def test_first_argument_becomes_a_selection(value, expected):
    selection = as_selection(value, "selection")
    assert selection == expected
    assert type(selection) is type(expected)
    assert Shift(value, by=(1, 0)).selection == expected


@pytest.mark.parametrize(
    "value", [2.5, True, None, [1.5], ["a", "b"], [[0, 1]], {1}, [[1], [2, 3]]]
)
def test_other_first_arguments_are_refused(value):
    with pytest.raises(TypeError, match="must be a class label"):
        as_selection(value, "selection")


def test_several_class_names_are_told_of_isin():
    with pytest.raises(TypeError, match=r"np\.isin\(labels, classes\)"):
        as_selection(["a", "b"], "selection")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (ClassLabel(4), [True, False, True, False]),
        (Indices([3, 1, 3]), [False, True, False, True]),
        (Mask([False, True, True, False]), [False, True, True, False]),
        (Polygon(SQUARE), [True, True, False, False]),
    ],
)
def test_resolves_to_a_mask(selection, expected):
    mask = selection.resolve(EMBEDDING, LABELS)
    assert mask.dtype == bool
    assert mask.tolist() == expected


def test_selections_are_frozen_values():
    assert Mask(np.array([True, False])) == Mask([True, False])
    assert hash(Polygon(SQUARE)) == hash(Polygon(np.array(SQUARE, dtype=np.float32)))
    assert ClassLabel(1) != ClassLabel("1")
    with pytest.raises(AttributeError):
        ClassLabel(1).label = 2


class TestClassLabel:
    def test_missing_label_lists_those_there_are_and_near_names(self):
        labels = np.array(["T-shirt", "Trouser", "Pullover"])
        with pytest.raises(ValueError, match=r"'T-shrt' \(str\)") as caught:
            ClassLabel("T-shrt").resolve(EMBEDDING[:3], labels)
        assert "'Pullover', 'T-shirt', 'Trouser'" in str(caught.value)
        assert "Did you mean 'T-shirt'" in str(caught.value)

    def test_type_counts_and_the_error_shows_it(self):
        with pytest.raises(
            ValueError, match=r"No sample has the label '4' \(str\).* Did you mean 4"
        ):
            ClassLabel("4").resolve(EMBEDDING, LABELS)

    def test_string_and_object_labels(self):
        labels = np.array(["a", 3, "b", "a"], dtype=object)
        assert ClassLabel("a").resolve(EMBEDDING, labels).tolist() == [True, False, False, True]
        assert ClassLabel(3).resolve(EMBEDDING, labels).tolist() == [False, True, False, False]

    def test_needs_labels(self):
        with pytest.raises(ValueError, match="class 4 needs the labels"):
            ClassLabel(4).resolve(EMBEDDING)

    @pytest.mark.parametrize("label", [1.0, True, None, b"a"])
    def test_other_types_are_refused(self, label):
        with pytest.raises(TypeError, match="must be an int or a string"):
            ClassLabel(label)


class TestIndices:
    def test_out_of_range_quotes_the_offending(self):
        with pytest.raises(ValueError, match=r"number of points, 4. Out of range: 4, 17\."):
            Indices([1, 4, 17]).resolve(EMBEDDING)

    def test_negative_quotes_the_offending(self):
        with pytest.raises(ValueError, match=r"from 0 upwards. Received: -2"):
            Indices([1, -2])

    def test_empty(self):
        with pytest.raises(ValueError, match="select no point"):
            Indices([])

    def test_two_axes(self):
        with pytest.raises(ValueError, match=r"one axis. Received shape \(1, 2\)"):
            Indices([[0, 1]])

    def test_floats(self):
        with pytest.raises(TypeError, match=r"must be integers. Received dtype float64"):
            Indices([0.0])


class TestMask:
    def test_other_length(self):
        with pytest.raises(ValueError, match="mask has 3 entries, but the embedding has 4 points"):
            Mask([True, False, True]).resolve(EMBEDDING)

    def test_all_false(self):
        with pytest.raises(ValueError, match="selects none of its 2 points"):
            Mask([False, False])

    def test_integers(self):
        with pytest.raises(TypeError, match=r"must be boolean. Received dtype int"):
            Mask([0, 1])

    def test_two_axes(self):
        with pytest.raises(ValueError, match=r"one axis. Received shape \(1, 2\)"):
            Mask([[True, False]])


def winding_number(point, vertices):
    """Turns of the outline as seen from the point: the sum of signed angles between corners."""
    offsets = np.asarray(vertices) - point
    following = np.roll(offsets, -1, axis=0)
    cross = offsets[:, 0] * following[:, 1] - offsets[:, 1] * following[:, 0]
    return round(np.arctan2(cross, (offsets * following).sum(axis=1)).sum() / (2 * np.pi))


def inside_by_every_edge(points, vertices, tolerance):
    """The rule of a polygon, point by point and edge by edge."""
    odd, outline = np.zeros((2, len(points)), dtype=bool)
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        edge = end - start
        if not edge.any():
            continue
        offset = points - start
        straddles = (start[1] > points[:, 1]) != (end[1] > points[:, 1])
        left_of_edge = edge[0] * offset[:, 1] - edge[1] * offset[:, 0] > 0
        odd ^= straddles & (left_of_edge == (edge[1] > 0))
        along = np.clip(offset @ edge / (edge @ edge), 0, 1)
        outline |= np.hypot(*(offset - along[:, None] * edge).T) <= tolerance
    return odd | outline


class TestPolygon:
    @pytest.mark.parametrize("seed", range(40))
    def test_slabs_leave_the_rule_as_it_is(self, seed):
        rng = np.random.default_rng(seed)
        corners = int(rng.integers(3, 30))
        vertices = rng.normal(size=(corners, 2)) * 10.0 ** rng.integers(-3, 5)
        if (
            seed % 2
        ):  # on a lattice: level edges, corners of equal height, points on corners and edges
            vertices = rng.integers(-3, 4, size=(corners, 2)).astype(float)
        share = rng.uniform(-0.1, 1.1, size=(200, 1))
        ends = rng.integers(0, corners, size=200)
        on_edges = vertices[ends] + share * (vertices[(ends + 1) % corners] - vertices[ends])
        lattice = rng.integers(-3, 4, size=(100, 2))
        around = rng.normal(size=(200, 2)) * np.abs(vertices).max()
        points = np.concatenate([vertices, on_edges, lattice, around]).astype(np.float32)
        largest = max(np.abs(points).max(), np.abs(vertices).max())
        tolerance = float(np.finfo(np.float32).eps * largest)
        expected = inside_by_every_edge(points.astype(float), vertices, tolerance)
        assert np.array_equal(Polygon(vertices).resolve(points), expected)

    def test_far_corners_are_refused_where_no_map_is(self):
        with pytest.raises(ValueError, match=r"where float32 reaches.*1e\+300"):
            Polygon([(0, 0), (1e300, 0), (0, 1)])

    @pytest.mark.parametrize("corners", [3, 4, 7, 15])
    def test_inside_is_an_odd_winding_number(self, corners):
        rng = np.random.default_rng(corners)
        vertices = rng.normal(size=(corners, 2))
        points = rng.normal(size=(400, 2)).astype(np.float32)
        expected = [winding_number(point, vertices) % 2 == 1 for point in points.astype(float)]
        assert 10 < sum(expected) < 390
        assert Polygon(vertices).resolve(points).tolist() == expected

    def test_rays_through_corners_count_once(self):
        diamond = [(0, -1), (1, 0), (0, 1), (-1, 0)]
        points = np.array([[-2, 0], [0, 0], [2, 0], [-1, 1], [-1, -1]], dtype=np.float32)
        assert Polygon(diamond).resolve(points).tolist() == [False, True, False, False, False]

    @pytest.mark.parametrize("sign", [1, -1])
    def test_outline_is_inside_to_float32_rounding(self, sign):
        # 0.6 and 0.8 grow when rounded to float32, so that these corners leave the polygon's box.
        vertices = sign * np.array([(0.1, 0.2), (0.6, 0.3), (0.4, 0.8)])
        ring = np.array([*vertices, vertices[0]])
        along = np.linspace(0, 1, 11)[:, None]
        points = np.concatenate([a + along * (b - a) for a, b in pairwise(ring)])
        assert Polygon(vertices).resolve(points.astype(np.float32)).all()
        outwards = points + 1e-4 * (points - np.mean(vertices, axis=0))
        with pytest.raises(ValueError, match="holds none of the 33 points"):
            Polygon(vertices).resolve(outwards.astype(np.float32))

    @pytest.mark.filterwarnings("error")
    def test_repeated_corners_change_nothing(self):
        points = np.random.default_rng(0).uniform(-1, 3, size=(100, 2))
        closed = Polygon([*SQUARE[:2], SQUARE[1], *SQUARE[2:], SQUARE[0]])
        assert np.array_equal(closed.resolve(points), Polygon(SQUARE).resolve(points))

    def test_empty_selection_says_what_the_map_spans(self):
        message = r"none of the 4 points; the map spans x from 0 to 4 and y from 0 to 3"
        with pytest.raises(ValueError, match=message):
            Polygon(np.add(SQUARE, 10)).resolve(EMBEDDING)

    def test_needs_a_2d_map(self):
        with pytest.raises(ValueError, match=r"map of 2 components. Received 3"):
            Polygon(SQUARE).resolve(np.zeros((4, 3)))

    @pytest.mark.parametrize("vertices", [SQUARE[:2], [(0, 0), (1, 1), (0, 0), (1, 1)]])
    def test_needs_three_corners(self, vertices):
        with pytest.raises(ValueError, match="at least 3 different corners"):
            Polygon(vertices)

    def test_needs_pairs(self):
        with pytest.raises(ValueError, match=r"pairs \(x, y\). Received 3"):
            Polygon(np.eye(3))

    def test_needs_finite_corners(self):
        with pytest.raises(ValueError, match="NaN or infinity in row 2"):
            Polygon([(0, 0), (1, 0), (np.nan, 1)])

    def test_needs_regular_rows(self):
        with pytest.raises(ValueError, match="regular array"):
            Polygon([(0, 0), (1, 0), (1,)])


def test_points_are_told_and_taken_once_each_and_in_order():
    chosen = Indices([9, 2, 9])
    assert str(chosen) == "2 points (2, 9)" and chosen.rows.tolist() == [2, 9]
    assert chosen == Indices([9, 2, 9]) and hash(chosen) == hash(Indices([9, 2, 9]))


def test_long_selections_have_short_reprs():
    many = np.arange(5000)
    for selection in (Indices(many), Mask(many % 2 == 0), Polygon(np.stack([many, many**2], 1))):
        assert len(repr(selection)) < 250
        assert len(str(selection)) < 100
