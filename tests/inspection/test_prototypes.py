"""Prototypes, criticisms and neighbours against naive loops and all possible choices."""

from itertools import combinations

import numpy as np
import pytest

from keras_pli.inspection import nearest_samples, prototypes
from keras_pli.inspection.examples import kernel
from keras_pli.inspection.examples.kernel import median_gamma
from keras_pli.plotting import example_rows

RANDOM = np.random.default_rng(0)


def discrepancy(z, chosen, gamma):
    """The squared maximum mean discrepancy, pair by pair."""

    def mean(some, others):
        return np.mean([[np.exp(-gamma * np.sum((a - b) ** 2)) for b in others] for a in some])

    return mean(z, z) - 2 * mean(z, z[chosen]) + mean(z[chosen], z[chosen])


def test_discrepancies_and_witnesses_are_those_of_a_naive_loop(monkeypatch):
    monkeypatch.setattr(kernel, "_HELD", 40)  # three rows at a time
    z = RANDOM.normal(size=(14, 3))
    found = prototypes(z, count=4, criticisms=3, gamma=0.3)
    for number in range(1, 5):
        true = discrepancy(z, found.prototypes[0, :number], 0.3)
        assert found.mmd[0, number - 1] == pytest.approx(true, abs=1e-9)
    chosen = z[found.prototypes[0]]
    for value, place in zip(found.witness[0], found.criticisms[0], strict=True):
        near = [np.exp(-0.3 * np.sum((z[place] - other) ** 2, axis=1)) for other in (z, chosen)]
        assert value == pytest.approx(near[0].mean() - near[1].mean(), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_prototypes_against_all_choices(seed):
    z = np.random.default_rng(seed).normal(size=(10, 2))
    found = prototypes(z, count=3, gamma=1.0)
    mean = discrepancy(z, np.arange(10), 1.0)  # 0
    empty = np.exp(-((z[:, None] - z) ** 2).sum(-1)).mean()
    best = min(discrepancy(z, list(some), 1.0) for some in combinations(range(10), 3))
    assert mean == pytest.approx(0, abs=1e-12)
    assert found.mmd[0, 0] == pytest.approx(min(discrepancy(z, [i], 1.0) for i in range(10)))
    assert best - 1e-12 <= found.mmd[0, 2]
    assert empty - found.mmd[0, 2] >= (1 - 1 / np.e) * (empty - best)


@pytest.mark.parametrize("seed", range(4))
def test_each_criticism_gains_most(seed):
    z = np.random.default_rng(seed).normal(size=(9, 2))
    found = prototypes(z, count=2, criticisms=3, gamma=1.0)
    gram = np.exp(-((z[:, None] - z) ** 2).sum(-1))
    witness = np.abs(gram.mean(1) - gram[:, found.prototypes[0]].mean(1))

    def worth(chosen):
        return witness[chosen].sum() + np.linalg.slogdet(gram[np.ix_(chosen, chosen)])[1]

    chosen = []
    for place in found.criticisms[0]:
        free = set(range(9)) - set(chosen) - set(found.prototypes[0].tolist())
        assert place == max(free, key=lambda i: worth([*chosen, i]))
        chosen.append(int(place))


def test_classes_are_apart_and_copies_are_no_criticisms():
    z = np.concatenate([RANDOM.normal(size=(6, 2)), np.ones((3, 2))])
    labels = np.array(["a"] * 6 + ["b"] * 3)
    found = prototypes(z, labels, count=4, criticisms=2)
    assert set(found.prototypes[0]) | set(found.criticisms[0]) == set(range(6))
    assert found.prototypes[1].tolist()[3] == -1 and found.criticisms[1].tolist() == [-1, -1]
    frame = found.to_frame()
    assert list(frame.groupby("class").size()) == [6, 3]
    assert found.gamma[0] == median_gamma(z[:6])


def test_candidates_of_large_classes_are_drawn():
    z = RANDOM.normal(size=(50, 2))
    found = [prototypes(z, most_candidates=20, seed=seed) for seed in (0, 0, 1)]
    assert found[0].prototypes.tolist() == found[1].prototypes.tolist()
    assert found[0].prototypes.tolist() != found[2].prototypes.tolist()


def test_prototypes_figure(tmp_path):
    z, images = RANDOM.normal(size=(7, 2)), RANDOM.uniform(size=(7, 8, 8, 1))
    found = prototypes(z, [0, 0, 0, 0, 1, 1, 1], count=2, criticisms=2)
    figure = found.plot(images, class_names=["cat", "dog"])
    assert len(figure.axes) == 7  # one criticism of the second class is left
    said = [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]
    assert len(said) == 3
    for value, text in zip(found.witness[~np.isnan(found.witness)], said, strict=True):
        assert text.startswith("+" if value > 0 else "\N{MINUS SIGN}")
        assert text.endswith(f"too {'few' if value > 0 else 'many'}\nprototypes")
    assert {"cat", "dog", "prototypes", "criticisms"} == {text.get_text() for text in figure.texts}
    loaded = found.load(found.save(tmp_path / "found.npz"))
    assert loaded.to_frame().equals(found.to_frame())


def test_nearest_samples_against_all_distances():
    train, test = RANDOM.normal(size=(40, 5)), RANDOM.normal(size=(6, 5))
    labels = RANDOM.integers(3, size=40)
    found = nearest_samples(train, test, train_labels=labels, test_labels=np.arange(6) % 3, count=4)
    distances = np.linalg.norm(
        train.astype("float32")[None] - test.astype("float32")[:, None], axis=2
    )
    assert found.neighbors.tolist() == distances.argsort(axis=1)[:, :4].tolist()
    np.testing.assert_allclose(found.distances, np.sort(distances)[:, :4], rtol=1e-5)
    share = (labels[found.neighbors] == (np.arange(6) % 3)[:, None]).mean(axis=1)
    np.testing.assert_allclose(found.agreement, share)
    assert found.to_frame()["train"].tolist() == found.neighbors.ravel().tolist()
    signals = RANDOM.normal(size=(40, 30))
    figure = found.plot(signals, signals[:6], tests=[2, 5], title="near")
    assert len(figure.axes) == 2 * 5


@pytest.mark.parametrize("shape", [(30,), (30, 2), (9, 8), (9, 8, 3), (5, 6, 7, 1)])
def test_rows_of_samples_of_any_kind(shape):
    samples = RANDOM.uniform(size=(4, *shape))
    figure = example_rows(samples[:2], {"near": [[2], [3]]}, of=samples, captions=["a", "b"])
    assert [ax.get_xlabel() for ax in figure.axes] == ["a", "", "b", ""]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prototypes(np.ones(3)), "`z` must have 2 axes"),
        (lambda: prototypes(np.ones((3, 1)), [0]), "one entry for each of the 3 samples"),
        (
            lambda: prototypes(np.ones((3, 1)), [None] * 3),
            "numbers or texts.*Received dtype object",
        ),
        (lambda: prototypes(np.ones((2, 1)), [0.0, np.nan]), "numbers or texts.*nan"),
        (
            lambda: prototypes(np.ones((3, 1)), [0, 1, 1], classes=[1, 4]),
            "labels: 0, 1. Received: 1, 4",
        ),
        (lambda: prototypes(np.ones((3, 1)), classes=[]), "`classes` must be among"),
        (
            lambda: nearest_samples([[1.0]], [[1.0]], train_labels=[-1], count=1).plot(
                np.ones((1, 4)), np.ones((1, 4)), class_names=["a"]
            ),
            "and none for -1",
        ),
        (lambda: prototypes(np.ones((3, 1)), gamma=0.0), "`gamma` must be above 0"),
        (lambda: prototypes(np.ones((3, 1)), count=0), "`count` must be a whole number from 1"),
        (lambda: nearest_samples([[1.0]], [[1.0, 2.0]]), "equally many features"),
        (lambda: nearest_samples([[1.0]], [[1.0]], count=2), "less than 2. Received: 2"),
        (
            lambda: nearest_samples([[1.0]], [[1.0]], count=1, metric="l3"),
            "`metric` must be one of",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_class_alone():
    z, labels = RANDOM.normal(size=(30, 2)), np.arange(30) % 3
    every, one = prototypes(z, labels), prototypes(z, labels, classes=2)
    assert one.classes.tolist() == [2]
    assert one.prototypes.tolist() == every.prototypes[2:].tolist()
    assert one.criticisms.tolist() == every.criticisms[2:].tolist()
