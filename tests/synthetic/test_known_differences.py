"""Known truth: what decides is where the masks say, nothing else does, and counterparts differ only there."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from keras_pli.images import split_by_group
from keras_pli.synthetic import boxes, chest_phantoms, digits_with_attribute
from keras_pli.synthetic.box_images import EFFECT

MAKERS = [boxes, digits_with_attribute, chest_phantoms]


def arrays(data):
    return {name: value for name, value in vars(data).items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("make", MAKERS)
def test_a_seed_gives_the_same_images_and_another_one_others(make):
    one, again, other = make(20, seed=3), make(20, seed=3), make(20, seed=4)
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(array, arrays(again)[name])
    assert (one.images != other.images).any()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [32, 64])
def test_images_are_in_the_range_of_a_generator(make, size):
    images = make(30, size=size).images
    assert images.shape == (30, size, size, 1) and images.dtype == np.float32
    assert images.min() >= -1 and images.max() <= 1 and images.std() > 0.1


@pytest.mark.parametrize("shape", ["box", "disc"])
def test_boxes_and_their_counterparts_differ_by_the_boxes_alone(shape):
    data = boxes(100, shape=shape, seed=1)
    sign = np.where(data.labels == 1, 1, -1)[:, None, None]
    np.testing.assert_allclose(data.differences[..., 0], EFFECT * sign * data.masks, atol=1e-6)
    assert np.bincount(data.labels).tolist() == [50, 50]
    assert set(data.places) == {0, 1}


@pytest.mark.parametrize("size", range(16, 68, 4))
def test_both_boxes_are_whole_and_apart_at_every_size(size):
    data = boxes(200, size=size)
    beside = data.masks & ~data.centre_masks
    (areas,) = {tuple(np.unique(mask.sum(axis=(1, 2)))) for mask in (data.centre_masks, beside)}
    assert len(areas) == 1 and round(np.sqrt(areas[0])) ** 2 == areas[0]
    middle = np.stack([np.argwhere(mask).mean(axis=0) for mask in data.centre_masks])
    assert abs(middle - size / 2).max() <= 1 + size * 5 / 112


def inside_and_outside(data, images):
    """Images with only what lies in the masks, and with only what does not, as vectors."""
    masks = data.masks[..., None]
    return [np.where(keep, images, 0.0).reshape(len(images), -1) for keep in (masks, ~masks)]


def test_the_class_of_boxes_is_decidable_from_the_masks_and_not_without_them():
    data = boxes(1200, size=16, seed=2)
    inside, outside = inside_and_outside(data, data.images)
    levels = inside.sum(axis=1) / data.masks.sum(axis=(1, 2))
    assert levels[data.labels == 1].min() > levels[data.labels == 0].max()
    # Only the background is left; it was made before the class was decided.
    training, test = slice(0, 800), slice(800, None)
    blind = LogisticRegression(max_iter=200).fit(outside[training], data.labels[training])
    scores = blind.decision_function(outside[test])
    assert abs(roc_auc_score(data.labels[test], scores) - 0.5) < 0.1


def test_digits_keep_clear_of_the_border_that_has_the_attribute():
    for attribute in ("side", "corner"):
        data = digits_with_attribute(200, size=28, attribute=attribute)
        values = data.images[..., 0]
        assert (values[data.masks] == 1).all()
        border = data.border[None] & ~data.masks
        assert (values[border] == -1).all()
        np.testing.assert_array_equal(data.masks, data.attribute_masks[data.attributes])
        # Four different marks of one size, each a quarter turn of the next.
        assert len({mask.tobytes() for mask in data.attribute_masks}) == 4
        assert len(set(data.attribute_masks.sum(axis=(1, 2)))) == 1


def test_the_attribute_tells_nothing_about_the_digit_and_another_one_changes_it_alone():
    data = digits_with_attribute(seed=5)
    assert len(data.images) == 1797
    counts = np.histogram2d(data.labels, data.attributes, bins=(10, 4))[0]
    assert np.ptp(counts, axis=1).max() <= 1
    np.testing.assert_array_equal(data.with_attributes(data.attributes), data.images)
    others = (data.attributes + 1) % 4
    changed = data.with_attributes(others)
    differs = (changed != data.images)[..., 0]
    np.testing.assert_array_equal(differs, data.masks ^ data.attribute_masks[others])


def test_the_heart_decides_and_is_the_only_difference():
    data = chest_phantoms(300, seed=2)
    assert (data.differences[~data.masks] == 0).all()
    assert 0.02 < data.masks.mean() < 0.2
    np.testing.assert_array_equal(data.labels, data.bnp > 100)
    np.testing.assert_allclose(data.targets, np.log(data.bnp) / 10, rtol=1e-5)
    np.testing.assert_array_equal(np.argsort(data.bnp), np.argsort(data.ratios))
    # Enlarged hearts are taken away in the counterparts, healthy ones added to.
    taken = data.differences.sum(axis=(1, 2, 3))
    assert (taken[data.labels == 1] > 0).all() and (taken[data.labels == 0] < 0).all()
    assert data.ratios.min() >= 0.36 and data.ratios.max() <= 0.68
    assert 0.3 < data.labels.mean() < 0.7


def test_counterparts_of_enlarged_hearts_are_as_wide_as_asked_for():
    usual, least = chest_phantoms(300, seed=2), chest_phantoms(300, healthy=0.5, seed=2)
    np.testing.assert_array_equal(usual.images, least.images)
    large = usual.labels == 1
    np.testing.assert_array_equal(usual.differences[~large], least.differences[~large])
    areas = [data.masks[large].sum(axis=(1, 2)) for data in (usual, least)]
    assert (areas[1] <= areas[0]).all() and areas[1].mean() < 0.9 * areas[0].mean()
    # What is taken away grows with the width that is too much, and is nothing where nothing is.
    taken = least.differences[large].sum(axis=(1, 2, 3))
    over = least.ratios[large] - 0.5
    assert np.corrcoef(taken, over)[0, 1] > 0.9
    assert taken[over < 0.02].max() < 0.3 * taken.max()


def lung_border(row):
    """Where, from the left, the lung begins: after air, which is dark, and tissue, which is not."""
    dark = row < -0.25
    tissue = np.argmin(dark)
    return tissue + np.argmax(dark[tissue:])


@pytest.mark.slow
def test_the_ratio_can_be_read_off_the_image_as_a_radiologist_would():
    data = chest_phantoms(80, size=128, seed=3)
    for row in np.flatnonzero(data.labels):
        upper = data.images[row, 40:70, :, 0]
        thorax = max(128 - lung_border(line) - lung_border(line[::-1]) for line in upper)
        columns = np.flatnonzero((data.differences[row, ..., 0] > 0.5).any(axis=0))
        heart = columns[-1] - columns[0] + 1
        assert heart / thorax == pytest.approx(data.ratios[row], abs=0.03)


def test_patients_have_several_images_with_like_hearts_and_no_group_leaks():
    data = chest_phantoms(400, seed=1)
    counts = np.bincount(data.groups)
    assert counts.max() == 4 and (counts > 0).all() and 100 < len(counts) < 250
    own = [np.ptp(data.ratios[data.groups == patient]) for patient in np.unique(data.groups)]
    assert max(own) <= 0.081 and max(own) > 0.02
    parts = split_by_group(data.groups, {"training": 4, "test": 1})
    sides = [set(data.groups[rows]) for rows in parts.values()]
    assert not sides[0] & sides[1]


def test_the_scanners_see_the_same_patients_differently():
    one, other = (chest_phantoms(60, scanner=name, seed=4) for name in "ab")
    for name in ("bnp", "groups", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    contrast = [np.std(data.images) for data in (one, other)]
    assert contrast[1] < 0.8 * contrast[0]
    assert np.corrcoef(one.images.ravel(), other.images.ravel())[0, 1] > 0.9
    assert other.images.min() > one.images.min() + 0.1
    # In the corners, neighbouring pixels differ by little but noise.
    noise = [np.std(np.diff(data.images[:, :2, :2, 0], axis=2)) for data in (one, other)]
    assert noise[1] > 1.5 * noise[0]


@pytest.mark.parametrize(
    ("make", "settings", "said"),
    [
        (boxes, {"samples": 0}, "`samples` must be a whole number from 1. Received: 0"),
        (boxes, {"size": 15}, "`size` must be a whole number from 16. Received: 15"),
        (boxes, {"shape": "circle"}, "`shape` must be one of 'box', 'disc'. Received: 'circle'"),
        (chest_phantoms, {"scanner": "c"}, "`scanner` must be one of 'a', 'b'. Received: 'c'"),
        (
            chest_phantoms,
            {"healthy": 0.51},
            "`healthy` must be a ratio from 0.36 to 0.5. Received: 0.51",
        ),
        (chest_phantoms, {"size": 28}, "`size` must be a whole number from 32. Received: 28"),
        (digits_with_attribute, {"digits": [3, 3]}, "must be different ones from 0 to 9"),
        (digits_with_attribute, {"samples": 9999}, "There are 1797 images of the digits"),
    ],
)
def test_what_cannot_be_made_is_refused(make, settings, said):
    with pytest.raises(ValueError, match=said):
        make(**settings)
