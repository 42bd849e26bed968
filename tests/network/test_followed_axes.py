import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.network.positions import follow

# Columns and rows that sum to 1, so that products leave what is the same along an axis as it is.
MIXING = tf.constant([[0.25, 0.75], [0.75, 0.25]])


def windows(x):
    """Cut in windows of 2 x 2, each a row of tokens, and put together again."""
    cut = tf.transpose(tf.reshape(x, (-1, 2, 2, 3, 2, 2)), (0, 1, 3, 2, 4, 5))
    tokens = tf.reshape(cut, (-1, 4, 2))
    cut = tf.reshape(tf.nn.relu(tokens), (-1, 2, 3, 2, 2, 2))
    return tf.reshape(tf.transpose(cut, (0, 1, 3, 2, 4, 5)), (-1, 4, 6, 2))


def finer(x):
    """Channels placed beside one another, as a sub-pixel convolution does."""
    channels = tf.repeat(tf.tensordot(x, MIXING, 1), 2, axis=3)
    parts = tf.transpose(tf.reshape(channels, (-1, 4, 6, 2, 2)), (0, 1, 3, 2, 4))
    return tf.reshape(parts, (-1, 8, 6, 2))


# From (batch, 4, 6, 2) to the same positions in some order.
KEPT = {
    "transpose": lambda x: tf.transpose(x, (0, 3, 2, 1)),
    "reshape and back": lambda x: tf.reshape(tf.reshape(x, (-1, 24, 2)), (-1, 4, 6, 2)),
    "windows and back": windows,
    "sub-pixels": finer,
    "repeat": lambda x: keras.ops.repeat(x, 2, axis=2),
    "slices": lambda x: tf.stack([x[:, row] for row in range(4)], axis=2),
    "unstack": lambda x: tf.stack(tf.unstack(x, axis=2), axis=3),
    "turned twice": lambda x: tf.reverse(x, [1])[:, ::-1],
    "tensordot": lambda x: tf.tensordot(x, MIXING, 1),
    "matmul": lambda x: tf.matmul(MIXING[tf.newaxis, tf.newaxis], x, transpose_b=True),
    "einsum": lambda x: tf.einsum("bhwc,cd->bdhw", x, MIXING),
    "concatenated": lambda x: tf.concat([x, tf.square(x) * 0], axis=-1)[..., :1],
    "columns chosen": lambda x: tf.gather(x, [0, 2, 5], axis=2),
    "cropped": lambda x: x[:, 1:, ..., tf.newaxis, :][:, :, 1:, 0],
}
LOST = {
    "turned": lambda x: tf.reverse(x, [2]),
    "columns shuffled": lambda x: tf.gather(x, [2, 0, 5, 1], axis=2),
    "tokens": lambda x: tf.reshape(x, (-1, 24, 1, 2)),
    "columns and channels": lambda x: tf.reshape(x, (-1, 4, 2, 6)),
    "slices out of order": lambda x: tf.stack([x[:, row] for row in (1, 0, 2, 3)], axis=1),
    "itself and its transpose": lambda x: x[:, :, :4] + tf.transpose(x[:, :, :4], (0, 2, 1, 3)),
    "beside a constant": lambda x: tf.concat([x, tf.ones((tf.shape(x)[0], 4, 1, 2))], 2),
    "mean of columns": lambda x: tf.reduce_mean(x, 2, keepdims=True) + tf.zeros((4, 6, 2)),
}


def followed(function):
    """The order of the axes of what a function makes, and the function itself."""
    orders = []

    def run(x):
        made = function(x)
        logits = tf.reduce_sum(made, axis=tuple(range(1, made.shape.rank)))
        orders.append(follow(x, logits).order_of(made.name))
        return made

    traced = tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((None, 4, 6, 2)))
    return orders[0], traced


@pytest.mark.parametrize("name", KEPT)
def test_axes_are_where_the_values_say(name):
    order, function = followed(KEPT[name])
    for axis, size in ((1, 4), (2, 6)):
        shape = [1] * 4
        shape[axis] = size
        place = np.broadcast_to(np.arange(1.0, size + 1).reshape(shape), (3, 4, 6, 2))
        found = np.moveaxis(function(tf.constant(place, tf.float32)).numpy(), order, range(4))
        # Along its own axis a place grows, and along all others it stays.
        found = np.moveaxis(found, axis, 0).reshape(found.shape[axis], -1)
        np.testing.assert_allclose(found, found[:, :1] + np.zeros_like(found), rtol=1e-6)
        assert (np.diff(found[:, 0]) >= 0).all() and found[-1, 0] - found[0, 0] >= size - 2


@pytest.mark.parametrize("name", LOST)
def test_what_is_out_of_order_is_no_map(name):
    assert followed(LOST[name])[0] is None
