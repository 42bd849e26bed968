"""A cohort's files: all faults found in one pass, streams in order, and a cache that serves nothing old."""

import os
import re
import shutil
import sys
import warnings

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from volume_files import AFFINES, noise

from keras_pli.volume import CohortError, Preprocessing, VolumeError, read_cohort

PREPARE = Preprocessing(shape=(8, 9, 7), voxel_size=3.0)
COUNT = 10


def write_files(folder, count=COUNT, masks=False):
    rows = []
    affines = list(AFFINES.values())
    for number in range(count):
        affine = affines[number % len(affines)]
        nib.save(noise(affine=affine, seed=number, dtype="int16"), folder / f"s{number}.nii.gz")
        row = {"path": f"s{number}.nii.gz", "label": "ab"[number % 2], "subject": f"p{number}"}
        if masks:
            brain = np.zeros((15, 14, 13), "u1")
            brain[3:11, 3:11, 3:11] = 1
            brain[2, 3, 3 + number] = 1  # each its own
            nib.save(nib.Nifti1Image(brain, affine), folder / f"m{number}.nii.gz")
            row["mask"] = f"m{number}.nii.gz"
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return read_cohort(write_files(tmp_path_factory.mktemp("cohort"), masks=True))


@pytest.fixture(scope="module")
def arrays(cohort):
    return cohort.arrays(PREPARE)


def read_all(dataset):
    pairs = [(x.numpy(), y.numpy()) for x, y in dataset]
    return [np.concatenate(parts) for parts in zip(*pairs, strict=True)]


def test_arrays_are_the_volumes_one_by_one(cohort, arrays):
    x, y, brains = arrays
    assert x.shape == (COUNT, 8, 9, 7, 1) and x.dtype == np.float32 and y.dtype == np.int32
    assert brains.shape == x.shape[:4] and brains.dtype == bool
    for row in (0, 3, 9):
        alone = PREPARE(cohort.paths[row], mask=cohort.table["mask"].iloc[row])
        np.testing.assert_array_equal(x[row, ..., 0], alone.values)
        np.testing.assert_array_equal(brains[row], alone.brain)
        np.testing.assert_array_equal(cohort.volume(row, PREPARE).values, alone.values)


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_a_dataset_follows_the_table(cohort, arrays, batch_size):
    dataset = cohort.dataset(PREPARE, batch_size=batch_size, workers=3)
    assert dataset.element_spec[0].shape.as_list() == [None, 8, 9, 7, 1]
    assert dataset.cardinality().numpy() == -(-COUNT // batch_size)
    x, y = read_all(dataset)
    np.testing.assert_array_equal(x, arrays[0])
    np.testing.assert_array_equal(y, arrays[1])


def test_scales(cohort):
    scales = np.linspace(0.8, 1.2, COUNT)
    x, _ = read_all(cohort.dataset(PREPARE, scales=scales))
    alone = PREPARE(cohort.paths[7], mask=cohort.table["mask"].iloc[7], scale=scales[7])
    np.testing.assert_array_equal(x[7, ..., 0], alone.values)
    np.testing.assert_array_equal(cohort.arrays(PREPARE, scales=scales)[0], x)
    for wrong in (scales[:3], np.zeros(COUNT)):
        with pytest.raises(ValueError, match="one factor above 0 for each of the 10 images"):
            cohort.dataset(PREPARE, scales=wrong)


@pytest.mark.slow
def test_shuffling(cohort, arrays):
    def orders(seed):
        dataset = cohort.dataset(PREPARE, batch_size=4, shuffle=True, seed=seed)
        found = []
        for _ in range(2):
            x, y = read_all(dataset)
            rows = [int(np.abs(arrays[0] - volume).sum((1, 2, 3, 4)).argmin()) for volume in x]
            np.testing.assert_array_equal(y, arrays[1][rows])
            found.append(rows)
        return found

    first, second = orders(5)
    assert sorted(first) == sorted(second) == list(range(COUNT)) and first != second
    assert orders(5) == [first, second] and orders(6)[0] != first


def test_what_a_check_finds(cohort):
    found = cohort.check(PREPARE, verbose=0)
    assert found["axes"].tolist()[:3] == ["RAS", "LAS", "PSR"]
    assert found["shape"].tolist() == [(15, 14, 13)] * COUNT
    assert found["voxel_size"].iloc[3] == (1.5, 2.0, 3.0) and found["known_orientation"].all()
    volumes = [cohort.volume(position, PREPARE).brain_volume for position in range(COUNT)]
    assert found["brain_volume"].tolist() == volumes
    of_headers = found.drop(columns="brain_volume")
    pd.testing.assert_frame_equal(cohort.check(full=False, verbose=0), of_headers)


def test_progress_is_shown(cohort, capsys):
    cohort.check(full=False)
    assert f"{COUNT}/{COUNT}" in capsys.readouterr().out


FAULTS = {
    1: "there is no such file",
    3: "the file is empty",
    4: "is constant",
    5: "its mask m5.nii.gz: the mask is empty",
    6: "its mask m6.nii.gz: there is no such file",
    7: "EOFError",
    8: "another subject's",
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    table = write_files(folder, masks=True)
    (folder / "s1.nii.gz").unlink()
    (folder / "s3.nii.gz").write_bytes(b"")
    nib.save(nib.Nifti1Image(np.full((5, 5, 5), 3, "u1"), np.eye(4)), folder / "s4.nii.gz")
    outside = np.zeros((15, 14, 13), "f4")
    outside[0] = 0.3  # a probability
    nib.save(nib.Nifti1Image(outside, np.eye(4)), folder / "m5.nii.gz")
    (folder / "m6.nii.gz").unlink()
    (folder / "s7.nii.gz").write_bytes((folder / "s7.nii.gz").read_bytes()[:-500])
    copied = nib.load(folder / "s0.nii.gz")
    nib.save(nib.Nifti1Image(copied.get_fdata(), copied.affine), folder / "s8.nii.gz")  # as float64
    return read_cohort(table)


@pytest.mark.parametrize("preprocessing", [None, PREPARE])
def test_all_bad_files_are_found_in_one_pass(damaged, preprocessing):
    with pytest.raises(CohortError, match="7 of the cohort's 10 rows cannot be used") as raised:
        damaged.check(preprocessing, verbose=0)
    faults = raised.value.faults
    assert [int(re.match(r"row (\d+), s\1\.nii\.gz: ", fault)[1]) for fault in faults] == [*FAULTS]
    for fault, message in zip(faults, FAULTS.values(), strict=True):
        assert message in fault


def test_what_is_left_without_faults(damaged):
    left, faults = damaged.without_faults(PREPARE, verbose=0)
    assert left.table.index.tolist() == [row for row in range(COUNT) if row not in FAULTS]
    with pytest.raises(CohortError) as raised:
        damaged.check(PREPARE, verbose=0)
    assert faults == raised.value.faults
    left.check(PREPARE, verbose=0)
    with pytest.raises(CohortError, match="All 2 rows of the cohort cannot be used"):
        damaged.select([1, 3]).without_faults(verbose=0)


def test_masks_of_other_subjects(cohort, tmp_path):
    table = cohort.table.iloc[[0, 5, 1]].copy()
    file = shutil.copy(table["mask"].iloc[0], tmp_path / "copy.nii.gz")
    own = table["mask"].iloc[2]
    for mask, full in ((table["mask"].iloc[0], False), (file, True)):
        table["mask"] = [cohort.table["mask"].iloc[0], str(mask), own]
        name = re.escape(os.path.basename(mask))
        message = rf"image: row 5, s5.nii.gz \({name}, as of row 0, s0.nii.gz\)\. That"
        with pytest.warns(UserWarning, match=message):
            read_cohort(table.assign(label=["a", "b", "a"])).check(full=full, verbose=0)
    one = table.assign(subject="p", label=["a", "b", "a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_cohort(one).check(full=False, verbose=0)


def test_headers_alone(damaged):
    with pytest.raises(CohortError) as raised:
        damaged.check(full=False, verbose=0)
    assert {1, 3, 6} <= {int(re.match(r"row (\d+)", fault)[1]) for fault in raised.value.faults}


def test_shapes_that_differ(cohort):
    with pytest.raises(CohortError, match=r"gives a volume of shape .*most others") as raised:
        cohort.check(Preprocessing(), verbose=0)
    assert len(raised.value.faults) == 2  # those whose axes are turned
    with pytest.raises(VolumeError, match=r"row 2, s2.nii.gz: gives a volume of shape"):
        cohort.arrays(Preprocessing())
    with pytest.raises(
        CohortError, match=r"row 0, s0.nii.gz: no voxel of the brain lies within the grid"
    ):
        cohort.check(Preprocessing(shape=(3, 3, 3), voxel_size=1.0, center=(99, 0, 0)), verbose=0)


def test_a_missing_library_is_no_fault_of_the_rows(cohort, monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ImportError, match=r"keras-pli\[volume\]"):
        cohort.check(verbose=0)


def test_one_class(cohort):
    with pytest.raises(CohortError, match="all rows: are of one class, 'a'"):
        cohort.select(cohort.labels == 0).check(full=False, verbose=0)


def test_orientation_that_nobody_knows(tmp_path):
    table = write_files(tmp_path, 4)
    image = noise(seed=9)
    image.header.set_sform(None, 0)
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), tmp_path / "s2.nii.gz")
    with pytest.warns(UserWarning, match=r"1 of 4 files do not say .*s2.nii.gz"):
        found = read_cohort(table).check(verbose=0)
    assert found["known_orientation"].tolist() == [True, True, False, True]


def test_a_file_that_breaks_later(tmp_path):
    cohort = read_cohort(write_files(tmp_path, 4))
    dataset = cohort.dataset(PREPARE, batch_size=2)
    read_all(dataset)
    (tmp_path / "s3.nii.gz").write_bytes(b"")
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"row 3: .*s3.nii.gz: the file is empty"
    ):
        read_all(dataset)
    with pytest.raises(VolumeError, match=r"row 3: .*s3.nii.gz: the file is empty"):
        cohort.arrays(PREPARE)
    with pytest.raises(VolumeError, match=r"row 0: .*needs a `mask`"):
        cohort.arrays(Preprocessing(skull_stripping="mask"))


@pytest.mark.slow
def test_the_cache_serves_nothing_old(tmp_path):
    cohort = read_cohort(write_files(tmp_path, 3, masks=True))
    folder = tmp_path / "cache"

    def cached(prepare=PREPARE, **options):
        return read_all(cohort.dataset(prepare, cache=folder, **options))[0]

    first = cached()
    np.testing.assert_array_equal(first, cohort.arrays(PREPARE)[0])
    files = sorted(folder.iterdir())
    assert len(files) == 3
    kept = {file: file.stat().st_mtime_ns for file in files}
    np.testing.assert_array_equal(cached(), first)
    assert {file: file.stat().st_mtime_ns for file in sorted(folder.iterdir())} == kept
    # Another preprocessing, another scale: other files.
    other = Preprocessing(shape=(8, 9, 7), voxel_size=3.0, normalization="percentile")
    np.testing.assert_array_equal(cached(other), cohort.arrays(other)[0])
    assert len(list(folder.iterdir())) == 6
    scaled = cached(scales=[1, 1.1, 1])
    np.testing.assert_array_equal(scaled, cohort.arrays(PREPARE, scales=[1, 1.1, 1])[0])
    # A file of the same name, size and date with other numbers.
    path = tmp_path / "s1.nii.gz"
    before = path.stat()
    nib.save(noise(affine=AFFINES["flipped"], seed=77, dtype="int16"), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = cached()
    assert np.abs(second[1] - first[1]).max() > 1
    np.testing.assert_array_equal(second, cohort.arrays(PREPARE)[0])
    # Another mask.
    mask = nib.load(tmp_path / "m2.nii.gz")
    nib.save(nib.Nifti1Image(1 - np.asarray(mask.dataobj), mask.affine), tmp_path / "m2.nii.gz")
    assert np.abs(cached()[2] - second[2]).max() > 1e-3
    # A damaged file is made again.
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    np.testing.assert_array_equal(cached(), cohort.arrays(PREPARE)[0])


@pytest.mark.slow
def test_streaming_keeps_memory_constant(tmp_path):
    """1,200 reads of 48³ would take 530 MB; a few batches of them are there at a time."""
    values = np.random.default_rng(0).normal(100, 20, (48, 48, 48)).astype("int16")
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "s.nii")
    rows = []
    for number in range(300):
        os.link(tmp_path / "s.nii", tmp_path / f"s{number}.nii")  # as files of their own
        rows.append((str(tmp_path / f"s{number}.nii"), number % 2))
    cohort = read_cohort(pd.DataFrame(rows, columns=["path", "label"]))
    dataset = cohort.dataset(Preprocessing(shape=(48, 48, 48)), batch_size=4, shuffle=True)

    def resident():
        with open("/proc/self/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    after = []
    for _ in range(4):
        assert sum(len(y) for _, y in dataset) == 300
        after.append(resident())
    assert max(after[1:]) - after[0] < 60  # MB
