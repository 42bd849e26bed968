"""Letterboxing, shifts, splits without leaks, and scales."""

import doctest

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from keras_pli import images
from keras_pli.images import (
    check_range,
    letterbox,
    random_translation,
    scale_bnp,
    split_by_group,
    to_range,
    unscale_bnp,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "size", "inner"),
    [
        ((50, 100), 32, (16, 32)),
        ((100, 50, 1), 32, (32, 16)),
        ((30, 30, 3), (16, 24), (16, 16)),
        ((10, 20), (40, 40), (20, 40)),
        ((28, 28, 1), 28, (28, 28)),
    ],
)
def test_letterbox_keeps_the_aspect_ratio_and_centres(shape, size, inner):
    images = RNG.uniform(0.2, 1.0, size=(2, *shape)).astype("float32")
    boxed = letterbox(images, size, fill=-3.0)
    height, width = (size, size) if isinstance(size, int) else size
    assert boxed.shape == (2, height, width, *shape[2:]) and boxed.dtype == np.float32
    inside = boxed.reshape(2, height, width, -1).min(axis=-1) > -1
    rows, columns = inside[0].any(axis=1), inside[0].any(axis=0)
    assert (rows.sum(), columns.sum()) == inner
    for line in (rows, columns):
        before, after = np.argmax(line), np.argmax(line[::-1])
        assert 0 <= after - before <= 1
    top, left = np.argmax(rows), np.argmax(columns)
    for image, box in zip(images, boxed, strict=True):
        expected = resize(image, inner, order=1, mode="edge", anti_aliasing=height < shape[0])
        np.testing.assert_allclose(
            box[top : top + inner[0], left : left + inner[1]], expected, atol=1e-6
        )


def test_letterbox_does_not_alias_and_fills_with_black_by_default():
    stripes = np.tile([0.0, 1.0], (1, 64, 32))
    np.testing.assert_allclose(letterbox(stripes, 16)[0, :, 2:-2], 0.5, atol=0.06)
    boxed = letterbox(np.stack([np.full((8, 4), 0.5), np.full((8, 4), -1.0)]), 8)
    assert boxed[0, 0, 0] == -1.0 and boxed[0, 0, 4] == 0.5


def test_translations_are_shifts_of_every_possible_size():
    images = RNG.normal(size=(400, 6, 7, 2)).astype("float32")
    moved = random_translation(images, 1, seed=4, fill=9.0)
    found = set()
    for image, other in zip(images, moved, strict=True):
        shifts = [
            (y, x)
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
            if np.array_equal(
                ndimage.shift(image, (y, x, 0), order=0, mode="constant", cval=9.0), other
            )
        ]
        assert len(shifts) == 1
        found.add(shifts[0])
    assert len(found) == 9
    np.testing.assert_array_equal(moved, random_translation(images, 1, seed=4, fill=9.0))
    assert not np.array_equal(moved, random_translation(images, 1, seed=5, fill=9.0))


def test_no_translation_changes_nothing():
    images = RNG.normal(size=(3, 5, 5)).astype("float32")
    np.testing.assert_array_equal(random_translation(images, 0), images)


@pytest.mark.parametrize("seed", range(40))
def test_a_split_never_leaks_a_group_and_loses_no_sample(seed):
    random = np.random.default_rng(seed)
    fractions = dict(zip("abcd", random.uniform(0.05, 1, size=random.integers(1, 5)), strict=False))
    samples = int(random.integers(len(fractions), 300))
    groups = random.integers(0, random.integers(len(fractions), samples + 1), size=samples)
    groups[: len(fractions)] = np.arange(len(fractions))
    kind = random.choice(["int", "text", "skewed"])
    if kind == "text":
        groups = np.array([f"patient {group}" for group in groups])
    elif kind == "skewed":
        groups = np.where(random.random(samples) < 0.5, groups[0], groups)
        groups[: len(fractions)] = np.arange(len(fractions))
    parts = split_by_group(groups, fractions, seed=seed)
    assert list(parts) == list(fractions)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(samples))
    sets = [set(groups[rows].tolist()) for rows in parts.values()]
    assert all(sets) and sum(map(len, sets)) == len(set().union(*sets))
    assert all(np.all(np.diff(rows) > 0) for rows in parts.values())


def test_shares_are_met_where_groups_are_small():
    groups = np.repeat(np.arange(1000), RNG.integers(1, 5, size=1000))
    parts = split_by_group(groups, {"training": 7, "validation": 1, "test": 2})
    for rows, share in zip(parts.values(), (0.7, 0.1, 0.2), strict=True):
        assert len(rows) / len(groups) == pytest.approx(share, abs=0.005)
    other = split_by_group(groups, {"training": 7, "validation": 1, "test": 2}, seed=1)
    assert not np.array_equal(parts["test"], other["test"])


def test_bnp_is_a_tenth_of_its_logarithm_and_back():
    values = np.array([1.0, 100.0, np.exp(10.0)])
    np.testing.assert_allclose(scale_bnp(values), [0.0, 0.4605170, 1.0], atol=1e-6)
    np.testing.assert_allclose(unscale_bnp(scale_bnp(values)), values, rtol=1e-5)
    with pytest.raises(ValueError, match=r"0.5, -3.0.*1, 2"):
        scale_bnp([2.0, 0.5, -3.0])
    with pytest.raises(ValueError, match="nan"):
        scale_bnp(np.nan)


def test_ranges_are_mapped_and_never_guessed():
    pixels = np.array([[[0, 51, 255]]], dtype="uint8")
    np.testing.assert_allclose(to_range(pixels), [[[-1, -0.6, 1]]], atol=1e-6)
    np.testing.assert_allclose(to_range(pixels / 255, (0, 10), source=(0, 1)), [[[0, 2, 10]]])
    with pytest.raises(ValueError, match="float64"):
        to_range(pixels / 255)
    with pytest.raises(ValueError, match=r"\[0, 1\].*from 0 to 255"):
        to_range(pixels, source=(0.0, 1.0))
    with pytest.raises(ValueError, match=r"increasing.*\(1.0, 1.0\)"):
        to_range(pixels, (1.0, 1.0))


def test_a_range_is_checked_with_room_for_rounding():
    check_range(np.array([[-1.0 - 1e-6, 1.0 + 1e-6]]))
    for bad in (-1.001, 1.001):
        with pytest.raises(ValueError, match=r"\[-1, 1\].*" + str(bad)):
            check_range(np.array([[0.0, bad]]))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: letterbox(np.zeros((4, 4)), 8), r"Received shape \(4, 4\)"),
        (lambda: letterbox(np.zeros((1, 4, 4)), 0), "`size`.*0"),
        (lambda: letterbox(np.full((1, 4, 4), np.inf), 2), "NaN or infinity"),
        (lambda: random_translation(np.zeros((1, 8, 6, 1)), 6), r"\[0, 5\].*8 × 6.*6"),
        (lambda: random_translation(np.zeros((1, 8, 6, 1)), -1), "-1"),
        (lambda: split_by_group([1, 1, 2], {"a": 1, "b": 1, "c": 1}), "2 groups.*3 parts"),
        (lambda: split_by_group([1, 2], {"a": 1, "b": 0}), "positive"),
        (lambda: split_by_group([1, 2], {}), "positive"),
        (lambda: split_by_group([[1, 2]], {"a": 1}), r"Received shape \(1, 2\)"),
    ],
)
def test_bad_input_is_quoted(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_examples_run():
    result = doctest.testmod(images)
    assert result.attempted and not result.failed
