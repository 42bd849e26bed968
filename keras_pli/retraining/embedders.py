"""The map that a classifier is retrained by: one that the caller has trained, or one trained for a seed."""

from __future__ import annotations

from typing import Any

import keras
from numpy.typing import NDArray

from ..embedding import ParametricEmbedding, ParametricTSNE


def check_trained(embedder: Any) -> None:
    """Raises a `ValueError` for a map of this package that has not been trained.

    Whether another Keras model has been, nobody can tell.

    Example:
        >>> check_trained(ParametricTSNE())  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: The embedder, a ParametricTSNE, has not been trained: its map would be random. Call ...
    """
    if isinstance(embedder, ParametricEmbedding) and not embedder.trained:
        raise ValueError(
            f"The embedder, a {type(embedder).__name__}, has not been trained: its map would be random. "
            "Call its `fit` with the activations of the layer first."
        )


def embedder_of(
    source: Any, z: NDArray[Any], seed: int, *, callbacks: Any = None, verbose: Any = 0
) -> keras.Model:
    """Returns the embedder that an experiment was given, or trains one on activations.

    Args:
        source: A trained embedder; a function of `(activations, seed)` that trains one; or None for a
            `ParametricTSNE.smooth`, with a lower perplexity for few points.
        z: Activations, shape `(samples, features)`.
        seed: The experiment's seed.
        callbacks: Keras callbacks of a map that is trained where there is no source.
        verbose: As in Keras, for that training.

    Raises:
        ValueError: If the embedder has not been trained.
        TypeError: If the function returns something else than a model, such as a history.
    """
    if source is None:
        tsne = ParametricTSNE.smooth(perplexity=min(50.0, len(z) / 3 - 1), seed=seed)
        tsne.fit(z, callbacks=callbacks, verbose=verbose)
        return tsne
    embedder = source if isinstance(source, keras.Model) else source(z, seed)
    if not isinstance(embedder, keras.Model):
        raise TypeError(
            "`embedder` must be a Keras model, or a function of activations and a seed that returns one. "
            f"It returned: {type(embedder).__name__}."
        )
    check_trained(embedder)
    return embedder
