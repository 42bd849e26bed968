"""A model's weights as one vector, put in place of its own within a pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...checks import quoted
from .directions import check_same_shapes

Tensor = Any


class FlatWeights:
    """Weights of a model, one after another in a vector.

    Args:
        model: The model.
        variables: Those that count.
    """

    def __init__(self, model: keras.Model, variables: Sequence[Any]) -> None:
        self.model, self.variables = model, list(variables)

    @property
    def size(self) -> int:
        """The number of weights."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables)

    def weights(self) -> NDArray[Any]:
        """Returns the model's weights as they are now.

        Raises:
            ValueError: If some are not finite; they are named.
        """
        return self.flat([keras.ops.convert_to_numpy(v.value) for v in self.variables], "weights")

    def flat(self, arrays: Sequence[Any], name: str) -> NDArray[Any]:
        """Returns a list of arrays, one for each variable, as one vector.

        Raises:
            ValueError: If their number or a shape is another (the first such weight is named), or some are
                not finite.
        """
        paths = [variable.path for variable in self.variables]
        check_same_shapes(self.variables, arrays, name, paths)
        broken = [path for path, array in zip(paths, arrays, strict=True) if not _all_finite(array)]
        if broken:
            raise ValueError(f"`{name}` must be finite. NaN or infinity in {quoted(broken)}.")
        return np.concatenate([np.asarray(array, self.dtype).ravel() for array in arrays])

    def parted(self, flat: ArrayLike) -> list[NDArray[Any]]:
        """Returns a vector as a list of arrays, one for each variable."""
        shapes = [tuple(variable.shape) for variable in self.variables]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        parts = np.split(np.asarray(flat), ends)
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def mapping(self, flat: Tensor) -> list[tuple[Any, Tensor]]:
        """Returns each variable with its part of a vector, for `keras.StatelessScope`."""
        sizes = [int(np.prod(variable.shape)) for variable in self.variables]
        return [
            (variable, tf.cast(tf.reshape(part, variable.shape), variable.dtype))
            for variable, part in zip(self.variables, tf.split(flat, sizes), strict=True)
        ]

    @property
    def dtype(self) -> Any:
        """Doubles where some variable is of them, or else float32."""
        doubles = any(variable.dtype == "float64" for variable in self.variables)
        return np.float64 if doubles else np.float32

    def check_handed_in(self, traced: Any) -> None:
        """Raises a `ValueError` if a model reads a weight otherwise than through Keras."""
        captured = {id(tensor) for tensor in traced.captured_inputs}
        passed_by = [
            v.path for v in self.variables if id(getattr(v.value, "handle", None)) in captured
        ]
        if passed_by:
            raise ValueError(
                f"{self.model.name!r} reads the weights {quoted(passed_by)} otherwise than through Keras, so "
                "that others cannot be put in their place. Build the layer of `keras.layers`, or of weights "
                "made by `add_weight`."
            )


def _all_finite(array: Any) -> bool:
    return bool(np.isfinite(np.asarray(array, np.float64)).all())
