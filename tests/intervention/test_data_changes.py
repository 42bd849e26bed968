"""What plans make of labels, weights and rows, against a loop over samples."""

import json
import warnings

import numpy as np
import pytest

from keras_pli.intervention import (
    Contract,
    Exclude,
    Indices,
    InterventionPlan,
    Mask,
    Polygon,
    Relabel,
    Shift,
    Weigh,
)

SQUARE = Polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)])
CHANGES = [
    Weigh(3, 2.5, reason="Rare."),
    Weigh(Mask([True, False, False, False, True, False]), np.float32(4)),
    Relabel([2], np.int64(8), reason="An eight."),
    Exclude(Indices([5])),
    Relabel(SQUARE, 3),
]
LABELS = np.array([3, 8, 3, 8, -1, 8])
PLACES = np.array([[5, 5], [4, 4], [6, 6], [7, 7], [0, 0], [9, 9]], dtype=np.float32)


def edited_slowly(labels, weights, changes):
    """Labels, weights and rows by hand, of changes told as (kind, rows, value)."""
    labels, weights, out = list(labels), list(weights), set()
    for kind, rows, value in changes:
        for row in rows:
            if kind == "weigh":
                weights[row] *= value
            elif kind == "relabel":
                labels[row] = value
            else:
                out.add(row)
    rows = [row for row, label in enumerate(labels) if row not in out and label != -1]
    return labels, weights, rows


def test_changes_one_after_another():
    edited = InterventionPlan(CHANGES).edited_data(LABELS, PLACES, sample_weight=[1, 2, 1, 1, 3, 0])
    labels, weights, rows = edited_slowly(
        LABELS,
        [1, 2, 1, 1, 3, 0],
        [
            ("weigh", [0, 2], 2.5),
            ("weigh", [0, 4], 4),
            ("relabel", [2], 8),
            ("exclude", [5], None),
            ("relabel", [4], 3),
        ],
    )
    assert edited.labels.tolist() == labels and edited.rows.tolist() == rows
    np.testing.assert_allclose(edited.sample_weight, weights)
    assert edited.sample_weight.dtype == np.float32
    assert edited.of(LABELS).tolist() == LABELS[rows].tolist()
    assert edited.counts == {"weighed": 3, "relabelled": 2, "excluded": 1, "unlabelled": 0}


def test_random_plans_are_what_a_loop_makes():
    random = np.random.default_rng(0)
    for _ in range(30):
        labels = random.integers(-1, 4, size=40)
        chosen = [random.choice(40, size=6, replace=False) for _ in range(5)]
        told = [(("weigh", "exclude")[n % 2], rows, 1.0 + n) for n, rows in enumerate(chosen)]
        made = [Weigh(r, f) if kind == "weigh" else Exclude(r) for kind, r, f in told]
        edited = InterventionPlan(made).edited_data(labels)
        expected = edited_slowly(labels, np.ones(40), told)
        np.testing.assert_allclose(edited.sample_weight, expected[1], rtol=1e-6)
        assert edited.labels.tolist() == expected[0] and edited.rows.tolist() == expected[2]
        weighed, excluded = ({*chosen[n], *chosen[n + 2]} for n in (0, 1))
        assert {*np.flatnonzero(edited.weighed)} == ({*chosen[4]} | weighed) - excluded


def test_arrays_given_stay_as_they_are():
    labels, places, weights = LABELS.copy(), PLACES.copy(), np.ones(6)
    InterventionPlan([*CHANGES, Contract(3)]).edited_data(labels, places, sample_weight=weights)
    assert np.array_equal(labels, LABELS) and np.array_equal(places, PLACES)
    assert np.all(weights == 1)


def test_a_class_has_what_changes_before_left_there():
    plan = InterventionPlan([Relabel([1], 3), Weigh(3, 2.0), Shift(3, (1, 0))])
    assert plan.edited_data(LABELS).sample_weight.tolist() == [2, 2, 2, 1, 1, 1]
    targets, moved = plan.apply(PLACES, LABELS)
    assert np.flatnonzero(moved).tolist() == [0, 1, 2]
    assert np.array_equal(targets - PLACES, np.outer(moved, [1, 0]))


def test_a_polygon_lies_over_the_map_as_moves_leave_it():
    plan = InterventionPlan([Shift([0], (-5, -5)), Relabel(SQUARE, 8)])
    assert np.flatnonzero(plan.edited_data(LABELS, PLACES).relabelled).tolist() == [0, 4]


def test_moves_alone_and_data_changes_alone():
    plan = InterventionPlan([*CHANGES, Shift(3, (1, 0))])
    assert plan.moves == (Shift(3, (1, 0)),) and plan.data_changes == tuple(CHANGES)
    assert plan.changes == (*CHANGES, Shift(3, (1, 0))) and len(plan) == 6
    same = InterventionPlan([Weigh(3, 2), Exclude([5]), Contract(3)]).apply(PLACES, LABELS)
    alone = InterventionPlan([Contract(3)]).apply(PLACES, LABELS)
    assert all(np.array_equal(one, other) for one, other in zip(same, alone, strict=True))


@pytest.mark.parametrize(
    ("changes", "needed"),
    [([Weigh(3, 2)], False), ([Exclude(SQUARE)], True), ([Contract(3)], True), ([], False)],
)
def test_whether_a_map_is_needed(changes, needed):
    assert InterventionPlan(changes).needs_map is needed


def test_a_plan_without_data_changes_trains_on_all_that_is_labelled():
    edited = InterventionPlan([Contract(3)]).edited_data(LABELS)
    assert edited.rows.tolist() == [0, 1, 2, 3, 5] and np.all(edited.sample_weight == 1)


def test_repr_undo_and_json():
    plan = InterventionPlan(CHANGES)
    assert repr(plan).splitlines() == [
        "InterventionPlan of 5 changes",
        "  1. weigh class 3 by 2.5",
        "     because: Rare.",
        "  2. weigh 2 of 6 points by 4",
        "  3. relabel point 2 as class 8",
        "     because: An eight.",
        "  4. exclude point 5",
        "  5. relabel the points in a lasso of 4 corners as class 3",
    ]
    assert InterventionPlan.from_json(plan.to_json()) == plan
    assert [entry["type"] for entry in json.loads(plan.to_json())["changes"]] == [
        type(change).__name__ for change in CHANGES
    ]
    assert plan.undo().changes == tuple(CHANGES[:-1]) and plan.redo().changes == tuple(CHANGES)
    assert "<td>exclude point 5</td>" in plan._repr_html_()


def test_plans_one_after_the_other():
    both = InterventionPlan([Relabel([2], 8)]) + InterventionPlan([Contract(8)])
    assert both.changes == (Relabel([2], 8), Contract(8))
    with pytest.raises(TypeError):
        both + 3


def test_names_longer_than_those_there():
    edited = InterventionPlan([Relabel([0], "trousers")]).edited_data(["bag", "trousers", "bag"])
    assert edited.labels.tolist() == ["trousers", "trousers", "bag"]
    short = np.array(["bag", "hat", "hat"])
    edited = InterventionPlan([Relabel([2], "bag")]).edited_data(short)
    assert edited.labels.tolist() == ["bag", "hat", "bag"]


def test_what_was_relabelled_alike_twice_is_fine():
    plan = InterventionPlan([Relabel([0, 1], 8), Relabel([1, 2], 8), Exclude([2])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert plan.edited_data(LABELS).labels.tolist() == [8, 8, 8, 8, -1, 8]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        (
            [Relabel([0, 1], 8), Relabel([0, 2], 3)],
            {},
            r"Change 2 of 2, relabel 2 points \(0, 2\) as class 3: 1 of these .* as 8: rows 0",
        ),
        ([Relabel([0], 5)], {}, r"There is no class 5 \(int\). The classes are: 3, 8"),
        ([Relabel([0], "8")], {}, r"There is no class '8' \(str\)"),
        ([Relabel([0], 10)], {"classes": 10}, "There is no class 10 .*: 0, 1, 2, 3, 4"),
        ([Exclude(3), Exclude(8)], {}, "nothing to train on: of 6 samples, 5 are excluded"),
        ([Weigh(7, 2)], {}, "Change 1 of 1, weigh class 7 by 2: No sample has the label 7"),
        ([Exclude([6])], {}, "Out of range: 6"),
        ([Exclude(SQUARE)], {}, r"lasso selects on the map: call `edited_data\(labels, embedding"),
        ([Weigh(3, 2)], {"sample_weight": [1, 2]}, "for each of the 6 samples. Received: 2"),
        ([Weigh(3, 2)], {"sample_weight": [-1] * 6}, "may not be negative. Received: -1"),
        ([Weigh(3, 1e30), Weigh(3, 1e30)], {}, "sample_weight"),
    ],
)
def test_what_does_not_fit(changes, options, message):
    with pytest.raises(ValueError, match=message):
        InterventionPlan(changes).edited_data(LABELS, **options)


def test_a_lasso_without_points_in_another_sample():
    with pytest.raises(ValueError, match=r"The lasso holds none of the 6 points"):
        InterventionPlan([Exclude(SQUARE)]).edited_data(LABELS, PLACES + 50)


def test_a_class_without_any_labelled_sample_can_be_given_and_moved():
    plan = InterventionPlan([Relabel(-1, 5), Shift(5, (1, 0))])
    assert plan.edited_data(LABELS, classes=6).labels.tolist() == [3, 8, 3, 8, 5, 8]
    assert np.flatnonzero(plan.apply(PLACES, LABELS)[1]).tolist() == [4]
    assert plan.labels_used == (5,)


@pytest.mark.parametrize("kind", ["uint8", "int8", "float32"])
def test_labels_of_narrow_types_hold_larger_ones(kind):
    edited = InterventionPlan([Relabel([0], 299)]).edited_data(np.array([3, 8], kind), classes=300)
    assert edited.labels.tolist() == [299, 8]


@pytest.mark.parametrize("labels", [[0.5, 1.0], [np.nan, 1.0], np.array([3, None]), [True, False]])
def test_labels_that_are_none(labels):
    with pytest.raises(ValueError, match=r"must be integers or strings. Received dtype"):
        InterventionPlan([Weigh([0], 2)]).edited_data(labels)


def test_a_class_that_is_lost_is_warned_of():
    with pytest.warns(UserWarning, match=r"no training sample of 3"):
        InterventionPlan([Relabel(3, 8)]).edited_data(LABELS)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Weigh(3, 0), ValueError, "`factor` must be positive. Received: 0"),
        (lambda: Weigh(3, -2), ValueError, "`factor` must be positive. Received: -2"),
        (lambda: Weigh(3, np.inf), ValueError, "`factor` must be finite"),
        (lambda: Weigh(3, "2"), TypeError, "`factor` must be a number. Received: '2'"),
        (lambda: Relabel(3, 2.5), TypeError, "int or a string. Received: 2.5"),
        (lambda: Relabel(3, -1), ValueError, "-1 stands for no label"),
        (lambda: Exclude([]), ValueError, "the list is empty"),
        (lambda: Exclude(2.5), TypeError, "`selection` must be a class label"),
    ],
)
def test_changes_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()
