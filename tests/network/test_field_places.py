"""Where receptive fields lie, against what a gradient says that an entry depends on."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import all_but

from keras_pli.network.field_places import field_places
from keras_pli.network.positions import follow

L = keras.layers


def residual(x):
    # The widest of both ways is a field's extent.
    y = L.Conv2D(1, 3, padding="same")(x)
    return L.Add()([x, L.Conv2D(1, 3, padding="same")(y)])


NETWORKS = {
    "paper": (
        (21, 22),
        lambda x: L.AveragePooling2D(2)(L.Conv2D(1, 3)(L.AveragePooling2D(2)(L.Conv2D(1, 3)(x)))),
    ),
    "strides": ((21, 24), lambda x: L.Conv2D(1, (3, 5), strides=2, padding="same")(x)),
    "padded": ((16, 16), lambda x: L.Conv2D(1, 3, strides=2)(L.ZeroPadding2D(((2, 1), (0, 2)))(x))),
    "cropped": ((18, 17), lambda x: L.Conv2D(1, 3)(L.Cropping2D(((4, 2), (1, 5)))(x))),
    "sliced": ((18, 17), lambda x: L.Conv2D(1, 2)(x[:, 3:, 1:-1:2])),
    "dilated": ((20, 19), lambda x: L.Conv2D(1, 3, dilation_rate=2)(x)),
    "residual": ((16, 15), residual),
    "turned": ((16, 13), lambda x: L.Permute((2, 1, 3))(L.Conv2D(1, (3, 2))(x))),
    "dilated 3-D": ((15, 14, 16), lambda x: L.Conv3D(1, 3, dilation_rate=2)(L.Conv3D(1, 2)(x))),
    "1-D": ((17,), lambda x: L.AveragePooling1D(3)(L.Conv1D(1, 2)(x))),
}


def followed(sizes, build, axes=None):
    """The fields by the graph, and by the gradients of all entries, as booleans."""
    inputs = keras.Input((*sizes, 1))
    model = keras.Model(inputs, build(inputs))
    for weight in model.weights:
        weight.assign(tf.ones_like(weight) if "kernel" in weight.path else weight)
    found = {}

    def run(x):
        made = model(x)
        axes_of = axes or tuple(range(1, made.shape.rank - 1))
        found["places"] = field_places(made, follow(x, tf.reduce_sum(made, axis=-1)), axes_of)
        return made

    tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((None, *sizes, 1)))
    x = tf.ones((1, *sizes, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        flat = tf.reshape(model(x), [-1])
    slopes = tape.jacobian(flat, x).numpy().reshape(*model.output.shape[1:-1], *sizes)
    return found["places"], slopes != 0


@pytest.mark.parametrize("name", all_but("dilated 3-D", "1-D", "strides", "sliced", of=NETWORKS))
def test_equals_what_entries_depend_on(name):
    sizes, build = NETWORKS[name]
    order = (2, 1) if name == "turned" else None
    places, seen = followed(sizes, build, order)
    if order:
        seen = np.swapaxes(seen, 0, 1)
    rank = len(sizes)
    tested = 0
    for axis, fields in enumerate(places):
        others = tuple(rank + other for other in range(rank) if other != axis)
        entry = [size // 2 for size in seen.shape[:rank]]
        for number in range(seen.shape[axis]):
            entry[axis] = number
            along = np.flatnonzero(seen[tuple(entry)].any(axis=tuple(o - rank for o in others)))
            middle = fields.first + fields.step * number
            low, high = middle - (fields.width - 1) / 2, middle + (fields.width - 1) / 2
            assert along[0] == max(0, round(low))
            assert along[-1] == min(sizes[axis] - 1, round(high))
            tested += 1
    assert tested == sum(seen.shape[:rank])


@pytest.mark.slow
def test_a_gate_of_no_place_tells_of_none():
    def gated(x):
        maps = L.Conv2D(1, 3)(x)
        return L.Multiply()([L.GlobalAveragePooling2D(keepdims=True)(maps), maps])

    plain, _ = followed((9, 8), L.Conv2D(1, 3))
    assert followed((9, 8), gated)[0] == plain


@pytest.mark.parametrize(
    "build",
    [
        lambda x: L.UpSampling2D(2)(L.Conv2D(1, 3)(x)),
        lambda x: L.Conv2DTranspose(1, 3, strides=2)(x),
        lambda x: L.Add()([L.Conv2D(1, 3, strides=2)(x), L.Conv2D(1, 2)(x)[:, :3, :3]]),
    ],
    ids=["upsampling", "transposed", "ways that do not agree"],
)
def test_what_is_not_known_is_refused(build):
    with pytest.raises(ValueError, match=r"receptive fields.*is not known.*alignment='input'"):
        followed((8, 8), build)


def on_open_sizes(layer):
    model, found = keras.Sequential([keras.Input((None, None, 1)), layer]), []

    def run(x):
        made = model(x)
        found.extend(field_places(made, follow(x, tf.reduce_sum(made, axis=-1)), (1, 2)))
        return made

    trace = tf.function(run, autograph=False).get_concrete_function
    trace(tf.TensorSpec((None, None, None, 1)))
    return [(one.first, one.step, one.width) for one in found]


def test_padding_that_depends_on_an_open_size_is_refused():
    assert on_open_sizes(L.Conv2D(1, 3, strides=2)) == [(1, 2, 3)] * 2
    assert on_open_sizes(L.Conv2D(1, 3, padding="same")) == [(0, 1, 3)] * 2
    with pytest.raises(ValueError, match="is not known: the Conv2D"):
        on_open_sizes(L.Conv2D(1, 3, strides=2, padding="same"))
