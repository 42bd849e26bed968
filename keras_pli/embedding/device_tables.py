"""Arrays on the device that compiled steps look rows up in, given back as soon as nobody looks any more."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    graph; of a variable, only the handle does. In the scope of a strategy, each device has a copy.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        tf = imported("tensorflow", "Keras on TensorFlow")
        held = tf.convert_to_tensor(array)
        self._dtype = held.dtype
        self.shape = held.shape
        # TensorFlow has no variables of int32 on a GPU.
        held = tf.bitcast(held, tf.float32) if self._dtype == tf.int32 else held
        shape = tf.TensorShape([None, *held.shape[1:]])

        def variable() -> Any:
            return tf.Variable(held, trainable=False, shape=shape)

        self._copies = _on_each_device(variable)
        weakref.finalize(self, _empty, list(self._copies.values())).atexit = False

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:
        tf = imported("tensorflow", "Keras on TensorFlow")
        own, *others = self._copies.values()
        replica = tf.distribute.get_replica_context()
        if others and replica is not None:
            own = self._copies[tf.nest.flatten(replica.devices)[0]]
        value = tf.ensure_shape(own, self.shape)
        return value if value.dtype == self._dtype else tf.bitcast(value, self._dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.__tf_tensor__().numpy(), dtype=dtype)


def _on_each_device(variable: Callable[[], Any]) -> dict[str, Any]:
    """Makes a variable on each device of this process that a strategy in scope trains on, by its name."""
    tf = imported("tensorflow", "Keras on TensorFlow")
    if not tf.distribute.has_strategy():
        return {"": variable()}

    def made(device: str) -> Any:
        with tf.device(device):
            return variable()

    # The strategy's own variables would be sent from the first worker to the others, which have the same
    # points, and TensorFlow 2.21 crashes in sending empty ones. A scope is one of its thread.
    devices = tf.distribute.get_strategy().extended.worker_devices
    with ThreadPoolExecutor(1) as outside:
        return dict(zip(devices, outside.map(made, devices), strict=True))


def _empty(copies: list[Any]) -> None:
    tf = imported("tensorflow", "Keras on TensorFlow")
    with tf.init_scope():  # they may be collected while something else is traced
        for variable in copies:
            variable.assign(tf.zeros((0, *variable.shape[1:]), variable.dtype))
