"""Small images with known content, and affines of every kind, for the tests of volumes."""

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec
from scipy.spatial.transform import Rotation

FLIPPED = from_matvec(np.diag([-2.0, 2, 2]), [14, -12, -10])
TURNED = from_matvec(np.array([[0, 0, 2.0], [-2, 0, 0], [0, 2, 0]]), [-10, 13, -12])
ANISOTROPIC = from_matvec(np.diag([1.5, 2, 3.0]), [-11, -14, -20])
OBLIQUE = from_matvec(
    Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix() @ np.diag([2.0, -1.5, 2.5]),
    [-12, 9, -17],
)
AFFINES = {
    "aligned": from_matvec(np.eye(3) * 2, [-15, -14, -13]),
    "flipped": FLIPPED,
    "turned": TURNED,
    "anisotropic": ANISOTROPIC,
    "oblique": OBLIQUE,
}
SHAPE = (15, 14, 13)


def mm(shape, affine):
    """The position of every voxel."""
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return at @ affine[:3, :3].T + affine[:3, 3]


def blob(shape, affine, center, width=4.0):
    """A bright Gaussian at a position in mm."""
    return np.exp(-((mm(shape, affine) - center) ** 2).sum(-1) / (2 * width**2)).astype("float32")


def center_of_mass(image):
    values = np.asarray(image.get_fdata(dtype="float32"), dtype=np.float64)
    return (mm(image.shape, image.affine) * values[..., None]).sum((0, 1, 2)) / values.sum()


def noise(shape=SHAPE, affine=None, seed=0, dtype="float32"):
    values = np.random.default_rng(seed).normal(100, 20, shape).clip(1).astype(dtype)
    return nib.Nifti1Image(values, np.eye(4) if affine is None else affine)
