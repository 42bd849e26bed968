"""Why is this a 9 and not a 4? Rationales for scikit-learn's digits, in under 3 minutes on two cores.

A Wasserstein GAN learns to draw digits, an encoder to find their codes, and a linear classifier to read these
(Seah et al. 2018, "Generating Visual Rationales through Latent Space Optimization"). Then nines are changed
until the classifier sees fours. The last picture has what saliency, occlusion, integrated gradients and LIME
say about the same nines.

    python examples/rationale_digits.py --out runs/rationale_digits
    python examples/rationale_digits.py --models keras_pli/rationale/digits      # seconds
    python examples/rationale_digits.py --data file.npz --change 3 8
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from data import add_data_argument, load
from rationale_networks import (
    Settings,
    make_encoder,
    make_generator,
    make_linear_classifier,
    show,
)
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_pli import rationale

SIZE = 16


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


def main():
    """Trains or reads the networks, and explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/rationale_digits"))
    parser.add_argument("--models", type=Path, help="folder of networks (default: that of --out)")
    parser.add_argument("--epochs", type=int, default=240)
    parser.add_argument("--change", type=int, nargs=2, default=(9, 4), metavar=("FROM", "TO"))
    arguments = parser.parse_args()
    (x, y), (x_test, y_test) = load(Digits, arguments.data)
    x, x_test = prepared(x), prepared(x_test)

    start = time.perf_counter()
    folder = arguments.models or arguments.out
    epochs = arguments.epochs
    settings = Settings(latent=20, width=24, epochs=epochs, encoder_epochs=max(1, epochs // 4))
    generator = make_generator(x, x_test, settings, folder)
    encoder = make_encoder(x, x_test, generator, settings, folder)
    classifier = make_linear_classifier(x, y, encoder, folder)
    model = rationale.through_encoder(encoder, classifier)
    predicted = model.predict(x_test, verbose=0).argmax(axis=1)
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
    show(why, model, arguments.out, f"Why {leave} and not {target}", window=SIZE // 4)


if __name__ == "__main__":
    main()
