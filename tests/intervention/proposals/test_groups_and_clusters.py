"""Small groups, near-duplicates and unlabelled clusters, beside what was planted."""

import numpy as np
import pytest

from keras_pli.intervention import near_duplicates, propose, small_groups, unlabelled_clusters
from keras_pli.intervention.proposals import groups, unlabelled


@pytest.fixture(scope="module")
def grouped():
    """Two classes, and 12 of the first apart from it, which the outputs take for the second."""
    random = np.random.default_rng(0)
    z = random.normal(size=(220, 3))
    labels = np.repeat([0, 1], [120, 100])
    z[labels == 1] += 20
    z[:12] += [20, 0, 0]
    outputs = np.eye(2)[labels]
    outputs[:10] = [0, 1]
    return z, labels, outputs


def test_a_group_is_weighed_as_much_as_the_rest(grouped):
    z, labels, outputs = grouped
    found = small_groups(z, labels, outputs)
    assert len(found) == 1
    assert sorted(found[0].rows.tolist()) == list(range(12))
    assert found[0].change.factor == (120 - 12) / 12
    assert found[0].scores.tolist() == [1] * 10 + [0] * 2
    assert "83% of them are classified wrongly, 0% of the rest" in found[0].reason
    weights = found.plan().edited_data(labels).sample_weight
    assert weights[:12].sum() == pytest.approx(weights[12:120].sum())


def test_a_group_that_is_classified_as_well_as_the_rest_needs_no_weight(grouped):
    z, labels, _ = grouped
    assert len(small_groups(z, labels, np.eye(2)[labels])) == 0
    assert len(small_groups(z, labels)) == 1


def test_most_weight_and_largest(grouped):
    z, labels, outputs = grouped
    assert small_groups(z, labels, outputs, most_weight=3)[0].change.factor == 3
    assert len(small_groups(z, labels, outputs, largest=0.05)) == 0


def test_of_large_classes_a_part_is_clustered(grouped, monkeypatch):
    z, labels, outputs = grouped
    monkeypatch.setattr(groups, "CLUSTERED", 90)
    assert sorted(small_groups(z, labels, outputs)[0].rows.tolist()) == list(range(12))


@pytest.mark.parametrize("features", [1, 2, 5])
def test_one_blob_holds_no_groups(features):
    for seed in range(3):
        z = np.random.default_rng(seed).normal(size=(600, features))
        assert len(small_groups(z, np.repeat([0, 1], 300))) == 0


def test_labels_beside_outputs(grouped):
    z, labels, outputs = grouped
    with pytest.raises(ValueError, match=r"ints in \[0, 2\).*Received: 7"):
        small_groups(z, np.where(labels == 1, 7, 0), outputs)
    with pytest.raises(ValueError, match=r"220 samples\. Received 5 rows"):
        small_groups(z, labels, outputs[:5])
    with pytest.raises(ValueError, match=r"one column a class.*stack 1 - p and p"):
        small_groups(z, labels, outputs[:, :1])


def test_duplicates_are_found_beside_brute_force():
    random = np.random.default_rng(0)
    train, test = random.normal(size=(60, 9, 9)), random.normal(size=(30, 9, 9))
    test[4], test[7] = train[11], train[50] + 1e-4
    test[9] = train[30] + random.normal(size=(9, 9))  # about as far as a neighbour
    found = near_duplicates(train, test)
    assert [(p.kind, p.rows.tolist(), p.beside.tolist()) for p in found] == [
        ("duplicate", [11], [4]),
        ("near-duplicate", [50], [7]),
    ]
    assert found.plan().edited_data(np.zeros(60, int)).counts["excluded"] == 2
    assert len(near_duplicates(train, test, closeness=0)) == 1


def test_duplicates_of_whole_numbers_and_none():
    train = np.random.default_rng(0).integers(256, size=(40, 4, 4), dtype=np.uint8)
    assert near_duplicates(train, train[5:7])[0].rows.tolist() == [5, 6]
    assert len(near_duplicates(train, 255 - train)) == 0
    with pytest.raises(ValueError, match=r"one shape. Received \(4, 4\) and \(4,\)"):
        near_duplicates(train, train[:, 0])


@pytest.mark.parametrize(("copies", "apart"), [(2, 0.0), (4, 1e-6)])
def test_augmented_copies_hide_no_duplicates(copies, apart):
    random = np.random.default_rng(0)
    once = random.normal(size=(100, 20))
    test = np.concatenate([once[:3] + 0.01, random.normal(size=(5, 20))])
    copied = np.repeat(once, copies, axis=0)
    copied += apart * random.normal(size=copied.shape)
    assert near_duplicates(once, test)[0].rows.tolist() == [0, 1, 2]
    assert sorted(near_duplicates(copied, test)[0].rows) == list(range(3 * copies))


def test_equal_training_samples_are_taken():
    found = near_duplicates(np.ones((90, 70)), np.ones((4, 70)))
    assert (found[0].kind, len(found[0].rows)) == ("duplicate", 90)


@pytest.fixture(scope="module")
def partly_labelled():
    """Three classes apart, four of each labelled, and a fourth place where none is."""
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 30)
    z = 15 * np.eye(4)[truth] + random.normal(size=(120, 4))
    labels = np.full(120, -1)
    for label in range(3):
        labels[30 * label : 30 * label + 4] = label
    return z, labels, truth


def test_clusters_get_the_label_of_those_labelled_in_them(partly_labelled):
    z, labels, truth = partly_labelled
    found = unlabelled_clusters(z, labels, clusters=4)
    edited = found.plan().edited_data(labels)
    np.testing.assert_array_equal(edited.labels, np.where(truth < 3, truth, -1))
    assert "in which all 4 labelled samples are class" in found[0].reason
    assert all((np.diff(p.scores) <= 0).all() for p in found)
    assert len(unlabelled_clusters(z, labels, clusters=4, most=2)) == 2


def test_a_cluster_of_several_classes_is_left_alone(partly_labelled):
    z, labels, _ = partly_labelled
    mixed = labels.copy()
    mixed[1:3] = 1
    found = unlabelled_clusters(z, mixed, clusters=4)
    assert sorted(p.change.label for p in found) == [1, 2]
    assert len(unlabelled_clusters(z, labels, clusters=4, fewest=5)) == 0


def test_the_classifier_has_a_say(partly_labelled):
    z, labels, truth = partly_labelled
    outputs = np.eye(3)[np.minimum(truth, 2)]
    outputs[10:15] = [0, 1, 0]  # it takes five of the first class for the second
    outputs[35:60] = [1, 0, 0]  # and most of the second for the first
    found = unlabelled_clusters(z, labels, outputs, clusters=4)
    assert {p.change.label: len(p.rows) for p in found} == {0: 21, 2: 26}


def test_of_many_points_a_part_is_clustered(partly_labelled, monkeypatch):
    z, labels, truth = partly_labelled
    monkeypatch.setattr(unlabelled, "CLUSTERED", 60)
    edited = unlabelled_clusters(z, labels, clusters=4).plan().edited_data(labels)
    np.testing.assert_array_equal(edited.labels, np.where(truth < 3, truth, -1))


def test_agreement_is_more_than_half(partly_labelled):
    z, labels, _ = partly_labelled
    assert len(unlabelled_clusters(z, labels, clusters=4, agreement=1)) == 3
    for agreement in (0.5, 1.00001):
        with pytest.raises(ValueError, match=rf"\(0\.5, 1\]|\[0, 1\].*Received: {agreement}"):
            unlabelled_clusters(z, labels, agreement=agreement)


def test_one_label_is_enough_where_that_is_asked(partly_labelled):
    z, _, _ = partly_labelled
    one = np.where(np.arange(120) == 0, 0, -1)
    found = unlabelled_clusters(z, one, clusters=4, fewest=1)
    assert "in which the one labelled sample is class 0" in found[0].reason
    assert len(propose(z, one)) == 0


def test_nothing_unlabelled():
    assert len(unlabelled_clusters(np.eye(4), [0, 1, 0, 1])) == 0


def test_everything_that_applies(grouped):
    z, labels, outputs = grouped
    some = np.array(labels)
    some[190:] = -1
    some[140] = 0
    found = propose(z, some, outputs, test=z[[60]])
    kinds = [p.kind for p in found]
    assert kinds[:3] == ["duplicate", "suspicious label", "unlabelled cluster"]
    assert kinds[-1] == "small group"
    assert found[1].rows.tolist() == [140]
    edited = found.plan().edited_data(some)
    assert edited.labels[140] == 1
    assert (edited.labels[190:] == 1).all()
    # The sample that was relabelled is in no group.
    assert 140 not in found[-1].rows


def test_a_duplicate_is_not_relabelled_too(grouped):
    z, labels, outputs = grouped
    some = np.where(np.arange(220) >= 190, -1, labels)
    some[140] = 0
    found = propose(z, some, outputs, test=z[[5, 140, 200]])
    assert found[0].rows.tolist() == [5, 140, 200]
    rows = np.concatenate([p.rows for p in found])
    assert len(rows) == len(set(rows)) > 3


def test_text_labels_of_everything(grouped):
    z, labels, _ = grouped
    names = np.array(["cat", "dog"])[labels]
    names[140] = "cat"
    assert [p.kind for p in propose(z, names)] == ["suspicious label", "small group"]


def test_samples_that_are_alike_in_the_layer_alone_are_no_duplicates():
    random = np.random.default_rng(0)
    inputs, labels = random.normal(size=(40, 6)), np.arange(40) % 2
    z = np.stack([labels, np.zeros(40)], axis=1)  # as where a layer has died
    test, z_test = np.concatenate([inputs[[7]], random.normal(size=(3, 6))]), z[:4]
    found = propose(z, labels, test=test, inputs=inputs)
    assert [p.rows.tolist() for p in found if p.kind == "duplicate"] == [[7]]
    of_layer = propose(z, labels, test=z_test)
    assert sum(len(p.rows) for p in of_layer if p.kind == "duplicate") == 40
