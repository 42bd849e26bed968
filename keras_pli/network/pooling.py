"""Max-pooling, with a derivative that gives each window's gradient to one place.

Among equal values it is the first, in reading order: the same in every row, for signals, images and volumes,
with and without XLA. TensorFlow has this rule for images and signals, with two exceptions that are mended
here: its CPU gradient of MaxPool3D gives every voxel that ties for the maximum the full gradient, which
multiplies saliency over a constant background, such as the air around a head; and XLA has another order for
windows that overlap and hang over the border. The maximum over all positions, of a global pooling, is shared
among equal values.

Values that only rounding tells apart are not equal, here as elsewhere.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


def is_irregular(operation: Any) -> bool:
    """Whether the windows of a `MaxPool` operation overlap and hang over the border."""
    sizes, strides = operation.get_attr("ksize"), operation.get_attr("strides")
    overlapping = any(size > stride for size, stride in zip(sizes, strides, strict=True))
    return overlapping and operation.get_attr("padding") == b"SAME"


def window_max_gradient(operation: Any, x: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient of a `MaxPool` operation, evaluated at `x`."""
    same = ("ksize", "strides", "padding", "explicit_paddings", "data_format")
    attributes = {name: operation.get_attr(name) for name in same}
    given, pooled = x, operation.outputs[0]
    if is_irregular(operation):
        margins = _margins(x, attributes["ksize"], attributes["strides"])
        given = tf.pad(x, margins, constant_values=x.dtype.min)
        attributes["padding"] = "VALID"
    if given.name != operation.inputs[0].name:
        # Pooling once more costs little: a CPU's fast derivative needs a pooling beside it.
        pooled = tf.raw_ops.MaxPool(input=given, **attributes)
    found = tf.raw_ops.MaxPoolGrad(
        orig_input=given, orig_output=pooled, grad=gradient, **attributes
    )
    return found if given is x else tf.slice(found, margins[:, 0], tf.shape(x))


def box_max_gradient(operation: Any, volume: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient of a `MaxPool3D` operation, evaluated at `volume`, `(batch, d, h, w, c)`."""
    pooled = box_max(operation, volume)
    (found,) = tf.gradients(pooled, volume, grad_ys=gradient, stop_gradients=volume)
    return found


def box_max(operation: Any, volume: Tensor) -> Tensor:
    """Pools a volume as the given `MaxPool3D` operation does, by two poolings in 2-D.

    The maximum over a box is the maximum over its depth of the maxima over its planes.
    """
    sizes, strides = operation.get_attr("ksize"), operation.get_attr("strides")
    if operation.get_attr("padding") == b"SAME":
        margins = _margins(volume, sizes, strides)
        volume = tf.pad(volume, margins, constant_values=volume.dtype.min)
    (_, depth, height, width, _), (_, down, along, across, _) = sizes, strides
    batch, planes, rows, columns, channels = (tf.shape(volume)[axis] for axis in range(5))
    flat = tf.reshape(volume, (batch * planes, rows, columns, channels))
    flat = tf.nn.max_pool2d(flat, (height, width), (along, across), "VALID")
    rows, columns = tf.shape(flat)[1], tf.shape(flat)[2]
    stacked = tf.reshape(flat, (batch, planes, rows * columns, channels))
    stacked = tf.nn.max_pool2d(stacked, (depth, 1), (down, 1), "VALID")
    return tf.reshape(stacked, (batch, tf.shape(stacked)[1], rows, columns, channels))


def _margins(x: Tensor, sizes: Any, strides: Any) -> Tensor:
    """How far the windows hang over each border, `(axes, 2)`, under TensorFlow's padding "SAME"."""
    lengths, size, stride = tf.shape(x), tf.constant(sizes), tf.constant(strides)
    last = (-(-lengths // stride) - 1) * stride
    totals = tf.maximum(last + size - lengths, 0)
    return tf.stack([totals // 2, totals - totals // 2], axis=1)
