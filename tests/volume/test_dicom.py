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


def test_a_series_becomes_a_volume(tmp_path):
    (tmp_path / "scan").mkdir()
    shutil.copy(DATA / "0.dcm", tmp_path / "scan")
    files = convert_dicom(tmp_path / "scan", tmp_path / "nifti")
    assert [file.name for file in files] == ["scan_12_CBU_DTI_64D_1A.nii.gz"]
    assert {file.suffix for file in (tmp_path / "nifti").iterdir()} >= {".gz", ".json"}
    image = read_volume(files[0])
    assert image.shape == (36, 36, 48)
    np.testing.assert_allclose(image.header.get_zooms(), [1.797, 1.797, 3], atol=0.01)
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
    assert Preprocessing(shape=(20, 24, 24))(files[0]).values.shape == (20, 24, 24)
    with pytest.raises(FileExistsError, match=r"DTI.*`overwrite=True` replaces them"):
        convert_dicom(tmp_path / "scan", tmp_path / "nifti")
    assert convert_dicom(tmp_path / "scan", tmp_path / "nifti", overwrite=True) == files


def test_another_scanner(tmp_path):
    packed = (DATA / "philips_mprage.dcm.gz").read_bytes()  # without its numbers, all of them 0
    (tmp_path / "p.dcm").write_bytes(gzip.decompress(packed))
    (file,) = convert_dicom(tmp_path, tmp_path / "nifti", name="t1")
    image = nib.load(file)
    assert image.shape == (176, 256, 256)
    np.testing.assert_allclose(image.header.get_zooms(), 1, atol=0.01)


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
