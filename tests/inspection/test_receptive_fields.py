"""Receptive fields are what brute force finds, which changes each entry of the input by itself."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pli.inspection import ReceptiveFields, receptive_fields

CONV = {"activation": "softplus", "padding": "same"}


def branches(x):
    one = layers.Conv2D(2, 1, **CONV)(x)
    two = layers.Conv2D(2, 3, dilation_rate=2, **CONV)(layers.Conv2D(2, 1)(x))
    three = layers.MaxPooling2D(3, 1, padding="same")(x)
    return layers.Concatenate()([one, two, three])


def residual(x):
    x = layers.Conv2D(2, 3, **CONV)(x)
    y = layers.BatchNormalization()(layers.Conv2D(2, 3, **CONV)(x))
    return layers.Activation("softplus")(layers.Add()([x, layers.Conv2D(2, 3, **CONV)(y)]))


def u_net(x):
    down = layers.AveragePooling2D(2)(layers.Conv2D(2, 3, **CONV)(x))
    up = layers.Conv2DTranspose(2, 3, strides=2, **CONV)(layers.Conv2D(2, 3, **CONV)(down))
    return layers.Conv2D(1, 1)(layers.Concatenate()([x, up]))


def channel_attention(x):
    x = layers.Conv2D(3, 3, **CONV)(x)
    weights = layers.Dense(3, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Multiply()([x, weights])


def self_attention(x):
    tokens = layers.Reshape((9, -1))(layers.Conv2D(4, 2, strides=2, padding="same")(x))
    return layers.MultiHeadAttention(2, 2)(tokens, tokens)


def strided_and_cropped(x):
    x = layers.ZeroPadding2D(((2, 0), (1, 1)))(x)
    x = layers.Conv2D(2, 3, strides=2)(layers.Cropping2D(((0, 1), (1, 0)))(x))
    return ops.flip(x, axis=1)[:, ::2]


def shared(x):
    conv = layers.Conv2D(2, 3, **CONV)
    return conv(layers.MaxPooling2D()(conv(x)))


def nested(x):
    inner = keras.Sequential(
        [keras.Input((None, None, 2)), layers.Conv2D(2, 3, **CONV), layers.MaxPooling2D()]
    )
    return layers.Conv2D(3, (1, 3))(inner(x))


def upsampled(x):
    x = layers.UpSampling2D(3)(layers.Conv2D(2, 2, strides=2)(x))
    return layers.UpSampling2D(2, interpolation="bilinear")(x)


def sequence(x):
    x = layers.Conv1D(2, 3, dilation_rate=3, padding="causal", activation="softplus")(x)
    return layers.MaxPooling1D(3, 2, padding="same")(layers.DepthwiseConv1D(2, strides=2)(x))


def volume(x):
    x = layers.MaxPooling3D((1, 2, 2), dtype="float32")(layers.Conv3D(2, 2, **CONV)(x))
    return layers.Conv3DTranspose(1, 2, strides=(1, 2, 1))(x)


def each_apart(x):
    each = keras.Sequential([keras.Input((5, 4, 1)), layers.Conv2D(2, 3, padding="same")])
    return layers.TimeDistributed(each)(x)


def normalized(x):
    x = layers.Conv2D(4, 3, **CONV)(x)
    return layers.LayerNormalization()(layers.UnitNormalization(axis=1)(x))


SAMPLE = (7, 6, 2)
ARCHITECTURES = {
    "valid": (lambda x: layers.Conv2D(2, (2, 3))(layers.Conv2D(2, 3)(x)), SAMPLE),
    "same, strided": (
        lambda x: layers.Conv2D(2, 3, strides=2, **CONV)(layers.Conv2D(2, 4, strides=3, **CONV)(x)),
        SAMPLE,
    ),
    "same, strided, even": (
        lambda x: layers.Conv2D(2, 3, strides=2, **CONV)(layers.Conv2D(2, 2, strides=2, **CONV)(x)),
        (8, 8, 1),
    ),
    "dilated": (lambda x: layers.Conv2D(2, 3, dilation_rate=2, **CONV)(x), SAMPLE),
    "pooled": (
        lambda x: layers.AveragePooling2D(3, 2, padding="same")(layers.MaxPooling2D(2, 1)(x)),
        SAMPLE,
    ),
    "branches": (branches, SAMPLE),
    "residual": (residual, SAMPLE),
    "u-net": (u_net, (8, 8, 1)),
    "transposed": (lambda x: layers.Conv2DTranspose(2, 3, strides=2)(x), (4, 5, 2)),
    "transposed, same": (
        lambda x: layers.Conv2DTranspose(2, 4, strides=3, padding="same")(x),
        (4, 5, 2),
    ),
    "depthwise": (
        lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, **CONV)(x),
        SAMPLE,
    ),
    "separable": (lambda x: layers.SeparableConv2D(3, 3, **CONV)(x), SAMPLE),
    "groups": (lambda x: layers.Conv2D(4, 3, groups=2, **CONV)(x), (5, 4, 4)),
    "groups of signals": (lambda x: layers.Conv1D(4, 3, groups=2, strides=2, **CONV)(x), (9, 4)),
    "channel attention": (channel_attention, (5, 5, 1)),
    "self-attention": (self_attention, (6, 6, 1)),
    "cropped": (strided_and_cropped, (8, 8, 1)),
    "shared": (shared, SAMPLE),
    "nested": (nested, (8, 7, 2)),
    "upsampled": (upsampled, (6, 4, 2)),
    "signal": (sequence, (19, 2)),
    "volume": (volume, (3, 4, 4, 1)),
    "time": (each_apart, (3, 5, 4, 1)),
    "normalized": (normalized, (5, 5, 1)),
    "global": (lambda x: layers.GlobalMaxPooling2D()(layers.Conv2D(3, 3)(x)), (5, 5, 1)),
    "dense": (lambda x: layers.Dense(3)(layers.Flatten()(layers.Conv2D(1, 2)(x))), (4, 4, 1)),
    "permuted": (lambda x: layers.Conv1D(3, 2)(layers.Permute((2, 1))(x)), (6, 4)),
}


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def built(name):
    """A network of an architecture, and its last layer's path."""
    make, shape = ARCHITECTURES[name]
    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape)
    made = layers.Identity(name="last")(make(inputs))
    model = keras.Model(inputs, made)
    for number, weight in enumerate(model.weights):
        if "variance" not in weight.name:
            weight.assign(np.random.default_rng(number).normal(size=weight.shape))
    return model


def by_brute_force(model, channel=None):
    """Whether each position of the output changes with each entry, `(positions, *sample)`."""
    shape = model.input_shape[1:]
    entries = int(np.prod(shape))
    rng = np.random.default_rng(0)
    x = 0.1 * rng.normal(size=(1, entries))
    changed = np.repeat(x, entries, axis=0)[None] + np.eye(entries) * np.array(
        [-3.0, -1.0, -0.3, 0.4, 1.1, 2.9]
    ).reshape(-1, 1, 1)
    reference = np.asarray(model(x.reshape(1, *shape)))[0]
    made = np.asarray(model(changed.reshape(-1, *shape)))
    differs = np.abs(made - reference) > 1e-10 * np.abs(reference).max()
    differs = differs[..., channel : channel + 1] if channel is not None else differs
    found = differs.any(axis=-1).reshape(6, entries, -1).any(axis=0)
    return found.T.reshape(-1, *shape)


# Variants of another, or made of what others are.
ALIKE = ("same, strided, even", "transposed, same", "groups of signals", "separable", "u-net")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in ARCHITECTURES],
)
def test_fields_are_those_found_by_brute_force(name):
    model = built(name)
    found = receptive_fields(model, "last")
    np.testing.assert_array_equal(found.masks, by_brute_force(model))
    assert found.about["overestimated"] == ()


@pytest.mark.parametrize(
    ("name", "channel"), [("depthwise", 0), ("depthwise", 3), ("groups", 3), ("branches", 5)]
)
def test_a_channel_may_see_less_than_all(name, channel):
    model = built(name)
    found = receptive_fields(model, "last", channel=channel)
    np.testing.assert_array_equal(found.masks, by_brute_force(model, channel))


def test_boxes_are_around_the_fields_and_clipped():
    model = built("dilated")
    found = receptive_fields(model, "last", [[0, 0], [3, 3], [6, 5]])
    assert found.positions.tolist() == [[0, 0], [3, 3], [6, 5]]
    assert found.starts.tolist() == [[0, 0, 0], [1, 1, 0], [4, 3, 0]]
    assert found.sizes.tolist() == [[3, 3, 2], [5, 5, 2], [3, 3, 2]]
    assert np.argwhere(found.masks[1].any(axis=-1)).tolist() == [
        [a, b] for a in (1, 3, 5) for b in (1, 3, 5)
    ]
    assert np.zeros((7, 6, 2))[found.slices(0)].shape == (3, 3, 2)
    assert receptive_fields(model, "last", "central").positions.tolist() == [[3, 3]]


def test_what_is_not_known_counts_whole_and_is_named():
    inputs = keras.Input((6, 2))
    x = layers.LSTM(3, return_sequences=True)(inputs)
    model = keras.Model(inputs, layers.Conv1D(2, 1, name="last")(x))
    found = receptive_fields(model, "last")
    assert found.masks.all()
    assert "While" in " ".join(found.about["overestimated"])
    figure = found.plot()
    assert any("perhaps too large" in text.get_text() for text in figure.texts)
    assert figure.get_size_inches()[0] < 12


def test_tokens_see_one_id_each():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Conv1D(2, 3, name="conv")(layers.Embedding(9, 4)(inputs))
    found = receptive_fields(keras.Model(inputs, x), "conv")
    expected = [[0 <= i - p < 3 for i in range(6)] for p in range(4)]
    assert found.masks.tolist() == expected


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_precision_plays_no_part(policy):
    layer = layers.Conv2D(2, 3, strides=2, padding="same", name="a", dtype=policy)
    model = keras.Sequential([keras.Input((7, 6, 1), dtype="float32"), layer])
    assert receptive_fields(model, "a", [1, 1]).starts.tolist() == [[1, 2, 0]]


class Own(keras.Model):
    """A model that does not say what shape it takes, and runs a layer twice."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(1, 3, name="conv", padding="same")

    def call(self, x):
        return self.conv(self.conv(x))


def test_subclassed_models_and_each_run_of_a_layer(tmp_path):
    model = Own()
    model(np.zeros((1, 9, 9, 1)))
    once = receptive_fields(model, "conv@0", [4, 4], input_shape=(9, 9, 1))
    twice = receptive_fields(model, "conv@1", [4, 4], input_shape=(9, 9, 1))
    assert once.sizes.tolist() == [[3, 3, 1]] and twice.sizes.tolist() == [[5, 5, 1]]
    assert twice.about["overestimated"] == ()  # which says that they are exact
    loaded = ReceptiveFields.load(twice.save(tmp_path / "fields.npz"))
    np.testing.assert_array_equal(loaded.masks, twice.masks)
    assert loaded.about == twice.about
    with pytest.raises(ValueError, match="runs 2 times"):
        receptive_fields(model, "conv", [4, 4], input_shape=(9, 9, 1))
    with pytest.raises(ValueError, match="`input_shape`"):
        receptive_fields(model, "conv@1", [4, 4])


def test_a_fixed_batch():
    inputs = keras.Input(batch_shape=(4, 6, 6, 1))
    model = keras.Model(inputs, layers.Conv2D(2, 3, name="a")(inputs))
    assert receptive_fields(model, "a", [3, 0]).starts.tolist() == [[3, 0, 0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": [[7, 0]]}, r"within \(7, 6\).*\(7, 0\)"),
        ({"positions": [[1, 2, 3]]}, r"shape \(fields, 2\).*\(1, 3\)"),
        ({"positions": [[0.5, 1.0]]}, "float64"),
        ({"positions": "middle"}, "'middle'"),
        ({"channel": 2}, "holds 2.*2 channels, 0 to 1"),
        ({"layer": "first"}, "no layer 'first'"),
        ({"input_shape": (8, 6, 2)}, r"\(7, 6, 2\)\. Received: \(8, 6, 2\)"),
    ],
)
def test_errors_quote_what_came(options, message):
    model = built("dilated")
    with pytest.raises(ValueError, match=message):
        receptive_fields(model, **{"layer": "last", **options})


def test_several_inputs_are_refused():
    one, two = keras.Input((4, 4, 1), name="left"), keras.Input((4, 4, 1), name="right")
    model = keras.Model([one, two], layers.Add(name="sum")([one, two]))
    with pytest.raises(ValueError, match="has 2: 'left', 'right'"):
        receptive_fields(model, "sum")


@pytest.mark.slow
def test_the_figure_tints_the_field_and_draws_its_box():
    found = receptive_fields(built("dilated"), "last", [[0, 0], [3, 3]])
    for sample in (None, np.random.default_rng(0).random((7, 6, 2))):
        figure = found.plot(sample)
        assert [ax.get_xlabel() for ax in figure.axes] == ["(0, 0): 3 × 3", "(3, 3): 5 × 5"]
        for field, ax in enumerate(figure.axes):
            tint, box = ax.images[-1].get_array(), ax.patches[0]
            np.testing.assert_array_equal(tint[..., 3] > 0, found.masks[field].any(axis=-1))
            start = found.starts[field, :2]
            assert box.get_xy() == (start[1] - 0.5, start[0] - 0.5)
            assert [box.get_height(), box.get_width()] == found.sizes[field, :2].tolist()
    with pytest.raises(ValueError, match=r"`sample`.*\(7, 6, 2\)\. Received shape \(7, 6\)"):
        found.plot(np.zeros((7, 6)))


@pytest.mark.parametrize("name", ["signal", "volume", "self-attention", "dense", "permuted"])
def test_fields_of_all_ranks_are_drawn(name):
    found = receptive_fields(built(name), "last")
    figure = found.plot(np.random.default_rng(0).random(found.masks.shape[1:]), most=3)
    shown = min(3, len(found.masks))
    assert len(figure.axes) == shown
    said = any(f"{shown} of {len(found.masks)} fields" in text.get_text() for text in figure.texts)
    assert said == (shown < len(found.masks))
