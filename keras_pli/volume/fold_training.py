"""The training of one fold: what is scaled, augmented and fitted, and what its network says of all images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from ..identity import identity_digest, model_identity, value_identity
from ..version import __version__
from .cohort import Cohort
from .cohort_identity import cohort_identity
from .cohort_streams import in_order, worker_count
from .networks import transfer_encoder, volume_classifier
from .optimal_scaling import optimal_scales
from .preprocessing import Preprocessing
from .pretraining import encoder_filters, pretrain_autoencoder

Build = Callable[[tuple[int, ...], int, int], keras.Model]

HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True, eq=False)
class Fold:
    """What came of a fold.

    Attributes:
        network: Its network, trained.
        validation: Positions in the cohort of the images that were held out.
        logits: Of all images of the cohort, as the files are, `(images, classes)`.
        history: Loss and accuracy of each epoch, training and held-out, `(epochs, 4)`.
    """

    network: keras.Model
    validation: NDArray[np.intp]
    logits: NDArray[np.float32]
    history: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldTraining:
    """How each fold of a cohort is trained; the arguments are those of `cross_validate`."""

    cohort: Cohort
    preprocessing: Preprocessing
    build: Build | None
    augmentation: Sequence[keras.Layer]
    optimal_scaling: Literal["quantile", "pot"] | None
    pretraining_epochs: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    cache: str | os.PathLike[str] | None
    verbose: int
    brain_volumes: NDArray[np.float64] | None

    def fold(self, train: Cohort, validation: Cohort, number: int) -> Fold:
        """Trains the network of a fold."""
        rows = np.flatnonzero(self.cohort.table.index.isin(validation.table.index))
        network = self.network(self.seed + number)
        if self.pretraining_epochs:
            transfer_encoder(self._autoencoder(train, network, self.seed + number), network)
        stream = self._stream(train, shuffle=True, scales=self._scales(rows))
        shape = network.input_shape[1:]
        # Augmentation is no part of the network that is kept. It is made anew, or a fold would depend on
        # how often its random numbers were drawn before.
        layers = [type(layer).from_config(layer.get_config()) for layer in self.augmentation]
        trained = keras.Sequential([keras.Input(shape), *layers, network])
        trained.compile(
            keras.optimizers.Adam(self.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        log = trained.fit(
            stream,
            validation_data=self._stream(validation),
            epochs=self.epochs,
            shuffle=False,  # the stream is
            verbose=self.verbose,
        ).history
        logits = network.predict(self._stream(self.cohort), verbose=0)
        history = np.array([log[name] for name in HISTORY], dtype=np.float64).T
        return Fold(network, rows, np.asarray(logits, np.float32), history)

    def network(self, seed: int) -> keras.Model:
        """A network with fresh weights.

        Raises:
            ValueError: If it does not give one logit a class.
        """
        volume = self.cohort.volume(0, self.preprocessing).values.shape
        classes = len(self.cohort.classes or ())
        network = (self.build or _paper_network)((*volume, 1), classes, seed)
        if tuple(network.output_shape) != (None, classes):
            raise ValueError(
                f"`build` must return a network of {classes} logits, one a class. Received: a network "
                f"whose output has shape {network.output_shape}."
            )
        return network

    def identity(self) -> dict[str, Any]:
        """What must agree for kept folds to belong together."""
        layers = [[type(layer).__name__, layer.get_config()] for layer in self.augmentation]
        for _, config in layers:
            config.pop("name", None)  # Keras counts names within a process
        return {
            **cohort_identity(self.cohort),
            "preprocessing": identity_digest(self.preprocessing),
            "augmentation": identity_digest(layers),
            "optimal_scaling": self.optimal_scaling,
            "network": model_identity(self.network(self.seed)),
            "training": value_identity([self.epochs, self.batch_size, self.learning_rate]),
            "pretraining_epochs": self.pretraining_epochs,
            "seed": self.seed,
            "keras_pli": __version__,
        }

    def _autoencoder(self, train: Cohort, network: keras.Model, seed: int) -> keras.Model:
        """An autoencoder of the network's blocks, of the fold's training images alone."""
        return pretrain_autoencoder(
            train,
            self.preprocessing,
            filters=encoder_filters(network),
            epochs=self.pretraining_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=seed,
            cache=self.cache,
            verbose=self.verbose,
        )

    def _scales(self, validation: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """What the training images are enlarged by, found from the training images alone."""
        if self.optimal_scaling is None:
            return None
        assert self.brain_volumes is not None
        train = np.setdiff1d(np.arange(len(self.cohort)), validation)
        return optimal_scales(
            self.brain_volumes[train], self.cohort.labels[train], method=self.optimal_scaling
        )

    def _stream(self, part: Cohort, *, shuffle: bool = False, scales: Any = None) -> Any:
        return part.dataset(
            self.preprocessing,
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            scales=scales,
            cache=self.cache,
        )


def known_brain_volumes(cohort: Cohort, preprocessing: Preprocessing) -> NDArray[np.float64] | None:
    """Returns the brains' volumes in ml, or None where an image has no mask."""
    masked = "mask" in cohort.table and cohort.table["mask"].notna().all()
    if preprocessing.skull_stripping == "none" and not masked:
        return None

    def volume(position: int) -> float | None:
        return cohort.volume(position, preprocessing).brain_volume

    found = in_order(volume, range(len(cohort)), worker_count(None))
    return np.array(list(found), dtype=np.float64)


def _paper_network(shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    return volume_classifier(shape, classes, seed=seed)
