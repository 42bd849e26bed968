import itertools

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from scipy.spatial.transform import Rotation

from keras_pli.plotting.anatomy import LETTERS, Anatomy

RNG = np.random.default_rng(5)
AFFINE = np.array([[2.0, 0, 0, -9], [0, 1.5, 0, -30], [0, 0, 4, 12], [0, 0, 0, 1]])
CODES = [
    "".join(code) for order in itertools.permutations(LETTERS) for code in itertools.product(*order)
]


def image_as(code, affine=AFFINE, shape=(4, 5, 6)):
    """The same volume, stored in another order and direction of its axes."""
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.float64).reshape(shape), affine)
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(code))
    return image.as_reoriented(turn)


@pytest.mark.parametrize("turned", [0.0, 14.0])
def test_every_orientation_comes_out_as_nibabel_brings_it_upright(turned):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler(
        "xyz", [turned, -0.6 * turned, 0.5 * turned], degrees=True
    ).as_matrix()
    for code in CODES:
        image = image_as(code, turn @ AFFINE)
        values = image.get_fdata()
        upright = nib.as_closest_canonical(image)
        anatomy = Anatomy.of(values.shape, image.affine)
        np.testing.assert_array_equal(anatomy.upright(values), upright.get_fdata(), err_msg=code)
        np.testing.assert_allclose(anatomy.affine, upright.affine, atol=1e-9)
        assert anatomy.shape == upright.shape
        assert anatomy.oblique == bool(turned)
        index = (1, 3, 2)
        assert anatomy.upright(values)[anatomy.voxel(index)] == values[index]


def test_degrees_are_the_largest_angle():
    turn = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1, 1, 3])
    assert Anatomy.of((4, 4, 4), affine).degrees == pytest.approx(20.0)


def test_positions_there_and_back():
    image = image_as("SLA")
    anatomy = Anatomy.of(image.shape, image.affine)
    voxel = (3, 1, 4)
    position = nib.affines.apply_affine(nib.as_closest_canonical(image).affine, voxel)
    np.testing.assert_allclose(anatomy.millimetres(voxel), position)
    assert anatomy.nearest(position + 0.4) == voxel
    assert [anatomy.position(axis, voxel) for axis in range(3)] == [
        "x = −3 mm",
        "y = −28 mm",
        "z = 28 mm",
    ]
    fine = Anatomy.of((4, 4, 4), np.diag([0.5, 0.5, 0.5, 1.0]))
    assert fine.position(0, (1, 0, 0)) == "x = 0.5 mm"
    nothing = Anatomy.of((4, 4, 4), [[1, 0, 0, -0.2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert nothing.position(0, (0, 0, 0)) == "x = 0 mm"


def test_flips_invert_as_nibabel_says():
    image = image_as("LPI")
    back = image.affine @ inv_ornt_aff(io_orientation(image.affine), image.shape)
    np.testing.assert_allclose(Anatomy.of(image.shape, image.affine).affine, back)


@pytest.mark.parametrize(
    "affine, message",
    [
        (np.eye(3), r"\(4, 4\).*\(3, 3\)"),
        (np.full((4, 4), np.nan), "finite"),
        (np.ones((4, 4)), r"row 0, 0, 0, 1.*\[1\.0, 1\.0"),
        (np.diag([1.0, 0.0, 1.0, 1.0]), "invertible"),
        ([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "invertible"),
    ],
)
def test_affines_that_are_none(affine, message):
    with pytest.raises(ValueError, match=message):
        Anatomy.of((4, 4, 4), affine)


def test_places_outside():
    anatomy = Anatomy.of((4, 5, 6), AFFINE)
    with pytest.raises(ValueError, match=r"from \[-9\.0, -30\.0, 12\.0\] to .*\[90\.0"):
        anatomy.nearest((90, 0, 0))
    with pytest.raises(ValueError, match="x, y and z in millimetres"):
        anatomy.nearest((1, 2))
