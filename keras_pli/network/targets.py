"""What is explained of the logits: classes, also at a position or within a mask, and what callables make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from ..parts import digest
from .inputs import PlacedTarget, check_classes, checked_target

Tensor = Any


class Region(NamedTuple):
    """A class of each sample within a mask over the positions; arrays outside of a graph, tensors within.

    Attributes:
        classes: int32 of shape `(batch,)`; −1 is the class predicted within the mask.
        mask: Weights of the positions, float32 of shape `(batch, *positions)`.
    """

    classes: Any
    mask: Any

    def weights(self, logits: Tensor) -> Tensor:
        """The weight of each position, to broadcast to `logits` without their last axis."""
        if not self.mask.shape[1:].is_compatible_with(logits.shape[1:-1]):
            raise ValueError(
                f"A mask must have one weight for each position, shape {tuple(logits.shape[1:-1])}. "
                f"Received shape {tuple(self.mask.shape[1:])}."
            )
        return self.mask


class Spot(NamedTuple):
    """A class of each sample at a position; arrays outside of a graph, tensors within.

    Attributes:
        classes: int32 of shape `(batch,)`; −1 is the class predicted there.
        position: int32 of shape `(batch, axes)`.
    """

    classes: Any
    position: Any

    def weights(self, logits: Tensor) -> Tensor:
        """The weight of each position: 1 at the spot and 0 elsewhere."""
        weights: Any = 1.0
        for axis in range(self.position.shape[1]):
            size = logits.shape[axis + 1] or tf.shape(logits)[axis + 1]
            along = tf.one_hot(self.position[:, axis], size)
            across = tf.reshape(along, (-1, *[1] * axis, size))
            weights = weights[..., None] * across if axis else across
        return weights


@dataclass(frozen=True, eq=False, repr=False)
class AtPosition(PlacedTarget):
    """A class at one position of an output `(batch, *positions, classes)`, as the target of a method.

    Args:
        target: A class, one class for each sample, or None for the class predicted there.
        position: An index for each axis of positions, such as `(row, column)`; a whole number where there is
            one axis; or an array `(samples, axes)` of a position for each sample.

    Example:
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3, padding="same")])
        >>> found = Saliency(model)(np.ones((2, 8, 8, 1)), target=AtPosition(1, (4, 4)))
        >>> rows, columns = np.nonzero(found.attributions[0, ..., 0])
        >>> int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
        (3, 5, 3, 5)
    """

    target: int | ArrayLike | None
    position: int | ArrayLike

    def placed(self, logits: Any, samples: int, model: keras.Model) -> Spot:
        """See `PlacedTarget.placed`."""
        sizes = _positions_of(logits, model)
        position = np.atleast_1d(np.asarray(self.position))
        if position.dtype.kind not in "iu" or position.shape not in (
            (len(sizes),),
            (samples, len(sizes)),
        ):
            raise ValueError(
                f"`position` must be {len(sizes)} whole numbers, one for each axis of the positions {sizes}, "
                f"or an array of them for each of the {samples} samples. Received: {self.position!r}."
            )
        position = np.broadcast_to(position, (samples, len(sizes)))
        limits = np.array([np.inf if size is None else size for size in sizes])
        outside = ((position < 0) | (position >= limits)).any(axis=1)
        if outside.any():
            raise ValueError(
                f"`position` must lie within the positions {sizes} of {model.name!r}, counted from 0. "
                f"Received: {quoted(sorted(set(map(tuple, position[outside].tolist()))))}."
            )
        return Spot(_classes(self.target, logits, samples, model), position.astype(np.int32))

    def __repr__(self) -> str:
        return f"AtPosition({_told(self.target)}, {_told(self.position)})"


@dataclass(frozen=True, eq=False, repr=False)
class Within(PlacedTarget):
    """A class within a mask over an output `(batch, *positions, classes)`, as the target of a method.

    The score is the sum of the class's logits over the positions, each times its place in the mask.

    Args:
        target: A class, one class for each sample, or None for the one predicted within the mask: that of
            the largest sum.
        mask: Booleans or weights, of shape `(*positions)` for all samples or `(samples, *positions)`.

    Example:
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 1)])
        >>> left = np.arange(8) < np.full((8, 1), 4)
        >>> found = Saliency(model)(np.ones((2, 8, 8, 1)), target=Within(1, left))
        >>> bool(np.all((found.attributions[0, ..., 0] != 0) == left))
        True
    """

    target: int | ArrayLike | None
    mask: ArrayLike

    def placed(self, logits: Any, samples: int, model: keras.Model) -> Region:
        """See `PlacedTarget.placed`."""
        sizes = _positions_of(logits, model)
        mask = np.asarray(self.mask)
        if mask.dtype.kind not in "fiub" or not np.isfinite(mask).all():
            raise ValueError(
                f"`mask` must hold finite numbers or booleans. Received dtype {mask.dtype}, values "
                f"{quoted(np.unique(mask), most=4)}."
            )
        shared, own = tf.TensorShape(sizes), tf.TensorShape((samples, *sizes))
        if not (shared.is_compatible_with(mask.shape) or own.is_compatible_with(mask.shape)):
            raise ValueError(
                f"`mask` must have the shape of the output's positions, {sizes}, or that for each sample, "
                f"{(samples, *sizes)}. Received shape {mask.shape}."
            )
        whole = mask.shape if mask.ndim > len(sizes) else (samples, *mask.shape)
        classes = _classes(self.target, logits, samples, model)
        return Region(classes, np.broadcast_to(mask.astype(np.float32), whole))

    def __repr__(self) -> str:
        return f"Within({_told(self.target)}, {_told(self.mask)})"


def target_kind(target: Any) -> Any:
    """What `Method.traced` calls a target: `"predicted"` for None, `"given"` for classes, or it itself."""
    if callable(target) or isinstance(target, Region | Spot):
        return target
    return "predicted" if target is None else "given"


def target_spec(target: Any) -> Any:
    """The tensors that stand for a target in a signature: of classes, or of what a placed target became."""
    if isinstance(target, Region | Spot):
        return tf.nest.map_structure(
            lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), target
        )
    return tf.TensorSpec((None,), tf.int32)


def rows_of(target: Any, rows: Any) -> Any:
    """Returns the targets of some samples; a callable is that of all."""
    return target if callable(target) else tf.nest.map_structure(lambda part: part[rows], target)


def over_positions(logits: Tensor, weights: Tensor = None) -> Tensor:
    """Sums logits `(batch, *positions, classes)` over their positions, to `(batch, classes)`."""
    if weights is not None:
        logits = logits * weights[..., None]
    axes = list(range(1, logits.shape.rank - 1))
    return tf.reduce_sum(logits, axis=axes) if axes else logits


def predicted_classes(logits: Tensor, weights: Tensor = None) -> Tensor:
    """Returns the class of the largest logit, summed over positions, int32 of shape `(batch,)`."""
    return tf.argmax(over_positions(logits, weights), axis=-1, output_type=tf.int32)


def held_target(logits: Tensor, target: Any) -> Any:
    """Returns a target with the predicted classes in place of None and −1; it then holds for other inputs."""
    if target is None:
        return predicted_classes(logits)
    if not isinstance(target, Region | Spot):
        return target
    predicted = predicted_classes(logits, target.weights(logits))
    return target._replace(classes=tf.where(target.classes < 0, predicted, target.classes))


def target_scores(logits: Tensor, target: Any) -> Tensor:
    """Returns each sample's score, `(batch,)`: the logit of its class, or what a callable makes of them.

    Args:
        logits: Float32 of shape `(batch, *positions, classes)`. A class is scored by the sum over the
            positions, or over those that the target names.
        target: int32 classes `(batch,)`, a `Region` or `Spot`, a callable on the logits, or None for the
            predicted class.
    """
    if callable(target):
        return _called(target, logits)
    target = held_target(logits, target)
    placed = isinstance(target, Region | Spot)
    totals = over_positions(logits, target.weights(logits) if placed else None)
    classes = target.classes if placed else target
    return tf.reduce_sum(totals * tf.one_hot(classes, logits.shape[-1]), axis=-1)


def score_slopes(logits: Tensor, target: Any) -> Tensor:
    """The derivative of each sample's score by its logits, in their shape; which class is meant is held."""
    target = held_target(logits, target)
    placed = isinstance(target, Region | Spot)
    between = [1] * (logits.shape.rank - 2)
    chosen = tf.one_hot(target.classes if placed else target, logits.shape[-1])
    slopes = tf.reshape(chosen, (-1, *between, logits.shape[-1]))
    if placed:
        slopes *= target.weights(logits)[..., None]
    return slopes * tf.ones_like(logits) if between else slopes


def _called(target: Any, logits: Tensor) -> Tensor:
    shape = tuple(logits.shape)
    try:
        made = tf.convert_to_tensor(target(logits))
    except (ValueError, IndexError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"`target` fails on logits of shape {shape}: {error}") from error
    scores = tf.cast(made, tf.float32)
    if scores.shape.rank != 1:
        raise ValueError(
            f"`target` must give one score for each sample, shape (batch,), from logits of shape {shape}. "
            f"Received shape {tuple(scores.shape)}."
        )
    return scores


def _classes(
    target: int | ArrayLike | None, logits: Any, samples: int, model: keras.Model
) -> NDArray[np.int32]:
    """Checked classes; −1 for the predicted ones."""
    if target is None:
        return np.full(samples, -1, np.int32)
    if callable(target):
        raise ValueError(
            "A target at a position or within a mask must be a class. A callable sees all positions, "
            "shape (batch, *positions, classes): pass it by itself."
        )
    classes: NDArray[np.int32] = checked_target(target, samples)
    check_classes(classes, int(logits[-1]), model)
    return classes


def _positions_of(logits: Any, model: keras.Model) -> tuple[int | None, ...]:
    sizes = tuple(logits[1:-1])
    if not sizes:
        raise ValueError(
            f"What is explained of {model.name!r} has no positions: its logits have shape {tuple(logits)}. "
            "Pass a class alone."
        )
    return sizes


def _told(part: Any) -> str:
    """Arrays by their shape and a checksum; everything else as it is."""
    if isinstance(part, np.ndarray) and part.size > 8:
        return f"array{part.shape}#{digest(part)[:8]}"
    return repr(part)
