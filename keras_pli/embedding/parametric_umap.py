"""Parametric UMAP: the cross-entropy of fuzzy memberships over the weights of a network."""

from __future__ import annotations

from typing import Any

import keras

from .objectives import FuzzyObjective
from .parametric_embedding import ParametricEmbedding


@keras.saving.register_keras_serializable(package="keras_pli")
class ParametricUMAP(ParametricEmbedding):
    """A network trained to be a UMAP (Sainburg, McInnes & Gentner 2021).

    The cross-entropy between fuzzy memberships of the data (McInnes, Healy & Melville 2018) and those of the
    map is minimised over the network's weights, with negative samples. All that `ParametricTSNE` can do, this
    can, too.

    The defaults make a faithful map; `smooth` makes one that a classifier can be retrained by.

    Args:
        components: Dimensions of the map, 2 or 3.
        n_neighbors: Neighbours of a point, itself not counted; umap-learn counts it.
        min_dist: Distance in the map down to which neighbours are pulled.
        spread: Scale of the map, in the units of `min_dist`.
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
        >>> umap = ParametricUMAP(n_neighbors=10, seed=0)
        >>> history = umap.fit(z, epochs=1, steps_per_epoch=10, verbose=0)
        >>> umap.predict(z, verbose=0).shape
        (1797, 2)
    """

    objective: FuzzyObjective

    def __init__(
        self,
        components: int = 2,
        *,
        n_neighbors: int = 15,
        min_dist: float = 0.1,
        spread: float = 1.0,
        negative_samples: float = 5.0,
        **kwargs: Any,
    ) -> None:
        objective = FuzzyObjective(
            n_neighbors, min_dist=min_dist, spread=spread, negative_samples=negative_samples
        )
        super().__init__(objective, components, **kwargs)

    @property
    def n_neighbors(self) -> int:
        """Neighbours of a point."""
        return self.objective.n_neighbors

    @property
    def min_dist(self) -> float:
        """Distance in the map down to which neighbours are pulled."""
        return self.objective.min_dist

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**self.objective.get_config(), **self._settings()}
