"""Attributions from one backward pass with other derivatives at some operations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..checks import quoted
from ..network.backward import Rule, backpropagate
from ..network.backward_rules import deconvolution_rules, guided_rules
from ..network.epsilon_rules import EpsilonRules, stabilized
from ..network.forward import Target
from ..network.graph import in_this_graph, operations_between
from ..network.inputs import GivenBaseline, checked_baseline
from ..network.kinds import RECTIFIERS
from ..network.operations import (
    COMPARISONS,
    ELEMENTWISE,
    check_decomposable,
    continuously_dependent,
    inner_types,
    is_rectifier,
)
from ..network.rescale_rules import RescaleRules
from ..network.targets import held_target, score_slopes, target_scores
from ..network.whole_numbers import check_steps
from .attribution import Attribution
from .method import Method

Tensor = Any
Operation = Any


class GuidedBackprop(Method):
    """The gradient with only its positive part handed on at every rectifier (Springenberg et al. 2015).

    A rectifier is a ReLU, ReLU6, LeakyReLU, PReLU, ELU or SELU, as an argument, a layer, in a nested model or
    as an operation of `keras.ops`, or a maximum with zero. It passes back f'(z) · max(g, 0). What comes out
    looks sharp, and hardly depends on the class or the upper layers (Adebayo et al. 2018).

    Args:
        model: A built Keras model.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: When called, if no rectifier lies between the input and the score, or one is hidden in a
            function or loop.

    Example:
        >>> import keras, numpy as np
        >>> layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Dense(3)])
        >>> GuidedBackprop(model)(np.ones((5, 8, 8, 1)), target=2).attributions.shape
        (5, 8, 8, 1)
    """

    takes_gradients = True

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        x = in_this_graph(x)
        scores = target_scores(self.network.forward(x).logits, target)
        check_steps(self.network.model, x, scores)
        check_rectifiers(operations_between(x, scores), type(self).__name__)
        return Attribution(backpropagate(scores, x, self._rules()), scores)

    def _rules(self) -> dict[str, Rule]:
        return guided_rules()


class Deconvnet(GuidedBackprop):
    """The score carried back by a deconvolutional network (Zeiler & Fergus 2014, section 2.1).

    Like the gradient, with the transposed filters and the switches of max-pooling, but a rectifier passes
    back max(g, 0), whether it was active or not. For what a rectifier is, see `GuidedBackprop`.

    Args:
        model: A built Keras model.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: When called, if no rectifier lies between the input and the score, or one is hidden in a
            function or loop.

    Example:
        >>> import keras, numpy as np
        >>> layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Dense(3)])
        >>> Deconvnet(model)(np.ones((5, 8, 8, 1)), target=2).attributions.shape
        (5, 8, 8, 1)
    """

    def _rules(self) -> dict[str, Rule]:
        return deconvolution_rules()


class EpsilonLRP(Method):
    """Layer-wise relevance propagation with the ε-rule (Bach et al. 2015, equation 58).

    In the form of Ancona et al. (2018, proposition 1): at every nonlinearity f, and at the score itself, the
    derivative is f(z) / (z + ε sign z), and the result is multiplied by the input. On linear layers with
    nonlinearities between them this is the ε-rule, layer by layer. Max-pooling gives all to its winner; a
    mask is held. The rest is as in AttnLRP (Achtibat et al. 2024): a product of two tensors that both depend
    on the input, as in a gate or in attention, gives half to each; layer, group, RMS and unit normalization
    are linear, with what they divide by held; a softmax has its Taylor rule, Rᵢ = zᵢ (Rᵢ(s) − sᵢ Σ Rⱼ(s)).

    Relevance is conserved but for biases, ε and softmax: `delta` is the sum of the attributions less the
    score, and `details["bias_share"]` what was lost as a share of the score. Look at it. Where f(0) is not 0,
    as for a sigmoid, z near 0 hands on many times what it gets, and gates one after another can make a
    million of a score of .02, as in EfficientNetV2; such maps say nothing.

    Args:
        model: A built Keras model.
        epsilon: ε, above 0. The larger, the fewer attributions are left of weak and contradictory evidence.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If `epsilon` is not a number above 0; when called, if an operation has no rule, as the
            loop of a recurrent layer.

    Example:
        >>> import keras, numpy as np
        >>> dense = [keras.layers.Dense(6, "relu", use_bias=False), keras.layers.Dense(3, use_bias=False)]
        >>> model = keras.Sequential([keras.Input((4,)), *dense])
        >>> found = EpsilonLRP(model)(np.ones((5, 4)), target=2)
        >>> bool(np.allclose(found.attributions.sum(axis=1), found.scores, atol=1e-4))
        True
    """

    takes_gradients = True

    def __init__(self, model: Any, *, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(model, **options)
        number = isinstance(epsilon, int | float | np.number) and not isinstance(epsilon, bool)
        if not number or not 0 < epsilon < np.inf:
            raise ValueError(f"`epsilon` must be a number above 0. Received: {epsilon!r}.")
        self.epsilon = float(epsilon)

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        x = in_this_graph(x)
        output, start, scores = _explained(self.network.forward(x).logits, target)
        operations = operations_between(x, output)
        check_decomposable(operations, _dependent(x, operations), type(self).__name__)
        dependent = continuously_dependent(x, operations)
        start *= _per_sample(scores / stabilized(scores, self.epsilon), start)
        rules = EpsilonRules(dependent, self.epsilon).by_type()
        slopes = backpropagate(output, x, rules, start=start)
        attributions = tf.nest.map_structure(tf.multiply, slopes, x)
        delta = _sums(attributions) - scores
        return Attribution(
            attributions, scores, delta, {"bias_share": tf.math.divide_no_nan(-delta, scores)}
        )


class DeepLIFT(Method):
    """The difference in score from a baseline, shared out by DeepLIFT's Rescale rule (Shrikumar et al. 2017).

    In the form of Ancona et al. (2018, proposition 2): at every nonlinearity f, the derivative is
    (f(z) − f(z̄)) / (z − z̄), with z̄ what it receives at the baseline, and the result is multiplied by x − x̄.
    Max-pooling gives a rise to the place of its maximum and a fall to where the maximum was at the baseline,
    as SHAP and Captum do. A product of two tensors that both depend on the input, also of matrices as in
    attention, is shared out by Δ(ab) = Δa (b + b̄) / 2 + Δb (a + ā) / 2, and a quotient y = a / b, as in
    normalization, by the same for a = y b. A softmax, exp(z − L), has
    Δsᵢ = λᵢ (Δzᵢ − Σ λⱼ Δzⱼ / Σ λⱼ), with λ = Δs / Δ log s. A mask counts as a factor of 0 or 1.

    The attributions add up to the score less that of the baseline, for the same class; `delta` is what is
    missing, which is rounding.

    Args:
        model: A built Keras model.
        baseline: x̄: a number, an array shaped like one sample, or a structure of these as the inputs have it.
            A call may give another, also one for each sample.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: When called, if the baseline's shape does not fit or it is not finite, or an operation has
            no rule, as the loop of a recurrent layer.

    Example:
        >>> import keras, numpy as np
        >>> dense = [keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)]
        >>> model, x = keras.Sequential([keras.Input((4,)), *dense]), np.ones((5, 4))
        >>> found = DeepLIFT(model, baseline=0.5)(x, target=2)
        >>> rise = model.predict(x, verbose=0) - model.predict(x / 2, verbose=0)
        >>> bool(np.allclose(found.attributions.sum(axis=1), rise[:, 2], atol=1e-5))
        True
    """

    takes_gradients = True
    takes_baseline = True

    def __init__(self, model: Any, *, baseline: GivenBaseline = 0.0, **options: Any) -> None:
        super().__init__(model, **options)
        self.baseline = baseline

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        x = in_this_graph(x)
        logits = self.network.forward(x).logits
        target = held_target(logits, target)
        output, start, scores = _explained(logits, target)
        operations = operations_between(x, output)
        dependent = _dependent(x, operations)
        check_decomposable(operations, dependent, type(self).__name__)
        baseline, rules, baseline_scores = self._at_baseline(
            x, target, operations, dependent, baseline
        )
        slopes = backpropagate(output, x, rules.by_type(), start=start)
        attributions = tf.nest.map_structure(
            lambda slope, given, from_: slope * (given - from_), slopes, x, baseline
        )
        return Attribution(attributions, scores, _sums(attributions) - (scores - baseline_scores))

    def _at_baseline(
        self,
        x: Any,
        target: Target,
        operations: Sequence[Operation],
        dependent: Collection[str],
        baseline: Any,
    ) -> tuple[Any, RescaleRules, Tensor]:
        """Runs the network on the baseline; returns it, the rules between both runs, and its scores.

        The method's own baseline runs as a single sample, unless the network folds positions into the
        samples' axis or behaves otherwise for a single sample.
        """
        if baseline is None:
            baseline = _own_baseline(self.baseline, x)
            others, scores = self._run(baseline, target)
            rules = RescaleRules.pairing(dependent, operations, others)
            if rules is not None:
                return baseline, rules, scores
            baseline = tf.nest.map_structure(
                lambda start, given: tf.broadcast_to(start, tf.shape(given)), baseline, x
            )
        others, scores = self._run(baseline, target)
        rules = RescaleRules.pairing(dependent, operations, others)
        if rules is None:
            raise ValueError(
                f"{self.network.model.name!r} runs other operations on the baseline than on the inputs, so "
                f"{type(self).__name__} cannot compare them."
            )
        return baseline, rules, scores

    def _run(self, inputs: Any, target: Target) -> tuple[list[Operation], Tensor]:
        inputs = in_this_graph(inputs)
        output, _, scores = _explained(self.network.forward(inputs).logits, target)
        return operations_between(inputs, output), scores


def _explained(logits: Tensor, target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what a backward pass starts from, with what it passes back there, and the scores `(batch,)`.

    For classes it starts from the logits: which class was predicted also depends on the input, but is held.
    """
    scores = target_scores(logits, target)
    if callable(target):
        return scores, tf.ones_like(scores), scores
    return logits, score_slopes(logits, target), scores


def check_rectifiers(operations: Sequence[Operation], method: str) -> None:
    """Raises a `ValueError` if no rectifier is among the operations, or one is hidden in a function."""
    for operation in operations:
        hidden = inner_types(operation) & RECTIFIERS
        if hidden:
            raise ValueError(
                f"{method} cannot reach {quoted(sorted(hidden))} inside the function or loop "
                f"{operation.name!r}."
            )
    if not any(is_rectifier(operation) for operation in operations):
        kinds = (ELEMENTWISE | COMPARISONS | {"Softmax"}) & {kind.type for kind in operations}
        raise ValueError(
            f"{method} needs a rectifier, such as ReLU, between the input and the score, or it would be the "
            f"plain gradient. Nonlinearities found: {quoted(sorted(kinds)) or 'none'}."
        )


def _dependent(x: Any, operations: Sequence[Operation]) -> set[str]:
    made = {tensor.name for operation in operations for tensor in operation.outputs}
    return made | {tensor.name for tensor in tf.nest.flatten(x)}


def _own_baseline(baseline: GivenBaseline, x: Any) -> Any:
    """Returns a method's own baseline as tensors of one sample, in the structure of the inputs."""
    one = tf.nest.map_structure(lambda tensor: np.zeros((1, *tensor.shape[1:]), np.float32), x)
    return tf.nest.map_structure(tf.constant, checked_baseline(baseline, one))


def _per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Gives values `(batch,)` the axes of a tensor to broadcast over."""
    return tf.reshape(values, [-1] + [1] * (like.shape.rank - 1))


def _sums(attributions: Any) -> Tensor:
    """The sum over everything but the samples."""
    return tf.add_n(
        [
            tf.reduce_sum(tensor, axis=list(range(1, tensor.shape.rank)))
            for tensor in tf.nest.flatten(attributions)
        ]
    )
