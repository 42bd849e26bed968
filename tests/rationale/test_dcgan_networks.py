"""Generator, critic and encoder: their form, their range, and weights that keep signals alive."""

import keras
import numpy as np
import pytest
from slow_cases import slow

from keras_pli.rationale.generators.networks import dcgan_critic, dcgan_encoder, dcgan_generator

SHAPES = [(16, 16, 1), (28, 28, 1), (32, 32, 3), (20, 48, 1), (128, 128, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_lead_from_codes_to_images_and_back(shape):
    generator = dcgan_generator(shape, latent_size=12, width=4)
    encoder = dcgan_encoder(shape, latent_size=12, width=4)
    critic = dcgan_critic(shape, width=4)
    assert generator.input_shape == (None, 12) and generator.output_shape == (None, *shape)
    assert encoder.input_shape == (None, *shape) and encoder.output_shape == (None, 12)
    assert critic.input_shape == (None, *shape) and critic.output_shape == (None, 1)


@pytest.mark.parametrize("build", [dcgan_generator, dcgan_critic, dcgan_encoder])
def test_no_layer_that_mixes_samples_drops_gradients_or_lacks_them_in_xla(build):
    layers = build((28, 28, 1), width=4).layers
    kinds = (
        keras.layers.BatchNormalization,
        keras.layers.UpSampling2D,
        keras.layers.MaxPooling2D,
        keras.layers.Dropout,
    )
    assert not any(isinstance(layer, kinds) for layer in layers)
    activations = [
        layer.activation.__name__ for layer in layers if isinstance(layer, keras.layers.Activation)
    ]
    ends = ["tanh"] if build is dcgan_generator else []
    assert activations == ["selu"] * (len(activations) - len(ends)) + ends


@pytest.mark.parametrize("shape", [(28, 28, 1), slow((64, 64, 3))])
def test_signals_keep_their_variance_through_fresh_networks(shape):
    # Klambauer et al. 2017: with LeCun's normal, SELU holds mean 0 and variance 1.
    codes = np.random.default_rng(0).normal(size=(200, 100)).astype("float32")
    generator = dcgan_generator(shape, width=16)
    hidden = keras.Model(
        generator.input,
        [layer.output for layer in generator.layers if isinstance(layer, keras.layers.Activation)],
    ).predict(codes, verbose=0)
    for output in hidden[:-1]:
        assert np.std(output) == pytest.approx(1.0, abs=0.2)
    # tanh of a standard normal has a standard deviation of 0.63; 1 would be saturation.
    assert np.std(hidden[-1]) == pytest.approx(0.6, abs=0.1)


def test_they_are_in_float32_whatever_the_policy():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        networks = [dcgan_generator((16, 16, 1), width=2), dcgan_critic((16, 16, 1), width=2)]
    finally:
        keras.config.set_dtype_policy(before)
    for network in networks:
        assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}
        assert {weight.dtype for weight in network.weights} == {"float32"}


def test_the_seed_decides_the_weights():
    one, same, other = (dcgan_generator((16, 16, 1), width=2, seed=seed) for seed in (1, 1, 2))
    for first, second in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((30, 28, 1), r"\(30, 28, 1\)"),
        ((12, 16, 1), "from 16 to 128"),
        ((132, 128, 1), "from 16 to 128"),
        ((28, 28, 2), "1 or 3 channels"),
        ((28, 28), r"\(height, width, channels\)"),
        ((28.0, 28, 1), r"\(height, width, channels\)"),
    ],
)
@pytest.mark.parametrize("build", [dcgan_generator, dcgan_critic, dcgan_encoder])
def test_other_shapes_are_refused(build, shape, said):
    with pytest.raises(ValueError, match=said):
        build(shape)


def test_sizes_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"`width`.*0"):
        dcgan_generator((28, 28, 1), width=0)
    with pytest.raises(ValueError, match=r"`latent_size`.*-1"):
        dcgan_encoder((28, 28, 1), latent_size=-1)
