"""Max-pooling has one rule for ties, in every row: the first of equal values, in reading order."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import by_default
from toy_networks import AXES, LAYERS, spatial

from keras_pli.attribution import Saliency

SIZES = {1: (9,), 2: (7, 6), 3: (5, 4, 6)}
# Windows that touch, that overlap, and that hang over the border.
POOLS = {"touching": (2, 2, "valid"), "overlapping": (3, 2, "valid"), "padded": (2, 1, "same")}


def first_of_equals(x, size, stride, padding, weights):
    """The gradient of Σ weights · maxima of one channel, window by window."""
    gradient, starts = np.zeros_like(x), []
    for length in x.shape:
        if padding == "same":
            count = -(-length // stride)
            before = max((count - 1) * stride + size - length, 0) // 2
        else:
            count, before = (length - size) // stride + 1, 0
        starts.append([place * stride - before for place in range(count)])
    for window, weight in zip(itertools.product(*starts), weights, strict=True):
        cut = tuple(slice(max(start, 0), start + size) for start in window)
        places = [
            place
            for place in np.ndindex(x.shape)
            if all(each.start <= p < each.stop for p, each in zip(place, cut, strict=True))
        ]
        gradient[max(places, key=lambda place: x[place])] += weight  # `max` keeps the first
    return gradient


@pytest.mark.parametrize("pool", by_default("padded", of=POOLS))
@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_the_first_of_equal_values_in_every_row(axes, pool):
    size, stride, padding = POOLS[pool]
    layer = spatial("MaxPooling", axes)(size, stride, padding)
    model = keras.Sequential(
        [keras.Input((*SIZES[axes], 1)), layer, LAYERS.Flatten(), LAYERS.Dense(2)]
    )
    rng = np.random.default_rng(0)
    values = [rng.integers(-2, 1, SIZES[axes]), np.full(SIZES[axes], 3), np.zeros(SIZES[axes])]
    x = np.stack(values * 2)[..., None].astype(np.float32)
    weights = model.layers[-1].get_weights()[0][:, 1]
    expected = [first_of_equals(one[..., 0], size, stride, padding, weights) for one in x]
    for xla in (False, True):
        found = Saliency(model, jit_compile=xla)(x, 1).attributions[..., 0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("axes", AXES)
def test_a_global_maximum_is_shared_by_equal_values(axes):
    """TensorFlow's rule for a maximum over axes, which no order of its values enters."""
    model = keras.Sequential([keras.Input((*SIZES[axes], 1)), spatial("GlobalMaxPooling", axes)()])
    x = np.random.default_rng(0).integers(0, 3, (3, *SIZES[axes], 1)).astype(np.float32)
    found = Saliency(model, score="output")(x, lambda z: tf.reduce_sum(z, -1)).attributions
    winners = x == x.max(axis=tuple(range(1, x.ndim)), keepdims=True)
    expected = winners / winners.sum(axis=tuple(range(1, x.ndim)), keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
