import keras
import numpy as np
import pytest

from keras_pli.inspection.landscape.directions import (
    direction_between,
    filter_normalized_directions,
    trainable_variables,
)

layers = keras.layers


def model_of(*parts, shape):
    return keras.Sequential([keras.Input(shape), *parts])


def norms(values, filters):
    """The length of each filter, by a loop over what the rule says one filter is."""
    moved = np.moveaxis(np.asarray(values, np.float64), filters, range(len(filters)))
    kept = moved.shape[: len(filters)]
    return np.array([np.linalg.norm(moved[place]) for place in np.ndindex(*kept)])


# Each layer with the shape of its input, and by a weight's name the axes of its filters; None: not moved.
CASES = {
    "dense": (layers.Dense(3), (4,), {"kernel": (1,), "bias": None}),
    "conv1d": (layers.Conv1D(3, 2), (6, 2), {"kernel": (2,), "bias": None}),
    "conv2d": (layers.Conv2D(3, 2), (6, 6, 2), {"kernel": (3,)}),
    "conv3d": (layers.Conv3D(3, 2), (4, 4, 4, 2), {"kernel": (4,)}),
    "transposed": (layers.Conv2DTranspose(3, 2), (6, 6, 2), {"kernel": (2,)}),
    "depthwise": (layers.DepthwiseConv2D(2, depth_multiplier=3), (6, 6, 2), {"kernel": (2, 3)}),
    "separable": (
        layers.SeparableConv2D(3, 2, depth_multiplier=2),
        (6, 6, 2),
        {"depthwise_kernel": (2, 3), "pointwise_kernel": (3,), "bias": None},
    ),
    "embedding": (layers.Embedding(7, 4), (5,), {"embeddings": (0,)}),
    "einsum": (layers.EinsumDense("abc,cde->abde", (None, 3, 4)), (6, 2), {"kernel": (1, 2)}),
    "lstm": (layers.LSTM(3), (5, 2), {"kernel": (1,), "recurrent_kernel": (1,), "bias": None}),
    "gru": (layers.GRU(3), (5, 2), {"kernel": (1,), "recurrent_kernel": (1,), "bias": None}),
    "batch_norm": (layers.BatchNormalization(), (4,), {"gamma": None, "beta": None}),
    "layer_norm": (layers.LayerNormalization(), (4, 3), {"gamma": None, "beta": None}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_filter_is_as_long_as_in_the_weights(case):
    layer, shape, filters = CASES[case]
    model = model_of(layer, shape=shape)
    (direction,) = filter_normalized_directions(model, 1, seed=1)
    named = {v.name: (v, d) for v, d in zip(model.trainable_variables, direction, strict=True)}
    for name, axes in filters.items():
        variable, found = named[name]
        assert found.shape == tuple(variable.shape)
        if axes is None:
            assert not found.any()
        else:
            assert found.any()
            np.testing.assert_allclose(norms(found, axes), norms(variable.numpy(), axes), rtol=1e-5)


def test_a_filter_keeps_the_direction_that_was_drawn():
    model = model_of(layers.Dense(3, use_bias=False), shape=(4,))
    (direction,) = filter_normalized_directions(model, 1, seed=5)
    drawn = np.random.default_rng(5).standard_normal((4, 3))
    weights = model.layers[0].kernel.numpy()
    wanted = drawn / np.linalg.norm(drawn, axis=0) * np.linalg.norm(weights, axis=0)
    np.testing.assert_allclose(direction[0], wanted, rtol=1e-5)


def test_biases_are_moved_by_their_own_size_where_asked_for():
    model = model_of(layers.Dense(3), layers.BatchNormalization(), shape=(4,))
    model.layers[0].bias.assign([0.0, -2.0, 0.5])
    _, bias, gamma, beta = filter_normalized_directions(model, 1, include_biases=True)[0]
    np.testing.assert_allclose(np.abs(bias), [0.0, 2.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(np.abs(gamma), np.ones(3), rtol=1e-6)
    assert not beta.any()


def test_layers_in_nested_models_and_attention_follow_their_own_rules():
    inner = model_of(layers.DepthwiseConv2D(2), shape=(4, 4, 3))
    x = keras.Input((4, 4, 3))
    sequence = layers.Reshape((9, 3))(inner(x))
    model = keras.Model(x, layers.MultiHeadAttention(2, 3)(sequence, sequence))
    (direction,) = filter_normalized_directions(model, 1)
    for variable, found in zip(model.trainable_variables, direction, strict=True):
        if "depthwise" in variable.path:
            axes = (2, 3) if variable.name == "kernel" else None
        elif variable.name == "bias":
            axes = None
        else:
            axes = (2,) if "output" in variable.path else (1, 2)
        if axes is None:
            assert not found.any()
        else:
            np.testing.assert_allclose(norms(found, axes), norms(variable.numpy(), axes), rtol=1e-5)


def test_seeds_and_numbers():
    model = model_of(layers.Dense(3), shape=(4,))
    one, other = filter_normalized_directions(model, 2, seed=3)
    again = filter_normalized_directions(model, 2, seed=3)
    np.testing.assert_array_equal(one[0], again[0][0])
    np.testing.assert_array_equal(other[0], again[1][0])
    assert not np.allclose(one[0], other[0])
    assert not np.allclose(one[0], filter_normalized_directions(model, 1, seed=4)[0][0])


def test_frozen_layers_are_left_out():
    model = model_of(layers.Dense(3), layers.Dense(2), shape=(4,))
    model.layers[0].trainable = False
    (direction,) = filter_normalized_directions(model, 1)
    assert [part.shape for part in direction] == [(3, 2), (2,)]


def test_direction_between_two_solutions():
    one, other = (model_of(layers.Dense(3), shape=(4,)) for _ in range(2))
    along = direction_between(one, other)
    for start, step, end in zip(one.get_weights(), along, other.get_weights(), strict=True):
        np.testing.assert_allclose(start + step, end, rtol=1e-6)


def test_bad_input_is_quoted():
    model = model_of(layers.Dense(3), shape=(4,))
    with pytest.raises(ValueError, match=r"Weight 1 has shape \(3,\). Received: \(2,\)"):
        direction_between(model, [np.zeros((4, 3)), np.zeros(2)])
    with pytest.raises(ValueError, match=r"as many weights, 2. Received: 1"):
        direction_between(model, [np.zeros((4, 3))])
    with pytest.raises(ValueError, match=r"`count` must be a whole number from 1.*Received: 0"):
        filter_normalized_directions(model, 0)
    with pytest.raises(TypeError, match=r"`model` must be a Keras model. Received: list"):
        filter_normalized_directions([])
    with pytest.raises(ValueError, match="is not built yet"):
        trainable_variables(keras.Sequential([layers.Dense(2)]))
    model.trainable = False
    with pytest.raises(ValueError, match="has none"):
        trainable_variables(model)
