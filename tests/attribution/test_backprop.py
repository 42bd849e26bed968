"""The methods with substituted backward rules: sums, closed forms, and the contract."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import by_default, slow
from toy_networks import (
    AXES,
    LAYERS,
    chain,
    flat_network,
    randomized,
    samples,
    spatial,
    subclassed_network,
)

from keras_pli.attribution import GradientTimesInput, Saliency
from keras_pli.attribution.backprop import Deconvnet, DeepLIFT, EpsilonLRP, GuidedBackprop

METHODS = (GuidedBackprop, Deconvnet, EpsilonLRP, DeepLIFT)
RECTIFYING, DECOMPOSING = METHODS[:2], METHODS[2:]


def methods(*kept, of=METHODS):
    """A test of all methods, of which those kept run by default."""
    return pytest.mark.parametrize(
        "method", by_default(*kept, of=of), ids=lambda method: method.__name__
    )


decomposing = methods(*DECOMPOSING, of=DECOMPOSING)
rectifying = methods(*RECTIFYING, of=RECTIFYING)


def without_biases(model):
    for weight in model.weights:
        if any(name in weight.path for name in ("bias", "beta", "moving_mean")):
            weight.assign(tf.zeros_like(weight))
    return model


def pooled_network(axes):
    convolution, pooling = spatial("Conv", axes), spatial("MaxPooling", axes)
    layers = [
        *(convolution(4, 3, padding="same", activation="relu"), pooling(2)),
        *(convolution(4, 2, padding="same", activation="relu"), pooling(2, 1)),
        *(LAYERS.Flatten(), LAYERS.Dense(5, "relu"), LAYERS.Dense(3)),
    ]
    return chain(*layers, axes=axes)


def gated_network():
    """Squeeze and excitation: maps times a gate for each channel."""
    inputs = keras.Input((9, 8, 2))
    maps = LAYERS.Conv2D(4, 3, activation="relu")(inputs)
    hidden = LAYERS.Dense(3, "relu")(LAYERS.GlobalAveragePooling2D()(maps))
    gates = LAYERS.Reshape((1, 1, 4))(LAYERS.Dense(4, "sigmoid")(hidden))
    outputs = LAYERS.Dense(3)(LAYERS.Flatten()(LAYERS.Multiply()([maps, gates])))
    return randomized(keras.Model(inputs, outputs, name="gated"))


def activated_network(activation):
    layer = LAYERS.Activation(activation) if isinstance(activation, str) else activation
    return chain(LAYERS.Conv2D(4, 3), layer, LAYERS.Flatten(), LAYERS.Dense(3))


def assert_complete(found, whole):
    """Attributions add up, to 1e-5 of what they should add up to."""
    sums = found.attributions.sum(axis=tuple(range(1, found.attributions.ndim)))
    np.testing.assert_allclose(sums, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    np.testing.assert_allclose(found.delta, sums - whole, atol=1e-5 * np.abs(whole).max())


def rise(model, x, baseline):
    """How much higher the largest logit is than for the baseline."""
    logits = np.asarray(model(x))
    differences = logits - np.asarray(model(baseline))
    return np.take_along_axis(differences, logits.argmax(axis=1)[:, None], axis=1)[:, 0]


def assert_near(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# Sums.


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_lrp_conserves_without_biases(axes):
    found = EpsilonLRP(without_biases(pooled_network(axes)), epsilon=1e-9)(samples(axes))
    assert_complete(found, found.scores)
    np.testing.assert_allclose(found.details["bias_share"], 0, atol=1e-5)


@pytest.mark.parametrize(
    "activation",
    [
        slow("tanh"),
        "gelu",
        *map(slow, ("leaky_relu", "silu", "elu", "selu")),
    ],
)
def test_lrp_conserves_through_functions_without_offset(activation):
    found = EpsilonLRP(without_biases(activated_network(activation)), epsilon=1e-9)(samples(2))
    assert_complete(found, found.scores)


def test_lrp_conserves_through_gates():
    found = EpsilonLRP(without_biases(gated_network()), epsilon=1e-9)(samples(2))
    assert_complete(found, found.scores)


def test_lrp_says_what_biases_took():
    found = EpsilonLRP(pooled_network(2))(samples(2))
    lost = found.scores - found.attributions.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found.delta, -lost, atol=1e-5)
    np.testing.assert_allclose(found.details["bias_share"], lost / found.scores, rtol=1e-3)
    assert np.abs(found.details["bias_share"]).max() > 0.01


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
def test_deep_lift_sums_to_the_difference(axes, given):
    model, x = pooled_network(axes), samples(axes)
    baselines = samples(axes, seed=7) if given else np.full_like(x, 0.3)
    own = None if given else 0.3
    method = DeepLIFT(model) if given else DeepLIFT(model, baseline=own)
    found = method(x, baseline=baselines if given else None)
    assert_complete(found, rise(model, x, baselines))


@pytest.mark.parametrize(
    "activation",
    [
        *(slow("silu"), "gelu", slow("tanh"), "softplus", slow("hard_silu"), slow("soft_shrink")),
        *(LAYERS.PReLU(), slow(LAYERS.ReLU(3.0)), slow(LAYERS.RMSNormalization())),
        *map(slow, ("mish", "sigmoid", "selu", "celu", "squareplus")),
        *(slow(LAYERS.ELU(0.5)), slow(LAYERS.ReLU(threshold=0.2))),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_deep_lift_sums_through(activation):
    model, x, start = activated_network(activation), samples(2), samples(2, count=1, seed=3)
    assert_complete(DeepLIFT(model, baseline=start[0])(x), rise(model, x, start))


@pytest.mark.parametrize(
    "build", [gated_network, slow(subclassed_network)], ids=["gated", "subclassed"]
)
def test_deep_lift_sums_in_other_models(build):
    model, x = build(), samples(2)
    found = DeepLIFT(model, baseline=0.5)(x)
    if build is gated_network:
        assert_complete(found, rise(model, x, np.full_like(x, 0.5)))
    np.testing.assert_allclose(found.delta, 0, atol=1e-5 * np.abs(found.scores).max())


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
@methods(EpsilonLRP, of=DECOMPOSING)
def test_without_biases_is_gradient_times_input(axes, method):
    model, x = without_biases(pooled_network(axes)), samples(axes)
    expected = GradientTimesInput(model)(x).attributions
    assert_near(method(model)(x).attributions, expected, 1e-4 if method is EpsilonLRP else 1e-5)


@methods(DeepLIFT, of=DECOMPOSING)
def test_holds_over_a_constant_background(method):
    x = np.zeros((2, 12, 12, 12, 1), np.float32)
    x[:, 4:8, 4:8, 4:8] = np.random.default_rng(0).uniform(0.2, 1, (2, 4, 4, 4, 1))
    layers = [keras.Input(x.shape[1:])]
    for _ in range(2):
        layers += [LAYERS.Conv3D(3, 3, activation="relu", padding="same"), LAYERS.MaxPooling3D(2)]
    model = randomized(keras.Sequential([*layers, LAYERS.Flatten(), LAYERS.Dense(3)]))
    if method is EpsilonLRP:
        without_biases(model)
    assert_complete(method(model)(x), rise(model, x, np.zeros_like(x)))


# Closed forms.


def function_of_two(function):
    """A model whose one logit is a function of the columns of `(batch, 2)`."""
    inputs = keras.Input((2,))
    return keras.Model(inputs, LAYERS.Lambda(function)(inputs))


def only(logits):
    return logits[:, 0]


@pytest.mark.parametrize(
    ("function", "x", "baseline", "expected"),
    [
        # Shrikumar et al. 2017, figure 1: saturated, so that the gradient is zero.
        (lambda x: 1 - keras.ops.relu(1 - x[:, :1] - x[:, 1:]), (1, 1), (0, 0), (0.5, 0.5)),
        # What rises and falls cancels out at the nonlinearity, whose slope is then its derivative.
        (lambda x: 3 * keras.ops.tanh(x[:, :1] - x[:, 1:]), (1, 1), (0, 0), (3, -3)),
        (lambda x: x[:, :1] * x[:, 1:], (3, 2), (1, 1), (3, 2)),
        (lambda x: keras.ops.square(x[:, :1]) + x[:, 1:] * x[:, 1:], (3, 2), (1, 1), (8, 3)),
        (lambda x: keras.ops.max(x, axis=1, keepdims=True), (3, 1), (0, 2), (1, 0)),
        (lambda x: keras.ops.max(x, axis=1, keepdims=True), (0, 1), (3, 2), (-2, 0)),
        (lambda x: keras.ops.max(x, axis=1, keepdims=True), (2, 5), (3, 1), (0, 2)),
        (lambda x: keras.ops.max(x, axis=1)[:, None], (4, 4), (1, 1), (1.5, 1.5)),
        (lambda x: keras.ops.where(x > 1, x, 0.5)[:, :1], (3, 0), (0, 0), (2.5, 0)),
        (lambda x: keras.ops.stop_gradient(x[:, :1]) - x[:, 1:], (3, 2), (1, 1), (2, -1)),
    ],
    ids=[
        "saturated",
        "cancelled",
        "product",
        "squares",
        "rise",
        "fall",
        "moved",
        "tied",
        "choice",
        "stopped",
    ],
)
def test_deep_lift_by_hand(function, x, baseline, expected):
    method = DeepLIFT(function_of_two(function), baseline=np.array(baseline), score="output")
    found = method(np.array([x], np.float32), only)
    np.testing.assert_allclose(found.attributions, [expected], atol=1e-6)


@pytest.mark.parametrize("axes", by_default(3, of=AXES))
@pytest.mark.parametrize(
    ("x", "baseline", "expected"),
    [((3, 1), (0, 2), (1, 0)), ((0, 1), (3, 2), (-2, 0)), ((2, 5), (3, 1), (0, 2))],
)
def test_deep_lift_through_pooling_by_hand(axes, x, baseline, expected):
    shape = (2, *(1,) * axes)
    pool = spatial("MaxPooling", axes)((2, *(1,) * (axes - 1)))
    model = keras.Sequential([keras.Input(shape), pool, LAYERS.Flatten()])
    method = DeepLIFT(model, baseline=np.reshape(baseline, shape))
    found = method(np.reshape(x, (1, *shape)).astype(np.float32), only)
    np.testing.assert_allclose(np.ravel(found.attributions), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda x: 2 * keras.ops.relu(x[:, :1] - 2 * x[:, 1:] + 1), (4, 1), (8, -4)),
        (lambda x: x[:, :1] * x[:, 1:], (3, 2), (3, 3)),
        (lambda x: keras.ops.max(x, axis=1, keepdims=True), (3, 5), (0, 5)),
    ],
    ids=["bias", "product", "maximum"],
)
def test_lrp_by_hand(function, x, expected):
    found = EpsilonLRP(function_of_two(function), score="output")(np.array([x], np.float32), only)
    np.testing.assert_allclose(found.attributions, [expected], rtol=1e-5)


def test_prelu_is_one_rectifier():
    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(6), LAYERS.PReLU(), LAYERS.Dense(2)])
    randomized(model)
    alpha = np.linspace(0.1, 0.6, 6)
    model.layers[1].alpha.assign(alpha)
    first, last = (model.layers[place].get_weights() for place in (0, 2))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    handed_on = np.maximum(last[0][:, 1], 0)
    slope = np.where(x @ first[0] + first[1] > 0, 1, alpha)
    expected = (slope * handed_on) @ first[0].T
    assert_near(GuidedBackprop(model)(x, 1).attributions, expected)
    assert_near(Deconvnet(model)(x[:1], 1).attributions[0], handed_on @ first[0].T)


# The contract.


def relu_forms():
    """The same network with its ReLU in every form, by name."""

    def network(after, argument=None):
        inputs = keras.Input((9, 8, 2))
        maps = LAYERS.Conv2D(4, 3, activation=argument)(inputs)
        outputs = LAYERS.Dense(3)(LAYERS.Flatten()(after(maps)))
        return randomized(keras.Model(inputs, outputs))

    inner = keras.Sequential([keras.Input((7, 6, 4)), LAYERS.ReLU()])
    return {
        "argument": network(lambda x: x, "relu"),
        "Activation": network(LAYERS.Activation("relu")),
        "ReLU": network(LAYERS.ReLU()),
        "nested": network(keras.Sequential([keras.Input((7, 6, 4)), inner])),
        "ops": network(keras.ops.relu),
        "maximum": network(lambda x: keras.ops.maximum(x, 0)),
        "reversed": network(LAYERS.Lambda(lambda x: tf.maximum(0.0, x))),
    }


@methods(GuidedBackprop)
def test_every_form_of_relu_is_met(method):
    x, forms = samples(2), relu_forms()
    found = {name: method(model)(x).attributions for name, model in forms.items()}
    plain = Saliency(forms["ReLU"])(x).attributions
    for name, attributions in found.items():
        assert_near(attributions, found["argument"], 1e-6), name
    assert np.abs(found["argument"] - plain).max() > 0.1 * np.abs(plain).max()


@pytest.mark.parametrize("axes", [2, slow(3)])
@methods(EpsilonLRP)
def test_compiled_or_not_and_in_any_batches(method, axes):
    model, x = flat_network(axes, normalized=True), samples(axes)
    plain, compiled = method(model), method(model, batch_size=3, jit_compile=True)
    expected = plain(x)
    traces = len(plain.runner._traces)
    tf.config.run_functions_eagerly(True)
    try:
        others = [plain(x), method(model, batch_size=1)(x), compiled(x)]
    finally:
        tf.config.run_functions_eagerly(False)
    for found in others:
        assert_near(found.attributions, expected.attributions)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert len(plain.runner._traces) == traces


@methods()
def test_a_subclassed_model_is_as_its_functional_twin(method):
    model, x = subclassed_network(2), samples(2)
    maps = [LAYERS.Conv2D(4, 3, padding="same"), LAYERS.ReLU(), LAYERS.Conv2D(5, 2, padding="same")]
    twin = chain(*maps, LAYERS.ReLU(), LAYERS.GlobalAveragePooling2D(), LAYERS.Dense(3))
    twin.set_weights(model.get_weights())
    assert_near(method(model)(x).attributions, method(twin)(x).attributions)


@decomposing
def test_several_inputs(method):
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((3, 2), name="b")}
    joined = LAYERS.Concatenate()([inputs["a"], LAYERS.Flatten()(inputs["b"])])
    model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Dense(5, "relu")(joined)))
    without_biases(randomized(model))
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(5, *shape)) for name, shape in (("a", (4,)), ("b", (3, 2)))}
    found = method(model)(x, 1)
    sums = found.attributions["a"].sum(1) + found.attributions["b"].sum((1, 2))
    np.testing.assert_allclose(sums, found.scores, atol=1e-4)
    assert {name: array.shape for name, array in found.attributions.items()} == {
        "a": (5, 4),
        "b": (5, 3, 2),
    }


def test_a_baseline_for_each_input():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Multiply()(inputs)))
    x = [np.full((2, 4), 3.0, np.float32), np.full((2, 4), 2.0, np.float32)]
    randomized(model)
    found = DeepLIFT(model, baseline=[1.0, np.ones(4)])(x, 0)
    kernel = model.layers[-1].get_weights()[0][:, 0]
    np.testing.assert_allclose(found.attributions[0], [3 * kernel] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.attributions[1], [2 * kernel] * 2, rtol=1e-5)


@methods(of=DECOMPOSING)
def test_a_callable_target_is_taken_apart_as_well(method):
    model, x = pooled_network(2), samples(2)
    contrast = method(model)(x, lambda logits: logits[:, 2] - logits[:, 0])
    parts = [method(model)(x, target).attributions for target in (2, 0)]
    assert_near(contrast.attributions, parts[0] - parts[1], 1e-4)


@methods()
def test_compiled_with_a_convolution_that_keras_compiles_apart(method):
    grouped = LAYERS.Conv2D(4, 3, groups=2, activation="relu")
    model, x = chain(grouped, LAYERS.Flatten(), LAYERS.Dense(3)), samples(2)
    found = [method(model, jit_compile=xla)(x).attributions for xla in (False, True)]
    assert_near(found[1], found[0])


def first_sizes(method, x, kind):
    operations = method.traced(x).graph.get_operations()
    return [each.outputs[0].shape[0] for each in operations if each.type == kind]


@pytest.mark.slow
def test_its_own_baseline_runs_once_for_all_samples():
    x = samples(2)
    layers = [LAYERS.Conv2D(4, 3), LAYERS.BatchNormalization(), LAYERS.Activation("silu")]
    more = [LAYERS.UpSampling2D(2), LAYERS.MaxPooling2D(2), LAYERS.Dense(3, "relu")]
    dilated = [LAYERS.Conv2D(4, 2, dilation_rate=2, activation="relu")]
    model = chain(*layers, *more, *dilated, LAYERS.Flatten(), LAYERS.Dense(3))
    # The third one finds where the baseline's maxima are, for the derivative.
    assert sorted(map(str, first_sizes(DeepLIFT(model), x, "MaxPool"))) == ["1", "None", "None"]


def test_a_network_that_folds_positions_into_samples():
    fold = LAYERS.Lambda(lambda x: keras.ops.reshape(x, (-1, 8, 2)))
    unfold = LAYERS.Lambda(lambda x: keras.ops.reshape(x, (-1, 9, 8, 2)))
    model, x = chain(fold, LAYERS.ReLU(), unfold, LAYERS.Flatten(), LAYERS.Dense(3)), samples(2)
    found = DeepLIFT(model, baseline=0.1)(x)
    assert_complete(found, rise(model, x, np.full_like(x, 0.1)))


@methods()
def test_within_a_loop_over_samples_from_outside(method):
    model, x = pooled_network(2), tf.constant(samples(2))
    explain = method(model).compute

    @tf.function(autograph=False)
    def looped(x):
        def body(index, total):
            return index + 1, total + explain(x, None).attributions

        return tf.while_loop(lambda index, _: index < 2, body, (0, tf.zeros_like(x)))[1]

    assert_near(looped(x) / 2, method(model)(x.numpy()).attributions)


@methods()
def test_half_precision(method):
    def network(dtype):
        layers = [LAYERS.Conv2D(4, 3, activation="relu", dtype=dtype)]
        layers += [LAYERS.BatchNormalization(dtype=dtype), LAYERS.MaxPooling2D(2, dtype=dtype)]
        return chain(*layers, LAYERS.Flatten(dtype=dtype), LAYERS.Dense(3, dtype=dtype))

    x = samples(2)
    found = method(network("mixed_float16"))(x).attributions
    assert found.dtype == np.float32
    assert_near(found, method(network("float32"))(x).attributions, 0.02)


@rectifying
@pytest.mark.slow
def test_rectifiers_before_a_loop(method):
    inputs = keras.Input((9, 8, 2))
    rows = LAYERS.Reshape((9, 16))(LAYERS.Activation("relu")(inputs))
    model = randomized(keras.Model(inputs, LAYERS.Dense(3)(LAYERS.SimpleRNN(4)(rows))))
    x = samples(2)
    gradient = Saliency(model)(np.abs(x) + 0.1).attributions
    found = method(model)(np.abs(x) + 0.1).attributions
    assert_near(found, np.maximum(gradient, 0))


# Bad input.


@rectifying
def test_a_network_without_rectifiers(method):
    model = chain(LAYERS.Conv2D(4, 3, activation="tanh"), LAYERS.Flatten(), LAYERS.Dense(3))
    with pytest.raises(ValueError, match=f"{method.__name__} needs a rectifier.*found: 'Tanh'"):
        method(model)(samples(2))
    linear = chain(LAYERS.Flatten(), LAYERS.Dense(3))
    with pytest.raises(ValueError, match="found: none"):
        method(linear)(samples(2))


@methods(Deconvnet, of=RECTIFYING)
def test_a_hidden_rectifier(method):
    hidden = LAYERS.Lambda(lambda x: tf.function(tf.nn.relu)(x))
    model = chain(hidden, LAYERS.Flatten(), LAYERS.Dense(5, "relu"), LAYERS.Dense(3))
    with pytest.raises(ValueError, match=r"cannot reach 'Relu' inside .*lambda"):
        method(model)(samples(2))


@decomposing
@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (LAYERS.Lambda(lambda x: keras.ops.prod(x, 3, keepdims=True), name="own"), "Prod"),
        (LAYERS.Lambda(lambda x: keras.ops.round(x), name="own"), "Round"),
        (LAYERS.Lambda(lambda x: x * tf.cast(tf.cast(x, "int32"), x.dtype), name="own"), "Cast"),
        (LAYERS.Lambda(lambda x: tf.gather([1.0, 2.0], tf.argmax(x, 3)), name="own"), "ArgMax"),
        (LAYERS.Lambda(lambda x: tf.function(tf.nn.relu)(x), name="own"), "PartitionedCall"),
        slow(LAYERS.TimeDistributed(LAYERS.SimpleRNN(2), name="own"), "TensorList"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_operation_without_a_rule(method, layer, kind):
    model = chain(LAYERS.Conv2D(4, (2, 1)), layer, LAYERS.Flatten(), LAYERS.Dense(3))
    with pytest.raises(ValueError, match=f"{method.__name__} has no rule.*{kind}.*{layer.name}"):
        method(model)(samples(2))


@pytest.mark.parametrize("epsilon", [0, -1e-6, np.nan, np.inf, "small", True])
def test_epsilon(epsilon):
    with pytest.raises(ValueError, match="`epsilon` must be a number above 0"):
        EpsilonLRP(pooled_network(1), epsilon=epsilon)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [(np.zeros((3, 2)), "`baseline` must be"), (np.nan, "`baseline` must be finite")],
)
def test_baselines(baseline, message):
    with pytest.raises(ValueError, match=message):
        DeepLIFT(pooled_network(2), baseline=baseline)(samples(2))
    with pytest.raises(ValueError, match=message):
        DeepLIFT(pooled_network(2))(samples(2), baseline=baseline)


def test_only_deep_lift_takes_a_baseline():
    for method, given in itertools.product(METHODS[:3], (0.0, samples(2))):
        with pytest.raises(TypeError, match=f"{method.__name__} has no baseline"):
            method(pooled_network(2))(samples(2), baseline=given)
