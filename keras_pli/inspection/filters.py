"""The filters of a layer: its kernel as an array, whatever kind of layer it is, and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import quoted
from ..network.layers import check_model, find_layer, layer_path, layer_paths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float32]
# What hands the values of an array on, in their order, on the way to a dense layer.
_HANDING_ON = (
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Rescaling,
)
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_KINDS = (*_CONVOLUTIONS, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE, keras.layers.Dense)


def filters(model: keras.Model, layer: str | keras.Layer | None = None) -> Array:
    """Returns the kernel of a layer as a plain array, `(*window, channels, filters)`.

    The last axis counts what the layer puts out, the one before what each filter reads:

    - Convolutions have their own kernel; in groups, `channels` are those of one group.
    - A depthwise convolution reads one channel with each filter: `(*window, 1, filters)`, with the
      filters in the order of the output's channels.
    - A separable convolution has the kernel of the one convolution that it equals, depthwise and pointwise
      kernel multiplied.
    - A transposed convolution has, for each of its inputs' channels, the pattern that it draws.
    - A dense layer has `(features, filters)`. Where its features are a flattened array of positions and
      channels, as behind `Flatten` in a functional or sequential model, it has
      `(*positions, channels, filters)`.

    Args:
        model: A built Keras model.
        layer: The layer, or its path, such as `"backbone/conv1"`; None for the first that has filters. A
            `TimeDistributed` stands for what it wraps.

    Returns:
        A copy, float32.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If there is no such layer, it is not built, or it has no such kernel; the layers that have
            one are listed.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 5, name="first")])
        >>> filters(model, "first").shape
        (5, 5, 3, 4)
    """
    check_model(model)
    path = _first_path(model) if layer is None else layer_path(model, layer)
    found = _unwrapped(find_layer(model, path))
    if not isinstance(found, _KINDS):
        raise ValueError(
            f"Layer {path!r} of {model.name!r} has no filters: it is a {type(found).__name__}. "
            f"Layers with filters: {quoted(layers_with_filters(model), most=40)}."
        )
    if not found.built:
        raise ValueError(f"Layer {path!r} of {model.name!r} is not built. Call the model first.")
    if getattr(found, "quantization_mode", None) is not None:
        raise ValueError(
            f"Layer {path!r} of {model.name!r} is quantized to {found.quantization_mode!r}: its kernel holds "
            "codes and no weights."
        )
    if isinstance(found, _SEPARABLE):
        return _separable(_values(found.depthwise_kernel), _values(found.pointwise_kernel))
    kernel = _values(found.kernel)
    if isinstance(found, _TRANSPOSED):
        return np.ascontiguousarray(np.swapaxes(kernel, -1, -2))
    if isinstance(found, _DEPTHWISE):
        return kernel.reshape(*kernel.shape[:-2], 1, -1)
    if isinstance(found, keras.layers.Dense):
        return kernel.reshape(*_flattened_shape(found, len(kernel)), kernel.shape[-1])
    return kernel


def layers_with_filters(model: keras.Model) -> list[str]:
    """Returns the paths of the layers of which `filters` gives the kernel, in the model's order.

    Example:
        >>> layers = [keras.layers.Conv2D(4, 5, name="conv"), keras.layers.Flatten()]
        >>> layers_with_filters(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
        ['conv']
    """
    found = {path: layer for path, layer in layer_paths(model).items() if isinstance(layer, _KINDS)}
    return [path for path, layer in found.items() if layer.built]


def plot_filters(
    model: keras.Model,
    layer: str | keras.Layer | None = None,
    *,
    most: int = 64,
    inputs: int = 8,
    outputs: int = 8,
    slices: str = "middle",
    scale: Literal["each", "all"] = "each",
    title: str | None = None,
) -> Figure:
    """Draws the filters of a layer.

    Filters that read one channel, or three, are drawn as the images that they are, zero mid-grey; signals as
    curves; all others as a grid with a row for each filter and a column for each channel that it reads.

    Args:
        model: A built Keras model.
        layer: The layer or its path; None for the first with filters that are pictures.
        most: Of filters drawn as images or curves, how many.
        inputs: Of a grid, how many channels.
        outputs: Of a grid, how many filters.
        slices: Of 3-D filters, the `"middle"` slice or `"all"`.
        scale: `"each"` draws each filter to its own largest absolute value, which is written beside it, so
            that one strong filter does not hide the others; `"all"` draws all on one scale.
        title: What stands above; by default the layer's path and what it is.

    Raises:
        ValueError: As in `filters`, or if a dense layer's features have no positions.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 5, name="first")])
        >>> figure = plot_filters(model, "first", scale="all")
        >>> [ax.get_xlabel() for ax in figure.axes]
        ['0', '1', '2', '3']
    """
    from .. import plotting

    check_model(model)
    path = _first_path(model, pictures=True) if layer is None else layer_path(model, layer)
    kernel = filters(model, path)
    if kernel.ndim == 2:
        raise ValueError(
            f"Layer {path!r} of {model.name!r} reads {kernel.shape[0]} features without positions; its "
            f"filters are no pictures. Received a kernel of shape {kernel.shape}."
        )
    if title is None:
        title = f"Filters of {path} ({type(find_layer(model, path)).__name__})"
    if kernel.ndim == 3 or (kernel.ndim == 4 and kernel.shape[2] in (1, 3)):
        return plotting.filter_images(kernel, most=most, scale=scale, title=title)
    return plotting.filter_grid(
        kernel, inputs=inputs, outputs=outputs, slices=slices, scale=scale, title=title
    )


def _first_path(model: keras.Model, *, pictures: bool = False) -> str:
    """The first layer that has filters, or filters with positions."""
    paths = layers_with_filters(model)
    found = next((path for path in paths if not pictures or filters(model, path).ndim > 2), None)
    if found is None:
        what = "filters with positions" if pictures else "filters"
        listed = f" Layers with filters: {quoted(paths, most=40)}." if paths else ""
        raise ValueError(f"{model.name!r} has no layer with {what}.{listed}")
    return found


def _unwrapped(layer: Any) -> Any:
    return layer.layer if isinstance(layer, keras.layers.Wrapper) else layer


def _values(variable: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(variable), dtype=np.float32)


def _separable(depthwise: Array, pointwise: Array) -> Array:
    """Multiplies `(*window, channels, multiplier)` with `(1, …, channels * multiplier, filters)`."""
    *_, channels, multiplier = depthwise.shape
    mixed = pointwise.reshape(channels, multiplier, -1)
    return np.einsum("...cm,cmf->...cf", depthwise, mixed)


def _flattened_shape(layer: keras.layers.Dense, features: int) -> tuple[int, ...]:
    """The shape of the array whose values a dense layer reads; `(features,)` where it has no positions."""
    try:
        tensor = layer.input
    except (AttributeError, ValueError):  # not part of one graph of layers
        return (features,)
    while not isinstance(tensor, list | tuple | dict):
        shape = tuple(tensor.shape[1:])
        if len(shape) > 1:
            whole = None not in shape and int(np.prod(shape)) == features
            return shape if whole else (features,)
        operation = tensor._keras_history.operation
        if not isinstance(operation, _HANDING_ON) or len(operation._inbound_nodes) != 1:
            return (features,)
        tensor = operation.input
    return (features,)
