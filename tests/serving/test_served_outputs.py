"""What is served as the model's output is the model's output, whatever its shape, structure and type."""

import importlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_pli.attribution import IntegratedGradients, Occlusion, Saliency, Within
from keras_pli.serving import export
from keras_pli.serving.inputs import ModelInputs


def served(model, path, **options):
    version = export(model, path / "m", warmup=None, **options)
    return tf.saved_model.load(str(version)).signatures


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def images(count=3, channels=1):
    shape = (count, 5, 6, channels)
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def segmentation(head="softmax", classes=3):
    keras.utils.set_random_seed(1)
    image = keras.Input((5, 6, 1), name="image")
    return keras.Sequential([image, layers.Conv2D(classes, 3, padding="same", activation=head)])


class Called(keras.Model):
    """A dense layer, and what a function makes of it."""

    def __init__(self, function):
        super().__init__(name="called")
        self.dense, self.function = layers.Dense(3), function

    def call(self, inputs):
        return self.function(self.dense(tf.cast(inputs, tf.float32)))


class Compiled(Called):
    call = tf.function(Called.call)


def called(function, kind=Called):
    keras.utils.set_random_seed(2)
    model = kind(function)
    model(np.zeros((1, 4), np.float32))
    return model


class TestPositions:
    def test_a_segmentation_keeps_its_shape(self, tmp_path):
        model, x = segmentation(), images()
        methods = [Saliency, IntegratedGradients(model, steps=2)]
        names = ["sky", "road", "car"]
        signatures = served(model, tmp_path, explanations=methods, class_names=names, top=1)
        document = json.loads((tmp_path / "m" / "1" / "assets" / "signatures.json").read_text())
        described = document["signatures"]["explain_saliency"]["inputs"]["mask"]
        assert described["shape"] == [None, 5, 6] and "positions" in described["description"]
        kernel, bias = (np.asarray(weight, np.float64) for weight in model.get_weights())
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        logits = np.einsum("bhwcij,ijck->bhwk", windows, kernel) + bias
        found = signatures["serving_default"](image=x)
        np.testing.assert_allclose(found["logits"], logits, atol=1e-5)
        np.testing.assert_allclose(found["probabilities"], softmax(logits), atol=1e-5)
        np.testing.assert_array_equal(found["top_classes"][..., 0], logits.argmax(axis=-1))
        assert "top_names" not in found
        # One pixel, by its mask; the class is the one predicted there.
        mask = np.zeros((3, 5, 6), np.float32)
        mask[:, 1, 4] = 1
        asked = {"image": x, "mask": mask, "target": np.array([-1, 2, 0], np.int32)}
        found = signatures["explain_saliency"](**asked)
        classes = np.array([logits[0, 1, 4].argmax(), 2, 0])
        np.testing.assert_array_equal(found["target"], classes)
        expected = np.zeros((3, 7, 8, 1))
        for sample, chosen in enumerate(classes):
            expected[sample, 1:4, 4:7] = kernel[..., chosen]
        np.testing.assert_allclose(found["attributions"], expected[:, 1:-1, 1:-1], atol=1e-5)
        np.testing.assert_allclose(found["scores"], logits[np.arange(3), 1, 4, classes], atol=1e-5)
        # All of them, which is what a class alone stands for.
        asked |= {"mask": np.ones_like(mask), "baseline": np.zeros_like(x)}
        found = signatures["explain_integrated_gradients"](**asked)
        summed = logits.sum(axis=(1, 2))
        aims = [summed[0].argmax(), 2, 0]
        np.testing.assert_allclose(found["scores"], summed[np.arange(3), aims], rtol=1e-4)
        wrong = {**asked, "mask": mask[:2]}
        with pytest.raises(tf.errors.InvalidArgumentError, match="`mask` must have as many rows"):
            signatures["explain_integrated_gradients"](**wrong)

    def test_an_edge_map_has_two_classes_at_each_pixel(self, tmp_path):
        model, x = segmentation("sigmoid", classes=1), images()
        found = served(model, tmp_path)["serving_default"](image=x)
        edges = np.asarray(model(x))
        np.testing.assert_allclose(found["probabilities"][..., 1:], edges, atol=1e-6)
        np.testing.assert_allclose(found["probabilities"][..., :1], 1 - edges, atol=1e-6)

    @pytest.mark.slow
    def test_images_of_any_size(self, tmp_path):
        image = keras.Input((None, None, 1), name="image")
        model = keras.Sequential([image, layers.Conv2D(3, 2, strides=2, activation="softmax")])
        signatures = served(model, tmp_path, explanations=[Saliency])
        x = images()
        np.testing.assert_allclose(
            signatures["serving_default"](image=x)["probabilities"], model(x), atol=1e-6
        )
        mask = np.random.default_rng(0).random((3, 2, 3), dtype=np.float32)
        target = np.array([0, 1, 2], np.int32)
        found = signatures["explain_saliency"](image=x, mask=mask, target=target)
        expected = Saliency(model)(x, Within(target, mask)).attributions
        np.testing.assert_allclose(found["attributions"], expected, atol=1e-6)

    @pytest.mark.slow
    def test_channels_first_as_it_is(self, tmp_path):
        image = keras.Input((5, 6, 3), name="image")
        model = keras.Model(image, layers.Softmax(axis=1)(layers.Conv2D(3, 1)(image)))
        x = images(channels=3)
        with pytest.raises(ValueError, match="No logits can be found"):
            export(model, tmp_path / "m", warmup=None)
        found = served(model, tmp_path, score="output")["serving_default"](image=x)
        np.testing.assert_allclose(found["probabilities"], model(x), atol=1e-6)


def from_saved_model(folder):
    keras.utils.set_random_seed(3)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, "softmax")])
    inner.export(folder, verbose=False)
    inputs = keras.Input((4,), name="inputs")
    return keras.Model(inputs, keras.layers.TFSMLayer(folder, call_endpoint="serve")(inputs))


WITHOUT_LOGITS = {
    "a SavedModel": from_saved_model,
    "a compiled call": lambda _: called(keras.ops.softmax, Compiled),
    "a maximum over sigmoids": lambda _: called(
        lambda z: keras.ops.max(keras.ops.sigmoid(keras.ops.stack([z, 1 - z], axis=1)), axis=1)
    ),
    "normalized evidence": lambda _: called(
        lambda z: (keras.ops.relu(z) + 1) / keras.ops.sum(keras.ops.relu(z) + 1, -1, keepdims=True)
    ),
    "a gather": lambda _: called(lambda z: keras.ops.take(keras.ops.softmax(z), [2, 0], axis=-1)),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind == "a compiled call" else pytest.mark.slow)
        for kind in WITHOUT_LOGITS
    ],
)
def test_an_output_without_logits_is_served_exactly_or_not_at_all(kind, tmp_path):
    model = WITHOUT_LOGITS[kind](tmp_path / "inner")
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with pytest.raises(ValueError, match=r"No logits.*score='output'"):
        export(model, tmp_path / "m", examples=x, warmup=None)
    found = served(model, tmp_path, examples=x, score="output")["serving_default"](inputs=x)
    np.testing.assert_allclose(found["probabilities"], model(x), rtol=1e-5)
    assert "logits" not in found


def test_probabilities_that_no_softmax_was_found_of_are_not_served_as_logits(tmp_path):
    def hidden(logits):  # where no search for a softmax looks
        return tf.while_loop(
            lambda step, _: step < 2, lambda step, z: (step + 1, tf.nn.softmax(z)), (0, logits)
        )[1]

    model, x = called(hidden), np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"always adds up to 1.*score='output'"):
        export(model, tmp_path / "m", examples=x, warmup=None)
    assert not list((tmp_path / "m").iterdir())


@pytest.mark.parametrize("wrong", ["twice", "shifted"])
def test_an_answer_that_is_not_the_models_is_refused(wrong, tmp_path, monkeypatch):
    """A second softmax, or logits that are others, in what is traced: the model itself says otherwise."""
    signatures = importlib.import_module("keras_pli.serving.signatures")
    network = importlib.import_module("keras_pli.network.forward")
    if wrong == "twice":
        plain = signatures.probabilities
        monkeypatch.setattr(
            signatures, "probabilities", lambda *given: tf.nn.softmax(plain(*given))
        )
    else:
        undone = network.unsquashed
        monkeypatch.setattr(network, "unsquashed", lambda *given: 1.1 * undone(*given))
    key = "probabilities" if wrong == "twice" else "logits"
    with pytest.raises(RuntimeError, match=rf"another '{key}' than the model: \S+ and \S+ at \("):
        export(segmentation(), tmp_path / "m", warmup=None)
    assert not list((tmp_path / "m").iterdir())


def test_logarithms_of_probabilities(tmp_path):
    image = keras.Input((4,), name="image")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, "log_softmax")])
    model = keras.Model(image, inner(image))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found = served(model, tmp_path)["serving_default"](image=x)
    np.testing.assert_allclose(found["probabilities"], np.exp(model(x)), rtol=1e-5)


@pytest.mark.slow
def test_a_map_in_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = segmentation()
    finally:
        keras.config.set_dtype_policy("float32")
    found = served(model, tmp_path)["serving_default"](image=images())
    np.testing.assert_allclose(found["probabilities"], model(images()), atol=2e-3)


STRUCTURES = {
    "a list": (lambda a, b: [a, b], ["0", "1"]),
    "a dict": (lambda a, b: {"kind": a, "age": b}, ["kind", "age"]),
    "nested": (lambda a, b: (a, {"age": b}), ["0", "1_age"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRUCTURES)
def test_subclassed_models_of_several_outputs(kind, tmp_path):
    pack, names = STRUCTURES[kind]
    model = called(lambda z: pack(tf.nn.softmax(z), z[:, :1]))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with pytest.raises(ValueError, match="2 outputs; say by `output`"):
        export(model, tmp_path / "m", examples=x, warmup=None)
    signatures = served(model, tmp_path, examples=x, output=names[0] if kind == "a dict" else 0)
    found = signatures["serving_default"](inputs=x)
    first, second = tf.nest.flatten(model(x)) if kind != "a dict" else model(x).values()
    np.testing.assert_allclose(found["probabilities"], first, rtol=1e-5)
    np.testing.assert_allclose(found[f"output_{names[0]}"], first, rtol=1e-5)
    np.testing.assert_allclose(found[f"output_{names[1]}"], second, rtol=1e-5)


class TestTypes:
    @pytest.mark.slow
    def test_bytes_are_asked_for_everywhere(self, tmp_path):
        image = keras.Input((5, 6, 1), dtype="uint8", name="image")
        z = layers.Flatten()(layers.Rescaling(1 / 255)(image))
        model = keras.Model(image, layers.Dense(3, "softmax")(z))
        occlusion = Occlusion(model, window=2)
        signatures = served(model, tmp_path, explanations=[occlusion])
        x = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 1), dtype=np.uint8)
        found = signatures["serving_default"](image=x)
        np.testing.assert_allclose(found["probabilities"], model(x), rtol=1e-5)
        target = np.array([0, 1, 2], np.int32)
        given = {"image": x, "target": target, "baseline": np.full_like(x, 9)}
        found = signatures["explain_occlusion"](**given)
        assert found["attributions"].dtype == tf.float32
        expected = occlusion(x, target, baseline=9).attributions
        np.testing.assert_allclose(found["attributions"], expected, atol=1e-6)

    @pytest.mark.slow
    def test_integers_of_a_subclassed_model(self, tmp_path):
        x = np.arange(12, dtype=np.int32).reshape(3, 4)
        model = called(tf.nn.softmax)
        signatures = served(model, tmp_path, examples=x, explanations=[Saliency])
        inputs = [
            signatures[name].structured_input_signature[1]["inputs"].dtype
            for name in ("serving_default", "explain_saliency")
        ]
        assert inputs == [tf.int32, tf.int32]
        found = signatures["explain_saliency"](inputs=x, target=np.zeros(3, np.int32))
        expected = np.broadcast_to(model.dense.kernel[:, 0], (3, 4))
        np.testing.assert_allclose(found["attributions"], expected, atol=1e-6)

    def test_random_inputs_are_of_the_models_own_range(self):
        number, city = keras.Input((2,), name="number"), keras.Input((), dtype="int32", name="city")
        z = layers.Concatenate()([number, layers.Embedding(7, 2)(city)])
        model = keras.Model([number, city], layers.Dense(3)(z))
        (first, _), (second, drawn) = ModelInputs(model).trials(50)
        assert (first, second) == ("examples", "random")
        assert set(np.unique(drawn["city"])) == set(range(7))
        plain = ModelInputs(segmentation())
        _, (_, drawn) = plain.trials(50)
        assert abs(drawn["image"].mean()) < 0.1 and abs(drawn["image"].std() - 1) < 0.1

    def test_ids_are_explained_at_their_embedding(self, tmp_path):
        keras.utils.set_random_seed(6)
        number, city = keras.Input((2,), name="number"), keras.Input((), dtype="int32", name="city")
        z = layers.Concatenate()([number, layers.Embedding(7, 2, name="cities")(city)])
        model = keras.Model([number, city], layers.Dense(3, name="head")(z))
        explained = Saliency(model, embeddings="sum")
        signatures = served(model, tmp_path, explanations=[explained])
        numbers, cities = np.ones((3, 2), np.float32), np.array([1, 2, 6], np.int32)
        target = np.array([0, 1, 2], np.int32)
        found = signatures["explain_saliency"](number=numbers, city=cities, target=target)
        kernel = np.asarray(model.get_layer("head").kernel)
        np.testing.assert_allclose(found["attributions_number"], kernel[:2].T, rtol=1e-5)
        np.testing.assert_allclose(found["attributions_city"], kernel[2:].sum(axis=0), rtol=1e-5)


@pytest.mark.slow
def test_a_stateful_model_is_compared_and_left_in_its_state(tmp_path):
    keras.utils.set_random_seed(7)
    series = keras.Input(batch_shape=(3, 4, 2), name="series")
    recurrent = layers.SimpleRNN(4, stateful=True)
    model = keras.Sequential([series, recurrent, layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    signatures = served(model, tmp_path)
    assert not np.any(recurrent.states[0])
    first = model(x)  # from the state of zeros that the export has
    np.testing.assert_allclose(signatures["serving_default"](series=x)["logits"], first, rtol=1e-5)
