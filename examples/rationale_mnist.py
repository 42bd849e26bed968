"""Why is this a 9 and not a 4? The experiment of Seah et al. (2018, figure 7) on MNIST.

A Wasserstein GAN, an encoder of its codes and a linear classifier of these with a softmax of ten outputs, as
in the paper; then nines become fours. An hour on two cores; run again, an interrupted training goes on.

    python examples/rationale_mnist.py --out runs/rationale_mnist
    python examples/rationale_mnist.py --out runs/mine --data file.npz --epochs 10 --change 3 8
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, load
from rationale_networks import (
    Settings,
    make_encoder,
    make_generator,
    make_linear_classifier,
    show,
)

from keras_pli import rationale


def main():
    """Trains the networks, or reads those in the folder, and explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/rationale_mnist"))
    parser.add_argument("--epochs", type=int, default=40, help="of the GAN")
    parser.add_argument("--width", type=int, default=32, help="of all networks")
    parser.add_argument("--change", type=int, nargs=2, default=(9, 4), metavar=("FROM", "TO"))
    parser.add_argument("--images", type=int, default=64, help="how many to change")
    parser.add_argument("--steps", type=int, default=5000, help="most steps of the search")
    arguments = parser.parse_args()
    (x, y), (x_test, y_test) = load(keras.datasets.mnist, arguments.data)
    x, x_test = (rationale.to_range(part[..., None], source=(0, 255)) for part in (x, x_test))

    settings = Settings(
        latent=64,
        width=arguments.width,
        epochs=arguments.epochs,
        encoder_epochs=max(1, arguments.epochs // 5),
        half_life=2000,
        average_decay=0.998,
    )
    generator = make_generator(x, x_test, settings, arguments.out)
    encoder = make_encoder(x, x_test, generator, settings, arguments.out)
    classifier = make_linear_classifier(x, y, encoder, arguments.out)
    model = rationale.through_encoder(encoder, classifier)
    predicted = model.predict(x_test, batch_size=256, verbose=0).argmax(axis=1)
    print(f"Accuracy on {len(x_test)} held-out digits: {np.mean(predicted == y_test):.3f}")

    leave, target = arguments.change
    chosen = x_test[(predicted == leave) & (y_test == leave)][: arguments.images]
    # At p = 0.9 the change often looks like neither; beyond it other classifiers agree.
    explain = rationale.RationaleGenerator(
        generator, encoder, classifier, confidence=0.999, steps=arguments.steps
    )
    why = explain(chosen, target=target, verbose=1)
    print(why.summary())
    for verdict in why.verdicts[:6]:
        print(verdict)
    show(why, model, arguments.out, f"Why {leave} and not {target}", window=8)


if __name__ == "__main__":
    main()
