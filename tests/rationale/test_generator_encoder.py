"""The autoencoder of a frozen generator: it learns, it saves a plain model, the generator stays."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_pli.rationale.generators.encoder import GeneratorEncoder
from keras_pli.rationale.generators.networks import dcgan_encoder, dcgan_generator
from keras_pli.rationale.generators.pyramid import laplacian_loss

SHAPE, LATENT = (16, 16, 1), 4


def generator_of(seed=0):
    return dcgan_generator(SHAPE, latent_size=LATENT, width=4, seed=seed)


def images_of(generator, count, seed):
    codes = np.random.default_rng(seed).normal(size=(count, LATENT)).astype("float32")
    return generator.predict(codes, verbose=0)


def training(images, epochs):
    generator = generator_of()
    generator.layers[1].trainable = False  # a flag of the caller's own
    before = [weight.copy() for weight in generator.get_weights()]
    flags = [layer.trainable for layer in generator.layers]
    autoencoder = GeneratorEncoder(generator, width=8)
    autoencoder.compile(keras.optimizers.Adam(2e-3))
    x, held_out = images_of(generator, images, 0), images_of(generator, 64, 1)
    history = autoencoder.fit(x, epochs=epochs, batch_size=32, validation_data=held_out, verbose=0)
    return autoencoder, history.history, held_out, before, flags


@pytest.fixture(scope="module")
def trained():
    return training(images=64, epochs=3)


def test_the_error_falls_within_a_few_steps(trained):
    history = trained[1]
    for name in ("val_laplacian", "val_mse", "laplacian", "mse"):
        assert history[name][-1] < history[name][0]


@pytest.mark.slow
def test_the_error_falls_far_on_held_out_images():
    _, history, held_out, _, _ = training(images=512, epochs=10)
    for name in ("val_laplacian", "val_mse", "laplacian", "mse"):
        assert history[name][-1] < 0.6 * history[name][0]
    # Far below what any one image for all would have.
    assert history["val_mse"][-1] < 0.4 * held_out.var(axis=0).mean()
    assert history["val_loss"] == history["val_laplacian"]


def test_logs_are_the_errors_of_the_reconstructions(trained):
    autoencoder, history, held_out, _, _ = trained
    found = autoencoder.evaluate(held_out, batch_size=24, verbose=0, return_dict=True)
    again = autoencoder.generator.predict(
        autoencoder.encoder.predict(held_out, verbose=0), verbose=0
    )
    assert found["mse"] == pytest.approx(np.square(held_out - again).mean(), rel=1e-4)
    distances = laplacian_loss(held_out, again, levels=3).numpy()
    assert found["laplacian"] == pytest.approx(distances.mean(), rel=1e-4)
    assert found["mse"] == pytest.approx(history["val_mse"][-1], rel=1e-4)
    np.testing.assert_allclose(autoencoder.reconstruct(held_out), again, atol=1e-5)
    codes = autoencoder.encode(held_out)
    assert codes.shape == (64, LATENT)
    np.testing.assert_allclose(codes[3:4], autoencoder.encode(held_out[3:4]), atol=1e-5)


def test_the_generator_is_bit_for_bit_what_it_was_and_so_are_its_flags(trained):
    autoencoder, _, _, before, flags = trained
    for one, other in zip(before, autoencoder.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [layer.trainable for layer in autoencoder.generator.layers] == flags
    mine = {id(variable) for variable in autoencoder.encoder.trainable_variables}
    assert {id(variable) for variable in autoencoder.trainable_variables} == mine


def test_what_is_saved_is_a_plain_encoder(trained, tmp_path):
    autoencoder, _, held_out, _, _ = trained
    autoencoder.save(tmp_path / "encoder.keras")
    plain = keras.saving.load_model(tmp_path / "encoder.keras", custom_objects={})
    assert type(plain) is keras.Model or type(plain).__module__.startswith("keras.")
    np.testing.assert_array_equal(
        plain.predict(held_out, verbose=0), autoencoder.encoder.predict(held_out, verbose=0)
    )


def weights_after(jit_compile, *parts):
    generator = generator_of()
    x = images_of(generator, 32, 0)
    keras.utils.set_random_seed(len(parts))  # which must not matter
    autoencoder = GeneratorEncoder(generator, width=2, levels=1, seed=5)
    autoencoder.compile(keras.optimizers.Adam(1e-4), jit_compile=jit_compile)
    for epochs in parts:
        autoencoder.fit(x, epochs=epochs, batch_size=16, verbose=0)
    return autoencoder.encoder.get_weights()


@pytest.mark.slow
def test_training_is_bit_for_bit_the_same_in_two_parts(untraced):
    with untraced():
        whole, resumed = weights_after(False, 2), weights_after(False, 1, 1)
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow  # XLA compiles it for seconds
def test_training_is_the_same_under_xla():
    for plain, compiled in zip(weights_after(False, 2), weights_after(True, 2), strict=True):
        np.testing.assert_allclose(plain, compiled, atol=1e-5)


@pytest.mark.slow
def test_a_given_encoder_with_penalties_of_its_own_and_a_data_set():
    generator = generator_of()
    encoder = keras.Sequential(
        [keras.Input(SHAPE), layers.Flatten(), layers.Dense(LATENT, activity_regularizer="l2")]
    )
    autoencoder = GeneratorEncoder(generator, encoder=encoder)
    assert autoencoder.encoder is encoder
    data = tf.data.Dataset.from_tensor_slices(images_of(generator, 20, 0)).batch(10)
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: steps.append(step))
    history = autoencoder.fit(
        data, batch_size=5, validation_data=data, verbose=0, callbacks=[count]
    ).history
    assert history["val_loss"][0] > history["val_laplacian"][0]
    assert len(steps) == 4


def test_bad_input_is_quoted():
    generator = generator_of()
    with pytest.raises(ValueError, match=r"\(4,\).*\(5,\)"):
        GeneratorEncoder(generator, encoder=dcgan_encoder(SHAPE, latent_size=5, width=2))
    with pytest.raises(ValueError, match=r"\(16, 16, 1\).*\(20, 16, 1\)"):
        GeneratorEncoder(generator, encoder=dcgan_encoder((20, 16, 1), latent_size=4, width=2))
    autoencoder = GeneratorEncoder(generator, width=2)
    with pytest.raises(ValueError, match="from 0 to 2"):
        autoencoder.fit(np.linspace(0, 2, 4 * 256).reshape(4, *SHAPE))
    with pytest.raises(ValueError, match=r"\(4, 8, 8, 1\)"):
        autoencoder.encode(np.zeros((4, 8, 8, 1)))
