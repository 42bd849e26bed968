import dataclasses
import html
import json

import numpy as np
import pytest
from made_results import ABOUT, LABELS, RUNS, made, made_run
from scipy import stats
from sklearn.metrics import classification_report

from keras_pli.retraining import ExperimentResult, SeedRun, embedding_response

SCORES = ("precision", "recall", "f1")


def of_scikit_learn(run, arm, labels=(0, 1, 2)):
    predicted = run.outputs[arm].argmax(axis=1)
    return classification_report(
        LABELS, predicted, labels=list(labels), output_dict=True, zero_division=0
    )


class TestTables:
    def test_scores_agree_with_scikit_learn(self):
        result = made()
        scores = result.scores()
        assert list(scores.columns) == ["seed", "run", "name", "kind", *SCORES, "support"]
        assert len(scores) == 3 * 3 * (3 + 2)
        for run in result.runs:
            for arm in RUNS:
                report = of_scikit_learn(run, arm)
                part = scores.query("seed == @run.seed and run == @arm").set_index("name")
                for label, name in enumerate(result.class_names):
                    assert part.loc[name, "kind"] == "class"
                    expected = [report[str(label)][n] for n in ("precision", "recall", "f1-score")]
                    np.testing.assert_allclose(part.loc[name, list(SCORES)].astype(float), expected)
                weighted = of_scikit_learn(run, arm, (0, 1))["weighted avg"]
                assert part.loc["other", "f1"] == pytest.approx(weighted["f1-score"])
                assert part.loc["moved", "f1"] == pytest.approx(report["2"]["f1-score"])
                assert part.loc["moved", "kind"] == "group"

    def test_of_a_real_experiment(self, experiment, digits):
        result, _ = experiment
        scores = result.scores()
        run = result.runs[1]
        assert run.seed == 5
        report = classification_report(
            digits[1][1], run.outputs["PLI"].argmax(axis=1), output_dict=True, zero_division=0
        )
        part = scores.query("seed == 5 and run == 'PLI'").set_index("name")
        assert part.loc["digit 7", "f1"] == pytest.approx(report["7"]["f1-score"])
        counts = {label: int(np.sum(digits[1][1] == label)) for label in (3, 8)}
        expected = sum(counts[n] * report[str(n)]["f1-score"] for n in counts) / sum(
            counts.values()
        )
        assert part.loc["moved", "f1"] == pytest.approx(expected)
        for arm in ("control", "PLI"):
            found = result.response().query("seed == 5 and run == @arm").iloc[0]
            expected = embedding_response(
                run.test_maps["baseline"],
                run.test_targets,
                run.test_moved,
                run.test_maps[arm],
                digits[1][1],
            )
            for name, value in expected.items():
                assert found[name] == pytest.approx(value, nan_ok=True)
            assert len(run.history[arm]["loss"]) == 2

    def test_summary_has_students_intervals(self):
        result = made()
        summary = result.summary()
        assert len(summary) == 3 * 3 * 5
        for row in summary.itertuples():
            values = result.scores().query("run == @row.run and name == @row.name")[row.metric]
            low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
            np.testing.assert_allclose((row.mean, row.low, row.high), (values.mean(), low, high))

    @pytest.mark.parametrize("metric", SCORES)
    def test_effects_are_paired(self, metric):
        result = made()
        scores = result.scores().pivot(index=["name", "seed"], columns="run", values=metric)
        effects = result.effects(metric).set_index("name")
        assert list(effects.index) == ["shirt", "coat", "bag", "moved", "other"]
        for name, effect in effects.iterrows():
            ours, control = scores.loc[name, "PLI"], scores.loc[name, "control"]
            low, high = stats.ttest_rel(ours, control).confidence_interval(0.95)
            found = [float(effect[key]) for key in ("mean", "low", "high")]
            np.testing.assert_allclose(found, (np.mean(ours - control), low, high), rtol=1e-7)
            assert effect["wins"] == np.sum(ours > control)

    def test_differences_of_an_unknown_metric(self):
        with pytest.raises(ValueError, match=r"'precision', 'recall', 'f1'. Received: 'auc'"):
            made().differences("auc")

    def test_table_is_the_summary_in_words(self):
        result = made()
        table, summary = result.table(), result.summary()
        assert table.shape == (9, 5)
        assert list(table.columns) == ["moved", "other", "shirt", "coat", "bag"]
        row = summary.query("metric == 'recall' and run == 'PLI' and name == 'bag'").iloc[0]
        expected = f"{row['mean']:.3f} ± {(row['high'] - row['low']) / 2:.3f}"
        assert table.loc[("recall", "PLI"), "bag"] == expected
        assert "±" not in made(seeds=[4]).table().to_string()

    def test_a_class_named_as_a_group(self):
        result = made(class_names=["shirt", "other", "bag"])
        assert list(result.table().columns) == ["moved", "(other)", "shirt", "other", "bag"]

    def test_groups_of_ones_own(self):
        result = made(groups={"clothes": [0, 1]})
        assert list(result.table().columns) == ["clothes", "shirt", "coat", "bag"]
        expected = of_scikit_learn(result.runs[0], "PLI", (0, 1))["weighted avg"]["f1-score"]
        found = result.scores().query("seed == 0 and run == 'PLI' and name == 'clothes'")["f1"]
        assert found.item() == pytest.approx(expected)

    def test_where_every_class_moved(self):
        run = dataclasses.replace(made_run(0), classes_moved=(0, 1, 2))
        assert made(runs=(run,)).averaged_groups == {"all": [0, 1, 2]}

    def test_changed_samples(self):
        result = made()
        changed = result.changed(1)
        control, pli = (result.run_of(1).outputs[arm].argmax(axis=1) for arm in ("control", "PLI"))
        expected = [
            row for row in range(60) if (control[row] == LABELS[row]) != (pli[row] == LABELS[row])
        ]
        assert changed["index"].tolist() == expected
        for row in changed.itertuples():
            assert row.label == result.class_names[LABELS[row.index]]
            assert row.control == result.class_names[control[row.index]]
            assert result.class_names[pli[row.index]] == row.PLI
            assert row.gained == (row.label == row.PLI)
        assert changed["gained"].any()
        assert not changed["gained"].all()


class TestVerdict:
    def outputs(self, right):
        """Outputs that are right for the first samples of each class."""
        outputs = {}
        for arm, share in right.items():
            wrong = (LABELS + 1) % 3
            chosen = np.where(np.arange(60) < 60 * share, LABELS, wrong)
            outputs[arm] = np.eye(3, dtype=np.float32)[chosen]
        return outputs

    @pytest.mark.parametrize(
        ("control", "pli", "words"),
        [
            (0.5, 0.9, "better than the matched control"),
            (0.9, 0.5, "worse than the matched control"),
        ],
    )
    def test_a_clear_difference(self, control, pli, words):
        runs = []
        for seed, noise in enumerate((0.0, 0.05, -0.05)):
            right = {"baseline": 0.5, "control": control + noise, "PLI": pli}
            runs.append(made_run(seed, outputs=self.outputs(right)))
        verdict = made(runs=tuple(runs)).verdict()
        assert verdict.count(words) == 2  # the moved group and the other
        assert "3 of 3; by chance" in verdict

    def test_noise(self):
        runs = []
        for seed, (control, pli) in enumerate([(0.5, 0.7), (0.7, 0.5), (0.6, 0.6)]):
            right = {"baseline": 0.5, "control": control, "PLI": pli}
            runs.append(made_run(seed, outputs=self.outputs(right)))
        verdict = made(runs=tuple(runs)).verdict()
        assert verdict.count("no difference beyond seed noise") == 2
        assert "1 of 3 seeds better" in verdict
        assert "Single classes" not in verdict

    def test_of_a_plan_that_moves_nothing(self):
        run = made_run(0)
        still = dataclasses.replace(run, test_targets=run.test_maps["baseline"])
        assert made(runs=(still,)).verdict().startswith("The plan asks no held-out point to move.")

    def test_embedding_response_in_words(self):
        verdict = made().verdict().splitlines()[0]
        assert "PLI 50 % (95 % interval 50 % to 50 %)" in verdict
        mean = made().response().query("run == 'control'")["achieved"].mean()
        assert f"control {round(100 * mean)} %" in verdict
        assert "drifted by 0.00 of the map's spread with PLI" in verdict

    def test_a_single_seed(self):
        verdict = made(seeds=[3]).verdict()
        assert verdict.count("in a single seed") == 2
        assert "interval" not in verdict

    def test_without_held_out_targets(self):
        assert "no held-out measure" in made(held_out=False).verdict()

    @pytest.mark.slow
    def test_a_class_without_held_out_samples(self, tmp_path):
        labels = np.arange(60) % 2  # of shirts and coats, while the plan moves bags
        result = made(held_out=False, labels=labels)
        verdict = result.verdict()
        first, *rest = verdict.splitlines()
        assert first.startswith("The plan moves class 'bag', of which there is no held-out sample")
        assert "single training points" not in verdict
        assert any("'moved' classes has no measure" in line for line in rest)
        assert "nan" not in verdict
        page = result.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
        assert "no held-out sample" in page

    def test_no_seed_has_run(self):
        with pytest.raises(ValueError, match="no finished seed"):
            made(seeds=[]).run_of()
        with pytest.raises(ValueError, match=r"`seed` must be one of 0, 1, 2. Received: 7"):
            made().run_of(7)


def assert_equal(ours, others):
    for field in dataclasses.fields(ExperimentResult):
        mine, theirs = getattr(ours, field.name), getattr(others, field.name)
        if field.name == "runs":
            for run, other in zip(mine, theirs, strict=True):
                assert_equal_runs(run, other)
        elif field.name in ("labels", "train_labels"):
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs


def assert_equal_runs(ours, others):
    for field in dataclasses.fields(SeedRun):
        mine, theirs = getattr(ours, field.name), getattr(others, field.name)
        if field.name in ("test_maps", "outputs"):
            assert mine.keys() == theirs.keys()
            for name in mine:
                np.testing.assert_array_equal(mine[name], theirs[name])
                assert mine[name].dtype == theirs[name].dtype
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
        else:
            assert mine == theirs


class TestStorage:
    @pytest.mark.parametrize("held_out", [True, False])
    def test_round_trip(self, tmp_path, held_out):
        result = made(seeds=[0, 2, 11], held_out=held_out, groups={"clothes": [0, 1]})
        assert result.save(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
        again = ExperimentResult.load(tmp_path / "new" / "folder")
        assert_equal(again, result)
        assert again.table().equals(result.table())

    def test_round_trip_of_a_real_experiment(self, experiment, tmp_path):
        assert_equal(ExperimentResult.load(experiment[0].save(tmp_path)), experiment[0])

    def test_nothing_is_pickled(self, tmp_path):
        made().save(tmp_path)
        for path in tmp_path.glob("*.npz"):
            with np.load(path, allow_pickle=False) as stored:
                assert all(stored[name].dtype.kind in "fiubU" for name in stored)
        assert json.loads((tmp_path / "experiment.json").read_text())["about"] == ABOUT

    def test_a_folder_without_experiment(self, tmp_path):
        with pytest.raises(ValueError, match="holds no stored experiment") as caught:
            ExperimentResult.load(tmp_path)
        assert str(tmp_path) in str(caught.value)

    def test_a_file_of_another_kind(self, tmp_path):
        made().save(tmp_path)
        np.savez(tmp_path / "seed-1.npz", x=np.zeros(3))
        with pytest.raises(ValueError, match=r"seed-1\.npz.* is not a stored SeedRun"):
            ExperimentResult.load(tmp_path)

    def test_only_and_with_run(self):
        result = made(seeds=[0, 1])
        more = result.with_run(made_run(9))
        assert more.seeds == [0, 1, 9]
        assert result.seeds == [0, 1]
        assert more.only([9, 0]).seeds == [9, 0]

    def test_repr(self):
        head, gains = repr(made()).splitlines()
        assert head.startswith("ExperimentResult of seeds 0, 1, 2 (layer=logits, ")
        effects = made().effects().set_index("name")["mean"]
        told = f"moved {effects['moved']:+.3f}, other {effects['other']:+.3f}"
        assert gains == f"  F1, PLI less control: {told}"
        assert repr(made(seeds=[])).startswith("ExperimentResult of seeds  (")

    def test_repr_of_a_run_tells_shapes(self):
        text = repr(made_run(3))
        assert "train_map=float32 (30, 2)" in text and len(text) < 1500

    @pytest.mark.slow
    def test_html(self):
        result = made(class_names=["a", "<b>", "c"])
        page = result._repr_html_()
        assert page.count("data:image/png") == 1 and "<b> +" not in page
        assert "&lt;b&gt; +" in page
        assert all(html.escape(line) in page for line in result.verdict().splitlines())
        assert "data:image" not in made(seeds=[])._repr_html_()

    def test_plot_is_the_maps(self, monkeypatch):
        figure = made().plot(seed=1)
        titles = [ax.get_title(loc="left") for ax in figure.axes]
        held_out = ["Baseline (test)", "Control (test)", "PLI (test)"]
        assert titles == ["Before (train)", "Edited (train)", "Asked (test)", *held_out]
        monkeypatch.setattr("keras_pli.plotting.embedding_comparison", lambda maps, *_, **__: maps)
        assert list(made(held_out=False).plot()) == ["Before (train)", "Edited (train)", *held_out]
