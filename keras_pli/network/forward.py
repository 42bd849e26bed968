"""A classifier seen from its scores: a forward pass to the logits, and gradients of a target's score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import tensorflow as tf

from ..checks import one_of, quoted
from .backward import Rule, backpropagate
from .graph import reader
from .layers import find_layer, layer_paths
from .logits import squashing_of
from .recording import Recording, recorded

Tensor = Any
Target: TypeAlias = "Tensor | Callable[[Tensor], Tensor] | None"


@dataclass(frozen=True)
class Forward:
    """What a forward pass gave.

    Attributes:
        logits: What targets are read from, float32 of shape `(batch, classes)`.
        outputs: What the model gave, as it gave it.
        recorded: Output of the recorded layer, `(batch, ...)`, or None.
        squashing: The operation that was undone, such as `"Softmax"`, or None.
    """

    logits: Tensor
    outputs: Any = None
    recorded: Tensor | None = None
    squashing: str | None = None


class Network:
    """A model with the place in it that is explained.

    Its functions make graph operations: call them where a graph is being traced.

    Args:
        model: A built Keras model.
        layer: Path of the layer whose units are explained; None for the model's output. Of a layer with
            spatial positions, a unit is a channel, summed over them.
        output: Position or name of the output, where there are several.
        score: `"logits"` to undo a softmax or sigmoid, `"output"` for values as they come out.
        record: Path of a layer whose output is kept. Where a layer runs several times, `"conv@1"` is the
            second time.

    Raises:
        ValueError: If the model is not built, or there is no such layer or output.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | None = None,
        output: int | str | None = None,
        score: Literal["logits", "output"] = "logits",
        record: str | None = None,
    ) -> None:
        if not isinstance(model, keras.Model):
            raise TypeError(f"`model` must be a Keras model. Received: {type(model).__name__}.")
        if not model.built:
            raise ValueError(
                f"{model.name!r} is not built, so it has no weights to explain. Call it on a batch first."
            )
        if isinstance(output, bool) or not isinstance(output, int | str | None):
            raise TypeError(f"`output` must be a position or a name. Received: {output!r}.")
        self.model, self.layer, self.output = model, layer, output
        self.score = one_of(score, ("logits", "output"), "score")
        self.record = record
        # How many there are to choose from, as soon as a forward pass was traced.
        self.classes: int | None = None
        for path in (layer, record):
            if path is not None:
                if not isinstance(path, str):
                    raise TypeError(
                        f"`layer` must be a path, such as 'backbone/conv3'. Received: {path!r}."
                    )
                self.find(path)

    def settings(self) -> dict[str, Any]:
        """Returns what was chosen otherwise than by default."""
        chosen = {"layer": self.layer or self.record, "output": self.output}
        if self.score != "logits":
            chosen["score"] = self.score
        return {name: value for name, value in chosen.items() if value is not None}

    def find(self, path: str) -> tuple[keras.Layer, int | None]:
        """Returns the layer at a path, and which of its runs is meant: of `"conv@1"` the second."""
        name, at, run = path.rpartition("@")
        if at and run.isdigit() and path not in layer_paths(self.model):
            return find_layer(self.model, name), int(run)
        return find_layer(self.model, path), None

    def forward(self, inputs: Any) -> Forward:
        """Runs the model in inference mode on a batch, `inputs` being of the model's own structure."""
        paths = [path for path in (self.layer, self.record) if path is not None]
        layers = [self.find(path)[0] for path in paths]
        with recorded(layers) as recording:
            outputs = self.model(inputs, training=False)
        at = {path: self._run(path, recording) for path in paths}
        explained = self._output(outputs) if self.layer is None else at[self.layer]
        kept = at[self.record] if self.record is not None else None
        logits, squashing = self._logits(explained, inputs)
        self.classes = int(logits.shape[-1])
        return Forward(logits, outputs, kept, squashing)

    def gradients(
        self,
        inputs: Any,
        target: Target,
        rules: Mapping[str, Rule] | None = None,
    ) -> tuple[Any, Tensor]:
        """Returns the gradients of the target's score by the inputs, and the scores `(batch,)`."""
        scores = target_scores(self.forward(inputs).logits, target)
        return backpropagate(scores, inputs, rules), scores

    def _output(self, outputs: Any) -> Tensor:
        by_name = outputs if isinstance(outputs, dict) else None
        flat = list(by_name.values()) if by_name else tf.nest.flatten(outputs)
        names = list(by_name or getattr(self.model, "output_names", []))
        choices = names if len(names) == len(flat) else list(range(len(flat)))
        if self.output is None:
            if len(flat) != 1:
                raise ValueError(
                    f"{self.model.name!r} has {len(flat)} outputs; say by `output` which one is meant: "
                    f"{quoted(choices)}."
                )
            return flat[0]
        if isinstance(self.output, str):
            return flat[choices.index(one_of(self.output, choices, "output"))]
        return flat[one_of(self.output, range(len(flat)), "output")]

    def _run(self, path: str, recording: Recording) -> Tensor:
        layer, run = self.find(path)
        outputs = recording.of(layer)
        if run is None and len(outputs) > 1:
            raise ValueError(
                f"Layer {path!r} runs {len(outputs)} times in {self.model.name!r}; say which run is meant: "
                f"{quoted([f'{path}@{index}' for index in range(len(outputs))])}."
            )
        if (run or 0) >= len(outputs):
            raise ValueError(
                f"Layer {path!r} does not run in a pass through {self.model.name!r}"
                + (f"; it runs {len(outputs)} times." if outputs else ".")
            )
        return outputs[run or 0]

    def _logits(self, explained: Tensor, inputs: Any) -> tuple[Tensor, str | None]:
        """Undoes the final squashing and says which; gives two columns to a single sigmoid unit."""
        squashing, values = self._squashing(explained, inputs), explained
        if self.score == "logits" and squashing is not None:
            values = tf.reshape(squashing.inputs[0], tf.shape(explained))
            values = tf.ensure_shape(values, explained.shape)
        values = tf.cast(values, tf.float32)
        if values.shape.rank == 1:
            values = values[:, None]
        kind = None if squashing is None else squashing.type
        if kind == "Sigmoid" and values.shape[-1] == 1:
            other = -values if self.score == "logits" else 1.0 - values
            values = tf.concat([other, values], axis=-1)
        # Where there are positions, a class is scored by the sum over them.
        values = tf.reduce_sum(values, axis=tuple(range(1, values.shape.rank - 1)))
        return values, kind if self.score == "logits" else None

    def _squashing(self, explained: Tensor, inputs: Any) -> Any:
        """The operation that made probabilities of logits; raises where there is neither."""
        try:
            step = squashing_of(explained, reader(inputs, explained))
            if step is not None and step.operation is None:
                raise ValueError(f"its {step.kind} runs within a compiled function")
        except ValueError as error:
            if self.layer is not None or self.score == "output":
                return None
            raise ValueError(
                f"No logits can be found in {self.model.name!r}: {error}. Pass score='output' to explain the "
                "output as it is, or a `layer` to explain."
            ) from None
        return None if step is None else step.operation


def target_scores(logits: Tensor, target: Target) -> Tensor:
    """Returns each sample's score, `(batch,)`: the logit of its class, or what a callable makes of them."""
    if target is None:
        target = predicted_classes(logits)
    if not callable(target):
        return tf.reduce_sum(logits * tf.one_hot(target, logits.shape[-1]), axis=-1)
    scores = tf.cast(tf.convert_to_tensor(target(logits)), tf.float32)
    if scores.shape.rank != 1:
        raise ValueError(
            "`target` must give one score for each sample, shape (batch,), from logits of shape "
            f"{tuple(logits.shape)}. Received shape {tuple(scores.shape)}."
        )
    return scores


def probabilities(
    forward: Forward, activation: Literal["auto", "softmax", "sigmoid"] = "auto"
) -> Tensor:
    """Returns the probability of each class, `(batch, classes)`.

    Args:
        forward: A pass to the logits.
        activation: What makes probabilities of them; `"auto"` is what was undone, and where nothing was,
            softmax, or sigmoid for a single unit.
    """
    logits = forward.logits
    if activation == "auto":
        single = logits.shape[-1] == 1
        activation = "sigmoid" if forward.squashing == "Sigmoid" or single else "softmax"
    return tf.sigmoid(logits) if activation == "sigmoid" else tf.nn.softmax(logits)


def predicted_classes(logits: Tensor) -> Tensor:
    """Returns the class of the largest logit, int32 of shape `(batch,)`."""
    return tf.argmax(logits, axis=-1, output_type=tf.int32)
