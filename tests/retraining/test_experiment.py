from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from test_report import assert_self_contained

from keras_pli import ParametricTSNE, activations
from keras_pli.intervention import InterventionPlan, MovePoints, Shift
from keras_pli.retraining import (
    ExperimentResult,
    PLILoss,
    PLIModel,
    ShuffledBatches,
    class_outputs,
    pli_experiment,
)
from keras_pli.retraining.starting_point import reseed

PLAN = InterventionPlan([Shift(3, by=(1.0, 0.5))])
CROSS_ENTROPY = "sparse_categorical_crossentropy"


def same(ours, others):
    return len(ours) == len(others) and all(map(np.array_equal, ours, others))


def state_of(model):
    """Weights and the states of random layers."""
    return [keras.ops.convert_to_numpy(variable.value).copy() for variable in model.variables]


@pytest.fixture
def run(digits, trained_digits, digits_embedder, untraced):
    """Runs a small experiment with changed arguments; that of `experiment` is traced."""

    def with_changes(plan=PLAN, classifier=trained_digits, train=None, test=None, **changes):
        settings = {
            "embedder": digits_embedder,
            "epochs": 1,
            "batch_size": 100,
            "seeds": 1,
            "verbose": 0,
            **changes,
        }
        train, test = digits[0] if train is None else train, digits[1] if test is None else test
        with untraced():
            return pli_experiment(classifier, train, test, plan, **settings)

    return with_changes


class TestArms:
    def replicate(self, digits, source, seed, train):
        """Trains a copy of the classifier with nothing of the experiment but its batches."""
        (x, labels), _ = digits
        classifier = keras.models.clone_model(source)
        classifier(x[:2])
        for variable, value in zip(classifier.variables, state_of(source), strict=True):
            variable.assign(value)
        reseed(classifier, seed)
        train(classifier, ShuffledBatches, x, labels, seed)
        return classifier.get_weights()

    @pytest.mark.parametrize("seed", [0, pytest.param(5, marks=pytest.mark.slow)])
    def test_control_is_plain_training(self, digits, trained_digits, experiment, seed):
        def plain(classifier, batches, x, labels, seed):
            class LabelsAlone(batches):
                def __getitem__(self, index):
                    x, y = super().__getitem__(index)
                    return x, y["label"]

            classifier.compile(
                keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), CROSS_ENTROPY
            )
            data = LabelsAlone(x, {"label": labels}, batch_size=64, seed=seed)
            classifier.fit(data, epochs=2, shuffle=False, verbose=0)

        expected = self.replicate(digits, trained_digits, seed, plain)
        assert same(experiment[1][seed, "control"], expected)
        assert not same(expected, trained_digits.get_weights())

    def test_pli_is_a_pli_model_on_the_same_batches(
        self, digits, trained_digits, digits_embedder, experiment
    ):
        result, weights = experiment
        before = digits_embedder.predict(activations(trained_digits, digits[0][0]), verbose=0)
        targets = before.copy()
        targets[digits[0][1] == 3] += (1.0, 0.5)
        targets[digits[0][1] == 8] += (-1.0, 0.0)
        np.testing.assert_allclose(result.runs[0].train_targets, targets, atol=1e-5)

        def with_pli(classifier, batches, x, labels, seed):
            pli = PLIModel(classifier, digits_embedder)
            loss = PLILoss(CROSS_ENTROPY, 0.5)
            pli.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), loss)
            wanted = {"label": labels, "embedding": result.runs[0].train_targets}
            data = batches(x, wanted, batch_size=64, seed=seed)
            pli.fit(data, epochs=2, shuffle=False, verbose=0)

        expected = self.replicate(digits, trained_digits, 0, with_pli)
        assert same(weights[0, "PLI"], expected)
        assert not same(weights[0, "PLI"], weights[0, "control"])

    def test_seeds_see_other_orders(self, experiment):
        assert not same(experiment[1][0, "control"], experiment[1][5, "control"])

    def test_each_arm_is_told_when_it_is_trained(self, experiment):
        assert list(experiment[1]) == [(0, "control"), (0, "PLI"), (5, "control"), (5, "PLI")]

    @pytest.mark.slow  # every command line that retrains draws one
    def test_its_report(self, experiment, digits, tmp_path):
        result, _ = experiment
        images = digits[1][0].reshape(-1, 8, 8)
        path = result.to_html(tmp_path / "page.html", images=images, seed=5)
        page = path.read_text(encoding="utf-8")
        assert len(assert_self_contained(page)) >= 4
        assert "because: Like a 3." in page
        assert all(name in page for name in result.class_names)

    @pytest.mark.slow
    def test_both_arms_see_the_same_batches(self, run, monkeypatch):
        seen = []
        original = ShuffledBatches.__getitem__
        monkeypatch.setattr(
            PLIModel,
            "fit",
            lambda self, batches, _fit=PLIModel.fit, **kwargs: (
                seen.append([]),
                _fit(self, batches, **kwargs),
            )[1],
        )

        def spy(self, index):
            x, y = original(self, index)
            seen[-1].append((x, y["label"]))
            return x, y

        monkeypatch.setattr(ShuffledBatches, "__getitem__", spy)
        keras.utils.set_random_seed(0)
        run(epochs=2, scale=1.0, seeds=[3])
        control, pli = seen
        assert len(control) == len(pli) >= 6
        for ours, others in zip(control, pli, strict=True):
            assert same(ours, others)
        assert not np.array_equal(control[0][0], control[3][0])

    @pytest.mark.slow
    def test_without_weight_the_arms_agree(self, run):
        found = run(embedding_weight=0, epochs=2).runs[0]
        assert np.array_equal(found.outputs["control"], found.outputs["PLI"])
        assert np.array_equal(found.test_maps["control"], found.test_maps["PLI"])
        assert not np.array_equal(found.outputs["control"], found.outputs["baseline"])
        assert found.history["control"] == found.history["PLI"]

    @pytest.mark.slow
    def test_repeated_runs_agree_and_leave_numpys_random_state_alone(
        self, run, digits, trained_digits
    ):
        """As in another process, in which random layers would begin anew."""
        np.random.seed(42)  # noqa: NPY002
        first = run(seeds=[4])
        drawn = np.random.random(5)  # noqa: NPY002
        np.random.seed(42)  # noqa: NPY002
        assert np.array_equal(drawn, np.random.random(5))  # noqa: NPY002
        keras.utils.set_random_seed(99)
        trained_digits(digits[0][0][:5], training=True)  # its dropout draws
        second = run(seeds=[4])
        for arm in ("baseline", "control", "PLI"):
            assert np.array_equal(first.runs[0].outputs[arm], second.runs[0].outputs[arm])

    def test_the_intervention_is_followed(self, experiment):
        achieved = experiment[0].response().pivot(index="seed", columns="run", values="achieved")
        assert (achieved["PLI"] > achieved["control"] + 0.1).all()

    @pytest.mark.slow
    def test_an_optimizer_and_a_loss_of_ones_own(self, run, digits, trained_digits):
        weights = {}
        optimizer = keras.optimizers.SGD(0.0)
        run(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(),
            on_trained=lambda seed, arm, model: weights.update({arm: model.get_weights()}),
        )
        assert same(weights["PLI"], trained_digits.get_weights())
        assert not optimizer.built

    @pytest.mark.slow
    def test_a_layer(self, run, trained_digits, digits):
        embedder = keras.Sequential([keras.Input((16,)), layers.Dense(3)])
        found = run(PLAN3, layer="hidden", embedder=embedder).runs[0]
        hidden = activations(trained_digits, digits[1][0], "hidden")
        np.testing.assert_allclose(
            found.test_maps["baseline"], embedder.predict(hidden, verbose=0), atol=1e-5
        )


PLAN3 = InterventionPlan([Shift(3, by=(1.0, 0.5, 0.2))])


class TestTheClassifierIsGivenBack:
    @pytest.mark.slow
    def test_after_the_experiment(self, run, trained_digits):
        before, optimizer = state_of(trained_digits), trained_digits.optimizer
        steps = int(optimizer.iterations)
        run()
        assert same(state_of(trained_digits), before)
        assert trained_digits.optimizer is optimizer
        assert int(optimizer.iterations) == steps

    @pytest.mark.slow
    def test_when_training_breaks_off(self, run, trained_digits):
        before = state_of(trained_digits)

        def fail(seed, arm, classifier):
            assert not same(state_of(classifier), before)
            if arm == "PLI":
                raise RuntimeError("power cut")

        with pytest.raises(RuntimeError, match="power cut"):
            run(on_trained=fail)
        assert same(state_of(trained_digits), before)


class TestSources:
    @pytest.mark.slow
    def test_a_classifier_for_each_seed(self, run, digits):
        made = {}

        def build(seed):
            keras.utils.set_random_seed(seed)
            model = keras.Sequential([keras.Input((64,)), layers.Dense(10, "softmax")])
            model.compile("sgd", CROSS_ENTROPY)
            made[seed] = model
            return model

        result = run(classifier=build, seeds=[3, 8])
        assert list(made) == [3, 8]
        for found in result.runs:
            np.testing.assert_allclose(
                found.outputs["baseline"],
                made[found.seed].predict(digits[1][0], verbose=0),
                atol=1e-6,
            )

    @pytest.mark.slow
    def test_an_embedder_for_each_seed(self, run, digits, trained_digits, digits_embedder):
        asked = []

        def train_embedder(z, seed):
            asked.append((z, seed))
            return digits_embedder

        run(embedder=train_embedder, seeds=[3, 8])
        assert [seed for _, seed in asked] == [3, 8]
        logits = activations(trained_digits, digits[0][0])
        np.testing.assert_allclose(asked[0][0], logits, rtol=1e-5, atol=1e-5)

    @pytest.mark.slow
    def test_a_parametric_tsne_by_default(self, run, digits, monkeypatch):
        fit = ParametricTSNE.fit
        kept = []

        def short(self, z, **kwargs):
            kept.append(self)
            return fit(self, z, epochs=1, pretrain_epochs=1, steps_per_epoch=3, **kwargs)

        monkeypatch.setattr(ParametricTSNE, "fit", short)
        result = run(embedder=None, seeds=[6])
        assert [tsne.seed for tsne in kept] == [6]
        assert result.runs[0].train_map.shape == (300, 2)

    def test_a_plan_from_what_the_classifier_says(self, run, digits, trained_digits):
        asked = []

        def plan(embedding, labels, outputs):
            asked.append((embedding, labels, outputs))
            return PLAN

        found = run(plan).runs[0]
        (embedding, labels, outputs) = asked[0]
        np.testing.assert_array_equal(embedding, found.train_map)
        np.testing.assert_array_equal(labels, digits[0][1])
        predicted = trained_digits.predict(digits[0][0], verbose=0)
        np.testing.assert_allclose(outputs, predicted, rtol=1e-5, atol=1e-6)
        assert found.plan == repr(PLAN)
        assert found.classes_moved == (3,)

    @pytest.mark.slow
    def test_a_plan_of_single_points(self, run):
        result = run(InterventionPlan([MovePoints([0, 1], [(5, 5), (6, 6)])]))
        assert result.response().empty
        assert list(result.response().columns) == [
            "seed",
            "run",
            "achieved",
            "missed",
            "drift",
            "separation",
        ]
        assert len(result.scores())
        assert "single training points" in result.verdict()
        assert result.runs[0].train_targets[:2].tolist() == [[5, 5], [6, 6]]

    @pytest.mark.slow
    def test_one_hot_losses(self, run, digits):
        keras.utils.set_random_seed(0)
        classifier = keras.Sequential([keras.Input((64,)), layers.Dense(10, "softmax")])
        classifier.compile("sgd", "categorical_crossentropy")
        one_hot = run(classifier=classifier).runs[0]
        classifier.compile("sgd", CROSS_ENTROPY)
        sparse = run(classifier=classifier).runs[0]
        np.testing.assert_allclose(one_hot.outputs["PLI"], sparse.outputs["PLI"], atol=1e-5)
        assert not np.array_equal(one_hot.outputs["PLI"], one_hot.outputs["baseline"])

    @pytest.mark.slow
    def test_a_single_sigmoid(self, run, digits):
        (x, labels), (x_test, labels_test) = digits
        keras.utils.set_random_seed(0)
        classifier = keras.Sequential([keras.Input((64,)), layers.Dense(1, "sigmoid")])
        classifier.compile("adam", "binary_crossentropy")
        result = run(
            InterventionPlan([Shift(1, by=(1.0, 0.0))]),
            classifier=classifier,
            train=(x, labels % 2),
            test=(x_test, labels_test % 2),
            embedder=keras.Sequential([keras.Input((1,)), layers.Dense(2)]),
        )
        outputs = classifier.predict(x_test, verbose=0)
        np.testing.assert_array_equal(result.runs[0].predicted("baseline"), outputs[:, 0] > 0.5)
        assert len(result.scores().query("kind == 'class' and run == 'PLI'")) == 2


class TestClassOutputs:
    @pytest.mark.parametrize("activation", ["sigmoid", None])
    def test_of_a_single_output(self, activation):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation)])
        x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
        decided = model.predict(x, verbose=0)[:, 0] > (0.5 if activation else 0)
        assert 5 < decided.sum() < 45
        np.testing.assert_array_equal(class_outputs(model, x).argmax(axis=1), decided)


class TestResume:
    @pytest.mark.slow
    def test_goes_on_where_it_was_interrupted(self, run, folder, tmp_path):
        calls = []

        def on_trained(seed, arm, classifier):
            calls.append((seed, arm))
            if (seed, arm) == (1, "PLI") and calls.count((1, "PLI")) == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(seeds=2, out=tmp_path, on_trained=on_trained)
        assert [path.name for path in tmp_path.glob("seed*")] == ["seed-0.npz"]
        resumed = run(seeds=2, out=tmp_path, on_trained=on_trained)
        assert calls.count((0, "PLI")) == 1
        assert calls.count((1, "PLI")) == 2
        assert resumed.seeds == [0, 1]
        whole = run(seeds=2, out=folder)  # stored without an interruption
        for ours, others in zip(resumed.runs, whole.runs, strict=True):
            for arm in ("baseline", "control", "PLI"):
                assert np.array_equal(ours.outputs[arm], others.outputs[arm])
                assert np.array_equal(ours.test_maps[arm], others.test_maps[arm])
        seen = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
        assert sorted(seen) == ["experiment.json", "labels.npz", "seed-0.npz", "seed-1.npz"]

    @pytest.fixture(scope="class")
    @staticmethod
    def folder(digits, trained_digits, digits_embedder, untraced, tmp_path_factory):
        folder = tmp_path_factory.mktemp("experiment")
        settings = {"embedder": digits_embedder, "epochs": 1, "batch_size": 100, "seeds": 2}
        with untraced():
            pli_experiment(trained_digits, *digits, PLAN, out=folder, verbose=0, **settings)
        return folder

    @pytest.mark.slow
    def test_more_seeds_and_fewer(self, run, folder):
        calls = []

        def on_trained(seed, arm, model):
            calls.append(seed)

        assert run(seeds=[2, 1], out=folder, on_trained=on_trained).seeds == [2, 1]
        assert calls == [2, 2]
        assert run(seeds=1, out=folder, on_trained=on_trained).seeds == [0]
        assert calls == [2, 2]

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"embedding_weight": 0.25}, "'embedding_weight': 0.1"),
            ({"epochs": 3}, "'epochs': 1"),
            ({"batch_size": 50}, "'batch_size': 100"),
            ({"scale": None}, "'scale': 'spread'"),
            ({"layer": "hidden"}, "'layer': 'logits'"),
            ({"moved_only": True}, "'moved_only': False"),
            ({"plan": InterventionPlan([Shift(3, by=(9.0, 9.0))])}, r"'plan': .*by \(9, 9\)"),
            ({"plan": lambda embedding, labels, outputs: PLAN}, "'plan': .*lambda"),
            (
                {"optimizer": keras.optimizers.SGD(5.0)},
                r"'optimizer\.learning_rate': 0\.1.*here.*5\.0",
            ),
            ({"loss": lambda y, p: keras.ops.mean(p - p, -1)}, "'loss': "),
            ({"embedder": None}, "'embedder.weights': .*'embedder.source': None"),
        ],
        ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
    )
    def test_other_settings(self, run, folder, changes, named):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(
            ValueError, match=rf"holds an experiment that differs in .*{named}"
        ) as caught:
            run(out=folder, **changes)
        assert str(folder) in str(caught.value)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    @pytest.mark.parametrize(("which", "named"), [("train", "training"), ("test", "held-out")])
    def test_other_data(self, run, digits, folder, which, named):
        x, labels = digits[which == "test"]
        with pytest.raises(ValueError, match=f"differs in {named} labels"):
            run(out=folder, **{which: (x, labels[::-1])})
        with pytest.raises(ValueError, match=f"differs in {named} inputs: "):
            run(out=folder, **{which: (x * 0.99, labels)})

    def test_another_classifier(self, run, trained_digits, folder):
        weights = trained_digits.get_weights()
        trained_digits.set_weights([weight * 1.001 for weight in weights])
        try:
            with pytest.raises(ValueError, match=r"differs in classifier\.weights: "):
                run(out=folder)
        finally:
            trained_digits.set_weights(weights)

    def test_other_weights_that_are_trained(self, run, trained_digits, folder):
        trained_digits.layers[0].trainable = False
        try:
            with pytest.raises(ValueError, match=r"differs in classifier\.trainable: "):
                run(out=folder)
        finally:
            trained_digits.layers[0].trainable = True

    @pytest.mark.slow
    def test_a_training_that_diverges_is_not_stored(self, run, tmp_path):
        rate = keras.optimizers.SGD(float("nan"))
        with pytest.raises(
            ValueError, match=r"λ = 0 \(control\) diverged: the loss is nan in epoch 1 of 1"
        ):
            run(out=tmp_path / "run", optimizer=rate)
        assert not (tmp_path / "run").exists()

    @pytest.mark.slow
    def test_a_last_step_that_diverges_is_not_stored(self, run, tmp_path):
        far = keras.optimizers.SGD(1e38)
        with pytest.raises(ValueError, match=r"\(control\) diverged: outputs are not finite"):
            run(out=tmp_path / "run", optimizer=far, batch_size=300)
        assert not (tmp_path / "run").exists()

    def test_names_and_groups_may_change(self, run, folder):
        groups = {"round": [0, 6, 8, 9]}
        found = run(out=folder, class_names=[f"digit {n}" for n in range(10)], groups=groups)
        assert "round" in set(found.scores()["name"])
        assert ExperimentResult.load(folder).class_names[3] == "digit 3"

    @pytest.mark.slow
    def test_nothing_is_claimed_by_a_call_that_fails(self, run, trained_digits, tmp_path):
        def fail(seed, arm, classifier):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(out=tmp_path, epochs=2, on_trained=fail)
        assert run(out=tmp_path).about["epochs"] == 1

    @pytest.mark.slow
    def test_a_second_writer(self, run, tmp_path):
        def start_another(seed, arm, classifier):
            with pytest.raises(RuntimeError, match="is being written by process"):
                run(out=tmp_path)
            told.append(arm)

        told = []
        run(out=tmp_path, on_trained=start_another)
        assert told == ["control", "PLI"]

    @pytest.mark.parametrize(
        "damage", [*(pytest.param(d, marks=pytest.mark.slow) for d in (b"", b"no zip")), "cut"]
    )
    def test_a_damaged_seed_is_done_again(self, run, folder, tmp_path, damage):
        for path in folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        path = tmp_path / "seed-1.npz"
        path.write_bytes(path.read_bytes()[:-300] if damage == "cut" else damage)
        with pytest.raises(ValueError, match=r"seed-1\.npz' is not a stored SeedRun"):
            ExperimentResult.load(tmp_path)
        seeds = []
        with pytest.warns(UserWarning, match=r"seed-1\.npz.*done again"):
            found = run(seeds=2, out=tmp_path, on_trained=lambda seed, *_: seeds.append(seed))
        assert seeds == [1, 1]
        whole = ExperimentResult.load(folder).run_of(1)
        assert np.array_equal(found.run_of(1).outputs["PLI"], whole.outputs["PLI"])

    @pytest.mark.parametrize("text", ["", "{}", '{"format": "other"}'])
    def test_a_damaged_head(self, run, folder, tmp_path, text):
        (tmp_path / "seed-0.npz").write_bytes((folder / "seed-0.npz").read_bytes())
        (tmp_path / "experiment.json").write_text(text)
        with pytest.raises(ValueError, match="holds no stored experiment"):
            run(out=tmp_path)


class Watcher(keras.callbacks.Callback):
    """Looks at the classifier after each epoch, and may raise or end the training."""

    def __init__(self, x, end=None):
        super().__init__()
        self.x, self.end, self.batches, self.outputs = x, end, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.end is not None:
            self.end(self)

    def on_epoch_end(self, epoch, logs=None):
        self.outputs.append(self.model.classifier.predict(self.x, verbose=0))
        self.model.predict(self.x, verbose=0)


class TestCallbacks:
    @pytest.mark.slow
    def test_watching_changes_no_bit_and_raising_leaves_all_as_it_was(
        self, digits, trained_digits, digits_embedder, experiment, tmp_path
    ):
        """The control beside a callback is plain training still, as it is in `experiment`."""
        (result, weights), before = experiment, state_of(trained_digits)
        seen, found = {}, {}

        def fail(watcher):
            if watcher.batches == 2:
                raise RuntimeError("stopped by hand")

        def watch(seed, arm, end=None):
            seen[arm] = Watcher(digits[1][0], end if arm == "PLI" else None)
            return [seen[arm]]

        def call(callbacks):
            return pli_experiment(
                trained_digits,
                *digits,
                InterventionPlan.from_json(result.runs[0].plan_json),
                embedder=digits_embedder,
                embedding_weight=0.5,
                epochs=2,
                batch_size=64,
                seeds=[5],
                out=tmp_path / "run",
                callbacks=callbacks,
                on_trained=lambda seed, arm, model: found.update({arm: model.get_weights()}),
                verbose=0,
            )

        with pytest.raises(RuntimeError, match="stopped by hand"):
            call(partial(watch, end=fail))
        assert same(state_of(trained_digits), before)
        assert list(found) == ["control"] and not (tmp_path / "run").exists()

        run = call(watch).runs[0]
        assert list(seen) == ["control", "PLI"]
        for arm, one in seen.items():
            assert one.batches == 10
            assert same(found[arm], weights[5, arm])
            # In other batches than the experiment's own.
            np.testing.assert_allclose(one.outputs[-1], run.outputs[arm], atol=1e-6)
            assert not np.array_equal(one.outputs[0], one.outputs[1])
        assert run.history == result.run_of(5).history
        assert call(None).runs[0].history == run.history  # it is there

    def test_one_that_ends_an_arm_early(self, run, digits, tmp_path):
        def stop(watcher):
            watcher.model.stop_training = True

        with pytest.raises(ValueError, match=r"λ = 0 \(control\) in epoch 1 of 3"):
            run(
                epochs=3,
                out=tmp_path / "run",
                callbacks=lambda seed, arm: [Watcher(digits[1][0], stop)],
            )
        assert not (tmp_path / "run").exists()

    @pytest.mark.slow
    def test_the_search_for_a_weight_is_watched(self, run, digits, trained_digits):
        seen = {}

        def watch(seed, arm):
            seen[arm] = Watcher(digits[1][0])
            return [seen[arm]]

        before = state_of(trained_digits)
        run(embedding_weight="auto", callbacks=watch)
        assert list(seen) == ["weight", "control", "PLI"]
        assert len(seen["weight"].outputs) >= 4  # λ = 0, and three of the grid

        def fail(watcher):
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            run(
                embedding_weight="auto",
                callbacks=lambda seed, arm: [Watcher(digits[1][0], fail)],
            )
        assert same(state_of(trained_digits), before)

    def test_they_are_made_for_each_training(self, run, digits):
        with pytest.raises(TypeError, match=r"a function of \(seed, arm\).*Received: <.*Watcher"):
            run(callbacks=[Watcher(digits[1][0])])


class TestErrors:
    @pytest.mark.parametrize("seeds", [0, -2, []])
    def test_no_seeds(self, run, seeds):
        with pytest.raises(ValueError, match="`seeds` must name at least one"):
            run(seeds=seeds)

    @pytest.mark.parametrize("seeds", [[1, 1], [0, 2, 0]])
    def test_a_seed_twice(self, run, seeds):
        with pytest.raises(ValueError, match=r"each seed once. Received: "):
            run(seeds=seeds)

    @pytest.mark.slow
    def test_a_list_of_changes_is_a_plan(self, run):
        assert run(plan=list(PLAN)).runs[0].plan == repr(PLAN)

    @pytest.mark.slow
    def test_a_plan_is_a_plan(self, run):
        with pytest.raises(TypeError, match=r"must be an InterventionPlan.*Received: str"):
            run(plan="plan.json")

    @pytest.mark.slow
    def test_seeds_of_numpy(self, run, tmp_path):
        result = run(seeds=np.array([3]), out=tmp_path)
        assert result.seeds == [3]
        assert run(seeds=[3], out=tmp_path).seeds == [3]

    def test_labels(self, run, digits):
        x, labels = digits[0]
        with pytest.raises(ValueError, match=r"labels of train.*300 samples.*\(299,\)"):
            run(train=(x, labels[:-1]))
        with pytest.raises(ValueError, match=r"labels of test.*300 samples.*One-hot"):
            run(test=(x, np.eye(10)[labels]))
        with pytest.raises(ValueError, match=r"`train` must be integers.*float64"):
            run(train=(x, labels.astype(float)))
        with pytest.raises(ValueError, match=r"`train` must be \(x, labels\).*ndarray"):
            run(train=x)

    @pytest.mark.parametrize("weight", [-1, 1.5])
    def test_lambda(self, run, weight):
        with pytest.raises(ValueError, match=f"between 0 and 1. Received: {weight}"):
            run(embedding_weight=weight)

    def test_scale(self, run):
        with pytest.raises(ValueError, match=r"positive number. Received: -1"):
            run(scale=-1)

    def test_too_few_names(self, run):
        with pytest.raises(ValueError, match=r"`class_names`.*10.*9"):
            run(class_names=list("abcdefghi"))
        with pytest.raises(ValueError, match="`class_names` must hold 10 different"):
            run(class_names=list("abcdefghia"))

    def test_a_group_of_strangers(self, run):
        with pytest.raises(ValueError, match=r"'odd'.*11"):
            run(groups={"odd": [1, 11]})
        with pytest.raises(ValueError, match="Group 'c' has the name of a class"):
            run(groups={"c": [1, 2]}, class_names=list("abcdefghij"))

    def test_no_loss(self, run):
        classifier = keras.Sequential([keras.Input((64,)), layers.Dense(10, "softmax")])
        with pytest.raises(ValueError, match="`loss` is needed where the classifier is not comp"):
            run(classifier=classifier)

    def test_a_function_that_makes_no_classifier(self, run):
        with pytest.raises(ValueError, match="It returned: None"):
            run(classifier=lambda seed: None)

    @pytest.mark.slow
    def test_a_lasso_that_holds_no_held_out_point(self, run, digits):
        def far(embedding, labels):
            if len(embedding) == 200:
                raise ValueError("nothing here")
            return embedding + 1

        with pytest.warns(UserWarning, match=r"does not carry over.*nothing here"):
            result = run(InterventionPlan([far]))
        assert result.response().empty


class TestShuffledBatches:
    def batches(self, seed=0):
        x = np.arange(23)
        return ShuffledBatches(x, {"twice": 2 * x}, batch_size=5, seed=seed)

    def epoch(self, batches):
        found = [batches[index] for index in range(len(batches))]
        assert all(np.array_equal(y["twice"], 2 * x) for x, y in found)
        return [x for x, _ in found]

    def test_every_sample_once_an_epoch(self):
        batches = self.batches()
        assert len(batches) == 5
        for _ in range(3):
            found = self.epoch(batches)
            assert [len(x) for x in found] == [5, 5, 5, 5, 3]
            assert sorted(np.concatenate(found)) == list(range(23))
            batches.on_epoch_end()

    def test_the_seed_decides(self):
        orders = []
        for seed in (0, 0, 1):
            batches = self.batches(seed)
            first = np.concatenate(self.epoch(batches))
            batches.on_epoch_end()
            orders.append((first, np.concatenate(self.epoch(batches))))
        assert same(orders[0], orders[1])
        assert not np.array_equal(orders[0][0], orders[2][0])
        assert not np.array_equal(orders[0][0], orders[0][1])

    def test_keras_trains_on_every_sample(self):
        seen = []

        class Spy(ShuffledBatches):
            def __getitem__(self, index):
                x, y = super().__getitem__(index)
                seen.append(x[:, 0])
                return x, y["label"]

        x = np.arange(23, dtype=np.float32)[:, None]
        model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
        model.compile("sgd", "mse")
        spy = Spy(x, {"label": x}, batch_size=5, seed=0)
        model.fit(spy, epochs=2, shuffle=False, verbose=0)
        counts = np.unique(np.concatenate(seen[-10:]), return_counts=True)
        assert counts[0].tolist() == list(range(23))
        assert set(counts[1]) == {2}
