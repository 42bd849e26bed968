"""A signature of a SavedModel: what it takes, the checks of a request, and the call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...checks import quoted
from .errors import ServingError


@dataclass(frozen=True)
class Signature:
    """One named function of a SavedModel, with named tensors in and out.

    TensorFlow Serving leaves shapes to the graph. Here they are checked first, so that the error names the
    input; and inputs whose first axis is open share one batch, which must not be empty.

    Args:
        name: The key in the SavedModel's signatures.
        inputs: dtype and shape of each input.
        outputs: dtype and shape of each output.
        function: The signature itself, called with a tensor for each input.
    """

    name: str
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    function: Callable[..., Mapping[str, Any]]

    @classmethod
    def from_definition(
        cls, name: str, definition: Any, function: Callable[..., Mapping[str, Any]]
    ) -> Signature:
        """Reads the names, dtypes and shapes from a `SignatureDef`."""
        return cls(name, _specs(definition.inputs), _specs(definition.outputs), function)

    def check_names(self, received: Collection[str]) -> None:
        """Raises ServingError unless exactly the inputs of the signature are `received`."""
        missing = [name for name in self.inputs if name not in received]
        unknown = [name for name in received if name not in self.inputs]
        if missing or unknown:
            wrong = [f"{quoted(missing)} is missing"] if missing else []
            wrong += [f"{quoted(unknown)} is not known"] if unknown else []
            raise ServingError(
                f"Signature {self.name!r} takes the inputs {quoted(self.inputs)}: {', '.join(wrong)}."
            )

    def check_tensor(self, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        """Raises ServingError unless input `name` takes a tensor of this dtype and shape."""
        spec = self.inputs[name]
        if dtype != spec.dtype:
            raise ServingError(f"Input {name!r} must be {spec.dtype.name}. Received {dtype.name}.")
        if not spec.shape.is_compatible_with(shape):
            raise ServingError(
                f"Input {name!r} must have shape {shape_text(spec)}. Received {shape}."
            )

    def run(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Returns every output for inputs of the right dtypes, in the order of `outputs`.

        Raises:
            ServingError: If names, shapes or batches do not fit, or a check in the graph fails.
        """
        self.check_names(tensors)
        for name, array in tensors.items():
            self.check_tensor(name, self.inputs[name].dtype, array.shape)
        self._check_batch(tensors)
        try:
            outputs = self.function(
                **{
                    name: tf.constant(array, self.inputs[name].dtype)
                    for name, array in tensors.items()
                }
            )
        except tf.errors.OpError as error:
            raise ServingError.from_tensorflow(error) from error
        return {name: _numpy(outputs[name]) for name in self.outputs}

    def _check_batch(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        sizes = {
            name: tensors[name].shape[0]
            for name, spec in self.inputs.items()
            if spec.shape.rank and spec.shape[0] is None
        }
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
            raise ServingError(f"The first axes of the inputs differ: {found}.")
        if 0 in sizes.values():
            raise ServingError(
                f"The batch is empty: {quoted(sizes)} must hold at least one sample."
            )


def shape_text(spec: tf.TensorSpec) -> str:
    """Writes a shape with `?` for every open axis.

    Example:
        >>> shape_text(tf.TensorSpec((None, 8, 8, 1)))
        '(?, 8, 8, 1)'
    """
    if spec.shape.rank is None:
        return "of any rank"
    sizes = ["?" if size is None else str(size) for size in spec.shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _specs(infos: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(
            tf.TensorShape(infos[name].tensor_shape), tf.dtypes.as_dtype(infos[name].dtype)
        )
        for name in sorted(infos)
    }


def _numpy(tensor: Any) -> NDArray[Any]:
    # NumPy would cut the trailing zero bytes of a string, were it not an object.
    return np.array(tensor.numpy(), dtype=object if tensor.dtype == tf.string else None)
