import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import zoom
from slow_cases import slow

from keras_pli.attribution.resize import resize_linear

SIZES = [
    ((7,), (40,)),
    ((6,), (6,)),
    ((9,), (4,)),
    ((1,), (5,)),
    ((3, 5), (12, 9)),
    ((8, 7), (5, 21)),
    ((1, 4), (3, 6)),
    ((2, 3, 4), (7, 6, 11)),
    ((5, 1, 6), (4, 3, 13)),
]


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    return lambda shape: rng.normal(size=(3, *shape)).astype(np.float32)


def zoomed(maps, shape):
    """The same by SciPy's spline interpolation of first order."""
    factors = np.divide(shape, maps.shape[1:])
    return np.stack(
        [zoom(one, factors, order=1, grid_mode=True, mode="nearest") for one in maps.astype(float)]
    )


@pytest.mark.parametrize("given, wanted", SIZES)
def test_equals_scipy(given, wanted, draw):
    maps = draw(given)
    found = resize_linear(maps, wanted)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, zoomed(maps, wanted), atol=2e-6)


@pytest.mark.parametrize("given, wanted", [sizes for sizes in SIZES if len(sizes[0]) == 2])
def test_equals_tensorflow_in_two_dimensions(given, wanted, draw):
    maps = draw(given)
    expected = tf.image.resize(maps[..., None], wanted, method="bilinear")[..., 0]
    atol = 1e-6 * abs(maps).max()
    np.testing.assert_allclose(resize_linear(maps, wanted), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "given, wanted", [slow((4,), (9,)), slow((3, 4), (8, 5)), ((2, 3, 2), (3, 4, 5))]
)
def test_compiles_for_any_batch_and_size(given, wanted, jit_compile, draw):
    unknown = tf.TensorSpec([None] * (len(given) + 1))
    compiled = tf.function(
        lambda maps: resize_linear(maps, wanted),
        input_signature=[unknown],
        jit_compile=jit_compile,
    )
    maps = draw(given)
    np.testing.assert_allclose(compiled(maps), zoomed(maps, wanted), atol=2e-6)
    np.testing.assert_allclose(compiled(maps[:1]), zoomed(maps[:1], wanted), atol=2e-6)


def test_stays_within_the_maps_values_and_keeps_a_constant(draw):
    maps = draw((3, 4))
    found = resize_linear(maps, (20, 30)).numpy()
    assert found.min() >= maps.min() and found.max() <= maps.max()
    np.testing.assert_array_equal(
        resize_linear(np.full((2, 3, 4), 0.3, "f"), (7, 9)), np.float32(0.3)
    )


def test_a_ramp_of_many_positions_is_exact():
    ramp = np.arange(500, dtype=np.float32)[None]
    places = np.clip((np.arange(1501) + 0.5) * 500 / 1501 - 0.5, 0, 499)
    np.testing.assert_allclose(resize_linear(ramp, (1501,))[0], places, rtol=2e-7)


def test_a_shape_for_other_axes_is_rejected(draw):
    with pytest.raises(ValueError, match=r"one size for each axis.*\(3, 4, 5\).*\(7,\)"):
        resize_linear(draw((4, 5)), (7,))
