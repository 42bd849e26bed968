from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import zoom
from slow_cases import by_default
from toy_networks import (
    AXES,
    LAYERS,
    SHAPES,
    chain,
    flat_network,
    gap_network,
    nested_network,
    randomized,
    samples,
    spatial,
    stem,
    subclassed_network,
    weights_of,
)

from keras_pli.attribution.backprop import GuidedBackprop
from keras_pli.attribution.cam import CAM, GradCAM, GuidedGradCAM

METHODS = [CAM, GradCAM, GuidedGradCAM]
# Guided Grad-CAM holds Grad-CAM.
SIGNED = {"cam": CAM, "guided_grad_cam": partial(GuidedGradCAM, relu=False)}
NETWORKS = {
    "sequential": gap_network,
    "nested": nested_network,
    "subclassed": subclassed_network,
}


def maps_of(model, name, x):
    """What a layer of a Sequential puts out, by a model that ends there."""
    for layer in model.layers:
        x = layer(x)
        if layer.name == name:
            return np.asarray(x, np.float64)
    raise AssertionError(name)


def zoomed(maps, shape):
    factors = np.divide(shape, maps.shape[1:])
    return np.stack([zoom(one, factors, order=1, grid_mode=True, mode="nearest") for one in maps])


def grad_cam_of_flat(model, x, target):
    """Grad-CAM of the layer before `Flatten`, from the weights of the dense layers above."""
    maps = maps_of(model, "last", x)
    hidden, bias = weights_of(model, "hidden")
    classes, _ = weights_of(model, "head")
    found = []
    for one in maps:
        slope = 1 - np.tanh(one.ravel() @ hidden + bias) ** 2
        gradient = (hidden @ (slope * classes[:, target])).reshape(one.shape)
        weights = gradient.mean(axis=tuple(range(one.ndim - 1)))
        found.append(one @ weights)
    return np.stack(found)


class TestGradCAM:
    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_equals_its_formula_on_dense_layers(self, axes):
        model, x = flat_network(axes), samples(axes)
        expected = np.maximum(grad_cam_of_flat(model, x, 1), 0)
        found = GradCAM(model)(x, target=1)
        assert expected.max() > 0.01 and (expected == 0).any()
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)
        resized = zoomed(expected, SHAPES[axes][:-1])
        np.testing.assert_allclose(found.attributions, resized, atol=1e-5)

    @pytest.mark.parametrize("axes", by_default(3, of=AXES))
    def test_is_the_class_activation_map_over_the_positions_where_pooling_is_global(self, axes):
        model, x = gap_network(axes), samples(axes)
        by_weights, by_gradient = CAM(model)(x, target=2), GradCAM(model)(x, target=2)
        positions = np.prod(by_weights.details["map"].shape[1:])
        expected = np.maximum(by_weights.details["map"], 0) / positions
        np.testing.assert_allclose(by_gradient.details["map"], expected, atol=1e-6)

    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_counterfactual_turns_the_sign_before_the_relu(self, axes):
        model, x = flat_network(axes), samples(axes)
        signed = GradCAM(model, relu=False)(x, target=0).details["map"]
        assert (signed < -0.01).any() and (signed > 0.01).any()
        against = GradCAM(model, counterfactual=True)(x, target=0).details["map"]
        np.testing.assert_allclose(against, np.maximum(-signed, 0), atol=1e-6)
        both = GradCAM(model, counterfactual=True, relu=False)(x, target=0).details["map"]
        np.testing.assert_allclose(both, -signed, atol=1e-6)

    def test_counterfactual_of_a_sigmoid_unit_is_the_other_class(self):
        inputs = [keras.Input(SHAPES[2]), *stem(2), LAYERS.Flatten(), LAYERS.Dense(1, "sigmoid")]
        model, x = randomized(keras.Sequential(inputs)), samples(2)
        found = GradCAM(model, counterfactual=True)(x, target=1)
        other = GradCAM(model)(x, target=0)
        np.testing.assert_allclose(found.attributions, other.attributions, atol=1e-6)
        np.testing.assert_allclose(found.scores, -other.scores, atol=1e-6)

    def test_is_never_negative_and_not_normalised(self):
        x = samples(2)
        found = GradCAM(gap_network(2))(x).attributions
        assert found.min() >= 0
        assert len(np.unique(found.reshape(len(x), -1).max(axis=1).round(4))) == len(x)

    @pytest.mark.slow
    def test_targets(self):
        model, x = gap_network(2), samples(2)
        grad_cam = GradCAM(model)
        by_class = np.stack([grad_cam(x, target).attributions for target in range(3)])
        predicted = model.predict(x, verbose=0).argmax(axis=1)
        each = np.arange(len(x))
        found = grad_cam(x).attributions
        np.testing.assert_allclose(found, by_class[predicted, each], atol=1e-6)
        mixed = np.array([0, 1, 2, 1, 0])
        found = grad_cam(x, mixed).attributions
        np.testing.assert_allclose(found, by_class[mixed, each], atol=1e-6)
        called = grad_cam(x, lambda logits: 2 * logits[:, 1]).attributions
        np.testing.assert_allclose(called, 2 * by_class[1], atol=1e-6)

    @pytest.mark.parametrize("squash", ["softmax", "sigmoid", None])
    @pytest.mark.slow
    def test_heads_are_undone(self, squash):
        x = samples(2)
        expected = GradCAM(flat_network(2, squash=None))(x, target=1)
        found = GradCAM(flat_network(2, squash=squash))(x, target=1)
        np.testing.assert_allclose(found.attributions, expected.attributions, atol=1e-6)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)

    def test_only_what_is_above_the_maps_is_differentiated(self):
        grad_cam, x = GradCAM(flat_network(2)), samples(2)
        types = {operation.type for operation in grad_cam.traced(x).graph.get_operations()}
        assert not any(kind.startswith(("Conv2DBackprop", "MaxPoolGrad")) for kind in types)
        early = GradCAM(flat_network(2), layer="first")
        types = {operation.type for operation in early.traced(x).graph.get_operations()}
        assert {"MaxPoolGrad", "Conv2DBackpropInput"} <= types


HEADS = {
    "keras.ops.mean": lambda h: LAYERS.Dense(3)(keras.ops.mean(h, axis=(1, 2))),
    "keepdims and 1x1 convolution": lambda h: LAYERS.Reshape((3,))(
        LAYERS.Conv2D(3, 1)(LAYERS.GlobalAveragePooling2D(keepdims=True)(h))
    ),
    "average over a window as large as the map": lambda h: LAYERS.Dense(3)(
        LAYERS.Flatten()(LAYERS.AveragePooling2D(h.shape[1:3])(h))
    ),
    "dropout and normalisation": lambda h: LAYERS.Dense(3)(
        LAYERS.BatchNormalization()(LAYERS.Dropout(0.5)(LAYERS.GlobalAveragePooling2D()(h)))
    ),
    "two linear layers": lambda h: LAYERS.Dense(3, "softmax")(
        LAYERS.Dense(4)(LAYERS.GlobalAveragePooling2D()(h))
    ),
    "no dense layer": lambda h: LAYERS.Softmax()(LAYERS.GlobalAveragePooling2D()(h)),
    "sigmoid unit": lambda h: LAYERS.Dense(1, "sigmoid")(LAYERS.GlobalAveragePooling2D()(h)),
}
COMMON_HEADS = ("keepdims and 1x1 convolution", "two linear layers", "sigmoid unit")
REFUSED = {
    "Reshape": lambda h: LAYERS.Dense(3)(LAYERS.Flatten()(h)),
    "Relu": lambda h: LAYERS.Dense(3)(LAYERS.Dense(4, "relu")(LAYERS.GlobalAveragePooling2D()(h))),
    "Max": lambda h: LAYERS.Dense(3)(LAYERS.GlobalMaxPooling2D()(h)),
    "AvgPool": lambda h: LAYERS.Dense(3)(LAYERS.Flatten()(LAYERS.AveragePooling2D(6)(h))),
    "Mul": lambda h: LAYERS.Dense(3)(
        LAYERS.Multiply()(
            [
                LAYERS.GlobalAveragePooling2D()(h),
                LAYERS.Dense(5, "linear")(LAYERS.GlobalAveragePooling2D()(h)),
            ]
        )
    ),
    "Mean": lambda h: LAYERS.Dense(3)(LAYERS.Flatten()(keras.ops.mean(h, axis=1))),
}


class TestCAM:
    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_sums_the_maps_by_the_weights_of_the_class(self, axes):
        model, x = gap_network(axes, normalized=True), samples(axes)
        kernel, bias = weights_of(model, "head")
        expected = maps_of(model, "last", x) @ kernel[:, 1]
        found = CAM(model)(x, target=1)
        assert expected.min() < -0.01
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)
        np.testing.assert_allclose(
            found.attributions, zoomed(expected, SHAPES[axes][:-1]), atol=1e-5
        )
        average = found.details["map"].mean(axis=tuple(range(1, axes + 1)))
        np.testing.assert_allclose(average + bias[1], found.scores, atol=1e-5)
        assert found.delta is None

    @pytest.mark.parametrize("head", by_default(*COMMON_HEADS, of=HEADS))
    def test_averages_to_the_score_for_every_linear_head(self, head):
        inputs = keras.Input(SHAPES[2])
        maps = LAYERS.Conv2D(5, 3, activation="relu")(inputs)
        model, x = randomized(keras.Model(inputs, HEADS[head](maps))), samples(2)
        cam = CAM(model)
        found = cam(x, target=1)
        averages = found.details["map"].mean(axis=(1, 2))
        # What remains is the bias, the same for every sample.
        np.testing.assert_allclose(np.ptp(found.scores - averages), 0, atol=1e-5)
        assert np.ptp(averages) > 0.05

    @pytest.mark.slow
    def test_of_one_average_over_a_window_in_one_and_three_dimensions(self):
        for axes in (1, 3):
            inputs = keras.Input(SHAPES[axes])
            maps = spatial("Conv", axes)(5, 3, activation="relu")(inputs)
            pooled = spatial("AveragePooling", axes)(maps.shape[1:-1])(maps)
            model = keras.Model(inputs, LAYERS.Dense(3, name="head")(LAYERS.Flatten()(pooled)))
            x = samples(axes)
            found = CAM(randomized(model))(x, target=1)
            _, bias = weights_of(model, "head")
            average = found.details["map"].mean(axis=tuple(range(1, axes + 1)))
            np.testing.assert_allclose(average + bias[1], found.scores, atol=1e-5)

    @pytest.mark.parametrize("operation", REFUSED)
    def test_refuses_other_heads(self, operation):
        inputs = keras.Input(SHAPES[2])
        maps = LAYERS.Conv2D(5, 3, name="maps")(inputs)
        model = keras.Model(inputs, REFUSED[operation](maps), name="net")
        with pytest.raises(ValueError, match=f"'maps'.*'net' there is {operation}\\. GradCAM"):
            CAM(model, layer="maps")(samples(2), target=0)

    def test_refuses_a_layer_below_the_last_nonlinearity(self):
        model = gap_network(2)
        with pytest.raises(ValueError, match=r"'first'.*'gap2' there is Relu\."):
            CAM(model, layer="first")(samples(2), target=0)

    def test_refuses_the_probability(self):
        with pytest.raises(ValueError, match="there is Softmax"):
            CAM(gap_network(2), score="output")(samples(2), target=0)


class TestGuidedGradCAM:
    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_is_the_product_of_its_two_parts(self, axes):
        model, x = flat_network(axes, normalized=True), samples(axes)
        found = GuidedGradCAM(model, relu=False)(x, target=1)
        expected = grad_cam_of_flat(model, x, 1)
        guided = GuidedBackprop(model)(x, target=1).attributions
        product = guided * zoomed(expected, SHAPES[axes][:-1])[..., None]
        assert abs(product).max() > 0.001
        np.testing.assert_allclose(found.attributions, product, atol=1e-6)
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)

    def test_needs_a_rectifier(self):
        model = chain(LAYERS.Conv2D(4, 3, activation="tanh"), LAYERS.Flatten(), LAYERS.Dense(3))
        with pytest.raises(ValueError, match=r"GuidedGradCAM needs a rectifier.*'Tanh'"):
            GuidedGradCAM(model)(samples(2))

    @pytest.mark.slow
    def test_takes_the_options_of_grad_cam(self):
        model, x = flat_network(2), samples(2)
        options = {"layer": "first", "counterfactual": True, "relu": False}
        found = GuidedGradCAM(model, **options)(x, target=1)
        expected = GradCAM(model, **options)(x, target=1)
        guided = GuidedBackprop(model)(x, target=1).attributions
        product = guided * expected.attributions[..., None]
        np.testing.assert_allclose(found.attributions, product, atol=1e-6)
        assert (product < 0).any()


class TestEveryMap:
    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.parametrize("name", SIGNED)
    @pytest.mark.slow
    def test_eager_graph_and_xla_agree(self, name, axes):
        model, x, method = gap_network(axes), samples(axes), SIGNED[name]
        graph = method(model, jit_compile=False)(x, target=1)
        compiled = method(model, jit_compile=True)(x, target=1)
        tf.config.run_functions_eagerly(True)
        try:
            eager = method(model, jit_compile=False)(x, target=1)
        finally:
            tf.config.run_functions_eagerly(False)
        scale = abs(graph.attributions).max()
        assert scale > 1e-5
        for other in (eager, compiled):
            np.testing.assert_allclose(other.attributions, graph.attributions, atol=1e-4 * scale)
            np.testing.assert_allclose(other.details["map"], graph.details["map"], atol=1e-5)

    @pytest.mark.parametrize("method", [CAM, GuidedGradCAM])
    @pytest.mark.slow
    def test_a_batch_changes_no_sample(self, method):
        model, x = gap_network(2), samples(2, count=7)
        together = method(model)(x)
        for batch_size in (1, 3):
            found = method(model, batch_size=batch_size)(x)
            np.testing.assert_allclose(found.attributions, together.attributions, atol=1e-6)
            np.testing.assert_allclose(found.details["map"], together.details["map"], atol=1e-6)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.slow
    def test_a_second_call_is_not_traced_again(self, method):
        runs = []

        class Counted(LAYERS.Layer):
            def call(self, inputs):
                runs.append(inputs.shape)
                return inputs

        head = [LAYERS.GlobalAveragePooling2D(), Counted(), LAYERS.Dense(3)]
        model = keras.Sequential([keras.Input(SHAPES[2]), *stem(2), *head])
        explain = method(model, batch_size=3)
        explain(samples(2), target=1)
        traced = len(runs)
        for count in (5, 4, 1):
            explain(samples(2, count=count, seed=count), target=2)
        assert len(runs) == traced

    @pytest.mark.parametrize("network", by_default("nested", of=NETWORKS))
    def test_networks_of_every_build(self, network):
        model, x = NETWORKS[network](2), samples(2)
        _, bias = weights_of(model, "head")
        cam = CAM(model)(x, target=2)
        average = cam.details["map"].mean(axis=(1, 2))
        np.testing.assert_allclose(average + bias[2], cam.scores, atol=1e-5)
        positions = np.prod(cam.details["map"].shape[1:])
        expected = np.maximum(cam.details["map"], 0) / positions
        for method in (GradCAM, GuidedGradCAM):
            found = method(model)(x, target=2)
            np.testing.assert_allclose(found.details["map"], expected, atol=1e-6)

    @pytest.mark.parametrize("method", by_default(GradCAM, of=METHODS))
    def test_mixed_precision(self, method):
        x = samples(2)
        expected = method(gap_network(2))(x, target=1)
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = gap_network(2)
        finally:
            keras.config.set_dtype_policy("float32")
        found = method(model)(x, target=1)
        assert found.attributions.dtype == np.float32
        scale = abs(expected.attributions).max()
        np.testing.assert_allclose(found.attributions, expected.attributions, atol=0.01 * scale)

    @pytest.mark.parametrize("method", by_default(GradCAM, of=METHODS))
    def test_leaves_the_model_as_it_was(self, method):
        model, x = nested_network(), samples(2)
        before = [weight.numpy() for weight in model.weights]
        attributes = [set(vars(layer)) for layer in model._flatten_layers()]
        method(model)(x)
        for weight, value in zip(model.weights, before, strict=True):
            np.testing.assert_array_equal(weight.numpy(), value)
        assert [set(vars(layer)) for layer in model._flatten_layers()] == attributes
        assert not any("call" in vars(layer) for layer in model._flatten_layers())
