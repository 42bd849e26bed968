"""Why skip connections help: the loss surfaces of a deep plain network and of the same with skips.

Two deep convolutional networks of the same layers are trained alike, one with skip connections and one
without. The loss around each solution is drawn in filter-normalised random directions (Li et al. 2018), on
one scale, and beside it how sharp the minimum is: the largest eigenvalues of the Hessian, its spectrum, and
the rise of the loss in a small box (Keskar et al. 2017), which need not agree: it depends on the scale of
layers, as the eigenvalues do, and on the loss at the solution (Dinh et al. 2017).

Some eight minutes on two cores; networks and surfaces that are in the folder are not made again.

    python examples/loss_landscape.py --out runs/landscape
    python examples/loss_landscape.py --data file.npz --depth 20 --epochs 3 --grid 11 --out runs/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, load
from keras import layers

import keras_pli as kp
from keras_pli import inspection, plotting


def make_network(shape, classes, depth, width, skips):
    """Three stages of blocks of two convolutions, each stage wider and coarser than the one before."""

    def convolved(y, filters, stride=1):
        y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(y)
        return layers.BatchNormalization(momentum=0.9)(y)

    image = keras.Input(shape)
    y = layers.ReLU()(convolved(image, width, 2))
    for stage in range(3):
        for block in range(max(1, (depth - 2) // 6)):
            filters, stride = width * 2**stage, 2 if stage and not block else 1
            inner = layers.ReLU()(convolved(y, filters, stride))
            inner = convolved(inner, filters)
            if skips:
                same = y
                if stride > 1:  # coarser and wider, without weights
                    same = layers.AveragePooling2D(2, padding="same")(y)
                    same = layers.Concatenate()([same, 0 * same])
                inner = layers.Add()([inner, same])
            y = layers.ReLU()(inner)
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(y)))


def trained(name, train, test, arguments):
    """Trains a network, or reads the one in the folder."""
    path = arguments.out / f"{name}.keras"
    if path.is_file():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(arguments.seed)
    shape, classes = train[0].shape[1:], int(train[1].max()) + 1
    model = make_network(shape, classes, arguments.depth, arguments.width, name == "skips")
    steps = arguments.epochs * -(-len(train[0]) // 100)
    rate = keras.optimizers.schedules.CosineDecay(arguments.rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True), loss, metrics=["accuracy"]
    )
    model.fit(*train, batch_size=100, epochs=arguments.epochs, validation_data=test, verbose=2)
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return model


def main():
    """Trains both networks, or reads them, and draws what their surfaces look like."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/landscape"))
    parser.add_argument("--depth", type=int, default=56, help="layers with weights")
    parser.add_argument("--width", type=int, default=8, help="filters in the first stage")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate at the start")
    parser.add_argument("--samples", type=int, default=10000, help="training images")
    parser.add_argument("--probes", type=int, default=300, help="training images the surface is of")
    parser.add_argument("--grid", type=int, default=25, help="points along each direction")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    (x, y), (x_test, y_test) = load(keras.datasets.fashion_mnist, arguments.data)
    x, x_test = (part.reshape(*part.shape[:3], -1).astype("float32") / 255 for part in (x, x_test))
    train = x[: arguments.samples], y[: arguments.samples].ravel()
    test = x_test[:2000], y_test[:2000].ravel()
    probes = tuple(part[: arguments.probes] for part in train)

    steps = np.linspace(-1, 1, arguments.grid)
    surfaces, spectra = {}, {}
    for name, title in (("plain", "plain"), ("skips", "skip connections")):
        model = trained(name, train, test, arguments)
        store = arguments.out / f"{name}_grid"
        surface = inspection.loss_surface(
            model, *probes, alphas=steps, seed=arguments.seed, store=store, verbose=1
        )
        surfaces[title] = surface.alphas, surface.betas, surface.losses
        top = inspection.hessian_eigenvalues(model, *probes, count=3, tolerance=1e-2, verbose=1)
        spectrum = inspection.spectral_density(model, *probes, steps=40, runs=1, verbose=1)
        spectra[title] = spectrum
        box = inspection.epsilon_sharpness(model, *probes, verbose=1)
        at, beyond = model.evaluate(*probes, verbose=0), model.evaluate(*test, verbose=0)
        print(
            f"\n{title}: loss {at[0]:.3f}, accuracy {at[1]:.3f}, on held-out images {beyond[1]:.3f}; largest "
            f"eigenvalues {', '.join(f'{value:.1f}' for value in top.values)}, smallest "
            f"{spectrum.nodes.min():.1f}; sharpness in the box {box.sharpness:.1f} %; median loss on the "
            f"plane {np.nanmedian(surface.losses):.3g}"
        )
    figure = plotting.loss_contour_panels(surfaces, title=f"{arguments.depth} layers")
    plotting.save_figure(figure, arguments.out / "surfaces.png")
    plotting.save_figure(plotting.loss_reliefs(surfaces), arguments.out / "reliefs.png")
    nodes = np.concatenate([spectrum.nodes.ravel() for spectrum in spectra.values()])
    low, high = nodes.min(), nodes.max()
    values, width = np.linspace(1.05 * low - 0.05 * high, 1.05 * high, 4000), (high - low) / 400
    densities = {name: spectrum.density(values, width=width) for name, spectrum in spectra.items()}
    figure = plotting.spectral_density_curve(values, densities, width=width)
    plotting.save_figure(figure, arguments.out / "spectra.png")
    print(f"Figures are in {arguments.out}; keras_pli {kp.__version__}.")


if __name__ == "__main__":
    main()
