"""Suspicious labels: the chance of being wrong, worked out by hand and compared with what was planted."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from keras_pli.intervention import InterventionPlan, suspicious_labels
from keras_pli.intervention.proposals.label_noise import (
    label_transitions,
    neighbor_shares,
    wrong_label_chances,
)


def blobs(seed=0, classes=4, each=100, apart=6.0):
    """Gaussian classes in eight features, and their labels."""
    random = np.random.default_rng(seed)
    centres = apart * np.eye(classes, 8)
    truth = np.repeat(np.arange(classes), each)
    return centres[truth] + random.normal(size=(len(truth), 8)), truth


def changed(truth, share, seed=0):
    """Labels of which that share is another one, and which they are."""
    random = np.random.default_rng(seed)
    labels, classes = truth.copy(), truth.max() + 1
    wrong = random.choice(len(truth), round(share * len(truth)), replace=False)
    labels[wrong] = (truth[wrong] + random.integers(1, classes, len(wrong))) % classes
    return labels, wrong


def rows_of(found):
    return np.concatenate([proposal.rows for proposal in found])


def test_planted_labels_are_found_and_put_right():
    z, truth = blobs()
    labels, wrong = changed(truth, 0.05)
    found = suspicious_labels(z, labels)
    assert set(rows_of(found)) == set(wrong)
    edited = found.plan().edited_data(labels)
    np.testing.assert_array_equal(edited.labels, truth)


def test_excluding_leaves_them_out():
    z, truth = blobs()
    labels, wrong = changed(truth, 0.05)
    edited = suspicious_labels(z, labels, act="exclude").plan().edited_data(labels)
    assert set(range(len(truth))) - set(edited.rows.tolist()) == set(wrong.tolist())


def test_a_share_is_the_most_suspicious():
    z, truth = blobs(apart=3.0)
    labels, wrong = changed(truth, 0.05)
    found = suspicious_labels(z, labels, share=0.05, least=0)
    chances = np.concatenate([proposal.scores for proposal in found])
    assert len(rows_of(found)) == 20
    assert np.isin(rows_of(found), wrong).mean() >= 0.8
    every = suspicious_labels(z, labels, least=0)
    assert chances.min() >= np.sort(np.concatenate([p.scores for p in every]))[-21] - 1e-3


def test_digits_with_planted_labels():
    digits = load_digits()
    labels, wrong = changed(digits.target, 0.05)
    found = suspicious_labels(digits.data, labels, share=0.05, least=0)
    assert np.isin(rows_of(found), wrong).mean() > 0.93
    put_right = suspicious_labels(digits.data, labels).plan().edited_data(labels).labels
    assert np.mean(put_right != digits.target) < 0.02


def test_overlapping_classes_are_not_suspicious_where_nothing_was_changed():
    z, truth = blobs(classes=2, each=300, apart=1.0)  # a third lies on the other side
    across = np.mean((z[:, 0] > z[:, 1]) != (truth == 0))
    assert across > 0.15
    assert sum(len(p.rows) for p in suspicious_labels(z, truth)) < 0.02 * len(truth)


def test_swapped_labels_of_one_pair_are_found_beside_classes_that_overlap():
    random = np.random.default_rng(0)
    centres = np.array([[0, 0], [0, 12], [12, 0], [14, 0]])  # the last two overlap
    truth = np.repeat(np.arange(4), 300)
    z = centres[truth] + random.normal(size=(1200, 2))
    labels = truth.copy()
    wrong = np.r_[0:60, 300:360]
    labels[wrong] = 1 - truth[wrong]
    found = suspicious_labels(z, labels)
    assert [proposal.label for proposal in found[:2]] in ([0, 1], [1, 0])
    right = np.isin(rows_of(found), wrong)
    assert right.mean() > 0.9
    assert right.sum() >= 0.9 * len(wrong)


def test_transitions_are_those_planted():
    random = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 2000)
    labels = truth.copy()
    flipped = random.random(6000) < np.where(truth == 0, 0.3, 0.0)
    labels[flipped] = 1
    deep = np.eye(3)[truth] * [0.7, 1, 1] + (truth == 0)[:, None] * [0, 0.3, 0]
    transitions = label_transitions(deep, labels)
    np.testing.assert_allclose(transitions.sum(axis=1), 1)
    np.testing.assert_allclose(transitions[0], [0.7, 0.3, 0], atol=0.05)
    assert transitions[1:, 0].max() < 0.01


def test_chances_follow_bayes_rule():
    # Deep in class 0 one label of five is a 1: of ten neighbours two are, and the corrected share of 1 is 0.
    codes = np.r_[np.tile([0, 0, 0, 0, 1], 400), np.ones(2000, int)]
    shares = np.r_[np.tile([0.8, 0.2], (2000, 1)), np.tile([0.0, 1.0], (2000, 1))]
    transitions = label_transitions(shares, codes)
    chances, others, parted = wrong_label_chances(shares, codes, 10)
    p = np.clip(np.linalg.solve(transitions.T, [0.8, 0.2]), 0, None) + 0.01
    joint = p * transitions[:, 1]
    np.testing.assert_allclose(chances[4], joint[0] / joint.sum())
    assert chances[4] > 0.8
    assert others[4] == 0
    assert chances[0] < 0.1
    assert chances[3000] < 0.01
    assert parted.all()


def test_shares_count_neighbours():
    random = np.random.default_rng(0)
    points, codes = random.normal(size=(30, 4)), random.integers(3, size=30)
    found = NearestNeighbors(n_neighbors=7).fit(points).kneighbors(return_distance=False)
    expected = [[np.mean(codes[row] == code) for code in range(3)] for row in found]
    np.testing.assert_allclose(neighbor_shares(points, codes, 3, 7), expected)


def test_equal_samples_count_as_if_chance_chose_among_them():
    random = np.random.default_rng(0)
    points, codes = random.integers(3, size=(40, 2)) * [1.0, 10.0], random.integers(3, size=40)
    drawn = []
    for _ in range(400):
        order = random.permutation(40)
        distances = cdist(points, points[order])
        distances[order, np.arange(40)] = np.inf  # a sample is none of its neighbours
        nearest = codes[order][distances.argsort(axis=1, kind="stable")[:, :5]]
        drawn.append((nearest[:, :, None] == np.arange(3)).mean(axis=1))
    # Rows whose next place is as far as another one are decided by the places' order: leave those aside.
    middle = points[:, 0] == 1
    np.testing.assert_allclose(
        neighbor_shares(points, codes, 3, 5)[~middle], np.mean(drawn, axis=0)[~middle], atol=0.06
    )


@pytest.mark.parametrize("classes", [2, 10])
def test_labels_of_a_layer_that_parts_no_class_are_left_alone(classes):
    random = np.random.default_rng(0)
    found = suspicious_labels(random.normal(size=(1000, 6)), random.integers(classes, size=1000))
    assert len(found) == 0
    assert "does not part any class from the others" in repr(found)


def test_classes_that_overlap_are_named_and_others_searched():
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(6), 150)
    z = random.normal(size=(900, 3)) + 9.0 * (truth[:, None] == [0, 1, 9])  # four lie in one place
    labels = truth.copy()
    labels[:8] = 1
    found = suspicious_labels(z, labels, class_names=list("abcdef"))
    assert sorted(rows_of(found)) == list(range(8))
    assert "does not part c, d, e, f from the others" in found.looked_at


def test_equal_samples_are_not_suspicious_for_their_order():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    for order in (np.arange(120), random.permutation(120)):
        assert len(suspicious_labels(np.zeros((120, 5)), labels[order])) == 0
    # Half of either class has collapsed to one place.
    labels = np.repeat([0, 1], 150)
    z = np.where(
        np.arange(300)[:, None] % 2, random.normal(size=(300, 8)) + 20 * labels[:, None] - 10, 0
    )
    labels[[1, 3]] = 1
    found = suspicious_labels(z, labels)
    assert sorted(rows_of(found)) == [1, 3]


def test_text_labels_and_unlabelled_samples():
    z, truth = blobs(classes=3, each=40)
    labels = np.array(["cat", "dog", "owl"])[truth]
    labels[5] = "owl"
    found = suspicious_labels(z, labels, neighbors=20)
    assert (found[0].change.label, found[0].rows.tolist()) == ("cat", [5])
    numbers = truth.copy()
    numbers[5], numbers[50:60] = 2, -1
    found = suspicious_labels(z, numbers, neighbors=20)
    assert rows_of(found).tolist() == [5]
    assert "1 of 41 samples of class 2" in found[0].reason


def test_layers_with_positions_and_many_features_are_taken():
    z, truth = blobs()
    labels, wrong = changed(truth, 0.05)
    wide = np.random.default_rng(0).normal(size=(8, 6 * 5 * 4))
    maps = (z @ wide).reshape(len(z), 6, 5, 4)
    assert set(rows_of(suspicious_labels(maps, labels))) == set(wrong)


def test_one_class_alone_is_never_suspicious():
    z, _ = blobs(classes=1, each=30)
    found = suspicious_labels(z, np.zeros(30, int))
    assert len(found) == 0
    assert found.plan() == InterventionPlan()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"act": "remove"}, ValueError, "'relabel', 'exclude'.*Received: 'remove'"),
        ({"least": 1.0}, ValueError, "`least`.*Received: 1.0"),
        ({"share": 5}, ValueError, "`share`.*Received: 5"),
        ({"neighbors": 0}, ValueError, "`neighbors`.*Received: 0"),
        ({"labels": np.zeros(3, int)}, ValueError, r"40 samples.*\(3,\)"),
        ({"labels": np.full(40, -1)}, ValueError, "all are -1"),
        ({"z": np.full((40, 2), np.nan)}, ValueError, "`z` must be finite"),
    ],
)
def test_bad_input(options, error, said):
    given = {"z": np.zeros((40, 2)), "labels": np.zeros(40, int), **options}
    with pytest.raises(error, match=said):
        suspicious_labels(given.pop("z"), given.pop("labels"), **given)
