"""Which attribution methods fit a classifier: found by one forward trace, before any of them is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...attribution import (
    CAM,
    LIME,
    METHODS,
    Deconvnet,
    DeepLIFT,
    EpsilonLRP,
    GradCAM,
    GradientTimesInput,
    GuidedBackprop,
    GuidedGradCAM,
    IntegratedGradients,
    MeaningfulPerturbation,
    Method,
    Occlusion,
    Saliency,
    SmoothGrad,
    method_name,
)
from ...attribution.backprop import check_rectifiers
from ...attribution.pooled_head import check_pooled_head
from ...network.embeddings import check_gradient
from ...network.forward import Network, Score
from ...network.graph import operations_between
from ...network.inputs import input_names
from ...network.maps import Maps, forward_with_maps
from ...network.operations import check_decomposable
from ...network.runner import batch_spec
from ...network.whole_numbers import embedding_layers
from ...retraining.outputs import output_sizes

Tensor = Any

# Of ids, what the embedding gives for them is explained; these were tried on such models.
_AT_EMBEDDINGS = (Saliency, GradientTimesInput, SmoothGrad, IntegratedGradients)
_QUICKLY_HIDDEN = 8192  # values of a sample, of which hiding windows takes a second at most
_TITLES = {
    "saliency": "Gradient",
    "gradient_times_input": "Gradient × input",
    "smooth_grad": "SmoothGrad",
    "guided_backprop": "Guided backpropagation",
    "deconvnet": "Deconvnet",
    "epsilon_lrp": "ε-LRP",
    "deep_lift": "DeepLIFT",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "guided_grad_cam": "Guided Grad-CAM",
    "lime": "LIME",
}


@dataclass(frozen=True)
class FittingMethods:
    """The attribution methods that a classifier can be explained by.

    Attributes:
        kinds: Methods by their names, in the package's order.
        options: What each is to be made with, beside the classifier.
        refused: Why others do not fit, by their names.
        values: How many values a sample has.
    """

    kinds: dict[str, type[Method]]
    options: dict[str, dict[str, Any]]
    refused: dict[str, str]
    values: int

    @property
    def default(self) -> list[str]:
        """A few that go well together: a sum over the input, where the class is seen, and what hiding does.

        Hiding takes a pass for every window, and is left to be asked for where samples are large.
        """
        wanted: list[type[Method]] = [IntegratedGradients, GradCAM]
        if self.values <= _QUICKLY_HIDDEN:
            wanted.append(Occlusion)
        names = [method_name(kind) for kind in wanted]
        return [name for name in names if name in self.kinds] or list(self.kinds)[:1]


def method_title(name: str) -> str:
    """Returns what a page calls a method.

    Example:
        >>> method_title("grad_cam"), method_title("integrated_gradients")
        ('Grad-CAM', 'Integrated gradients')
    """
    return _TITLES.get(name) or name.replace("_", " ").capitalize()


def fitting_methods(model: keras.Model, x: Any) -> FittingMethods:
    """Finds the methods that fit a classifier.

    Args:
        model: A built classifier of one output.
        x: A sample or more as the classifier takes them, `(samples, ...)`, or a structure of arrays.

    Raises:
        ValueError: If the classifier has several outputs.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> list(fitting_methods(model, np.zeros((1, 4))).kinds)[:3]
        ['saliency', 'gradient_times_input', 'smooth_grad']
    """
    output_sizes(model)
    score, reasons = _looked_through(model, x)
    at_embeddings = bool(embedding_layers(model))
    kinds: dict[str, type[Method]] = {}
    options: dict[str, dict[str, Any]] = {}
    refused: dict[str, str] = {}
    for kind in METHODS:
        name = method_name(kind)
        if kind in reasons:
            refused[name] = reasons[kind]
            continue
        kinds[name], options[name] = kind, {"score": score}
        if at_embeddings and kind.takes_gradients:
            options[name]["embeddings"] = "sum"
    values = sum(int(np.prod(np.shape(leaf)[1:])) for leaf in tf.nest.flatten(x))
    return FittingMethods(kinds, options, refused, values)


def _looked_through(model: keras.Model, x: Any) -> tuple[Score, dict[type[Method], str]]:
    """Returns what can be explained, and why methods do not fit."""
    try:
        return "logits", _reasons(model, x, "logits")
    except ValueError as error:
        if "No logits can be found" not in str(error):
            raise
        return "output", _reasons(model, x, "output")


def _reasons(model: keras.Model, x: Any, score: Score) -> dict[type[Method], str]:
    network = Network(model, score=score)
    found: dict[type[Method], str] = {}

    @tf.function(autograph=False)
    def look(inputs: Any) -> Tensor:
        inputs = tf.nest.map_structure(tf.identity, inputs)
        if tf.nest.is_nested(inputs):
            maps, logits = None, network.forward(inputs).logits
        else:
            maps, logits = _with_maps(network, inputs)
        found.update(_of_gradients(network, inputs, logits))
        found.update(_of_maps(network, maps, logits))
        return logits

    flat = tf.nest.flatten(x)
    specs = [batch_spec(leaf) for leaf in flat]
    look.get_concrete_function(tf.nest.pack_sequence_as(x, specs))
    found.update(_of_hiding(flat))
    return found


def _with_maps(network: Network, inputs: Any) -> tuple[Maps | str, Tensor]:
    try:
        maps = forward_with_maps(network, inputs)
    except ValueError as error:
        logits = network.forward(inputs).logits  # raises itself, where it was not for the maps
        return str(error), logits
    return maps, maps.forward.logits


def _of_gradients(network: Network, inputs: Any, logits: Tensor) -> dict[type[Method], str]:
    """Why methods that pass something back through the network do not fit."""
    with_gradients = [kind for kind in METHODS if kind.takes_gradients]
    if embedding_layers(network.model):
        reason = "It is for inputs of numbers, and this classifier looks ids up in an embedding."
        others = [*with_gradients, GuidedGradCAM]
        return {kind: reason for kind in others if kind not in _AT_EMBEDDINGS}
    try:
        for leaf, name in zip(
            tf.nest.flatten(inputs), input_names(network.model, inputs), strict=True
        ):
            check_gradient(leaf, logits, name, network.model)
    except ValueError as error:
        return dict.fromkeys(with_gradients, str(error))
    operations = operations_between(inputs, logits)
    dependent = {tensor.name for operation in operations for tensor in operation.outputs}
    dependent |= {tensor.name for tensor in tf.nest.flatten(inputs)}
    checks: dict[type[Method], Callable[[str], None]] = {
        **dict.fromkeys(
            (GuidedBackprop, Deconvnet, GuidedGradCAM),
            lambda name: check_rectifiers(operations, name),
        ),
        **dict.fromkeys(
            (EpsilonLRP, DeepLIFT), lambda name: check_decomposable(operations, dependent, name)
        ),
    }
    found: dict[type[Method], str] = {}
    for kind, check in checks.items():
        try:
            check(kind.__name__)
        except ValueError as error:
            found[kind] = str(error)
    return found


def _of_maps(network: Network, maps: Maps | str | None, logits: Tensor) -> dict[type[Method], str]:
    """Why class activation maps do not fit."""
    family = (CAM, GradCAM, GuidedGradCAM)
    if maps is None:
        reason = "Class activation maps are drawn for a single input."
        return dict.fromkeys(family, reason)
    try:
        if isinstance(maps, str):
            raise ValueError(maps)
        chosen = maps.chosen()
    except ValueError as error:
        return dict.fromkeys(family, str(error))
    try:
        check_pooled_head(chosen, logits, network.model.name)
    except ValueError as error:
        return {CAM: str(error)}
    return {}


def _of_hiding(inputs: list[Any]) -> dict[type[Method], str]:
    """Why methods that hide parts of an input do not fit."""
    if len(inputs) > 1:
        reason = "It hides parts of a single input."
        return dict.fromkeys((Occlusion, LIME, MeaningfulPerturbation), reason)
    if inputs[0].ndim < 3:
        reason = "It hides regions, and the values of a vector have no neighbours."
        return dict.fromkeys((LIME, MeaningfulPerturbation), reason)
    return {}
