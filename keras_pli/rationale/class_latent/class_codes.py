"""Codes of two parts: the structure of an image, and its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import checked_number, finite_array, label_array, quoted
from ...draws import normal, uniform

Tensor = Any
Array = NDArray[np.float32]


class ClassCodes(NamedTuple):
    """Codes of a batch.

    Attributes:
        z1: Structure codes, `(samples, structure_size)`.
        z2: Class codes, `(samples, class_size)`.
        labels: The classes put in, `(samples,)`.
    """

    z1: Any
    z2: Any
    labels: Any

    def __repr__(self) -> str:
        return brief_repr(self)


@dataclass(frozen=True)
class CodeScheme:
    """How structure and class lie in a code, and how both are drawn.

    The code is (z₁, z₂): z₁ ~ N(0, I) is the structure. For the negative class, 0, the class code z₂ is all
    zeros; for the positive one it is drawn from N(0, I), since one structure can show the class in many ways
    (Dravid & Katsaggelos 2022, "Methods"). Of more than two classes, each but class 0 has a block of z₂ of
    its own: class k is drawn in block k − 1 and has zeros in all others, so that every class lies around the
    same z₂ = 0.

    Args:
        structure_size: Length of z₁.
        block_size: Length of one class's block of z₂.
        classes: How many classes there are.
    """

    structure_size: int
    block_size: int
    classes: int

    @classmethod
    def of(cls, latent_size: int, structure_size: int, classes: int) -> CodeScheme:
        """Returns the scheme of a generator's codes.

        Raises:
            ValueError: If what is left beside the structure is no block of equal length for each class.
        """
        structure_size = checked_number(structure_size, "structure_size", least=1, whole=True)
        rest = latent_size - structure_size
        if rest < 1 or rest % (classes - 1):
            raise ValueError(
                f"A code of {latent_size} with `structure_size={structure_size}` leaves {rest} for the class "
                f"code, which must be {classes - 1} blocks of equal length for {classes} classes."
            )
        return cls(structure_size, rest // (classes - 1), classes)

    @property
    def class_size(self) -> int:
        """Length of z₂."""
        return self.block_size * (self.classes - 1)

    @property
    def latent_size(self) -> int:
        """Length of z₁ and z₂ together."""
        return self.structure_size + self.class_size

    def blocks(self, labels: Tensor) -> Tensor:
        """Returns ones where the class codes of labels may differ from zero, `(batch, class_size)`."""
        return tf.repeat(tf.one_hot(labels - 1, self.classes - 1), self.block_size, axis=-1)

    def drawn(self, labels: Tensor, key: int, number: Tensor) -> Tensor:
        """Draws codes for labels, `(batch, latent_size)`.

        Args:
            labels: Classes, int32 `(batch,)`.
            key: First part of the seed.
            number: Second part, such as the number of a step.
        """
        codes = normal((tf.shape(labels)[0], self.latent_size), (key, number))
        z1, z2 = self.parts(codes)
        return tf.concat([z1, z2 * self.blocks(labels)], axis=-1)

    def labels(self, count: Tensor, shares: Tensor, key: int, number: Tensor) -> Tensor:
        """Draws classes of given shares, int32 `(count,)`."""
        ends = tf.cumsum(shares)[:-1]
        places = uniform((count,), (key, number))
        return tf.reduce_sum(tf.cast(places[:, None] >= ends, tf.int32), axis=-1)

    def parts(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z₁ and z₂ of codes, of TensorFlow or NumPy."""
        return codes[:, : self.structure_size], codes[:, self.structure_size :]

    def joined(self, z1: ArrayLike, z2: ArrayLike) -> Array:
        """Returns codes of checked parts, `(samples, latent_size)`.

        Raises:
            ValueError: If a length or the numbers of samples do not fit, or a value is not finite.
        """
        found = [finite_array(part, name, ndim=2) for part, name in ((z1, "z1"), (z2, "z2"))]
        sizes = (self.structure_size, self.class_size)
        for part, name, size in zip(found, ("z1", "z2"), sizes, strict=True):
            if part.shape[1] != size:
                raise ValueError(
                    f"`{name}` must have shape (samples, {size}). Received shape {part.shape}."
                )
        if len(found[0]) != len(found[1]):
            raise ValueError(
                f"There are {len(found[0])} structure codes, but {len(found[1])} class codes."
            )
        return np.concatenate(found, axis=1)

    def classes_of(self, z2: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
        """Returns the class whose block of z₂ is longest, and 0 where all of z₂ is zero, `(samples,)`.

        Example:
            >>> CodeScheme(4, 2, 3).classes_of(np.array([[0.0, 0.0, 1.0, 0.0], [0.0] * 4]))
            array([2, 0], dtype=int32)
        """
        lengths = np.linalg.norm(z2.reshape(len(z2), self.classes - 1, self.block_size), axis=2)
        return np.where(lengths.any(axis=1), lengths.argmax(axis=1) + 1, 0).astype(np.int32)

    def checked_labels(self, labels: ArrayLike, samples: int) -> NDArray[np.int32]:
        """Returns one class for each sample; a single one serves all.

        Raises:
            ValueError: If a label is not a class.
        """
        given = np.asarray(labels)
        given = label_array(np.full(samples, given) if given.ndim == 0 else given, samples)
        wrong = ~np.isin(given, np.arange(self.classes))
        if wrong.any():
            raise ValueError(
                f"`labels` must be classes from 0 to {self.classes - 1}. "
                f"Received: {quoted(np.unique(given[wrong]))}."
            )
        return given.astype(np.int32)
