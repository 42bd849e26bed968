import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

from keras_pli.synthetic import brain_phantoms
from keras_pli.synthetic.brain_template import load_template

SHAPE = (20, 24, 20)


@pytest.fixture(scope="module")
def data():
    return brain_phantoms(12, shape=SHAPE, strength=0.4, seed=2)


def centre(mask, affine):
    """The centre of mass of a mask in mm."""
    return nibabel.affines.apply_affine(affine, ndimage.center_of_mass(mask))


def test_shapes_and_types(data):
    for values, kind in ((data.images, "float32"), (data.brain, "bool"), (data.truth, "bool")):
        assert values.shape == (12, *SHAPE) and values.dtype == kind
    assert data.labels.tolist().count(1) == 6
    assert data.affine.shape == (4, 4) and nibabel.aff2axcodes(data.affine) == ("R", "A", "S")
    assert data.regions.shape == SHAPE
    assert set(np.unique(data.regions)) == {0, *data.region_names}
    assert np.isfinite(data.images).all() and "float32 (12, 20, 24, 20)" in repr(data)


def test_same_seed_same_heads_and_another_seed_others(data):
    again = brain_phantoms(12, shape=SHAPE, strength=0.4, seed=2)
    np.testing.assert_array_equal(again.images, data.images)
    assert not np.array_equal(
        brain_phantoms(1, shape=SHAPE, seed=3).images, brain_phantoms(1, shape=SHAPE).images
    )


def test_brains_have_the_size_of_brains_and_lie_inside_the_head(data):
    voxel = abs(np.linalg.det(data.affine[:3, :3])) / 1000
    np.testing.assert_allclose(data.brain_volumes, data.brain.sum(axis=(1, 2, 3)) * voxel)
    assert ((data.brain_volumes > 1100) & (data.brain_volumes < 2300)).all()
    for brain, image in zip(data.brain, data.images, strict=True):
        assert ndimage.label(brain)[1] == 1
        assert image[brain].mean() > 2 * image[~brain].mean()
    edge = np.ones(SHAPE, bool)
    edge[1:-1, 1:-1, 1:-1] = False
    assert not data.brain[:, edge].any()


@pytest.mark.parametrize(
    ("place", "at"), [("hippocampi", (26, -22, -13)), ("ventricles", (16, -6, 17))]
)
def test_the_place_lies_where_it_is_said_to_in_both_classes(place, at):
    found = brain_phantoms(8, shape=SHAPE, place=place, seed=4)
    right = np.arange(found.images.shape[1]) > (found.images.shape[1] - 1) / 2
    for label in (0, 1):
        truth = found.truth[found.labels == label]
        assert (
            truth.any(axis=(1, 2, 3)).all()
            and not (truth & ~found.brain[found.labels == label]).any()
        )
        for side, sign in ((right, 1), (~right, -1)):
            middle = centre((truth & side[:, None, None]).mean(axis=0), found.affine)
            assert np.linalg.norm(middle - np.array(at) * (sign, 1, 1)) < 9


def test_truth_is_where_counterparts_of_another_strength_differ(data):
    without = brain_phantoms(12, shape=SHAPE, strength=0.0, seed=2)
    difference = abs(data.images - without.images)
    assert (difference[data.labels == 0] == 0).all()
    difference = difference[data.labels == 1]
    truth = data.truth[data.labels == 1]
    far = ~np.stack([ndimage.binary_dilation(mask, iterations=6) for mask in truth])
    assert difference[far].max() < 5e-3
    assert difference[truth].mean() > 20 * difference[~truth].mean()
    # Lost tissue is dark.
    darker = (without.images - data.images)[data.labels == 1]
    assert (darker * truth).sum(axis=(1, 2, 3)).min() > 0
    np.testing.assert_array_equal(data.brain, without.brain)


def test_loss_and_size_have_the_distributions_they_are_said_to_have():
    kwargs = {"shape": SHAPE, "seed": 5}
    found = brain_phantoms(80, strength=0.25, size_confounding=1.5, **kwargs)
    loss = [found.loss[found.labels == label] for label in (0, 1)]
    assert abs(np.mean(loss[1]) - np.mean(loss[0]) - 0.25) < 0.07
    share = np.mean([(loss[0] < 0.275).mean(), (loss[1] > 0.275).mean()])
    assert abs(share - stats.norm.cdf(1.25)) < 0.1
    logs = [np.log(found.brain_volumes[found.labels == label]) for label in (0, 1)]
    deviation = np.sqrt(np.mean([np.var(part, ddof=1) for part in logs]))
    assert abs((logs[1].mean() - logs[0].mean()) / deviation - 1.5) < 0.6


def test_the_marker_changes_what_lies_outside_the_brain_alone():
    kwargs = {"shape": SHAPE, "strength": 0.0, "seed": 6}
    plain = brain_phantoms(6, **kwargs)
    marked = brain_phantoms(6, outside_marker=4.0, **kwargs)
    changed = abs(marked.images - plain.images)
    assert changed[plain.brain].max() < 1e-6 and changed.max(axis=(1, 2, 3)).min() > 0.02
    assert marked.marker_place.any(axis=(1, 2, 3)).all()
    assert not (marked.marker_place & plain.brain).any()
    assert changed[~marked.marker_place].max() < 0.05 < changed[marked.marker_place].mean()
    wider = marked.markers > plain.markers
    np.testing.assert_array_equal(wider, plain.labels == 1)
    # A wider airway is darker.
    sums = (marked.images - plain.images).sum(axis=(1, 2, 3))
    assert (sums[plain.labels == 1] < 0).all() and (sums[plain.labels == 0] > 0).all()


def test_stripped_heads_are_the_brains_of_the_others(data):
    stripped = brain_phantoms(12, shape=SHAPE, strength=0.4, head=False, seed=2)
    np.testing.assert_array_equal(stripped.images, data.images * data.brain)


def test_regions_lie_on_their_sides(data):
    x = data.affine[0, 0] * np.arange(SHAPE[0]) + data.affine[0, 3]
    for number, name in data.region_names.items():
        sides = x[np.nonzero(data.regions == number)[0]]
        if name.startswith(("left", "right")):
            assert (sides < 0 if name.startswith("left") else sides > 0).all(), name
    left, right = (np.isin(data.regions, [n, n + 1]) for n in (1, 3))
    assert left.any() and right.any()


def test_the_template_is_the_one_of_nilearn_and_is_not_changed(data):
    from nilearn.datasets import load_mni152_brain_mask

    template = load_template(data.affine[0, 0] / 2.5)  # the one at hand
    mask = load_mni152_brain_mask(resolution=3)
    indices = np.argwhere(np.asarray(mask.dataobj) > 0)
    points = nibabel.affines.apply_affine(mask.affine, indices)
    assert (template.at(template.brain, points) > 0.5).mean() > 0.97
    assert abs(len(points) / (template.brain > 0.5).sum() - 1) < 0.06
    with pytest.raises(ValueError, match="read-only"):
        template.head[0, 0, 0] = 1


@pytest.mark.parametrize("varied", [False, True])
def test_written_files_hold_the_same_heads_in_the_same_places(data, tmp_path, varied):
    table = pd.read_csv(data.write(tmp_path, varied=varied))
    assert table.columns[:4].tolist() == ["path", "label", "subject", "mask"]
    assert table["label"].tolist() == data.labels.tolist() and table["subject"].is_unique
    affines = set()
    for i, row in enumerate(table.itertuples()):
        image, mask, truth = (
            nibabel.load(tmp_path / name) for name in (row.path, row.mask, row.truth)
        )
        affines.add((nibabel.aff2axcodes(image.affine), image.shape, image.get_data_dtype().str))
        assert image.shape == mask.shape and np.allclose(image.affine, mask.affine)
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
        brain = mask.get_fdata() > 0
        middles = centre(brain, mask.affine), centre(data.brain[i], data.affine)
        assert np.linalg.norm(middles[0] - middles[1]) < (1.5 if varied else 1e-3)
        # Each voxel of the place lies in the place, or beside it.
        points = nibabel.affines.apply_affine(truth.affine, np.argwhere(truth.get_fdata() > 0))
        at = np.rint(nibabel.affines.apply_affine(np.linalg.inv(data.affine), points)).astype(int)
        wide = ndimage.binary_dilation(data.truth[i]) if varied else data.truth[i]
        assert len(at) and wide[tuple(at.T)].all()
        # The brightness at the brain's own middle, by nibabel's affine.
        inside = image.get_fdata()[brain].mean()
        scale = 1 if image.get_data_dtype().kind == "f" else 1000
        assert abs(inside / scale / data.images[i][data.brain[i]].mean() - 1) < 0.1
    assert (len(affines) > 6) if varied else (len(affines) == 1)
    regions = nibabel.load(tmp_path / "regions.nii.gz")
    np.testing.assert_array_equal(np.asarray(regions.dataobj), data.regions)
    assert len(pd.read_csv(tmp_path / "regions.csv")) == len(data.region_names)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"count": 0}, "`count` must be a whole number from 1"),
        ({"shape": (40, 48)}, r"`shape` must be \(X, Y, Z\)"),
        ({"shape": (40, 48, 8)}, "`shape` must be a whole number from 16"),
        ({"place": "hippocampus"}, "`place` must be one of .* Did you mean 'hippocampi'"),
        ({"strength": 0.9}, "`strength` must be a number from 0"),
        ({"outside_marker": 1.0, "head": False}, "needs `head=True`"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        brain_phantoms(**options)
