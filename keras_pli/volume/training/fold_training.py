"""The training of one fold: what is scaled, augmented and fitted, and what its network says of all images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from ...identity import identity_digest, value_identity
from ...version import __version__
from ..cohorts.cohort import Cohort
from ..cohorts.cohort_identity import cohort_identity
from ..images.preprocessing import Preprocessing
from .built_networks import (
    Build,
    built_network,
    check_network,
    check_storable,
    network_identity,
)
from .divergence import Diverged, EndOfDivergence
from .networks import transfer_encoder, volume_classifier
from .optimal_scaling import optimal_scales, reference_scales
from .pretraining import encoder_filters, pretrain_autoencoder

Scaling = Literal["quantile", "pot", "reference"] | None

HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True, eq=False)
class Fold:
    """What came of a fold.

    Attributes:
        network: Its network, trained.
        validation: Positions in the cohort of the images that were held out.
        logits: Of all images of the cohort, each scaled as an image of unknown label is, `(images, classes)`.
        history: Loss and accuracy of each epoch, training and held-out, `(epochs, 4)`.
        scales: What images of unknown label are enlarged by, `(images,)`.
    """

    network: keras.Model
    validation: NDArray[np.intp]
    logits: NDArray[np.float32]
    history: NDArray[np.float64]
    scales: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldTraining:
    """How each fold of a cohort is trained; the arguments are those of `cross_validate`."""

    cohort: Cohort
    preprocessing: Preprocessing
    build: Build | None
    augmentation: Sequence[keras.Layer]
    scaling: Scaling
    pretraining_epochs: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    cache: str | os.PathLike[str] | None
    verbose: int
    brain_volumes: NDArray[np.float64] | None

    def fold(self, train: Cohort, validation: Cohort, number: int) -> Fold:
        """Trains the network of a fold.

        Raises:
            ValueError: If the training diverges.
        """
        rows = np.flatnonzero(self.cohort.table.index.isin(validation.table.index))
        network = self.network(self.seed + number)
        if self.pretraining_epochs:
            try:
                autoencoder = self._autoencoder(train, network, self.seed + number)
            except Diverged as error:
                raise Diverged(f"Fold {number}: {error}") from error
            transfer_encoder(autoencoder, network)
        trained_at, judged_at = self._scales(rows)
        inside = np.setdiff1d(np.arange(len(self.cohort)), rows)
        stream = self._stream(train, shuffle=True, scales=trained_at[inside])
        # Augmentation is no part of the network that is kept. It is made anew, or a fold would depend on
        # how often its random numbers were drawn before.
        layers = [type(layer).from_config(layer.get_config()) for layer in self.augmentation]
        trained = keras.Sequential([keras.Input(self.input_shape), *layers, network])
        trained.compile(
            keras.optimizers.Adam(self._schedule(len(train))),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        end = EndOfDivergence(
            f"The training of fold {number}",
            self.learning_rate,
            "If `out` holds folds already, choose another: folds of two rates are not mixed.",
        )
        log = trained.fit(
            stream,
            validation_data=self._stream(validation, scales=judged_at[rows]),
            epochs=self.epochs,
            shuffle=False,  # the stream is
            callbacks=[end],
            verbose=self.verbose,
        ).history
        logits = network.predict(self._stream(self.cohort, scales=judged_at), verbose=0)
        end.check(logits, "what its network says of the images")
        history = np.array([log[name] for name in HISTORY], dtype=np.float64).T
        return Fold(network, rows, np.asarray(logits, np.float32), history, judged_at)

    def network(self, seed: int) -> keras.Model:
        """A network with fresh weights."""
        return built_network(*self._wanted, seed)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of what the network receives, (X, Y, Z, 1)."""
        return self._first.shape

    def check(self, *, stored: bool) -> None:
        """Tries a fresh network on the first image, and where it will be `stored`, whether it can be.

        Raises:
            TypeError: If `build` does not return a model.
            ValueError: If the network is not fit.
        """
        network = self.network(self.seed)
        check_network(network, self._first, self._wanted[2])
        if stored:
            check_storable(network)

    def identity(self) -> dict[str, Any]:
        """What must agree for kept folds to belong together."""
        layers = [[type(layer).__name__, layer.get_config()] for layer in self.augmentation]
        for _, config in layers:
            config.pop("name", None)  # Keras counts names within a process
        return {
            **self.of_cohort,
            # The template's file is told with the cohort's.
            "preprocessing": identity_digest(replace(self.preprocessing, template=None)),
            "augmentation": identity_digest(layers),
            "scaling": self.scaling,
            "network": network_identity(*self._wanted, self.seed),
            "epochs": value_identity(self.epochs),
            "batch_size": value_identity(self.batch_size),
            "learning_rate": value_identity(self.learning_rate),
            "pretraining_epochs": self.pretraining_epochs,
            "seed": self.seed,
            "keras_pli": __version__,
        }

    @cached_property
    def of_cohort(self) -> dict[str, Any]:
        """Digests of the cohort's files."""
        return cohort_identity(self.cohort, self.preprocessing)

    @cached_property
    def _first(self) -> NDArray[np.float32]:
        return self.cohort.volume(0, self.preprocessing).values[..., None]

    @property
    def _wanted(self) -> tuple[Build, tuple[int, ...], int]:
        return self.build or _paper_network, self.input_shape, len(self.cohort.classes or ())

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

    def _scales(
        self, validation: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What images are enlarged by to train on, and where their label is not known.

        Both are found from the training images alone.
        """
        ones = np.ones(len(self.cohort))
        if self.scaling is None:
            return ones, ones
        volumes = self.brain_volumes
        assert volumes is not None
        train = np.setdiff1d(np.arange(len(self.cohort)), validation)
        if self.scaling == "reference":
            scales = reference_scales(volumes, float(volumes[train].mean()))
            return scales, scales
        scales = ones.copy()
        scales[train] = optimal_scales(
            volumes[train], self.cohort.labels[train], method=self.scaling
        )
        return scales, ones

    def _schedule(self, images: int) -> Any:
        """A learning rate that falls to 0 along a cosine, so that training ends where it is."""
        steps = -(-images // self.batch_size) * self.epochs
        return keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)

    def _stream(self, part: Cohort, *, shuffle: bool = False, scales: Any) -> Any:
        return part.dataset(
            self.preprocessing,
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            scales=scales * self.preprocessing.scale,
            cache=self.cache,
        )


def brains_are_known(cohort: Cohort, preprocessing: Preprocessing) -> bool:
    """Whether each image has a mask of its brain, given or made."""
    masked = "mask" in cohort.table and bool(cohort.table["mask"].notna().all())
    return masked or preprocessing.skull_stripping != "none"


def _paper_network(shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    return volume_classifier(shape, classes, seed=seed)
