"""Trainings of GANs and of an encoder: some steps of SGD, in which a wrong scale of a gradient shows."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

SHAPE = (8, 8, 1)
BATCH = 4


def images(count=32, seed=1):
    """Images of the range that generators have."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype("float32")


def generator():
    """From three numbers to an image."""
    import keras

    layers = [keras.layers.Dense(64, "tanh"), keras.layers.Reshape(SHAPE)]
    return keras.Sequential([keras.Input((3,)), *layers])


def adversary():
    """From an image to a score."""
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def classifier():
    """From an image to two classes."""
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def step_recorder():
    """A callback that keeps the logs of each step, apart from those of the validation."""
    from trainings import recorder

    return recorder()


def found(steps, history, *networks):
    """What a training gave, as arrays by name."""
    weights = [each for network in networks for each in network.get_weights()]
    return {
        "steps": np.array(steps.losses),
        **{name: np.array(values) for name, values in history.items()},
        **{f"weight{number}": np.array(each) for number, each in enumerate(weights)},
    }


def encoder_fitted(strategy, data, *, activity=None, **settings):
    """Trains an encoder with losses of its own layers, of a generator made outside of the scope."""
    import keras

    from keras_pli.rationale import GeneratorEncoder

    decoder = generator()
    dense = {"kernel_regularizer": "l2", "activity_regularizer": activity}
    layers = [keras.layers.Flatten, lambda: keras.layers.Dense(3, **dense)]
    with strategy.scope():
        network = keras.Sequential([keras.Input(SHAPE), *(layer() for layer in layers)])
        encoder = GeneratorEncoder(decoder, encoder=network, levels=1)
        encoder.compile(keras.optimizers.SGD(0.1))
    steps = step_recorder()
    history = encoder.fit(data, epochs=2, verbose=0, callbacks=[steps], **settings).history
    return found(steps, history, encoder.encoder)


def encoder(strategy):
    """Batches that are shared out evenly."""
    held_out = images(6, seed=2)
    return encoder_fitted(
        strategy, images(20), activity="l2", batch_size=4, validation_data=held_out
    )


def encoder_uneven(strategy):
    """Batches that cannot be shared out evenly, and one of a single image in the validation."""
    given = encoder_fitted(strategy, images(20), batch_size=5, validation_data=images(6, seed=2))
    del given["steps"]  # of which Keras takes the mean over replicas
    return given


def wasserstein(strategy, **settings):
    """A GAN of given networks, its adversary updated three times a step."""
    import keras

    from keras_pli.rationale import WassersteinGAN

    with strategy.scope():
        gan = WassersteinGAN(
            SHAPE,
            generator=generator(),
            critic=adversary(),
            critic_steps=3,
            average_decay=0.9,
            seed=3,
            **settings,
        )
        gan.compile(
            keras.optimizers.SGD(0.1, momentum=0.5), keras.optimizers.SGD(0.05, momentum=0.5)
        )
    return gan


def class_latent(strategy):
    """A GAN of a frozen classifier."""
    import keras

    from keras_pli.rationale import ClassLatentGAN

    judge = classifier()
    with strategy.scope():
        gan = ClassLatentGAN(
            judge,
            structure_size=2,
            block_size=1,
            generator=generator(),
            discriminator=adversary(),
            average_decay=0.9,
            seed=3,
        )
        gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.05))
    return gan


def fitted(gan, data=None, epochs=2, **settings):
    """What a GAN's training gave."""
    steps = step_recorder()
    settings = {"validation_data": images(7, seed=2)} | settings
    history = gan.fit(
        images() if data is None else data,
        epochs=epochs,
        batch_size=BATCH,
        verbose=0,
        callbacks=[steps],
        **settings,
    ).history
    networks = [gan.generator, gan._adversary, gan.averaged]
    return found(steps, history, *networks) | {"done": np.array(int(gan.steps_done.numpy()))}


def wasserstein_of_arrays(strategy):
    """Arrays."""
    return fitted(wasserstein(strategy))


def wasserstein_of_data_set(strategy):
    """A data set whose batches are of another size."""
    import tensorflow as tf

    return fitted(wasserstein(strategy), tf.data.Dataset.from_tensor_slices(images()).batch(5))


def class_latent_of_arrays(strategy):
    """Arrays."""
    return fitted(class_latent(strategy), images(12))


def resumed(strategy):
    """A training that is saved, loaded and continued."""
    from keras_pli.rationale import WassersteinGAN

    gan = wasserstein(strategy)
    fitted(gan, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        gan.save(Path(folder) / "gan.keras")
        with strategy.scope():
            gan = WassersteinGAN.load(Path(folder) / "gan.keras")
    return fitted(gan, epochs=2, initial_epoch=1)


def restored(strategy):
    """A training that breaks off and is restored from its backup."""
    import keras

    class BreakOff(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        backup = keras.callbacks.BackupAndRestore(Path(folder) / "backup")
        with contextlib.suppress(KeyboardInterrupt):
            wasserstein(strategy).fit(
                images(), epochs=2, batch_size=BATCH, verbose=0, callbacks=[backup, BreakOff()]
            )
        gan = wasserstein(strategy)
        gan.fit(images(), epochs=2, batch_size=BATCH, verbose=0, callbacks=[backup])
    return found(step_recorder(), {}, gan.generator, gan.critic, gan.averaged)


def failed(strategy):
    """Images that are not finite, in the second replica's rows of the second step alone."""
    import tensorflow as tf

    given = images(24)
    # A step's 12 images are three groups of four, of which the last two are the second replica's.
    given[12 + 4 + 3] = np.nan
    data = tf.data.Dataset.from_tensor_slices(given).batch(12)
    gan = wasserstein(strategy, value_range=None)
    try:
        gan.fit(data, epochs=1, batch_size=BATCH, verbose=0)
        raise AssertionError("a failure was not noticed")
    except FloatingPointError as error:
        assert "in step 1" in str(error), error
    return found(step_recorder(), {}, gan.generator, gan.critic) | {
        "failed": np.array([int(gan.failed_at.numpy()), int(gan.steps_done.numpy())])
    }


TRAININGS = {
    "encoder": encoder,
    "wasserstein_of_arrays": wasserstein_of_arrays,
    "class_latent_of_arrays": class_latent_of_arrays,
    "failed": failed,
    "encoder_uneven": encoder_uneven,
    "wasserstein_of_data_set": wasserstein_of_data_set,
    "uninterrupted": wasserstein_of_arrays,
    "resumed": resumed,
    "restored": restored,
}
