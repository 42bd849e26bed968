from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from keras_pli.intervention import Contract, InterventionPlan, Separate, Shift, occupancy, suggest


def spread(points):
    return np.median(np.linalg.norm(points - points.mean(axis=0), axis=1))


def centres(embedding, labels):
    return {c: embedding[labels == c].mean(axis=0, dtype=float) for c in np.unique(labels)}


def distance(embedding, labels, pair):
    found = centres(embedding, labels)
    return np.linalg.norm(found[pair[0]] - found[pair[1]])


def outputs_with(labels, confused, classes):
    """One-hot outputs that are right, except that `confused[i, j]` samples of class i go to j."""
    predicted = labels.copy()
    for (i, j), count in confused.items():
        rows = np.flatnonzero((labels == i) & (predicted == i))[:count]
        assert len(rows) == count
        predicted[rows] = j
    return np.eye(classes)[predicted]


def clusters(places, *, size=50, scales=None, seed=0):
    places = np.asarray(places, dtype=float)
    labels = np.repeat(np.arange(len(places)), size)
    widths = np.ones(len(places)) if scales is None else np.asarray(scales)
    noise = np.random.default_rng(seed).normal(size=(len(labels), places.shape[1]))
    return (places[labels] + widths[labels][:, None] * noise).astype(np.float32), labels


FOUR = [(0, 0), (2, 0), (0, 20), (21, 20)]


def test_a_perfect_classifier_gives_an_empty_plan():
    embedding, labels = clusters(FOUR)
    assert suggest(np.eye(4)[labels], labels, embedding) == InterventionPlan()


def test_the_most_confused_pair_is_separated_with_its_reason():
    embedding, labels = clusters(FOUR)
    outputs = outputs_with(labels, {(0, 1): 9, (1, 0): 6, (2, 3): 3}, 4)
    names = ["Shirt", "T-shirt", "Bag", "Boot"]
    (move,) = suggest(outputs, labels, embedding, pairs=1, class_names=names)
    spreads = spread(embedding[labels == 0]) + spread(embedding[labels == 1])
    here = distance(embedding, labels, (0, 1))
    assert isinstance(move, Separate)
    assert (move.first.label, move.second.label) == (0, 1)
    assert move.distance == pytest.approx(2 * spreads, rel=1e-5)
    assert move.reason == (
        "Shirt and T-shirt: 15 of 100 samples confused (15.0 %); "
        f"their clusters lie {here / spreads:.1f} spreads apart; the way is free"
    )


def test_unconfused_pairs_are_not_proposed():
    embedding, labels = clusters(FOUR)
    plan = suggest(outputs_with(labels, {(1, 0): 1}, 4), labels, embedding, pairs=6)
    assert plan.labels_used == (0, 1)


def test_default_names_are_the_classes():
    embedding, labels = clusters(FOUR)
    (move,) = suggest(outputs_with(labels, {(0, 1): 1}, 4), labels, embedding)
    assert move.reason.startswith("class 0 and class 1: 1 of 100 samples confused (1.0 %)")


@pytest.mark.parametrize("seed", range(8))
def test_pairs_and_counts_against_sklearn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, size=400, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    outputs = np.eye(5)[labels] + rng.normal(scale=0.7, size=(400, 5))
    embedding = rng.normal(size=(400, 2)) + np.eye(5)[labels][:, :2]
    matrix = confusion_matrix(labels, outputs.argmax(axis=1))
    rates = {
        (i, j): (matrix[i, j] + matrix[j, i]) / (matrix[i].sum() + matrix[j].sum())
        for i, j in combinations(range(5), 2)
    }
    worst = max(rates, key=rates.get)
    plan = suggest(outputs, labels, embedding, pairs=1, free_room=False)
    assert set(plan.labels_used) == set(worst)
    errors = matrix[worst] + matrix[worst[::-1]]
    samples = matrix[list(worst)].sum()
    for move in plan:
        assert f"{errors} of {samples} samples confused ({100 * rates[worst]:.1f} %)" in move.reason


def test_rate_counts_not_the_number_of_errors():
    embedding, labels = clusters(FOUR)
    few = np.flatnonzero(labels >= 2)[::5]
    keep = np.sort(np.concatenate([np.flatnonzero(labels < 2), few]))
    embedding, labels = embedding[keep], labels[keep]
    outputs = outputs_with(labels, {(0, 1): 10, (2, 3): 5}, 4)
    assert suggest(outputs, labels, embedding, pairs=1).labels_used == (2, 3)


def test_equal_rates_go_by_class_order():
    embedding, labels = clusters(FOUR)
    outputs = outputs_with(labels, {(2, 3): 5, (1, 0): 5}, 4)
    assert suggest(outputs, labels, embedding, pairs=1).labels_used == (0, 1)


def test_is_deterministic():
    rng = np.random.default_rng(3)
    embedding, labels = clusters(FOUR, scales=[1, 3, 1, 1])
    outputs = rng.normal(size=(200, 4)) + 2 * np.eye(4)[labels]
    assert suggest(outputs, labels, embedding) == suggest(outputs, labels, embedding)


class TestModeration:
    def test_never_further_than_reach(self):
        embedding, labels = clusters([(0, 0), (0.5, 0), (0.3, 0.4)])
        outputs = outputs_with(labels, {(0, 1): 5}, 3)
        (move,) = suggest(outputs, labels, embedding, reach=0.1)
        here = distance(embedding, labels, (0, 1))
        assert move.distance == pytest.approx(here + 0.1 * spread(embedding), rel=1e-5)
        (further,) = suggest(outputs, labels, embedding, reach=0.3)
        assert further.distance > move.distance

    def test_gap_is_counted_in_spreads(self):
        embedding, labels = clusters(FOUR)
        outputs = outputs_with(labels, {(0, 1): 5}, 4)
        (two,) = suggest(outputs, labels, embedding)
        (one,) = suggest(outputs, labels, embedding, gap=1)
        assert one.distance == pytest.approx(two.distance / 2, rel=1e-6)

    def test_clusters_apart_already_are_contracted_mildly(self):
        embedding, labels = clusters(FOUR)
        outputs = outputs_with(labels, {(2, 3): 5}, 4)
        plan = suggest(outputs, labels, embedding)
        assert [(type(m), m.selection.label, m.factor) for m in plan] == [
            (Contract, 2, 0.8),
            (Contract, 3, 0.8),
        ]
        spreads = spread(embedding[labels == 2]) + spread(embedding[labels == 3])
        apart = f"{distance(embedding, labels, (2, 3)) / spreads:.1f} spreads apart"
        assert all(f"already lie {apart}, so only strays" in move.reason for move in plan)

    @pytest.mark.parametrize(("width", "factor"), [(1.8, None), (20, 0.5)])
    def test_a_wide_confused_class_is_contracted_first(self, width, factor):
        embedding, labels = clusters(FOUR, scales=[1, width, 1, 1])
        outputs = outputs_with(labels, {(0, 1): 5}, 4)
        plan = suggest(outputs, labels, embedding, free_room=False)
        wide = plan.moves[0]
        typical = np.median([spread(embedding[labels == c]) for c in range(4)])
        ratio = spread(embedding[labels == 1]) / typical
        assert isinstance(wide, Contract) and wide.selection.label == 1
        assert wide.factor == pytest.approx(factor or 1 / ratio, rel=1e-5)
        assert f"class 1 is spread {ratio:.1f} times as wide as the typical class" in wide.reason
        (move,) = [move for move in plan if isinstance(move, Separate)]
        after, _ = InterventionPlan([wide]).apply(embedding, labels)
        spreads = spread(after[labels == 0]) + spread(after[labels == 1])
        assert move.distance <= 2 * spreads * (1 + 1e-5)

    def test_a_wide_class_that_is_not_confused_is_left(self):
        embedding, labels = clusters(FOUR, scales=[1, 1, 9, 1])
        plan = suggest(outputs_with(labels, {(0, 1): 5}, 4), labels, embedding)
        assert plan.labels_used == (0, 1)

    @pytest.mark.parametrize("components", [2, 3])
    @pytest.mark.parametrize("seed", range(12))
    def test_separated_pairs_end_no_closer_and_no_class_is_contracted_twice(self, seed, components):
        rng = np.random.default_rng(seed)
        embedding, labels = clusters(
            rng.normal(scale=2, size=(6, components)), seed=seed, scales=rng.uniform(0.3, 3, 6)
        )
        outputs = np.eye(6)[labels] + rng.normal(scale=0.6, size=(300, 6))
        plan = suggest(outputs, labels, embedding, pairs=8, free_room=False)
        targets, _ = plan.apply(embedding, labels)
        separated = [(m.first.label, m.second.label) for m in plan if isinstance(m, Separate)]
        assert separated
        for pair in separated:
            before, after = (distance(y, labels, pair) for y in (embedding, targets))
            assert after >= before * (1 - 2e-5)
        contracted = [m.selection.label for m in plan if isinstance(m, Contract)]
        assert len(contracted) == len(set(contracted))

    def test_a_pair_that_would_undo_an_earlier_one_is_contracted(self):
        # On a line 0 - 1 - 2, class 1 would give back more than it gained on class 0.
        embedding, labels = clusters([(0, 0), (4, 0), (5, 0)])
        outputs = outputs_with(labels, {(0, 1): 20, (1, 2): 10}, 3)
        plan = suggest(outputs, labels, embedding, reach=9, free_room=False)
        kinds = [type(move) for move in plan]
        assert kinds == [Separate, Contract, Contract]
        assert plan.moves[1].reason.endswith(
            "moving them apart would bring class 0 and class 1 closer"
        )

    def test_coincident_centres_are_contracted(self):
        embedding = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        plan = suggest(np.eye(2)[[0, 1, 1, 0]], [0, 0, 1, 1], embedding)
        assert [type(move) for move in plan] == [Contract, Contract]
        assert "their centres coincide" in plan.moves[0].reason

    def test_single_points_are_no_clusters_to_contract(self):
        plan = suggest(np.eye(2)[[1, 0]], [0, 1], [[0, 0], [3, 0]])
        assert plan == InterventionPlan()

    def test_a_typical_class_of_a_single_point_makes_no_other_wide(self):
        labels = np.array([0, 1, 2, 2, 2])
        embedding = np.array([[0, 0], [1, 0], [1, 1], [3, 1], [5, 2]])
        plan = suggest(np.eye(3)[[0, 2, 2, 2, 2]], labels, embedding)
        assert [type(move) for move in plan] == [Separate]


class TestFreeRoom:
    """Classes 0 and 1 lie at one place; straight apart along x, 2 and 3 are in the way."""

    @pytest.fixture
    def crowded(self):
        embedding, labels = clusters([(-0.4, 0), (0.4, 0), (-5, 0), (5, 0), (0, -30)])
        return outputs_with(labels, {(0, 1): 9}, 5), labels, embedding

    def test_pushed_into_third_classes_where_it_looks_at_two(self, crowded):
        outputs, labels, embedding = crowded
        plan = suggest(outputs, labels, embedding, gap=5, reach=9, free_room=False)
        targets, moved = plan.apply(embedding, labels)
        collisions = occupancy(embedding, targets, labels, moved).collisions
        assert {(each.label, each.other) for each in collisions} == {(0, 2), (1, 3)}

    def test_finds_a_way_around_and_says_what_it_looked_at(self, crowded):
        outputs, labels, embedding = crowded
        plan = suggest(outputs, labels, embedding, gap=5, reach=9)
        assert {type(move) for move in plan} == {Shift}
        assert "straight apart would bring class " in plan.moves[0].reason
        assert "of 48 ways apart that were looked at, this is the shortest" in plan.moves[0].reason
        targets, _ = plan.apply(embedding, labels)
        found = occupancy(embedding, targets, labels, labels >= 0)
        assert found.collisions == ()
        before, after = found.foreign_to((0, 1))
        assert after < 0.02 < 0.3 < before
        straight = suggest(outputs, labels, embedding, gap=5, reach=9, free_room=False)
        here = distance(targets, labels, (0, 1))
        assert here == pytest.approx(straight.moves[0].distance, rel=1e-4)

    @pytest.mark.parametrize("components", [1, 2, 3])
    def test_nothing_it_proposes_collides(self, components):
        rng = np.random.default_rng(components)
        embedding, labels = clusters(rng.normal(scale=1.5, size=(5, components)), size=30)
        outputs = np.eye(5)[labels] + rng.normal(scale=0.6, size=(150, 5))
        old = suggest(outputs, labels, embedding, free_room=False)
        new = suggest(outputs, labels, embedding)
        everyone = labels >= 0
        collisions = [
            len(occupancy(embedding, plan.apply(embedding, labels)[0], labels, everyone).collisions)
            for plan in (old, new)
        ]
        assert collisions[1] == 0 < collisions[0] + (components == 3)
        assert new == suggest(outputs, labels, embedding)

    def test_a_pair_with_no_room_is_contracted(self, crowded, monkeypatch):
        monkeypatch.setattr("keras_pli.intervention.free_room.FreeRoom.best", lambda *_: None)
        outputs, labels, embedding = crowded
        plan = suggest(outputs, labels, embedding, gap=5, reach=9)
        assert [type(move) for move in plan] == [Contract, Contract]
        assert plan.moves[0].reason.endswith("after), and none of 144 ways apart is free")

    def test_many_points_are_looked_at_in_part(self, monkeypatch, crowded):
        monkeypatch.setattr("keras_pli.intervention.free_room.MOST_POINTS", 120)
        outputs, labels, embedding = crowded
        plan = suggest(outputs, labels, embedding, gap=5, reach=9)
        targets, moved = plan.apply(embedding, labels)
        assert moved.any() and len(targets) == 250
        found = occupancy(embedding, targets, labels, moved)
        assert found.foreign[1] < 0.05 < found.foreign[0]


def test_a_class_without_samples_has_no_cluster():
    embedding, labels = clusters(FOUR[:3])
    outputs = outputs_with(labels, {(0, 3): 9, (0, 1): 2}, 4)
    assert suggest(outputs, labels, embedding).labels_used == (0, 1)


def test_the_plan_is_stored_like_any_other():
    embedding, labels = clusters(FOUR, scales=[1, 3, 1, 1])
    plan = suggest(outputs_with(labels, {(0, 1): 9, (2, 3): 3}, 4), labels, embedding)
    assert len(plan) >= 3
    assert InterventionPlan.from_json(plan.to_json()) == plan


class TestErrors:
    @pytest.fixture
    def given(self):
        embedding, labels = clusters(FOUR)
        return {"classifier_outputs": np.eye(4)[labels], "labels": labels, "embedding": embedding}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": lambda y: y + 1}, r"must lie in \[0, 4\).* Received: 4"),
            ({"labels": lambda y: y - 2}, "Received: -2"),
            ({"labels": lambda y: y.astype(float)}, "must be ints. Received dtype float64"),
            ({"labels": lambda y: y.astype(str)}, "must be ints. Received dtype <U"),
            ({"labels": lambda y: y[:-1]}, "one entry for each of the 200"),
            ({"labels": lambda y: np.eye(4)[y]}, "One-hot"),
            ({"classifier_outputs": lambda p: p * np.nan}, "`classifier_outputs` must be finite"),
            ({"classifier_outputs": lambda p: p[:, :1]}, "stack 1 - p and p"),
            ({"classifier_outputs": lambda p: p[:, 0]}, "must have 2 axes"),
            ({"embedding": lambda y: y * np.inf}, "`embedding` must be finite"),
            ({"embedding": lambda y: y[:-3]}, "of the 200 rows .* Received 197 rows"),
        ],
    )
    def test_arrays(self, given, changes, message):
        given |= {name: change(given[name]) for name, change in changes.items()}
        with pytest.raises(ValueError, match=message):
            suggest(**given)

    def test_fewer_points_than_classes(self):
        with pytest.raises(ValueError, match="Received 3 points and 4 classes"):
            suggest(np.eye(4)[:3], [0, 1, 2], np.eye(3, 2))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"pairs": 0}, "`pairs` must be an int of at least 1. Received: 0"),
            ({"pairs": 1.5}, "Received: 1.5"),
            ({"class_names": ["a", "b"]}, "each of the 4 classes. Received 2: 'a', 'b'"),
            ({"gap": 0}, "`gap` must be positive"),
            ({"reach": -1}, "`reach` must be positive"),
            ({"wide": np.nan}, "`wide` must be finite"),
        ],
    )
    def test_options(self, given, options, message):
        with pytest.raises(ValueError, match=message):
            suggest(**given, **options)


def test_samples_without_a_label_are_left_aside():
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    positions = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]])[labels] + random.normal(size=(90, 2))
    outputs = np.eye(3)[np.where(random.random(90) < 0.3, (labels + 1) % 2, labels)]
    known = np.arange(90) < 60
    some = suggest(outputs, np.where(known, labels, -1), positions)
    assert some == suggest(outputs[known], labels[known], positions[known]) and len(some)
