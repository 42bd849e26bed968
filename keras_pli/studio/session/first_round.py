"""How a session begins: the classifier as it was given, and a map of its layer."""

from __future__ import annotations

import shutil
from typing import Any

import keras
import numpy as np

from ...files import atomic_path
from ...identity import model_identity
from ...network.activations import ActivationReader
from ...retraining.embedders import embedder_of
from ...retraining.outputs import predicted
from .folder import SessionFolder, writing_in
from .given import StudioData
from .rounds import CLASSIFIER, EMBEDDER, Round, check_map, load_network


def make_first_round(
    data: StudioData, folder: SessionFolder, embedder: keras.Model | None, seed: int, verbose: Any
) -> None:
    """Stores the classifier and its map, which is trained where there is none.

    The folder is this session's from the beginning: were the process killed, nobody else would take what it
    left for theirs. Where it fails, the folder is as it was.

    Raises:
        ValueError: If the map is not one of the layer, or the classifier cannot be stored and read again.
    """
    had_embedder = folder.embedder.exists()
    folder.write({}, class_names=list(data.class_names))
    try:
        with writing_in(folder.path):
            _make(data, folder, embedder, seed, verbose)
        folder.write({}, round=0)
    except BaseException:
        shutil.rmtree(folder.round(0), ignore_errors=True)
        if not had_embedder:
            folder.embedder.unlink(missing_ok=True)
        folder.give_up()
        raise


def check_same_map(folder: SessionFolder, embedder: keras.Model) -> None:
    """Raises a `ValueError` if a session began with another map than one that is given."""
    first = load_network(folder.round(0) / EMBEDDER)
    if model_identity(first) != model_identity(embedder):
        raise ValueError(
            f"{folder.path} holds a session with another map. Choose another folder, or leave `embedder` out."
        )


def _make(
    data: StudioData, folder: SessionFolder, embedder: keras.Model | None, seed: int, verbose: Any
) -> None:
    classifier = folder.round(0) / CLASSIFIER
    with atomic_path(classifier) as temporary:
        data.classifier.save(temporary)
    if embedder is None and folder.embedder.exists():
        embedder = load_network(folder.embedder)
    reader = ActivationReader(data.classifier, data.layer)
    activations = predicted(reader, data.train[0])
    embedder = embedder_of(embedder, activations, seed, verbose=verbose)
    check_map(embedder, activations, data.layer)  # before it lies in the folder
    with atomic_path(folder.embedder) as temporary:
        embedder.save(temporary)
    made = Round.make(
        data,
        folder.round(0),
        classifier,
        folder.embedder,
        number=0,
        parent=None,
        title="As given",
    )
    if not np.allclose(made.activations, activations, rtol=1e-3, atol=1e-4):
        raise ValueError(
            f"{data.classifier.name!r} is another network once it is stored and read again, so a "
            "studio cannot work on copies of it. A layer of its own may lack `get_config`."
        )
