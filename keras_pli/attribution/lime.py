"""Local linear surrogates over superpixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import Ridge

from ..checks import checked_number
from ..network.forward import Target
from ..network.runner import batch_spec
from ..network.targets import Region, Spot, held_target, target_kind, target_spec
from ..optional import imported
from .attribution import Attribution
from .method import Method
from .perturbation import (
    channel_means,
    check_mean,
    checked_fill,
    fill_like,
    only_input,
    over_channels,
    scores_in_rounds,
    scores_of,
    spatial_sizes,
)

Tensor = Any


class LIME(Method):
    """The weights of a linear model that imitates the score while segments are hidden (Ribeiro et al. 2016).

    The input is cut into segments. In each of `samples` draws every segment is shown or hidden by a coin, but
    for the first draw, which shows all. A ridge regression of the scores on which segments were shown, each
    draw weighted by √exp(−D²/σ²) with D its cosine distance to showing all (the paper's equation 2, with the
    kernel and the penalty 1 of the authors' code), gives one weight for each segment. That weight is the
    value at each position and channel of the segment.

    The draws depend on the seed alone, so that no sample's result depends on the others. A model with several
    inputs is not supported, and LIME cannot be exported, since its regressions leave the graph.

    Args:
        model: A built Keras model.
        segments: How many segments to aim for: superpixels, supervoxels or stretches that SLIC grows (Achanta
            et al. 2012; needs scikit-image). Or a label map, integers of shape `(*sizes)`, for all samples,
            such as an atlas of the brain; or a function from a sample `(*sizes, channels)` to its label map.
            Vectors `(samples, features)`, whose features have no neighbours, need one of the latter.
        samples: Draws, and so passes through the model, for each sample.
        kernel_width: The kernel's σ.
        fill: What hidden segments show: `"mean"` for the mean of the segment in each channel, a number, or an
            array that broadcasts to one sample, such as the mean of the training data. A `baseline` in the
            call takes its place. A segment of a single position is its own mean, which would hide nothing:
            it shows the mean of the sample's channel, and single features of a vector need another `fill`.
        seed: Seed of the draws.
        **options: `layer`, `output`, `score`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If a number is not in its range, `fill` is not finite, or a label map is not of integers
            or not of the shape of the positions; in the call, if single features or ids are to be hidden by
            their mean, or the model takes its input channels first.
        ImportError: In the call, if SLIC is asked for and scikit-image cannot be imported.

    Returns:
        The call returns an `Attribution` with the details `r2`, the surrogate's weighted R² for each sample,
        and `segments`, the label maps `(samples, *sizes)`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> found = LIME(model, segments=4, samples=50)(np.random.rand(5, 8, 8, 1), target=2)
        >>> found.attributions.shape, found.details["r2"].shape
        ((5, 8, 8, 1), (5,))
    """

    takes_baseline = True
    same_over_channels = True
    in_graph = False

    def __init__(
        self,
        model: keras.Model,
        *,
        segments: int | ArrayLike | Callable[[NDArray[np.float32]], ArrayLike] = 50,
        samples: int = 1000,
        kernel_width: float = 0.25,
        fill: ArrayLike | Literal["mean"] = "mean",
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        if not callable(segments):
            given = np.ndim(segments) > 0
            segments = (
                label_map(segments)
                if given
                else checked_number(segments, "segments", least=1, whole=True)
            )
        self.segments = segments
        self.samples = checked_number(samples, "samples", least=2, whole=True)
        self.kernel_width = checked_number(kernel_width, "kernel_width", least=1e-6)
        self.fill = checked_fill(fill)
        self.seed = checked_number(seed, "seed", least=0, whole=True)

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Raises an error, since there is no graph function to trace or export."""
        raise NotImplementedError("LIME fits its surrogates outside the graph. Call it on arrays.")

    def _on_arrays(
        self,
        x: Any,
        classes: Any,
        baseline: Any,
        region: Any,
        score: Callable[[Tensor], Tensor] | None,
    ) -> Callable[..., Attribution]:
        kind: Any = score or target_kind(classes)
        return partial(self._surrogates, self._scorer(x, kind, baseline is not None))

    def _surrogates(self, scorer: Any, x: Any, *others: Any) -> Attribution:
        """Explains a batch of arrays, given what `_scorer` returned."""
        inputs = only_input(x, "LIME")
        if inputs.ndim < 2:
            raise ValueError(
                "LIME cuts samples into segments, and these are single numbers, of shape "
                f"{inputs.shape}. Occlusion hides a number as a whole."
            )
        segments = np.stack([self._segmented(sample) for sample in inputs])
        self._check_hidden(inputs, segments, others)
        counts = segments.reshape(len(inputs), -1).max(axis=1) + 1
        # A power of two, so that XLA compiles for few different widths.
        draws = self._draws(width=1 << int(counts.max() - 1).bit_length())
        given = [part for part in others if part is not None]
        scores = scorer(*tf.nest.map_structure(tf.constant, (x, segments, draws, *given))).numpy()
        fits = [
            fit_surrogate(draws[:, :count], found, self.kernel_width)
            for count, found in zip(counts, scores.T, strict=True)
        ]
        weights = np.stack([fit[0][labels] for fit, labels in zip(fits, segments, strict=True)])
        attributions = np.array(np.broadcast_to(over_channels(weights, inputs), inputs.shape))
        r2 = np.array([fit[1] for fit in fits], np.float32)
        return Attribution(
            tf.nest.pack_sequence_as(x, [attributions]),
            scores[0],
            details={"r2": r2, "segments": segments},
        )

    def _check_hidden(
        self, inputs: NDArray[Any], segments: NDArray[np.int32], given: tuple[Any, ...]
    ) -> None:
        """Raises a `ValueError` if the mean would hide nothing: that of a feature alone is its value."""
        baseline = given[-1] if given else None
        others = (
            inputs.ndim > 2 and np.prod(inputs.shape[1:-1]) > 1
        )  # by whose mean it can be hidden
        if baseline is not None or not isinstance(self.fill, str) or others:
            return
        single = [1 in np.bincount(labels) for labels in segments.reshape(len(inputs), -1)]
        if any(single):
            raise ValueError(
                "fill='mean' hides nothing of a segment that is a single feature, and its attribution "
                "would be 0. Pass what stands for no information as `fill`: the mean of the training data, "
                "`fill=x_train.mean(axis=0)`, or for ids that of a mask token or of padding."
            )

    def _segmented(self, sample: NDArray[np.float32]) -> NDArray[np.int32]:
        """The label map of one sample, labels 0, 1, …"""
        sizes = spatial_sizes(sample[None])
        if isinstance(self.segments, int):
            labels = superpixels(sample, self.segments)
        else:
            given = self.segments(sample) if callable(self.segments) else self.segments
            labels = label_map(given, sizes)
        return np.unique(labels, return_inverse=True)[1].reshape(sizes).astype(np.int32)

    def _draws(self, width: int) -> NDArray[np.bool_]:
        """Which segments each draw shows, `(samples, width)`; a column is the same at any width."""
        random = np.random.default_rng(self.seed)
        draws = (random.random((width, self.samples)) < 0.5).T
        draws[0] = True
        return draws

    def _scorer(self, x: Any, kind: Any, with_baseline: bool) -> Any:
        """A compiled function from `(x, segments, draws, …)` to the score of each draw, `(draws, batch)`."""

        given = kind == "given" or isinstance(kind, Region | Spot)

        def function(x: Any, segments: Tensor, draws: Tensor, *others: Any) -> Tensor:
            waiting = list(others)
            target = waiting.pop(0) if given else kind if callable(kind) else None
            with self._as_numbers(x) as numbers:
                return self._scores(numbers, segments, draws, target, *waiting)

        inputs = only_input(x, "LIME")
        signature = [
            batch_spec(x),
            tf.TensorSpec((None, *spatial_sizes(inputs)), tf.int32),
            tf.TensorSpec((self.samples, None), tf.bool),
        ]
        if given:
            signature.append(target_spec(kind))
        if with_baseline:
            signature.append(batch_spec(x))
        return self.runner.traced(function, signature, ("scores", "given" if given else kind))

    def _scores(
        self, x: Any, segments: Tensor, draws: Tensor, target: Target, baseline: Any = None
    ) -> Tensor:
        inputs = only_input(x, "LIME")
        hidden = self._hidden(inputs, segments, tf.shape(draws)[1], baseline)
        if target is None or isinstance(target, Region | Spot):
            target = held_target(self.network.forward(x).logits, target)

        def scores(numbers: Tensor) -> Tensor:
            shown = tf.gather(tf.gather(draws, numbers), segments, axis=1)
            perturbed = tf.where(over_channels(shown, inputs), inputs, hidden)
            return scores_of(self.network, x, perturbed, target)

        batch = tf.shape(inputs)[0]
        return scores_in_rounds(scores, self.samples, batch=batch, room=self.batch_size)

    def _hidden(self, inputs: Tensor, segments: Tensor, width: Tensor, baseline: Any) -> Tensor:
        """What hidden segments show, to broadcast to the inputs."""
        if baseline is not None:
            return tf.cast(only_input(baseline, "LIME"), inputs.dtype)
        if isinstance(self.fill, str):
            check_mean(inputs)
            return segment_means(inputs, segments, width)
        return fill_like(self.fill, inputs)


def superpixels(sample: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """Cuts a sample into about as many segments as wanted, by SLIC with the compactness it adapts itself.

    Args:
        sample: `(*sizes, channels)`, with one to three axes of positions.
        wanted: How many segments to aim for.

    Returns:
        The label of each position, `(*sizes)`.

    Raises:
        ValueError: If the sample is a vector.
        ImportError: If scikit-image cannot be imported.
    """
    if sample.ndim < 2:
        raise ValueError(
            "There are no superpixels in a vector. Pass a label map as `segments`, such as "
            f"`np.arange({sample.size})`, which makes each feature a segment, and as `fill` what hidden ones "
            "show, such as the mean of the training data, `x_train.mean(axis=0)`."
        )
    slic = imported(
        "skimage.segmentation", "Finding segments", otherwise="pass label maps as `segments`"
    ).slic
    *sizes, channels = sample.shape
    across = [1] if len(sizes) == 1 else []  # SLIC takes two or three axes
    labels = slic(
        sample.reshape(*sizes, *across, channels),
        n_segments=wanted,
        compactness=0.1,
        slic_zero=True,
        convert2lab=False,
        start_label=0,
        channel_axis=-1,
    )
    return np.asarray(labels).reshape(sizes)


def label_map(labels: ArrayLike, sizes: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Returns labels as an array.

    Raises:
        ValueError: If they are not integers, or not of the shape `sizes`.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iub":
        raise ValueError(f"`segments` must be integer labels. Received dtype {array.dtype}.")
    if sizes is not None and array.shape != sizes:
        raise ValueError(
            f"`segments` must label each position of a sample, shape {sizes}. "
            f"Received shape {array.shape}."
        )
    return array


def segment_means(samples: Tensor, segments: Tensor, width: Tensor) -> Tensor:
    """Returns each sample with its segments painted in their mean, channel by channel.

    A segment of a single position is painted in the mean of the whole channel, if there are channels: its
    own mean would leave it as it is.

    Args:
        samples: `(batch, *sizes, channels)`, or `(batch, features)`.
        segments: int32 labels `(batch, *sizes)`.
        width: More than the largest label.
    """
    batch = tf.shape(samples)[0]
    channels = samples.shape[-1] if samples.shape.rank > 2 else 1
    owned = tf.range(batch)[:, None] * width + tf.reshape(segments, (batch, -1))
    owned = tf.reshape(owned, (-1,))
    values = tf.reshape(samples, (-1, channels))
    means = tf.math.unsorted_segment_mean(values, owned, batch * width)
    painted = tf.reshape(tf.gather(means, owned), tf.shape(samples))
    if samples.shape.rank == 2:
        return painted
    sizes = tf.math.unsorted_segment_sum(tf.ones_like(owned), owned, batch * width)
    single = tf.reshape(tf.gather(sizes, owned) == 1, tf.shape(segments))
    return tf.where(over_channels(single, samples), channel_means(samples), painted)


def fit_surrogate(
    draws: NDArray[np.bool_], scores: NDArray[np.float32], kernel_width: float
) -> tuple[NDArray[np.float32], float]:
    """Fits the weighted ridge regression of LIME.

    Args:
        draws: Which segments each draw shows, `(draws, segments)`.
        scores: The score of each draw, `(draws,)`.
        kernel_width: The kernel's σ.

    Returns:
        The weight of each segment, `(segments,)`, and the weighted R².

    Example:
        >>> draws = np.array([[True, True], [True, False], [False, True], [False, False]])
        >>> weights, r2 = fit_surrogate(draws, draws @ np.float32([4, 2]), kernel_width=100.0)
        >>> weights.round(1).tolist(), round(r2, 2)
        ([2.0, 1.0], 0.75)
    """
    # The cosine between a draw of ones and zeros and all ones is the root of its share of ones.
    distances = 1.0 - np.sqrt(draws.mean(axis=1))
    weights = np.sqrt(np.exp(-((distances / kernel_width) ** 2)))
    features = draws.astype(np.float64)
    surrogate = Ridge(alpha=1.0).fit(features, scores, sample_weight=weights)
    fidelity = surrogate.score(features, scores, sample_weight=weights)
    return surrogate.coef_.astype(np.float32), float(fidelity)
