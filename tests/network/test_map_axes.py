from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import by_default, slow
from toy_networks import (
    AXES,
    LAYERS,
    SHAPES,
    chain,
    randomized,
    received,
    samples,
    spatial,
    weights_of,
)

from keras_pli.attribution.cam import CAM, GradCAM, GuidedGradCAM
from keras_pli.attribution.gradients import Saliency
from keras_pli.attribution.lime import LIME
from keras_pli.attribution.meaningful_perturbation import MeaningfulPerturbation
from keras_pli.attribution.occlusion import Occlusion
from keras_pli.attribution.resize import resize_linear


class TestAxes:
    @pytest.mark.parametrize("order", by_default([3, 1, 2], of=[[2, 1, 3], [3, 1, 2], [3, 2, 1]]))
    def test_a_permute_before_the_head(self, order):
        model = chain(
            LAYERS.Conv2D(4, 3, name="conv"),
            LAYERS.Permute(order),
            LAYERS.Flatten(),
            LAYERS.Dense(3, name="head"),
        )
        x = samples(2)
        maps = np.asarray(model.get_layer("conv")(x))
        kernel, _ = weights_of(model, "head")
        shape = [maps.shape[axis] for axis in order]
        other = tuple(place for place, axis in enumerate(order) if axis != 3)
        expected = maps @ kernel[:, 1].reshape(shape).mean(axis=other)
        found = GradCAM(model, relu=False)(x, target=1)
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)
        assert found.attributions.shape == (5, 9, 8) and abs(expected).max() > 0.01

    @pytest.mark.slow
    def test_a_permute_before_the_pooling(self):
        inputs = keras.Input(SHAPES[2])
        maps = LAYERS.Conv2D(4, 3, name="conv")(inputs)
        turned = LAYERS.Permute((3, 2, 1))(maps)
        pooled = LAYERS.GlobalAveragePooling2D(data_format="channels_first")(turned)
        model = randomized(keras.Model(inputs, LAYERS.Dense(3, name="head")(pooled)))
        x = samples(2)
        expected = np.asarray(model.get_layer("conv")(x)) @ weights_of(model, "head")[0][:, 1]
        for layer in (None, "conv"):
            found = CAM(model, layer=layer)(x, target=1)
            np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)

    def reads_first_axis(self):
        """As networks converted from PyTorch do, with a layer of channels-last inside."""
        layers = [LAYERS.Permute((2, 3, 1)), LAYERS.Conv2D(4, 3), LAYERS.Flatten(), LAYERS.Dense(3)]
        return randomized(keras.Sequential([keras.Input((2, 9, 8)), *layers], name="first"))

    @pytest.mark.parametrize(
        "method", [CAM, GradCAM, GuidedGradCAM, Occlusion, LIME, MeaningfulPerturbation]
    )
    def test_channels_first_is_refused_by_methods_of_positions(self, method):
        x = np.moveaxis(samples(2), -1, 1)
        advice = r"'first'.*channels first.*Input\(\(9, 8, 2\)\).*Permute\(\(3, 1, 2\)\), model"
        with pytest.raises(ValueError, match=advice):
            method(self.reads_first_axis())(x, target=1)

    @pytest.mark.slow
    def test_the_advice_for_channels_first_gives_the_right_maps(self):
        model, x = self.reads_first_axis(), samples(2)
        around = keras.Sequential([keras.Input((9, 8, 2)), LAYERS.Permute((3, 1, 2)), model])
        plain = keras.Sequential([keras.Input((9, 8, 2)), *model.layers[1:]])
        for method in (GradCAM, Occlusion):
            expected = method(plain)(x, target=1).attributions
            np.testing.assert_allclose(method(around)(x, 1).attributions, expected, atol=1e-5)
        turned = Saliency(model)(np.moveaxis(x, -1, 1), target=1).attributions
        expected = Saliency(plain)(x, target=1).attributions
        np.testing.assert_allclose(np.moveaxis(turned, 1, -1), expected, atol=1e-6)

    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_layers_of_channels_first(self, axes):
        # Only traced: TensorFlow has not all of them on every processor.
        shape = (SHAPES[axes][-1], *SHAPES[axes][:-1])
        first = {"data_format": "channels_first"}
        layers = [
            spatial("Conv", axes)(4, 3, name="conv", **first),
            LAYERS.BatchNormalization(axis=1, name="norm"),
            spatial("MaxPooling", axes)(2, name="pool", **first),
            spatial("GlobalAveragePooling", axes)(**first),
            LAYERS.Dense(3),
        ]
        model = keras.Sequential([keras.Input(shape), *layers], name="first")
        with pytest.raises(ValueError, match="'first' takes its input channels first"):
            received(model)
        turning = [LAYERS.Permute((*range(2, axes + 2), 1)), spatial("Conv", axes)(4, 3)]
        turned = keras.Sequential([keras.Input(shape), *turning, LAYERS.Flatten(), LAYERS.Dense(3)])
        with pytest.raises(ValueError, match="takes its input channels first"):
            received(turned)
        order = (axes + 1, *range(1, axes + 1))
        inside = [keras.Input(SHAPES[axes]), LAYERS.Permute(order), *layers]
        assert received(keras.Sequential(inside)) == "pool"

    @pytest.mark.slow
    def test_a_network_that_reads_either_axis_is_not_refused(self):
        # An LSTM-FCN takes the series for channels, too.
        inputs = keras.Input(SHAPES[1])
        seen = LAYERS.GlobalAveragePooling1D()(LAYERS.Conv1D(4, 3)(inputs))
        turned = LAYERS.Conv1D(3, 1)(LAYERS.Permute((2, 1))(inputs))
        joined = LAYERS.Concatenate()([seen, LAYERS.Flatten()(turned)])
        model = keras.Model(inputs, LAYERS.Dense(3)(joined))
        assert Occlusion(model)(samples(1), target=1).attributions.shape == (5, *SHAPES[1])


def cut_out(*, before=None, behind=None, shape=(16, 16, 1), axes=2):
    """A network that brightness alone excites, with something before or behind its one convolution."""
    inputs = keras.Input(shape)
    maps = before(inputs) if before else inputs
    ones = {"kernel_initializer": "ones", "padding": "same", "activation": "relu"}
    maps = spatial("Conv", axes)(3, 3, name="conv", **ones)(maps)
    maps = behind(maps) if behind else maps
    pooled = spatial("GlobalAveragePooling", axes)()(maps)
    outputs = LAYERS.Dense(2, kernel_initializer="ones", name="head")(pooled)
    return keras.Model(inputs, outputs, name="cut_out")


def lit(model, place, method=GradCAM, shape=(16, 16)):
    """Where the map of an image with one bright pixel is not 0: the first and the last places."""
    x = np.zeros((1, *shape, 1), np.float32)
    x[(0, *place, 0)] = 1
    attributions = np.asarray(method(model)(x, target=1).attributions[0]).reshape(shape)
    found = np.argwhere(abs(attributions) > 1e-6)
    return found.min(axis=0).tolist(), found.max(axis=0).tolist()


CROPS = {
    "center": LAYERS.CenterCrop(8, 8),
    "uneven": LAYERS.Cropping2D(((2, 6), (4, 3))),
    "slice": lambda x: x[:, :8, 3:9],
    "tf.slice": lambda x: keras.ops.slice(x, (0, 2, 4, 0), (1, 8, 8, 1)),
    "split": lambda x: keras.ops.split(x, 2, axis=2)[0],
    "pads": LAYERS.ZeroPadding2D(((12, 0), (3, 9))),
    "crop and pad": lambda x: LAYERS.ZeroPadding2D(4)(LAYERS.Cropping2D(3)(x)),
    "rolled back": lambda x: keras.ops.roll(keras.ops.roll(x, 5, axis=1), -5, axis=1),
    "joined": lambda x: keras.ops.concatenate([x[:, :6], x[:, 6:]], axis=1),
    # Keeps all rows, and of the columns those in the middle, which the graph works out.
    "aspect": LAYERS.Resizing(16, 8, interpolation="nearest", crop_to_aspect_ratio=True),
}


class TestCrops:
    """A convolution over 3 x 3 pixels is lit around the one that is bright."""

    @pytest.mark.parametrize("kind", by_default("uneven", of=CROPS))
    def test_maps_lie_where_their_positions_do(self, kind):
        for where in ("before", "behind"):
            model = cut_out(**{where: CROPS[kind]})
            assert lit(model, (5, 5)) == ([4, 4], [6, 6]), where

    @pytest.mark.slow
    def test_every_method_and_number_of_axes(self):
        crop = LAYERS.CenterCrop(8, 8)
        assert lit(cut_out(before=crop), (5, 6), CAM) == ([4, 5], [6, 7])
        product = partial(GuidedGradCAM, relu=False)
        assert lit(cut_out(before=crop), (5, 6), product) == ([4, 5], [6, 7])
        series = cut_out(before=LAYERS.Cropping1D((3, 5)), shape=(16, 1), axes=1)
        assert lit(series, (7,), shape=(16,)) == ([6], [8])
        volume = cut_out(before=LAYERS.Cropping3D(((0, 3), 0, (3, 0))), shape=(8, 3, 8, 1), axes=3)
        assert lit(volume, (3, 1, 5), shape=(8, 3, 8)) == ([2, 0, 4], [4, 2, 6])

    @pytest.mark.slow
    def test_outside_of_the_crop_is_nothing(self):
        model = cut_out(before=LAYERS.CenterCrop(8, 8))
        found = GradCAM(model)(np.ones((1, 16, 16, 1), np.float32), target=1)
        expected = np.pad(found.details["map"][0], 4)
        np.testing.assert_allclose(found.attributions[0], expected, rtol=1e-6)
        assert found.details["map"].min() > 0

    @pytest.mark.slow
    def test_a_crop_of_what_convolutions_left(self):
        # As in a U-Net. The 20 rows of `fine` are spread over all 24, and 2 of them are cut off at each end.
        def network(maps):
            fine = LAYERS.Conv2D(2, 5)(maps)
            coarse = LAYERS.UpSampling2D(2)(LAYERS.Conv2D(2, 3)(LAYERS.MaxPooling2D(2)(fine)))
            return LAYERS.Concatenate()([LAYERS.Cropping2D(2)(fine), coarse])

        model = cut_out(before=network, shape=(24, 24, 1))
        found = GradCAM(randomized(model), relu=False)(np.ones((1, 24, 24, 1)), target=1)
        rows = np.flatnonzero(found.attributions[0].any(axis=1))
        assert (rows.min(), rows.max()) == (2, 21)

    @pytest.mark.parametrize(
        ("layers", "rows"),
        [
            slow([LAYERS.ZeroPadding1D(3), LAYERS.Conv1D(2, 7, strides=2)], 16),
            slow([LAYERS.Conv1D(2, 3, padding="causal", dilation_rate=4)], 16),
            slow([LAYERS.ZeroPadding1D((0, 1)), LAYERS.Cropping1D((1, 0))], 4),
            ([LAYERS.Cropping1D(1)], 16),
        ],
    )
    def test_what_only_aligns_windows_moves_nothing(self, layers, rows):
        end = LAYERS.Conv1D(2, 1, name="end")
        head = [LAYERS.GlobalAveragePooling1D(), LAYERS.Dense(2)]
        model = randomized(keras.Sequential([keras.Input((rows, 1)), *layers, end, *head]))
        x = np.random.default_rng(0).normal(size=(2, rows, 1)).astype(np.float32)
        found = CAM(model)(x, target=1)
        expected = resize_linear(found.details["map"], (rows,))
        np.testing.assert_allclose(found.attributions, expected, atol=1e-6)

    @pytest.mark.parametrize(
        "before",
        [
            lambda x: keras.ops.roll(x, 4, axis=1),
            lambda x: keras.ops.concatenate([x[:, :8], x[:, 8:]]),
            lambda x: keras.ops.concatenate([x[:, 8:], x[:, :8]], axis=1),
            lambda x: LAYERS.CenterCrop(8, 8)(x) + LAYERS.AveragePooling2D(2)(x),
        ],
    )
    def test_what_lies_in_no_one_place_is_refused(self, before):
        x = np.ones((1, 16, 16, 1), np.float32)
        for layer in (None, "conv"):
            with pytest.raises(ValueError, match=r"'conv' of 'cut_out' cannot be laid.*xplain the"):
                GradCAM(cut_out(before=before), layer=layer)(x, target=1)

    def test_the_layer_before_a_roll_can_be_named(self):
        model = cut_out(behind=lambda maps: keras.ops.roll(maps, 4, axis=1))
        with pytest.raises(ValueError, match=r"Roll.*Name a layer.*`layer`: 'conv'"):
            lit(model, (5, 5))
        assert lit(model, (5, 5), partial(GradCAM, layer="conv")) == ([4, 4], [6, 6])


class ClassToken(LAYERS.Layer):
    """Puts a token before all others."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="normal")

    def call(self, tokens):
        count = keras.ops.shape(tokens)[0]
        first = keras.ops.broadcast_to(self.token, (count, 1, tokens.shape[-1]))
        return keras.ops.concatenate([first, tokens], axis=1)


def transformer(*, class_token):
    """A vision transformer of one block on 4 x 3 patches, and its head behind the block as a model."""
    inputs = keras.Input((8, 6, 2))
    tokens = LAYERS.Reshape((12, 6))(LAYERS.Conv2D(6, 2, strides=2, name="patches")(inputs))
    tokens = ClassToken()(tokens) if class_token else tokens
    tokens = tokens + LAYERS.MultiHeadAttention(2, 3)(tokens, tokens)
    tokens = LAYERS.LayerNormalization(name="block")(tokens)
    given = keras.Input(tokens.shape[1:])
    mixed = given + LAYERS.MultiHeadAttention(2, 3)(given, given)
    pooled = mixed[:, 0] if class_token else LAYERS.GlobalAveragePooling1D()(mixed)
    head = keras.Model(given, LAYERS.Dense(3)(pooled))
    return randomized(keras.Model(inputs, head(tokens), name="vit")), head


class TestTokens:
    @pytest.mark.parametrize("class_token", [pytest.param(False, marks=pytest.mark.slow), True])
    def test_maps_of_tokens(self, class_token):
        model, head = transformer(class_token=class_token)
        x = np.random.default_rng(0).normal(size=(5, 8, 6, 2)).astype(np.float32)
        tokens = keras.Model(model.input, model.get_layer("block").output)(x)
        with tf.GradientTape() as tape:
            tape.watch(tokens)
            scores = head(tokens)[:, 2]
        parts = [tape.gradient(scores, tokens), tokens]
        gradients, maps = (part.numpy()[:, class_token:].reshape(5, 4, 3, 6) for part in parts)
        expected = (gradients.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=-1)

        def grid(tokens):
            return keras.ops.reshape(tokens[:, int(class_token) :], (-1, 4, 3, 6))

        found = GradCAM(model, layer="block", reshape=grid, relu=False)(x, target=2)
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)
        assert found.attributions.shape == (5, 8, 6) and abs(expected).max() > 0.001

    @pytest.mark.slow
    def test_of_averaged_tokens_by_the_weights_of_the_class(self):
        inputs = keras.Input((8, 6, 2))
        tokens = LAYERS.Reshape((12, 6))(LAYERS.Conv2D(6, 2, strides=2)(inputs))
        tokens = LAYERS.MultiHeadAttention(2, 3, name="block")(tokens, tokens)
        outputs = LAYERS.Dense(3, name="head")(LAYERS.GlobalAveragePooling1D()(tokens))
        model = randomized(keras.Model(inputs, outputs))
        x = np.random.default_rng(0).normal(size=(5, 8, 6, 2)).astype(np.float32)
        kernel, _ = weights_of(model, "head")
        expected = np.asarray(keras.Model(inputs, tokens)(x)) @ kernel[:, 1]
        cam = CAM(model, layer="block", reshape=lambda t: tf.reshape(t, (-1, 4, 3, 6)))
        found = cam(x, target=1).details["map"]
        np.testing.assert_allclose(found, expected.reshape(5, 4, 3), atol=1e-5)

    @pytest.mark.parametrize("class_token", [pytest.param(False, marks=pytest.mark.slow), True])
    @pytest.mark.slow
    def test_the_patches_are_not_taken_silently(self, class_token):
        model, _ = transformer(class_token=class_token)
        x = np.ones((1, 8, 6, 2), np.float32)
        with pytest.raises(ValueError, match=r"'patches'.*of 'vit'.*tokens.*`reshape`.*'patches'"):
            GradCAM(model)(x)
        assert GradCAM(model, layer="patches")(x).attributions.shape == (1, 8, 6)

    def test_tokens_that_are_mixed_by_weights(self):
        inputs = keras.Input((8, 6, 2))
        tokens = LAYERS.Reshape((12, 6))(LAYERS.Conv2D(6, 2, strides=2, name="patches")(inputs))
        mixed = LAYERS.Permute((2, 1))(LAYERS.Dense(12)(LAYERS.Permute((2, 1))(tokens)))
        outputs = LAYERS.Dense(3)(LAYERS.GlobalAveragePooling1D()(tokens + mixed))
        with pytest.raises(ValueError, match=r"'patches'.*tokens.*`reshape`"):
            received(keras.Model(inputs, outputs))

    def test_a_class_token_in_a_series(self):
        inputs = keras.Input(SHAPES[1])
        tokens = ClassToken()(LAYERS.Dense(4, name="points")(inputs))
        tokens = LAYERS.MultiHeadAttention(1, 4)(tokens, tokens)
        with pytest.raises(ValueError, match=r"'points'.*tokens.*`reshape`"):
            received(keras.Model(inputs, LAYERS.Dense(3)(tokens[:, 0])))

    def test_heads_on_tokens_take_the_maps_before(self):
        def head(name, tokens):
            if name == "mean":
                return LAYERS.GlobalAveragePooling1D()(tokens)
            if name == "recurrent":
                return LAYERS.LSTM(3)(tokens)
            shares = keras.ops.softmax(LAYERS.Dense(1)(tokens), axis=1)
            return keras.ops.matmul(keras.ops.transpose(shares, (0, 2, 1)), tokens)[:, 0]

        for name in ("mean", "recurrent", "attention"):
            inputs = keras.Input(SHAPES[2])
            maps = LAYERS.Conv2D(4, 3, name="maps")(inputs)
            features = head(name, LAYERS.Reshape((-1, 4))(maps))
            assert received(keras.Model(inputs, LAYERS.Dense(3)(features))) == "maps", name

    def test_tokens_that_become_maps_again(self):
        inputs = keras.Input((8, 6, 2))
        maps = LAYERS.Conv2D(6, 2, strides=2)(inputs)
        tokens = LAYERS.Reshape((12, 6))(maps)
        mixed = LAYERS.Reshape((4, 3, 6))(LAYERS.MultiHeadAttention(2, 3)(tokens, tokens))
        pooled = LAYERS.GlobalAveragePooling2D()(LAYERS.ReLU(name="last")(maps + mixed))
        assert received(keras.Model(inputs, LAYERS.Dense(3)(pooled))) == "last"

    @pytest.mark.slow
    def test_a_reshape_that_makes_no_maps_is_rejected(self):
        model, _ = transformer(class_token=True)
        x = np.ones((1, 8, 6, 2), np.float32)
        with pytest.raises(
            ValueError, match=r"'block'.*\(None, 13, 6\).*Received: shape \(None, 6\)"
        ):
            GradCAM(model, layer="block", reshape=lambda tokens: tokens[:, 0])(x)
        with pytest.raises(ValueError, match="Of tokens, `reshape` makes maps"):
            GradCAM(model, layer="block")(x)
        with pytest.raises(TypeError, match=r"`reshape` must be a function.*layer=None"):
            GradCAM(model, reshape=lambda tokens: tokens)
        with pytest.raises(TypeError, match=r"`reshape` must be a function.*reshape=\(4, 3\)"):
            CAM(model, layer="block", reshape=(4, 3))


class TestVideo:
    @pytest.mark.parametrize("nested", by_default(True, of=[False, True]))
    def test_maps_over_time(self, nested):
        conv = LAYERS.Conv2D(4, 3, activation="relu", name="conv")
        inner = keras.Sequential([keras.Input((9, 8, 2)), conv], name="inner") if nested else conv
        frames = LAYERS.TimeDistributed(inner, name="frames")
        head = [LAYERS.GlobalAveragePooling3D(), LAYERS.Dense(3, name="head")]
        model = keras.Sequential([keras.Input((4, 9, 8, 2)), frames, *head], name="video")
        randomized(model)
        x = np.random.default_rng(0).normal(size=(2, 4, 9, 8, 2)).astype(np.float32)
        maps = np.stack([conv(x[:, time]) for time in range(4)], axis=1)
        expected = maps @ weights_of(model, "head")[0][:, 1]
        found = CAM(model)(x, target=1)
        np.testing.assert_allclose(found.details["map"], expected, atol=1e-5)
        assert found.attributions.shape == (2, 4, 9, 8)
        assert GradCAM(model).map_layers(x) == ("frames",)
        with pytest.raises(ValueError, match=r"/conv' of 'video' runs at each time.*'frames'"):
            GradCAM(model, layer="conv")

    @pytest.mark.slow
    def test_a_recurrent_layer_of_maps(self):
        layers = [
            LAYERS.TimeDistributed(LAYERS.Conv2D(3, 3), name="frames"),
            LAYERS.ConvLSTM2D(3, 3, return_sequences=True, name="states"),
            LAYERS.GlobalAveragePooling3D(),
        ]
        video = [keras.Input((3, 7, 6, 2)), *layers, LAYERS.Dense(3)]
        assert received(keras.Sequential(video)) == "states"
