"""Arrays on the device that compiled steps look rows up in, given back as soon as nobody looks any more."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..optional import imported

Tensor = Any


def on_device(array: NDArray[Any]) -> Tensor:
    """Places an array on the device; what is returned goes wherever `keras.ops` take a tensor.

    Example:
        >>> table = on_device(np.array([[1, 2], [3, 4]], dtype=np.int32))
        >>> ops.convert_to_numpy(ops.take(table, [1], axis=0)).tolist()
        [[3, 4]]
    """
    if keras.backend.backend() == "tensorflow":
        return _TensorFlowTable(array)
    return ops.convert_to_tensor(array)


class _TensorFlowTable:
    """A table in a variable, which is emptied when nobody refers to this object any more.

    TensorFlow keeps the graph of every training step as long as the process lives: Keras's optimizers
    register a gradient that refers to it. A tensor which a step looks things up in would stay with the
    graph; of a variable, only the handle does. Made in the scope of a strategy, each replica has a copy.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        tf = imported("tensorflow", "Keras on TensorFlow")
        held = tf.convert_to_tensor(array)
        self._dtype = held.dtype
        self.shape = held.shape
        # TensorFlow has no variables of int32 on a GPU.
        held = tf.bitcast(held, tf.float32) if self._dtype == tf.int32 else held
        shape = tf.TensorShape([None, *held.shape[1:]])
        self._variable = tf.Variable(held, trainable=False, shape=shape)
        weakref.finalize(self, _empty, self._variable).atexit = False

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:
        tf = imported("tensorflow", "Keras on TensorFlow")
        value = tf.ensure_shape(self._variable, self.shape)
        return value if value.dtype == self._dtype else tf.bitcast(value, self._dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.__tf_tensor__().numpy(), dtype=dtype)


def _empty(variable: Any) -> None:
    tf = imported("tensorflow", "Keras on TensorFlow")
    with tf.init_scope():  # it may be collected while something else is traced
        # Of several replicas, each copy by itself: another strategy may be at work by now.
        for own in getattr(variable, "values", [variable]):
            own.assign(tf.zeros((0, *own.shape[1:]), own.dtype))
