"""Grids of generated images after each epoch: of the model as it was, from the same codes."""

import class_latent_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pli import plotting
from keras_pli.callbacks.generated_samples import GeneratedSamples
from keras_pli.rationale import ClassLatentGAN


class Painter(keras.Model):
    """Paints every pixel with its one weight, which training raises, and notes what it is asked for."""

    def __init__(self):
        super().__init__()
        self.shade = self.add_weight(shape=(), initializer="zeros", name="shade")
        self.asked = []

    def call(self, x):
        return x + self.shade

    def generate(self, count, seed):
        self.asked.append((count, seed))
        return np.full((count, 8, 8, 1), np.clip(self.shade.numpy(), -1, 1))


def trained(callback, epochs):
    model = Painter()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(np.zeros((4, 1)), np.ones((4, 1)), epochs=epochs, verbose=0, callbacks=callback)
    return model


def shade_of(path):
    """The grey in the middle of the first image."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return int(pixels[-pixels.shape[0] // 4, 40])


def test_each_epoch_is_drawn_as_the_model_was(tmp_path):
    model = trained(GeneratedSamples(tmp_path, count=3, seed=7), 2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-000.png", "epoch-001.png", "epoch-002.png"]
    assert model.asked == [(3, 7)] * 3
    # Shades 0, 0.2 and 0.36 of a range from -1 to 1.
    shades = [shade_of(tmp_path / name) for name in names]
    np.testing.assert_allclose(shades, [127, 153, 173], atol=4)


@pytest.mark.slow
def test_every_other_epoch_and_a_range_of_one_s_own(tmp_path):
    trained(GeneratedSamples(tmp_path, 2, count=1, value_range=(0.0, 1.0)), 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000.png", "epoch-002.png"]
    assert shade_of(tmp_path / "epoch-000.png") < 5


@pytest.mark.slow
def test_pictures_in_tensorboard(tmp_path):
    trained(GeneratedSamples(tmp_path / "grids", count=2, log_dir=tmp_path / "logs"), 1)
    steps = []
    for file in (tmp_path / "logs").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            steps += [event.step for value in event.summary.value if value.tag == "generated"]
    assert sorted(steps) == [0, 1]


@pytest.mark.slow
def test_a_class_latent_gan_has_its_classes_in_columns(tmp_path, monkeypatch):
    """Images of a linear generator: of class 0 what the structure draws, of class 1 that and its own code."""
    weights = class_latent_models.drawing()
    gan = ClassLatentGAN(
        class_latent_models.random_classifier(),
        structure_size=class_latent_models.STRUCTURE,
        block_size=class_latent_models.BLOCK,
        generator=class_latent_models.generator(weights),
        discriminator=keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
        ),
        value_range=None,
    )
    drawn = []
    strip = plotting.image_strip
    monkeypatch.setattr(
        plotting, "image_strip", lambda *a, **k: drawn.append((a, k)) or strip(*a, **k)
    )
    callback = GeneratedSamples(tmp_path, count=7, seed=4)
    callback.set_model(gan)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    (((images,), settings), ((again,), _)) = drawn
    codes = np.linalg.lstsq(weights.T, images.reshape(7, -1).T, rcond=None)[0].T
    of_class = np.abs(codes[:, class_latent_models.STRUCTURE :]).max(axis=1) > 1e-4
    assert of_class.tolist() == [False, True, False, True, False, True, False]
    assert settings["columns"] == 4
    np.testing.assert_array_equal(images, again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000.png", "epoch-001.png"]


def test_bad_arguments(tmp_path):
    for name in ("every", "count"):
        with pytest.raises(ValueError, match=f"`{name}`.*0"):
            GeneratedSamples(tmp_path, **{name: 0})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="Sequential"):
        model.fit(np.zeros((4, 1)), np.zeros(4), verbose=0, callbacks=[GeneratedSamples(tmp_path)])
