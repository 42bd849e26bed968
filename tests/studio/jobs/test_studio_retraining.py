"""Retraining in a session: the same as `pli_experiment`, watched, stopped, killed and gone on with."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from keras_pli import activations
from keras_pli.intervention import Exclude, InterventionPlan, MovePoints, Relabel, Shift, Weigh
from keras_pli.retraining import class_outputs, pli_experiment
from keras_pli.studio.jobs.comparison import comparison
from keras_pli.studio.jobs.onlooker import Onlooker
from keras_pli.studio.jobs.progress import Progress, Stopped
from keras_pli.studio.jobs.retraining_job import retrain
from keras_pli.studio.jobs.retraining_options import RetrainingOptions
from keras_pli.studio.jobs.retraining_result import RetrainingResult, discard, finished
from keras_pli.studio.jobs.unfinished import BEGUN, Unfinished, note_begun, unfinished

NAMES = ["Coat", "Shirt", "Bag"]
PLAN = InterventionPlan([Shift(1, by=(1.0, 0.5), reason="Too near."), Weigh(2, 2.0)])
PLAN_OF_TWO = InterventionPlan([Shift(1, by=(1.0, 0.5))])
OPTIONS = RetrainingOptions(weight=0.5, epochs=2, batch_size=30, learning_rate=0.05)


pytestmark = pytest.mark.usefixtures("without_tracing")


def blobs():
    random = np.random.default_rng(3)
    centres = 2 * random.normal(size=(3, 6))
    labels = np.arange(90) % 3
    x = (centres[labels] + random.normal(size=(90, 6))).astype(np.float32)
    labels = labels.copy()
    labels[[6, 7]] = -1  # two without a label
    return (x[:60], labels[:60]), (x[60:], labels[60:])


def small_network(units=3, activation="softmax", loss="sparse_categorical_crossentropy"):
    def start(seed):
        return keras.initializers.GlorotNormal(seed)

    classifier = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_initializer=start(0)),
            layers.Dropout(0.2),
            layers.Dense(units, activation, kernel_initializer=start(1)),
        ]
    )
    classifier.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    embedder = keras.Sequential(
        [keras.Input((units,)), layers.Dense(2, kernel_initializer=start(2))]
    )
    return classifier, embedder


class Heard:
    """What a job says, and a hand that stops it when something is said."""

    def __init__(self, stop_at=None):
        self.stop_at, self.stop = stop_at, threading.Event()
        self.words, self.shares, self.epochs = [], [], []
        self.progress = Progress(self.report, self.publish, self.stop)

    def report(self, words, share):
        self.words.append(words)
        self.shares.append(share)
        if self.stop_at is not None and self.stop_at(self):
            self.stop.set()

    def publish(self, name, content, buffers=()):
        self.epochs.append((name, content, buffers))


@pytest.fixture(scope="module")
def networks():
    return small_network()


@pytest.fixture(scope="module")
def call(networks):
    """Retrains in a folder, with changed arguments."""
    train, test = blobs()

    def with_changes(folder, heard=None, options=OPTIONS, **changes):
        classifier, embedder = networks
        given = {
            "classifier": classifier,
            "train": train,
            "test": test,
            "plan": PLAN,
            "embedder": embedder,
            "layer": "logits",
            "class_names": NAMES,
            "folder": folder,
            **changes,
        }
        return retrain((heard or Heard()).progress, options, **given)

    return with_changes


@pytest.fixture(scope="module")
def stopped(call, networks, tmp_path_factory):
    """A retraining that was stopped within the first epoch of its second arm: its folder, what was heard."""
    folder = tmp_path_factory.mktemp("round") / "retraining"
    heard = Heard(lambda heard: heard.words[-1].startswith("Training with the plan"))
    with pytest.raises(Stopped):
        call(folder, heard)
    begun = finished(folder), unfinished(folder, PLAN), unfinished(folder, PLAN_OF_TWO)
    return folder, heard, begun, networks[0].get_weights()


@pytest.fixture(scope="module")
def done(call, stopped):
    """The same begun again, which then is finished, and what was heard of it."""
    heard = Heard()
    return call(stopped[0], heard), heard


def plain_experiment(networks, plan=PLAN, options=OPTIONS, **changes):
    """The experiment by itself, from classifiers of its own, and the weights of both arms."""
    (classifier, _), (train, test) = small_network(), blobs()
    weights = {}
    given = {
        "embedder": networks[1],
        "embedding_weight": options.weight,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "optimizer": keras.optimizers.SGD(0.05, momentum=0.9),
        "seeds": [options.seed],
        "class_names": NAMES,
        "verbose": 0,
        **changes,
    }
    result = pli_experiment(
        classifier,
        train,
        test,
        plan,
        on_trained=lambda seed, arm, model: weights.update({arm: model.get_weights()}),
        **given,
    )
    return result, weights


def same(ours, others):
    return len(ours) == len(others) and all(map(np.array_equal, ours, others))


class TestResult:
    @pytest.mark.slow
    def test_the_classifiers_are_those_of_the_experiment(self, done, networks):
        retraining, _ = done
        result, weights = plain_experiment(networks)
        for arm, file in retraining.classifiers.items():
            kept = keras.saving.load_model(file)
            assert same(kept.get_weights(), weights[arm])
            assert kept.loss == "sparse_categorical_crossentropy"
        assert same(
            list(retraining.result.runs[0].outputs.values()), list(result.runs[0].outputs.values())
        )
        assert retraining.result.answer() == result.answer()
        assert not same(weights["control"], weights["PLI"])

    def test_the_classifier_given_is_as_it_was(self, done, networks):
        assert same(networks[0].get_weights(), small_network()[0].get_weights())

    @pytest.mark.slow
    def test_its_maps_are_those_of_the_classifiers(self, done, networks):
        retraining, _ = done
        (x, labels), _ = blobs()
        targets, _ = InterventionPlan(PLAN.moves).apply(retraining.maps["baseline"], labels)
        np.testing.assert_allclose(retraining.maps["asked"], targets, atol=1e-6)
        for arm, file in [*retraining.classifiers.items(), ("baseline", None)]:
            network = networks[0] if file is None else keras.saving.load_model(file)
            expected = networks[1].predict(activations(network, x), verbose=0)
            np.testing.assert_allclose(retraining.maps[arm], expected, atol=1e-5)

    @pytest.mark.slow
    def test_it_is_read_again(self, done):
        retraining, _ = done
        for again in (
            RetrainingResult.load(retraining.folder),
            finished(retraining.folder.parent),
        ):
            assert again.options == OPTIONS
            assert comparison(again) == comparison(retraining)
            assert same(list(again.maps.values()), list(retraining.maps.values()))
        assert unfinished(retraining.folder.parent, PLAN) is None
        assert InterventionPlan.load(retraining.folder / "plan.json") == PLAN

    def test_epoch_by_epoch(self, done):
        retraining, heard = done
        names = [(name, event["arm"], event["epoch"]) for name, event, _ in heard.epochs]
        assert names == [("epoch", arm, epoch) for arm in ("control", "PLI") for epoch in (1, 2)]
        for _, event, buffers in heard.epochs:
            arm, epoch = event["arm"], event["epoch"]
            json.dumps(event, allow_nan=False)
            history = retraining.result.runs[0].history[arm]
            for name in ("loss", "classification_loss"):  # the latter can be compared between arms
                assert event["logs"][name] == pytest.approx(history[name][epoch - 1])
            assert (event["epochs"], event["seed"], len(buffers)) == (2, 0, 1)
        positions = np.frombuffer(heard.epochs[-1][2][0], "<f4").reshape(60, 2)
        np.testing.assert_array_equal(positions, retraining.maps["PLI"])
        scores = heard.epochs[-1][1]["scores"]
        table = retraining.result.scores().query("run == 'PLI' and kind == 'class'")
        assert scores["f1"] == pytest.approx(table["f1"].tolist())
        outputs = retraining.result.runs[0].outputs["PLI"]
        assert scores["accuracy"] == np.mean(outputs.argmax(axis=1) == blobs()[1][1])

    def test_what_it_says_meanwhile(self, done):
        _, heard = done
        assert heard.words[0] == "Reading the layer's activations"
        assert "Training without the plan, as a control, epoch 2 of 2" in heard.words
        assert heard.words[-1] == "Training with the plan (λ = 0.5), epoch 2 of 2"
        assert heard.shares == sorted(heard.shares) and heard.shares[-1] == 1.0

    def test_what_a_page_compares(self, done):
        retraining, _ = done
        told, result = comparison(retraining), retraining.result
        json.dumps(told, allow_nan=False)
        assert told["answer"] == result.answer() and told["advice"] == result.advice()
        assert told["verdict"] + "".join(f"\nNext: {step}" for step in told["advice"]) == (
            result.verdict()
        )
        assert told["maps"] == ["baseline", "asked", "control", "PLI"]
        assert [row["name"] for row in told["classes"]] == NAMES
        scores = result.scores().set_index(["run", "name"])["f1"]
        for row in told["classes"]:
            for run, name in (("baseline", "before"), ("control", "control"), ("PLI", "pli")):
                assert row[name] == pytest.approx(scores[run, row["name"]])
        assert told["table"]["columns"][:2] == ["metric", "run"]
        assert len(told["table"]["rows"]) == 9
        assert told["curves"]["PLI"]["loss"] == result.runs[0].history["PLI"]["loss"]
        assert {"loss", "classification_loss"} <= set(told["curves"]["control"])
        achieved = result.response().set_index("run")["achieved"]
        assert told["share"] == pytest.approx(achieved["PLI"])
        assert told["weight"] == 0.5 and told["options"]["epochs"] == 2
        assert comparison(None) == {"none": True}

    @pytest.mark.slow
    def test_its_report(self, done):
        page = done[0].write_report().read_text(encoding="utf-8")
        assert "because: Too near." in page and "Coat" in page

    def test_discarding_leaves_nothing(self, done, tmp_path):
        (tmp_path / "retraining" / "one").mkdir(parents=True)
        discard(tmp_path / "retraining")
        assert finished(tmp_path / "retraining") is None and not any(tmp_path.iterdir())


class TestStopped:
    def test_within_an_epoch(self, stopped):
        """What it is begun again with is `done`, and as if it had not been stopped."""
        _, heard, (nothing, begun, by_another_plan), weights = stopped
        assert [event["arm"] for _, event, _ in heard.epochs] == ["control", "control"]
        assert heard.words[-1] == "Training with the plan (λ = 0.5), epoch 1 of 2"
        assert nothing is None and same(weights, small_network()[0].get_weights())
        assert begun == Unfinished(OPTIONS, 0, same_plan=True)
        assert by_another_plan == Unfinished(OPTIONS, 0, same_plan=False)

    @pytest.mark.parametrize(
        ("done", "same_plan", "words"),
        [
            (0, True, r"λ = 0.5 and 2 epochs .*, with 0 of 2 seeds done\. .*, it begins anew"),
            (1, True, r"with 1 of 2 seeds done\. .*, it goes on from there"),
            (1, False, r"The plan has changed since: retrained now, it begins anew"),
        ],
    )
    def test_what_can_be_gone_on_with_is_told(self, done, same_plan, words, tmp_path):
        options = RetrainingOptions(**{**OPTIONS.told(), "seeds": 2})
        note_begun(tmp_path / "one", options)
        PLAN.to_json(tmp_path / "one" / "plan.json")
        (tmp_path / "one" / "experiment").mkdir()
        for seed in range(done):
            (tmp_path / "one" / "experiment" / f"seed-{seed}.npz").touch()
        told = unfinished(tmp_path, PLAN if same_plan else PLAN_OF_TWO).told()
        assert re.search(words, told["words"])
        assert told["options"] == options.told() and told["same_plan"] == same_plan
        (tmp_path / "one" / BEGUN).write_text("{", encoding="utf-8")  # damaged: said in the log
        assert unfinished(tmp_path, PLAN) is None

    def test_before_it_begins(self, call, tmp_path):
        heard = Heard()
        heard.stop.set()
        with pytest.raises(Stopped):
            call(tmp_path / "retraining", heard)
        assert heard.words == [] and not (tmp_path / "retraining").exists()

    @pytest.mark.slow
    def test_seeds_that_are_done_are_kept(self, call, done, tmp_path):
        def second(heard):
            return "seed 1" in heard.words[-1]

        options = RetrainingOptions(**{**OPTIONS.told(), "seeds": 2})
        with pytest.raises(Stopped):
            call(tmp_path, Heard(second), options)
        heard = Heard()
        again = call(tmp_path, heard, options)
        assert {event["seed"] for _, event, _ in heard.epochs} == {1}
        assert again.result.seeds == [0, 1]
        assert np.array_equal(again.maps["PLI"], done[0].maps["PLI"])

    @pytest.mark.slow
    def test_a_classifier_that_is_missing_is_trained_again(self, call, done, tmp_path):
        first = call(tmp_path)
        first.classifiers["PLI"].unlink()
        assert finished(tmp_path) is None  # said in the log
        again = call(tmp_path)
        assert np.array_equal(again.maps["PLI"], first.maps["PLI"])
        assert again.classifiers["PLI"].exists()

    @pytest.mark.slow
    def test_another_plan_is_another_retraining(self, call, tmp_path):
        def in_second_arm(heard):
            return heard.words[-1].startswith("Training with the plan")

        first = call(tmp_path)
        other = {"plan": InterventionPlan([Shift(0, by=(0.5, 0.0))])}
        with pytest.raises(Stopped):
            call(tmp_path, Heard(in_second_arm), **other)
        assert finished(tmp_path).folder == first.folder  # waits as before
        second = call(tmp_path, **other)
        assert finished(tmp_path).folder == second.folder != first.folder
        assert not first.folder.exists()
        assert "shift class 0" in second.result.runs[0].plan

    @pytest.mark.slow
    def test_a_killed_process(self, done, tmp_path):
        """Killed in its second arm, by no means of its own; the next call ends as if nothing had been."""
        first, second = (
            subprocess.run(
                [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path), at],
                check=False,
                capture_output=True,
                text=True,
            )
            for at in ("Training with the plan", "never")
        )
        assert first.returncode == -signal.SIGKILL, first.stderr[-2000:]
        assert second.returncode == 0, second.stderr[-2000:]
        assert len(list(tmp_path.iterdir())) == 1
        assert np.array_equal(finished(tmp_path).maps["PLI"], done[0].maps["PLI"])


# A process that retrains, and is killed as soon as certain words are said.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_studio_retraining import *

def killed_at(heard):
    if heard.words[-1].startswith(sys.argv[3]) and heard.epochs[-1][1]["arm"] == "PLI":
        os.kill(os.getpid(), signal.SIGKILL)
    return False

tf.config.run_functions_eagerly(True)
classifier, embedder = small_network()
train, test = blobs()
given = {"classifier": classifier, "embedder": embedder, "train": train, "test": test}
given |= {"plan": PLAN, "layer": "logits", "class_names": NAMES, "folder": Path(sys.argv[2])}
retrain(Heard(killed_at).progress, OPTIONS, **given)
"""


class TestPlans:
    def test_nothing_to_train(self, call, tmp_path):
        with pytest.raises(ValueError, match="There is nothing to train: the plan holds no"):
            call(tmp_path / "retraining", plan=InterventionPlan())
        assert not (tmp_path / "retraining").exists()

    @pytest.mark.slow
    def test_changes_of_data_alone(self, call, tmp_path):
        plan = InterventionPlan([Weigh(2, 3.0), Exclude([0, 4]), Relabel([6], 0)])
        heard = Heard()
        found = call(tmp_path, heard, RetrainingOptions(epochs=1, batch_size=30), plan=plan)
        assert list(found.maps) == ["baseline", "control", "PLI"]
        told = comparison(found)
        assert told["weight"] == 0.0 and told["share"] is None
        assert not np.array_equal(found.maps["control"], found.maps["PLI"])
        assert heard.words[-1] == "Training with the plan, epoch 1 of 1"
        assert "in a single seed" in told["answer"]

    @pytest.mark.slow
    def test_moves_of_single_points(self, call, tmp_path):
        plan = InterventionPlan([MovePoints([0, 1], [(5.0, 5.0), (6.0, 6.0)])])
        found = call(tmp_path, options=RetrainingOptions(epochs=1, batch_size=30), plan=plan)
        assert comparison(found)["share"] is None
        assert found.maps["asked"][:2].tolist() == [[5, 5], [6, 6]]

    @pytest.mark.slow
    def test_one_unit_for_two_classes(self, call, tmp_path):
        classifier, embedder = small_network(1, "sigmoid", "binary_crossentropy")
        (x, labels), (x_test, labels_test) = blobs()
        two = np.where(labels == 2, 0, labels), np.where(labels_test == 2, 0, labels_test)
        heard = Heard()
        found = call(
            tmp_path,
            heard,
            classifier=classifier,
            embedder=embedder,
            train=(x, two[0]),
            test=(x_test, two[1]),
            class_names=NAMES[:2],
            plan=PLAN_OF_TWO,
        )
        assert [row["name"] for row in comparison(found)["classes"]] == NAMES[:2]
        kept = keras.saving.load_model(found.classifiers["PLI"])
        decided = class_outputs(kept, x_test).argmax(axis=1)
        scores = heard.epochs[-1][1]["scores"]
        assert scores["accuracy"] == np.mean(decided == two[1]) and len(scores["f1"]) == 2

    @pytest.mark.slow
    def test_a_training_that_diverges(self, call, networks, tmp_path):
        heard = Heard()
        wild = RetrainingOptions(epochs=1, batch_size=16, learning_rate=1e30)
        with pytest.raises(ValueError, match=r"\(control\) diverged.*Lower the learning rate"):
            call(tmp_path, heard, wild)
        assert finished(tmp_path) is None
        for _, event, buffers in heard.epochs:
            json.dumps(event, allow_nan=False)
            assert list(buffers) == []  # nothing that a page could not draw
        assert same(networks[0].get_weights(), small_network()[0].get_weights())

    def test_a_plan_that_does_not_fit(self, call, tmp_path):
        with pytest.raises(ValueError, match=r"Change 1 of 1, exclude .*Out of range: 600"):
            call(tmp_path, plan=InterventionPlan([Exclude([5, 600])]))

    @pytest.mark.slow
    def test_automatic_weight_says_what_it_does(self, call, tmp_path):
        heard = Heard()
        options = RetrainingOptions(weight="auto", epochs=2, batch_size=16)
        found = call(tmp_path, heard, options)
        words = list(dict.fromkeys(heard.words))
        assert words[1] == "Looking for λ: without the plan first, epoch 1 of 2"
        assert any(said.startswith("Looking for λ: trying 0.2 on a part") for said in words)
        assert heard.shares == sorted(heard.shares)
        weight = comparison(found)["weight"]
        assert weight == found.result.runs[0].embedding_weight
        stopping = Heard(lambda heard: "trying" in heard.words[-1])
        with pytest.raises(Stopped):
            call(tmp_path / "other", stopping, options)
        assert stopping.epochs == []


class TestOnlooker:
    def test_of_many_points_some_are_followed(self, networks):
        train, test = blobs()
        onlooker = Onlooker(*networks, "logits", train, test, most=20)
        again = Onlooker(*networks, "logits", train, test, most=20)
        progress = Progress()
        assert np.array_equal(onlooker.rows, again.rows) and len(set(onlooker.rows)) == 20
        assert (np.diff(onlooker.rows) > 0).all()
        np.testing.assert_allclose(
            onlooker.followed(progress), onlooker.map(progress)[onlooker.rows], atol=1e-6
        )

    def test_a_class_without_held_out_samples(self, networks):
        train, (x, labels) = blobs()
        rows = labels != 1
        scores = Onlooker(*networks, "logits", train, (x[rows], labels[rows])).scores(Progress())
        assert scores["f1"][1] is None and None not in (scores["f1"][0], scores["f1"][2])


class TestOptions:
    def test_as_they_are_by_default(self):
        options = RetrainingOptions.of({})
        assert (options.weight, options.epochs, options.batch_size) == (0.1, 7, 100)
        own = keras.optimizers.SGD(0.3, momentum=0.5)
        made = options.optimizer_of(own)
        assert made is not own and made.get_config() == own.get_config()

    def test_of_the_optimizer(self):
        own = keras.optimizers.SGD(0.3, momentum=0.5)
        rated = RetrainingOptions.of({"learning_rate": 0.01}).optimizer_of(own)
        assert isinstance(rated, keras.optimizers.SGD) and rated.momentum == 0.5
        assert float(rated.learning_rate) == pytest.approx(0.01)
        named = RetrainingOptions.of({"optimizer": "adamw", "learning_rate": 0.01})
        assert isinstance(named.optimizer_of(own), keras.optimizers.AdamW)
        assert isinstance(RetrainingOptions().optimizer_of(None), keras.optimizers.Adam)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"weight": 1.5}, r"`weight` \(λ\) must be a number from 0 to 1.*Received: 1\.5"),
            ({"weight": "much"}, r"or 'auto'\. Received: 'much'"),
            ({"weight": None}, r"`weight` must be a number\. Received: None"),
            ({"epochs": 0}, r"`epochs` must be a whole number from 1\. Received: 0"),
            ({"batch_size": 2.5}, r"`batch_size` must be a whole number"),
            ({"optimizer": "adan"}, r"`optimizer` must be one of .*'adan'\. Did you mean 'adam'"),
            ({"learning_rate": 0}, r"`learning_rate` must be above 0\. Received: 0"),
            ({"learning_rate": float("nan")}, r"`learning_rate` must be a number"),
            ({"moved_only": "yes"}, r"`moved_only` must be true or false\. Received: 'yes'"),
            ({"seed": -1}, r"`seed` must be a whole number from 0"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_out_of_range(self, given, words):
        with pytest.raises(ValueError, match=words):
            RetrainingOptions.of(given)

    def test_unknown(self):
        with pytest.raises(TypeError, match=r"takes no option 'epoch'\. Did you mean 'epochs'"):
            RetrainingOptions.of({"epoch": 3})
