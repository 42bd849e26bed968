"""A cohort is the same wherever its files lie, and another when any of them, or its place, is another."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from keras_pli.volume import Preprocessing, VolumeError, read_cohort
from keras_pli.volume.cohorts.cohort_identity import cohort_identity


@pytest.fixture
def folder(tmp_path):
    """Files of whatever bytes: none is read as an image. Two masks are equal."""
    made = tmp_path / "study"
    made.mkdir()
    files = [("a", 1), ("b", 2), ("c", 3), ("m1", 4), ("m2", 4), ("m3", 5), ("template", 6)]
    for name, content in files:
        (made / f"{name}.nii").write_bytes(bytes([content] * 9))
    return made


def identity(folder, masks=("m1", None, "m3"), preprocessing=None, classes=None, **columns):
    rows = {
        "path": ["a.nii", "b.nii", "c.nii"],
        "label": [0, 1, 0],
        "mask": [name and f"{name}.nii" for name in masks],
    }
    cohort = read_cohort(pd.DataFrame(rows | columns), root=folder, classes=classes)
    found = cohort_identity(cohort, preprocessing)
    assert json.loads(json.dumps(found)) == found
    return found


def stripping(folder, name="template"):
    return Preprocessing(skull_stripping="template", template=folder / f"{name}.nii")


def test_moved_and_touched(folder, tmp_path):
    before = identity(folder, preprocessing=stripping(folder))
    os.utime(folder / "a.nii", (1, 1))
    assert identity(folder, preprocessing=stripping(folder)) == before
    moved = tmp_path / "zzz" / "deep"
    shutil.move(folder, moved)
    assert identity(moved, preprocessing=stripping(moved)) == before
    assert identity(moved) == before | {"template": None}


@pytest.mark.parametrize("name", ["a", "m1", "template"])
def test_bytes_count(folder, name):
    path = folder / f"{name}.nii"
    before, stat = identity(folder, preprocessing=stripping(folder)), path.stat()
    path.write_bytes(bytes(9))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # of the same size and time
    after = identity(folder, preprocessing=stripping(folder))
    assert [key for key in before if after[key] != before[key]] == [
        {"a": "images", "m1": "masks", "template": "template"}[name]
    ]


def test_which_row_has_which_mask(folder):
    found = [identity(folder, masks)["masks"] for masks in (("m1", None, "m3"), (None, "m1", "m3"))]
    found += [identity(folder, ("m3", None, "m1"))["masks"], identity(folder, (None,) * 3)["masks"]]
    assert len(set(found)) == 4
    assert identity(folder, ("m2", None, "m3"))["masks"] == found[0]  # of the same bytes


def test_labels_and_subjects_count(folder):
    before = identity(folder)
    others = [
        identity(folder, label=[0, 1, 1]),
        identity(folder, label=["0", "1", "0"]),
        identity(folder, classes=[1, 0]),
        identity(folder, subject=["p", "q", "r"]),
        identity(folder, subject=["p", "p", "r"]),
        identity(folder, subject=["p", "q", "s"]),
        identity(folder, path=["b.nii", "a.nii", "c.nii"]),
    ]
    digests = [tuple(found.values()) for found in (before, *others)]
    assert len(set(digests)) == len(digests)


def test_templates_in_memory(folder):
    import nibabel as nib

    images = [nib.Nifti1Image(np.full((2, 2, 2), value, "u1"), np.eye(4)) for value in (1, 1, 2)]
    found = [
        identity(folder, preprocessing=Preprocessing(skull_stripping="template", template=image))
        for image in images
    ]
    assert found[0] == found[1] != found[2]


def test_files_that_cannot_be_read(folder):
    (folder / "m3.nii").unlink()
    with pytest.raises(VolumeError, match=r"row 2, c.nii: .*m3.nii: cannot be read \(No such"):
        identity(folder)
