"""A map lies where it was found: written, read back, and compared with nilearn's and nibabel's resampling."""

from pathlib import Path

import nibabel as nib
import nilearn.datasets
import numpy as np
import pytest
from nibabel.affines import voxel_sizes
from nibabel.processing import resample_from_to
from nibabel.testing import data_path
from nilearn.image import resample_to_img
from scipy.ndimage import gaussian_filter
from volume_files import AFFINES, OBLIQUE, SHAPE, blob, center_of_mass, mm, noise

from keras_pli.volume import Preprocessing, read_volume, write_map, write_pair
from keras_pli.volume.images.grids import resampled

PREPARE = Preprocessing(shape=(28, 28, 32), voxel_size=1.7, normalization="none")
COARSE = Preprocessing(voxel_size=4.0, normalization="none")


def _spot(affine):
    return mm(SHAPE, affine)[6, 8, 5] + 0.3


@pytest.mark.parametrize("prepare", [PREPARE, COARSE], ids=["fine", "coarse"])
@pytest.mark.parametrize("name", AFFINES)
def test_a_map_comes_back_to_its_place(tmp_path, name, prepare):
    affine = AFFINES[name]
    path = tmp_path / "image.nii.gz"
    nib.save(nib.Nifti1Image(blob(SHAPE, affine, _spot(affine)), affine), path)
    volume = prepare(path)
    write_map(tmp_path / "map.nii.gz", volume.values[None, ..., None], volume)
    found, image = nib.load(tmp_path / "map.nii.gz"), nib.load(path)
    assert found.shape == image.shape and (found.affine == image.affine).all()
    apart = np.abs(center_of_mass(found) - center_of_mass(image))
    assert (apart < 0.15 * voxel_sizes(affine).min()).all()  # far less than a voxel
    peak = np.unravel_index(found.get_fdata().argmax(), SHAPE)
    assert np.abs(np.array(peak) - (6, 8, 5)).max() <= 1


@pytest.mark.parametrize("name", AFFINES)
def test_a_map_is_resampled_as_nilearn_and_nibabel_do(tmp_path, name):
    affine = AFFINES[name]
    volume = PREPARE(noise(affine=affine))
    map_values = smooth_noise(volume.values.shape)
    ours = volume.map_to_subject(map_values)
    fine = volume.map_image(map_values)
    theirs = resample_to_img(
        fine, ours, interpolation="linear", force_resample=True, copy_header=True
    ).get_fdata()
    other = resample_from_to(fine, ours, order=1).get_fdata()
    at = nib.affines.apply_affine(np.linalg.inv(fine.affine), mm(SHAPE, affine))
    inside = ((at > 1e-3) & (at < np.array(fine.shape) - 1 - 1e-3)).all(-1)
    assert inside.mean() > 0.6
    # Ours smooths where the subject's voxels are further apart; so compare without.
    exact = _unsmoothed(volume, map_values)
    np.testing.assert_allclose(exact[inside], theirs[inside], atol=1e-4)
    np.testing.assert_allclose(exact[inside], other[inside], atol=1e-4)
    assert np.corrcoef(ours.get_fdata()[inside], theirs[inside])[0, 1] > 0.97
    labels = (map_values > 0).astype("float32")
    nearest = volume.map_to_subject(labels, order=0).get_fdata()
    assert set(np.unique(nearest)) <= {0, 1}
    known = resample_from_to(volume.map_image(labels), ours, order=0).get_fdata()
    assert (nearest[inside] == known[inside]).mean() > 0.98  # on ties they may round apart


def smooth_noise(shape):
    return gaussian_filter(np.random.default_rng(0).normal(size=shape), 2).astype("float32") * 20


def _unsmoothed(volume, values):
    return resampled(values, volume.grid, volume.source.grid, antialias=False)


@pytest.mark.parametrize("codes", [(1, 0), (0, 4), (2, 3), (1, 1), (0, 0)])
def test_the_header_says_what_the_file_says_of_the_space(tmp_path, codes):
    image = noise(dtype="int16")
    header = nib.Nifti1Header()
    header.set_data_dtype("int16")
    header.set_xyzt_units("mm", "sec")
    header.set_qform(OBLIQUE if codes[0] else None, codes[0])
    header.set_sform(AFFINES["turned"] if codes[1] and not codes[0] else OBLIQUE, codes[1])
    header["cal_max"], header["intent_code"], header["descrip"] = 90, 1002, b"a scan"
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"NAME OF A PATIENT"))
    image = nib.Nifti1Image(np.asarray(image.dataobj), None, header)
    nib.save(image, tmp_path / "image.nii")
    volume = PREPARE(tmp_path / "image.nii")
    write_map(tmp_path / "map.nii", smooth_noise(volume.values.shape), volume)
    found, image = nib.load(tmp_path / "map.nii"), nib.load(tmp_path / "image.nii")
    for field in (
        "qform_code",
        "sform_code",
        "xyzt_units",
        "pixdim",
        "dim",
        "quatern_b",
        "quatern_c",
        "quatern_d",
        "qoffset_x",
        "qoffset_y",
        "qoffset_z",
        "srow_x",
        "srow_y",
        "srow_z",
    ):
        np.testing.assert_array_equal(found.header[field], image.header[field], err_msg=field)
    np.testing.assert_array_equal(found.affine, image.affine)
    assert found.get_data_dtype() == np.float32 and found.dataobj.slope == 1
    assert found.header["intent_code"] == 0 and not found.header.extensions
    assert found.header["cal_max"] == -found.header["cal_min"] > 0  # a symmetric window
    assert b"PATIENT" not in (tmp_path / "map.nii").read_bytes()


FILES = [
    Path(data_path) / "anatomical.nii",
    Path(data_path) / "reoriented_anat_moved.nii",
    Path(data_path) / "scaled+tlrc.HEAD",
    Path(nilearn.datasets.__file__).parent / "data" / "image_10426.nii.gz",
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files(tmp_path, path):
    image = read_volume(path)
    volume = Preprocessing(voxel_size=3.0, normalization="none")(path)
    at = mm(volume.values.shape, volume.affine)
    center = at[tuple(np.array(volume.values.shape) // 2)]
    found = nib.load(
        write_map(
            tmp_path / "m.nii.gz", blob(volume.values.shape, volume.affine, center, 6), volume
        )
    )
    assert found.shape == image.shape
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    assert np.abs(center_of_mass(found) - center).max() < 0.2


@pytest.mark.parametrize(
    ("kind", "name"),
    [(nib.Nifti2Image, "i.nii"), (nib.MGHImage, "i.mgz"), (nib.AnalyzeImage, "i.img")],
)
def test_other_formats(tmp_path, kind, name):
    affine = AFFINES["flipped"] if kind is nib.AnalyzeImage else OBLIQUE
    nib.save(kind(np.asarray(noise().dataobj), affine), tmp_path / name)
    volume = PREPARE(tmp_path / name)
    image, attributed = write_pair(tmp_path / "pair", smooth_noise(volume.values.shape), volume)
    assert attributed.name == "i_map.nii.gz"
    image, attributed = nib.load(image), nib.load(attributed)
    assert isinstance(attributed, nib.Nifti2Image if kind is nib.Nifti2Image else nib.Nifti1Image)
    np.testing.assert_allclose(attributed.affine, read_volume(tmp_path / name).affine, atol=1e-5)
    np.testing.assert_allclose(image.affine, attributed.affine, atol=1e-5)
    np.testing.assert_allclose(image.get_fdata(), noise().get_fdata(), rtol=1e-5)


def test_a_pair_copies_the_file(tmp_path):
    nib.save(noise(affine=OBLIQUE, dtype="int16"), tmp_path / "sub-1.T1.nii.gz")
    volume = PREPARE(tmp_path / "sub-1.T1.nii.gz")
    image, attributed = write_pair(tmp_path / "pair", volume.values, volume)
    assert image.read_bytes() == (tmp_path / "sub-1.T1.nii.gz").read_bytes()
    assert (image.name, attributed.name) == ("sub-1.T1_image.nii.gz", "sub-1.T1_map.nii.gz")
    own, map_own = write_pair(tmp_path / "own", volume.values, volume, name="v", like_input=False)
    np.testing.assert_array_equal(nib.load(own).get_fdata(), volume.values)
    np.testing.assert_array_equal(nib.load(map_own).get_fdata(), volume.values)
    np.testing.assert_allclose(nib.load(map_own).affine, volume.affine, rtol=1e-6)
    assert nib.load(map_own).header["qform_code"] == 1
    with pytest.raises(ValueError, match=r"came from memory. `like_input=False`"):
        write_pair(tmp_path, volume.values, PREPARE(noise()))


def test_beyond_the_preprocessed_volume_a_map_is_zero():
    volume = Preprocessing(shape=(6, 6, 6), voxel_size=2.0)(noise(affine=AFFINES["aligned"]))
    found = volume.map_to_subject(np.ones((6, 6, 6))).get_fdata()
    # It ends in the middle of voxels along x and z, and between them along y.
    assert set(np.unique(found)) == {0, 1} and 5 * 6 * 5 <= found.sum() <= 7 * 6 * 7
    assert found[0, 0, 0] == 0 and found[7, 7, 6] == 1


def test_maps_that_are_refused(tmp_path):
    volume = PREPARE(noise())
    with pytest.raises(
        ValueError, match=r"shape \(28, 28, 32\). Received shape \(28, 28, 32, 3\).*one channel"
    ):
        write_map(tmp_path / "m.nii", np.ones((28, 28, 32, 3)), volume)
    with pytest.raises(ValueError, match=r"Received shape \(15, 14, 13\)\.$"):
        volume.map_to_subject(np.ones(SHAPE))
    with pytest.raises(ValueError, match=r"`attribution` must be finite. 1 of"):
        bad = volume.values.copy()
        bad[0, 0, 0] = np.nan
        volume.map_image(bad)
    with pytest.raises(ValueError, match=r"'.nii' or '.nii.gz'. Received: .*m.png"):
        write_map(tmp_path / "m.png", volume.values, volume)
    with pytest.raises(ValueError, match="`order` must be one of 0, 1"):
        write_map(tmp_path / "m.nii", volume.values, volume, order=3)
    assert not list(tmp_path.iterdir())


def test_the_subjects_own_image_is_never_overwritten(tmp_path):
    for name in ("image.nii", "x_image.nii.gz", "x_map.nii.gz"):
        nib.save(noise(), tmp_path / name)
    (tmp_path / "link.nii").symlink_to(tmp_path / "image.nii")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    volume = Preprocessing()(tmp_path / "image.nii")
    for path in ("image.nii", "../" + tmp_path.name + "/image.nii", "link.nii"):
        with pytest.raises(ValueError, match=r"nii is the subject's own image"):
            write_map(tmp_path / path, volume.values, volume)
    for name in ("x_image.nii.gz", "x_map.nii.gz"):
        volume = Preprocessing()(tmp_path / name)
        for like_input in (True, False):
            with pytest.raises(ValueError, match=rf"{name} is the subject's own image"):
                write_pair(tmp_path, volume.values, volume, name="x", like_input=like_input)
    with pytest.raises(ValueError, match=r"without folders. Received: '../x'"):
        write_pair(tmp_path, volume.values, volume, name="../x")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
