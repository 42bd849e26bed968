"""What the rationale examples share: networks trained in a folder, and the pictures of what they explain.

An interrupted training is resumed when the same command runs again; what a folder holds
already is not trained again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

import keras_pli as kp
from keras_pli import attribution, rationale
from keras_pli.callbacks import GeneratedSamples

BATCH = 32


@dataclass(frozen=True)
class Settings:
    """How wide the networks are, and how long they train."""

    latent: int
    width: int
    epochs: int  # of the GAN
    encoder_epochs: int
    rate: float = 1e-3
    half_life: int | None = None  # generator steps until the GAN's rate has halved; None keeps it
    average_decay: float = 0.99


def make_generator(x, x_test, settings, folder):
    """Returns a generator of images like x, in [-1, 1], trained as far as the folder does not hold it."""
    finished = folder / "generator.keras"
    if finished.exists():
        return keras.saving.load_model(finished)
    unfinished = folder / "gan.keras"
    if unfinished.exists():
        gan = rationale.WassersteinGAN.load(unfinished)
    else:
        gan = rationale.WassersteinGAN(
            x.shape[1:],
            latent_size=settings.latent,
            width=settings.width,
            average_decay=settings.average_decay,
            seed=0,
        )
        # The critic takes several steps for each of the generator's.
        gan.compile(_adam(settings, 1), _adam(settings, gan.critic_steps))
    gan.fit(
        x,
        epochs=settings.epochs,
        initial_epoch=int(gan.steps_done) // (len(x) // (gan.critic_steps * BATCH)),
        batch_size=BATCH,
        validation_data=x_test[:1024],
        callbacks=[
            keras.callbacks.ModelCheckpoint(unfinished),
            GeneratedSamples(folder / "samples", every=max(1, settings.epochs // 8)),
        ],
        verbose=2,
    )
    return _saved(gan.best_generator, finished)


def make_encoder(x, x_test, generator, settings, folder):
    """Returns an encoder from images to the generator's codes, unless the folder holds it trained."""
    path = folder / "encoder.keras"
    if path.exists():
        return keras.saving.load_model(path)
    autoencoder = rationale.GeneratorEncoder(generator, width=settings.width, seed=0)
    autoencoder.fit(
        x,
        epochs=settings.encoder_epochs,
        batch_size=BATCH,
        validation_data=x_test[:1024],
        verbose=2,
    )
    return _saved(autoencoder.encoder, path)


def make_linear_classifier(x, y, encoder, folder):
    """Returns a linear classifier of codes (Seah et al. 2018), unless the folder holds it trained."""
    path = folder / "classifier.keras"
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(0)
    codes = keras.Input(encoder.output_shape[1:], name="codes")
    head = keras.layers.Dense(int(y.max()) + 1, activation="softmax")
    classifier = keras.Model(codes, head(codes), name="classifier")
    classifier.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    classifier.fit(encoder.predict(x, batch_size=256, verbose=0), y, epochs=60, verbose=0)
    return _saved(classifier, path)


def show(why, model, out, title, *, window):
    """Stores pictures and a page: rationales, one's way, and the same images by four other methods.

    The last is drawn as figures 5 and 8 of Seah et al. (2018); `model` takes images to classes.
    """
    kp.plotting.save_figure(why.plot(most=6, title=title), out / "rationales.png")
    kp.plotting.save_figure(why.plot_path(0), out / "path.png")
    methods = {
        "Saliency": attribution.Saliency(model),
        f"Occlusion, {window} × {window}": attribution.Occlusion(model, window=window, stride=1),
        "Integrated gradients": attribution.IntegratedGradients(model, baseline=-1.0),
        "LIME": attribution.LIME(model),
    }
    first = why[:4]
    maps = {"Rationale": first.rationales}
    for name, method in methods.items():
        maps[name] = method(first.originals, first.predicted).attributions
    figure = kp.plotting.attribution_grid(first.originals, maps, value_range=(-1, 1))
    kp.plotting.save_figure(figure, out / "beside.png")
    page = why.to_html(out / "rationales.html", title=title)
    print(f"See {page} and the pictures beside it.")


def _adam(settings, steps_per_step):
    """Adam, its rate falling as 1 / (1 + t / half-life)."""
    rate = settings.rate
    if settings.half_life is not None:
        steps = settings.half_life * steps_per_step
        rate = keras.optimizers.schedules.InverseTimeDecay(settings.rate, steps, 1.0)
    return keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.9)


def _saved(network, path: Path):
    """Stores a network without the state of its training, and returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = keras.Model(network.input, network.output, name=network.name)
    plain.save(path)
    return plain
