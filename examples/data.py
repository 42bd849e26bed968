"""Data of the examples: a Keras data set, or arrays of your own from a file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from keras_pli.files import read_json, write_json


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


def claim(folder, data, **settings):
    """Notes in a folder what its results are made with, and stops where they were made otherwise.

    Args:
        folder: Where results are stored; made if it is not there.
        data: The file given by `--data`, or None.
        settings: What else the results depend on.
    """
    if data is not None:
        data = hashlib.sha256(Path(data).read_bytes()).hexdigest()[:16]
    settings = json.loads(json.dumps({"data": data, **settings}))  # as they are read back
    note = folder / "settings.json"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(note, settings)
    if (stored := read_json(note)) != settings:
        raise SystemExit(
            f"{folder} holds results of other data or settings: {stored}, and now {settings}. Delete it, or "
            "choose another --out."
        )
