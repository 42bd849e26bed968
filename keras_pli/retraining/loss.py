"""Equation 1: the classification loss mixed with the distance from the edited map."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..checks import check_options, one_of

Tensor = Any
SPREAD = "spread"


@keras.saving.register_keras_serializable(package="keras_pli")
class PLILoss(keras.losses.Loss):
    """(1 − λ) · classification loss + λ · squared distance between embedding and target.

    Equation 1 of Hinterreiter et al. (2020), taken for each sample and then averaged over the batch, so
    that λ means the same for any batch size. Squared distances are divided by the map's own spread, so that
    it means the same on any map: by the mean squared distance of its points from their centre, over the
    number of classes, which is the size of one cluster where as many fill the map.

    Args:
        classification_loss: A Keras loss, its name, or a function of `(y_true, y_pred)` that gives one value
            a sample.
        embedding_weight: λ, in [0, 1].
        moved_only: Whether the embedding term counts for the samples that the plan moved and no others;
            targets must then come with `"moved"`.
        scale: `"spread"`, a positive number to divide squared distances by, or None for the plain squared
            distance of the paper.

    Raises:
        ValueError: If λ lies outside [0, 1], or the scale is not positive.

    Example:
        >>> import numpy as np
        >>> loss = PLILoss("sparse_categorical_crossentropy", embedding_weight=0.5, scale=None)
        >>> targets = {"label": np.array([0]), "embedding": np.array([[0.0, 0.0]])}
        >>> found = {"label": np.array([[1.0, 0.0]]), "embedding": np.array([[3.0, 4.0]])}
        >>> float(loss(targets, found))
        12.5
    """

    def __init__(
        self,
        classification_loss: Any = "sparse_categorical_crossentropy",
        embedding_weight: float = 0.1,
        *,
        moved_only: bool = False,
        scale: float | str | None = SPREAD,
        name: str = "pli_loss",
        **kwargs: Any,
    ) -> None:
        check_options(type(self), kwargs)
        super().__init__(name=name, **kwargs)
        if not 0 <= embedding_weight <= 1:
            raise ValueError(
                f"`embedding_weight` (λ) must lie between 0 and 1. Received: {embedding_weight}."
            )
        if isinstance(scale, str):
            one_of(scale, [SPREAD], "scale")
        elif scale is not None and not scale > 0:
            raise ValueError(
                f"`scale` must be 'spread', None or a positive number. Received: {scale}."
            )
        self.classification_loss = keras.losses.get(classification_loss)
        self.embedding_weight = float(embedding_weight)
        self.moved_only = moved_only
        self.scale = scale

    def call(self, y_true: dict[str, Tensor], y_pred: dict[str, Tensor]) -> Tensor:
        """One value a sample, from `{"label", "embedding"[, "moved"]}` and `{"label", "embedding"}`.

        Without targets for the embedding, as in validation on labels alone, the classification loss stands
        alone.
        """
        classification = self.classification(y_true, y_pred)
        if "embedding" not in y_true:
            return classification
        embedding = self.embedding(y_true, y_pred)
        return (1.0 - self.embedding_weight) * classification + self.embedding_weight * embedding

    def classification(self, y_true: dict[str, Tensor], y_pred: dict[str, Tensor]) -> Tensor:
        """The classification loss of each sample."""
        of_samples = getattr(self.classification_loss, "call", self.classification_loss)
        labels, outputs = y_true["label"], y_pred["label"]
        if len(outputs.shape) == len(labels.shape) + 1 and outputs.shape[-1] == 1:
            labels = ops.expand_dims(
                labels, -1
            )  # a single sigmoid output, labels of shape (samples,)
        return of_samples(labels, outputs)

    def embedding(self, y_true: dict[str, Tensor], y_pred: dict[str, Tensor]) -> Tensor:
        """The scaled squared distance of each sample from its target."""
        # A data set's targets may be float64, and a mixed precision embedder's output float16.
        found, target = (ops.cast(y["embedding"], "float32") for y in (y_pred, y_true))
        distance = ops.sum(ops.square(found - target), axis=-1)
        if self.moved_only:
            distance = distance * ops.reshape(ops.cast(y_true["moved"], distance.dtype), (-1,))
        if isinstance(self.scale, str):
            raise ValueError(
                "The spread of the map is not known yet. `PLIModel.fit` finds it; elsewhere give `scale` as "
                "a number or None."
            )
        return distance if self.scale is None else distance / self.scale

    def with_scale(self, scale: float) -> PLILoss:
        """Returns the same loss with a number for its scale."""
        return PLILoss.from_config({**self.get_config(), "scale": scale})

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classification_loss": keras.losses.serialize(self.classification_loss),
            "embedding_weight": self.embedding_weight,
            "moved_only": self.moved_only,
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PLILoss:
        """Makes the loss that `get_config` describes."""
        loss = keras.losses.deserialize(config["classification_loss"])
        return cls(**{**config, "classification_loss": loss})
