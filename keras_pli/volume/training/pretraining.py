"""Training an autoencoder on volumes without labels, and what its encoder is worth to a classifier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ...checks import checked_number, quoted
from ..cohorts.cohort import Cohort
from ..images.preprocessing import Preprocessing
from .built_networks import check_pooling
from .divergence import EndOfDivergence
from .networks import FILTERS, transfer_encoder, volume_autoencoder, volume_classifier

START = ("random", "autoencoder")


def pretrain_autoencoder(
    cohort: Cohort,
    preprocessing: Preprocessing,
    *,
    filters: Sequence[int] = FILTERS,
    epochs: int = 10,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> keras.Model:
    """Trains an autoencoder on the volumes of a cohort; labels are not looked at.

    The loss is the mean squared error of the voxels. Hold out whom the classifier will be judged on: an
    encoder that has seen them is no proof of anything.

    Args:
        cohort: The images to learn from, labelled or not.
        preprocessing: As for the classifier that takes over the encoder.
        filters: Filters of each block of the encoder, as the classifier's.
        epochs: Epochs of the training.
        batch_size: Volumes in a batch.
        learning_rate: Adam's.
        seed: Of weights and order.
        cache: As in `Cohort.dataset`.
        verbose: As in Keras.

    Returns:
        The autoencoder, trained; `transfer_encoder` takes it.

    Raises:
        VolumeError: If an image cannot be used.
        ValueError: If an option is out of range, a volume too small for the blocks, Keras's policy of
            numbers cannot be computed, or the training diverges.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.synthetic import brain_phantoms
        >>> from keras_pli.volume import Preprocessing, read_cohort
        >>> with TemporaryDirectory() as folder:
        ...     cohort = read_cohort(brain_phantoms(4, shape=(16, 18, 16)).write(folder))
        ...     network = pretrain_autoencoder(cohort, Preprocessing(), filters=(2, 4), epochs=1)
        >>> network.output_shape
        (None, 16, 18, 16, 1)
    """
    checked_number(epochs, "epochs", least=1, whole=True)
    check_pooling()
    stream = cohort.dataset(
        preprocessing, batch_size=batch_size, shuffle=True, seed=seed, cache=cache
    )
    shape = stream.element_spec[0].shape[1:]
    network = volume_autoencoder(tuple(shape), filters=filters, seed=seed)
    network.compile(keras.optimizers.Adam(learning_rate), loss="mean_squared_error")
    network.fit(
        stream.map(lambda volumes, _: (volumes, volumes)),
        epochs=epochs,
        shuffle=False,  # the stream is
        callbacks=[EndOfDivergence("The training of the autoencoder", learning_rate)],
        verbose=verbose,
    )
    return network


def compare_transfer(
    train: Cohort,
    test: Cohort,
    preprocessing: Preprocessing,
    autoencoder: keras.Model,
    *,
    sizes: Sequence[int] = (50, 100, 200),
    repeats: int = 3,
    epochs: int = 20,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    dropout: float = 0.5,
    freeze: bool = False,
    seed: int = 0,
    verbose: int = 0,
) -> pd.DataFrame:
    """Compares classifiers that start from an autoencoder's encoder with those that start at random.

    For each number of labelled volumes and each repeat, both starts are trained on the same volumes, drawn
    from `train` in equal shares of the classes, for as long, and judged on the same held-out volumes (the
    paper's transfer, Kan et al. 2020). The volumes are held in memory.

    Args:
        train: The images to draw from.
        test: The images to judge by; of other subjects.
        preprocessing: As the autoencoder's.
        autoencoder: What `pretrain_autoencoder` returned; of images that are not in `test`.
        sizes: How many labelled volumes.
        repeats: How many draws of each size.
        epochs: Epochs of each training.
        batch_size: Volumes in a batch.
        learning_rate: Adam's.
        dropout: As in `volume_classifier`.
        freeze: As in `transfer_encoder`.
        seed: Of draws, weights, order and dropout.
        verbose: 1 draws a progress bar.

    Returns:
        A data frame with a row for each training: `labelled`, `repeat`, `start` (`"random"` or
        `"autoencoder"`), `accuracy`, and `auc` where there are two classes.

    Raises:
        ValueError: If `train` has fewer images of a class than a size asks for, a subject is in both
            parts, Keras's policy of numbers cannot be computed, or a training diverges.
        VolumeError: If an image cannot be used.

    Example:
        Of a cohort, with what `pretrain_autoencoder` learned of its part `train`:

        >>> train, test = cohort.split(0.3)  # doctest: +SKIP
        >>> network = pretrain_autoencoder(train, Preprocessing())  # doctest: +SKIP
        >>> compare_transfer(train, test, Preprocessing(), network)  # doctest: +SKIP
    """
    shared = set(train.subjects) & set(test.subjects)
    if shared:
        raise ValueError(f"Subjects are in both `train` and `test`: {sorted(shared)[:10]}.")
    checked_number(repeats, "repeats", least=1, whole=True)
    checked_number(epochs, "epochs", least=1, whole=True)
    checked_number(batch_size, "batch_size", least=1, whole=True)
    check_pooling()
    draws = [
        (size, repeat, _balanced(train.labels, size, seed + repeat))
        for size in sizes
        for repeat in range(repeats)
    ]
    x, y, _ = train.arrays(preprocessing)
    held_out = test.arrays(preprocessing)[:2]
    filters = encoder_filters(autoencoder)
    progress = keras.utils.Progbar(2 * len(draws), verbose=verbose, unit_name="training")
    found: list[dict[str, Any]] = []
    for size, repeat, rows in draws:
        for start in START:
            network = volume_classifier(
                x.shape[1:],
                len(train.classes or ()),
                filters=filters,
                dropout=dropout,
                seed=seed + repeat,
            )
            if start == "autoencoder":
                transfer_encoder(autoencoder, network, freeze=freeze)
            network.compile(
                keras.optimizers.Adam(learning_rate),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            )
            end = EndOfDivergence(f"The training on {size} volumes", learning_rate)
            stream = _shuffled(x[rows], y[rows], batch_size, seed + repeat)
            # Without `shuffle`, as the stream is, which leaves the global random state alone.
            network.fit(stream, epochs=epochs, shuffle=False, callbacks=[end], verbose=0)
            place = {"labelled": int(size), "repeat": repeat, "start": start}
            found.append({**place, **_scores(network, *held_out)})
            progress.add(1)
    return pd.DataFrame(found)


def _shuffled(x: NDArray[Any], y: NDArray[Any], batch_size: int, seed: int) -> Any:
    """Batches in another order in each epoch."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed).batch(batch_size)


def _balanced(labels: NDArray[np.int32], size: int, seed: int) -> NDArray[np.intp]:
    """Rows in shares of the classes as equal as can be."""
    classes = np.unique(labels)
    checked_number(size, "sizes", least=len(classes), whole=True)
    random = np.random.default_rng(seed)
    rows = []
    for number, code in enumerate(classes):
        wanted = size // len(classes) + (number < size % len(classes))
        members = np.flatnonzero(labels == code)
        if wanted > len(members):
            raise ValueError(
                f"`sizes` asks for {size} images, {wanted} of each class. `train` has {len(members)} of "
                f"class {code}."
            )
        rows.append(random.choice(members, wanted, replace=False))
    return np.sort(np.concatenate(rows))


def encoder_filters(network: keras.Model) -> tuple[int, ...]:
    """Returns the filters of the blocks of a `volume_classifier` or `volume_autoencoder`.

    Raises:
        ValueError: If the network has no layer `conv_1`.
    """
    found = [layer for layer in network.layers if layer.name.startswith("conv_")]
    if not found:
        raise ValueError(
            "Pre-training needs a network with the blocks of `volume_classifier`. Received layers: "
            f"{quoted(layer.name for layer in network.layers)}."
        )
    return tuple(int(layer.filters) for layer in found)


def _scores(network: keras.Model, x: NDArray[np.float32], y: NDArray[np.int32]) -> dict[str, float]:
    logits = network.predict(x, verbose=0)
    found = {"accuracy": float((logits.argmax(1) == y).mean())}
    if logits.shape[1] == 2:
        found["auc"] = float(roc_auc_score(y, logits[:, 1] - logits[:, 0]))
    return found
