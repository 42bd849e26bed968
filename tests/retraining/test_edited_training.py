"""Plans that change the data, in `fit` and in experiments, beside plain training on arrays edited by hand."""

import keras
import numpy as np
import pytest
from conftest import build_digits_classifier

from keras_pli import Exclude, InterventionPlan, Relabel, Shift, Weigh, pli_experiment
from keras_pli.intervention import Polygon
from keras_pli.retraining import ExperimentResult, PLILoss, PLIModel, ShuffledBatches
from keras_pli.retraining.edited_training import class_numbers

CROSS_ENTROPY = "sparse_categorical_crossentropy"
DATA_PLAN = InterventionPlan([Weigh(3, 4.0), Relabel([0, 1], 5), Exclude([7, 8, 9])])


@pytest.fixture(scope="module")
def small(digits):
    (x, labels), test = digits
    return (x[:80], labels[:80].copy()), test


def edited_by_hand(labels):
    """Labels, weights and rows of `DATA_PLAN`."""
    labels, weights = labels.copy(), np.ones(len(labels), dtype=np.float32)
    weights[labels == 3] = 4
    labels[:2] = 5
    return labels, weights, np.setdiff1d(np.arange(len(labels)), [7, 8, 9])


def fitted(train, loss=CROSS_ENTROPY):
    """Weights of a classifier of digits after `train`, which is given the classifier."""
    classifier = build_digits_classifier(seed=4)
    classifier.compile(keras.optimizers.SGD(0.1), loss)
    train(classifier)
    return classifier.get_weights()


def assert_alike(ours, others):
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def by_plan(x, y, plan, weight=0.5, loss=CROSS_ENTROPY, embedder=None, **options):
    def train(classifier):
        pli = PLIModel(classifier, embedder)
        pli.compile(keras.optimizers.SGD(0.1), PLILoss(loss, weight))
        pli.fit(x, y, plan=plan, batch_size=20, epochs=2, shuffle=False, verbose=0, **options)
        assert pli.loss_function.embedding_weight == weight

    return fitted(train, loss)


class TestFit:
    @pytest.fixture(autouse=True)
    def without_tracing(self, untraced):
        with untraced():
            yield

    @pytest.mark.parametrize(
        "form",
        [
            "integers",
            *(pytest.param(form, marks=pytest.mark.slow) for form in ("column", "one_hot")),
        ],
    )
    def test_a_plan_of_data_is_plain_training_on_the_edited_data(self, small, form):
        (x, labels), _ = small
        edited, weights, rows = edited_by_hand(labels)

        def shaped(values):
            made = {"integers": values, "column": values[:, None], "one_hot": np.eye(10)[values]}
            return made[form]

        loss = "categorical_crossentropy" if form == "one_hot" else CROSS_ENTROPY
        own = np.linspace(0.5, 2, len(x))

        def plainly(classifier):
            classifier.fit(
                x[rows],
                shaped(edited)[rows],
                sample_weight=(own * weights)[rows],
                batch_size=20,
                epochs=2,
                shuffle=False,
                verbose=0,
            )

        given = shaped(labels)
        before = given.copy()
        ours = by_plan(x, given, DATA_PLAN, loss=loss, sample_weight=own)
        assert np.array_equal(given, before)
        assert_alike(ours, fitted(plainly, loss))

    def test_with_moves_it_is_training_on_targets_computed_first(self, small, digits_embedder):
        (x, labels), _ = small
        plan = InterventionPlan([*DATA_PLAN, Shift(5, (1.0, -1.0))])
        edited, weights, rows = edited_by_hand(labels)

        def step_by_step(classifier):
            pli = PLIModel(classifier, digits_embedder)
            pli.compile(keras.optimizers.SGD(0.1), PLILoss(CROSS_ENTROPY, 0.5))
            positions = pli.predict(x, verbose=0)["embedding"]
            targets, moved = InterventionPlan([Shift(5, (1.0, -1.0))]).apply(positions, edited)
            y = {"label": edited[rows], "embedding": targets[rows], "moved": moved[rows]}
            pli.fit(
                x[rows],
                y,
                sample_weight=weights[rows],
                batch_size=20,
                epochs=2,
                shuffle=False,
                verbose=0,
            )

        ours = by_plan(x, labels, plan, embedder=digits_embedder)
        assert_alike(ours, fitted(step_by_step))

    def test_unlabelled_samples_are_left_out(self, small):
        (x, labels), _ = small
        known = np.where(np.arange(80) < 30, labels, -1)

        def plainly(classifier):
            classifier.fit(
                x[:31],
                np.append(labels[:30], 6),
                batch_size=20,
                epochs=2,
                shuffle=False,
                verbose=0,
            )

        ours = by_plan(x, known, InterventionPlan([Relabel([30], 6)]))
        assert_alike(ours, fitted(plainly))

    @pytest.mark.parametrize("x", [np.zeros((8, 64)), keras.ops.zeros((8, 64))])
    def test_one_label_a_sample(self, x):
        with pytest.raises(ValueError, match=r"for each of the 8 samples. Received: 7"):
            by_plan(x, [3] * 7, InterventionPlan([Exclude([0])]))

    @pytest.mark.slow
    def test_rows_of_tensors(self, small):
        (x, labels), _ = small
        plan, own = [Exclude([0, 1])], x[:, :1] + 1
        tensor = keras.ops.convert_to_tensor(x)
        ours = by_plan(tensor, labels, plan, sample_weight={"label": own})
        assert_alike(ours, by_plan(x, labels, plan, sample_weight=own[:, 0]))

    @pytest.mark.slow
    def test_targets_that_overflow_do_not_count_where_their_weight_is_0(
        self, small, digits_embedder
    ):
        (x, labels), _ = small
        far = InterventionPlan([Shift(3, (1e25, 0.0))])
        ours = by_plan(x, labels, far, weight=0.0, embedder=digits_embedder)
        assert_alike(ours, by_plan(x, labels, InterventionPlan(), weight=0.0))

    def test_moves_of_samples_that_are_not_trained_on(self, small, digits_embedder):
        (x, labels), _ = small
        plan = InterventionPlan([Shift([0], (1, 0)), Exclude([0])])
        with pytest.warns(UserWarning, match="moves no sample that is trained on"):
            by_plan(x, labels, plan, embedder=digits_embedder)

    def test_rows_of_zeros_are_told(self):
        with pytest.warns(UserWarning, match="2 rows of the labels are all 0"):
            assert class_numbers(np.eye(4)[[0, 1, 2, 3, 3]][:, :3]).tolist() == [0, 1, 2, -1, -1]

    def test_without_an_embedder_other_training_is_refused(self, small):
        (x, labels), _ = small
        with pytest.raises(ValueError, match=r"no embedder:\nInterventionPlan of 1 move"):
            by_plan(x, labels, InterventionPlan([Shift(3, (1, 0))]))
        with pytest.raises(ValueError, match=r"only λ = 0 or a plan that moves nothing"):
            pli = PLIModel(build_digits_classifier())
            pli.compile("sgd", PLILoss(embedding_weight=0.5))
            pli.fit(x, {"label": labels, "embedding": np.zeros((80, 2))}, verbose=0)

    @pytest.mark.parametrize(
        ("x", "y", "plan", "error", "message"),
        [
            (np.zeros((8, 64)), None, DATA_PLAN, ValueError, r"fit\(x, labels, plan=plan\)"),
            (
                np.zeros((8, 64)),
                {"label": [0] * 8, "moved": [0] * 8},
                DATA_PLAN,
                ValueError,
                "alone",
            ),
            (np.zeros((8, 64)), [3] * 8, "plan", TypeError, "list of changes .* Received: str"),
            (np.zeros((8, 64)), [-1, 1] * 4, DATA_PLAN, ValueError, "but one class beside it"),
            (np.zeros((8, 64)), ["a"] * 8, DATA_PLAN, ValueError, "one class a sample"),
            (np.zeros((8, 64)), np.full(8, 0.5), DATA_PLAN, ValueError, "one class a sample"),
            (
                np.zeros((8, 64)),
                [3] * 8,
                InterventionPlan([Relabel([0], 10)]),
                ValueError,
                "There is no class 10 .*: 0, 1, 2",
            ),
        ],
    )
    def test_what_does_not_fit(self, x, y, plan, error, message):
        with pytest.raises(error, match=message):
            by_plan(x, y, plan)


def test_numbers_of_labels():
    assert class_numbers(np.array([[3], [8], [-1]])).tolist() == [3, 8, -1]
    assert class_numbers(np.array([2.0, 1.0])).tolist() == [2, 1]
    with pytest.raises(ValueError, match="one class a sample"):
        class_numbers(np.array([[1, 1, 0]]))


class TestBatches:
    def test_fewer_samples_are_seen_again_in_new_orders(self):
        batches = ShuffledBatches(
            np.arange(10), {"label": np.arange(10)}, batch_size=4, seed=1, steps=8
        )
        seen = [batches[index][0].tolist() for index in range(len(batches))]
        rounds = [np.concatenate(seen[start : start + 3]).tolist() for start in (0, 3)]
        assert [sorted(each) for each in rounds] == [list(range(10))] * 2 and rounds[0] != rounds[1]
        assert len(seen) == 8 and [len(each) for each in seen[6:]] == [4, 4]

    def test_weights_follow_their_samples(self):
        weights = np.arange(10) / 10
        batches = ShuffledBatches(
            np.arange(10), {"label": np.arange(10)}, batch_size=4, seed=1, sample_weight=weights
        )
        for x, y, found in batches:
            assert np.array_equal(found["label"], x / 10) and np.array_equal(x, y["label"])


class OfLabels(ShuffledBatches):
    """The batches as plain `fit` takes them."""

    def __getitem__(self, index):
        x, y, *weights = super().__getitem__(index)
        return x, y["label"], *(weight["label"] for weight in weights)


@pytest.fixture(scope="module")
def of_data(small, untraced):
    """An experiment whose plan changes data alone, with the weights each arm ended with."""
    train, test = small
    weights = {}

    def note(seed, arm, trained):
        weights[seed, arm] = trained.get_weights()

    with untraced():
        result = pli_experiment(
            build_digits_classifier(seed=4),
            train,
            test,
            DATA_PLAN,
            epochs=2,
            batch_size=30,
            seeds=2,
            subgroups=np.where(test[1] % 2, "odd", "even"),
            on_trained=note,
            verbose=0,
        )
    return result, weights


class TestExperiment:
    def test_both_arms_are_plain_training_for_as_many_steps(self, small, of_data, untraced):
        (x, labels), _ = small
        edited, weights, rows = edited_by_hand(labels)
        everything = np.arange(80)
        told = {
            "control": (labels, None, everything),
            "PLI": (edited, weights[rows], rows),
        }
        for arm, (y, weight, kept) in told.items():
            copy = build_digits_classifier(seed=4)
            batches = OfLabels(
                x[kept], {"label": y[kept]}, batch_size=30, seed=1, sample_weight=weight, steps=3
            )
            with untraced():
                copy.fit(batches, epochs=2, shuffle=False, verbose=0)
            assert_alike(of_data[1][1, arm], copy.get_weights())

    def test_no_map_is_made_for_it(self, of_data):
        run = of_data[0].run_of()
        assert run.train_map is None and run.train_targets is None and not run.test_maps
        assert run.embedding_weight == 0 and of_data[0].response().empty
        assert run.edited == {"weighed": 8, "relabelled": 2, "excluded": 3, "unlabelled": 0}
        assert InterventionPlan.from_json(run.plan_json) == DATA_PLAN

    def test_accuracy_of_subgroups(self, of_data, small):
        result, (_, (_, labels)) = of_data[0], small
        scores = result.subgroup_scores().set_index(["seed", "run", "group"])
        for run in result.runs:
            right = run.predicted("PLI") == labels
            by_group = {"even": right[labels % 2 == 0].mean(), "odd": right[labels % 2 == 1].mean()}
            found = scores.loc[(run.seed, "PLI"), "accuracy"].to_dict()
            assert found == pytest.approx({**by_group, "worst": min(by_group.values())})
        effects = result.subgroup_effects()
        assert effects["group"].tolist() == ["even", "odd", "worst"]
        wide = result.subgroup_scores().pivot_table("accuracy", ["seed", "group"], "run")
        expected = (wide["PLI"] - wide["control"]).groupby("group").mean()
        np.testing.assert_allclose(effects.set_index("group")["mean"], expected[effects["group"]])

    def test_stored_and_read_again(self, of_data, tmp_path):
        again = ExperimentResult.load(of_data[0].save(tmp_path))
        assert again.subgroup_scores().equals(of_data[0].subgroup_scores())
        assert again.run_of().edited == of_data[0].run_of().edited
        assert again.run_of().train_map is None

    @pytest.mark.slow
    def test_selected_samples_are_subgroups_where_none_are_given(
        self, small, trained_digits, digits_embedder
    ):
        train, test = small
        everywhere = Polygon([(-99, -99), (99, -99), (99, 99), (-99, 99)])
        plan = InterventionPlan([Weigh(3, 2.0), Exclude([0])])
        settings = {"epochs": 1, "seeds": 1, "verbose": 0}
        result = pli_experiment(trained_digits, train, test, plan, **settings)
        run = result.run_of()
        assert np.array_equal(run.test_selected, test[1] == 3)
        assert set(result.subgroup_scores()["group"]) == {"selected", "other", "worst"}
        plan = InterventionPlan([Weigh(everywhere, 2.0), Shift(3, (0.5, 0))])
        settings |= {"embedder": digits_embedder, "embedding_weight": 0.5}
        result = pli_experiment(trained_digits, train, test, plan, **settings)
        assert result.run_of().test_selected.all() and result.subgroup_scores().empty
        assert result.run_of().embedding_weight == 0.5 and len(result.response()) == 2

    @pytest.mark.parametrize(
        ("plan", "options", "message"),
        [
            (InterventionPlan([Relabel([0], 12)]), {}, "There is no class 12"),
            (InterventionPlan([Exclude(11)]), {}, "No sample has the label 11"),
            (InterventionPlan([Exclude([500])]), {}, "Out of range: 500"),
            (
                DATA_PLAN,
                {"subgroups": [0, 1]},
                "`subgroups` must have one entry for each of the 200",
            ),
            (DATA_PLAN, {"subgroups": ["worst"] * 200}, "none of them 'worst'"),
        ],
    )
    def test_bad_input_is_met_before_training(
        self, small, trained_digits, plan, options, message, tmp_path
    ):
        with pytest.raises(ValueError, match=message):
            pli_experiment(trained_digits, *small, plan, out=tmp_path / "out", verbose=0, **options)
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_moved_samples_without_a_label_are_of_no_class(
        self, small, trained_digits, digits_embedder
    ):
        (x, labels), test = small
        known = np.where(np.arange(80) < 40, labels, -1)
        result = pli_experiment(
            trained_digits,
            (x, known),
            test,
            lambda y, labels, outputs: [Shift(np.arange(30, 60), (1.0, 0.0)), Relabel([70], 9)],
            embedder=digits_embedder,
            epochs=1,
            seeds=1,
            verbose=0,
        )
        assert -1 not in result.moved_classes and "moved" in result.verdict()

    @pytest.mark.slow
    def test_labels_of_a_lasso(self, small, trained_digits):
        (x, labels), test = small
        known = np.where(np.arange(80) < 40, labels, -1)
        plan = InterventionPlan([Relabel(np.arange(40, 60), 5)])
        result = pli_experiment(
            trained_digits, (x, known), test, plan, epochs=1, batch_size=20, seeds=1, verbose=0
        )
        assert result.run_of().edited["unlabelled"] == 20
        with pytest.raises(ValueError, match=r"must be classes from 0 to 9. Received also: -3"):
            pli_experiment(trained_digits, (x, known * 3), test, plan, verbose=0)
