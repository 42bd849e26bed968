import keras
import numpy as np
import pytest
from toy_networks import (
    LAYERS,
    SHAPES,
    chain,
    gap_network,
    nested_network,
    randomized,
    samples,
)

from keras_pli.attribution.backprop import GuidedBackprop
from keras_pli.attribution.cam import CAM, GradCAM, GuidedGradCAM


class TestTheLayer:
    def test_last_output_with_positions_is_found(self):
        model = chain(
            LAYERS.Conv2D(4, 3, name="conv"),
            LAYERS.BatchNormalization(name="norm"),
            LAYERS.ReLU(name="relu"),
            LAYERS.MaxPooling2D(name="pool"),
            LAYERS.Dropout(0.5),
            LAYERS.GlobalAveragePooling2D(),
            LAYERS.Dense(3),
        )
        grad_cam, x = GradCAM(model), samples(2)
        assert grad_cam.map_layers(x) == ("conv", "norm", "relu", "pool")
        found, named = grad_cam(x), GradCAM(model, layer="pool")(x)
        np.testing.assert_array_equal(found.attributions, named.attributions)
        finer = GradCAM(model, layer="relu")(x)
        assert finer.details["map"].shape == (5, 7, 6) and found.details["map"].shape == (5, 3, 3)

    def test_addition_of_a_residual_network_is_found(self):
        inputs = keras.Input(SHAPES[2])
        start = LAYERS.Conv2D(4, 3, padding="same", name="start")(inputs)
        branch = LAYERS.Conv2D(4, 3, padding="same", name="branch")(start)
        added = LAYERS.Add(name="add")([start, branch])
        features = LAYERS.GlobalAveragePooling2D()(LAYERS.ReLU(name="relu")(added))
        model = randomized(keras.Model(inputs, LAYERS.Dense(3)(features)))
        assert GradCAM(model).map_layers(samples(2)) == ("start", "branch", "add", "relu")

    def test_inner_path_of_a_nested_model_is_given(self):
        model, x = nested_network(), samples(2)
        grad_cam = GradCAM(model)
        assert grad_cam.map_layers(x)[-1] == "backbone/last"
        for layer in ("backbone/last", "last", "backbone"):
            found = GradCAM(model, layer=layer)(x)
            np.testing.assert_array_equal(found.attributions, grad_cam(x).attributions)

    def test_maps_made_within_a_model_of_its_own_are_named_by_it(self):
        class Backbone(keras.Model):
            def __init__(self):
                super().__init__(name="backbone")
                self.conv = LAYERS.Conv2D(4, 3, name="conv")

            def call(self, inputs):
                return keras.ops.relu(self.conv(inputs))

        model = chain(Backbone(), LAYERS.GlobalAveragePooling2D(), LAYERS.Dense(3))
        assert GradCAM(model).map_layers(samples(2)) == ("backbone/conv", "backbone")
        assert CAM(model)(samples(2)).details["map"].shape == (5, 7, 6)

    def test_a_gate_of_one_position_is_no_map(self):
        inputs = keras.Input(SHAPES[2])
        maps = LAYERS.Conv2D(4, 3, name="maps")(inputs)
        gate = LAYERS.GlobalAveragePooling2D(keepdims=True, name="squeeze")(maps)
        gate = LAYERS.Conv2D(4, 1, activation="sigmoid", name="gate")(gate)
        gated = LAYERS.Multiply(name="gated")([maps, gate])
        top = LAYERS.GlobalAveragePooling2D(keepdims=True)(gated)
        outputs = LAYERS.Flatten()(LAYERS.Conv2D(3, 1, name="top")(top))
        model = randomized(keras.Model(inputs, outputs))
        assert GradCAM(model).map_layers(samples(2)) == ("maps", "gated")

    def test_each_run_of_a_shared_layer_can_be_named(self):
        inputs = keras.Input(SHAPES[2])
        shared = LAYERS.Conv2D(2, 3, padding="same", activation="relu", name="shared")
        outputs = LAYERS.Dense(3)(LAYERS.Flatten()(shared(shared(inputs))))
        model, x = randomized(keras.Model(inputs, outputs)), samples(2)
        assert GradCAM(model).map_layers(x) == ("shared@0", "shared@1")
        first, second = (GradCAM(model, layer=f"shared@{run}")(x, target=0) for run in (0, 1))
        assert abs(first.attributions - second.attributions).max() > 0.01
        np.testing.assert_array_equal(GradCAM(model)(x, 0).attributions, second.attributions)
        with pytest.raises(ValueError, match=r"runs 2 times.*'shared@0', 'shared@1'"):
            GradCAM(model, layer="shared")(x)

    @pytest.mark.parametrize("layer, shape", [("head", r"\(None, 3\)"), ("flat", r"\(None, 210\)")])
    @pytest.mark.parametrize("method", [GradCAM, GuidedGradCAM])
    def test_a_layer_without_positions_is_rejected(self, method, layer, shape):
        model = chain(
            LAYERS.Conv2D(5, 3, name="conv", activation="relu"),
            LAYERS.Flatten(name="flat"),
            LAYERS.Dense(3, name="head"),
        )
        with pytest.raises(ValueError, match=f"'{layer}' of 'net'.*{shape}.*with maps: 'conv'"):
            method(model, layer=layer)(samples(2))

    def test_a_layer_that_does_not_exist_is_rejected_when_built(self):
        with pytest.raises(ValueError, match=r"no layer 'convolution'.*'first'"):
            GradCAM(gap_network(2), layer="convolution")

    def test_a_layer_that_the_output_does_not_depend_on_is_rejected(self):
        inputs = keras.Input(SHAPES[2])
        maps = LAYERS.Conv2D(5, 3, name="maps")(inputs)
        aside = LAYERS.Conv2D(5, 3, name="aside")(maps)
        pooled = [LAYERS.GlobalAveragePooling2D()(h) for h in (maps, aside)]
        outputs = [LAYERS.Dense(3, name=name)(h) for name, h in zip("ab", pooled, strict=True)]
        model, x = keras.Model(inputs, outputs), samples(2)
        with pytest.raises(ValueError, match=r"'aside'.*that the logits depend on.*'maps'"):
            GradCAM(model, layer="aside", output="a")(x)
        assert GradCAM(model, output="a").map_layers(x) == ("maps",)
        assert GradCAM(model, output="b").map_layers(x) == ("maps", "aside")
        assert GradCAM(model, layer="aside", output=1)(x).attributions.shape == (5, 9, 8)

    def test_a_network_without_maps_is_rejected(self):
        model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)], name="dense")
        with pytest.raises(ValueError, match="'dense' has no layer with maps"):
            GradCAM(model)(np.zeros((2, 4)))


class TestTheInput:
    def test_grey_images_without_a_channel_axis(self):
        inputs = keras.Input((9, 8))
        maps = LAYERS.Conv2D(4, 3, activation="relu")(LAYERS.Reshape((9, 8, 1))(inputs))
        model = randomized(keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(maps))))
        x = samples(2)[..., 0]
        assert GradCAM(model)(x).attributions.shape == (5, 9, 8)
        guided = GuidedBackprop(model)(x).attributions
        product = guided * GradCAM(model)(x).attributions
        np.testing.assert_allclose(GuidedGradCAM(model)(x).attributions, product, atol=1e-6)

    def two_inputs(self):
        table, image = keras.Input((3,), name="table"), keras.Input((9, 8, 2), name="image")
        maps = LAYERS.Conv2D(4, 3, activation="relu", name="maps")(image)
        joined = LAYERS.Concatenate()([table, LAYERS.Flatten()(maps)])
        return randomized(keras.Model([table, image], LAYERS.Dense(3)(joined)))

    def test_maps_are_resized_to_the_input_they_are_made_from(self):
        model, x = self.two_inputs(), [np.ones((5, 3), np.float32), samples(2)]
        found = GradCAM(model)(x, target=1)
        assert found.attributions.shape == (5, 9, 8)
        kernel = model.layers[-1].get_weights()[0][3:, 1].reshape(7, 6, 4)
        maps = np.asarray(model.get_layer("maps")(x[1]))
        expected = np.maximum(maps @ kernel.mean(axis=(0, 1)), 0)
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)

    def test_guided_maps_are_zero_at_other_inputs(self):
        model, x = self.two_inputs(), [np.ones((5, 3), np.float32), samples(2)]
        table, image = GuidedGradCAM(model)(x, target=1).attributions
        assert table.shape == (5, 3) and not table.any()
        guided = GuidedBackprop(model)(x, target=1).attributions
        heat = GradCAM(model)(x, target=1).attributions[..., None]
        np.testing.assert_allclose(image, guided[1] * heat, atol=1e-6)

    def test_of_two_images_the_first_that_the_maps_are_made_from_gives_the_size(self):
        near, far = keras.Input((9, 8, 1)), keras.Input((18, 16, 1))
        far_maps = LAYERS.Conv2D(3, 2, strides=2, name="far_maps")(far)
        joined = LAYERS.Concatenate()([LAYERS.Conv2D(3, 1)(near), far_maps])
        outputs = LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(LAYERS.ReLU()(joined)))
        model = randomized(keras.Model([near, far], outputs))
        x = [np.ones((2, 9, 8, 1), np.float32), np.ones((2, 18, 16, 1), np.float32)]
        assert GradCAM(model)(x).attributions.shape == (2, 9, 8)
        assert GradCAM(model, layer="far_maps")(x).attributions.shape == (2, 18, 16)
        products = GuidedGradCAM(model)(x).attributions
        assert [product.shape for product in products] == [(2, 9, 8, 1), (2, 18, 16, 1)]
