"""Max-pooling over boxes, with a derivative that gives each window's gradient to one voxel.

TensorFlow's CPU gradient of MaxPool3D gives every voxel that ties for the maximum the full gradient, which
multiplies saliency over a constant background, such as the air around a head. Its 2-D pooling chooses one
winner. The maximum over a box is the maximum over its depth of the maxima over its planes, so two poolings
in 2-D do the same with a right derivative.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


def box_max_gradient(operation: Any, volume: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient of a `MaxPool3D` operation, evaluated at `volume`, `(batch, d, h, w, c)`."""
    pooled = box_max(operation, volume)
    (found,) = tf.gradients(pooled, volume, grad_ys=gradient, stop_gradients=volume)
    return found


def box_max(operation: Any, volume: Tensor) -> Tensor:
    """Pools a volume as the given `MaxPool3D` operation does, by two poolings in 2-D."""
    _, depth, height, width, _ = operation.get_attr("ksize")
    _, down, along, across, _ = operation.get_attr("strides")
    padding = operation.get_attr("padding").decode()
    batch, planes, rows, columns, channels = (tf.shape(volume)[axis] for axis in range(5))
    flat = tf.reshape(volume, (batch * planes, rows, columns, channels))
    flat = tf.nn.max_pool2d(flat, (height, width), (along, across), padding)
    rows, columns = tf.shape(flat)[1], tf.shape(flat)[2]
    stacked = tf.reshape(flat, (batch, planes, rows * columns, channels))
    stacked = tf.nn.max_pool2d(stacked, (depth, 1), (down, 1), padding)
    return tf.reshape(stacked, (batch, tf.shape(stacked)[1], rows, columns, channels))
