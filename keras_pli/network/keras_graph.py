"""The operations of a Keras graph, as the search for logits reads them; on any Keras backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from .logits import Step
from .recording import applies_activation

KerasTensor = Any

# By the class of a layer or operation; others keep the name of their class.
_KINDS = {
    **dict.fromkeys(
        (
            *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
            *("AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"),
            *("Copy", "Convert", "ConvertToTensor"),
        ),
        "Identity",
    ),
    **dict.fromkeys(("Reshape", "Flatten", "Ravel", "Squeeze", "ExpandDims"), "Reshape"),
    **dict.fromkeys(("Permute", "Transpose", "Moveaxis", "Swapaxes", "Flip"), "Transpose"),
    **dict.fromkeys(("Add", "Subtract", "Average"), "AddV2"),
    **dict.fromkeys(("Multiply", "Rescaling"), "Mul"),
    **dict.fromkeys(("TrueDivide", "Divide", "DivideNoNan"), "RealDiv"),
    **dict.fromkeys(("Concatenate", "Stack", "Hstack", "Vstack"), "ConcatV2"),
    **dict.fromkeys(
        (
            *("Max", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "MaxPool"),
            *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"),
        ),
        "Max",
    ),
    **dict.fromkeys(
        (
            *("Mean", "Sum", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
            *("AveragePool", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
            "GlobalAveragePooling3D",
        ),
        "Mean",
    ),
    **dict.fromkeys(
        (
            *("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Pad"),
            *(
                "Cropping1D",
                "Cropping2D",
                "Cropping3D",
                "GetItem",
                "Take",
                "TakeAlongAxis",
                "Slice",
            ),
            *("UpSampling1D", "UpSampling2D", "UpSampling3D", "Resizing", "Resize", "RepeatVector"),
            *("Repeat", "Tile", "BroadcastTo", "Split", "Unstack", "TopK"),
        ),
        "Pad",
    ),
    **dict.fromkeys(("Matmul", "Dot", "Tensordot"), "MatMul"),
    "Negative": "Neg",
    "Clip": "ClipByValue",
    "Where": "SelectV2",
    "Absolute": "Abs",
    "Cond": "If",
    "Switch": "Case",
}
# What activations are called, as functions and as classes.
_CURVES = {
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "logsoftmax": "LogSoftmax",
    "sigmoid": "Sigmoid",
    "linear": "Identity",
    "relu": "Relu",
    "relu6": "Relu6",
    "leaky_relu": "LeakyRelu",
    "leakyrelu": "LeakyRelu",
    "elu": "Elu",
    "selu": "Selu",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "exp": "Exp",
    "exponential": "Exp",
}


@dataclass(frozen=True, eq=False)
class KerasPlace:
    """A tensor of a functional model, and where that model stands in the one around it.

    Attributes:
        tensor: The symbolic tensor.
        around: The nested models that one is within, from the outermost: each with the tensors it is called
            on.
        before_activation: Whether the place lies within the layer that makes the tensor, before its
            activation.
    """

    tensor: KerasTensor
    around: tuple[tuple[keras.Model, tuple[KerasTensor, ...]], ...] = ()
    before_activation: bool = False


def read_keras(place: KerasPlace) -> Step | None:
    """Returns how a tensor of a functional model is made; None for an input (see `logits.Reader`)."""
    history = place.tensor._keras_history
    operation = history.operation
    if isinstance(operation, keras.layers.InputLayer):
        return _around(place)
    node = operation._inbound_nodes[history.node_index]
    if _is_graph(operation):
        called_on = tuple(node.input_tensors)
        within = operation.outputs[history.tensor_index]
        return read_keras(KerasPlace(within, (*place.around, (operation, called_on))))
    inputs = [KerasPlace(tensor, place.around) for tensor in node.input_tensors]
    if applies_activation(operation) and not place.before_activation:
        curve = _curve_of(operation.activation)
        if curve is not None and curve != "Identity":
            within = KerasPlace(place.tensor, place.around, before_activation=True)
            return Step(curve, [within], operation)
    return Step(_kind_of(operation), inputs, operation, by_constant=_is_plain_product(operation))


def _around(place: KerasPlace) -> Step | None:
    """The input of a nested model is what the model is called on."""
    if not place.around:
        return None
    *outer, (model, called_on) = place.around
    position = next(i for i, tensor in enumerate(model.inputs) if tensor is place.tensor)
    return read_keras(KerasPlace(called_on[position], tuple(outer)))


def _kind_of(operation: Any) -> str:
    name = type(operation).__name__
    activation = getattr(operation, "activation", None)
    if name == "Activation" and activation is not None:
        return _curve_of(activation) or name
    if not getattr(operation, "weights", None) and name.lower() in _CURVES:
        return _CURVES[name.lower()]
    return _KINDS.get(name, name)


def _curve_of(activation: Any) -> str | None:
    name = getattr(activation, "__name__", type(activation).__name__).lower()
    return _CURVES.get(name)


def _is_plain_product(operation: Any) -> bool:
    """Whether an operation multiplies by constants; a layer does so by its weights."""
    return not isinstance(operation, keras.layers.Layer)


def _is_graph(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and bool(getattr(operation, "outputs", None))
