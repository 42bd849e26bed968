"""Strongest places against a full sort, and projections against a deconvnet by loops in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_pli.inspection import TopActivations, receptive_fields, top_activations


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(2),
            layers.Conv2D(5, 2, activation="relu", bias_initializer="ones", name="second"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(150, 9, 8, 2)).astype("float32")


def maps_of(model, x, layer):
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(layer).output)(x))


def sorted_places(maps, channel, k, per_sample):
    """The first k by value, then sample, then position, by sorting all of them."""
    flat = maps[..., channel].reshape(len(maps), -1)
    every = []
    for sample, line in enumerate(flat):
        order = sorted(range(len(line)), key=lambda place: (-line[place], place))[:per_sample]
        every += [(-line[place], sample, place) for place in order]
    return sorted(every)[:k]


@pytest.mark.parametrize(
    "per_sample",
    [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(1000, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("batch_size", [7, pytest.param(64, marks=pytest.mark.slow)])
def test_places_are_the_first_of_a_full_sort(model, x, per_sample, batch_size):
    options = {"k": 6, "places_per_sample": per_sample, "batch_size": batch_size, "project": False}
    found = top_activations(model, x, "first", channels=[3, 1], **options)
    maps = maps_of(model, x, "first")
    for row, channel in enumerate([3, 1]):
        expected = sorted_places(maps, channel, 6, per_sample)
        np.testing.assert_array_equal(found.samples[row], [sample for _, sample, _ in expected])
        places = np.ravel_multi_index(found.positions[row].T, maps.shape[1:3])
        np.testing.assert_array_equal(places, [place for _, _, place in expected])
        np.testing.assert_allclose(
            found.values[row], [-value for value, _, _ in expected], rtol=1e-5
        )


@pytest.mark.slow
def test_ties_go_to_the_earlier_sample_and_position(model):
    same = np.ones((10, 9, 8, 2), "float32")
    options = {"channels": [0], "k": 4, "batch_size": 3, "project": False}
    found = top_activations(model, same, "first", **options)
    assert found.samples.tolist() == [[0, 1, 2, 3]]
    assert not found.positions.any()
    several = top_activations(model, same, "first", places_per_sample=2, **options)
    assert several.samples.tolist() == [[0, 0, 1, 1]]
    assert several.positions[0, :2].tolist() == [[0, 0], [0, 1]]


def streams(x, y, folder):
    np.save(folder / "x.npy", x)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(40)
    return {
        "memory-mapped": {"data": np.load(folder / "x.npy", mmap_mode="r"), "labels": y},
        "batches": {"data": batches},
        "batches without labels": {"data": batches.map(lambda x, y: x)},
    }


@pytest.mark.slow
def test_any_stream_gives_the_same_and_holds_few_samples(model, x, tmp_path):
    y = np.arange(len(x)) % 7
    expected = top_activations(model, x, "second", labels=y, k=3)
    np.testing.assert_array_equal(expected.labels, expected.samples % 7)
    for name, given in streams(x, y, tmp_path).items():
        found = top_activations(model, given.pop("data"), "second", k=3, **given)
        np.testing.assert_array_equal(found.samples, expected.samples)
        np.testing.assert_allclose(found.crops, expected.crops)
        np.testing.assert_allclose(found.projections, expected.projections, rtol=1e-4, atol=1e-5)
        assert len(found.labels) == (0 if "without" in name else 5)
        assert found.about["seen"] == len(x)


def transposed(gradient, kernel):
    """What a "valid" convolution's transpose draws."""
    height, width = gradient.shape[0] + kernel.shape[0] - 1, gradient.shape[1] + kernel.shape[1] - 1
    drawn = np.zeros((height, width, kernel.shape[2]))
    for i, j in np.ndindex(*gradient.shape[:2]):
        drawn[i : i + kernel.shape[0], j : j + kernel.shape[1]] += kernel @ gradient[i, j]
    return drawn


def unpooled(gradient, before):
    """Puts each value where the maximum of its window was."""
    placed = np.zeros(before.shape)
    for i, j, c in np.ndindex(*gradient.shape):
        window = before[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        a, b = np.unravel_index(window.argmax(), window.shape)
        placed[2 * i + a, 2 * j + b, c] = gradient[i, j, c]
    return placed


def test_projections_are_those_of_a_deconvnet(model, x):
    found = top_activations(model, x, "second", k=4)
    first, second = (np.asarray(model.get_layer(name).kernel) for name in ("first", "second"))
    before = maps_of(model, x, "first").astype(np.float64)
    for row, rank in np.ndindex(*found.samples.shape):
        sample, (i, j) = found.samples[row, rank], found.positions[row, rank]
        assert found.values[row, rank] > 0
        one = np.zeros((3, 2, 5))
        one[i, j, found.channels[row]] = found.values[row, rank]
        back = unpooled(transposed(one, second), before[sample])
        image = transposed(np.maximum(back, 0), first)
        start, stop = found.boxes[row, rank].T
        box = tuple(map(slice, start, stop))
        np.testing.assert_allclose(found.projections[row, rank], image[box], rtol=1e-3, atol=1e-5)
        image[box] = 0
        assert not image.any()  # nothing of it lies beyond the receptive field


def test_crops_are_the_receptive_fields_and_pale_beyond_the_border():
    keras.utils.set_random_seed(0)
    layer = layers.Conv2D(3, 5, padding="same", name="a")
    model = keras.Sequential([keras.Input((6, 7, 1)), layer])
    x = np.random.default_rng(0).normal(size=(60, 6, 7, 1)).astype("float32")
    found = top_activations(model, x, "a", k=8, places_per_sample=4)
    assert found.crops.shape == (3, 8, 5, 5, 1)
    beyond = 0
    for row, rank in np.ndindex(3, 8):
        i, j = found.positions[row, rank]
        padded = np.pad(
            x[found.samples[row, rank]], ((2, 2), (2, 2), (0, 0)), constant_values=np.nan
        )
        np.testing.assert_array_equal(found.crops[row, rank], padded[i : i + 5, j : j + 5])
        beyond += np.isnan(found.crops[row, rank]).any()
        field = receptive_fields(model, "a", [i, j])
        np.testing.assert_array_equal(found.boxes[row, rank, :, 0], field.starts[0])
    assert beyond


@pytest.mark.slow
def test_units_without_positions_signals_and_volumes(model, x):
    found = top_activations(model, x, "head", channels=[2], k=2)
    assert found.positions.shape == (1, 2, 0) and found.crops.shape == (1, 2, 8, 8, 2)
    # The pooling leaves the last row out.
    np.testing.assert_array_equal(found.crops[0, 0], x[found.samples[0, 0], :8])
    assert len(found.plot().axes) == 4
    for shape, layer in (((12, 2), layers.Conv1D), ((4, 5, 6, 1), layers.Conv3D)):
        other = keras.Sequential([keras.Input(shape), layer(2, 3, name="a"), layers.ReLU()])
        data = np.random.default_rng(0).normal(size=(9, *shape))
        made = top_activations(other, data, "a", k=3)
        assert made.crops.shape == (2, 3, *[3] * (len(shape) - 1), shape[-1])
        assert len(made.plot().axes) == 12


@pytest.mark.slow
def test_bytes_stay_bytes_until_the_model_reads_them(model):
    x = np.random.default_rng(0).integers(0, 255, (20, 9, 8, 2)).astype("uint8")
    found = top_activations(model, x, "first", k=2)
    same = top_activations(model, x.astype("float32"), "first", k=2)
    np.testing.assert_array_equal(found.samples, same.samples)


@pytest.mark.slow
def test_a_fixed_batch_and_ids():
    inputs = keras.Input(batch_shape=(4, 6, 6, 1))
    fixed = keras.Model(inputs, layers.Conv2D(2, 3, name="a")(inputs))
    x = np.random.default_rng(0).normal(size=(10, 6, 6, 1)).astype("float32")
    found = top_activations(fixed, x, "a", k=3)
    np.testing.assert_allclose(
        found.values[:, 0], np.asarray(fixed.get_layer("a")(x)).max(axis=(0, 1, 2)), rtol=1e-5
    )
    tokens = keras.Input((6,), dtype="int32")
    text = keras.Model(tokens, layers.Conv1D(2, 3, name="a")(layers.Embedding(9, 4)(tokens)))
    ids = np.random.default_rng(0).integers(0, 9, (20, 6))
    assert top_activations(text, ids, "a", k=3, project=False).crops.shape == (2, 3, 3)
    with pytest.raises(ValueError, match=r"whole numbers, int32.*project=False"):
        top_activations(text, ids, "a", k=3, project=True)
    found = top_activations(text, ids, "a", k=3)
    assert found.crops.shape == (2, 3, 3) and not len(found.projections)


def test_bytes_that_the_model_takes_have_no_projections_and_the_figure_says_so():
    inputs = keras.Input((6, 6, 1), dtype="uint8")
    x = layers.Conv2D(2, 3, activation="relu", name="a")(layers.Rescaling(1 / 255)(inputs))
    data = np.random.default_rng(0).integers(0, 255, (20, 6, 6, 1)).astype("uint8")
    found = top_activations(keras.Model(inputs, x), data, "a", k=3)
    assert found.crops.max() > 1 and not len(found.projections)
    assert found.about["unprojected"] == "the model takes whole numbers (uint8)"
    figure = found.plot()
    assert len(figure.axes) == 6
    assert any("no projections: the model takes" in text.get_text() for text in figure.texts)


def captions(figure):
    return [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]


@pytest.mark.slow
def test_captions_show_the_label_and_its_name(model, x):
    y = np.arange(len(x)) % 3
    found = top_activations(model, x, "first", labels=y, k=2, channels=[1])
    samples, values = found.samples[0], found.values[0]
    expected = [f"{s}: {v:.2g}" for s, v in zip(samples, values, strict=True)]
    assert captions(found.plot()) == [
        f"{text}\n{s % 3}" for text, s in zip(expected, samples, strict=True)
    ]
    for names in (["cat", "dog", "owl"], {0: "cat", 1: "dog", 2: "owl"}):
        assert captions(found.plot(class_names=names)) == [
            f"{text}\n{names[s % 3]}" for text, s in zip(expected, samples, strict=True)
        ]
    long = found.plot(class_names=["golden retriever"] * 3)
    assert {text.split("\n")[1] for text in captions(long)} == {"golden retri…"}
    with pytest.raises(ValueError, match="No name for the labels"):
        found.plot(class_names={7: "cat"})
    bare = top_activations(model, x, "first", k=2, channels=[1])
    assert captions(bare.plot()) == expected
    with pytest.raises(ValueError, match="labels have shape"):
        bare.plot(class_names=["cat"])


@pytest.mark.slow
def test_labels_of_a_data_set_may_be_named_and_strings(model, x, tmp_path):
    names = np.array(["é", "dog", "mouse"])[np.arange(len(x)) % 3]
    data = tf.data.Dataset.from_tensor_slices((x, {"out": names})).batch(40)
    found = top_activations(model, data, "first", k=2, project=False)
    np.testing.assert_array_equal(found.labels, names[found.samples])
    loaded = TopActivations.load(found.save(tmp_path / "top.npz"))
    np.testing.assert_array_equal(loaded.labels, names[found.samples])
    assert found.to_frame()["label"][0] == names[found.samples[0, 0]]
    array = top_activations(
        model, x, "first", k=2, project=False, labels=np.char.encode(names, "utf8")
    )
    np.testing.assert_array_equal(array.labels, found.labels)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            {"a": np.zeros(150), "b": np.zeros(150)},
            TypeError,
            "labels named 'a', 'b': 'EagerTensor'",
        ),
        (tf.ragged.constant([[1], [1, 2]] * 75), TypeError, "'RaggedTensor'"),
    ],
)
def test_labels_that_are_several_are_refused(model, x, labels, error, message):
    data = tf.data.Dataset.from_tensor_slices((x, labels)).batch(40)
    with pytest.raises(error, match=message):
        top_activations(model, data, "first")
    one = tf.data.Dataset.from_tensor_slices(x).batch(40).map(lambda x: (x, tf.constant(1)))
    with pytest.raises(ValueError, match=r"labels of shape \(\)"):
        top_activations(model, one, "first")


def test_more_places_than_there_are(model, x):
    assert top_activations(model, x[:3], "first", k=9, project=False).samples.shape == (4, 3)


def test_a_stored_result(model, x, tmp_path):
    found = top_activations(model, x, "first", k=2)
    loaded = TopActivations.load(found.save(tmp_path / "top.npz"))
    for name in ("samples", "positions", "values", "boxes", "crops", "projections"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(found, name))
    assert loaded.about == found.about
    assert len(loaded.plot(channels=3).axes) == 12


@pytest.mark.slow
def test_the_model_is_left_as_it_is(model, x):
    before = [weight.copy() for weight in model.get_weights()]
    flags = [layer.trainable for layer in model.layers]
    top_activations(model, x, "first", k=2)
    assert flags == [layer.trainable for layer in model.layers]
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "`k`.*Received: 0"),
        ({"places_per_sample": 0.5}, ValueError, "`places_per_sample`.*Received: 0.5"),
        ({"channels": [9]}, ValueError, "holds 9.*'first' has 4 channels"),
        ({"layer": "frist"}, ValueError, "Did you mean 'first'"),
        ({"labels": [1, 2]}, ValueError, r"150 samples.*\(2,\)"),
        ({"data": np.zeros((2, 5, 5, 2))}, ValueError, r"\(2, 5, 5, 2\)"),
        ({"data": np.zeros((0, 9, 8, 2))}, ValueError, "Received none"),
        ({"data": iter([1])}, TypeError, "iterator"),
        ({"data": np.full((2, 9, 8, 2), np.nan)}, ValueError, "finite"),
    ],
)
def test_errors_quote_what_came(model, x, options, error, message):
    given = {"data": x, "layer": "first", **options}
    with pytest.raises(error, match=message):
        top_activations(model, **given)


def test_activations_that_are_nan_are_named(x):
    layer = layers.Lambda(lambda x: keras.ops.log(x), name="log")
    model = keras.Sequential([keras.Input((9, 8, 2)), layer])
    with pytest.raises(ValueError, match=r"'log' puts out NaN for 2 samples: 1, 2"):
        top_activations(model, np.stack([np.abs(x[0]) + 1, x[1], x[2]]), "log")


@pytest.mark.slow
def test_a_rectifier_within_a_function_is_named(x):
    hidden = tf.function(tf.nn.relu)
    layer = layers.Lambda(lambda x: hidden(x), name="hidden")
    model = keras.Sequential([keras.Input((9, 8, 2)), layer, layers.Conv2D(2, 3, name="a")])
    with pytest.raises(ValueError, match=r"'a' cannot reach 'Relu' .* project=False"):
        top_activations(model, x, "a")
    assert top_activations(model, x, "a", project=False).samples.shape == (2, 9)


def test_tokens_of_images_are_drawn():
    """Their positions have one axis where a sample has two."""
    inputs = keras.Input((6, 6, 1))
    tokens = layers.Reshape((9, -1), name="tokens")(layers.Conv2D(2, 2, strides=2)(inputs))
    data = np.random.default_rng(0).normal(size=(9, 6, 6, 1))
    found = top_activations(keras.Model(inputs, tokens), data, "tokens", k=2)
    assert len(found.plot().axes) == 8
