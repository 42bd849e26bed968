"""Kernels reproduce, by loops in NumPy, what the layers that they come from compute."""

import keras
import numpy as np
import pytest

from keras_pli.inspection import filters, layers_with_filters, plot_filters


def correlated(x, kernel, groups=1):
    """A "valid" convolution of one sample `(*positions, channels)` by loops, in groups."""
    *window, inner, count = kernel.shape
    sizes = [n - w + 1 for n, w in zip(x.shape, window, strict=False)]
    made = np.zeros((*sizes, count))
    for place in np.ndindex(*sizes):
        patch = x[tuple(slice(p, p + w) for p, w in zip(place, window, strict=True))]
        for f in range(count):
            first = f // (count // groups) * inner
            made[(*place, f)] = np.sum(patch[..., first : first + inner] * kernel[..., f])
    return made


LAYERS = {
    "signal": (keras.layers.Conv1D(3, 4), (9, 2), 1),
    "image": (keras.layers.Conv2D(3, (2, 3)), (5, 6, 2), 1),
    "volume": (keras.layers.Conv3D(2, 2), (4, 3, 3, 2), 1),
    "groups": (keras.layers.Conv2D(4, 3, groups=2), (5, 5, 4), 2),
    "depthwise": (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 3), 3),
    "depthwise signal": (keras.layers.DepthwiseConv1D(3), (7, 3), 3),
    "separable": (keras.layers.SeparableConv2D(4, 3, depth_multiplier=2), (5, 5, 3), 1),
    "separable signal": (keras.layers.SeparableConv1D(4, 3), (7, 3), 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_kernel_gives_what_its_layer_gives(name):
    layer, shape, groups = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), layer])
    x = np.random.default_rng(0).normal(size=shape)
    expected = np.asarray(layer(x[None].astype("float32")))[0]
    found = correlated(x, filters(model, layer.name), groups)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_transposed_kernel_is_what_an_impulse_draws():
    layer = keras.layers.Conv2DTranspose(3, 4, use_bias=False)
    model = keras.Sequential([keras.Input((1, 1, 2)), layer])
    kernel = filters(model, layer.name)
    for channel in range(2):
        impulse = np.zeros((1, 1, 1, 2), "float32")
        impulse[..., channel] = 1
        np.testing.assert_allclose(layer(impulse)[0], kernel[:, :, channel], rtol=1e-6)


def test_dense_layers_read_pixels_where_these_were_flattened():
    x = inputs = keras.Input((4, 5, 3))
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(keras.layers.Rescaling(2.0)(x)))
    x = keras.layers.Dense(6, name="first")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="second")(x))
    assert filters(model, "first").shape == (4, 5, 3, 6)
    assert filters(model, "second").shape == (6, 2)
    image = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype("float32")
    by_pixels = 2 * np.tensordot(image[0], filters(model, "first"), axes=3)
    np.testing.assert_allclose(keras.Model(inputs, x)(image)[0], by_pixels, rtol=1e-4, atol=1e-5)


def test_wrapped_and_nested_layers_and_a_copy():
    backbone = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, name="a")], name="b"
    )
    inputs = keras.Input((5, 4, 4, 1))
    x = keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3), name="each")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    assert filters(model, "each").shape == (3, 3, 1, 2)
    kernel = filters(backbone, "a")
    kernel[:] = 0
    assert np.any(filters(backbone, "a"))
    assert filters(keras.Sequential([backbone]), "b/a").shape == (3, 3, 1, 2)


def test_errors_list_the_layers_with_filters():
    layers = [keras.layers.Conv2D(2, 3, name="conv"), keras.layers.ReLU(name="relu")]
    model = keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            *layers,
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(2, name="head"),
        ]
    )
    assert layers_with_filters(model) == ["conv", "head"]
    with pytest.raises(
        ValueError, match=r"'relu' .* is a ReLU. Layers with filters: 'conv', 'head'"
    ):
        filters(model, "relu")
    with pytest.raises(ValueError, match="no layer 'convv'"):
        filters(model, "convv")
    with pytest.raises(TypeError, match="Keras model"):
        filters([], "conv")
    with pytest.raises(ValueError, match=r"2 features without positions.*\(2, 2\)"):
        plot_filters(model, "head")


def test_without_a_layer_it_is_the_first():
    layers = [
        keras.layers.Dense(4, name="dense"),
        keras.layers.Conv1D(2, 3, name="a"),
        keras.layers.Conv1D(2, 3, name="b"),
    ]
    model = keras.Sequential([keras.Input((9, 3)), *layers])
    np.testing.assert_array_equal(filters(model), filters(model, "dense"))
    assert any("Filters of a " in text.get_text() for text in plot_filters(model).texts)
    with pytest.raises(
        ValueError, match=r"with filters with positions\. Layers with filters: 'dense'"
    ):
        plot_filters(keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="dense")]))
    with pytest.raises(ValueError, match="has no layer with filters"):
        filters(keras.Sequential([keras.Input((3,)), keras.layers.ReLU()]))


def test_figures_suit_the_filters():
    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            keras.layers.Conv2D(5, 3, name="a"),
            keras.layers.Conv2D(4, 3, name="b"),
        ]
    )
    assert len(plot_filters(model, "a").axes) == 5
    assert len(plot_filters(model, "b", inputs=3).axes) == 12
    assert len(plot_filters(model, "a", most=2).axes) == 2
