"""A cohort's table as people write it: labels that look alike, and files that Excel and others leave."""

import datetime

import numpy as np
import pandas as pd
import pytest

from keras_pli.volume import CohortError, read_cohort


def table(labels):
    rows = {"path": [f"s{number}.nii" for number in range(len(labels))]}
    return pd.DataFrame(rows | {"label": pd.Series(list(labels), dtype=object)})


def read(folder, text, name="cohort.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_cohort(folder / name)


def labelled(folder, labels):
    lines = [f"s{number}.nii,{label}" for number, label in enumerate(labels)]
    return read(folder, "\n".join(["path,label", *lines])).classes


@pytest.mark.parametrize(
    "labels", [(1, "1"), ("1", 1), (1, True), (1.0, 1), (True, "True"), ("1.5", 1.5), (0, False)]
)
def test_labels_that_differ_in_kind_alone(labels):
    message = rf"row 2, s2.nii: its label {labels[1]!r} is easily taken for {labels[0]!r} of row 0"
    with pytest.raises(CohortError, match=message) as raised:
        read_cohort(table([labels[0], labels[0], labels[1], "else"]))
    assert len(raised.value.faults) == 1


@pytest.mark.parametrize(
    "label", [[1, 2], np.inf, 1j, b"a", datetime.date(2020, 1, 1), pd.Timestamp(2020, 1, 1)]
)
def test_labels_that_name_no_class(label):
    with pytest.raises(CohortError, match=r"row 1: its label must be a text, a number or a truth"):
        read_cohort(table(["a", label]))
    with pytest.raises(CohortError, match=r"The classes must be texts, numbers"):
        read_cohort(table(["a", "b"]), classes=["a", "b", label])


def test_classes_that_are_written_alike():
    with pytest.raises(CohortError, match=r"each once and written differently. Received: 1, '1'"):
        read_cohort(table([1, 1]), classes=[1, "1"])


def test_spaces_around_labels():
    found = read_cohort(table(["AD", "AD ", " CN"]), classes=[" AD", "CN "])
    assert found.classes == ("AD", "CN") and found.labels.tolist() == [0, 0, 1]
    assert found.table["label"].tolist() == ["AD", "AD", "CN"]


@pytest.mark.parametrize(
    ("written", "classes"),
    [
        (["10", " 2", "2"], (2, 10)),
        (["0", "-1"], (-1, 0)),
        (["007", "7"], ("007", "7")),
        (["01", "1", "2"], ("01", "1", "2")),
        (["0.5", "1.0"], (0.5, 1.0)),
        (["0.5", "1.50"], ("0.5", "1.50")),
        (["1", "1.5"], ("1", "1.5")),
        (["1", "b "], ("1", "b")),
        (["1e3", "2"], ("1e3", "2")),
        (["True", "False"], (False, True)),
        (["None", "NA", "nan", "null"], ("NA", "None", "nan", "null")),
    ],
)
def test_labels_of_a_file(tmp_path, written, classes):
    found = labelled(tmp_path, written)
    assert found == classes and [type(name) for name in found] == [type(name) for name in classes]


def test_only_an_empty_cell_is_missing(tmp_path):
    found = read(tmp_path, "path,label,subject,mask,age\na,x,NA,,61\nb,y,None,m,NA\n")
    assert found.subjects.tolist() == ["NA", "None"] and found.table["mask"].iloc[0] is None
    assert found.table["age"].isna().tolist() == [False, True]  # others as pandas reads them
    with pytest.raises(CohortError) as raised:
        read(tmp_path, "path,label,subject\na,,p\nb,2, \nc\n")
    assert [fault.partition(": ")[2] for fault in raised.value.faults] == [
        "its label is missing.",
        "its label is missing.",
        "its subject is missing.",
        "its subject is missing.",
    ]


@pytest.mark.parametrize("name", ["path", "label", "subject", "mask", "age"])
def test_columns_of_one_name(tmp_path, name):
    columns = {key: ["1", "2"] for key in ("path", "label", "subject", "mask", "age")}
    given = pd.concat([pd.DataFrame(columns), pd.DataFrame({name: ["3", "4"]})], axis=1)
    with pytest.raises(CohortError, match=f"Several columns .* have one name: '{name}'"):
        read_cohort(given)
    with pytest.raises(CohortError, match=rf"cohort.csv: several columns have one name: '{name}'"):
        read(tmp_path, given.to_csv(index=False))


def test_lines_at_fault(tmp_path):
    text = 'path,label,note\n\na,1,"two\nlines"\n,,\nb,2,x,y\n   \nc,1,\n'
    with pytest.raises(CohortError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/cohort.csv: 2 faults:")
    assert raised.value.faults == [
        "line 5: holds nothing but separators; delete it.",
        "line 6: has 4 values, the heading 3.",
    ]
    good = text.replace(",,\n", "").replace(",y\n", "\n")
    found = read(tmp_path, good)
    assert found.table["note"].tolist()[:2] == ["two\nlines", "x"] and len(found) == 3


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_separators_and_the_mark_of_excel(tmp_path, separator, name):
    text = "path;label ;subject\r\nä.nii;1;007\r\nb.nii;2;7\r\n".replace(";", separator)
    found = read(tmp_path, b"\xef\xbb\xbf" + text.encode(), name)
    assert found.classes == (1, 2) and found.subjects.tolist() == ["007", "7"]
    assert found.paths[0] == str(tmp_path / "ä.nii")


@pytest.mark.parametrize("text", [b"", b"\n \n", b"path,label\n", b"path label\n", b"\xff\xfep\0"])
def test_files_that_are_no_tables(tmp_path, text):
    with pytest.raises(CohortError, match=r"t.csv: cannot be|has none|it has 'path label'"):
        read(tmp_path, text, "t.csv")


def test_home_folders_of_nobody():
    given = table(["a", "b"]).assign(mask=[None, "~no-such-user/m.nii"])
    given.loc[0, "path"] = "~no-such-user/s.nii"
    with pytest.raises(CohortError) as raised:
        read_cohort(given)
    assert raised.value.faults == [
        "row 0: its path is in no known home folder: '~no-such-user/s.nii'.",
        "row 1: its mask is in no known home folder: '~no-such-user/m.nii'.",
    ]
