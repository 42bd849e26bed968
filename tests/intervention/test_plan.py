import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from keras_pli.intervention import (
    Contract,
    Custom,
    InterventionPlan,
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
)
from keras_pli.intervention.selection import as_selection

BOX = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
STORABLE = [
    Shift(np.int64(1), by=np.array([1, 2], dtype=np.float32), reason="„Ärmel“ — too near"),
    Contract(2, factor=np.float32(0.1)),
    MoveTo([3, 1, 3], position=(0.1, 0.2)),
    Separate(0, np.array([4, 5]), distance=np.float64(7)),
    Rotate(Mask([True, False] * 15), degrees=np.int32(30)),
    Scale(Polygon(BOX), factor=2),
    Scale(1, factor=(0.5, 1.5), reason="flat"),
    MovePoints(np.array([9, 4]), np.array([[0.3, 0.4], [0.5, 0.6]])),
    Lasso(BOX, by=(5, 5), scale=0.3),
]


@pytest.fixture
def sample():
    rng = np.random.default_rng(7)
    return rng.normal(size=(30, 2)).astype(np.float32), np.array([1, 0, 0] + [0, 1, 2] * 9)


class TestApply:
    def test_moves_act_on_current_positions(self, sample):
        embedding, labels = sample
        targets, moved = InterventionPlan(
            [Shift(1, (2, 3)), Scale(1, 2), Shift([0], (1, 0))]
        ).apply(embedding, labels)
        points = embedding[labels == 1] + (2, 3)
        expected = embedding.copy()
        expected[labels == 1] = points.mean(axis=0) + 2 * (points - points.mean(axis=0))
        expected[0] += (1, 0)
        np.testing.assert_allclose(targets, expected, atol=1e-5)
        assert np.array_equal(moved, (labels == 1) | (np.arange(30) == 0))

    def test_is_the_moves_one_by_one(self, sample):
        embedding, labels = sample
        plan = InterventionPlan([Contract(1, 0.3), Rotate(1, 50), Separate(1, 2, distance=5)])
        positions = embedding
        for move in plan:
            positions, _ = move.apply(positions, labels)
        assert np.array_equal(plan.apply(embedding, labels)[0], positions)

    def test_order_matters(self, sample):
        moves = [Contract([0, 1], 0.0), Shift([0], (4, 0))]
        here, _ = InterventionPlan(moves).apply(sample[0])
        there, _ = InterventionPlan(moves[::-1]).apply(sample[0])
        assert not np.allclose(here, there)

    def test_a_lasso_lies_on_the_map_as_it_stands(self):
        plan = InterventionPlan([Shift([0], (10, 10)), Lasso(np.add(BOX, 10), (0, 5))])
        targets, moved = plan.apply([[0, 0], [10, 10.5], [3, 3]])
        assert targets.tolist() == [[10, 15], [10, 15.5], [3, 3]]
        assert moved.tolist() == [True, True, False]

    def test_empty_plan(self, sample):
        targets, moved = InterventionPlan().apply(sample[0])
        assert np.array_equal(targets, sample[0])
        assert targets.dtype == np.float32 and moved.dtype == bool and not moved.any()
        targets[:] = 0
        assert sample[0].any()

    @pytest.mark.parametrize("dtype", [np.float64, np.float16, int])
    def test_any_real_input_gives_float32_and_is_not_changed(self, dtype):
        embedding = np.arange(6).reshape(3, 2).astype(dtype)
        before = embedding.copy()
        targets, _ = InterventionPlan([Shift([0], (1, 1))]).apply(embedding)
        assert targets.dtype == np.float32
        assert targets.tolist() == [[1, 2], [2, 3], [4, 5]]
        assert np.array_equal(embedding, before) and embedding.dtype == dtype

    def test_selected_points_count_as_moved_even_in_place(self, sample):
        embedding, labels = sample
        targets, moved = InterventionPlan([Contract(1, factor=1)]).apply(embedding, labels)
        assert np.array_equal(targets, embedding)
        assert np.array_equal(moved, labels == 1)

    def test_column_labels_and_names(self, sample):
        embedding, labels = sample
        names = np.array(["Bag", "Coat", "Shirt"])[labels]
        expected = InterventionPlan([Shift(1, (1, 0))]).apply(embedding, labels)
        for plan, given in [(Shift(1, (1, 0)), labels[:, None]), (Shift("Coat", (1, 0)), names)]:
            got = InterventionPlan([plan]).apply(embedding, given)
            assert all(map(np.array_equal, got, expected))

    def test_three_components(self):
        rng = np.random.default_rng(0)
        embedding, labels = rng.normal(size=(20, 3)), np.repeat([0, 1], 10)
        plan = InterventionPlan(
            [Separate(0, 1, distance=9), Rotate(0, 20, axis=(0, 1, 1)), Shift(1, (1, 2, 3))]
        )
        targets, moved = plan.apply(embedding, labels)
        gap = targets[10:].mean(axis=0) - targets[:10].mean(axis=0) - (1, 2, 3)
        assert np.linalg.norm(gap) == pytest.approx(9, rel=1e-5)
        assert moved.all()

    def test_carries_over_to_another_sample(self, sample):
        rng = np.random.default_rng(99)
        train, labels = sample
        test, test_labels = rng.normal(size=(17, 2)) + 3, rng.permutation(np.arange(17) % 3)
        plan = InterventionPlan(
            [Contract(2, 0.25), Separate(0, 1, distance=30), Lasso(np.multiply(BOX, 9), (0, 100))]
        )
        plan.apply(train, labels)
        targets, moved = plan.apply(test, test_labels)
        own = [test[test_labels == c].mean(axis=0) for c in range(3)]
        # Half of 30 apart, classes 0 and 1 have left the lasso of class 2.
        step = (30 - np.linalg.norm(own[1] - own[0])) / 2
        line = step * (own[1] - own[0]) / np.linalg.norm(own[1] - own[0])
        expected = test.copy()
        expected[test_labels == 0] -= line
        expected[test_labels == 1] += line
        expected[test_labels == 2] = own[2] + (test[test_labels == 2] - own[2]) / 4
        expected[(np.abs(expected) <= 9).all(axis=1)] += (0, 100)
        np.testing.assert_allclose(targets, expected, atol=1e-4)
        assert (targets[test_labels == 2, 1] > 50).all() and moved.all()

    def test_an_unsuited_sample_is_an_error_naming_the_move(self, sample):
        plan = InterventionPlan([Shift(1, (1, 0)), Shift([29], (0, 1))])
        with pytest.raises(ValueError, match=r"Move 2 of 2, shift point 29 .*Out of range: 29"):
            plan.apply(sample[0][:20], sample[1][:20])

    def test_labels_are_needed_for_a_class_only(self, sample):
        InterventionPlan([Shift([1], (1, 0))]).apply(sample[0])
        with pytest.raises(ValueError, match=r"Move 1 of 1, .*class 1 needs the labels"):
            InterventionPlan([Shift(1, (1, 0))]).apply(sample[0])

    def test_missing_class(self, sample):
        with pytest.raises(ValueError, match=r"label 7 \(int\). The labels there are: 0, 1, 2"):
            InterventionPlan([Contract(7)]).apply(*sample)

    @pytest.mark.parametrize("plan", [InterventionPlan(), InterventionPlan([Shift([0], (1, 0))])])
    def test_bad_arrays(self, sample, plan):
        embedding, labels = sample
        with pytest.raises(ValueError, match=r"^`labels` must have one entry for each of the 30"):
            plan.apply(embedding, labels[:5])
        with pytest.raises(ValueError, match="One-hot labels"):
            plan.apply(embedding, np.eye(3)[labels])
        embedding[4, 1] = np.nan
        with pytest.raises(ValueError, match=r"^`embedding` must be finite.*rows 4"):
            plan.apply(embedding, labels)
        with pytest.raises(ValueError, match="`embedding` must have 2 axes"):
            plan.apply(embedding[0], labels)


class TestCallables:
    def test_rows_that_change_are_moved(self, sample):
        embedding, labels = sample
        plan = InterventionPlan([lambda y, classes: np.where(classes[:, None] == 2, -y, y)])
        targets, moved = plan.apply(embedding, labels)
        assert np.array_equal(moved, labels == 2)
        assert np.array_equal(targets[labels == 2], -embedding[labels == 2])

    def test_may_overwrite_what_it_is_given(self, sample):
        embedding, labels = (array.copy() for array in sample)

        def spoil(positions, classes):
            positions[:], classes[:] = 0, 0
            return positions

        targets, moved = InterventionPlan([spoil, Contract(1)]).apply(embedding, labels)
        assert not targets.any() and moved.all()
        assert np.array_equal(embedding, sample[0]) and np.array_equal(labels, sample[1])

    def test_comes_in_its_turn(self, sample):
        plan = InterventionPlan([Shift([0], (1, 1)), lambda y, labels: 2 * y])
        targets, _ = plan.apply(sample[0])
        np.testing.assert_allclose(targets[0], 2 * (sample[0][0] + 1))

    def test_is_not_stored(self):
        def swirl(embedding, labels):
            return embedding

        with pytest.raises(
            ValueError, match=r"cannot hold a function.*change 2, .*swirl of the whole"
        ):
            InterventionPlan([Shift(1, (1, 0)), swirl]).to_json()
        with pytest.raises(
            ValueError, match=r"cannot hold a function.*change 1, .*the function tanh"
        ):
            InterventionPlan([Custom(1, np.tanh)]).to_json()


class TestHistory:
    def test_undo_after_add_is_the_identity(self, sample):
        plan = InterventionPlan(STORABLE[:2])
        before, picture = InterventionPlan(STORABLE[:2]), plan.apply(*sample)[0]
        assert plan.add(Rotate(1, 45)) is plan
        assert plan != before
        assert plan.undo() is plan
        assert plan == before
        assert np.array_equal(plan.apply(*sample)[0], picture)

    def test_redo_after_undo_is_the_identity(self):
        plan = InterventionPlan(STORABLE)
        plan.undo().undo().undo().redo().redo().redo()
        assert plan.moves == tuple(STORABLE)

    def test_adding_clears_what_was_undone(self):
        plan = InterventionPlan(STORABLE[:3]).undo().add(STORABLE[5])
        assert plan.moves == (*STORABLE[:2], STORABLE[5])
        with pytest.raises(ValueError, match="nothing to redo"):
            plan.redo()

    def test_a_refused_move_keeps_what_was_undone(self):
        plan = InterventionPlan(STORABLE[:1]).undo()
        with pytest.raises(TypeError):
            plan.add(3)
        assert plan.redo().moves == (STORABLE[0],)

    def test_nothing_to_undo(self):
        with pytest.raises(ValueError, match="nothing to undo"):
            InterventionPlan().undo()

    def test_plans_share_no_list(self):
        moves = STORABLE[:1]
        plan = InterventionPlan(moves)
        moves.append(STORABLE[1])
        assert len(plan) == 1

    def test_length_iteration_equality(self):
        plan = InterventionPlan(STORABLE)
        assert len(plan) == len(STORABLE) and list(plan) == STORABLE
        assert plan == InterventionPlan(plan)
        assert plan != InterventionPlan(STORABLE[::-1])
        assert plan != STORABLE
        with pytest.raises(TypeError):
            hash(plan)

    def test_what_is_no_move(self):
        with pytest.raises(TypeError, match=r"Received: 'shift' of str"):
            InterventionPlan(["shift"])
        with pytest.raises(TypeError, match=r"Shift is a class of changes; write Shift\(…\)"):
            InterventionPlan([Shift])
        with pytest.raises(TypeError, match=r"write \[change\]"):
            InterventionPlan(Shift(1, (1, 0)))


def test_labels_used():
    plan = InterventionPlan([Separate(4, "Bag", distance=3), Shift([1], (0, 0)), Contract(4)])
    assert plan.labels_used == (4, "Bag")
    assert InterventionPlan([Lasso(BOX, (1, 1))]).labels_used == ()


def test_a_notebook_gets_a_table_of_moves():
    plan = InterventionPlan([Shift("<b>", by=(1, 0), reason="too near & wide"), Contract(2, 0.5)])
    page = plan._repr_html_()
    assert "InterventionPlan of 2 moves" in page and page.count("<tr") == 3
    assert "too near &amp; wide" in page and "&lt;b&gt;" in page and "<b>'" not in page
    assert "<table" not in InterventionPlan()._repr_html_()
    assert "because" not in InterventionPlan([Contract(2, 0.5)])._repr_html_()


@pytest.mark.parametrize("components", [2, 3])
def test_plot_draws_the_map_before_and_edited(components):
    y = np.random.default_rng(0).normal(size=(20, components))
    labels = np.arange(20) % 2
    plan = InterventionPlan([Contract(1, factor=0.5)])
    figure = plan.plot(y, labels, class_names=["cat", "dog"])
    targets, _ = plan.apply(y, labels)
    for ax, wanted in zip(figure.axes, (np.float32(y), targets), strict=True):
        offsets = [dots.get_offsets() for dots in ax.collections if len(dots.get_offsets()) == 20]
        if components == 2:
            assert {tuple(point) for point in np.float32(offsets[0])} == {*map(tuple, wanted)}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog"]
    with pytest.raises(ValueError, match="labels"):
        plan.plot(y)
    with pytest.raises(ValueError, match=r"2 or 3 components can be drawn.*\(20, 4\)"):
        plan.plot(np.zeros((20, 4)), labels)


def test_repr_says_each_move_and_its_reason():
    plan = InterventionPlan([Contract(4), Separate(4, 9, distance=8.0, reason="confused")])
    assert repr(plan).splitlines() == [
        "InterventionPlan of 2 moves",
        "  1. contract class 4 to 0.5 of its size",
        "  2. separate class 4 and class 9 to a distance of 8",
        "     because: confused",
    ]
    assert repr(plan.undo()).startswith("InterventionPlan of 1 move\n")


class TestStorage:
    @pytest.mark.parametrize("move", STORABLE, ids=lambda move: type(move).__name__)
    def test_round_trip(self, sample, move):
        plan = InterventionPlan([move])
        again = InterventionPlan.from_json(plan.to_json())
        assert again == plan and again.moves[0].reason == move.reason
        for got, expected in zip(again.apply(*sample), plan.apply(*sample), strict=True):
            assert np.array_equal(got, expected)
        assert plan.apply(*sample)[1].any()

    def test_rotation_about_an_axis(self):
        plan = InterventionPlan([Rotate(1, 30, axis=(1, 2, 3))])
        assert InterventionPlan.from_json(plan.to_json()) == plan

    def test_empty_plan(self):
        assert InterventionPlan.from_json(InterventionPlan().to_json()) == InterventionPlan()

    def test_a_move_of_the_caller(self, sample):
        @dataclass(frozen=True)
        class Flip(Move):
            selection: object = field(metadata={"convert": as_selection})

            def move_points(self, points):
                return -points

            def __str__(self):
                return f"flip {self.selection}"

        plan = InterventionPlan([Flip(1, reason="odd one out")])
        again = InterventionPlan.from_json(plan.to_json())
        assert again == plan
        mask = sample[1] == 1
        assert np.array_equal(again.apply(*sample)[0][mask], -sample[0][mask])

    def test_files(self, tmp_path):
        plan = InterventionPlan(STORABLE)
        path = plan.save(tmp_path / "new" / "plan.json")
        assert isinstance(path, Path)
        assert plan.to_json(str(tmp_path / "b.json")) == path.read_text(encoding="utf-8")
        for read in (InterventionPlan.load, InterventionPlan.from_json):
            assert read(path) == read(str(path)) == read(str(tmp_path / "b.json")) == plan
        assert [entry.name for entry in path.parent.iterdir()] == ["plan.json"]

    def test_a_plan_that_cannot_be_stored_leaves_the_old_file(self, tmp_path):
        path = InterventionPlan(STORABLE).save(tmp_path / "plan.json")
        with pytest.raises(ValueError, match="cannot hold a function"):
            InterventionPlan([lambda y, labels: y]).save(path)
        assert InterventionPlan.load(path) == InterventionPlan(STORABLE)

    def test_header_and_one_move_a_line(self):
        text = InterventionPlan(STORABLE).to_json()
        document = json.loads(text)
        assert (document["format"], document["version"]) == ("keras_pli.InterventionPlan", 2)
        assert len(text.splitlines()) == len(STORABLE) + 6
        assert document["changes"][1] == {
            "type": "Contract",
            "selection": {"type": "ClassLabel", "label": 2},
            "factor": float(np.float32(0.1)),
        }

    @pytest.mark.parametrize("label", [3, "3"])
    def test_labels_keep_their_type(self, label):
        plan = InterventionPlan([Contract(label)])
        (again,) = InterventionPlan.from_json(plan.to_json()).labels_used
        assert again == label and type(again) is type(label)


def stored(**changes):
    return json.dumps({"format": "keras_pli.InterventionPlan", "version": 1, "moves": []} | changes)


def with_move(**content):
    return stored(
        moves=[{"type": "Contract", "selection": {"type": "ClassLabel", "label": 1}} | content]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": "keras_pli', "is not JSON: Unterminated"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no intervention plan: its format is None"),
        (stored(format="other"), "its format is 'other'"),
        (stored(version=[]), r"has version \[\] of the format"),
        (stored(version=True), "has version True of the format"),
        (with_move(type="Move"), "Received: 'Move'"),
        (stored(version=3), "has version 3 of the format; this keras_pli reads version 1 and 2"),
        (stored(moves=None), "must hold a list of moves. Received: None"),
        (stored(moves=[3]), "move 1: expected an object with a `type`. Received: 3"),
        (stored(moves=[{"by": 1}]), "move 1: expected an object with a `type`"),
        (with_move(type="Contrct"), "Received: 'Contrct'. Did you mean 'Contract'"),
        (with_move(type=["Contract"]), r"`type` must be one of .* Received: \['Contract'\]"),
        (with_move(facto=0.5), "an entry of Contract` must be one of .* Did you mean 'factor'"),
        (with_move(factor=3), r"move 1: `factor` must lie in \[0, 1\]. Received: 3"),
        (with_move(factor="x"), "move 1: `factor` must be a number. Received: 'x'"),
        (with_move(factor=float("nan")), "move 1: `factor` must be finite"),
        (with_move(selection=None), "move 1: `selection` must be a class label"),
        (with_move(selection={"type": "Classlabel"}), "Did you mean 'ClassLabel'"),
        (with_move(selection={"type": "ClassLabel"}), "move 1: ClassLabel lacks 'label'"),
        (with_move(selection={"type": "Indices", "indices": [-1]}), "move 1: Indices are counted"),
        (with_move(type="Shift"), "move 1: Shift lacks 'by'"),
        (with_move(type="Custom", function="os.remove"), "`function` must be callable"),
    ],
)
def test_damaged_and_foreign_files(tmp_path, text, message):
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        InterventionPlan.load(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).count(str(path)) == 1
    with pytest.raises(ValueError, match=message):
        InterventionPlan.from_json(text)


def test_the_base_of_the_damaged_files_is_itself_sound():
    assert InterventionPlan.from_json(with_move()) == InterventionPlan([Contract(1)])
    assert InterventionPlan.from_json(stored()) == InterventionPlan()


def test_binary_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_bytes(b"\x80\x04\xff\xfe")
    with pytest.raises(ValueError, match=r"plan.json is not UTF-8 text"):
        InterventionPlan.load(path)


def test_neither_text_nor_file(tmp_path):
    with pytest.raises(
        ValueError, match=r"Neither the JSON text of a plan nor a file. Received: 'pla"
    ):
        InterventionPlan.from_json("plan-that-is-not-there.json")
    with pytest.raises(FileNotFoundError):
        InterventionPlan.from_json(tmp_path / "missing.json")
    with pytest.raises(FileNotFoundError):
        InterventionPlan.load(tmp_path / "missing.json")
