"""Why is this a 9 and not a 4? Rationales for scikit-learn's digits, in under 3 minutes on two cores.

A Wasserstein GAN learns to draw digits, an encoder to find their codes, and a linear classifier to read these
(Seah et al. 2018, "Generating Visual Rationales through Latent Space Optimization"). Then nines are changed
until the classifier sees fours. The last picture has what saliency, occlusion, integrated gradients and LIME
say about the same nines.

    python examples/rationale_digits.py --out runs/rationale_digits
    python examples/rationale_digits.py --models saved_models/rationale_digits      # seconds
    python examples/rationale_digits.py --data file.npz --change 3 8
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, load
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_pli as kp
from keras_pli import attribution, rationale

NETWORKS = ("generator", "encoder", "classifier")
SIZE, LATENT, WIDTH = 16, 20, 24


class Digits:
    """Scikit-learn's digits, in the form of a Keras data set: bytes."""

    @staticmethod
    def load_data():
        """Returns 1,347 digits to train on and 450 others."""
        digits = load_digits()
        parts = train_test_split(
            (digits.images * 255 / 16).astype("uint8"),
            digits.target,
            test_size=0.25,
            stratify=digits.target,
            random_state=0,
        )
        return (parts[0], parts[2]), (parts[1], parts[3])


def prepared(images):
    """Brings bytes to the generator's size and range."""
    boxed = rationale.letterbox(images.reshape(*images.shape[:3], -1), SIZE)
    return rationale.to_range(boxed, source=(0, 255))


def train(x, y, epochs):
    """Trains the three networks on images in [-1, 1]."""
    gan = rationale.WassersteinGAN(
        x.shape[1:], latent_size=LATENT, width=WIDTH, average_decay=0.99, seed=0
    )
    gan.compile(learning_rate=1e-3)
    gan.fit(x, epochs=epochs, batch_size=32, verbose=0)
    generator = gan.best_generator

    autoencoder = rationale.GeneratorEncoder(generator, width=WIDTH, seed=0)
    autoencoder.fit(x, epochs=max(1, epochs // 4), batch_size=32, verbose=0)

    codes = keras.Input((LATENT,), name="codes")
    head = keras.layers.Dense(int(y.max()) + 1, activation="softmax")
    classifier = keras.Model(codes, head(codes), name="classifier")
    classifier.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    classifier.fit(autoencoder.encode(x), y, epochs=60, verbose=0)
    return generator, autoencoder.encoder, classifier


def saved(networks, folder):
    """Stores networks without the state of their training."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in zip(NETWORKS, networks, strict=True):
        keras.Model(network.inputs, network.outputs, name=name).save(folder / f"{name}.keras")


def beside_attributions(why, encoder, classifier):
    """The rationales beside maps of other methods for the same images and the same prediction."""
    model = rationale.through_encoder(encoder, classifier)
    window = SIZE // 4
    methods = {
        "Saliency": attribution.Saliency(model),
        f"Occlusion, window {window}": attribution.Occlusion(model, window=window, stride=1),
        "Integrated gradients": attribution.IntegratedGradients(model, baseline=-1.0),
        "LIME": attribution.LIME(model),
    }
    maps = {"Rationale": why.rationales}
    for name, method in methods.items():
        maps[name] = method(why.originals, why.predicted).attributions
    return kp.plotting.attribution_grid(why.originals, maps, value_range=(-1, 1))


def main():
    """Trains or reads the networks, and explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/rationale_digits"))
    parser.add_argument("--models", type=Path, help="folder of networks, in place of training")
    parser.add_argument("--epochs", type=int, default=240)
    parser.add_argument("--change", type=int, nargs=2, default=(9, 4), metavar=("FROM", "TO"))
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = load(Digits, arguments.data)
    x, x_test = prepared(x), prepared(x_test)

    start = time.perf_counter()
    if arguments.models:
        networks = [
            keras.saving.load_model(arguments.models / f"{name}.keras") for name in NETWORKS
        ]
    else:
        networks = train(x, y, arguments.epochs)
        saved(networks, arguments.out)
    generator, encoder, classifier = networks
    codes = encoder.predict(x_test, verbose=0)
    predicted = classifier.predict(codes, verbose=0).argmax(axis=1)
    print(
        f"Networks after {time.perf_counter() - start:.0f} s; "
        f"accuracy on {len(x_test)} held-out digits: {np.mean(predicted == y_test):.3f}"
    )

    leave, target = arguments.change
    chosen = x_test[(predicted == leave) & (y_test == leave)]
    # At p = 0.9 the change often looks like neither; beyond it other classifiers agree.
    explain = rationale.RationaleGenerator(generator, encoder, classifier, confidence=0.999)
    start = time.perf_counter()
    why = explain(chosen, target=target)
    print(f"{why.summary()}; {(time.perf_counter() - start) / len(why):.3f} s an image")
    for verdict in why.verdicts[:6]:
        print(verdict)

    title = f"Why {leave} and not {target}"
    kp.plotting.save_figure(why.plot(most=6, title=title), arguments.out / "rationales.png")
    kp.plotting.save_figure(why.plot_path(0), arguments.out / "path.png")
    figure = beside_attributions(why[:4], encoder, classifier)
    kp.plotting.save_figure(figure, arguments.out / "beside.png")
    page = why.to_html(arguments.out / "rationales.html", title=title)
    print(f"See {page} and the pictures beside it.")


if __name__ == "__main__":
    main()
