"""The signatures of an export: named tensors in, named tensors out, each with a sentence on what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..attribution import Method, method_name
from ..network.activations import Tap
from ..network.forward import named_outputs, probabilities
from ..network.targets import Region, predicted_classes, target_kind
from .assertions import check_finite, check_samples, check_target
from .inputs import ModelInputs, made_up

if TYPE_CHECKING:
    from ..rationale import RationaleGenerator

Tensor = Any
Tensors = dict[str, Tensor]

SERVING_DEFAULT = "serving_default"


@dataclass(frozen=True)
class Signature:
    """What a server answers to one kind of request.

    Attributes:
        name: Name of the signature.
        description: A sentence on what it gives.
        specs: Inputs by name; the first axis is that of the samples.
        compute: From checked tensors by name to outputs by name, each with the samples first.
        check: From tensors by name to assertions about them.
        meanings: A sentence on each input and output.
        settings: How it was made, for the record.
        exact: Whether the same request has the same answer on any machine; a search may end elsewhere.
    """

    name: str
    description: str
    specs: Mapping[str, tf.TensorSpec]
    compute: Callable[[Tensors], Tensors]
    check: Callable[[Tensors], Any]
    meanings: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True

    def traced(self, *, checks: bool = True) -> Any:
        """Returns a concrete function of the named inputs."""

        def function(**tensors: Tensor) -> Tensors:
            with tf.control_dependencies(self.check(tensors) if checks else []):
                return self.compute({name: tf.identity(t) for name, t in tensors.items()})

        traced = tf.function(function, autograph=False)
        try:
            return traced.get_concrete_function(**self.specs)
        except (TypeError, ValueError) as error:
            open_ended = [s for s in self.specs.values() if None in s.shape[1:]]
            if not open_ended or "None" not in str(error):
                raise
            raise ValueError(
                f"{self.name} needs inputs of a fixed size, and {open_ended[0].name!r} has shape "
                f"{tuple(open_ended[0].shape)}. Give the model a fixed input size to export it."
            ) from error

    def request(
        self, examples: Callable[[int], Mapping[str, NDArray[Any]]], samples: int
    ) -> dict[str, NDArray[Any]]:
        """Returns a request on examples of the model's inputs: the predicted class, zeros as a baseline."""
        given = examples(samples)
        made = {}
        for name, spec in self.specs.items():
            if name in given:
                start = given[name]
            elif name == "target":
                start = np.full(samples, np.nan if spec.dtype.is_floating else -1)
            elif name == "mask":  # where sizes are open, one weight for all positions
                start = np.ones((samples, *(size or 1 for size in spec.shape[1:])))
            elif name.startswith("baseline"):  # alone, or followed by the name of its input
                of = name.removeprefix("baseline_")
                start = np.zeros_like(given[of if of in given else next(iter(given))])
            else:
                start = made_up(spec, samples)
            made[name] = start.astype(spec.dtype.as_numpy_dtype)
        return made

    def compiled(self) -> Signature:
        """Returns the twin whose computation XLA compiles; the checks stay outside, where they are heard."""
        compute = tf.function(self.compute, autograph=False, jit_compile=True)
        return replace(
            self,
            name=f"{self.name}_xla",
            description=f"{self.description} Compiled by XLA, once for each batch size.",
            compute=compute,
        )


def prediction(
    method: Method,
    inputs: ModelInputs,
    *,
    activation: Literal["auto", "softmax", "sigmoid"] = "auto",
    top: int = 5,
    class_names: Sequence[str] | None = None,
) -> Signature:
    """Returns `serving_default`: probabilities, logits and the most probable classes.

    Of an output with positions, `(batch, *positions, classes)`, all three are those of each position.

    Args:
        method: Any method of the model; its network finds the logits.
        inputs: The model's inputs.
        activation: What makes probabilities of logits; `"auto"` is the model's own, and softmax where it
            ends linearly (sigmoid for a single unit).
        top: How many classes are listed at most.
        class_names: Names of the classes.
    """
    network = method.network
    squeezed = network.score == "logits"

    def compute(tensors: Tensors) -> Tensors:
        forward = network.forward(inputs.pack(tensors))
        chances = probabilities(forward, activation) if squeezed else forward.logits
        largest, classes = tf.math.top_k(chances, k=min(top, chances.shape[-1]))
        positions = chances.shape.rank > 2
        found = {"probabilities": chances, "top_classes": classes, "top_probabilities": largest}
        if squeezed:
            found["logits"] = forward.logits
        if class_names is not None and not positions:  # a text for each position would be long
            found["top_names"] = tf.gather(tf.constant(list(class_names)), classes)
        return found | _other_outputs(network.model, forward.outputs)

    return Signature(
        SERVING_DEFAULT,
        "Classifies.",
        inputs.specs,
        compute,
        check_inputs,
        _INPUT_MEANINGS
        | {
            "probabilities": "Probability of each class, the last axis; of a single unit, of its two classes."
            if squeezed
            else "What the model gives, as it is; the classes are the last axis.",
            "logits": "What the final softmax or sigmoid receives, for each class.",
            "top_classes": "The most probable classes, the first one first; of each position, if any.",
            "top_probabilities": "Their probabilities.",
            "top_names": "Their names.",
        },
    )


def embedding(
    model: keras.Model, embedder: keras.Model, layer: str, inputs: ModelInputs
) -> Signature:
    """Returns `embed`: the map's position of each sample."""
    tap = Tap(model, layer)

    def compute(tensors: Tensors) -> Tensors:
        _, activations = tap.run(inputs.pack(tensors), training=False)
        return {"embedding": tf.cast(embedder(activations, training=False), tf.float32)}

    return Signature(
        "embed",
        f"Places samples on the map of {layer!r}.",
        inputs.specs,
        compute,
        check_inputs,
        _INPUT_MEANINGS | {"embedding": "Position on the map."},
        {"layer": layer},
    )


def explanation(name: str, method: Method, inputs: ModelInputs) -> Signature:
    """Returns `explain_<name>`: attributions for a target class, within a mask where there are positions.

    Args:
        name: What follows `explain_`.
        method: A method whose computation is fixed.
        inputs: The model's inputs.

    Raises:
        ValueError: If the method leaves the graph, or an input is called as an argument of the signature.
    """
    if not method.in_graph:
        raise ValueError(
            f"{type(method).__name__} cannot be exported: it runs Python between its passes. "
            "Methods that compute within TensorFlow can."
        )
    numbers = {name: _numeric(name, spec) for name, spec in inputs.specs.items()}
    taken = {key: inputs.explained(spec) for key, spec in numbers.items()}
    logits = method.scoring(inputs.pack(taken)).structured_outputs[0].shape
    baselines = {_beside("baseline", key, numbers): key for key in numbers}
    if not method.takes_baseline:
        baselines = {}
    extra = _arguments(name, numbers, logits, baselines)

    def compute(tensors: Tensors) -> Tensors:
        x = inputs.pack({key: tf.cast(tensors[key], spec.dtype) for key, spec in taken.items()})
        mask = tensors["mask"] if "mask" in extra else None
        target = _with_predictions(method, x, tensors["target"], mask)
        aim = target if mask is None else Region(target, mask)
        baseline = {of: tf.cast(tensors[new], taken[of].dtype) for new, of in baselines.items()}
        function = method.traced(x, target=target_kind(aim), baseline=bool(baselines))
        found = function(x, aim, *([inputs.pack(baseline)] if baselines else []))
        return _outputs(found, inputs) | {"target": target}

    def check(tensors: Tensors) -> list[Any]:
        samples = tf.shape(tensors[next(iter(numbers))])[0]
        others = {name: tensor for name, tensor in tensors.items() if name != "target"}
        return [
            *check_inputs(others),
            *check_target(tensors["target"], logits[-1], samples),
        ]

    return Signature(
        f"explain_{name}",
        f"Explains a class by {type(method).__name__}.",
        {**numbers, **extra},
        compute,
        check,
        _INPUT_MEANINGS | _EXPLANATION_MEANINGS,
        {"method": repr(method)},
    )


def rationale(rationales: RationaleGenerator, inputs: ModelInputs) -> Signature:
    """Returns `rationalize`: what would have to change for the prediction to change.

    Args:
        rationales: The search, with its generator, encoder and classifier.
        inputs: Of the exported model; the images are called as its input, if it takes such.
    """
    from ..rationale import STATUSES  # only who has rationales waits for their import

    image, target = rationales.specs["image"], rationales.specs["target"]
    same = [name for name, spec in inputs.specs.items() if spec.shape[1:] == image.shape[1:]]
    name = same[0] if len(same) == 1 else "image"
    classes = getattr(rationales.decision, "classes", None)  # a regressor has a cutoff instead

    def compute(tensors: Tensors) -> Tensors:
        return rationales.served(tensors[name], tensors["target"])

    def check(tensors: Tensors) -> list[Any]:
        samples = tf.shape(tensors[name])[0]
        aims = {"target": tensors["target"]}
        made = check_finite({name: tensors[name]})
        if classes is None:  # NaN asks for the usual cutoff
            return [*made, *check_samples(aims, samples)]
        return [*made, *check_target(tensors["target"], classes, samples)]

    return Signature(
        "rationalize",
        "Changes images until their prediction is another.",
        {name: tf.TensorSpec(image.shape, image.dtype, name), "target": target},
        compute,
        check,
        _INPUT_MEANINGS | _RATIONALE_MEANINGS,
        {"statuses": list(STATUSES), "image_range": rationales.settings.image_range},
        exact=False,
    )


def named_methods(methods: Sequence[Method] | Mapping[str, Method]) -> dict[str, Method]:
    """Returns methods by the names of their signatures.

    Raises:
        ValueError: If two have the same name, or a name cannot be that of a signature.
    """
    given = methods.items() if isinstance(methods, Mapping) else [(None, m) for m in methods]
    named: dict[str, Method] = {}
    for key, method in given:
        name = method_name(type(method)) if key is None else key
        if not name.isidentifier():
            raise ValueError(f"A signature cannot be called 'explain_{name}'.")
        if name in named:
            raise ValueError(
                f"There are two explanations {name!r}. Pass a mapping from names to methods."
            )
        named[name] = method
    return named


def check_inputs(tensors: Tensors) -> list[Any]:
    """The assertions that all signatures make about the model's inputs."""
    samples = tf.shape(next(iter(tensors.values())))[0]
    others = dict(list(tensors.items())[1:])
    return [*check_finite(tensors), *check_samples(others, samples)]


_INPUT_MEANINGS = {"*": "Input of the model."}
_RATIONALE_MEANINGS = {
    "target": "The class to change to, -1 for the runner-up; or the cutoff, NaN for the usual one.",
    "rationales": "Reconstruction less changed image: what spoke for the first prediction, signed.",
    "images": "The changed images.",
    "reconstructions": "What the generator makes of the images as they are.",
    "codes": "Latent codes of the changed images.",
    "probabilities": "What the classifier says on the way from reconstruction to changed image.",
    "steps": "Steps of the search.",
    "status": "Place in the list `statuses`.",
}
_EXPLANATION_MEANINGS = {
    "target": "The class that is explained; as an input, -1 stands for the predicted one.",
    "mask": "Weight of each of the output's positions in the explained score, such as ones for all.",
    "baseline": "What the input is compared with, such as zeros.",
    "attributions": "Share of each input value, or position, in the score.",
    "scores": "The explained score.",
    "delta": "Completeness error: the sum of the attributions less what they should add up to.",
    "details": "More about the explanation; see the method.",
}


def _arguments(
    name: str,
    numbers: Mapping[str, tf.TensorSpec],
    logits: tf.TensorShape,
    baselines: Mapping[str, str],
) -> dict[str, tf.TensorSpec]:
    """What `explain_<name>` takes beside the model's inputs: baselines are like their inputs."""
    extra = {"target": tf.TensorSpec((None,), tf.int32, "target")}
    if logits.rank > 2:
        extra["mask"] = tf.TensorSpec(logits[:-1], tf.float32, "mask")
    for new, of in baselines.items():
        extra[new] = tf.TensorSpec(numbers[of].shape, numbers[of].dtype, new)
    taken = sorted(set(extra) & set(numbers))
    if taken:
        raise ValueError(
            f"An input of the model is called {taken[0]!r}, as an argument of explain_{name} is. "
            "Give `keras.Input` another name."
        )
    return extra


def _with_predictions(method: Method, x: Any, target: Tensor, mask: Tensor | None) -> Tensor:
    """Puts the predicted class where a target is -1; where none is, no pass is made to find it."""
    scoring = method.scoring(x)

    def filled() -> Tensor:
        logits, predicted = scoring(x)
        if mask is not None:
            predicted = predicted_classes(logits, mask)
        return tf.where(target < 0, predicted, target)

    return tf.cond(tf.reduce_any(target < 0), filled, lambda: tf.identity(target))


def _other_outputs(model: keras.Model, outputs: Any) -> Tensors:
    """The model's outputs as they come, where it has several."""
    named = named_outputs(model, outputs)
    if len(named) == 1:
        return {}
    return {
        f"output_{name}": tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor
        for name, tensor in named.items()
    }


def _outputs(found: Any, inputs: ModelInputs) -> Tensors:
    """An `Attribution` as tensors by name."""
    maps = found.attributions
    if tf.nest.is_nested(maps):
        named = {f"attributions_{name}": leaf for name, leaf in inputs.by_name(maps).items()}
    else:
        named = {"attributions": maps}
    named["scores"] = found.scores
    if found.delta is not None:
        named["delta"] = found.delta
    for name, value in found.details.items():
        flat = tf.nest.flatten(value)
        ends = [""] if len(flat) == 1 else [f"_{index}" for index in range(len(flat))]
        named |= {f"details_{name}{end}": leaf for end, leaf in zip(ends, flat, strict=True)}
    return named


def _numeric(name: str, spec: tf.TensorSpec) -> tf.TensorSpec:
    if spec.dtype == tf.string:
        raise ValueError(f"Input {name!r} takes strings, which have no attributions.")
    return spec


def _beside(name: str, of: str, names: Mapping[str, Any]) -> str:
    """The name of what goes with an input: plain where there is only one."""
    return name if len(names) == 1 else f"{name}_{of}"
