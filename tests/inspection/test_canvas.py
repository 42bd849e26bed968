"""What numbers an image is made of: against SciPy's transforms and plain loops."""

import itertools

import keras
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from keras_pli.inspection.canvas import (
    FrequencyCanvas,
    GeneratorCanvas,
    PixelCanvas,
    total_variation,
)

SHAPES = [(9, 2), (6, 5, 3), (4, 5, 6, 2)]


def values_of(shape, samples=3):
    return np.random.default_rng(0).normal(size=(samples, *shape)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_frequencies_are_those_of_the_cosine_transform(shape):
    values, axes = values_of(shape), tuple(range(1, len(shape)))
    frequency = np.sqrt(sum(np.square(axis) for axis in np.indices(shape[:-1])))
    scaled = values / np.maximum(frequency, 1)[..., None]
    expected = scipy.fft.idctn(scaled, axes=axes, norm="ortho")
    found = FrequencyCanvas(shape, None, 0.0).images(tf.constant(values)).numpy()
    factor = found.std() / expected.std()
    np.testing.assert_allclose(found, factor * expected, rtol=1e-4, atol=1e-5)


def test_waves_make_pixels_as_varied_as_their_coefficients():
    values = values_of((16, 20, 1), samples=500)
    made = FrequencyCanvas((16, 20, 1), None, 0.0).images(tf.constant(values)).numpy()
    assert made.var() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_blur_is_a_gaussian_along_positions_alone(shape):
    values = values_of(shape)
    found = PixelCanvas(shape, None, 1.5).images(tf.constant(values)).numpy()
    sigma = (0, *[1.5] * (len(shape) - 1), 0)
    np.testing.assert_allclose(found, gaussian_filter(values, sigma, mode="nearest"), atol=1e-5)


@pytest.mark.parametrize("kind", [PixelCanvas, FrequencyCanvas])
def test_pixels_stay_in_their_range(kind):
    drawn = kind((6, 6, 1), (-2.0, 5.0), 0.0)
    found = drawn.images(tf.constant(100 * values_of((6, 6, 1)))).numpy()
    assert found.min() >= -2 and found.max() <= 5
    np.testing.assert_allclose(drawn.images(tf.zeros((1, 6, 6, 1))).numpy(), 1.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_total_variation_adds_up_differences_of_neighbours(shape):
    values = values_of(shape)
    expected = np.zeros(len(values))
    for sample, *place in itertools.product(range(len(values)), *map(range, shape)):
        for axis in range(len(shape) - 1):
            if place[axis]:
                before = list(place)
                before[axis] -= 1
                change = values[sample][tuple(place)] - values[sample][tuple(before)]
                expected[sample] += abs(change)
    np.testing.assert_allclose(total_variation(tf.constant(values)), expected, rtol=1e-4)


def test_a_generator_is_kept_near_the_codes_it_knows():
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(12)])
    drawn = GeneratorCanvas(generator, 3, (12,))
    codes = tf.constant(values_of((3,)))
    np.testing.assert_allclose(drawn.images(codes), generator(codes), rtol=1e-6)
    assert drawn.kept_small(codes, drawn.images(codes)) is codes
    assert drawn.start(np.random.default_rng(0)).shape == (3,)
