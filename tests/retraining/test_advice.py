"""What an experiment says in one sentence, and what it says to try next."""

import dataclasses

import numpy as np
import pytest
from made_results import LABELS, RUNS, TRAIN_LABELS, made, made_run
from scipy import stats

from keras_pli.retraining.experiment.advice import _seeds_needed


def outputs(right):
    """Outputs that are right for the first samples of each class."""
    chosen = {
        arm: np.where(np.arange(60) < 60 * share, LABELS, (LABELS + 1) % 3)
        for arm, share in right.items()
    }
    return {arm: np.eye(3, dtype=np.float32)[found] for arm, found in chosen.items()}


def found(shares, *, way=0.5, moved_only=False, **changes):
    """A result with a run for each baseline, control and PLI accuracy, and a share of the way gone."""
    runs = []
    for seed, right in enumerate(shares):
        run = made_run(seed, outputs=outputs(dict(zip(RUNS, right, strict=True))))
        asked = run.test_targets - run.test_maps["baseline"]
        maps = {**run.test_maps, "PLI": run.test_maps["baseline"] + np.float32(way) * asked}
        far = run.train_map + 50 * run.train_moved[:, None]  # where nobody lives
        runs.append(dataclasses.replace(run, test_maps=maps, train_targets=far, **changes))
    result = made(runs=tuple(runs))
    return dataclasses.replace(result, about={**result.about, "moved_only": moved_only})


def steps(*arguments, **options):
    return " ".join(found(*arguments, **options).advice())


NOISE = [(0.7, 0.7, 0.75), (0.7, 0.75, 0.7), (0.7, 0.7, 0.72)]


def test_hardly_any_way_gone():
    said = steps(NOISE, way=0.05)
    assert "went 5 % of the way" in said and "raise λ (now 0.1) or the epochs (now 2)" in said
    assert "If the map is no smooth one yet" in said  # which nothing here can tell
    assert "raise λ" not in steps(NOISE, way=0.5)
    result = found(NOISE, way=0.05, embedding_weight=0.03)
    chosen = dataclasses.replace(result, about={**result.about, "embedding_weight": "auto"})
    assert "raise λ (now 0.03)" in " ".join(chosen.advice())


def test_accuracy_lost():
    said = steps([(0.7, 0.8, 0.7), (0.7, 0.81, 0.7), (0.7, 0.8, 0.69)])
    assert "Accuracy fell by 0.106" in said and 'embedding_weight="auto"' in said
    assert "Accuracy fell" not in steps(NOISE)


def test_collisions_are_named():
    here = made_run(0).train_map[TRAIN_LABELS == 1].mean(axis=0)
    result = found(NOISE)
    places = np.where(TRAIN_LABELS[:, None] == 1, here, [90.0, 90.0]).astype(np.float32)
    places[TRAIN_LABELS == 2] = [-90.0, -90.0]
    targets = np.where(TRAIN_LABELS[:, None] == 2, here, places).astype(np.float32)
    run = dataclasses.replace(result.runs[0], train_map=places, train_targets=targets)
    said = " ".join(dataclasses.replace(result, runs=(run, *result.runs[1:])).advice())
    assert "The plan moves bag to where coat lives" in said and "`plan.check`" in said
    assert "The plan moves" not in steps(NOISE)


def test_a_class_that_is_hardly_seen_by_the_many_moved_onto_it_is_named():
    """Of 300 coats moved onto two bags hardly any has one for a neighbour, but the bags have coats."""
    labels = np.repeat([0, 1, 2], [20, 300, 2])
    result = found(NOISE)
    places = np.random.default_rng(0).normal(size=(322, 2)) + 50.0 * labels[:, None]
    targets = places + np.where(labels == 1, 50, 0)[:, None]
    changes = {"train_map": places, "train_targets": targets, "train_moved": labels == 1}
    run = dataclasses.replace(result.runs[0], **changes)
    given = dataclasses.replace(result, runs=(run, *result.runs[1:]), train_labels=labels)
    bags = targets[labels == 2]
    near = np.linalg.norm(bags[:, None] - targets[None], axis=2).argsort(axis=1)[:, 1:11]
    share = f"{100 * np.mean(labels[near] == 1):.0f} %"
    words = f"moves coat to where bag lives (coat's share of its nearest neighbours rises from 0 % to {share}"
    assert words in " ".join(given.advice())


def test_nothing_to_gain():
    said = steps([(1.0, 1.0, 1.0)] * 3)
    assert "little to gain: the control has F1 1.000 on 'moved' classes" in said
    assert "little to gain" not in steps(NOISE)


def test_way_gone_and_nothing_gained():
    none = [(0.7, 0.7, 0.7)] * 3
    assert "`Weigh`, `Relabel` or `Exclude`" in steps(none, way=0.8)
    assert "`Weigh`" not in steps(none, way=0.2)
    assert "Nothing was gained" in steps(none, way=0.2)


@pytest.mark.parametrize("shares", [NOISE, NOISE[:1], [(0.7, 0.75, 0.7), (0.7, 0.7, 0.72)]])
def test_a_wide_interval_shows_no_lack_of_an_effect(shares):
    said = steps(shares, way=0.8)
    assert "did not follow" not in said and "Nothing" not in said and "seeds" in said


def test_a_classifier_that_was_not_trained_to_its_end():
    shares = [(0.5, 0.8, 0.8), (0.5, 0.8, 0.82), (0.5, 0.82, 0.8)]
    assert "raised accuracy from 0.500 to 0.811" in steps(shares)


def test_seeds():
    assert "one says nothing about the noise" in steps(NOISE[:1])
    better = found([(0.7, 0.7, 0.9), (0.7, 0.72, 0.9), (0.7, 0.7, 0.92)])
    assert better.advice()[0].startswith("Nothing stands against it")
    assert better.verdict().splitlines()[-1] == f"Next: {better.advice()[0]}"


def test_seeds_needed_are_the_fewest_that_would_show_it():
    differences = np.array([0.03, -0.01, 0.02, 0.0])
    mean, half = differences.mean(), stats.sem(differences) * stats.t.ppf(0.975, 3)
    needed = _seeds_needed(mean, half, 4)
    halves = [
        stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
        for n in (needed - 1, needed)
    ]
    assert halves[0] > mean > halves[1]
    assert _seeds_needed(1e-6, half, 4) is None


@pytest.mark.parametrize(
    ("shares", "start"),
    [
        (
            [(0.7, 0.7, 0.9), (0.7, 0.72, 0.9), (0.7, 0.7, 0.92)],
            "Yes: F1 of the classes that the plan moves rose by 0.",
        ),
        (
            [(0.7, 0.9, 0.7), (0.7, 0.9, 0.72), (0.7, 0.92, 0.7)],
            "No, it did harm: F1 of the classes",
        ),
        (NOISE, "No effect shown: F1 of the classes that the plan moves "),
        (NOISE[:1], "Not certain yet: F1 of the classes that the plan moves rose by 0."),
        (
            [(0.7, 0.7, 0.7)],
            "No difference: F1 of the classes that the plan moves changed by less than",
        ),
    ],
)
def test_answer(shares, start):
    answer = found(shares).answer()
    assert answer.startswith(start) and answer.count(". ") == 0
    assert "held-out points went 50 % of the way" in answer
    assert ("interval" in answer) == (len(shares) > 1)


def test_the_other_classes_loss_is_told():
    runs = []
    for seed, right in enumerate((0.9, 0.92, 0.9)):
        control = outputs({"control": right})["control"]
        pli = np.where(LABELS[:, None] == 2, np.eye(3)[LABELS], control[:, [1, 0, 2]])
        run = made_run(seed, outputs={"baseline": control, "control": control, "PLI": pli})
        runs.append(run)
    answer = made(runs=tuple(runs)).answer()
    assert answer.startswith("Yes, at a price: ") and "and the other classes lost 0.8" in answer
