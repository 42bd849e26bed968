"""A classifier seen from its scores: a forward pass to the logits, and gradients of a target's score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import tensorflow as tf

from ..checks import one_of, quoted
from .backward import Rule, backpropagate
from .embeddings import run_unchanged
from .inputs import fixed_batch
from .layers import check_model, find_layer, layer_path, layer_paths
from .recording import Recording, recorded
from .targets import Region, Spot, target_scores
from .unsquashed import check_class_axis, final_squashing, unsquashed
from .whole_numbers import check_steps

Tensor = Any
# What a model's output is read as: what a final softmax or sigmoid receives, what it makes of that, or the
# output as it comes.
Score: TypeAlias = Literal["logits", "probabilities", "output"]
SCORES: tuple[Score, ...] = ("logits", "probabilities", "output")
Target: TypeAlias = "Tensor | Region | Spot | Callable[[Tensor], Tensor] | None"


@dataclass(frozen=True)
class Forward:
    """What a forward pass gave.

    Attributes:
        logits: What targets are read from, float32 of shape `(batch, classes)`; of an output with positions,
            such as a segmentation, `(batch, *positions, classes)`.
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
        layer: The layer whose units are explained, or its path; None for the model's output.
        output: Position or name of the output, where there are several.
        score: `"logits"` to undo a softmax or sigmoid, `"probabilities"` for what it makes of them (or
            softmax would, where the model ends linearly), `"output"` for values as they come out.
        record: A layer whose output is kept, or its path. Where a layer runs several times, `"conv@1"` is the
            second time.

    Raises:
        ValueError: If the model is not built, or there is no such layer or output.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        output: int | str | None = None,
        score: Score = "logits",
        record: str | keras.Layer | None = None,
    ) -> None:
        check_model(model)
        if not model.built:
            raise ValueError(
                f"{model.name!r} is not built, so it has no weights to explain. Call it on a batch first."
            )
        if isinstance(output, bool) or not isinstance(output, int | str | None):
            raise TypeError(f"`output` must be a position or a name. Received: {output!r}.")
        self.model, self.output = model, output
        self.layer = None if layer is None else layer_path(model, layer)
        self.record = None if record is None else layer_path(model, record)
        self.score = one_of(score, SCORES, "score")
        # Number of samples that the model takes at a time; None for any.
        self.fixed_batch = fixed_batch(model)
        # How many there are to choose from, and what was undone, as soon as a forward pass was traced.
        self.classes: int | None = None
        self.squashing: str | None = None
        for path in (self.layer, self.record):
            if path is not None:
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

    def forward(self, inputs: Any, weights: Sequence[tuple[Any, Tensor]] | None = None) -> Forward:
        """Runs the model in inference mode on a batch.

        Args:
            inputs: A batch of the model's own structure.
            weights: Variables of the model with the values to use in place of their own.
        """
        paths = [path for path in (self.layer, self.record) if path is not None]
        layers = [self.find(path)[0] for path in paths]
        with recorded(layers) as recording:
            outputs = run_unchanged(self.model, inputs, weights)
        at = {path: self._run(path, recording) for path in paths}
        explained = self.explained(outputs) if self.layer is None else at[self.layer]
        kept = at[self.record] if self.record is not None else None
        logits, squashing = self._logits(explained, inputs)
        self.classes, self.squashing = int(logits.shape[-1]), squashing
        return Forward(logits, outputs, kept, squashing)

    def layer_output(self, inputs: Any) -> Any:
        """Runs the model in inference mode; returns what the recorded layer gave, with logits or without."""
        if self.record is None:
            raise ValueError("Say by `record` which layer's output is wanted. Received: None.")
        with recorded([self.find(self.record)[0]]) as recording:
            run_unchanged(self.model, inputs)
        return self._run(self.record, recording)

    def gradients(
        self,
        inputs: Any,
        target: Target,
        rules: Mapping[str, Rule] | None = None,
    ) -> tuple[Any, Tensor]:
        """Returns the gradients of the target's score by the inputs, and the scores `(batch,)`."""
        scores = target_scores(self.forward(inputs).logits, target)
        check_steps(self.model, inputs, scores)
        return backpropagate(scores, inputs, rules), scores

    def explained(self, outputs: Any) -> Tensor:
        """Returns, of all that the model gave, the output that is explained."""
        named = named_outputs(self.model, outputs)
        flat, names = list(named.values()), list(named)
        if self.output is None:
            if len(flat) != 1:
                choices = range(len(flat)) if names == _positions(flat) else names
                raise ValueError(
                    f"{self.model.name!r} has {len(flat)} outputs; say by `output` which one is meant: "
                    f"{quoted(choices)}."
                )
            return flat[0]
        if isinstance(self.output, str):
            return named[one_of(self.output, names, "output")]
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
        if self.score != "output" and squashing is not None:
            values = unsquashed(explained, squashing)
        values = tf.cast(values, tf.float32)
        if values.shape.rank == 1:
            values = values[:, None]
        kind = None if squashing is None else squashing.type
        if kind == "Sigmoid" and values.shape[-1] == 1:
            other = 1.0 - values if self.score == "output" else -values
            values = tf.concat([other, values], axis=-1)
        if self.score == "probabilities":
            if self.layer is not None and kind is None:
                raise ValueError(f"Layer {self.layer!r} has no probabilities. Pass score='logits'.")
            return probabilities(Forward(values, squashing=kind)), None
        return values, kind if self.score == "logits" else None

    def _squashing(self, explained: Tensor, inputs: Any) -> Any:
        """The operation that made probabilities of logits; raises where there is neither."""
        try:
            squashing = final_squashing(explained, inputs)
            if squashing is not None and squashing.type != "Sigmoid":
                check_class_axis(explained, squashing)
        except ValueError as error:
            if self.layer is not None or self.score == "output":
                return None
            raise ValueError(
                f"No logits can be found in {self.model.name!r}: {error}. Pass score='output' to explain the "
                "output as it is, or a `layer` to explain."
            ) from None
        return squashing


def probabilities(
    forward: Forward, activation: Literal["auto", "softmax", "sigmoid"] = "auto"
) -> Tensor:
    """Returns the probability of each class, in the shape of the logits.

    Args:
        forward: A pass to the logits.
        activation: What makes probabilities of them; `"auto"` is what was undone, and where nothing was,
            softmax, or sigmoid for a single unit.
    """
    logits = forward.logits
    if activation == "auto":
        single = forward.squashing is None and logits.shape[-1] == 1
        activation = "sigmoid" if forward.squashing == "Sigmoid" or single else "softmax"
    return tf.sigmoid(logits) if activation == "sigmoid" else tf.nn.softmax(logits)


def named_outputs(model: keras.Model, outputs: Any) -> dict[str, Tensor]:
    """Returns what a model gave by name: its keys where it is a dict, Keras's names, or else positions.

    Example:
        >>> list(named_outputs(keras.Sequential(), {"mask": 0, "box": [1, 2]}))
        ['mask', 'box_0', 'box_1']
    """
    named = _by_path(outputs)
    own = list(getattr(model, "output_names", None) or [])
    nameless = all(name.replace("_", "").isdigit() for name in named)
    if nameless and len(own) == len(set(own)) == len(named):
        return dict(zip(own, named.values(), strict=True))
    return named


def _by_path(outputs: Any, path: str = "") -> dict[str, Tensor]:
    """The tensors of nested lists, tuples and dicts, by the keys and positions that lead there."""
    if hasattr(outputs, "_asdict"):
        outputs = outputs._asdict()
    if isinstance(outputs, list | tuple):
        outputs = dict(enumerate(outputs))
    if not isinstance(outputs, Mapping):
        return {path or "0": outputs}
    begin = f"{path}_" if path else ""
    parts = [_by_path(value, f"{begin}{key}") for key, value in outputs.items()]
    return {name: tensor for part in parts for name, tensor in part.items()}


def _positions(outputs: Any) -> list[str]:
    return [str(position) for position in range(len(outputs))]
