"""The pyramid against a slow re-derivation by matrices, and its inverse."""

import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow

from keras_pli.rationale.generators.pyramid import (
    collapse,
    laplacian_loss,
    laplacian_pyramid,
    most_levels,
)

RNG = np.random.default_rng(0)
KERNEL = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]


def blur_matrix(size):
    """The binomial filter along one axis, with borders reflected about the outermost pixel."""
    matrix = np.zeros((size, size))
    for row in range(size):
        for offset, weight in zip(range(-2, 3), KERNEL, strict=True):
            place = abs(row + offset)
            place = 2 * (size - 1) - place if place >= size else place
            matrix[row, place] += weight
    return matrix


def naive_pyramid(image, levels):
    """Of one image (height, width), in float64."""
    pyramid = []
    for _ in range(levels - 1):
        rows, columns = (blur_matrix(size) for size in image.shape)
        smaller = (rows @ image @ columns.T)[::2, ::2]
        spaced = np.zeros(image.shape)
        spaced[::2, ::2] = smaller
        pyramid.append(image - 4 * rows @ spaced @ columns.T)
        image = smaller
    return [*pyramid, image]


@pytest.mark.parametrize(
    ("size", "levels"), [((28, 28), 3), ((15, 20), 3), ((7, 5), 2), ((3, 3), 2), ((16, 3), 1)]
)
def test_levels_are_those_of_the_matrices(size, levels):
    images = RNG.normal(size=(3, *size, 2)).astype("float32")
    found = laplacian_pyramid(images, levels)
    assert len(found) == levels
    for sample in range(3):
        for channel in range(2):
            naive = naive_pyramid(images[sample, :, :, channel].astype(float), levels)
            for level, expected in zip(found, naive, strict=True):
                np.testing.assert_allclose(level[sample, :, :, channel], expected, atol=1e-6)


@pytest.mark.parametrize(
    "size", [(3, 3), (4, 7), (28, 28), (31, 17), slow((64, 48)), slow((100, 33))]
)
def test_collapsing_gives_the_images_back(size):
    images = RNG.uniform(-1, 1, size=(2, *size, 3)).astype("float32")
    for levels in range(1, most_levels(*size) + 1):
        pyramid = laplacian_pyramid(images, levels)
        np.testing.assert_allclose(collapse(pyramid), images, atol=1e-6)


@pytest.mark.parametrize("size", [(28, 28), (15, 20), (9, 9)])
def test_a_constant_image_has_no_details_even_at_its_borders(size):
    *details, rest = laplacian_pyramid(np.full((1, *size, 1), 0.7, "float32"), 3)
    for level in details:
        np.testing.assert_allclose(level, np.zeros(level.shape), atol=1e-6)
    np.testing.assert_allclose(rest, np.full(rest.shape, 0.7), atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_loss_is_the_weighted_sum_of_each_level(levels):
    first, second = RNG.normal(size=(2, 4, 28, 20, 1)).astype("float32")
    expected = []
    for one, other in zip(first.astype(float), second.astype(float), strict=True):
        pairs = zip(
            naive_pyramid(one[..., 0], levels), naive_pyramid(other[..., 0], levels), strict=True
        )
        expected.append(sum(4.0**-j * np.abs(a - b).sum() for j, (a, b) in enumerate(pairs)))
    np.testing.assert_allclose(laplacian_loss(first, second, levels=levels), expected, rtol=1e-5)


def test_samples_do_not_mix_and_equal_images_have_no_distance():
    first, second = RNG.normal(size=(2, 5, 16, 16, 3)).astype("float32")
    whole = laplacian_loss(first, second)
    alone = [laplacian_loss(first[i : i + 1], second[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(whole, alone, rtol=1e-6)
    np.testing.assert_array_equal(laplacian_loss(first, first), np.zeros(5))


@pytest.mark.slow  # XLA compiles it for seconds
def test_it_compiles_with_gradients_with_and_without_xla():
    first, second = tf.constant(RNG.normal(size=(2, 3, 15, 14, 1)).astype("float32"))

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = laplacian_loss(x, second)
        return tape.gradient(loss, x)

    plain = tf.function(gradient)(first)
    np.testing.assert_allclose(tf.function(gradient, jit_compile=True)(first), plain, atol=1e-5)
    assert np.abs(plain).max() > 0.1


def test_bad_input_is_quoted():
    with pytest.raises(ValueError, match=r"28 × 28 pixels have 1 to 5 levels.*levels=6"):
        laplacian_pyramid(np.zeros((1, 28, 28, 1)), 6)
    with pytest.raises(ValueError, match=r"\(28, 28, 1\)"):
        laplacian_pyramid(np.zeros((28, 28, 1)))
