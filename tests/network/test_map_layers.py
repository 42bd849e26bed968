import keras
import numpy as np
import pytest
import tensorflow as tf
from toy_networks import (
    LAYERS,
    SHAPES,
    chain,
    gap_network,
    nested_network,
    randomized,
    received,
    samples,
    spatial,
    weights_of,
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

    @pytest.mark.slow
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

    @pytest.mark.slow
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


def sum_and_relu(axes, *, layers):
    """A residual network whose sum and activations are layers, or operations of the same values."""
    convolution = spatial("Conv", axes)
    inputs = keras.Input(SHAPES[axes])
    relu = LAYERS.ReLU if layers else lambda: keras.ops.relu
    stem = relu()(convolution(4, 3, padding="same", name="stem")(inputs))
    branch = convolution(4, 3, padding="same", name="branch")(stem)
    added = LAYERS.Add()([stem, branch]) if layers else stem + branch
    maps = relu()(added)
    pooled = spatial("GlobalAveragePooling", axes)()(maps)
    model = randomized(keras.Model(inputs, LAYERS.Dense(3, name="head")(pooled), name="net"))
    return model, keras.Model(inputs, maps)


class Residual(keras.Model):
    """The same with TensorFlow's operations, and the pooling too."""

    def __init__(self, axes):
        super().__init__(name="net")
        convolution = spatial("Conv", axes)
        self.stem = convolution(4, 3, padding="same", name="stem")
        self.branch = convolution(4, 3, padding="same", name="branch")
        self.head = LAYERS.Dense(3, name="head")

    def maps(self, x):
        stem = tf.nn.relu(self.stem(x))
        return tf.nn.relu(stem + self.branch(stem))

    def call(self, x):
        return self.head(tf.reduce_mean(self.maps(x), range(1, len(x.shape) - 1)))


class TestOperations:
    """Maps that no layer puts out, weighed by hand."""

    @pytest.mark.parametrize(
        "build, axes",
        [
            ("functional", 1),
            pytest.param("functional", 3, marks=pytest.mark.slow),
            pytest.param("nested", 2, marks=pytest.mark.slow),
            ("subclassed", 2),
        ],
    )
    def test_sums_and_activations(self, build, axes):
        x = samples(axes)
        if build == "subclassed":
            model = Residual(axes)
            model(x)
            maps = randomized(model).maps(x)
        else:
            model, to_maps = sum_and_relu(axes, layers=False)
            maps = to_maps(x)
            if build == "nested":
                inputs = keras.Input(SHAPES[axes])
                model = keras.Model(inputs, LAYERS.Softmax()(model(inputs)))
        kernel, bias = weights_of(model, "head")
        expected = np.asarray(maps) @ kernel[:, 1]
        found = CAM(model)(x, target=1)
        np.testing.assert_allclose(found.attributions, expected, atol=1e-5)
        average = expected.mean(axis=tuple(range(1, axes + 1)))
        np.testing.assert_allclose(found.scores, average + bias[1], atol=1e-5)
        by_gradient = GradCAM(model)(x, target=1).attributions
        positions = np.prod(SHAPES[axes][:-1])
        np.testing.assert_allclose(by_gradient, np.maximum(expected, 0) / positions, atol=1e-6)

    @pytest.mark.slow
    def test_give_what_layers_of_the_same_values_give(self):
        x = samples(2)
        by_layers, _ = sum_and_relu(2, layers=True)
        by_operations, _ = sum_and_relu(2, layers=False)
        for method in (CAM, GradCAM, GuidedGradCAM):
            expected = method(by_layers)(x, target=0).attributions
            found = method(by_operations)(x, target=0).attributions
            np.testing.assert_allclose(found, expected, atol=1e-6)

    @pytest.mark.slow
    def test_can_be_named_as_they_are_listed(self):
        model, _ = sum_and_relu(2, layers=False)
        x = samples(2)
        grad_cam = GradCAM(model)
        names = grad_cam.map_layers(x)
        assert names == ("stem", "Relu:0", "branch", "Add:0", "Relu_1:0")
        added, named = GradCAM(model, layer="Add:0"), GradCAM(model, layer="Relu_1:0")
        np.testing.assert_array_equal(named(x, 1).attributions, grad_cam(x, 1).attributions)
        assert abs(added(x, 1).attributions - named(x, 1).attributions).max() > 1e-4
        assert "'Add:0'" in repr(added) and "None" not in repr(grad_cam)
        with pytest.raises(ValueError, match=r"'Add:7' of 'net'.*none of this name.*'Add:0'"):
            GradCAM(model, layer="Add:7")(x)

    def test_an_activation_with_a_gradient_of_its_own(self):
        inputs = keras.Input(SHAPES[2])
        maps = keras.ops.silu(LAYERS.Conv2D(4, 3, name="conv")(inputs))
        pooled = LAYERS.GlobalAveragePooling2D()(maps)
        model = randomized(keras.Model(inputs, LAYERS.Dense(3, name="head")(pooled)))
        x = samples(2)
        before = np.asarray(model.get_layer("conv")(x), np.float64)
        expected = before / (1 + np.exp(-before)) @ weights_of(model, "head")[0][:, 1]
        np.testing.assert_allclose(CAM(model)(x, 1).details["map"], expected, atol=1e-5)

    def test_a_layer_names_what_it_puts_out_and_not_what_is_within(self):
        layers = [
            LAYERS.Conv2D(4, 3, name="conv"),
            LAYERS.Lambda(lambda t: tf.nn.relu(2 * t), name="curve"),
        ]
        model = chain(*layers, LAYERS.GlobalAveragePooling2D(), LAYERS.Dense(3))
        assert GradCAM(model).map_layers(samples(2)) == ("conv", "curve")
        assert received(model) == "curve"

    def test_a_layer_that_is_the_whole_network(self):
        class Whole(LAYERS.Layer):
            def __init__(self):
                super().__init__(name="whole")
                self.conv = LAYERS.Conv2D(4, 3)
                self.head = LAYERS.Dense(3)

            def call(self, x):
                return self.head(keras.ops.mean(keras.ops.relu(self.conv(x)), axis=(1, 2)))

        model = keras.Sequential([keras.Input(SHAPES[2]), Whole()])
        assert received(model).endswith("Relu:0")


class TestTheWays:
    def test_not_the_end_of_one_branch(self):
        # Made last, and yet only part of what is pooled.
        inputs = keras.Input(SHAPES[2])
        first = LAYERS.Conv2D(4, 3, padding="same", name="first")(inputs)
        scaled = LAYERS.Conv2D(4, 1, name="branch")(LAYERS.LayerNormalization()(first)) * 0.1
        pooled = LAYERS.GlobalAveragePooling2D()(first + scaled)
        model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.LayerNormalization()(pooled)))
        assert received(model) == "Add:0"

    def test_what_two_heads_have_in_common(self):
        inputs = keras.Input(SHAPES[2])
        common = LAYERS.Conv2D(4, 3, name="common")(inputs)
        later = LAYERS.Conv2D(4, 3, name="later")(common)
        pooled = [LAYERS.GlobalAveragePooling2D()(maps) for maps in (common, later)]
        model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Concatenate()(pooled)))
        assert received(model) == "common"
        assert GradCAM(model).map_layers(samples(2)) == ("common", "later")

    def test_towers_that_never_meet_are_refused(self):
        inputs = keras.Input(SHAPES[2])
        scaled = LAYERS.Rescaling(0.5, name="scaled")(inputs)
        towers = [LAYERS.Conv2D(4, size, name=f"tower{size}")(scaled) for size in (3, 5)]
        pooled = [LAYERS.GlobalMaxPooling2D()(maps) for maps in towers]
        model = keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Concatenate()(pooled)), name="net")
        with pytest.raises(ValueError, match=r"No one layer of 'net'.*'tower\d', 'tower\d'\.$"):
            GradCAM(model)(samples(2))
        assert GradCAM(model, layer="tower3")(samples(2)).attributions.shape == (5, 9, 8)

    def test_a_mask_is_no_way(self):
        inputs = keras.Input((6,))
        ids = LAYERS.Embedding(9, 4, mask_zero=True)(inputs)
        series = LAYERS.GRU(3, return_sequences=True, name="series")(ids)
        model = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.GlobalAveragePooling1D()(series)))
        assert received(model) == "series"

    @pytest.mark.slow
    def test_recurrent_layers_keep_time_unless_they_turn_it(self):
        def network(layer):
            pooling = LAYERS.GlobalMaxPooling1D()
            conv = LAYERS.Conv1D(4, 3, name="conv")
            return chain(conv, layer, pooling, LAYERS.Dense(2), axes=1)

        both = LAYERS.Bidirectional(LAYERS.GRU(3, return_sequences=True), name="both")
        back = LAYERS.LSTM(3, return_sequences=True, go_backwards=True, name="back")
        assert received(network(both)) == "both"
        assert received(network(back)) == "conv"

    def test_positions_that_are_made_anew_are_others(self):
        model = chain(
            LAYERS.Conv2D(4, 3, name="conv"),
            LAYERS.Flatten(),
            LAYERS.Dense(7 * 6 * 2),
            LAYERS.Reshape((7, 6, 2)),
            LAYERS.Conv2D(4, 3, name="anew"),
            LAYERS.GlobalAveragePooling2D(),
            LAYERS.Dense(3),
        )
        assert GradCAM(model).map_layers(samples(2)) == ("conv",)


class TestTheInput:
    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_guided_maps_are_zero_at_other_inputs(self):
        model, x = self.two_inputs(), [np.ones((5, 3), np.float32), samples(2)]
        table, image = GuidedGradCAM(model)(x, target=1).attributions
        assert table.shape == (5, 3) and not table.any()
        guided = GuidedBackprop(model)(x, target=1).attributions
        heat = GradCAM(model)(x, target=1).attributions[..., None]
        np.testing.assert_allclose(image, guided[1] * heat, atol=1e-6)

    @pytest.mark.slow
    def test_two_images_that_never_meet_are_refused(self):
        conv = LAYERS.Conv2D(4, 3, activation="relu", name="conv")
        pooling = LAYERS.GlobalAveragePooling2D()
        images = [keras.Input(SHAPES[2], name=name) for name in ("left", "right")]
        pooled = LAYERS.Concatenate()([pooling(conv(image)) for image in images])
        model = randomized(keras.Model(images, LAYERS.Dense(3, name="head")(pooled), name="pair"))
        x = [samples(2), samples(2)[::-1]]
        for method in (CAM, GradCAM):
            with pytest.raises(ValueError, match=r"No one layer of 'pair'.*'conv@0', 'conv@1'\.$"):
                method(model)(x, target=1)
        kernel = model.get_layer("head").get_weights()[0][:, 1]
        for run in (0, 1):
            found = GuidedGradCAM(model, layer=f"conv@{run}", relu=False)
            place = int(found(x, target=1).attributions[1].any())  # of which image this run is
            expected = np.asarray(conv(x[place])) @ kernel[4 * place :][:4] / 42
            found = GradCAM(model, layer=f"conv@{run}", relu=False)(x, target=1)
            np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)

    @pytest.mark.slow
    def test_a_second_image_that_only_weighs_the_maps_of_the_first(self):
        image, other = keras.Input(SHAPES[2]), keras.Input(SHAPES[2])
        shares = LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(4, 3)(other))
        maps = LAYERS.Conv2D(4, 3)(image) * LAYERS.Reshape((1, 1, 4))(shares)
        pooled = LAYERS.GlobalAveragePooling2D()(LAYERS.ReLU(name="both")(maps))
        model = keras.Model([image, other], LAYERS.Dense(3)(pooled))
        assert GradCAM(model)([samples(2)] * 2).attributions.shape == (5, 9, 8)

    @pytest.mark.slow
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
