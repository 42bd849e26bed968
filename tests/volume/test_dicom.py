"""DICOM series of scanners that nibabel ships, converted by dcm2niix."""

import gzip
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from keras_pli.volume import Preprocessing, VolumeError, convert_dicom, read_volume

DATA = Path(nib.__file__).parent / "nicom" / "tests" / "data"


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    (folder / "p.dcm").write_bytes(gzip.decompress((DATA / "philips_mprage.dcm.gz").read_bytes()))
    return folder


def test_a_series_becomes_a_volume(series, tmp_path):
    files = convert_dicom(series, tmp_path / "nifti")
    assert [file.name for file in files] == [f"{series.name}_301_MPRAGE_S2_SENSE.nii.gz"]
    assert sorted(file.suffix for file in (tmp_path / "nifti").iterdir()) == [".gz", ".json"]
    image = read_volume(files[0])
    assert image.shape == (176, 256, 256)
    np.testing.assert_allclose(image.header.get_zooms(), 1, atol=0.01)
    assert Preprocessing(shape=(20, 24, 24))(files[0]).values.shape == (20, 24, 24)
    with pytest.raises(FileExistsError, match=r"MPRAGE.*`overwrite=True` replaces them"):
        convert_dicom(series, tmp_path / "nifti")
    assert convert_dicom(series, tmp_path / "nifti", overwrite=True) == files


def test_several_frames_are_said(tmp_path):
    for number in (0, 1):
        shutil.copy(DATA / f"{number}.dcm", tmp_path)
    (file,) = convert_dicom(tmp_path, tmp_path / "nifti", name="dwi")
    with pytest.raises(VolumeError, match=r"dwi.nii.gz: must hold one volume.* 2 frames"):
        read_volume(file)


def test_what_is_no_series(tmp_path, monkeypatch):
    with pytest.raises(VolumeError, match=r"no: there is no such folder"):
        convert_dicom(tmp_path / "no", tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(b"no DICOM")
    with pytest.raises(
        VolumeError, match=r"dcm2niix made no image of it.*Unable to find any DICOM"
    ):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    with pytest.raises(ImportError, match=r"needs dcm2niix.*`pip install \"keras-pli\[dicom\]\"`"):
        convert_dicom(tmp_path / "in", tmp_path / "out")


def test_without_nibabel(monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(
        ImportError,
        match=r"Reading brain images needs nibabel, which is not installed: "
        r"`pip install \"keras-pli\[volume\]\"`\.",
    ):
        read_volume("a.nii")
