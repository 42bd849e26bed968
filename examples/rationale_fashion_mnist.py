"""Why is this a shirt and not a pullover? Rationales for a convolutional classifier of Fashion-MNIST.

The classifier takes images and is trained as any other; it is explained by what a Wasserstein GAN can draw
and an encoder can find (Seah et al. 2018). A second classifier, which the search never saw, says whether the
changed images are what they claim to be. An hour on two cores, nearly all of it for the GAN; run again, an
interrupted training goes on.

    python examples/rationale_fashion_mnist.py --out runs/rationale_fashion_mnist
    python examples/rationale_fashion_mnist.py --change 9 5       # from ankle boot to sandal
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, load
from keras import layers
from rationale_networks import Settings, make_encoder, make_generator, show

import keras_pli as kp
from keras_pli import rationale

NAMES = (
    *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def make_classifier(x, y, path, seed):
    """Returns a convolutional classifier, read from the path if it is there."""
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(seed)
    image = keras.Input(x.shape[1:])
    hidden = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    hidden = layers.MaxPooling2D()(hidden)
    hidden = layers.Conv2D(64, 3, padding="same", activation="relu")(hidden)
    hidden = layers.Dropout(0.3)(layers.Flatten()(layers.MaxPooling2D()(hidden)))
    hidden = layers.Dense(64, activation="relu", name="features")(hidden)
    model = keras.Model(image, layers.Dense(int(y.max()) + 1, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, batch_size=128, verbose=2)
    model.save(path)
    return model


def generator_figures(generator, encoder, oracle, x_test, out):
    """Draws samples and reconstructions, and measures both against held-out images."""
    half = len(x_test) // 2
    # Reconstructions are of other images, since they would be too near to their own.
    real, others = x_test[:half], x_test[half:]
    codes = np.random.default_rng(5).normal(size=(len(others), generator.input_shape[1]))
    samples = generator.predict(codes, batch_size=256, verbose=0)
    again = generator.predict(encoder.predict(others, verbose=0), verbose=0)
    for name, made in (("samples", samples), ("reconstructions", again)):
        table = rationale.generator_quality(real, made, oracle, "features")
        print(f"Quality of {name}, in the second classifier's features\n{table.round(3)}")
    rows = [others[:16], again[:16], others[16:32], again[16:32]]
    for name, images in (("samples", samples[:64]), ("reconstructions", np.concatenate(rows))):
        figure = kp.plotting.image_strip(images, columns=16, value_range=(-1, 1))
        kp.plotting.save_figure(figure, out / f"{name}.png", dpi=150)


def main():
    """Trains the networks, or reads those in the folder, and explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/rationale_fashion_mnist"))
    parser.add_argument("--epochs", type=int, default=48, help="of the GAN")
    parser.add_argument("--width", type=int, default=32, help="of generator and encoder")
    parser.add_argument("--change", type=int, nargs=2, default=(6, 2), metavar=("FROM", "TO"))
    parser.add_argument("--images", type=int, default=64, help="how many to change")
    parser.add_argument("--steps", type=int, default=5000, help="most steps of the search")
    arguments = parser.parse_args()
    out = arguments.out
    (x, y), (x_test, y_test) = load(keras.datasets.fashion_mnist, arguments.data)
    x, x_test = (rationale.to_range(part[..., None], source=(0, 255)) for part in (x, x_test))

    settings = Settings(
        latent=64,
        width=arguments.width,
        epochs=arguments.epochs,
        encoder_epochs=max(1, arguments.epochs // 8),
        half_life=2000,
        average_decay=0.998,
    )
    generator = make_generator(x, x_test, settings, out)
    encoder = make_encoder(x, x_test, generator, settings, out)
    classifier = make_classifier(x, y, out / "classifier.keras", seed=0)
    oracle = make_classifier(x, y, out / "oracle.keras", seed=7)
    generator_figures(generator, encoder, oracle, x_test, out)

    predicted = classifier.predict(x_test, batch_size=256, verbose=0).argmax(axis=1)
    print(f"Accuracy on {len(x_test)} held-out images: {np.mean(predicted == y_test):.3f}")
    leave, target = arguments.change
    chosen = x_test[(predicted == leave) & (y_test == leave)][: arguments.images]
    explain = rationale.RationaleGenerator(
        generator,
        encoder,
        classifier,
        confidence=0.99,
        steps=arguments.steps,
        class_names=NAMES,
    )
    why = explain(chosen, target=target, verbose=1)
    agrees = rationale.oracle_agreement(oracle, why.images, why.target)[why.reached]
    print(f"{why.summary()}; a second classifier agrees with {agrees.mean():.1%} of those reached")
    for verdict in why.verdicts[:6]:
        print(verdict)
    title = f"Why {NAMES[leave]} and not {NAMES[target]}"
    show(why, classifier, out, title, window=8)


if __name__ == "__main__":
    main()
