"""The brain found by threshold in a head of known brain, and by the MNI152 template's mask."""

from pathlib import Path

import nibabel as nib
import nilearn.datasets
import numpy as np
import pytest
from nilearn.image import resample_to_img
from scipy import ndimage
from volume_files import mm, noise

from keras_pli.volume import Preprocessing, VolumeError, brain_mask

AFFINE = nib.affines.from_matvec(np.diag([-3.0, 3, 3.5]), [93, -110, -70])
GRID = (64, 74, 52)
DATA = Path(nilearn.datasets.__file__).parent / "data"


def ellipsoid(radii):
    at = mm(GRID, AFFINE) - [0, -2, 18]
    return ((at / radii) ** 2).sum(-1) < 1


@pytest.fixture(scope="module")
def head():
    """Brain, dark fluid and skull, a bright scalp, an eye, and dark ventricles within."""
    brain = ellipsoid([66, 84, 58])
    image = np.where(ellipsoid([82, 100, 74]), 90.0, 3)
    image[ellipsoid([76, 94, 68])] = 12
    image[brain] = 70
    image[ellipsoid([12, 25, 10])] = 15
    image[np.linalg.norm(mm(GRID, AFFINE) - [30, 89, -5], axis=-1) < 12] = 80  # touches the scalp
    image = ndimage.gaussian_filter(image, 0.6) + np.random.default_rng(0).normal(0, 3, GRID)
    return nib.Nifti1Image(image.astype("float32"), AFFINE), brain


def dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_by_threshold(head):
    image, brain = head
    found = brain_mask(image)
    assert found.dtype == bool and found.shape == GRID
    assert dice(found, brain) > 0.95
    assert found[ellipsoid([10, 20, 8])].all()  # the ventricles belong to it
    assert (brain[found]).mean() > 0.97  # and no scalp
    hot = np.asarray(image.dataobj).copy()
    hot[5, 5, 5] = 1e6  # one voxel beyond measure
    assert dice(brain_mask(nib.Nifti1Image(hot, AFFINE)), found) > 0.99
    volume = Preprocessing(skull_stripping="threshold")(image)
    assert volume.brain.sum() == found.sum()
    assert (volume.values[~volume.brain] == 0).all()
    assert volume.brain_volume == pytest.approx(brain.sum() * 31.5 / 1000, rel=0.06)


def test_by_the_template():
    t1 = nib.load(DATA / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    small = nib.processing.conform(t1, (49, 58, 47), (4.0, 4, 4), order=1, orientation="LPS")
    found = brain_mask(small, method="template")
    template = nilearn.datasets.load_mni152_brain_mask(resolution=2)
    known = resample_to_img(template, small, "nearest", force_resample=True, copy_header=True)
    assert (found == (known.get_fdata() > 0)).mean() > 0.999
    assert dice(found, small.get_fdata() > 20) > 0.93
    volume = Preprocessing(skull_stripping="template", template=template)(small)
    assert volume.brain.sum() == found.sum()


def test_a_template_elsewhere():
    with pytest.raises(VolumeError, match=r"only \d+% of the mask's volume lies on the image"):
        brain_mask(noise(), method="template")  # 15 mm of a brain


def test_no_brain():
    with pytest.raises(ValueError, match="`method` must be one of 'threshold', 'template'"):
        brain_mask(noise(), method="bet")
