"""Running a model on real numbers at inputs that it casts to integers, as pixels of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from .recording import listening_to

Tensor = Any


@dataclass(frozen=True, eq=False)
class Uncasting:
    """Hands operations some tensors of real numbers themselves, where they would get them as integers.

    Args:
        numbers: Names of the tensors.
    """

    numbers: frozenset[str]

    def call(self, original: Callable[..., Any], operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs an operation on what it gets before that was cast."""
        args, kwargs = keras.tree.map_structure(self._before, (args, kwargs))
        return original(operation, *args, **kwargs)

    def _before(self, given: Any) -> Any:
        if not tf.is_symbolic_tensor(given):
            return given
        # Layers for preprocessing cast to their own type before they are called as operations.
        source = given
        while source.op.type == "Cast" and source.name not in self.numbers:
            source = source.op.inputs[0]
        if source is given or source.name not in self.numbers:
            return given
        return tf.cast(source, given.dtype) if given.dtype.is_floating else source


@contextmanager
def uncast(numbers: Sequence[Tensor]) -> Iterator[None]:
    """Lets operations get some tensors as they are, where a model casts them to integers at its inputs."""
    with listening_to(Uncasting(frozenset(tensor.name for tensor in numbers))):
        yield
