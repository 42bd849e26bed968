import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_pli.intervention import (
    Contract,
    Exclude,
    InterventionPlan,
    MoveTo,
    Relabel,
    Separate,
    Shift,
    occupancy,
)
from keras_pli.plotting.neighbor_bars import plan_figure

CENTRES = np.array([(0, 0), (20, 0), (40, 0), (0, 40)], dtype=float)


@pytest.fixture(scope="module")
def clusters():
    labels = np.repeat(np.arange(4), 40)
    noise = np.random.default_rng(0).normal(size=(160, 2))
    return (CENTRES[labels] + noise).astype(np.float32), labels


class Trial:
    """What a model tells of a plan, made up."""

    seconds = 1.5

    def __init__(self, moved, share, cost):
        self.moved, self._share, self._cost = moved, share, cost

    def share(self, selected):
        return self._share if np.any(selected & self.moved) else np.nan

    def kept(self, selected):
        return 0.75

    def f1_change(self, classes):
        self.classes = list(classes)
        return self._cost


class Model:
    def __init__(self, share=0.4, cost=-0.05, layer=True):
        self.share, self.cost, self.layer = share, cost, layer
        self.asked = []

    def layer_reach(self, x, labels, embedding, targets, *, moved, seed):
        return Trial(moved, 0.8, 0.0) if self.layer else None

    def pilot(self, x, labels, embedding, targets, *, moved, samples, seed):
        self.asked.append((x, labels, embedding, targets, moved, samples, seed))
        return Trial(moved, self.share, self.cost)


def test_a_move_onto_another_class_collides_with_it(clusters):
    y, labels = clusters
    plan = InterventionPlan([Contract(0, factor=0.5), MoveTo(3, position=(20, 0))])
    contracted, onto = plan.check(y, labels).moves
    assert contracted.passes and contracted.finding == "no other class lives where it goes"
    assert contracted.sentence == f"{contracted.move}: {contracted.finding}."
    assert not onto.passes
    assert [(each.label, each.other) for each in onto.collides] == [(3, 1)]
    assert onto.sentence == (
        f"move the centre of class 3 to (20, 0): collides with 1 (0.00 of its neighbours before, "
        f"{onto.collides[0].after:.2f} after)."
    )


def test_neighbours_are_those_of_the_map_after_all_moves(clusters):
    y, labels = clusters
    away = Shift(1, by=(0, -40))
    alone = InterventionPlan([MoveTo(3, position=(20, 0))]).check(y, labels)
    both = InterventionPlan([MoveTo(3, position=(20, 0)), away]).check(y, labels)
    assert not alone.passes and both.passes
    targets, _ = InterventionPlan([MoveTo(3, position=(20, 0)), away]).apply(y, labels)
    expected = occupancy(y, targets, labels, labels == 3)
    assert both.moves[0].after == pytest.approx(dict(enumerate(expected.after[0].tolist())))


def test_of_two_classes_the_sentence_says_which_collides(clusters):
    y, labels = clusters
    check = InterventionPlan([Separate(0, 1, distance=60.0)]).check(y, labels)
    assert check.moves[0].classes == (0, 1) and check.moves[0].points == 80
    assert "1 collides with 2" in str(check) and "0 collides" not in str(check)


def test_callables_are_checked_by_what_they_changed(clusters):
    y, labels = clusters

    def third_onto_first(embedding, labels):
        return embedding - np.where(labels == 3, 40, 0)[:, None] * np.array([0, 1])

    (move,) = InterventionPlan([third_onto_first]).check(y, labels).moves
    assert move.classes == (3,) and [each.other for each in move.collides] == [0]


@pytest.mark.filterwarnings("ignore:The plan leaves no training sample")
def test_what_is_left_out_of_training_is_nobodys_neighbour(clusters):
    y, labels = clusters
    move = MoveTo(3, position=(20, 0))
    check = InterventionPlan([Exclude(1), move]).check(y, labels)
    assert check.passes and check.moves[0].place == 2
    joined = InterventionPlan([Relabel(1, 3), MoveTo([120, 121], position=(20, 0))])
    assert joined.check(y, labels).passes


def test_a_model_says_how_far_and_at_what_cost(clusters):
    y, labels = clusters
    model = Model()
    plan = InterventionPlan([Exclude([0]), Shift(0, by=(0, 5))])
    check = plan.check(y, labels, model=model, x="inputs", samples=50, seed=7)
    (move,) = check.moves
    assert (move.pilot_share, move.pilot_f1, move.layer_share, move.layer_kept) == (
        0.4,
        -0.05,
        0.8,
        0.75,
    )
    assert (check.pilot_share, check.pilot_f1, check.seconds) == (0.4, -0.05, 1.5)
    assert move.finding.startswith(
        "no other class lives where it goes; moved freely, the layer's activations get 80 % of the way and "
        "keep 75 % of the right decisions; a short trial training gets about 40 % of the way (± 8 points"
    )
    assert "at a cost of 0.050 F1" in move.finding
    assert not move.passes and not check.passes
    x, known, before, targets, moved, samples, seed = model.asked[0]
    assert (x, samples, seed) == ("inputs", 50, 7)
    assert known.tolist() == [-1, *labels[1:].tolist()]
    assert np.array_equal(before, y) and moved.tolist() == (labels == 0).tolist()
    assert np.array_equal(targets, plan.apply(y, labels)[0])


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (0.003, "at no cost that can be told (F1 +0.003"),
        (-0.019, "at no cost that can be told (F1 -0.019"),
        (0.3, "with a gain of"),
    ],
)
def test_a_cost_within_the_error_is_none(clusters, cost, words):
    y, labels = clusters
    plan = InterventionPlan([Shift(0, by=(0, 5))])
    check = plan.check(y, labels, model=Model(cost=cost, layer=False), x="inputs")
    assert words in str(check) and "layer" not in str(check) and check.passes


def test_a_large_loss_is_said_to_be_larger(clusters):
    y, labels = clusters
    plan = InterventionPlan([Shift(0, by=(0, 5))])
    said = str(plan.check(y, labels, model=Model(share=-0.003, cost=-0.2), x="inputs"))
    assert "about 0 % of the way" in said and "at a cost of 0.200 F1 or more" in said


def test_many_moved_onto_few_are_seen_by_these(clusters):
    """The few are one in sixty of the neighbours there, which those who move hardly see."""
    y, labels = clusters
    rare = np.r_[np.flatnonzero(labels == 3)[:5], np.flatnonzero(labels != 3)]
    many = np.repeat(y[labels == 0], 6, axis=0) + np.linspace(0, 0.1, 240)[:, None]
    y, labels = np.r_[y[rare], many.astype(np.float32)], np.r_[labels[rare], np.zeros(240, int)]
    check = InterventionPlan([Contract(1), MoveTo(0, position=(0, 40))]).check(
        y, labels, model=Model(cost=-0.05), x="inputs", class_names=["shirt", "coat", "bag", "boot"]
    )
    contracted, onto = check.moves
    (met,) = onto.collides
    assert (met.label, met.other, met.of_residents) == (0, 3, True) and not contracted.collides
    assert met.before == 0 and onto.occupancy.collisions == ()
    targets = check.targets
    near = np.linalg.norm(targets[labels == 3][:, None] - targets[None], axis=2).argsort(axis=1)
    assert met.after == pytest.approx(np.mean(labels[near[:, 1:11]] == 0))
    assert not onto.passes and onto.residents_f1 == -0.05 and np.isnan(contracted.residents_f1)
    said = f"collides with boot (it is 0.00 of the neighbours there before, {met.after:.2f} after)"
    assert onto.sentence.startswith(f"move the centre of class 'shirt' to (0, 40): {said}")
    assert "the classes met lose 0.050 F1" in onto.sentence
    assert check.table()["collides"].tolist() == ["", "boot"]


def test_a_move_of_some_is_not_blamed_for_others_of_their_class(clusters):
    y, labels = clusters
    few, others = np.flatnonzero(labels == 0)[:4], np.flatnonzero(labels == 0)[4:]
    plan = InterventionPlan([Shift(few, by=(0, -30)), MoveTo(others, position=(20, 0))])
    away, onto = plan.check(y, labels).moves
    assert away.passes and not onto.passes


def test_points_that_no_training_sees_are_not_tried(clusters):
    y, labels = clusters
    model = Model()
    plan = InterventionPlan([Shift(0, by=(0, 5)), Exclude(0)])
    with pytest.warns(UserWarning, match="The plan leaves no training sample"):
        check = plan.check(y, labels, model=model, x="inputs")
    assert str(check).endswith(": none of its points has a label that is trained on.")
    assert not model.asked and np.isnan(check.pilot_share)


def test_the_arrow_is_that_of_the_points_moved(clusters, monkeypatch):
    from keras_pli.plotting import displacement

    drawn = []
    monkeypatch.setattr(displacement, "draw_arrow", lambda ax, *ends: drawn.append(ends[:2]))
    y, labels = clusters
    chosen = np.flatnonzero(labels == 1)[:4]
    figure = InterventionPlan([Shift(chosen, by=(0, 15))]).check(y, labels).plot()
    ((start, stop),) = drawn
    np.testing.assert_allclose(start, y[chosen].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(stop - start, (0, 15), atol=1e-4)
    assert len(figure.axes) == 2


def test_names_stay_in_their_bars_and_titles_on_the_page():
    shares = {0: 0.4, 1: 0.35, 2: 0.25}
    long = "shift " + ", ".join(map(str, range(60)))
    y, names = np.zeros((3, 3)), ["T-shirt/top", "Boot", "something with a very long name"]
    figure = plan_figure(y, y, np.arange(3), [True] * 3, {long: (shares,) * 2}, class_names=names)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    ends = {text.get_text(): text.get_window_extent().x1 for text in ax.texts}
    assert "Boot" in ends and "something with a very long name" not in ends
    assert max(ends.values()) < figure.bbox.x1


def test_table_picture_and_notebook(clusters):
    y, labels = clusters
    check = InterventionPlan([Contract(0), MoveTo(3, position=(20, 0))]).check(y, labels)
    table = check.table()
    assert table.index.tolist() == [1, 2] and table["collides"].tolist() == ["", "1"]
    assert table["passes"].tolist() == [True, False] and table["pilot share"].isna().all()
    figure = check.plot(class_names=["shirt", "coat", "bag", "boot"])
    assert isinstance(figure, Figure) and len(figure.axes) == 2
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert "2. move the centre of class 3 to (20, 0)" in texts and "coat" in texts
    onto = MoveTo(3, position=(20, 0, 20))
    in_space = InterventionPlan([onto]).check(np.c_[y, y[:, :1]], labels)
    html = in_space._repr_html_()  # with the neighbours alone for a picture
    assert "<table" in html and "look again" in html and "data:image/png" in html


def test_bad_input_is_refused(clusters):
    y, labels = clusters
    plan = InterventionPlan([Contract(0)])
    with pytest.raises(
        ValueError, match=r"no move to check in the plan\. Received: InterventionPlan of"
    ):
        InterventionPlan().check(y, labels)
    with pytest.raises(ValueError, match="no move to check"):
        InterventionPlan([Exclude([0])]).check(y, labels)
    with pytest.raises(ValueError, match="Received `model` and no `x`"):
        plan.check(y, labels, model=Model())
    with pytest.raises(ValueError, match="Received `x` and no `model`"):
        plan.check(y, labels, x=np.zeros((160, 4)))
    with pytest.raises(TypeError, match=r"must be a PLIModel.* Received: str"):
        plan.check(y, labels, model="model", x=np.zeros((160, 4)))
    with pytest.raises(ValueError, match="160 samples"):
        plan.check(y, labels[:5])
    with pytest.raises(ValueError, match="Move 1 of 1, contract class 9"):
        InterventionPlan([Contract(9)]).check(y, labels)
