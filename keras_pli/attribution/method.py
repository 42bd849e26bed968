"""What all attribution methods share: one verb, targets, batches and compilation."""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from ..checks import one_of, unknown_options
from ..network.embeddings import integers_as_numbers
from ..network.forward import Network, Score, Target
from ..network.inputs import (
    GivenBaseline,
    GivenTarget,
    PlacedTarget,
    check_classes,
    checked_baseline,
    checked_inputs,
    checked_target,
)
from ..network.runner import Runner, batch_spec
from ..network.targets import (
    Region,
    Spot,
    predicted_classes,
    target_kind,
    target_spec,
)
from .attribution import Attribution, PositionAttribution
from .embedded import averaged, check_gradients, explained_at_embeddings, own_baselines

Tensor = Any


class Method:
    """An attribution method over a Keras model: `Method(model)(x, target)` returns an `Attribution`.

    A subclass defines `compute`, a pure function of tensors; everything else is here. The model is called in
    inference mode, on its own weights as they are at the time, and is left as it was.

    Args:
        model: A built Keras model with inputs of any number of axes, samples first, channels last.
        layer: The layer whose units are explained, or its path, such as `"backbone/conv3"`; None for the
            model's output. A unit of a layer with positions is a channel, summed over them where the target
            names no place.
        output: Position or name of the output, where the model has several.
        score: `"logits"` explains what a final softmax or sigmoid receives, `"probabilities"` what it makes
            of that, `"output"` what the model gives, whatever made it.
        batch_size: Inputs that run through the model at a time. Beyond rounding, it changes no result. A
            model that takes a fixed number of samples, such as one with a stateful layer, gets that.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.
        embeddings: For methods that take gradients, which ids have not: `"sum"` explains the vectors that the
            model's `Embedding` layers give for ids, summed over their dimensions, and gives each id that
            value. A baseline is the vectors of its ids, by default of id 0. A mask made of ids stays as it
            is, and what that does to the score shows in `delta`; other uses of ids, as one-hot codes, are
            refused. None refuses ids. Integers that a model only casts to floats, as pixels, are numbers.

    Raises:
        ValueError: If the model is not built, or there is no such layer or output.
        TypeError: If `model` is not a Keras model, or the method takes no gradients and gets `embeddings`, or
            an option that it has not.
    """

    takes_baseline = False
    # Whether a position has one value, which stands in each of its channels.
    same_over_channels = False
    # Whether the method passes gradients to its inputs, so that ids have to be explained at an embedding.
    takes_gradients = False
    # Whether `compute` is there; a method that leaves the graph between passes cannot be exported.
    in_graph = True

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        output: int | str | None = None,
        score: Score = "logits",
        batch_size: int = 32,
        jit_compile: bool | Literal["auto"] = "auto",
        embeddings: Literal["sum"] | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:  # a subclass takes its own options and hands on the others
            raise unknown_options(type(self), unknown)
        self.network = Network(model, layer=layer, output=output, score=score)
        self.embeddings = one_of(embeddings, (None, "sum"), "embeddings")
        if embeddings and not self.takes_gradients:
            raise TypeError(f"{type(self).__name__} takes no gradients, and so no `embeddings`.")
        self.runner = Runner([model], batch_size=batch_size, jit_compile=jit_compile)

    def __call__(
        self,
        x: Any,
        target: GivenTarget = None,
        *,
        baseline: GivenBaseline = None,
        verbose: int = 0,
    ) -> Attribution:
        """Explains every sample.

        Args:
            x: Inputs `(samples, ...)`, or a structure of such arrays for a model with several inputs.
            target: A class, one class for each sample, a callable from logits `(batch, classes)` to scores
                `(batch,)`, or None for the predicted class. A single sigmoid unit has the classes 0 and 1.
                Where the output has positions, as a segmentation, a class is summed over all of them, and the
                predicted one has the largest sum; `AtPosition` and `Within` name a place, and a callable sees
                `(batch, *positions, classes)`.
            baseline: A baseline instead of the method's own, for methods that have one: a number, or an array
                shaped like one sample or like `x`.
            verbose: 1 draws a progress bar.

        Returns:
            An `Attribution` of NumPy arrays.

        Raises:
            ValueError: If a shape does not fit the model, a value is not finite, a class does not exist, or
                no logits can be found.
            TypeError: If the inputs are not numbers, or a baseline is given to a method without one.
        """
        inputs = checked_inputs(x, self.network.model)
        aim = self.aim(inputs, target)
        if baseline is not None:
            if not self.takes_baseline:
                raise TypeError(f"{type(self).__name__} has no baseline.")
            baseline = checked_baseline(baseline, inputs)
        score, classes = (aim, None) if callable(aim) else (None, aim)
        region = self.sample_regions(inputs)
        if classes is not None and target_kind(classes) == "given":
            if self.in_graph:  # tracing tells the number of classes, too
                self.traced(inputs, target="given", baseline=baseline is not None, region=region)
            check_classes(classes, self.classes(inputs), self.network.model)
        explain = self._on_arrays(inputs, classes, baseline, region, score)
        found = self.runner.over(explain, (inputs, classes, baseline, region), verbose=verbose)
        return PositionAttribution(*found) if self.same_over_channels else found

    @property
    def batch_size(self) -> int:
        """Inputs that run through the model at a time."""
        return self.runner.batch_size

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles."""
        return self.runner.jit_compile

    def __repr__(self) -> str:
        """The method with its settings; two that say the same find the same, on the same model."""
        settings = ", ".join(f"{name}={_brief(value)}" for name, value in self.settings().items())
        return f"{type(self).__name__}({settings})"

    def settings(self) -> dict[str, Any]:
        """Returns all that a map depends on beside the model and the inputs, by name."""
        own = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        del own["network"], own["runner"]
        if self.embeddings is None:
            del own["embeddings"]
        return {**own, **self.network.settings()}

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors; to be called where a graph is traced.

        Args:
            x: Float32 tensor `(batch, ...)`, or a structure of them.
            target: int32 classes `(batch,)`, a `Region` or `Spot` of them, a callable on logits, or None for
                the predicted class.
            baseline: Shaped like `x`, for methods with `takes_baseline`; None for the method's own.
        """
        raise NotImplementedError

    def traced(
        self,
        x: Any,
        *,
        target: Literal["predicted", "given"]
        | Region
        | Spot
        | Callable[[Tensor], Tensor] = "predicted",
        baseline: bool = False,
        region: Any = None,
    ) -> Any:
        """Returns `compute` as a concrete function for inputs like `x`, of any number of samples.

        Args:
            x: Array, or structure of arrays, with the shapes after the first axis that will come.
            target: `"predicted"`, `"given"` for an argument of int32 classes, a `Region` or `Spot` for an
                argument like it, or a callable on logits.
            baseline: Whether the function takes a baseline, shaped like the inputs.
            region: Array like what the function takes for a region of each sample, for methods that have one.

        Returns:
            A concrete function of `(x)`, `(x, target)`, `(x, baseline)` or `(x, target, baseline)`, and of a
            region behind these.
        """

        given = target == "given" or isinstance(target, Region | Spot)

        def function(inputs: Any, *others: Any) -> Attribution:
            waiting = list(others)
            aim = waiting.pop(0) if given else target if callable(target) else None
            start = waiting.pop(0) if baseline else None
            found = self._explained(inputs, aim, start, *waiting)
            return found._replace(details=dict(found.details))

        signature = [batch_spec(x)]
        if given:
            signature.append(target_spec(target))
        if baseline:
            signature.append(batch_spec(x))
        if region is not None:
            signature.append(batch_spec(region))
        kind = "given" if given else target
        key = ("explain", kind, baseline, self.batch_size)
        return self.runner.traced(function, signature, key)

    def own_baselines(self) -> Sequence[GivenBaseline]:
        """Returns the baselines that the method takes where a call gives none."""
        return [getattr(self, "baseline", 0.0)] if self.takes_baseline else []

    def sample_regions(self, x: Any) -> Any:
        """Returns a region of each of some checked inputs, an array that `compute` is handed as `region`.

        None where the method has none, or finds it by itself.
        """
        return None

    def _explained(self, x: Any, target: Target, baseline: Any, *region: Any) -> Attribution:
        """Explains a batch of tensors, integers among them: as numbers where the model takes them as such."""
        with self._as_numbers(x) as numbers:
            if baseline is not None:
                baseline = tf.nest.map_structure(
                    lambda start, leaf: tf.cast(start, leaf.dtype), baseline, numbers
                )
            return self._explained_numbers(numbers, target, baseline, *region)

    def _as_numbers(self, x: Any) -> AbstractContextManager[Any]:
        """Yields inputs in which integers that are no ids are float32 (see `integers_as_numbers`)."""
        network = self.network
        return integers_as_numbers(network.model, lambda given: network.forward(given).logits, x)

    def _explained_numbers(
        self, x: Any, target: Target, baseline: Any, *region: Any
    ) -> Attribution:
        if region:
            return self.compute(x, target, baseline, *region)
        if not self.takes_gradients:
            return self.compute(x, target, *([] if baseline is None else [baseline]))
        if self.embeddings:
            starts = [baseline] if baseline is not None else own_baselines(self.own_baselines(), x)
            return explained_at_embeddings(self.network, self.compute, x, target, starts)
        check_gradients(self.network, x)
        x = tf.nest.map_structure(lambda leaf: tf.cast(leaf, tf.float32), x)
        # A model that takes a fixed number of samples takes no single baseline for all of them.
        if baseline is None and self.takes_baseline and self.network.fixed_batch:
            starts = own_baselines(self.own_baselines(), x)
            return averaged([self.compute(x, target, start) for start in starts])
        return self.compute(x, target, *([] if baseline is None else [baseline]))

    def compiling(self, jit_compile: bool) -> Method:
        """Returns the method with or without XLA; this one stays as it was."""
        return self.running_on(self.runner.compiling(jit_compile))

    def running_on(self, runner: Runner) -> Method:
        """Returns the method with another runner; this one stays as it was."""
        other = copy.copy(self)
        other.runner = runner
        return other

    def aim(self, x: Any, target: GivenTarget) -> Any:
        """Returns a target for checked inputs: None, a callable, int32 classes, a `Region` or a `Spot`.

        Raises:
            ValueError: If there is not one class for each sample, or a place does not exist.
        """
        samples = len(tf.nest.flatten(x)[0])
        if isinstance(target, PlacedTarget):
            shape = self.scoring(x).structured_outputs[0].shape
            return target.placed(shape, samples, self.network.model)
        return target if isinstance(target, Region | Spot) else checked_target(target, samples)

    def classes(self, x: Any) -> int:
        """Returns the number of classes that targets choose from, for inputs like `x`."""
        if self.network.classes is None:
            self.scoring(x)
        return int(self.network.classes or 0)

    def scoring(self, x: Any) -> Any:
        """Returns a concrete function from inputs like `x` to `(logits, predicted classes)`."""

        def function(inputs: Any) -> tuple[Tensor, Tensor]:
            logits = self.network.forward(inputs).logits
            return logits, predicted_classes(logits)

        return self.runner.traced(function, [batch_spec(x)], "scoring")

    def _on_arrays(
        self,
        x: Any,
        classes: Any,
        baseline: Any,
        region: Any,
        score: Callable[[Tensor], Tensor] | None,
    ) -> Callable[..., Attribution]:
        """Returns a function that explains arrays `(x, classes, baseline, region)` like the given ones.

        It explains a callable on the logits, where there is one, the classes or else the prediction.
        """
        kind: Any = score or target_kind(classes)
        function = self.traced(x, target=kind, baseline=baseline is not None, region=region)
        return lambda *given: function(
            *(tf.nest.map_structure(tf.constant, part) for part in given if part is not None)
        )


def _brief(value: Any) -> str:
    """Arrays by their shape and a checksum; everything else as it is."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}#{zlib.crc32(np.ascontiguousarray(value).tobytes()):08x}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_brief, value))}]"
    # Without addresses, which are others in each process.
    return getattr(value, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(value))
