"""Orientation, grid, brain and intensities against nilearn, nibabel, scikit-image and closed forms."""

import json

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to
from nibabel.testing import data_path
from nilearn.image import resample_img, resample_to_img
from scipy import ndimage
from skimage.transform import resize
from volume_files import AFFINES, OBLIQUE, SHAPE, blob, center_of_mass, mm, noise

from keras_pli.volume import Preprocessing, VolumeError, read_volume
from keras_pli.volume.images.grids import Grid, resampled

AS_IS = {"normalization": "none"}


@pytest.mark.parametrize("name", AFFINES)
def test_axes_are_brought_to_ras(name):
    image = noise(affine=AFFINES[name])
    found = Preprocessing(**AS_IS)(image)
    known = nib.as_closest_canonical(image)
    np.testing.assert_array_equal(found.values, known.get_fdata(dtype="float32"))
    np.testing.assert_allclose(found.affine, known.affine, atol=1e-12)
    assert nib.aff2axcodes(found.affine) == ("R", "A", "S")
    assert found.values.dtype == np.float32 and found.brain is None


@pytest.mark.parametrize("shape", [(20, 22, 18), None])
@pytest.mark.parametrize("name", AFFINES)
def test_resampling_is_nilearns_and_nibabels(name, shape):
    image = noise(affine=AFFINES[name])
    found = Preprocessing(shape=shape, voxel_size=1.25, **AS_IS)(image)
    np.testing.assert_allclose(found.affine[:3, :3], np.eye(3) * 1.25)
    known = resample_img(
        image,
        target_affine=found.affine,
        target_shape=found.values.shape,
        interpolation="linear",
        force_resample=True,
        copy_header=True,
    ).get_fdata()
    other = resample_from_to(image, (found.values.shape, found.affine), order=1).get_fdata()
    # Within the outermost voxels' centres; up to half a voxel beyond, ours go on.
    at = nib.affines.apply_affine(np.linalg.inv(image.affine), mm(known.shape, found.affine))
    inside = ((at > 1e-3) & (at < np.array(SHAPE) - 1 - 1e-3)).all(-1)
    assert inside.mean() > 0.2
    np.testing.assert_allclose(found.values[inside], known[inside], atol=2e-3)
    np.testing.assert_allclose(found.values[inside], other[inside], atol=2e-3)
    outside = ((at < -0.501) | (at > np.array(SHAPE) - 0.499)).any(-1)
    assert (found.values[outside] == 0).all()
    assert (
        found.values[~outside & ((at > -0.499) & (at < np.array(SHAPE) - 0.501)).all(-1)] > 0
    ).all()


def test_the_whole_field_of_view_is_kept():
    image = noise(affine=OBLIQUE)
    found = Preprocessing(voxel_size=2.0, **AS_IS)(image)
    corners = Grid(SHAPE, OBLIQUE).corners
    low, high = found.grid.corners.min(0), found.grid.corners.max(0)
    assert (low <= corners.min(0) + 1e-6).all() and (high >= corners.max(0) - 1e-6).all()
    assert (high - low < np.ptp(corners, axis=0) + 2.0 + 1e-6).all()


def test_a_shape_alone_keeps_proportions():
    image = noise((20, 10, 12), np.diag([1.0, 2, 1.5, 1]))  # 20 × 20 × 18 mm
    found = Preprocessing(shape=(10, 16, 10), **AS_IS)(image)
    np.testing.assert_allclose(np.diag(found.affine)[:3], 2.0)
    np.testing.assert_allclose(found.grid.center, Grid((20, 10, 12), image.affine).center)


def test_shrinking_smooths_as_scikit_image_does():
    rng = np.random.default_rng(0)
    values = ndimage.gaussian_filter(rng.normal(size=(32, 28, 24)), 1).astype("float32")
    image = nib.Nifti1Image(values, np.eye(4))
    found = Preprocessing(voxel_size=4.0, **AS_IS)(image).values
    known = resize(values, (8, 7, 6), order=1, anti_aliasing=True, mode="edge")
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(found[inner], known[inner], atol=1e-3)


def test_what_is_too_fine_is_not_aliased():
    stripes = np.tile([0.0, 1.0], 32)[:, None, None] * np.ones((1, 8, 8))
    source = Grid((64, 8, 8), np.eye(4))
    target = Grid((16, 8, 8), np.diag([4.0, 1, 1, 1]))
    smooth = resampled(stripes, source, target)
    assert np.ptp(smooth[1:-1]) < 0.01 and abs(smooth[1:-1].mean() - 0.5) < 0.01
    raw = resampled(stripes, source, target, antialias=False)
    assert (raw == 0).all()  # every fourth voxel is dark


@pytest.mark.parametrize("name", AFFINES)
def test_scale_zooms_about_the_brain(name):
    affine = AFFINES[name]
    center = mm(SHAPE, affine)[8, 7, 5]
    brain = np.linalg.norm(mm(SHAPE, affine) - center, axis=-1) < 8
    image = nib.Nifti1Image(blob(SHAPE, affine, center + np.array([3, 0, 2])), affine)
    prepare = Preprocessing(shape=(44, 44, 44), voxel_size=0.93, **AS_IS)
    one, two = prepare(image, mask=brain), prepare(image, mask=brain, scale=1.2)
    middle = mm(SHAPE, affine)[brain].mean(0)

    def voxel(volume, at):
        return np.linalg.solve(volume.affine, [*at, 1])[:3]

    # About the brain's centre, everything is as much further away in voxels …
    spot = np.array(ndimage.center_of_mass(one.values)) - voxel(one, middle)
    grown = np.array(ndimage.center_of_mass(two.values)) - voxel(one, middle)
    np.testing.assert_allclose(grown, 1.2 * spot, atol=0.05)
    # … and stays where it was in the subject's space.
    np.testing.assert_allclose(voxel(two, middle), voxel(one, middle), atol=1e-9)
    moved = nib.Nifti1Image(two.values, two.affine)
    np.testing.assert_allclose(center_of_mass(moved), center_of_mass(image), atol=0.6)
    assert two.brain.sum() / one.brain.sum() == pytest.approx(1.2**3, rel=0.06)
    ml = brain.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000
    assert two.brain_volume == one.brain_volume == pytest.approx(ml)
    assert Preprocessing(**AS_IS, scale=1.2)(image).affine[0] == pytest.approx(
        Preprocessing(**AS_IS)(image, scale=1.2).affine[0]
    )


@pytest.mark.parametrize("center", ["image", "brain", (1.0, -2.0, 0.5)])
@pytest.mark.parametrize("grid", [{"shape": (12, 12, 12), "voxel_size": 2.0}, {}])
def test_center(center, grid):
    image = noise(affine=OBLIQUE)
    brain = np.zeros(SHAPE, bool)
    brain[3:8, 4:9, 2:6] = True
    found = Preprocessing(center=center, **grid, **AS_IS)(image, mask=brain)
    known = {
        "image": Grid(SHAPE, OBLIQUE).center,
        "brain": mm(SHAPE, OBLIQUE)[brain].mean(0),
    }.get(center if isinstance(center, str) else None, center)
    np.testing.assert_allclose(found.grid.center, known, atol=1e-6)


def _brain():
    return np.linalg.norm(mm(SHAPE, OBLIQUE) - Grid(SHAPE, OBLIQUE).center, axis=-1) < 9


@pytest.mark.parametrize("voxel_size", [None, 1.5, 3.5])
def test_stripping_lets_nothing_of_the_skull_in(voxel_size):
    brain = _brain()
    quiet = np.where(brain, noise().get_fdata(), 0).astype("float32")
    loud = np.where(brain, quiet, 5000).astype("float32")
    prepare = Preprocessing(voxel_size=voxel_size, skull_stripping="mask")
    one, two = (prepare(nib.Nifti1Image(v, OBLIQUE), mask=brain) for v in (quiet, loud))
    np.testing.assert_array_equal(one.values, two.values)
    assert (one.values[~one.brain] == 0).all()
    inside = one.values[one.brain]
    assert abs(inside.mean()) < 1e-5 and abs(inside.std() - 1) < 1e-5
    # The edge is as bright as the middle: a constant brain stays constant.
    even = np.where(brain, 7, 0).astype("float32")
    flat = Preprocessing(voxel_size=voxel_size, skull_stripping="mask", normalization="none")
    found = flat(nib.Nifti1Image(even, OBLIQUE), mask=brain)
    np.testing.assert_allclose(found.values[found.brain], 7, rtol=1e-5)


def test_normalisation():
    brain = _brain()
    image = nib.Nifti1Image(np.where(brain, noise().get_fdata(), 3000).astype("f4"), OBLIQUE)
    raw = Preprocessing(**AS_IS)(image, mask=brain)
    seen = raw.values[raw.brain]
    found = Preprocessing()(image, mask=brain).values
    np.testing.assert_allclose(found, (raw.values - seen.mean()) / seen.std(), rtol=1e-4, atol=1e-5)
    found = Preprocessing(normalization="percentile", percentiles=(5, 90))(image, mask=brain)
    low, high = np.percentile(seen, [5, 90])
    np.testing.assert_allclose(
        found.values, ((raw.values - low) / (high - low)).clip(0, 1), atol=1e-4
    )


@pytest.mark.parametrize("air", [0, 3])
def test_without_a_mask_air_does_not_count(air):
    values = np.where(_brain(), noise().get_fdata(), air * noise(seed=1).get_fdata() / 100)
    found = Preprocessing()(nib.Nifti1Image(values.astype("f4"), np.eye(4))).values
    inside = found[_brain()]
    assert abs(inside.mean()) < 0.05 and abs(inside.std() - 1) < 0.1


def test_air_that_resampling_adds_does_not_count():
    values = np.where(_brain(), noise().get_fdata(), 3 * noise(seed=1).get_fdata() / 100)
    image = nib.Nifti1Image(values.astype("f4"), np.eye(4))
    small = Preprocessing()(image).values
    wide = Preprocessing(shape=(41, 40, 39), voxel_size=1.0)(image).values
    np.testing.assert_allclose(wide[13:28, 13:27, 13:26], small, atol=1e-5)


def test_the_image_is_left_alone():
    image = noise()
    before = np.asarray(image.dataobj).copy()
    header = image.header.copy()
    found = Preprocessing()(image)
    found.values[:] = 0
    found.source.header["descrip"] = b"changed"
    np.testing.assert_array_equal(np.asarray(image.dataobj), before)
    assert image.header == header


def test_masks_on_other_grids(tmp_path):
    image = noise(affine=OBLIQUE)
    affine = np.diag([1.5, 1.5, 1.5, 1])
    affine[:3, 3] = Grid(SHAPE, OBLIQUE).center - 1.5 * 14.5
    at = mm((30, 30, 30), affine)
    ball = np.linalg.norm(at - Grid(SHAPE, OBLIQUE).center, axis=-1) < 9
    mask = nib.Nifti1Image(255 * ball.astype("u1"), affine)
    nib.save(mask, tmp_path / "mask.nii.gz")
    found = Preprocessing(**AS_IS, skull_stripping="mask")(image, mask=tmp_path / "mask.nii.gz")
    known = resample_to_img(
        mask, image, interpolation="nearest", force_resample=True, copy_header=True
    )
    known = nib.as_closest_canonical(known).get_fdata() > 0
    assert (found.brain == known).mean() > 0.999  # on ties they may round apart
    ours = nib.as_closest_canonical(nib.Nifti1Image(_brain().astype("u1"), OBLIQUE))
    assert (found.brain == ours.get_fdata()).mean() > 0.97  # the ball itself

    affine[:3, 3] += 90
    far = nib.Nifti1Image(np.asarray(mask.dataobj), affine)
    with pytest.raises(VolumeError, match=r"only 0% of the mask's volume lies on the image"):
        Preprocessing()(image, mask=far)


def test_masks_that_cannot_be_used(tmp_path):
    nib.save(noise(), tmp_path / "image.nii")
    prepare = Preprocessing(skull_stripping="mask")
    holes = np.ones(SHAPE, "f4")
    holes[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(holes, np.eye(4)), tmp_path / "holes.nii")
    for mask, message in (
        (tmp_path / "holes.nii", r"image.nii: .*holes.nii: 1 of 2730 voxels are NaN"),
        (None, "image.nii: skull_stripping='mask' needs a `mask`"),
        (np.zeros(SHAPE), "image.nii: .*the mask is empty"),
        (holes, r"image.nii: .*1 of the mask's 2730 voxels are NaN or infinite"),
        (nib.Nifti1Image(holes, np.eye(4)), "1 of the mask's 2730 voxels are NaN"),
        (np.full(SHAPE, "1"), r"a mask must hold real numbers. Received <U1"),
        (
            np.ones((4, 4, 4)),
            r"image.nii: the mask has shape \(4, 4, 4\) and the image \(15, 14, 13\)",
        ),
        (tmp_path / "no.nii", r"image.nii: .*no.nii: there is no such file"),
    ):
        with pytest.raises(VolumeError, match=message):
            prepare(tmp_path / "image.nii", mask=mask)
    brain = np.zeros(SHAPE, bool)
    brain[0, 0, 0] = True
    with pytest.raises(VolumeError, match=r"constant within the brain, at"):
        prepare(tmp_path / "image.nii", mask=brain)
    small = Preprocessing(shape=(3, 3, 3), voxel_size=1.0)
    with pytest.raises(VolumeError, match="no voxel of the brain lies within the grid"):
        small(tmp_path / "image.nii", mask=brain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (3, 4)}, r"three whole numbers \(X, Y, Z\). Received: \(3, 4\)"),
        ({"shape": (3, 4, 0)}, "`shape` must be a whole number from 1. Received: 0"),
        ({"voxel_size": 0}, "`voxel_size` must be above 0"),
        ({"voxel_size": (1, 2)}, "`voxel_size` must be three mm"),
        ({"scale": -1}, "`scale` must be a number from 0"),
        ({"fill_nonfinite": "0"}, "`fill_nonfinite` must be a number. Received: '0'"),
        ({"fill_nonfinite": np.nan}, "`fill_nonfinite` must be a number. Received: nan"),
        ({"fill_nonfinite": 1e300}, r"that float32 can hold. Received: 1e\+300"),
        ({"fill_nonfinite": -np.inf}, "that float32 can hold. Received: -inf"),
        ({"skull_stripping": "masks"}, "Did you mean 'mask'"),
        ({"normalization": "z"}, "`normalization` must be one of"),
        ({"percentiles": (9, 1)}, "0 to 100, rising"),
        ({"center": "brian"}, "Did you mean 'brain'"),
        ({"template": "t.nii"}, "skull_stripping='template'. Received skull_stripping='none'"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)


def test_other_than_images_are_refused():
    with pytest.raises(TypeError, match=r"a file's path or a nibabel image. Received: ndarray"):
        Preprocessing()(np.ones((3, 3, 3)))
    with pytest.raises(VolumeError, match="Nifti1Image without a file: is constant"):
        Preprocessing()(nib.Nifti1Image(np.ones((3, 3, 3), "f4"), np.eye(4)))
    with pytest.raises(VolumeError, match=r"functional.nii: must hold one volume"):
        Preprocessing()(f"{data_path}/functional.nii")
    with pytest.raises(ValueError, match=r"`fill_nonfinite` must be a number. Received: 'x'"):
        read_volume(f"{data_path}/anatomical.nii", fill_nonfinite="x")


@pytest.mark.parametrize("size", [1e-3, 0.01, 1.0, 100.0])
def test_grids_are_told_apart_by_their_voxels(size):
    """What a hundredth of a voxel is depends on the voxel."""
    affine = np.diag([size, size, size, 1.0])
    grid = Grid(SHAPE, affine)
    for voxels, same in ((1, False), (0.05, False), (0.005, True)):
        moved = affine.copy()
        moved[0, 3] += voxels * size
        assert grid.is_same(Grid(SHAPE, moved)) == same
    stretched = np.diag([size * 1.01, size, size, 1.0])
    assert not grid.is_same(Grid(SHAPE, stretched))


def test_the_rounding_of_files_makes_no_other_grid():
    affine = np.diag([1e-3, 1e-3, 1e-3, 1.0])
    affine[:3, 3] = 1234.56789
    stored = affine.astype(np.float32).astype(np.float64)
    assert abs(stored - affine).max() > 1e-5  # more than a hundredth of a voxel
    assert Grid(SHAPE, affine).is_same(Grid(SHAPE, stored))


def test_microscopic_voxels():
    """A mask shifted by a voxel is laid on shifted, and a scale is followed, whatever the voxel size."""
    affine = np.diag([0.01, 0.01, 0.01, 1.0])
    shifted = affine.copy()
    shifted[0, 3] = 0.01
    image = noise(affine=affine)
    mask = nib.Nifti1Image(_brain().astype("u1"), shifted)
    found = Preprocessing()(image, mask=mask).brain
    np.testing.assert_array_equal(found[1:], _brain()[:-1])
    plain = Preprocessing(**AS_IS)(image).values
    assert np.abs(Preprocessing(**AS_IS, scale=1.05)(image).values - plain).max() > 1


def test_options_are_stored_as_json(tmp_path):
    given = Preprocessing(
        shape=np.array([4, 5, 6]),
        voxel_size=np.float32(2),
        skull_stripping="template",
        percentiles=np.array([2, 98]),
        scale=np.float32(1.25),
        center=np.zeros(3, "f4"),
        template=tmp_path / "t.nii",
        fill_nonfinite=np.float32(0),
    )
    assert type(given.scale) is float and type(given.fill_nonfinite) is float
    stored = json.loads(json.dumps(given.to_dict()))
    assert stored["template"] == str(tmp_path / "t.nii") and stored["scale"] == 1.25
    assert Preprocessing.from_dict(stored) == given
    assert Preprocessing.from_dict(Preprocessing().to_dict()) == Preprocessing()
    with pytest.raises(TypeError, match=r"no option 'scales'. Did you mean 'scale'"):
        Preprocessing.from_dict({"scales": 1})
    image = Preprocessing(skull_stripping="template", template=noise())
    with pytest.raises(ValueError, match=r"`template` must be a file's path.*Nifti1Image"):
        image.to_dict()
