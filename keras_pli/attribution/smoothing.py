"""Attributions of many noisy copies of an input, gathered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from ..checks import check_options, checked_number, one_of
from ..draws import normal
from ..network.forward import Target
from ..network.graph import in_this_graph
from ..network.inputs import GivenBaseline
from ..network.loops import folded, repeated, summed, weighted
from ..network.runner import Runner
from ..network.stem import Stem, mean_gradient
from .attribution import Attribution
from .gradients import Saliency
from .method import Method
from .paths import aimed

Tensor = Any

# The powers of the maps that are averaged for a statistic.
_POWERS = {"mean": (1,), "square": (2,), "variance": (1, 2)}


class SmoothGrad(Method):
    """The mean of a method's attributions over noisy copies of the input.

    The noise is Gaussian, σ being a fraction of the range of each sample's values (Smilkov et al. 2017). The
    copies are explained for one class, the one predicted without noise. All samples meet the same noise, up
    to their ranges, so that a sample's result does not depend on those beside it; a seed gives the same on
    every device, compiled by XLA or not.

    Args:
        method: The method to smooth, which stays as it is, or a built Keras model for its `Saliency`.
        samples: Noisy copies of each input.
        noise: σ as a fraction of the sample's largest value less its smallest; each input of several has its
            own range.
        statistic: `"mean"`; `"square"`, the mean of the squares (SmoothGrad-Squared, Hooker et al. 2019); or
            `"variance"` (VarGrad, Adebayo et al. 2018).
        seed: What the noise is drawn by, a whole number from 0.
        batch_size: Inputs that run through the model at a time; None takes the method's.
        jit_compile: Whether XLA compiles; None takes the method's.
        **options: `layer`, `output`, `score` and `embeddings` as in `Method`, where a model is given.

    Raises:
        ValueError: If `samples` is not a whole number from 1, `noise` is negative, or `statistic` is none of
            these.
        TypeError: If `method` is neither method nor model, or works outside of a graph as `LIME` does; if
            `options` are given with a method, which has its own.

    Example:
        >>> import keras, numpy as np
        >>> from keras_pli.attribution import IntegratedGradients
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> smooth = SmoothGrad(IntegratedGradients(model), samples=10)
        >>> smooth(np.random.rand(5, 8, 8, 1), target=2).attributions.shape
        (5, 8, 8, 1)
    """

    def __init__(
        self,
        method: Method | keras.Model,
        *,
        samples: int = 50,
        noise: float = 0.15,
        statistic: Literal["mean", "square", "variance"] = "mean",
        seed: int = 0,
        batch_size: int | None = None,
        jit_compile: bool | Literal["auto"] | None = None,
        **options: Any,
    ) -> None:
        inner = _as_method(method, options)
        own = inner.network
        super().__init__(
            own.model,
            layer=own.layer,
            output=own.output,
            score=own.score,
            batch_size=inner.batch_size if batch_size is None else batch_size,
            jit_compile=inner.jit_compile if jit_compile is None else jit_compile,
        )
        self.method, self.embeddings = _running_like(self.runner, inner), inner.embeddings
        self.samples = checked_number(samples, "samples", least=1, whole=True)
        self.noise = checked_number(noise, "noise", least=0)
        self.statistic = one_of(statistic, _POWERS, "statistic")
        self.seed = checked_number(seed, "seed", least=0, whole=True)

    @property
    def takes_baseline(self) -> bool:  # type: ignore[override]
        """Whether the smoothed method has one."""
        return self.method.takes_baseline

    @property
    def takes_gradients(self) -> bool:  # type: ignore[override]
        """Whether the smoothed method takes some."""
        return self.method.takes_gradients

    @property
    def same_over_channels(self) -> bool:  # type: ignore[override]
        """Whether the smoothed method gives a position one value."""
        return self.method.same_over_channels

    def own_baselines(self) -> Sequence[GivenBaseline]:
        """Returns those of the smoothed method."""
        return self.method.own_baselines()

    def running_on(self, runner: Runner) -> Method:
        """Returns the method with another runner; this one stays as it was."""
        other: Any = super().running_on(runner)
        other.method = _running_like(runner, self.method)
        return other

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        x = in_this_graph(x)
        target, scores, logits = aimed(self.network, x, target)
        if self.statistic == "mean" and type(self.method) is Saliency:
            found = mean_gradient(
                self.network,
                Stem.between(x, logits),
                target,
                lambda draws: self._noisy(x, draws),
                self.samples,
                batch=tf.size(scores),
                room=self.batch_size,
            )
            return Attribution(found, scores)
        return Attribution(self._statistic(x, target, baseline, tf.size(scores)), scores)

    def _statistic(self, x: Any, target: Target, baseline: Any, batch: Tensor) -> Any:
        """Gathers the maps of all noisy copies into the statistic."""
        plain = self.method.compute(x, target, baseline).attributions
        # A variance is the same about any value; about a near one, little cancels.
        centre = plain if self.statistic == "variance" else None
        powers = _POWERS[self.statistic]

        def moments(draws: Tensor, weights: Tensor) -> list[Any]:
            times = tf.size(draws)
            given = repeated(target, times), repeated(baseline, times)
            maps = self.method.compute(self._noisy(x, draws), *given).attributions
            if centre is not None:
                maps = tf.nest.map_structure(tf.subtract, maps, repeated(centre, times))
            return [
                tf.nest.map_structure(lambda m, power=power: weighted(m**power, weights), maps)
                for power in powers
            ]

        zeros = tf.nest.map_structure(lambda maps: _zeros_like(maps, batch), plain)
        start = [zeros] * len(powers)
        sums = summed(moments, self.samples, start, batch=batch, room=self.batch_size)
        found, *squares = tf.nest.map_structure(lambda total: total / self.samples, sums)
        if squares:
            found = tf.nest.map_structure(lambda mean, square: square - mean**2, found, squares[0])
        return found

    def _noisy(self, x: Any, draws: Tensor) -> Any:
        """Returns the inputs with the noise of some draws, `(draws * batch, ...)`."""
        leaves = tf.nest.flatten(x)

        def noisy(index: int, leaf: Tensor) -> Tensor:
            if not leaf.dtype.is_floating:
                raise ValueError(
                    f"Noise can be added to real numbers, and not to ids of type {leaf.dtype.name}. Smooth a "
                    "method that has embeddings='sum'."
                )
            values = tuple(range(1, leaf.shape.rank))
            largest = tf.reduce_max(leaf, axis=values, keepdims=True)
            sigma = self.noise * (largest - tf.reduce_min(leaf, axis=values, keepdims=True))
            streams = draws * len(leaves) + index
            noise = tf.map_fn(
                lambda stream: normal(tf.shape(leaf)[1:], (self.seed, stream)),
                streams,
                fn_output_signature=tf.TensorSpec(leaf.shape[1:]),
            )
            return folded(leaf + sigma * noise[:, None])

        return tf.nest.pack_sequence_as(x, [noisy(*pair) for pair in enumerate(leaves)])


def _as_method(method: Method | keras.Model, options: dict[str, Any]) -> Method:
    if isinstance(method, keras.Model):
        check_options(SmoothGrad, options)
        return Saliency(method, **options)
    if not isinstance(method, Method):
        raise TypeError(
            f"`method` must be an attribution method or a Keras model. Received: {type(method).__name__}."
        )
    if not method.in_graph:
        raise TypeError(f"{type(method).__name__} cannot be smoothed: it works outside of a graph.")
    if options:
        raise TypeError(f"{type(method).__name__} has its own {', '.join(options)}; set it there.")
    return method


def _running_like(runner: Runner, method: Method) -> Method:
    """A copy of a method that runs and compiles as the outer one; the caller's stays as it was."""
    return method.running_on(runner.compiling(runner.jit_compile))


def _zeros_like(maps: Tensor, batch: Tensor) -> Tensor:
    """Zeros for which the maps themselves need not be computed, if their shape is known."""
    shape = maps.shape[1:]
    return tf.zeros((batch, *shape)) if shape.is_fully_defined() else tf.zeros_like(maps)
