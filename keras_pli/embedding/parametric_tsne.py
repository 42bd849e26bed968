"""Parametric t-SNE: a small network that maps activations to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from .objectives import DivergenceObjective
from .parametric_embedding import ParametricEmbedding


@keras.saving.register_keras_serializable(package="keras_pli")
class ParametricTSNE(ParametricEmbedding):
    """A network trained to be a t-SNE: it embeds new points, and gradients pass through it.

    The divergence between Gaussian affinities of the data and Student-t affinities of the map is minimised
    over the network's weights (van der Maaten 2009), with the additions of Hinterreiter et al. (2020,
    section 2.1): k = min(3 · perplexity, N − 1) neighbours, kernel widths by Brent's method, and a start
    from the first principal components. `ParametricTSNE.paper()` has that paper's settings; the defaults
    differ where measurements were in favour of something else (see `benchmarks/embedding.py`).

    The defaults make a faithful map; `smooth` makes one that a classifier can be retrained by.

    Args:
        components: Dimensions of the map, 2 or 3.
        perplexity: Effective number of neighbours, above 1 and below N / 3; or several, such as `[10, 50,
            200]`, whose affinities are averaged (multi-scale).
        batches: `"neighbors"` draws the edges of each batch from P, so that it holds pairs that attract;
            `"uniform"` draws points, as the papers do, and takes all pairs among them. `"auto"` draws points
            as long as a batch shows each of them ten of its neighbours on average, or a third of them, and
            edges beyond.
        early_exaggeration: Factor on the attraction in the first quarter of training.
        **kwargs: The network and how it is trained, as for `ParametricEmbedding`: `hidden_units`,
            `activation`, `principal_components`, `network`, `learning_rate`, `jitter`, `neighbors`, `metric`,
            `fit_defaults`, `seed`, `across_replicas`.

    Raises:
        ValueError: If an argument is out of range.
        TypeError: If an option is unknown.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> z = load_digits().data
        >>> tsne = ParametricTSNE(perplexity=30, seed=0)
        >>> history = tsne.fit(z, epochs=1, steps_per_epoch=10, verbose=0)
        >>> tsne.predict(z, verbose=0).shape
        (1797, 2)
    """

    objective: DivergenceObjective

    def __init__(
        self,
        components: int = 2,
        *,
        perplexity: float | Sequence[float] = 50.0,
        batches: str = "auto",
        early_exaggeration: float = 1.5,
        **kwargs: Any,
    ) -> None:
        objective = DivergenceObjective(
            perplexity, batches=batches, early_exaggeration=early_exaggeration
        )
        super().__init__(objective, components, **kwargs)

    @property
    def perplexity(self) -> float | Sequence[float]:
        """Effective number of neighbours, or several."""
        return self.objective.perplexity

    @property
    def batches(self) -> str:
        """How batches are formed."""
        return self.objective.batches

    @property
    def early_exaggeration(self) -> float:
        """Factor on the attraction in the first quarter of training."""
        return self.objective.early_exaggeration

    @classmethod
    def paper(
        cls, components: int = 2, *, seed: int | None = None, **kwargs: Any
    ) -> ParametricTSNE:
        """Returns a model with the settings of Hinterreiter et al. (2020), sections 2.1 and 3.2.

        Perplexity 50, hidden layers of 300 and 100, uniform batches of 500, Adam at a constant rate of 0.01
        for ten epochs after five of pre-training. The paper does not name the activation; softplus is that of
        its authors' code.

        Example:
            >>> tsne = ParametricTSNE.paper(seed=0)
            >>> tsne.perplexity, tsne.batches
            (50.0, 'uniform')
        """
        settings: dict[str, Any] = {
            "perplexity": 50.0,
            "hidden_units": (300, 100),
            "activation": "softplus",
            "principal_components": None,
            "batches": "uniform",
            "early_exaggeration": 1.0,
            "jitter": 0.0,
            "fit_defaults": {"epochs": 10, "batch_size": 500, "pretrain_epochs": 5},
        }
        model = cls(components, seed=seed, **{**settings, **kwargs})
        model.compile(keras.optimizers.Adam(0.01))
        return model

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**self.objective.get_config(), **self._settings()}
