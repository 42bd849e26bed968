"""A cohort's table: its faults, its classes, and parts that never share a subject."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from keras_pli.volume import Cohort, CohortError, read_cohort


def table(labels, subjects=None, **columns):
    rows = {"path": [f"s{number}.nii" for number in range(len(labels))], "label": labels}
    return pd.DataFrame(rows | ({} if subjects is None else {"subject": subjects}) | columns)


@pytest.fixture(scope="module")
def repeated():
    """60 subjects, one to four images each; two of them change their label over time."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(60), rng.integers(1, 5, 60))
    labels = np.where(subjects % 3 == 0, "ill", "well").astype(object)
    for changing in (1, 2):
        labels[np.flatnonzero(subjects == changing)[0]] = "ill"
    return read_cohort(table(labels, subjects))


def test_from_a_file(tmp_path):
    text = "path,label,subject,age\nsub/a.nii,2,007,61\nb.nii,10,7,\n/c.nii,2,008,70\n"
    (tmp_path / "cohort.csv").write_text(text)
    found = read_cohort(tmp_path / "cohort.csv")
    assert found.paths == [str(tmp_path / "sub/a.nii"), str(tmp_path / "b.nii"), "/c.nii"]
    assert found.classes == (2, 10) and found.labels.tolist() == [0, 1, 0]
    assert found.subjects.tolist() == ["007", "7", "008"]  # zeros count
    assert found.table["age"].iloc[0] == 61
    assert repr(found) == "Cohort(3 images of 3 subjects; 2: 2, 10: 1)"
    moved = read_cohort(tmp_path / "cohort.csv", root="/data", classes=[10, 2])
    assert moved.paths[0] == "/data/sub/a.nii" and moved.labels.tolist() == [1, 0, 1]
    (tmp_path / "cohort.tsv").write_text(text.replace(",", "\t"))
    assert len(read_cohort(tmp_path / "cohort.tsv")) == 3


def test_the_table_is_left_alone():
    given = table(["a", "b"], mask=["m.nii", None])
    before = given.copy()
    found = read_cohort(given, root="/data")
    pd.testing.assert_frame_equal(given, before)
    assert found.table["mask"].tolist() == ["/data/m.nii", None]


def test_all_faults_are_named_at_once():
    given = table(
        ["a", None, "b", "a", "b"],
        ["p", "p", "", "q", None],
        mask=pd.Series([None, None, 3, None, None], dtype=object),
    )
    given.loc[3, "path"] = None
    with pytest.raises(CohortError) as raised:
        read_cohort(given)
    assert sorted(raised.value.faults) == [
        "row 1, s1.nii: its label is missing.",
        "row 2, s2.nii: its subject is missing.",
        "row 2: its mask must be a path. Received: 3.",
        "row 3: its path is missing.",
        "row 4, s4.nii: its subject is missing.",
    ]
    assert str(raised.value).startswith("The cohort's table has 5 faults:\n  row 3: its path")


def test_long_lists_are_cut():
    with pytest.raises(CohortError, match=r"… and 150 more \(the error's `faults`\)") as raised:
        read_cohort(table([None] * 200))
    assert len(raised.value.faults) == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"file": ["a"]}), "Missing: 'path', 'label'; it has 'file'"),
        (table([]), "must have a row for each image"),
        ("no.csv", r"no.csv: there is no such table"),
        (
            table(["a", "b", "a"]).assign(path=["x.nii", "y.nii", "./x.nii"]),
            r"row 2, x.nii: the same file stands in row 0",
        ),
        (
            table(["a", "b"], split=["train", "later"]),
            r"row 1, s1.nii: its split must be .*Received: 'later'",
        ),
        (table(["a", "b"], split=["train", None]), r"row 1, s1.nii: its split is missing"),
        (
            table(["a", "b", "a"], ["p", "q", "p"], split=["train", "train", "test"]),
            r"subject 'p': is in 'train' \(row 0\) and 'test' \(row 2\)",
        ),
    ],
)
def test_tables_that_are_refused(given, message):
    with pytest.raises(CohortError, match=message):
        read_cohort(given)


def test_subjects_that_the_paths_name():
    given = table(list("abab")).assign(path=["sub-1/s1.nii", "sub-1/s2.nii", "sub-2.nii", "c.nii"])
    with pytest.warns(UserWarning, match=r"images are of one subject \('sub-1'\)"):
        assert len(set(read_cohort(given).subjects)) == 4


def test_other_refusals(tmp_path):
    with pytest.raises(TypeError, match=r"a CSV file or a DataFrame. Received: list"):
        read_cohort([1])
    (tmp_path / "t.csv").write_bytes(b"")
    with pytest.raises(CohortError, match=r"t.csv: cannot be read as a table"):
        read_cohort(tmp_path / "t.csv")
    with pytest.raises(CohortError, match="its label 'c' is no class"):
        read_cohort(table(["a", "c"]), classes=["a", "b"])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("count", [2, 5, 10])
def test_folds_never_divide_a_subject(repeated, count, seed):
    folds = repeated.folds(count, seed=seed)
    seen = Counter(path for _, held in folds for path in held.paths)
    assert seen == Counter(repeated.paths)  # each once
    share = (repeated.labels == 0).mean()
    for train, held in folds:
        assert not set(train.subjects) & set(held.subjects)
        assert sorted(train.paths + held.paths) == sorted(repeated.paths)
        assert train.classes == held.classes == ("ill", "well")
        assert abs((held.labels == 0).mean() - share) < 0.15
    known = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    codes, subjects = repeated.labels, repeated.subjects
    for (_, held), (_, rows) in zip(folds, known.split(codes, codes, subjects), strict=True):
        assert held.paths == [repeated.paths[row] for row in rows]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.3, 0.5, 0.7])
def test_a_split_never_divides_a_subject(repeated, share):
    train, test = repeated.split(share, seed=3)
    assert not set(train.subjects) & set(test.subjects)
    assert sorted(train.paths + test.paths) == sorted(repeated.paths)
    assert abs(len(test) / len(repeated) - share) < 0.05
    assert abs((test.labels == 0).mean() - (train.labels == 0).mean()) < 0.15
    assert repeated.split(share, seed=3)[1].paths == test.paths
    assert repeated.split(share, seed=4)[1].paths != test.paths


def test_a_given_split_is_followed():
    parts = ["train", "Test", "val", "train", "test"]
    found = read_cohort(table(list("abaab"), split=parts))
    train, test = found.split(0.5)
    assert [len(train), len(test), len(found.part("validation"))] == [2, 2, 1]
    assert test.paths == [found.paths[1], found.paths[4]] and test.labels.tolist() == [1, 1]
    assert "split" not in train.table  # so that folds of it can be made
    with pytest.raises(ValueError, match=r"folds of all rows would mix.*part\(\"train\"\)"):
        found.folds(2)
    with pytest.raises(ValueError, match="must name 'train' and 'test' or 'validation'"):
        found.select([0, 3]).split()
    with pytest.raises(ValueError, match="A part needs a column 'split'"):
        train.part("train")


def test_too_few_subjects():
    found = read_cohort(table(list("aaaaaabb"), list("pqrstuvv")))
    with pytest.raises(
        CohortError, match=r"at least 2 subjects of each class for 2 folds[^$]*class 'b': 1"
    ):
        found.folds(2)
    with pytest.raises(CohortError, match="class 'b': 1"):
        found.split()
    with pytest.raises(CohortError, match="All images are of one class, 'a'"):
        read_cohort(table(list("aaa"))).split()
    # Two subjects of mixed labels leave one fold without a class, whatever the division.
    mixed = read_cohort(table(list("abbab"), list("ppqqq")))
    assert len(mixed.folds(2)) == 2


def test_rows_keep_their_names():
    given = table(list("abab")).set_index(pd.Index([10, 20, 30, 40]))
    found = read_cohort(given).select([3, 1])
    assert found.table.index.tolist() == [40, 20] and found.classes == ("a", "b")
    assert found.select(np.array([True, False])).table.index.tolist() == [40]
    for rows in ([], [5], [0.5], np.ones((2, 2))):
        with pytest.raises(ValueError, match="`rows` must"):
            found.select(rows)


def test_labels_that_differ_in_capitals_alone():
    message = "labels 'Patient' and 'patient' differ in capitals alone"
    with pytest.warns(UserWarning, match=message):
        assert len(read_cohort(table(["Patient", "well", "patient"])).classes) == 3


def test_labels_of_any_kind():
    assert read_cohort(table([True, False])).classes == (False, True)
    assert read_cohort(table(pd.Categorical(["b", "a"]))).classes == ("a", "b")
    assert set(read_cohort(table(["b", 1])).classes) == {"b", 1}
    assert read_cohort(table(["b", 1]), classes=["b", 1]).labels.tolist() == [0, 1]
    numbers = read_cohort(table([3, 1]), classes=np.array([3, 1]))
    assert numbers.classes == (3, 1) and type(numbers.classes[0]) is int
    assert Cohort(table([1.0, 2.0])).classes == (1.0, 2.0)


@pytest.mark.parametrize("shares", [(0, "above 0"), (1, "less than 1"), ("half", "a number")])
def test_shares_that_are_refused(repeated, shares):
    with pytest.raises(ValueError, match=shares[1]):
        repeated.split(shares[0])
