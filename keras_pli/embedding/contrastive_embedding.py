"""Contrastive embedding: one parameter between maps like t-SNE's and maps like UMAP's."""

from __future__ import annotations

from typing import Any

import keras

from .objectives import ContrastiveObjective
from .parametric_embedding import ParametricEmbedding


@keras.saving.register_keras_serializable(package="keras_pli")
class ContrastiveEmbedding(ParametricEmbedding):
    """A network trained to tell neighbours from random pairs, on the spectrum from t-SNE to UMAP.

    Neg-t-SNE of Damrich, Böhm, Hamprecht & Kobak (2023): more attraction, towards 1, shows continuous
    structure; more repulsion, towards 0, shows clusters and their parts.

    The defaults make a faithful map; `smooth` makes one that a classifier can be retrained by.

    Args:
        components: Dimensions of the map, 2 or 3.
        n_neighbors: Neighbours of a point, itself not counted.
        spectrum: 0 for a map like t-SNE's, 1 for one like UMAP's; values between and somewhat beyond are
            allowed.
        negative_samples: Random pairs for each edge.
        **kwargs: The network and how it is trained, as for `ParametricEmbedding`: `hidden_units`,
            `activation`, `principal_components`, `network`, `learning_rate`, `jitter`, `neighbors`, `metric`,
            `fit_defaults`, `seed`, `across_replicas`.

    Raises:
        ValueError: If an argument is out of range.
        TypeError: If an option is unknown.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> z = load_digits().data
        >>> embedding = ContrastiveEmbedding(spectrum=0.5, seed=0)
        >>> history = embedding.fit(z, epochs=1, steps_per_epoch=10, verbose=0)
        >>> embedding.predict(z, verbose=0).shape
        (1797, 2)
    """

    objective: ContrastiveObjective

    def __init__(
        self,
        components: int = 2,
        *,
        n_neighbors: int = 15,
        spectrum: float = 0.0,
        negative_samples: float = 5.0,
        **kwargs: Any,
    ) -> None:
        objective = ContrastiveObjective(
            n_neighbors, spectrum=spectrum, negative_samples=negative_samples
        )
        super().__init__(objective, components, **kwargs)

    @property
    def n_neighbors(self) -> int:
        """Neighbours of a point."""
        return self.objective.n_neighbors

    @property
    def spectrum(self) -> float:
        """0 for a map like t-SNE's, 1 for one like UMAP's."""
        return self.objective.spectrum

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**self.objective.get_config(), **self._settings()}
