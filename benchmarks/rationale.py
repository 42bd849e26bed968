"""Are the rationales right, and is the generator good enough for them? One table of what must hold.

Each data set trains its own generator, encoder and classifiers, then explains held-out images, beside two
baselines: the pixels changed directly (Wachter) and the nearest real image of the target class. Digits carry
a bright bar that has nothing to do with them and must stay; boxes have their evidence at known places, where
a contaminated and a randomised classifier are held against the honest one; Fashion-MNIST is the long run.

    python benchmarks/rationale.py                  # over an hour on two cores, most for Fashion-MNIST
    python benchmarks/rationale.py --data digits boxes --quick       # minutes; too short for good figures
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import layers
from measure import seconds

from keras_pli import activations, attribution, rationale, synthetic
from keras_pli.rationale import ClassLatentGAN, measure_traversal

EXAMPLE = Path(__file__).parents[1] / "examples" / "rationale_fashion_mnist.py"
BARELY = 0.9  # where the explained classifier has changed its mind, and a second one often has not
SPEED_BATCH, SPEED_STEPS, SINGLES = 64, 300, 4
LABEL_NOISE, TEST_SET = 0.3, 64


@dataclass(frozen=True)
class Settings:
    """How long and how wide to train."""

    latent: int
    width: int
    epochs: int
    rate: float = 1e-3
    encoder_epochs: int = 60
    explained: int = 256
    sure: float = 0.999  # the probability to reach
    folder: Path = Path()  # of the networks for Fashion-MNIST


SETTINGS = {
    "digits": Settings(latent=20, width=24, epochs=240),
    "boxes": Settings(latent=24, width=16, epochs=150, rate=5e-4),
    "fashion": Settings(latent=64, width=32, epochs=48, explained=1000, sure=0.99),
}
QUICK = {
    "digits": {"epochs": 60, "encoder_epochs": 20, "explained": 64},
    "boxes": {"epochs": 40, "encoder_epochs": 20, "explained": 64},
    "fashion": {"epochs": 1, "width": 16, "explained": 64},
}


@dataclass(frozen=True)
class Networks:
    """What a data set's rationales are made with."""

    generator: keras.Model
    encoder: keras.Model
    classifier: keras.Model  # of codes, or of images

    @property
    def of_images(self):
        """The classifier as one of images."""
        if self.classifier.input_shape == self.encoder.input_shape:
            return self.classifier
        return rationale.through_encoder(self.encoder, self.classifier)

    def explain(self, x, target=None, classifier=None, **options):
        """Rationales, and the seconds that they took."""
        search = rationale.RationaleGenerator(
            self.generator, self.encoder, classifier or self.classifier, **options
        )
        search(x[:2], None if target is None else target[:2])  # traced apart from the clock
        return seconds(search, x, target)


def trained(x, y, settings: Settings) -> Networks:
    """Generator, encoder, and a linear classifier of codes (Seah et al. 2018)."""
    gan = rationale.WassersteinGAN(
        x.shape[1:], latent_size=settings.latent, width=settings.width, average_decay=0.99, seed=0
    )
    gan.compile(learning_rate=settings.rate)
    gan.fit(x, epochs=settings.epochs, batch_size=32, verbose=0)
    autoencoder = rationale.GeneratorEncoder(gan.best_generator, width=settings.width, seed=0)
    autoencoder.fit(x, epochs=settings.encoder_epochs, batch_size=32, verbose=0)
    keras.utils.set_random_seed(1)
    codes = keras.Input((settings.latent,))
    head = layers.Dense(int(y.max()) + 1, activation="softmax")
    model = keras.Model(codes, head(codes))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(autoencoder.encode(x), y, epochs=40, verbose=0)
    return Networks(gan.best_generator, autoencoder.encoder, model)


def convolutional(x, y, seed: int, epochs: int = 20, width: int = 16) -> keras.Model:
    """A classifier of images: an oracle, a factor's, or the one that Grad-CAM explains."""
    keras.utils.set_random_seed(seed)
    picture = keras.Input(x.shape[1:])
    hidden = layers.Conv2D(width, 3, padding="same", activation="relu")(picture)
    hidden = layers.Conv2D(2 * width, 3, 2, activation="relu")(hidden)
    hidden = layers.Conv2D(2 * width, 3, 2, activation="relu", name="maps")(hidden)
    hidden = layers.Dropout(0.3)(layers.Flatten()(hidden))
    hidden = layers.Dense(32, activation="relu", name="features")(hidden)
    model = keras.Model(picture, layers.Dense(int(y.max()) + 1, activation="softmax")(hidden))
    optimizer = keras.optimizers.Adam(2e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(x, y, epochs=epochs, batch_size=64, verbose=0)
    return model


def compared(networks: Networks, oracle, x, y, x_test, *, sure, factors=None, classes=None):
    """The measures of ours and both baselines among images whose reconstruction keeps its class."""
    whole = networks.of_images
    ours, took = networks.explain(x_test, confidence=sure)
    barely, _ = networks.explain(x_test, ours.target, confidence=BARELY)
    pixels, of_pixels = seconds(rationale.pixel_search(whole, confidence=sure), x_test, ours.target)
    sees = whole.predict(x, batch_size=256, verbose=0).argmax(axis=1)
    nearest, of_nearest = seconds(
        lambda: rationale.nearest_images(x_test, ours.target, x, sees, whole, confidence=sure)
    )
    kept = rationale.keeps_class(ours, whole)
    table = rationale.evaluate_rationales(
        {"ours": ours, f"ours, p {BARELY:g}": barely, "pixels": pixels, "nearest": nearest},
        classifier=whole,
        oracle=oracle,
        autoencoders=rationale.class_autoencoders(x, y, classes=classes),
        factors=factors,
        seconds={"ours": took, "pixels": of_pixels, "nearest": of_nearest},
        rows=kept,
    )
    return rationale.measure_table(table), float(kept.mean())


def quality(networks: Networks, judge, x_test) -> dict[str, float]:
    """How near samples and reconstructions come to real images, under the oracle's features."""
    half = len(x_test) // 2
    first, second = x_test[:half], x_test[half : 2 * half]
    # Reconstructions of the second half, since those of the first would be compared with themselves.
    drawn = networks.generator.predict(networks.encoder.predict(second, verbose=0), verbose=0)
    codes = np.random.default_rng(5).normal(size=(half, networks.generator.input_shape[1]))
    parts = (first, second, networks.generator.predict(codes, verbose=0), drawn)
    reference, floor, samples, again = rationale.standardized(
        *(activations(judge, part, "features") for part in parts)
    )
    kernel = rationale.kernel_distance(reference, samples, size=min(500, half // 2))
    shares = rationale.precision_recall(reference, samples)
    return {
        "FID of samples": rationale.frechet_distance(reference, samples),
        "FID of reconstructions": rationale.frechet_distance(reference, again),
        "FID of real images (floor)": rationale.frechet_distance(reference, floor),
        "KID of samples": kernel.mean,
        "precision of samples": shares.precision,
        "recall of samples": shares.recall,
    }


def speed(networks: Networks, x) -> dict[str, float]:
    """A batch of 64 × 300 steps that never arrive, beside one image after the other."""
    search = rationale.Search(similarity_weight=1e4, similarity_half_life=None)
    options = {"confidence": 1 - 1e-6, "steps": SPEED_STEPS, "search": search}
    x = np.resize(x, (SPEED_BATCH, *x.shape[1:]))
    together = networks.explain(x, **options)[1] / SPEED_BATCH
    single = networks.explain(x[:SINGLES], batch_size=1, **options)[1] / SINGLES
    return {"seconds an image": together, "one by one / batch": single / together}


def digits(settings: Settings) -> tuple[pd.DataFrame, dict[str, float]]:
    data = synthetic.digits_with_attribute(seed=0)
    cut = 3 * len(data.images) // 4
    x, x_test, y = data.images[:cut], data.images[cut:], data.labels[:cut]
    networks = trained(x, y, settings)
    oracle = convolutional(x, y, seed=7)
    bar = convolutional(x, data.attributes[:cut], seed=8, epochs=5, width=4)
    table, kept = compared(
        networks,
        oracle,
        x,
        y,
        x_test[: settings.explained],
        sure=settings.sure,
        factors={"the bar": bar},
    )
    figures = {"reconstructions that keep their class": kept}
    return table, figures | quality(networks, oracle, x_test) | speed(networks, x_test)


def fashion(settings: Settings) -> tuple[pd.DataFrame, dict[str, float]]:
    (x, y), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x, x_test = (rationale.to_range(images[..., None], source=(0, 255)) for images in (x, x_test))
    networks, oracle = of_the_example(settings)
    table, kept = compared(
        networks, oracle, x, y.astype(int), x_test[: settings.explained], sure=settings.sure
    )
    figures = {"reconstructions that keep their class": kept}
    return table, figures | quality(networks, oracle, x_test) | speed(networks, x_test)


def of_the_example(settings: Settings) -> tuple[Networks, keras.Model]:
    """Networks for Fashion-MNIST and a second classifier, trained by the example where they are missing.

    The classifier is one of images, as most people have; generator and encoder have seen no label.
    """
    names = ("generator", "encoder", "classifier", "oracle")
    files = [settings.folder / f"{name}.keras" for name in names]
    if not all(file.exists() for file in files):
        options = {"out": settings.folder, "epochs": settings.epochs, "width": settings.width}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        subprocess.run([sys.executable, str(EXAMPLE), *words], check=True)
    *parts, oracle = map(keras.saving.load_model, files)
    return Networks(*parts), oracle


def boxes(settings: Settings) -> tuple[pd.DataFrame, dict[str, float]]:
    """Correlation with the true difference, beside Grad-CAM's and that of broken classifiers."""
    data = synthetic.boxes(4000, seed=0)
    held_out = synthetic.boxes(1000, seed=1)
    random = np.random.default_rng(0)
    noisy = np.where(
        random.uniform(size=4000) < LABEL_NOISE, random.integers(2, size=4000), data.labels
    )
    networks = trained(data.images, noisy, settings)
    positive = np.flatnonzero(held_out.labels == 1)[: settings.explained]
    x, truths = held_out.images[positive], held_out.differences[positive]

    def score(why, rows):
        return rationale.normalised_cross_correlation(why.rationales, truths[rows])

    codes = networks.encoder.predict(held_out.images[:TEST_SET], verbose=0)
    learned_by_heart = np.where(
        random.uniform(size=TEST_SET) < LABEL_NOISE,
        random.integers(2, size=TEST_SET),
        held_out.labels[:TEST_SET],
    )
    # The one that memorises needs more units than a plane to do so; the honest one has them, too.
    honest = rationale.mlp(settings.latent, classes=2)
    honest.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False
    )
    honest.fit(networks.encoder.predict(data.images, verbose=0), noisy, epochs=10, verbose=0)
    table = rationale.classifier_contrast(
        {
            "honest": honest,
            "contaminated": rationale.contaminated(honest, codes, learned_by_heart),
            "randomized": rationale.randomized(honest),
            "honest, linear": networks.classifier,
        },
        networks.generator,
        networks.encoder,
        x,
        0,
        score,
        steps=1000,
    )
    judge = convolutional(data.images, data.labels, seed=7, epochs=4)
    heat = attribution.GradCAM(judge, layer="maps")(x, np.ones(len(x), int)).attributions
    theirs = rationale.normalised_cross_correlation(heat.reshape(truths.shape), truths)
    figures = {
        "correlation with the truth": table.score["honest, linear"],
        "above Grad-CAM by": table.score["honest, linear"] - float(np.nanmean(theirs)),
        "contaminated less honest, at most": table.difference_high["contaminated"],
        "similarity of a randomised one's": table.similarity["randomized"],
    }
    return table, figures | quality(networks, judge, held_out.images)


def traversal(settings: Settings) -> tuple[pd.DataFrame, dict[str, float]]:
    """Agreement and steadiness of a class-latent GAN for the boxes."""
    data = synthetic.boxes(4000, seed=0)
    judge = convolutional(data.images, data.labels, seed=3, epochs=4)
    gan = ClassLatentGAN(
        judge, structure_size=settings.latent, width=settings.width, average_decay=0.99, seed=0
    )
    gan.compile(learning_rate=2e-4)
    gan.fit(data.images, epochs=settings.epochs, batch_size=64, verbose=0)
    table = measure_traversal(gan, judge, structures=1000)
    whole = table.loc["all"]
    return table, {
        "agreement with the class put in": whole["agreement"],
        "Spearman of probability and step": whole["spearman"],
    }


SETTINGS["traversal"] = replace(SETTINGS["boxes"], latent=32, epochs=60)
QUICK["traversal"] = {"epochs": 8}
DATA = {"digits": digits, "boxes": boxes, "traversal": traversal, "fashion": fashion}
# What must hold at the end: the least, or the most, of a figure.
OF_OURS = {"reached": (">=", 0.99), "oracle": (">=", 0.93), "im1": ("<=", 0.8)}
GOALS = {
    "seconds an image": ("<=", 0.5),
    "one by one / batch": (">=", 10.0),
    "correlation with the truth": (">=", 0.7),
    "above Grad-CAM by": (">=", 0.2),
    "contaminated less honest, at most": ("<=", 0.0),
    "similarity of a randomised one's": ("<=", 0.3),
    "agreement with the class put in": (">=", 0.91),
    "Spearman of probability and step": (">=", 0.95),
}


def judged(data: str, table: pd.DataFrame, figures: dict[str, float]) -> list[dict[str, Any]]:
    """A row for every figure, with its goal where there is one."""
    rows = []
    if "oracle" in table.columns:
        figures = {name: table.loc["ours", name] for name in OF_OURS} | figures
    for name, value in figures.items():
        sign, limit = (OF_OURS | GOALS).get(name, ("", np.nan))
        holds = {">=": value >= limit, "<=": value <= limit, "": None}[sign]
        row = {"data": data, "figure": name, "measured": value}
        row["goal"] = f"{sign} {limit:g}" if sign else ""
        rows.append({**row, "holds": "" if holds is None else ("yes" if holds else "no")})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--quick", action="store_true", help="train minutes, not hours")
    parser.add_argument(
        "--networks",
        type=Path,
        help="folder of networks for Fashion-MNIST; the example trains what it lacks "
        "(default: runs/rationale_fashion_mnist, with --quick another)",
    )
    arguments = parser.parse_args()
    folder = Path("runs", "rationale_fashion_mnist" + "_quick" * arguments.quick)
    rows = []
    for name in arguments.data:
        settings = replace(SETTINGS[name], folder=arguments.networks or folder)
        if arguments.quick:
            settings = replace(settings, **QUICK[name])
        (table, figures), took = seconds(DATA[name], settings)
        print(
            f"\n{name}, {took:.0f} s\n{table.T.to_string(float_format='{:.3f}'.format)}", flush=True
        )
        rows += judged(name, table, figures)
    final = pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format)
    print(f"\nWhat must hold\n{final}")


if __name__ == "__main__":
    main()
