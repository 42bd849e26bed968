"""Gradients gathered along a path from a baseline to the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..checks import checked_number
from ..network.forward import Network, Target
from ..network.graph import in_this_graph
from ..network.inputs import GivenBaseline, checked_baseline
from ..network.loops import folded, repeated, summed, unfolded, weighted
from ..network.stem import Stem, mean_gradient
from ..network.targets import held_target, target_scores
from .attribution import Attribution
from .method import Method

Tensor = Any


class IntegratedGradients(Method):
    """The mean gradient on the straight line from a baseline to the input, times their difference.

    The value at a pixel is (xᵢ − bᵢ) ∫₀¹ ∂S/∂xᵢ(b + α (x − b)) dα (Sundararajan et al. 2017, equation 1), by
    the midpoint rule, which does not look at the baseline itself, where every ReLU may be dead. The values
    add up to S(x) − S(b), but for `delta`. The class is the one predicted at x.

    Args:
        model: A built Keras model.
        steps: Points on the line.
        baseline: Where the line starts: a number, an array shaped like one sample, or a structure of these
            for a model with several inputs. A `baseline` in the call takes its place.
        baselines: Several of these instead, each with `steps` points; their attributions are averaged.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If `steps` is not a whole number from 1, `baselines` are none or stand beside a
            `baseline`; in the call, if a baseline is not finite or its shape does not fit.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> found = IntegratedGradients(model, baselines=[0.0, 1.0])(np.ones((5, 4)), target=2)
        >>> bool(np.abs(found.delta).max() < 1e-5)
        True
    """

    takes_gradients = True
    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int = 64,
        baseline: GivenBaseline = 0.0,
        baselines: Sequence[GivenBaseline] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.steps = checked_number(steps, "steps", least=1, whole=True)
        if baselines is not None:
            if not isinstance(baselines, list | tuple) or len(baselines) == 0:
                raise ValueError(
                    f"`baselines` must be a list of baselines. Received: {baselines!r}."
                )
            if not np.isscalar(baseline) or baseline != 0.0:
                raise ValueError("Give either `baseline` or `baselines`. Received both.")
        self.baseline, self.baselines = baseline, baselines

    def own_baselines(self) -> Sequence[GivenBaseline]:
        """Returns the baselines that the method takes where a call gives none."""
        return [self.baseline] if self.baselines is None else self.baselines

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        x = in_this_graph(x)
        target, scores, logits = aimed(self.network, x, target)
        stem = Stem.between(x, logits)
        lines = StraightLines.to(x, self.own_baselines(), baseline)

        def contributions(line: Tensor, _: Tensor) -> Any:
            first = line[0] * self.steps
            gradients = mean_gradient(
                self.network,
                stem,
                target,
                lambda positions: lines.points(first + positions, self.steps),
                self.steps,
                batch=lines.batch,
                room=self.batch_size,
            )
            differences = lines.differences(line[0])
            return tf.nest.map_structure(tf.multiply, gradients, differences)

        zeros = tf.nest.map_structure(tf.zeros_like, x)
        sums = summed(contributions, lines.count, zeros, batch=lines.batch, room=1)
        attributions = tf.nest.map_structure(lambda total: total / lines.count, sums)
        starts = lines.mean_score(self.network, target, room=self.batch_size)
        return Attribution(attributions, scores, _sum(attributions) - (scores - starts))


class InteriorGradients(Method):
    """The mean gradient on the straight line from a baseline to the input, and where the network saturates.

    Where scaling the input up raises the score no more, the gradient at the input is small whatever it
    shows, and those on the way are not (Sundararajan et al. 2016, "Gradients of Counterfactuals"). The value
    at a pixel is the mean of ∂S/∂xᵢ at the points b + α (x − b); times xᵢ − bᵢ it is that of
    `IntegratedGradients`. The class is the one predicted at x.

    `details` follow each sample along its line:

    - `alphas`, `(samples, steps)`: the points α.
    - `scores`, `(samples, steps)`: the score at each.
    - `gradient_norms`, `(samples, steps)`: the Euclidean norm of the gradient at each.
    - `layer_distances`, `(samples, layers, steps)`: how far the output of each layer in `watch` is from what
      it is at x, relative to the latter's norm. A layer that comes near 0 early is saturated.

    Args:
        model: A built Keras model.
        steps: Points on the line.
        baseline: Where the line starts: a number, an array shaped like one sample, or a structure of these
            for a model with several inputs. A `baseline` in the call takes its place.
        watch: Paths of layers to follow; each takes a further forward pass at every point.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If `steps` is not a whole number from 1, or there is no such layer; in the call, if the
            baseline is not finite or its shape does not fit.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="scores")])
        >>> details = InteriorGradients(model, steps=16, watch=["scores"])(np.ones((5, 4))).details
        >>> details["scores"].shape, details["layer_distances"].shape
        ((5, 16), (5, 1, 16))
    """

    takes_gradients = True
    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int = 64,
        baseline: GivenBaseline = 0.0,
        watch: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.steps = checked_number(steps, "steps", least=1, whole=True)
        self.baseline, self.watch = baseline, tuple(watch)
        own = self.network
        self._watching = [
            Network(model, layer=own.layer, output=own.output, score=own.score, record=path)
            for path in self.watch
        ]

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        target, scores, _ = aimed(self.network, x, target)
        lines = StraightLines.to(x, [self.baseline], baseline)
        outputs = self._outputs(x)

        def follow(positions: Tensor, weights: Tensor) -> Any:
            times = tf.size(positions)
            points = lines.points(positions, self.steps)
            gradients, found = self.network.gradients(points, repeated(target, times))
            norms = tf.norm(_flat(gradients), axis=1)
            followed = [found, norms, *_distances(self._outputs(points), repeated(outputs, times))]
            # Each point's values go into a column of their own.
            columns = tf.one_hot(positions, self.steps) * weights[:, None]
            curves = [tf.einsum("pb,ps->bs", unfolded(row, times), columns) for row in followed]
            return tf.nest.map_structure(lambda g: weighted(g, weights), gradients), curves

        batch = lines.batch
        curve = tf.zeros((batch, self.steps))
        start = (tf.nest.map_structure(tf.zeros_like, x), [curve] * (2 + len(outputs)))
        sums, curves = summed(follow, self.steps, start, batch=batch, room=self.batch_size)
        alphas = tf.broadcast_to(_midpoints(tf.range(self.steps), self.steps), tf.shape(curve))
        details = {"alphas": alphas, "scores": curves[0], "gradient_norms": curves[1]}
        if outputs:
            details["layer_distances"] = tf.stack(curves[2:], axis=1)
        gradients = tf.nest.map_structure(lambda total: total / self.steps, sums)
        return Attribution(gradients, scores, details=details)

    def _outputs(self, inputs: Any) -> list[Tensor]:
        """What each watched layer gives, in one row for each sample."""
        return [_flat(network.forward(inputs).recorded) for network in self._watching]


class GuidedIntegratedGradients(Method):
    """The gradients along a path from a baseline to the input that goes where the score is flat first.

    Much of the noise on the straight line comes from pixels that are steep there and have nothing to do with
    the class. Here each step takes the point nearer to the input by the same ∑ᵢ |xᵢ − zᵢ|, by moving the
    pixels with the smallest |∂S/∂zᵢ|, then the next, each no further than allowed (Kapishnikov et al. 2021,
    algorithm 1). The value at a pixel is the integral of its gradient along this path. The values add up to
    S(x) − S(b), but for `delta`. The class is the one predicted at x.

    The paper's sum takes each gradient at the start of a step, where the pixels that move have been chosen
    for it to be small. This one takes the mean of both ends, with one gradient more in all: `delta` is
    several times smaller. Nor does it look at the baseline itself, where every ReLU may be dead, and where
    all values of a constant image tie for a maximum, so that rounding would choose the path. It takes the
    gradient a tenth of a step from there on the straight line instead.

    Args:
        model: A built Keras model.
        steps: Steps of the path.
        fraction: Fraction of the pixels that move together, in (0, 1]; with 1 the path is the straight line.
        max_distance: How far a pixel may be ahead of the straight line or behind it, as a fraction of its
            way, in [0, 1]; 0 keeps to the line and 1 allows every path.
        baseline: Where the path starts: a number, an array shaped like one sample, or a structure of these
            for a model with several inputs. A `baseline` in the call takes its place.
        **options: `layer`, `output`, `score`, `embeddings`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If `steps` is not a whole number from 1, or `fraction` or `max_distance` lies outside its
            range; in the call, if the baseline is not finite or its shape does not fit.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> found = GuidedIntegratedGradients(model)(np.ones((5, 4)), target=2)
        >>> bool(np.abs(found.delta).max() < 1e-5)
        True
    """

    takes_gradients = True
    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int = 200,
        fraction: float = 0.25,
        max_distance: float = 0.02,
        baseline: GivenBaseline = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.steps = checked_number(steps, "steps", least=1, whole=True)
        self.fraction = checked_number(fraction, "fraction", least=0)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"`fraction` must lie in (0, 1]. Received: {fraction!r}.")
        self.max_distance = checked_number(max_distance, "max_distance", least=0)
        if self.max_distance > 1:
            raise ValueError(f"`max_distance` must lie in [0, 1]. Received: {max_distance!r}.")
        self.baseline = baseline

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        target, scores, _ = aimed(self.network, x, target)
        lines = StraightLines.to(x, [self.baseline], baseline)
        start = _flat(tf.nest.map_structure(lambda starts: starts[0], lines.starts))
        differences = _flat(x) - start
        distances = tf.abs(differences)
        shares = tf.math.divide_no_nan(distances, tf.reduce_sum(distances, axis=1, keepdims=True))

        def unfinished(step: Tensor, *_: Tensor) -> Tensor:
            return step <= self.steps

        def advance(step: Tensor, before: Tensor, alphas: Tensor, sums: Tensor) -> tuple[Any, ...]:
            seen = tf.where(step == 0, 0.1 / self.steps, alphas)
            points = _shaped(start + seen * differences, x)
            gradients = _flat(self.network.gradients(points, target)[0])
            goal = tf.minimum(tf.cast(step + 1, tf.float32) / self.steps, 1.0)
            after = self._moved(alphas, tf.abs(gradients), shares, goal)
            return step + 1, alphas, after, sums + gradients * (after - before)

        zeros = tf.zeros_like(differences)
        loop = (tf.constant(0), zeros, zeros, zeros)
        *_, sums = tf.while_loop(unfinished, advance, loop, parallel_iterations=1)
        # A gradient belongs to half of the step before it and half of the one after.
        attributions = _shaped(0.5 * sums * differences, x)
        starts = lines.mean_score(self.network, target, room=self.batch_size)
        return Attribution(attributions, scores, _sum(attributions) - (scores - starts))

    def _moved(self, alphas: Tensor, slopes: Tensor, shares: Tensor, goal: Tensor) -> Tensor:
        """Moves pixels on until their mean place, weighted by `shares`, is at the goal.

        Args:
            alphas: How far each pixel has come, from 0 at the baseline to 1 at the input, `(batch, pixels)`.
            slopes: |∂S/∂z| of each.
            shares: The share of each in the distance from baseline to input.
            goal: Where the straight line is after this step.
        """
        last = tf.minimum(goal + self.max_distance, 1.0)
        gaps = last - tf.maximum(alphas, goal - self.max_distance)
        room = shares * gaps
        waiting = tf.where(room > 0, slopes, np.inf)
        missing = goal - last + tf.reduce_sum(room, axis=1)
        rank = _rank(self.fraction, tf.shape(slopes)[1])

        def unfinished(_: Tensor, __: Tensor, missing: Tensor) -> Tensor:
            return tf.reduce_any(missing > 0)

        def move(gaps: Tensor, waiting: Tensor, missing: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            steepest = tf.minimum(self._order_statistic(waiting, rank), tf.float32.max)
            chosen = waiting <= tf.where(missing > 0, steepest, -1.0)[:, None]
            reach = tf.reduce_sum(tf.where(chosen, room, 0.0), axis=1)
            part = tf.minimum(tf.math.divide_no_nan(missing, reach), 1.0)
            gaps = tf.where(chosen, (1.0 - part)[:, None] * gaps, gaps)
            # Rounding may leave something missing when nothing is left to move.
            missing = tf.where(reach > 0, tf.nn.relu(missing - reach), 0.0)
            return gaps, tf.where(chosen, np.inf, waiting), missing

        loop = (gaps, waiting, missing)
        return last - tf.while_loop(unfinished, move, loop, parallel_iterations=1)[0]

    def _order_statistic(self, values: Tensor, rank: Tensor) -> Tensor:
        """Returns the value of a rank, from 0, in each row."""
        if self.jit_compile:  # XLA sorts, and knows no selection
            return tf.gather(tf.sort(values, axis=1), rank, axis=1)
        return tf.raw_ops.NthElement(input=values, n=rank)


@dataclass(frozen=True)
class StraightLines:
    """The straight lines from baselines to a batch of inputs.

    Attributes:
        x: Inputs `(batch, ...)`, or a structure of them.
        starts: The baselines `(count, batch, ...)`, or `(count, 1, ...)` where the samples share them.
    """

    x: Any
    starts: Any

    @classmethod
    def to(cls, x: Any, baselines: Sequence[GivenBaseline], given: Any) -> StraightLines:
        """Returns the lines to `x` from the baselines, or from the tensors of a call's own baseline."""
        if given is not None:
            return cls(x, tf.nest.map_structure(lambda start: start[None], given))
        sample = tf.nest.map_structure(
            lambda tensor: np.zeros([1, *(size or 1 for size in tensor.shape[1:])]), x
        )
        fitting = [checked_baseline(baseline, sample) for baseline in baselines]
        return cls(
            x,
            tf.nest.map_structure(
                lambda tensor, *starts: tf.broadcast_to(
                    tf.stack(starts),
                    tf.concat([[len(starts), 1], tf.shape(tensor)[1:]], axis=0),
                ),
                x,
                *fitting,
            ),
        )

    @property
    def count(self) -> int:
        """Number of baselines."""
        return int(tf.nest.flatten(self.starts)[0].shape[0])

    @property
    def batch(self) -> Tensor:
        """Number of samples."""
        return tf.shape(tf.nest.flatten(self.x)[0])[0]

    def differences(self, line: Tensor) -> Any:
        """Returns the inputs less the baselines of a line, in the structure of the inputs."""
        return tf.nest.map_structure(lambda x, starts: x - starts[line], self.x, self.starts)

    def points(self, positions: Tensor, steps: int) -> Any:
        """Returns the points `(times * batch, ...)` at positions `(times,)`.

        Each line has `steps` of them, and one line comes after the other.
        """
        alphas = _midpoints(positions % steps, steps)

        def between(x: Tensor, starts: Tensor) -> Tensor:
            start = tf.gather(starts, positions // steps)
            return folded(start + tf.reshape(alphas, [-1] + [1] * x.shape.rank) * (x - start))

        return tf.nest.map_structure(between, self.x, self.starts)

    def mean_score(self, network: Network, target: Target, *, room: int) -> Tensor:
        """Returns the mean score of each sample's baselines, `(batch,)`."""
        rows = tf.shape(tf.nest.flatten(self.starts)[0])[1]

        def scores(positions: Tensor, weights: Tensor) -> Tensor:
            times = tf.size(positions)
            starts = tf.nest.map_structure(
                lambda tensor: folded(tf.gather(tensor, positions)), self.starts
            )
            logits = unfolded(network.forward(starts).logits, times)
            shape = tf.concat([[times, self.batch], tf.shape(logits)[2:]], axis=0)
            logits = tf.ensure_shape(
                tf.broadcast_to(logits, shape), (None, None, *logits.shape[2:])
            )
            return weighted(target_scores(folded(logits), repeated(target, times)), weights)

        total = summed(scores, self.count, tf.zeros(self.batch), batch=rows, room=room)
        return total / self.count


def aimed(network: Network, x: Any, target: Target) -> tuple[Target, Tensor, Tensor]:
    """Returns the target, with the classes predicted at `x` where none are given, scores and logits there."""
    logits = network.forward(x).logits
    target = held_target(logits, target)
    return target, target_scores(logits, target), logits


def _midpoints(steps: Tensor, count: int) -> Tensor:
    return (tf.cast(steps, tf.float32) + 0.5) / count


def _rank(fraction: float, count: Tensor) -> Tensor:
    """The rank, from 0, of the largest value among a fraction of `count`, rounded down."""
    return tf.cast(tf.constant(fraction, tf.float64) * tf.cast(count - 1, tf.float64), tf.int32)


def _distances(found: Sequence[Tensor], aims: Sequence[Tensor]) -> list[Tensor]:
    return [
        tf.math.divide_no_nan(tf.norm(rows - aim, axis=1), tf.norm(aim, axis=1))
        for rows, aim in zip(found, aims, strict=True)
    ]


def _sum(structure: Any) -> Tensor:
    """Sums the values of each sample, `(batch,)`."""
    return tf.reduce_sum(_flat(structure), axis=1)


def _flat(structure: Any) -> Tensor:
    """Brings a tensor, or a structure of them, to one row for each sample."""
    leaves = tf.nest.flatten(structure)
    return tf.concat([tf.reshape(leaf, (tf.shape(leaf)[0], -1)) for leaf in leaves], axis=1)


def _shaped(rows: Tensor, like: Any) -> Any:
    """The inverse of `_flat`."""
    leaves = tf.nest.flatten(like)
    sizes = [tf.reduce_prod(tf.shape(leaf)[1:]) for leaf in leaves]
    parts = tf.split(rows, sizes, axis=1)
    shaped = [
        tf.ensure_shape(tf.reshape(part, tf.shape(leaf)), leaf.shape)
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return tf.nest.pack_sequence_as(like, shaped)
