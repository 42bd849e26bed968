"""Explaining ids at the output of the embedding that looks them up, by any method that takes gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ..network.embeddings import Embedded, check_gradient
from ..network.forward import Network, Target
from ..network.inputs import GivenBaseline, baseline_tensors, input_names
from ..network.targets import held_target, target_scores
from ..network.whole_numbers import embedding_layers
from .attribution import Attribution

Tensor = Any
Compute = Callable[..., Attribution]


def check_gradients(network: Network, x: Any) -> None:
    """Raises a `ValueError` if an input, on which the score depends, has no gradient.

    Of a single input of real numbers, in a model without embeddings, nothing is looked at: the backward pass
    itself raises.
    """
    flat = tf.nest.flatten(x)
    if len(flat) == 1 and flat[0].dtype.is_floating and not embedding_layers(network.model):
        return
    x = tf.nest.map_structure(tf.identity, x)
    logits = network.forward(x).logits
    for leaf, name in zip(tf.nest.flatten(x), input_names(network.model, x), strict=True):
        check_gradient(leaf, logits, name, network.model)


def explained_at_embeddings(
    network: Network,
    compute: Compute,
    x: Any,
    target: Target,
    baselines: Sequence[Any],
) -> Attribution:
    """Explains the vectors that embeddings give for ids, and sums over each of them.

    Args:
        network: What is explained.
        compute: `Method.compute`.
        x: As `Method.compute` takes it.
        target: The same.
        baselines: Tensors like `x`, whose vectors paths start from; what is found for several is averaged.
            None of them where the method has none.
    """

    def run(inputs: Any) -> Tensor:
        return network.forward(inputs).logits

    embedded = Embedded.of(network.model, run, x)
    starts = [embedded.vectors_at(network.model, run, baseline) for baseline in baselines]
    with embedded.entered():
        parts = [
            compute(embedded.values, target, *start) for start in [[s] for s, _ in starts] or [[]]
        ]
    if starts and parts[0].delta is not None:
        target = held_target(embedded.logits, target)
        parts = [
            _with_delta(part, target_scores(logits, target))
            for part, (_, logits) in zip(parts, starts, strict=True)
        ]
    found = averaged(parts)
    return found._replace(attributions=embedded.at_inputs(found.attributions))


def _with_delta(found: Attribution, start: Tensor) -> Attribution:
    """Measures what is missing by the score that the model itself gives to the baseline's ids.

    On the way from their vectors, what else is made of ids, as a mask, is that of the explained ids.
    """
    sums = [
        tf.reduce_sum(part, axis=list(range(1, part.shape.rank))) for part in found.attributions
    ]
    return found._replace(delta=tf.add_n(sums) - (found.scores - start))


def averaged(found: Sequence[Attribution]) -> Attribution:
    """Returns the mean of what was found from several baselines."""
    if len(found) == 1:
        return found[0]
    plain = [one._replace(details=dict(one.details)) for one in found]
    return tf.nest.map_structure(lambda *parts: tf.add_n(parts) / len(parts), *plain)


def own_baselines(given: Sequence[GivenBaseline], x: Any) -> list[Any]:
    """Returns a method's own baselines as tensors like `x`."""
    return [baseline_tensors(baseline, x) for baseline in given]
