"""Equation 1: the classification loss mixed with the distance from the edited map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from ..checks import check_options, checked_number, one_of, quoted
from ..replicas import shared_loss

Tensor = Any
SPREAD = "spread"
OWN = AUTOMATIC = "auto"


@keras.saving.register_keras_serializable(package="keras_pli")
class PLILoss(keras.losses.Loss):
    """(1 − λ) · classification loss + λ · squared distance between embedding and target.

    Equation 1 of Hinterreiter et al. (2020), averaged over the batch, so that λ means the same for any batch
    size. Squared distances are divided by the map's own spread, so that it means the same on any map: by the
    mean squared distance of its points from their centre, over the number of classes, which is the size of
    one cluster where as many fill the map.

    The classification loss is the one given, never a copy of it, and is reduced as Keras reduces it in
    `fit`: by its own reduction, in its own dtype, without the entries that it ignores or that are masked. The
    distances are reduced in the same way, over all samples. With λ = 0 this is the classification loss.

    Under `tf.distribute` Keras divides a loss of a number a sample by the replicas. One that is a single
    number by itself is divided here, where λ is not 0; one that has its own `__call__` must see to it itself,
    as in Keras.

    Args:
        classification_loss: A Keras loss, its name, or a function of `(y_true, y_pred)`; a list or dict of
            one, as `compile` takes it for a model of one output, stands for that one.
        embedding_weight: λ, in [0, 1]; or `"auto"` for the largest that does no harm, which `PLIModel.fit`
            finds before it trains (see `PLIModel.find_weight`).
        most_cost: Where λ is `"auto"`, the accuracy that it may cost, in [0, 1), in which rare classes hardly
            count.
        moved_only: Whether the embedding term counts for the samples that the plan moved and no others;
            targets must then come with `"moved"`.
        scale: `"spread"`, a positive number to divide squared distances by, or None for the plain squared
            distance of the paper.
        reduction: A reduction of Keras's in place of the classification loss's own; `"auto"` for that, which
            for a function is `"sum_over_batch_size"`.
        name: Name of the loss.
        **kwargs: As for `keras.losses.Loss`.

    Raises:
        ValueError: If λ lies outside [0, 1] or `most_cost` outside [0, 1), the scale is not positive, or
            there are several losses.

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
        embedding_weight: float | str = 0.1,
        *,
        most_cost: float = 0.01,
        moved_only: bool = False,
        scale: float | str | None = SPREAD,
        reduction: str | None = OWN,
        name: str = "pli_loss",
        **kwargs: Any,
    ) -> None:
        check_options(type(self), kwargs)
        if embedding_weight != AUTOMATIC:
            if isinstance(embedding_weight, str) or not 0 <= embedding_weight <= 1:
                raise ValueError(
                    "`embedding_weight` (λ) must be 'auto', or lie between 0 and 1. "
                    f"Received: {embedding_weight!r}."
                )
            embedding_weight = float(embedding_weight)
        if isinstance(scale, str):
            one_of(scale, [SPREAD], "scale")
        elif scale is not None and not scale > 0:
            raise ValueError(
                f"`scale` must be 'spread', None or a positive number. Received: {scale}."
            )
        self.classification_loss = found_loss(classification_loss)
        self._own_reduction = reduction == OWN
        if self._own_reduction:
            reduction = getattr(self.classification_loss, "reduction", "sum_over_batch_size")
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.embedding_weight = embedding_weight
        self.most_cost = checked_number(most_cost, "most_cost", least=0.0, below=1.0)
        self.moved_only = moved_only
        self.scale = scale

    def __call__(
        self,
        y_true: dict[str, Tensor],
        y_pred: dict[str, Tensor],
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch, from `{"label", "embedding"[, "moved"]}` and `{"label", "embedding"}`.

        Without targets for the embedding, as in validation on labels alone, the classification loss stands
        alone.
        """
        classification = self.classification(y_true, y_pred, sample_weight)
        embedding = self.embedding(y_true, y_pred) if "embedding" in y_true else None
        return self.mixed(classification, embedding, y_pred, sample_weight)

    def call(self, y_true: dict[str, Tensor], y_pred: dict[str, Tensor]) -> Tensor:
        """One value a sample, before weights, masks and the reduction."""
        classification = self.classification(y_true, y_pred)
        if "embedding" not in y_true:
            return classification
        return self._mix(classification, self.embedding(y_true, y_pred))

    def classification(
        self,
        y_true: dict[str, Tensor],
        y_pred: dict[str, Tensor],
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The values that the classification loss gives before it reduces them, one a sample as a rule.

        A loss that does the whole of its work in `__call__` is given the sample weights there.
        """
        loss, labels, outputs = self.classification_loss, y_true["label"], y_pred["label"]
        if _reduces_itself(loss):
            return loss(labels, outputs, sample_weight)
        dtype = getattr(loss, "dtype", None) or keras.config.floatx()
        labels, outputs = (ops.convert_to_tensor(each, dtype=dtype) for each in (labels, outputs))
        if isinstance(loss, keras.losses.Loss):
            return loss.call(labels, outputs)
        return loss(*_of_one_rank(labels, outputs))

    def embedding(self, y_true: dict[str, Tensor], y_pred: dict[str, Tensor]) -> Tensor:
        """The scaled squared distance of each sample from its target."""
        # A data set's targets may be float64, and a mixed precision embedder's output float16.
        found, target = (ops.cast(y["embedding"], self.dtype) for y in (y_pred, y_true))
        distance = ops.sum(ops.square(found - target), axis=-1)
        if self.moved_only:
            distance = distance * ops.reshape(ops.cast(y_true["moved"], distance.dtype), (-1,))
        if isinstance(self.scale, str):
            raise ValueError(
                "The spread of the map is not known yet. `PLIModel.fit` finds it; elsewhere give `scale` as "
                "a number or None."
            )
        return distance if self.scale is None else distance / self.scale

    def mixed(
        self,
        classification: Tensor,
        embedding: Tensor | None,
        y_pred: dict[str, Tensor],
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Reduces what `classification` and `embedding` gave, and mixes them by λ.

        Under several replicas either is a replica's part, as Keras's losses are.
        """
        itself, whole = _reduces_itself(self.classification_loss), not len(classification.shape)
        if not itself:
            dtype = getattr(self.classification_loss, "dtype", None)
            reduced = _Reduction(classification, self.reduction, dtype)
            # The outputs bring their mask along.
            classification = reduced(y_pred["label"], y_pred["label"], sample_weight)
        classification = ops.cast(classification, self.dtype)
        if embedding is None or self.embedding_weight == 0:
            return classification
        if whole and not itself:  # what is one number already, Keras leaves undivided
            classification = shared_loss(classification)
        if sample_weight is not None:
            sample_weight = weight_like(sample_weight, embedding)
        reduced = _Reduction(embedding, self.reduction, self.dtype)
        return self._mix(classification, reduced(embedding, embedding, sample_weight))

    @property
    def needs_targets(self) -> bool:
        """Whether λ is, or may turn out to be, more than 0."""
        return isinstance(self.embedding_weight, str) or self.embedding_weight > 0

    def with_scale(self, scale: float) -> PLILoss:
        """Returns the same loss with a number for its scale; the classification loss is shared."""
        return self._changed(scale=scale)

    def with_weight(self, embedding_weight: float) -> PLILoss:
        """Returns the same loss with another λ; the classification loss is shared."""
        return self._changed(embedding_weight=float(embedding_weight))

    def _changed(self, **settings: Any) -> PLILoss:
        # `copy.copy` would make Keras write the loss down and read it again.
        changed: PLILoss = object.__new__(type(self))
        changed.__dict__.update(self.__dict__ | settings)
        return changed

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        if self._own_reduction:
            del config["reduction"]
        return {
            **config,
            "classification_loss": keras.losses.serialize(self.classification_loss),
            "embedding_weight": self.embedding_weight,
            "most_cost": self.most_cost,
            "moved_only": self.moved_only,
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PLILoss:
        """Makes the loss that `get_config` describes."""
        loss = keras.losses.deserialize(config["classification_loss"])
        return cls(**{**config, "classification_loss": loss})

    def _mix(self, classification: Tensor, embedding: Tensor) -> Tensor:
        if self.embedding_weight == 0:  # zero times a distance that overflowed would be NaN
            return classification
        positions = len(classification.shape) - len(embedding.shape)
        if len(embedding.shape) and positions > 0:  # a sample's distance stands at each of them
            embedding = ops.reshape(embedding, (-1, *[1] * positions))
        weight = self.embedding_weight
        if isinstance(weight, str):
            raise ValueError(
                "λ is 'auto', and not known yet. `PLIModel.fit` finds it; elsewhere give `embedding_weight` "
                "as a number."
            )
        return (1.0 - weight) * classification + weight * embedding


def found_loss(loss: Any) -> Any:
    """Returns the loss that `compile` was given for a single output, as an object or a function.

    Args:
        loss: A Keras loss, its name or configuration, a function, or a list or dict of one of these.

    Raises:
        ValueError: If there is none, or more than one.

    Example:
        >>> found_loss({"digit": ["mse"]}) is keras.losses.mean_squared_error
        True
    """
    several = None
    if isinstance(loss, list | tuple):
        several = list(loss)
    elif isinstance(loss, Mapping) and "class_name" not in loss:
        several = list(loss.values())
    if several is not None and len(several) == 1:
        return found_loss(several[0])
    if several is not None or loss is None:
        received = quoted(several) if several else repr(loss)
        raise ValueError(
            f"A classification loss is one loss, for a model of one output. Received: {received}."
        )
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        return crossentropy
    return keras.losses.get(loss)


@keras.saving.register_keras_serializable(package="keras_pli")
def crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The cross-entropy that suits the shapes, as `compile` takes the names "crossentropy" and "ce".

    Example:
        >>> crossentropy(ops.array([1]), ops.array([[0.0, 1.0]])).shape == (1,)
        True
    """
    if y_pred.shape[-1] == 1:
        return keras.losses.binary_crossentropy(y_true, y_pred)
    if len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
    return keras.losses.categorical_crossentropy(y_true, y_pred)


def weight_like(weight: Tensor, values: Tensor) -> Tensor:
    """Weights of as many axes as values have: those of a sample stand at its positions, or are averaged.

    Example:
        >>> weight_like(ops.ones((4,)), ops.ones((4, 3))).shape == (4, 1)
        True
    """
    for _ in range(len(values.shape) - len(weight.shape)):
        weight = ops.expand_dims(weight, -1)
    surplus = list(range(len(values.shape), len(weight.shape)))
    return ops.mean(weight, axis=surplus) if surplus else weight


class _Reduction(keras.losses.Loss):
    """Keras's own weights, masks and reduction, over values that are there already."""

    def __init__(self, values: Tensor, reduction: str | None, dtype: Any) -> None:
        super().__init__(name="reduction", reduction=reduction, dtype=dtype)
        self._values = values

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The values."""
        return self._values


def _reduces_itself(loss: Any) -> bool:
    """Whether a loss replaces what Keras does around `call`."""
    return isinstance(loss, keras.losses.Loss) and type(loss).__call__ is not _KERAS_CALL


_KERAS_CALL: Callable[..., Any] = keras.losses.Loss.__call__


def _of_one_rank(labels: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and outputs as Keras hands them to a function: a last axis of one is added or dropped."""
    extra = len(labels.shape) - len(outputs.shape)
    longer, shorter = (labels, outputs) if extra > 0 else (outputs, labels)
    if abs(extra) != 1 or longer.shape[-1] != 1:
        return labels, outputs
    if len(shorter.shape) == 1:
        shorter = ops.expand_dims(shorter, -1)
    else:
        longer = ops.squeeze(longer, -1)
    return (longer, shorter) if extra > 0 else (shorter, longer)
