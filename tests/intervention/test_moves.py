import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from keras_pli.intervention import (
    ClassLabel,
    Contract,
    Custom,
    Indices,
    Lasso,
    Mask,
    Move,
    MovePoints,
    MoveTo,
    Polygon,
    Rotate,
    Scale,
    Separate,
    Shift,
    WholeMap,
)
from keras_pli.intervention.move import Move as BaseMove

BOX = [(-100, -100), (100, -100), (100, 100), (-100, 100)]


@pytest.fixture(params=[2, 3], ids=["2-D", "3-D"])
def sample(request):
    rng = np.random.default_rng(request.param)
    labels = np.repeat([0, 1, 2], 40)
    centres = rng.normal(scale=20, size=(3, request.param))
    embedding = centres[labels] + rng.normal(size=(120, request.param))
    order = rng.permutation(120)
    return embedding[order].astype(np.float32), labels[order]


@pytest.fixture
def flat():
    rng = np.random.default_rng(5)
    return rng.normal(size=(30, 2)).astype(np.float32) * 10, np.repeat([0, 1, 2], 10)


def about_centre(points, matrix):
    centre = points.astype(np.float64).mean(axis=0)
    return centre + (points - centre) @ np.transpose(matrix)


def check(move, embedding, labels, mask, expected):
    """The selected rows go where they should; the other rows and the input stay to the bit."""
    before = embedding.copy()
    targets, moved = move.apply(embedding, labels)
    assert targets.dtype == np.float32
    assert np.array_equal(moved, mask)
    np.testing.assert_allclose(targets[mask], expected, rtol=1e-6, atol=1e-5)
    assert np.array_equal(targets[~mask], embedding[~mask])
    assert np.array_equal(embedding, before)


class TestClosedForms:
    def test_shift(self, sample):
        embedding, labels = sample
        by = np.arange(1, 1 + embedding.shape[1])
        check(Shift(1, by), embedding, labels, labels == 1, embedding[labels == 1] + by)

    def test_contract(self, sample):
        embedding, labels = sample
        points = embedding[labels == 1]
        expected = 0.7 * points.mean(axis=0) + 0.3 * points
        check(Contract(1, factor=0.3), embedding, labels, labels == 1, expected)

    def test_contract_halves_by_default(self, sample):
        embedding, labels = sample
        targets, _ = Contract(1).apply(embedding, labels)
        np.testing.assert_allclose(
            targets[labels == 1].std(axis=0), embedding[labels == 1].std(axis=0) / 2, rtol=1e-4
        )

    def test_contract_by_one_is_the_identity(self, sample):
        embedding, labels = sample
        assert np.array_equal(Contract(1, factor=1).apply(embedding, labels)[0], embedding)

    def test_contract_by_zero_is_the_centre(self, sample):
        embedding, labels = sample
        centre = embedding[labels == 1].mean(axis=0, dtype=np.float64)
        expected = np.tile(centre, (40, 1))
        check(Contract(1, factor=0), embedding, labels, labels == 1, expected)

    def test_move_to(self, sample):
        embedding, labels = sample
        position = np.linspace(-3, 4, embedding.shape[1])
        targets, _ = MoveTo(2, position).apply(embedding, labels)
        mask = labels == 2
        np.testing.assert_allclose(targets[mask].mean(axis=0, dtype=float), position, atol=1e-5)
        steps = targets[mask] - embedding[mask]
        np.testing.assert_allclose(steps, np.tile(steps[0], (40, 1)), atol=1e-5)

    def test_scale(self, sample):
        embedding, labels = sample
        expected = about_centre(embedding[labels == 0], 1.7 * np.eye(embedding.shape[1]))
        check(Scale(0, 1.7), embedding, labels, labels == 0, expected)

    def test_scale_by_component(self, sample):
        embedding, labels = sample
        factors = [2, 0.5, 0][: embedding.shape[1]]
        expected = about_centre(embedding[labels == 0], np.diag(factors))
        check(Scale(0, factors), embedding, labels, labels == 0, expected)

    def test_rotate_in_the_plane(self, flat):
        embedding, labels = flat
        matrix = Rotation.from_euler("z", 37, degrees=True).as_matrix()[:2, :2]
        expected = about_centre(embedding[labels == 1], matrix)
        check(Rotate(1, 37), embedding, labels, labels == 1, expected)

    @pytest.mark.parametrize("axis", [(0, 0, 2), (1, -2, 0.5)])
    def test_rotate_about_an_axis(self, axis):
        rng = np.random.default_rng(0)
        embedding, labels = rng.normal(size=(30, 3)).astype(np.float32), np.repeat([0, 1], 15)
        turn = np.deg2rad(-110) * np.array(axis) / np.linalg.norm(axis)
        expected = about_centre(embedding[:15], Rotation.from_rotvec(turn).as_matrix())
        check(Rotate(0, -110, axis=axis), embedding, labels, labels == 0, expected)

    def test_move_points_follows_the_order_of_the_indices(self, sample):
        embedding, _ = sample
        positions = np.random.default_rng(1).normal(size=(3, embedding.shape[1]))
        targets, moved = MovePoints([7, 2, 100], positions).apply(embedding)
        np.testing.assert_allclose(targets[[7, 2, 100]], positions, rtol=1e-6)
        assert np.flatnonzero(moved).tolist() == [2, 7, 100]
        given = MovePoints(Indices([7, 2, 100]), positions)
        assert np.array_equal(given.apply(embedding)[0], targets)

    def test_lasso(self, flat):
        embedding, _ = flat
        box = [(-8, -8), (8, -8), (8, 8), (-8, 8)]
        mask = (np.abs(embedding) < 8).all(axis=1)
        assert 0 < mask.sum() < 30
        expected = about_centre(embedding[mask], 0.5 * np.eye(2)) + np.array([3, -4])
        check(Lasso(box, by=(3, -4), scale=0.5), embedding, None, mask, expected)
        assert Lasso(box, (3, -4), scale=0.5) == Lasso(Polygon(box), (3, -4), scale=0.5)

    def test_lasso_only_shifts_unless_scaled(self, flat):
        embedding, labels = flat
        check(
            Lasso(BOX, (1, 2)), embedding, labels, np.full(30, True), embedding + np.array([1, 2])
        )

    def test_custom(self, sample):
        embedding, labels = sample
        expected = np.tanh(embedding[labels == 1])
        check(Custom(1, np.tanh), embedding, labels, labels == 1, expected)

    def test_custom_function_receives_float32_it_may_overwrite(self, sample):
        embedding, labels = sample

        def spoil(points):
            assert points.dtype == np.float32
            points[:] = 0
            return points

        check(Custom(1, spoil), embedding, labels, labels == 1, 0)

    def test_whole_map_moves_the_rows_it_changes(self, sample):
        embedding, labels = sample

        def flip(positions, classes):
            positions[classes == 2] *= -1
            return positions

        check(WholeMap(flip), embedding, labels, labels == 2, -embedding[labels == 2])


class TestSeparate:
    @pytest.mark.parametrize("distance", [0.5, 80.0])
    def test_distance_midpoint_direction_and_shape(self, sample, distance):
        embedding, labels = sample
        targets, moved = Separate(0, 2, distance=distance).apply(embedding, labels)
        before = [embedding[labels == c].mean(axis=0, dtype=float) for c in (0, 2)]
        after = [targets[labels == c].mean(axis=0, dtype=float) for c in (0, 2)]
        gap = after[1] - after[0]
        np.testing.assert_allclose(np.linalg.norm(gap), distance, rtol=1e-5)
        np.testing.assert_allclose(sum(after) / 2, sum(before) / 2, atol=1e-5)
        line = before[1] - before[0]
        np.testing.assert_allclose(gap / distance, line / np.linalg.norm(line), atol=1e-5)
        np.testing.assert_allclose(
            targets[labels == 0] - after[0], embedding[labels == 0] - before[0], atol=2e-5
        )
        assert np.array_equal(moved, labels != 1)

    def test_selections_may_not_overlap(self, sample):
        embedding, labels = sample
        shared = np.flatnonzero(labels == 1)[:1]
        with pytest.raises(ValueError, match=f"share 1 points: {shared[0]}"):
            Separate(1, shared, distance=3).apply(embedding, labels)

    def test_a_class_cannot_leave_itself(self, sample):
        with pytest.raises(ValueError, match="may not overlap, but share 40 points"):
            Separate(1, 1, distance=3).apply(*sample)

    def test_coincident_centres(self):
        embedding = np.array([[1, 5], [3, 5], [2, 4], [2, 6]])
        message = r"class 0 and class 1 coincide at \(2, 5\), so no direction"
        with pytest.raises(ValueError, match=message):
            Separate(0, 1, distance=3).apply(embedding, [0, 0, 1, 1])

    @pytest.mark.parametrize("distance", [0, -1.0])
    def test_distance_must_be_positive(self, distance):
        with pytest.raises(ValueError, match=f"`distance` must be positive. Received: {distance}"):
            Separate(0, 1, distance=distance)

    def test_distance_is_keyword_only_and_required(self):
        with pytest.raises(TypeError):
            Separate(0, 1, 3.0)
        with pytest.raises(TypeError, match="distance"):
            Separate(0, 1)


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize(
    "move", [Contract(1, 0.2), Scale(1, 3.0), Scale(1, (0.1, 4)), Rotate(1, 77)]
)
def test_centre_stays_to_float_precision(flat, move, offset):
    embedding, labels = flat
    embedding = embedding + np.float32(offset)
    targets, _ = move.apply(embedding, labels)
    assert not np.allclose(targets[labels == 1], embedding[labels == 1])
    drift = targets[labels == 1].mean(axis=0, dtype=float) - embedding[labels == 1].mean(
        axis=0, dtype=float
    )
    assert np.abs(drift).max() <= np.finfo(np.float32).eps * np.abs(targets).max()


def test_rotation_keeps_distances_and_four_quarters_return(flat):
    embedding, labels = flat
    targets = embedding
    for _ in range(4):
        targets, _ = Rotate(1, 90).apply(targets, labels)
    np.testing.assert_allclose(targets, embedding, atol=1e-4)
    turned = Rotate(1, 33).apply(embedding, labels)[0][labels == 1]
    still = embedding[labels == 1]
    pairs = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (turned, still)]
    np.testing.assert_allclose(*pairs, atol=1e-4)


class TestComponents:
    @pytest.mark.parametrize(
        "move",
        [
            Shift(0, by=(1, 2)),
            MoveTo(0, position=(1, 2)),
            Scale(0, factor=(1, 2)),
            MovePoints([0], [(1, 2)]),
        ],
    )
    def test_another_number_of_components_quotes_both(self, move):
        message = "has 2 components, but the embedding has 3: .* another number of components"
        with pytest.raises(ValueError, match=message):
            move.apply(np.eye(3), [0, 1, 2])

    def test_a_single_number_is_no_vector_that_broadcasts(self):
        with pytest.raises(ValueError, match="`by` has 1 components, but the embedding has 3"):
            Shift(0, by=(1,)).apply(np.eye(3), [0, 1, 2])

    @pytest.mark.parametrize(
        ("move", "components", "message"),
        [
            (Rotate(0, 10), 3, "without `axis` needs 2 components. The embedding has 3"),
            (
                Rotate(0, 10, axis=(1, 0, 0)),
                2,
                "about `axis` needs 3 components. The embedding has 2",
            ),
            (Rotate(0, 10, axis=(1, 0, 0)), 4, "The embedding has 4"),
            (Lasso(BOX, (1, 1)), 3, "map of 2 components. Received 3"),
        ],
    )
    def test_moves_bound_to_a_dimension(self, move, components, message):
        with pytest.raises(ValueError, match=message):
            move.apply(np.eye(4, components), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Contract(0, factor=1.2),
            ValueError,
            r"`factor` must lie in \[0, 1\]. Received: 1.2",
        ),
        (lambda: Contract(0, factor=-0.1), ValueError, r"must lie in \[0, 1\]"),
        (lambda: Contract(0, factor=np.nan), ValueError, "`factor` must be finite"),
        (
            lambda: Contract(0, factor="half"),
            TypeError,
            "`factor` must be a number. Received: 'half'",
        ),
        (lambda: Contract(0, factor=True), TypeError, "must be a number. Received: True"),
        (lambda: Shift(0, by=3), ValueError, "`by` must be one finite number a component.* 3"),
        (lambda: Shift(0, by=(1, np.inf)), ValueError, "`by` must be one finite number"),
        (lambda: Shift(0, by=("a", "b")), ValueError, "`by` must hold real numbers"),
        (lambda: Shift(0, by=()), ValueError, "`by` must be one finite number"),
        (lambda: MoveTo(0, position=[[1, 2]]), ValueError, "`position` must be one finite number"),
        (lambda: Scale(0, factor=-1), ValueError, "`factor` may not be negative. Received: -1"),
        (lambda: Scale(0, factor=(1, -1)), ValueError, "may not be negative"),
        (lambda: Rotate(0, 10**400), ValueError, "`degrees` must be finite"),
        (lambda: Rotate(0, 10, axis=(0, 0, 0)), ValueError, "three numbers, not all zero"),
        (lambda: Rotate(0, 10, axis=(0, 1)), ValueError, "three numbers.* Received: 0.0, 1.0"),
        (
            lambda: Lasso(BOX, by=(1, 2, 3)),
            ValueError,
            "must be two numbers. Received: 1.0, 2.0, 3.0",
        ),
        (lambda: Lasso(BOX, (1, 2), scale=-1), ValueError, "`scale` may not be negative"),
        (lambda: Lasso(BOX[:2], (1, 2)), ValueError, "at least 3 different corners"),
        (lambda: MovePoints([3, 3], np.eye(2)), ValueError, "Named more than once: 3"),
        (lambda: MovePoints([3, 4], np.eye(3)), ValueError, "2 indices. Received 3 positions"),
        (lambda: MovePoints([3], [(np.nan, 1)]), ValueError, "`positions` must be finite"),
        (lambda: MovePoints([3], (1, 2)), ValueError, r"shape \(points, components\)"),
        (lambda: MovePoints(3, [(1, 2)]), TypeError, r"integers of shape \(k,\). Received: 3"),
        (lambda: MovePoints([True], [(1, 2)]), TypeError, r"integers of shape \(k,\)"),
        (lambda: MovePoints(Mask([True]), [(1, 2)]), TypeError, r"integers of shape \(k,\)"),
        (lambda: Custom(0, 3), TypeError, "`function` must be callable. Received: 3"),
        (lambda: Shift(0, (1, 2), reason=7), TypeError, "`reason` must be a string or None"),
    ],
)
def test_bad_arguments_are_met_when_the_move_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


class TestFunctions:
    def test_custom_shape(self):
        with pytest.raises(
            ValueError, match=r"shape it was given, \(2, 3\). Received shape \(3,\)"
        ):
            Custom([0, 1], lambda points: points.sum(axis=0)).apply(np.eye(3))

    def test_custom_nan(self):
        with pytest.raises(ValueError, match=r"what .*lambda.* returned` must be finite"):
            Custom([0, 1], lambda points: points * np.nan).apply(np.eye(3))

    def test_whole_map_shape(self):
        with pytest.raises(ValueError, match=r"given, \(3, 3\). Received shape \(2, 3\)"):
            WholeMap(lambda embedding, labels: embedding[:2]).apply(np.eye(3))


def test_positions_beyond_float32_are_refused():
    with pytest.raises(ValueError, match="`targets` must be finite, but 1 of 3"):
        Shift([1], by=(0, 3e38, 0)).apply(np.eye(3) * 3e38)


def test_moves_are_frozen_values_with_plain_fields():
    move = Shift(np.int32(3), by=np.array([1, 2], dtype=np.float32), reason="close")
    assert move == Shift(ClassLabel(3), by=(1.0, 2.0), reason="close")
    assert hash(move) == hash(Shift(3, (1, 2), reason="close"))
    assert move != Shift(3, by=(1, 2))
    assert move != MoveTo(3, (1, 2), reason="close")
    assert type(move.by) is tuple and type(move.by[0]) is float
    with pytest.raises(AttributeError):
        move.by = (0, 0)


def test_a_move_of_the_same_name_from_elsewhere_is_refused():
    with pytest.raises(TypeError, match=r"'Shift' already, in keras_pli.intervention.moves"):
        type("Shift", (BaseMove,), {"__module__": "elsewhere"})
    assert Move.kinds["Shift"] is Shift


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (Shift(4, (1, -2.5)), "shift class 4 by (1, -2.5)"),
        (Contract("Shirt", 0.5), "contract class 'Shirt' to 0.5 of its size"),
        (MoveTo([3, 5, 3], (0, 1)), "move the centre of 2 points (3, 5) to (0, 1)"),
        (Separate(4, 9, distance=8), "separate class 4 and class 9 to a distance of 8"),
        (Rotate(1, 9), "rotate class 1 by 9 degrees counter-clockwise"),
        (Rotate([True, False], -90), "rotate 1 of 2 points by 90 degrees clockwise"),
        (Rotate(1, 9, axis=(0, 0, 1)), "rotate class 1 by 9 degrees about the axis (0, 0, 1)"),
        (Scale(1, (2, 3)), "scale class 1 by (2, 3)"),
        (MovePoints([8], [(1, 2)]), "put point 8 at new positions"),
        (Lasso(BOX, (1, 2)), "shift the points in a lasso of 4 corners by (1, 2)"),
        (
            Lasso(BOX, (1, 2), scale=0.5),
            "scale the points in a lasso of 4 corners by 0.5 and shift them by (1, 2)",
        ),
        (Custom(1, np.tanh), "move class 1 by the function tanh"),
        (WholeMap(np.add), "move points by the function add of the whole map"),
    ],
)
def test_words(move, words):
    assert str(move) == words
