"""Pictures of samples, decoded again and compared with the pixels that they were made of."""

import io

import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from keras_pli.plotting.images import scaled_pixels
from keras_pli.plotting.page import DARK_GROUND
from keras_pli.plotting.style import contrast
from keras_pli.studio.samples.pictures import Pictures
from keras_pli.studio.samples.sample_shape import SampleShape

RNG = np.random.default_rng(0)


def decoded(picture):
    image = Image.open(io.BytesIO(picture.png))
    assert image.format == "PNG"
    assert image.size == (picture.width, picture.height)
    return np.asarray(image)


def in_bytes(values):
    return np.rint(255 * values).astype(int)


class TestImages:
    @pytest.mark.parametrize("channels", [(), (1,)])
    @pytest.mark.parametrize("scale", [1.0, 0.3, 1000.0])
    def test_floats_of_any_range_are_scaled_as_in_figures(self, channels, scale):
        x = (RNG.random((6, 8, 5, *channels)) * scale).astype(np.float32)
        x[0, 0, 0] = 0 if scale <= 1 else -scale
        found = decoded(Pictures(x).of(2, size=8))
        np.testing.assert_array_equal(found, in_bytes(scaled_pixels(x, None)[2]))

    def test_bytes_stay_what_they_are(self):
        x = RNG.integers(0, 256, (4, 7, 9, 3), dtype=np.uint8)
        np.testing.assert_array_equal(decoded(Pictures(x).of(3, size=9)), x[3])

    def test_enlarged_pixels_stay_squares(self):
        x = RNG.integers(0, 256, (2, 4, 6), dtype=np.uint8)
        found = decoded(Pictures(x).of(1, size=30))
        np.testing.assert_array_equal(found, np.kron(x[1], np.ones((5, 5), int)))

    def test_large_ones_are_averaged(self):
        x = RNG.integers(0, 256, (2, 12, 16), dtype=np.uint8)
        blocks = x[1].reshape(3, 4, 4, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(
            decoded(Pictures(x).of(1, size=4)), blocks, atol=1
        )  # rounded along each axis

    def test_all_samples_share_one_scale(self):
        x = np.stack([np.full((8, 8), 1.0), np.full((8, 8), 3.0)])
        pictures = Pictures(x)
        assert (decoded(pictures.of(0)) == 0).all()
        assert (decoded(pictures.of(1)) == 255).all()

    def test_of_a_sample_that_is_not_finite_a_sentence_and_the_others_as_they_are(self):
        x = RNG.random((3, 8, 8))
        x[1, 2, 3:5] = np.nan, np.inf
        pictures = Pictures(x)
        with pytest.raises(ValueError, match=r"Sample 1 cannot be shown: 2 of its 64 values"):
            pictures.of(1)
        np.testing.assert_array_equal(decoded(pictures.of(2, size=8)), in_bytes(x[2]))

    def test_bad_input(self):
        pictures = Pictures(np.zeros((3, 8, 8)))
        with pytest.raises(ValueError, match=r"`index` must be .* less than 3. Received: 3"):
            pictures.of(3)
        with pytest.raises(ValueError, match=r"`size` must be .* less than 2049. Received: 9999"):
            pictures.of(0, size=9999)


class TestVolumes:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_middle_slices_side_by_side(self, channels):
        x = RNG.integers(0, 256, (2, 6, 8, 20, channels), dtype=np.uint8)
        x = x if channels == 3 else x[..., :1]
        model = keras.Sequential(
            [keras.Input((6, 8, 20, channels)), keras.layers.Conv3D(1, 3), keras.layers.Flatten()]
        )
        found = decoded(Pictures(x, model).of(1, size=20 + 20 + 8 + 4))
        assert found.shape == (8, 52, 4)
        planes = (x[1, 3], x[1, :, 4], x[1, :, :, 10])
        left = 0
        for plane in planes:
            height, width = plane.shape[:2]
            top = (8 - height) // 2
            shown = found[top : top + height, left : left + width]
            np.testing.assert_array_equal(
                shown[..., :3], np.broadcast_to(plane, (*plane.shape[:2], 3))
            )
            assert (shown[..., 3] == 255).all()
            left += width + 2
        assert (found[:, 20:22, 3] == 0).all()  # the gap is clear

    def test_without_channels(self):
        assert SampleShape.of(np.zeros((2, 30, 40, 24))).kind == "volume"


class TestSignals:
    def test_curve_follows_the_values(self):
        ramp = np.linspace(0, 1, 200, dtype=np.float32)
        found = decoded(Pictures(ramp[None]).of(0, size=80))
        assert found.shape == (40, 80, 4)
        rows = np.arange(40)
        for column in (10, 40, 70):
            ink = found[:, column, 3].astype(float)
            middle = (rows * ink).sum() / ink.sum()
            assert middle == pytest.approx(39 - 39 * column / 79, abs=1.5)
        assert (found[0, 0, 3], found[39, 79, 3]) == (0, 0)  # a clear ground

    def test_channels_are_drawn_below_each_other(self):
        x = np.zeros((1, 100, 4), np.float32)
        x[..., 1:] = 0.5
        ink = decoded(Pictures(x).of(0, size=100))[..., 3].max(axis=1)
        bands = np.diff(np.flatnonzero(np.diff((ink > 0).astype(int), prepend=0) == 1))
        assert len(bands) == 3

    def test_line_can_be_seen_on_light_and_dark_grounds(self):
        found = decoded(Pictures(np.ones((1, 20))).of(0, size=64))
        line = found.reshape(-1, 4)[found[..., 3].argmax(), :3] / 255
        dark = to_rgb(DARK_GROUND)
        assert found[..., 3].max() > 200
        assert contrast(line, (1, 1, 1)) > 4
        assert contrast(line, dark) > 4


class TestWhatCannotBeShown:
    @pytest.mark.parametrize(
        ("x", "why"),
        [
            (
                np.zeros((2, 8, 8, 7)),
                r"1 channel \(grey\) or 3 .* These have 7, in shape \(8, 8, 7\)",
            ),
            (np.zeros((2, 8, 8, 8, 2)), r"Volumes of 1 channel .* These have 2"),
            (np.zeros((2, 0, 8)), r"shape \(0, 8\) hold no values"),
            (np.zeros((2, 4)), "4 values are shown by no picture"),
            (np.array(["a", "b"]), "Numbers can be shown"),
            (np.zeros((2, 3, 3, 3, 3, 3)), "Signals, images and volumes"),
            (np.zeros(2), "1 values are shown"),
        ],
    )
    def test_a_sentence_says_why(self, x, why):
        pictures = Pictures(x)
        assert pictures.shape.kind == "other"
        with pytest.raises(ValueError, match=why):
            pictures.of(0)

    def test_ids(self):
        layers = [keras.layers.Embedding(9, 2), keras.layers.Flatten(), keras.layers.Dense(2)]
        model = keras.Sequential([keras.Input((20,), dtype="int32"), *layers])
        ids = RNG.integers(0, 9, (3, 20))
        assert "Ids, as those of words" in SampleShape.of(ids, model).why
        assert SampleShape.of(ids).kind == "signal"  # nothing tells that they are ids


class TestWhatSamplesAre:
    def of(self, shape, *layers):
        model = keras.Sequential([keras.Input(shape), *layers, keras.layers.Flatten()])
        return SampleShape.of(np.zeros((2, *shape)), model)

    def test_the_layers_tell_channels_from_columns(self):
        assert self.of((28, 28)).kind == "image"
        assert self.of((28, 28), keras.layers.Conv1D(2, 3)).kind == "signal"
        assert self.of((8, 8, 16), keras.layers.Conv2D(2, 3)).why
        assert self.of((8, 8, 16, 1), keras.layers.MaxPooling3D(2)).kind == "volume"

    def test_of_several_inputs_the_first_that_can_be_shown(self):
        x = {"table": np.zeros((3, 4)), "scan": RNG.random((3, 8, 8, 1))}
        pictures = Pictures(x)
        assert pictures.shape.kind == "image"
        expected = in_bytes(scaled_pixels(x["scan"], None)[1])
        np.testing.assert_array_equal(decoded(pictures.of(1, size=8)), expected)

    def test_several_inputs_of_which_none_can_be_shown(self):
        with pytest.raises(ValueError, match=r"None of the 2 inputs can be shown: 'a', 'b'"):
            Pictures({"a": np.zeros((3, 4)), "b": np.zeros((3, 2))}).of(0)
