"""What is explained: the logits of every kind of head, outputs, inner layers; against derivatives by hand."""

import keras
import numpy as np
import pytest
from slow_cases import all_but, by_default
from toy_networks import LAYERS, chain, randomized, samples, weights_of

from keras_pli.attribution import GradientTimesInput, Saliency

OPS = keras.ops
CLASSES = 3


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def perceptron(head, units=CLASSES, seed=0):
    """A tanh layer, a linear layer named "scores", and what comes after."""
    inputs = keras.Input((4,))
    hidden = LAYERS.Dense(5, "tanh", name="hidden")(inputs)
    scores = LAYERS.Dense(units, name="scores")(hidden)
    return randomized(keras.Model(inputs, head(scores), name="net"), seed)


def logits_of(model, x):
    kernel, bias = weights_of(model, "hidden")
    upper, upper_bias = weights_of(model, "scores")
    return np.tanh(x @ kernel + bias) @ upper + upper_bias


def gradient_of(model, x, target):
    """∂(logit of the target)/∂x, by the chain rule."""
    kernel, bias = weights_of(model, "hidden")
    upper, _ = weights_of(model, "scores")
    slopes = 1 - np.tanh(x @ kernel + bias) ** 2
    return (slopes * upper[:, target]) @ kernel.T


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


HEADS = {
    "linear": lambda z: z,
    "linear activation": LAYERS.Activation("linear"),
    "softmax layer": LAYERS.Softmax(),
    "activation layer": LAYERS.Activation("softmax"),
    "keras.ops.softmax": OPS.softmax,
    "keras.activations.softmax": keras.activations.softmax,
    "log_softmax": OPS.log_softmax,
    "sigmoid layer": LAYERS.Activation("sigmoid"),
    "keras.ops.sigmoid": OPS.sigmoid,
    "reshaped": lambda z: LAYERS.Reshape((CLASSES,))(LAYERS.Reshape((1, CLASSES))(OPS.softmax(z))),
    "softmax of a reshaped tensor": lambda z: LAYERS.Flatten()(
        LAYERS.Softmax()(LAYERS.Reshape((1, CLASSES))(z))
    ),
    "dropout after softmax": lambda z: LAYERS.Dropout(0.5)(LAYERS.Softmax()(z)),
    "cast": lambda z: OPS.cast(OPS.softmax(z), "float16"),
    "within a nested model": lambda z: keras.Sequential(
        [keras.Input((CLASSES,)), LAYERS.Softmax()]
    )(z),
}


# Squashed as by another of the heads.
ALIKE = (
    "linear activation",
    "activation layer",
    "keras.activations.softmax",
    "keras.ops.sigmoid",
    "reshaped",
)


class TestLogits:
    @pytest.mark.parametrize("head", all_but(*ALIKE, of=HEADS))
    def test_are_explained_whatever_squashes_them(self, head, x):
        model = perceptron(HEADS[head])
        found = Saliency(model)(x, target=1)
        np.testing.assert_allclose(found.attributions, gradient_of(model, x, 1), atol=1e-5)
        np.testing.assert_allclose(found.scores, logits_of(model, x)[:, 1], atol=1e-5)

    @pytest.mark.parametrize("squash", ["softmax", "sigmoid", "log_softmax", None])
    def test_are_explained_where_the_squashing_is_an_argument(self, squash, x):
        layers = [
            keras.Input((4,)),
            LAYERS.Dense(5, "tanh", name="hidden"),
            LAYERS.Dense(CLASSES, squash, name="scores"),
        ]
        model = randomized(keras.Sequential(layers))
        found = Saliency(model)(x, target=2)
        np.testing.assert_allclose(found.attributions, gradient_of(model, x, 2), atol=1e-5)

    @pytest.mark.parametrize(
        "policy", by_default("mixed_float16", of=["mixed_float16", "mixed_bfloat16"])
    )
    @pytest.mark.parametrize("last", ["float32", None])
    def test_of_a_mixed_precision_model(self, policy, last, x):
        keras.config.set_dtype_policy(policy)
        try:
            model = perceptron(LAYERS.Activation("softmax", dtype=last))
        finally:
            keras.config.set_dtype_policy("float32")
        found = Saliency(model)(x, target=1)
        assert found.attributions.dtype == found.scores.dtype == np.float32
        expected = gradient_of(model, x, 1)
        np.testing.assert_allclose(found.attributions, expected, atol=0.03 * abs(expected).max())

    def test_of_a_subclassed_model(self, x):
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.hidden = LAYERS.Dense(5, "tanh", name="hidden")
                self.scores = LAYERS.Dense(CLASSES, name="scores")

            def call(self, inputs):
                return OPS.softmax(self.scores(self.hidden(inputs)))

        model = Net()
        model(x)
        randomized(model)
        found = Saliency(model)(x, target=1).attributions
        np.testing.assert_allclose(found, gradient_of(model, x, 1), atol=1e-5)

    def test_a_temperature_belongs_to_them(self, x):
        model = perceptron(lambda z: OPS.softmax(z / 2.0))
        found = Saliency(model)(x, target=1).attributions
        np.testing.assert_allclose(found, gradient_of(model, x, 1) / 2, atol=1e-5)

    def test_one_sigmoid_unit_speaks_for_two_classes(self, x):
        model = perceptron(OPS.sigmoid, units=1)
        saliency, gradient, logits = Saliency(model), gradient_of(model, x, 0), logits_of(model, x)
        np.testing.assert_allclose(saliency(x, 1).attributions, gradient, atol=1e-5)
        np.testing.assert_allclose(saliency(x, 0).attributions, -gradient, atol=1e-5)
        np.testing.assert_allclose(saliency(x, 0).scores, -logits[:, 0], atol=1e-5)
        predicted = np.where(logits > 0, 1, -1)
        assert len(np.unique(predicted)) == 2
        np.testing.assert_allclose(saliency(x).attributions, predicted * gradient, atol=1e-5)
        with pytest.raises(ValueError, match="2 classes here"):
            saliency(x, 2)

    def test_one_linear_unit_is_one_score(self, x):
        model = perceptron(lambda z: z, units=1)
        found = Saliency(model)(x)
        np.testing.assert_allclose(found.attributions, gradient_of(model, x, 0), atol=1e-5)
        with pytest.raises(ValueError, match="1 classes here"):
            Saliency(model)(x, 1)

    def test_an_output_without_a_class_axis(self, x):
        model = perceptron(lambda z: OPS.sigmoid(z)[:, 0] + 0.0, units=1)
        with pytest.raises(ValueError, match="made by AddV2 from what Sigmoid gave"):
            Saliency(model)(x)
        model = perceptron(lambda z: OPS.squeeze(OPS.sigmoid(z), axis=-1), units=1)
        found = Saliency(model)(x, target=1)
        np.testing.assert_allclose(found.attributions, gradient_of(model, x, 0), atol=1e-5)

    def test_of_every_position_are_summed(self):
        model = chain(LAYERS.Conv2D(3, 2, activation="softmax", name="conv"))
        pixels = samples(2)
        kernel, bias = weights_of(model, "conv")
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (2, 2), axis=(1, 2))
        logits = np.einsum("bhwcij,ijck->bhwk", windows, kernel) + bias
        found = Saliency(model)(pixels, target=2)
        np.testing.assert_allclose(found.scores, logits[..., 2].sum(axis=(1, 2)), rtol=1e-4)


UNKNOWN = {
    "Tanh": OPS.tanh,
    "Relu": OPS.relu,
    "Softplus": OPS.softplus,
    "AddV2 from what Tanh": lambda z: 0.5 * OPS.tanh(z) + 0.5,
    "RealDiv from what Exp": lambda z: OPS.exp(z) / OPS.sum(OPS.exp(z), axis=-1, keepdims=True),
    "RealDiv from what Softmax": lambda z: LAYERS.Average()([OPS.softmax(z), OPS.softmax(2 * z)]),
    "Mul from what Sigmoid": lambda z: OPS.sigmoid(z) * 0.5,
    "Sub from what Softmax": lambda z: 1.0 - OPS.softmax(z),
    "ReverseV2 from what Softmax": lambda z: OPS.flip(OPS.softmax(z), axis=-1),
    "(Mul|RealDiv) from what Relu6": OPS.hard_sigmoid,
    "Maximum from what Softmax": lambda z: OPS.clip(OPS.softmax(z), 1e-7, 1.0),
}


FEW = ("Tanh", "RealDiv from what Exp", "Mul from what Sigmoid", "Maximum from what Softmax")


class TestNoLogits:
    @pytest.mark.parametrize("kind", by_default(*FEW, of=UNKNOWN))
    def test_is_said_and_the_output_can_be_explained(self, kind, x):
        model = perceptron(UNKNOWN[kind])
        with pytest.raises(ValueError, match=f"No logits can be found.*'net'.*{kind}"):
            Saliency(model)(x)
        assert np.isfinite(Saliency(model, score="output")(x).attributions).all()

    def test_a_gate_within_the_features_is_no_head(self, x):
        def gated(z):
            return LAYERS.Multiply()([z, OPS.sigmoid(LAYERS.Dense(CLASSES)(z))])

        model = perceptron(lambda z: LAYERS.Dense(2, name="top")(gated(z)))
        assert Saliency(model)(x, 1).attributions.shape == x.shape
        assert Saliency(perceptron(gated))(x, 1).attributions.shape == x.shape


def central_differences(function, x, step=1e-6):
    """∂function/∂x of every sample in float64; `function` maps `(samples, 4)` to `(samples,)`."""
    moves = step * np.eye(x.shape[1])
    return np.stack([(function(x + move) - function(x - move)) / (2 * step) for move in moves], 1)


class TestTheOutputItself:
    @pytest.mark.parametrize("head, squash", [(OPS.softmax, softmax), (OPS.sigmoid, sigmoid)])
    def test_gives_the_gradient_of_the_probability(self, head, squash, x):
        model = perceptron(head)
        found = Saliency(model, score="output")(x, target=1)
        expected = central_differences(
            lambda at: squash(logits_of(model, at))[:, 1], x.astype(np.float64)
        )
        np.testing.assert_allclose(found.attributions, expected, atol=1e-6)
        np.testing.assert_allclose(found.scores, squash(logits_of(model, x))[:, 1], atol=1e-6)

    def test_of_one_sigmoid_unit_has_two_probabilities(self, x):
        model = perceptron(OPS.sigmoid, units=1)
        yes, no = (Saliency(model, score="output")(x, target) for target in (1, 0))
        np.testing.assert_allclose(yes.scores, sigmoid(logits_of(model, x))[:, 0], atol=1e-6)
        np.testing.assert_allclose(no.scores, 1 - yes.scores, atol=1e-6)
        np.testing.assert_allclose(no.attributions, -yes.attributions, atol=1e-7)

    def test_of_a_sigmoid_at_every_position_counts_them(self):
        model, pixels = chain(LAYERS.Conv2D(1, 3, activation="sigmoid")), samples(2)
        yes, no = (Saliency(model, score="output")(pixels, target).scores for target in (1, 0))
        np.testing.assert_allclose(yes, model.predict(pixels, verbose=0).sum((1, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(yes + no, 7 * 6, rtol=1e-5)


class TestOutputs:
    def several(self, as_dict=False):
        inputs = keras.Input((4,))
        hidden = LAYERS.Dense(5, "tanh", name="hidden")(inputs)
        organ = LAYERS.Dense(3, "softmax", name="organ")(hidden)
        finding = LAYERS.Dense(2, "sigmoid", name="finding")(hidden)
        outputs = {"organ": organ, "finding": finding} if as_dict else [organ, finding]
        return randomized(keras.Model(inputs, outputs, name="net"))

    def expected(self, model, name, x, target):
        kernel, bias = weights_of(model, "hidden")
        upper, _ = weights_of(model, name)
        return ((1 - np.tanh(x @ kernel + bias) ** 2) * upper[:, target]) @ kernel.T

    @pytest.mark.parametrize("name, position", [("organ", 0), ("finding", 1)])
    def test_are_chosen_by_name_or_position(self, name, position, x):
        model = self.several()
        expected = self.expected(model, name, x, 1)
        for output in (name, position):
            found = Saliency(model, output=output)(x, target=1).attributions
            np.testing.assert_allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize("name, position", [("organ", 0), ("finding", 1)])
    def test_of_a_dict_are_chosen_by_key_or_position(self, name, position, x):
        model = self.several(as_dict=True)
        expected = self.expected(model, name, x, 1)
        for output in (name, position):
            found = Saliency(model, output=output)(x, target=1).attributions
            np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_must_be_named_where_there_are_several(self, x):
        with pytest.raises(ValueError, match=r"2 outputs; say by `output`.*'organ', 'finding'"):
            Saliency(self.several())(x)

    def test_that_do_not_exist_are_rejected(self, x):
        with pytest.raises(ValueError, match=r"one of 'organ', 'finding'.*'organs'.*mean 'organ'"):
            Saliency(self.several(), output="organs")(x)
        with pytest.raises(ValueError, match=r"`output` must be one of 0, 1. Received: 2"):
            Saliency(self.several(), output=2)(x)
        for wrong in (True, 1.0, ["organ"]):
            with pytest.raises(TypeError, match="`output` must be a position or a name"):
                Saliency(self.several(), output=wrong)


class TestInnerLayers:
    def test_units_of_a_layer_are_explained(self, x):
        model = perceptron(OPS.softmax)
        kernel, bias = weights_of(model, "hidden")
        slopes = 1 - np.tanh(x @ kernel + bias) ** 2
        found = Saliency(model, layer="hidden")(x, target=3)
        np.testing.assert_allclose(found.attributions, slopes[:, [3]] * kernel[:, 3], atol=1e-5)
        np.testing.assert_allclose(found.scores, np.tanh(x @ kernel + bias)[:, 3], atol=1e-5)
        with pytest.raises(ValueError, match="5 classes here"):
            Saliency(model, layer="hidden")(x, target=5)

    def test_a_channel_is_summed_over_its_positions(self):
        model, pixels = chain(LAYERS.Conv2D(3, 2, name="conv"), LAYERS.Flatten()), samples(2)
        found = Saliency(model, layer="conv")(pixels, target=1)
        kernel, bias = weights_of(model, "conv")
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (2, 2), axis=(1, 2))
        maps = np.einsum("bhwcij,ijc->bhw", windows, kernel[..., 1]) + bias[1]
        np.testing.assert_allclose(found.scores, maps.sum(axis=(1, 2)), rtol=1e-4)
        middle = np.broadcast_to(kernel[..., 1].sum(axis=(0, 1)), (5, 7, 6, 2))
        np.testing.assert_allclose(found.attributions[:, 1:-1, 1:-1], middle, atol=1e-5)

    def test_a_layer_that_squashes_is_undone(self, x):
        model = perceptron(LAYERS.Softmax(name="squash"))
        found = Saliency(model, layer="squash")(x, target=1).attributions
        np.testing.assert_allclose(found, gradient_of(model, x, 1), atol=1e-5)

    def test_nested_layers_are_met_by_path(self, x):
        inner = keras.Sequential(
            [keras.Input((4,)), LAYERS.Dense(5, "tanh", name="hidden")], name="inner"
        )
        inputs = keras.Input((4,))
        model = keras.Model(inputs, LAYERS.Dense(CLASSES, "softmax", name="scores")(inner(inputs)))
        randomized(model)
        kernel, bias = weights_of(model, "inner/hidden")
        expected = (1 - np.tanh(x @ kernel + bias) ** 2)[:, [2]] * kernel[:, 2]
        for path in ("inner/hidden", "hidden", "inner"):
            found = Saliency(model, layer=path)(x, target=2).attributions
            np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_each_run_of_a_shared_layer_is_met(self, x):
        inputs = keras.Input((4,))
        shared = LAYERS.Dense(4, "tanh", name="shared")
        model = keras.Model(inputs, LAYERS.Dense(CLASSES)(shared(shared(inputs))), name="net")
        randomized(model)
        kernel, bias = weights_of(model, "shared")
        first = np.tanh(x @ kernel + bias)
        second = np.tanh(first @ kernel + bias)
        slopes = (1 - first**2)[:, None, :] * kernel[None]  # ∂(first)/∂x
        once = slopes[..., 1]
        twice = slopes @ kernel[:, 1] * (1 - second[:, [1]] ** 2)
        for run, expected in enumerate((once, twice)):
            found = Saliency(model, layer=f"shared@{run}")(x, target=1).attributions
            np.testing.assert_allclose(found, expected, atol=1e-5)
        with pytest.raises(ValueError, match=r"runs 2 times in 'net'.*'shared@0', 'shared@1'"):
            Saliency(model, layer="shared")(x)
        with pytest.raises(ValueError, match=r"'shared@2' does not run.*it runs 2 times"):
            Saliency(model, layer="shared@2")(x)

    def test_layers_that_do_not_exist_or_run_are_rejected(self, x):
        with pytest.raises(ValueError, match=r"no layer 'hiden' in 'net'. Did you mean 'hidden'"):
            Saliency(perceptron(OPS.softmax), layer="hiden")
        with pytest.raises(TypeError, match=r"`layer` must be a layer.*its path.*Received: 1"):
            Saliency(perceptron(OPS.softmax), layer=1)

        class Idle(keras.Model):
            def __init__(self):
                super().__init__(name="idle")
                self.used = LAYERS.Dense(3, name="used")
                self.unused = LAYERS.Dense(3, name="unused")

            def build(self, shape):
                self.used.build(shape)
                self.unused.build(shape)
                super().build(shape)

            def call(self, inputs):
                return self.used(inputs)

        model = Idle()
        model(x)
        with pytest.raises(ValueError, match="'unused' does not run in a pass through 'idle'"):
            Saliency(model, layer="unused")(x)


class TestSeveralInputs:
    def joined(self, **names):
        left, right = (keras.Input((size,), name=name) for name, size in names.items())
        both = LAYERS.Concatenate()([left, right])
        return left, right, LAYERS.Dense(CLASSES, "softmax", name="scores")(both)

    @pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
    def test_are_explained_in_their_structure(self, kind, x):
        left, right, outputs = self.joined(left=4, right=2)
        given = {"dict": {"left": left, "right": right}, "list": [left, right]}
        model = randomized(keras.Model(given.get(kind, (left, right)), outputs))
        arrays = {"left": x, "right": x[:, :2] + 1}
        values = arrays if kind == "dict" else (list if kind == "list" else tuple)(arrays.values())
        found = GradientTimesInput(model, batch_size=4)(values, target=1)
        assert isinstance(found.attributions, type(values))
        parts = found.attributions.values() if kind == "dict" else found.attributions
        kernel, bias = weights_of(model, "scores")
        expected = np.split(kernel[:, 1] * np.concatenate([*arrays.values()], axis=1), [4], axis=1)
        for part, wanted in zip(parts, expected, strict=True):
            np.testing.assert_allclose(part, wanted, atol=1e-5)
        total = sum(part.sum(axis=1) for part in parts)
        np.testing.assert_allclose(total + bias[1], found.scores, atol=1e-5)

    def test_one_without_influence_gets_zeros(self, x):
        used, unused = keras.Input((4,)), keras.Input((2,))
        outputs = LAYERS.Dense(CLASSES)(used) + 0 * OPS.sum(unused, axis=1, keepdims=True)
        model = keras.Model([used, unused], outputs)
        assert not Saliency(model)([x, x[:, :2]], 1).attributions[1].any()

    def test_of_the_wrong_number_or_length_are_rejected(self, x):
        left, right, outputs = self.joined(left=4, right=2)
        saliency = Saliency(keras.Model([left, right], outputs, name="net"))
        with pytest.raises(ValueError, match=r"'net' has 2 inputs. Received: 3"):
            saliency([x, x[:, :2], x])
        with pytest.raises(ValueError, match=r"same number of samples. Received: 6, 5"):
            saliency([x, x[:5, :2]])
        with pytest.raises(ValueError, match=r"'net' takes inputs of shape \(None, 2\).*\(6, 3\)"):
            saliency([x, x[:, :3]])
        with pytest.raises(ValueError, match=r"`x\[1\]` must be finite.*rows 3"):
            saliency([x, np.where(np.arange(6)[:, None] == 3, np.nan, x[:, :2])])
