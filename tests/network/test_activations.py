import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import all_but, by_default

from keras_pli.attribution import Saliency
from keras_pli.network.activations import Tap, activations, ends_squashed
from keras_pli.network.layers import find_layer, layer_paths

LAYERS = keras.layers


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)


def dense(units=3, **kwargs):
    return LAYERS.Dense(units, bias_initializer="random_normal", **kwargs)


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def affine(layer, x):
    """What a dense layer gives before its activation, in plain NumPy."""
    kernel, bias = (numpy(w) for w in (layer.kernel, layer.bias))
    return x @ kernel + bias


class Subclassed(keras.Model):
    def __init__(self, fail=False):
        super().__init__()
        self.hidden = dense(5, activation="tanh", name="hidden")
        self.head = dense(activation="softmax", name="head")
        self.fail = fail

    def call(self, inputs):
        result = self.head(self.hidden(inputs))
        if self.fail:
            raise RuntimeError("a pass that fails")
        return result


class NamedInput(keras.Model):
    """A softmax layer that is called with its input by name."""

    def __init__(self):
        super().__init__()
        self.head = dense(name="head")
        self.squash = LAYERS.Softmax()

    def call(self, inputs):
        return self.squash(inputs=self.head(inputs))


def functional(squash):
    inputs = keras.Input((4,))
    return keras.Model(inputs, squash(dense(name="head")(inputs)))


# Heads of every kind; the others are as one of them.
KINDS = (
    "softmax argument",
    "sigmoid argument",
    "keras.ops.softmax",
    "no activation",
    "input by name",
)
HEADS = {
    "softmax argument": lambda: keras.Sequential(
        [keras.Input((4,)), dense(activation="softmax", name="head")]
    ),
    "sigmoid argument": lambda: keras.Sequential(
        [keras.Input((4,)), dense(activation="sigmoid", name="head")]
    ),
    "softmax layer": lambda: functional(LAYERS.Softmax()),
    "Activation layer": lambda: functional(LAYERS.Activation("softmax")),
    "sigmoid Activation layer": lambda: functional(LAYERS.Activation("sigmoid")),
    "keras.ops.softmax": lambda: functional(keras.ops.softmax),
    "keras.ops.sigmoid": lambda: functional(keras.ops.sigmoid),
    "keras.activations.softmax": lambda: functional(keras.activations.softmax),
    "linear": lambda: functional(LAYERS.Activation("linear")),
    "no activation": lambda: functional(lambda logits: logits),
    "layer in Sequential": lambda: keras.Sequential(
        [keras.Input((4,)), dense(name="head"), LAYERS.Softmax()]
    ),
    "input by name": NamedInput,
}


# What hands a softmax on, value by value.
BEHIND = {
    "Reshape": LAYERS.Reshape((3, 1)),
    "Flatten": LAYERS.Flatten(),
    "Dropout": LAYERS.Dropout(0.5),
    "Identity": LAYERS.Identity(),
    "linear": LAYERS.Activation("linear"),
    "keras.ops.reshape": lambda p: keras.ops.reshape(p, (-1, 3)),
    "keras.ops.expand_dims": lambda p: keras.ops.expand_dims(p, 1),
    "a nested model": keras.Sequential([keras.Input((3,)), LAYERS.Dropout(0.5)]),
    "two layers": lambda p: LAYERS.Flatten()(LAYERS.Dropout(0.5)(p)),
}
# What is no softmax or sigmoid of anything, nor a logit.
NO_LOGITS = {
    "max over sigmoids": lambda z: keras.ops.max(keras.ops.sigmoid(z), axis=1, keepdims=True),
    "evidence": lambda z: keras.ops.softplus(z) / keras.ops.sum(keras.ops.softplus(z), 1, True),
    "normalised ReLU": lambda z: (
        keras.ops.relu(z) / (1e-3 + keras.ops.sum(keras.ops.relu(z), 1, True))
    ),
    "gather": lambda z: keras.ops.take(keras.ops.softmax(z), [2, 0, 1], axis=1),
    "product": lambda z: keras.ops.softmax(z) * np.float32([0.2, 0.3, 0.5]),
    "padding": lambda z: keras.ops.pad(keras.ops.softmax(z), ((0, 0), (0, 1))),
    "upsampling": lambda z: LAYERS.UpSampling1D(2)(LAYERS.Reshape((3, 1))(keras.ops.softmax(z))),
    "average of two": lambda z: LAYERS.Average()([keras.ops.softmax(z), keras.ops.softmax(2 * z)]),
    "constant matrix": lambda z: keras.ops.matmul(keras.ops.softmax(z), np.eye(3, 2, dtype="f")),
    "tanh": lambda z: keras.ops.tanh(z),
}


class TestLogits:
    @pytest.mark.parametrize("head", by_default(*KINDS, of=HEADS))
    def test_are_what_the_squashing_receives(self, head, x):
        model = HEADS[head]()
        model(x)
        found = activations(model, x)
        np.testing.assert_allclose(found, affine(find_layer(model, "head"), x), atol=1e-5)
        assert found.dtype == np.float32

    @pytest.mark.parametrize("head", [name for name in HEADS if "softmax" in name])
    @pytest.mark.slow
    def test_softmax_of_them_is_the_output(self, head, x):
        model = HEADS[head]()
        logits = activations(model, x).astype(np.float64)
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)

    @pytest.mark.parametrize(
        "kind", by_default("Reshape", "Dropout", "a nested model", "two layers", of=BEHIND)
    )
    def test_behind_a_softmax_values_may_be_handed_on(self, kind, x):
        inputs = keras.Input((4,))
        head = dense(activation="softmax", name="head")
        model = keras.Model(inputs, BEHIND[kind](head(inputs)))
        np.testing.assert_allclose(activations(model, x), affine(head, x), atol=1e-5)
        assert ends_squashed(model)

    @pytest.mark.parametrize("kind", NO_LOGITS)
    def test_what_is_no_softmax_of_anything_is_refused(self, kind):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, NO_LOGITS[kind](dense(name="head")(inputs)), name="net")
        with pytest.raises(ValueError, match=r"No logits can be found in 'net'.*Name a `layer`"):
            Tap(model)
        assert ends_squashed(model)

    @pytest.mark.slow
    def test_a_learned_layer_behind_a_softmax_makes_logits(self, x):
        inputs = keras.Input((4,))
        last = dense(2, name="last")
        model = keras.Model(inputs, last(dense(activation="softmax")(inputs)))
        np.testing.assert_allclose(activations(model, x), model.predict(x, verbose=0), atol=1e-6)

    def test_of_a_nested_model(self, x):
        inner = HEADS["softmax argument"]()
        outer = keras.Sequential([keras.Input((4,)), inner])
        np.testing.assert_allclose(activations(outer, x), activations(inner, x), atol=1e-6)

    def test_of_a_subclassed_model(self, x):
        model = Subclassed()
        model(x)
        hidden = np.tanh(affine(model.hidden, x))
        np.testing.assert_allclose(activations(model, x), affine(model.head, hidden), atol=1e-5)

    def test_a_softmax_within_a_custom_layer_is_seen(self, x):
        class Probabilities(LAYERS.Layer):
            def call(self, inputs):
                return tf.nn.softmax(inputs)

        inputs, head = keras.Input((4,)), dense(name="head")
        model = keras.Model(inputs, Probabilities()(head(inputs)))
        np.testing.assert_allclose(activations(model, x), affine(head, x), atol=1e-5)

    @pytest.mark.parametrize("last", all_but("op", of=["op", "dropout", "product"]))
    def test_of_a_subclassed_model_whatever_its_last_layer(self, last, x):
        class Scattered(keras.Model):
            def __init__(self):
                super().__init__(name="scattered")
                self.head = dense(name="head")
                self.drop = LAYERS.Dropout(0.5)

            def call(self, inputs):
                logits = self.head(self.drop(inputs))
                if last == "dropout":
                    return self.drop(keras.ops.softmax(logits))
                found = keras.ops.softmax(logits)
                return found * np.float32([1, 2, 3]) if last == "product" else found

        model = Scattered()
        model(x)
        if last == "product":
            with pytest.raises(ValueError, match=r"No logits can be found in 'scattered'.*Softmax"):
                activations(model, x)
        else:
            np.testing.assert_allclose(activations(model, x), affine(model.head, x), atol=1e-5)

    def test_a_layer_of_that_name_comes_first(self, x):
        inputs = keras.Input((4,))
        hidden = dense(5, name="logits")(inputs)
        model = keras.Model(inputs, dense(2, activation="softmax")(hidden))
        assert activations(model, x).shape == (7, 5)

    def test_a_named_layer_with_softmax_is_undone(self, x):
        model = HEADS["softmax argument"]()
        np.testing.assert_allclose(activations(model, x, "head"), activations(model, x), atol=1e-6)

    def test_several_outputs(self):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, [dense()(inputs), dense()(inputs)])
        with pytest.raises(ValueError, match="2 outputs; name the `layer`"):
            Tap(model)

    def test_no_layers(self):
        with pytest.raises(ValueError, match="no layers yet"):
            Tap(keras.Sequential())

    def test_not_a_model(self):
        with pytest.raises((ValueError, TypeError), match="function"):
            Tap(lambda x: x)


def backbone_and_head():
    backbone = keras.Sequential(
        [keras.Input((4,)), dense(6, activation="relu", name="a"), dense(5, name="b")],
        name="backbone",
    )
    return keras.Sequential(
        [keras.Input((4,)), backbone, dense(activation="softmax", name="head")], name="whole"
    )


class TestTraces:
    def test_a_second_call_makes_none(self, x):
        calls = []

        class Counted(LAYERS.Layer):
            def call(self, inputs):
                calls.append(1)
                return 2 * inputs

        inputs = keras.Input((4,))
        model = keras.Model(inputs, dense(activation="softmax")(Counted()(inputs)))
        first = activations(model, x)
        traced = len(calls)
        np.testing.assert_allclose(activations(model, x), first, atol=1e-6)
        assert len(calls) == traced

    def test_new_weights_are_seen(self, x):
        model = HEADS["softmax argument"]()
        activations(model, x)
        model.layers[0].kernel.assign(np.ones((4, 3)))
        np.testing.assert_allclose(activations(model, x), affine(model.layers[0], x), atol=1e-5)

    def test_another_activation_is_seen(self, x):
        model = keras.Sequential([keras.Input((4,)), dense(5, name="a"), dense(3, name="head")])
        hidden, head = model.layers
        activations(model, x, "head"), Saliency(model)
        saliency = Saliency(model)
        saliency(x, 0)
        hidden.activation = keras.activations.relu
        rectified = affine(hidden, x)
        expected = np.maximum(rectified, 0) @ numpy(head.kernel) + numpy(head.bias)
        np.testing.assert_allclose(activations(model, x, "head"), expected, atol=1e-5)
        slopes = ((rectified > 0) * numpy(head.kernel)[:, 0]) @ numpy(hidden.kernel).T
        np.testing.assert_allclose(saliency(x, 0).attributions, slopes, atol=1e-5)

    @pytest.mark.slow
    def test_another_gate_is_seen(self, x):
        series = np.repeat(x[:, None], 3, axis=1)
        models = [
            keras.Sequential(
                [keras.Input((3, 4)), keras.layers.GRU(2, recurrent_activation=gate), dense(3)]
            )
            for gate in ("sigmoid", "hard_sigmoid")
        ]
        models[1].set_weights(models[0].get_weights())
        before = activations(models[0], series)
        models[0].layers[0].cell.recurrent_activation = keras.activations.hard_sigmoid
        found = activations(models[0], series)
        np.testing.assert_allclose(found, activations(models[1], series), atol=1e-6)
        assert np.abs(found - before).max() > 1e-3

    @pytest.mark.slow
    def test_an_adapter_is_seen(self, x):
        model = keras.Sequential([keras.Input((4,)), dense(3, name="head")])
        saliency = Saliency(model)
        saliency(x, 0), activations(model, x)
        head = model.layers[0]
        head.enable_lora(2)
        head.lora_kernel_b.assign(np.ones((2, 3)))
        effective = numpy(head._kernel) + numpy(head.lora_kernel_a) @ np.ones((2, 3))
        effective = effective.astype(np.float32)
        np.testing.assert_allclose(
            activations(model, x), x @ effective + numpy(head.bias), atol=1e-5
        )
        np.testing.assert_allclose(
            saliency(x, 0).attributions, np.tile(effective[:, 0], (len(x), 1)), atol=1e-5
        )

    @pytest.mark.slow
    def test_a_layer_within_a_compiled_function_is_not_read(self, x):
        class Compiled(Subclassed):
            @tf.function
            def call(self, inputs):
                return super().call(inputs)

        model = Compiled()
        model(x)
        with pytest.raises(
            ValueError, match=r"not within a compiled function|runs within a compiled"
        ):
            activations(model, x)


class TestPaths:
    def test_layers_in_order_with_nested_ones(self):
        assert list(layer_paths(backbone_and_head())) == [
            "backbone",
            "backbone/a",
            "backbone/b",
            "head",
        ]

    def test_wrapped_layers(self):
        model = keras.Sequential(
            [keras.Input((3, 4)), LAYERS.TimeDistributed(dense(name="inner"), name="steps")]
        )
        assert list(layer_paths(model)) == ["steps", "steps/inner"]

    @pytest.mark.parametrize("path", ["backbone/a", "a"])
    def test_full_and_short(self, path, x):
        model = backbone_and_head()
        layer = model.layers[0].layers[0]
        assert find_layer(model, path) is layer
        expected = np.maximum(affine(layer, x), 0)
        np.testing.assert_allclose(activations(model, x, path), expected, atol=1e-5)

    def test_ambiguous(self):
        inputs = keras.Input((4,))
        parts = [
            keras.Sequential([keras.Input((4,)), dense(name="a")], name=name)
            for name in ("left", "right")
        ]
        model = keras.Model(inputs, LAYERS.Add()([part(inputs) for part in parts]), name="twins")
        with pytest.raises(ValueError, match=r"'a' is ambiguous in 'twins': 'left/a', 'right/a'"):
            find_layer(model, "a")
        assert find_layer(model, "left/a") is parts[0].layers[0]

    def test_misspelt(self):
        message = r"no layer 'backbne/a' in 'whole'.*Did you mean.*'backbone/a'.*'head'"
        with pytest.raises(ValueError, match=message):
            find_layer(backbone_and_head(), "backbne/a")

    def test_nothing_near(self):
        with pytest.raises(
            ValueError, match=r"no layer 'xyz' in 'whole'\. Its layers are 'backbone'"
        ):
            Tap(backbone_and_head(), "xyz")


class TestReading:
    def test_hidden_layer_of_a_subclassed_model(self, x):
        model = Subclassed()
        model(x)
        expected = np.tanh(affine(model.hidden, x))
        np.testing.assert_allclose(activations(model, x, "hidden"), expected, atol=1e-5)

    def test_spatial_activations_are_flattened(self):
        images = np.random.default_rng(1).normal(size=(5, 6, 6, 1)).astype(np.float32)
        conv = LAYERS.Conv2D(2, 3, name="conv")
        model = keras.Sequential([keras.Input((6, 6, 1)), conv, LAYERS.Flatten(), dense()])
        found = activations(model, images, "conv")
        assert found.shape == (5, 32)
        np.testing.assert_allclose(found, numpy(conv(images)).reshape(5, 32), atol=1e-5)

    def test_outputs_of_the_pass_come_too(self, x):
        model = backbone_and_head()
        outputs, found = Tap(model, "b").run(x)
        np.testing.assert_allclose(outputs, model(x), atol=1e-6)
        assert found.shape == (7, 5)

    def test_a_shared_layer(self, x):
        inputs = keras.Input((4,))
        shared = dense(4, name="shared")
        model = keras.Model(inputs, dense(name="head")(shared(shared(inputs))), name="twice")
        with pytest.raises(ValueError, match="'shared' ran 2 times in a pass through 'twice'"):
            activations(model, x, "shared")
        assert activations(model, x, "head").shape == (7, 3)

    def test_a_shared_model(self, x):
        inner = keras.Sequential([keras.Input((4,)), dense(4, name="a")], name="inner")
        inputs = keras.Input((4,))
        model = keras.Model(inputs, LAYERS.Add()([inner(inputs), inner(-inputs)]))
        with pytest.raises(ValueError, match="ran 2 times"):
            Tap(model, "inner/a").run(x)

    def test_a_layer_that_does_not_run(self, x):
        model = Subclassed()
        model.unused = dense(name="unused")
        with pytest.raises(ValueError, match="'unused' did not run"):
            Tap(model, "unused").run(x)

    def test_inference_mode(self, x):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                dense(16, name="a"),
                LAYERS.BatchNormalization(name="norm"),
                LAYERS.Dropout(0.5, name="drop"),
                dense(activation="softmax", name="head"),
            ]
        )
        model.layers[1].moving_mean.assign(np.linspace(-1, 1, 16))
        model.layers[1].moving_variance.assign(np.linspace(0.5, 2, 16))
        before = [numpy(w).copy() for w in model.weights]
        found = activations(model, x, "drop")
        normal = (affine(model.layers[0], x) - np.linspace(-1, 1, 16)) / np.sqrt(
            np.linspace(0.5, 2, 16) + 1e-3
        )
        np.testing.assert_allclose(found, normal, atol=1e-4)
        assert all(np.array_equal(b, w) for b, w in zip(before, model.weights, strict=True))
        # In training mode both would act.
        trained = numpy(Tap(model, "drop").run(x, training=True)[1])
        assert (trained == 0).any()

    @pytest.mark.slow
    def test_samples_do_not_mix(self, x):
        model = backbone_and_head()
        together = activations(model, x)
        for size in (1, 2, 5):
            np.testing.assert_allclose(activations(model, x, batch_size=size), together, atol=1e-6)
        alone = np.concatenate([activations(model, x[i : i + 1]) for i in range(7)])
        np.testing.assert_allclose(alone, together, atol=1e-6)

    @pytest.mark.parametrize("with_labels", by_default(True, of=[False, True]))
    def test_data_sets(self, with_labels, x):
        model = backbone_and_head()
        parts = (x, np.zeros(7)) if with_labels else x
        found = activations(model, tf.data.Dataset.from_tensor_slices(parts).batch(3), "b")
        np.testing.assert_allclose(found, activations(model, x, "b"), atol=1e-6)

    @pytest.mark.parametrize(
        "policy", by_default("mixed_float16", of=["mixed_float16", "mixed_bfloat16"])
    )
    def test_float32_under_mixed_precision(self, policy, x):
        keras.config.set_dtype_policy(policy)
        try:
            model = backbone_and_head()
            found = activations(model, x, "b")
            _, tapped = Tap(model).run(x)
        finally:
            keras.config.set_dtype_policy("float32")
        assert found.dtype == np.float32
        assert tapped.dtype == tf.float32
        expected = affine(
            model.layers[0].layers[1], np.maximum(affine(model.layers[0].layers[0], x), 0)
        )
        np.testing.assert_allclose(found, expected, atol=0.1)
        assert model.dtype_policy.name == policy

    @pytest.mark.parametrize("layer", ["logits", "a", "head"])
    @pytest.mark.parametrize("compiled", [False, True])
    @pytest.mark.slow
    def test_gradients_flow(self, layer, compiled, x):
        model = backbone_and_head()
        tap = Tap(model, layer)

        def gradient(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                _, features = tap.run(inputs)
                value = tf.reduce_sum(features**2)
            return tape.gradient(value, [inputs, model.layers[0].layers[0].kernel])

        run = tf.function(gradient) if compiled else gradient
        of_inputs, of_kernel = (numpy(g) for g in run(tf.constant(x)))
        step = 1e-3
        for cell in [(0, 0), (3, 2)]:
            ends = []
            for sign in (1, -1):
                moved = x.copy()
                moved[cell] += sign * step
                features = activations(model, moved, layer).astype(np.float64)
                ends.append(np.sum(features**2))
            expected = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(of_inputs[cell], expected, rtol=2e-2, atol=2e-2)
        assert abs(of_kernel).sum() > 0


def state(model):
    """All instance attributes of a model and its layers that a tap might touch."""
    parts = [model, *layer_paths(model).values()]
    return [
        (id(part), sorted(part.__dict__), part.call.__func__, getattr(part, "activation", None))
        for part in parts
    ]


class TestTheModelIsLeftUntouched:
    @pytest.mark.parametrize("layer", by_default("logits", of=["logits", "hidden", "head"]))
    def test_by_reading(self, layer, x):
        model = Subclassed()
        model(x)
        before = state(model)
        weights = [numpy(w).copy() for w in model.weights]
        activations(model, x, layer)
        Tap(model, layer).run(x)
        assert state(model) == before
        assert "call" not in model.hidden.__dict__
        assert model.head.activation is keras.activations.softmax
        assert all(np.array_equal(b, w) for b, w in zip(weights, model.weights, strict=True))

    @pytest.mark.parametrize(
        "head",
        by_default("softmax argument", of=[name for name in HEADS if name != "input by name"]),
    )
    def test_whatever_the_head(self, head, x):
        model = HEADS[head]()
        outputs = model.predict(x, verbose=0)
        before, config = state(model), model.get_config()
        activations(model, x)
        operation = model.outputs[0]._keras_history.operation
        assert "call" not in operation.__dict__
        assert state(model) == before
        assert model.get_config() == config
        assert np.array_equal(model.predict(x, verbose=0), outputs)

    @pytest.mark.parametrize("layer", by_default("logits", of=["logits", "hidden"]))
    def test_when_the_pass_raises(self, layer, x):
        model = Subclassed()
        model(x)
        before = state(model)
        model.fail = True
        with pytest.raises(RuntimeError, match="a pass that fails"):
            Tap(model, layer).run(x)
        model.fail = False
        assert state(model) == before
        assert activations(model, x, layer).shape[0] == 7

    @pytest.mark.slow
    def test_it_still_saves_and_loads(self, x, tmp_path):
        model = backbone_and_head()
        activations(model, x, "a")
        activations(model, x)
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again(x), model(x), atol=1e-6)
