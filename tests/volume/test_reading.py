"""Files of many formats are read as their headers say, and those that cannot be used are named."""

import gzip
import shutil
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.testing import data_path
from volume_files import SHAPE, noise

from keras_pli.volume import VolumeError, read_volume
from keras_pli.volume.images.reading import has_known_orientation

DATA = Path(data_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_types_byte_orders_and_scaling(tmp_path, dtype, order):
    stored = np.random.default_rng(0).integers(0, 200, SHAPE)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    header["scl_slope"], header["scl_inter"], header["magic"] = 2.5, -7, b"n+1"
    header["vox_offset"], header["sform_code"] = 352, 1
    header.set_sform(np.eye(4), 1)
    written = stored.astype(np.dtype(dtype).newbyteorder(order)).tobytes("F")
    path = tmp_path / "scaled.nii"
    path.write_bytes(header.binaryblock + b"\0" * 4 + written)
    found = read_volume(path)
    np.testing.assert_allclose(found.get_fdata(dtype="float32"), 2.5 * stored - 7, rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["anatomical.nii", "reoriented_anat_moved.nii", "scaled+tlrc.HEAD"]
)
def test_files_of_nibabel(name):
    read, known = read_volume(DATA / name), nib.load(DATA / name)
    assert read.shape == known.shape[:3]
    values = known.get_fdata().reshape(read.shape)
    np.testing.assert_allclose(read.get_fdata(dtype="float32"), values, rtol=1e-5)
    np.testing.assert_allclose(read.affine, known.affine)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (nib.Nifti2Image, "two.nii.gz"),
        (nib.Nifti1Pair, "pair.img"),
        (nib.MGHImage, "surfer.mgz"),
        (nib.AnalyzeImage, "old.img"),
    ],
)
def test_formats(folder, kind, name):
    image = noise(affine=np.diag([-2.0, 2, 2, 1]))
    values = np.asarray(image.dataobj)
    if kind is not nib.MGHImage:  # which nibabel cannot write with a frame of its own
        values = values[..., None]
    nib.save(kind(values, image.affine), folder / name)
    read = read_volume(folder / name)
    assert read.shape == SHAPE
    np.testing.assert_allclose(read.get_fdata(dtype="float32"), image.get_fdata(), rtol=1e-6)
    assert has_known_orientation(read) == (kind is not nib.AnalyzeImage)


def test_nothing_is_changed(folder):
    path = folder / "kept.nii"
    nib.save(noise(), path)
    before = path.read_bytes()
    read_volume(path)
    assert path.read_bytes() == before


def test_nan_is_filled_where_asked_for():
    path = DATA / "resampled_anat_moved.nii"
    with pytest.raises(
        VolumeError, match=r"moved.nii: 153 of 1071 voxels are NaN.*fill_nonfinite=0"
    ):
        read_volume(path)
    filled = read_volume(path, fill_nonfinite=0).get_fdata(dtype="float32")
    np.testing.assert_array_equal(filled, np.nan_to_num(nib.load(path).get_fdata()))


def _cut(path):
    nib.save(noise(), path)
    path.write_bytes(path.read_bytes()[:-700])


def _flipped_bit(path):
    """The numbers unpack, and are not those that were packed."""
    nib.save(noise(), path)
    raw = gzip.decompress(path.read_bytes())
    packed = bytearray(gzip.compress(raw, compresslevel=0))
    packed[len(packed) // 2] ^= 1
    path.write_bytes(packed)


def _affine(matrix, units="mm"):
    def write(path):
        image = noise()
        image.header.set_sform(matrix, 1)
        image.header.set_xyzt_units(units)
        image = nib.Nifti1Image(image.dataobj, None, image.header)
        nib.save(image, path)

    return write


def _values(values):
    return lambda path: nib.save(nib.Nifti1Image(values, np.eye(4)), path)


FLAT = np.diag([1.0, 1, 1, 1])
FLAT[:3, 1] = [1, 0, 0]
BAD = {
    "empty.nii": (lambda path: path.write_bytes(b""), "the file is empty"),
    "text.nii": (lambda path: path.write_text("no image" * 99), "cannot be read as an image"),
    "cut.nii": (_cut, "cannot be read to its end"),
    "cut.nii.gz": (_cut, "cannot be read to its end .*EOFError"),
    "bit.nii.gz": (_flipped_bit, "CRC check failed"),
    "four.nii": (_values(np.ones((3, 3, 3, 2), "f4")), r"one volume.*\(3, 3, 3, 2\).* 2 frames"),
    "two.nii": (_values(np.ones((3, 4), "f4")), "three axes.*(3, 4)"),
    "constant.nii": (_values(np.full((3, 3, 3), 7, "f4")), "is constant; every voxel is 7"),
    "infinite.nii": (_values(np.full((2, 2, 2), np.inf, "f4")), "8 of 8 voxels are NaN or inf"),
    "complex.nii": (_values(np.ones((3, 3, 3), "c8")), "real numbers. Received complex64"),
    "flat.nii": (_affine(FLAT), "cannot be inverted"),
    "zero.nii": (_affine(np.diag([1.0, 0, 1, 1])), "affine cannot be used"),
    "metres.nii": (_affine(np.eye(4), "meter"), "header counts in meters"),
    "slice.dcm": (lambda path: shutil.copy(DATA / "0.dcm", path), "convert_dicom"),
    "folder": (lambda path: path.mkdir(), "is a folder.*convert_dicom"),
    "missing.nii": (lambda path: None, "there is no such file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_named(tmp_path, name):
    write, message = BAD[name]
    write(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(VolumeError, match=message) as raised:
            read_volume(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
