import numpy as np
import pytest

from keras_pli.intervention.occupancy import occupancy


def slow_shares(positions, labels, row, neighbors, reach):
    """Shares of classes among the nearest labelled others of one row, by sorting all distances."""
    distances = np.linalg.norm(positions - positions[row], axis=1)
    others = [r for r in np.argsort(distances, kind="stable") if r != row and labels[r] != -1]
    near = [r for r in others[:neighbors] if distances[r] <= reach]
    classes = sorted(set(labels) - {-1})
    return [sum(labels[r] == c for r in near) / neighbors for c in classes]


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 4, 160)
    places = np.array([(0, 0), (6, 0), (0, 6), (6, 6)])
    positions = (places[labels] + rng.normal(size=(160, 2))).astype(np.float32)
    targets = positions.copy()
    targets[labels == 0] += (6, 0)
    return positions, targets, labels


def test_shares_against_sorted_distances(world):
    positions, targets, labels = world
    known = positions[labels != -1]
    distances = np.sort(np.linalg.norm(known[:, None] - known[None], axis=2), axis=1)
    reach = np.quantile(distances[:, 5], 0.95)
    selected = np.isin(labels, [0, 2, -1])
    found = occupancy(positions, targets, labels, selected, neighbors=5)
    assert found.classes == (0, 1, 2, 3) and found.labels == (-1, 0, 2)
    for row, label in enumerate(found.labels):
        for shares, on_map in ((found.before, positions), (found.after, targets)):
            each = [
                slow_shares(on_map, labels, r, 5, reach) for r in np.flatnonzero(labels == label)
            ]
            np.testing.assert_allclose(shares[row], np.mean(each, axis=0), atol=1e-7)
    assert found.counts.sum() == selected.sum()


def test_a_class_moved_onto_another_collides_with_it_alone(world):
    positions, targets, labels = world
    (collision,) = occupancy(positions, targets, labels, 0).collisions
    assert (collision.label, collision.other) == (0, 1)
    assert collision.after > 0.3 > 0.1 > collision.before


def test_unlabelled_points_collide_with_nobody(world):
    positions, _, labels = world
    targets = positions.copy()
    targets[labels == -1] = positions[labels == 1][0]
    found = occupancy(positions, targets, labels, labels == -1)
    assert found.collisions == () and np.isnan(found.foreign).all()
    assert found.gains[0, 1] > 0.5


def test_a_class_spread_thinner_than_the_reach_sees_who_comes():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 20])
    positions = np.where(labels[:, None] == 0, 1.0, 40.0) * random.normal(size=(320, 2))
    positions[labels == 0] -= 300
    targets = positions + 300 * (labels == 0)[:, None]
    found = occupancy(positions, targets, labels, labels >= 0)
    assert ("1", "0") in {(str(each.label), str(each.other)) for each in found.collisions}
    near = np.linalg.norm(targets[labels == 1][:, None] - targets, axis=2).argsort(axis=1)[:, 1:11]
    # Nobody nearer than those is left out, but for the farthest of a class that has no edge.
    assert found.after[1, 0] == pytest.approx(np.mean(labels[near] == 0), abs=0.1)


@pytest.mark.parametrize("rows", [[3], [0, 1, 2, 3, 4]])
def test_an_empty_place_has_no_neighbours(world, rows):
    positions, _, labels = world
    targets = positions.copy()
    targets[rows] += (90, 90)
    found = occupancy(positions, targets, labels, rows)
    assert found.collisions == ()
    assert found.after.sum(axis=1).max() <= (len(rows) - 1) / 10


def test_classes_that_stay_collide_with_nobody_where_another_leaves():
    labels = np.repeat([0, 1, 2], 40)
    positions = labels[:, None] / 2 + np.random.default_rng(0).normal(size=(120, 1))
    targets = positions + 50 * (labels == 1)[:, None]
    found = occupancy(positions, targets, labels, labels == 0)
    assert found.moved == (1,) and found.gains[0, 2] > 0.05
    assert found.collisions == ()


def test_nothing_moved_changes_nothing(world):
    positions, _, labels = world
    found = occupancy(positions, positions, labels, labels == 1)
    assert (found.gains == 0).all() and (found.errors == 0).all()
    before, after = found.foreign
    assert before == after == pytest.approx(found.before[0, [0, 2, 3]].sum())


def test_points_at_one_place_and_names_for_labels():
    labels = np.array(["a"] * 9 + ["b"] * 9)
    found = occupancy(np.zeros((18, 2)), np.zeros((18, 2)), labels, "a", neighbors=17)
    np.testing.assert_allclose(found.before, [[8 / 17, 9 / 17]])
    table = found.table()
    assert table["neighbor"].tolist() == ["a", "b"] and (table["gain"] == 0).all()


def test_more_neighbors_than_points():
    found = occupancy([[0.0], [1.0], [2.0]], [[0.0], [1.0], [2.0]], [0, 1, 1], [0], neighbors=10)
    np.testing.assert_allclose(found.before, [[0, 1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": np.zeros((2, 2))}, r"same shape. Received: \(3, 2\) and \(2, 2\)"),
        ({"labels": [0, 1]}, "each of the 3"),
        ({"labels": [-1, -1, 0]}, "At least two points must have a label. Received: 1"),
        ({"neighbors": 0}, "neighbors"),
        ({"selected": 7}, "No sample has the label 7"),
        ({"positions": np.full((3, 2), np.nan)}, "`positions` must be finite"),
    ],
)
def test_errors(changes, message):
    given = {
        "positions": np.zeros((3, 2)),
        "targets": np.zeros((3, 2)),
        "labels": [0, 1, 1],
        "selected": [0],
    }
    with pytest.raises(ValueError, match=message):
        occupancy(**(given | changes))
