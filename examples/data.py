"""Data of the examples: a Keras data set, or arrays of your own from a file."""

from __future__ import annotations

import numpy as np


def add_data_argument(parser):
    """Adds `--data file.npz` to a command line."""
    parser.add_argument(
        "--data",
        metavar="FILE.npz",
        help="arrays x_train, y_train, x_test, y_test, in place of the Keras data set",
    )


def load(dataset, path=None):
    """Returns `(x_train, y_train), (x_test, y_test)` of a module of `keras.datasets`, or of a file."""
    if path is None:
        return dataset.load_data()
    with np.load(path, allow_pickle=False) as stored:
        missing = {"x_train", "y_train", "x_test", "y_test"} - set(stored)
        if missing:
            raise SystemExit(f"{path} lacks the arrays {', '.join(sorted(missing))}.")
        return (stored["x_train"], stored["y_train"]), (stored["x_test"], stored["y_test"])
