"""What the default embedder is made of: a fixed projection on principal components, and an MLP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ..checks import check_options
from .components import leading_components, mean_and_variance
from .points import Rows, chunks, spread_rows

# A component may spread this many times the distance between near points before it is drawn together.
# Digits, Fashion-MNIST pixels and layers of classifiers have at most 1, a plane of two features 2, and two
# halves of the digits that lie 1e4 apart 1,000.
WIDEST = 5.0
# In standard deviations, where values begin to be squashed. Components of ordinary data end at 5, where they
# are changed by 0.02 percent; single features have longer tails.
LIMIT = 10.0
FEATURE_LIMIT = 20.0
LOCAL_SAMPLE = 1000  # rows among which near points are looked for
LOCAL_SHARE = 0.05  # of those rows, how many are near a point


@keras.saving.register_keras_serializable(package="keras_pli")
class PrincipalProjection(keras.layers.Layer):
    """Projects activations on their leading principal components and brings them to one common scale.

    A t-SNE depends on distances only. The projection keeps them, apart from what the trailing components
    hold, while the network behind it meets inputs of moderate size whose first ones matter most.

    Of data with far groups or rows it keeps less, so that the structure within a group stays visible: a
    component that spreads much wider than near points lie apart is drawn together, and values far beyond a
    component's spread are squashed, x → x (asinh(x⁴) / x⁴)^¼ in units of the limit. Ordinary data are left
    as they are.

    Args:
        count: Number of components to keep, fewer where the data have fewer features; None keeps the
            features as they are and only centres and scales them.

    Input shape:
        `(samples, ...)`; further axes are flattened.

    Output shape:
        `(samples, min(count, features))`, centred, with a mean variance of 1.

    Example:
        >>> import numpy as np
        >>> layer = PrincipalProjection(2)
        >>> z = np.random.default_rng(0).normal(size=(100, 5)).astype("float32")
        >>> layer.adapt(z)
        >>> tuple(layer(z).shape)
        (100, 2)
    """

    def __init__(self, count: int | None = 64, **kwargs: Any) -> None:
        check_options(type(self), kwargs)
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.count = count

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights: as a start the first features as they are."""
        features = _features(input_shape)
        self.center = self.add_weight(shape=(features,), initializer="zeros", name="center")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        kept = features
        if self.count is not None:
            kept = min(self.count, features)
            self.axes = self.add_weight(shape=(features, kept), initializer="identity", name="axes")
        # What float32 rounded off the centre.
        self.remainder = self.add_weight(shape=(features,), initializer="zeros", name="remainder")
        self.limit = self.add_weight(
            shape=(kept,), initializer=keras.initializers.Constant(math.inf), name="limit"
        )

    def adapt(self, z: NDArray[Any], *, seed: int | None = None) -> None:
        """Sets the weights from finite data of shape `(samples, ...)`, memory-mapped or not."""
        if not self.built:
            self.build(z.shape)
        if self.count is None:
            mean, variance = mean_and_variance(z)
            deviation, limit = np.sqrt(variance), FEATURE_LIMIT
        else:
            found = leading_components(z, self.axes.shape[1], seed=seed)
            mean = found.mean
            some = z[spread_rows(z, LOCAL_SAMPLE)]
            widest = WIDEST * _local_distance(found.transform(some))
            deviation, limit = np.minimum(np.sqrt(found.variance), widest), LIMIT
            drawn = deviation / np.maximum(np.sqrt(found.variance), np.finfo(float).tiny)
            axes = np.zeros(self.axes.shape, dtype=np.float32)
            axes[:, : len(drawn)] = found.axes * drawn
            self.axes.assign(axes)
        scale = float(np.sqrt(np.mean(np.square(deviation))))
        # Constant data have no scale of their own.
        scale = scale if scale > np.finfo(np.float32).tiny else 1.0
        self.scale.assign(scale)
        self.center.assign(mean.astype(np.float32))
        self.remainder.assign((mean - mean.astype(np.float32)).astype(np.float32))
        limits = np.full(self.limit.shape, limit, dtype=np.float32)
        limits[: len(deviation)] *= np.maximum(deviation / scale, 1.0)
        self.limit.assign(limits)

    def call(self, z: Any) -> Any:
        """Projects a batch."""
        flat = ops.reshape(ops.cast(z, "float32"), (-1, self.center.shape[0]))
        centred = (flat - self.center - self.remainder) / self.scale
        projected = centred if self.count is None else ops.matmul(centred, self.axes)
        return _squashed(projected, self.limit, ops)

    def on_host(self, z: NDArray[Any]) -> NDArray[np.float32]:
        """Projects an array of any length without placing it on a device, some rows at a time.

        Equal to a call on the array, but centred in float64: data far from the origin keep the digits that
        float32 would round off.

        Args:
            z: Points of shape `(samples, ...)` and any real type, memory-mapped or not.

        Returns:
            float32 array of shape `(samples, min(count, features))`.

        Example:
            >>> import numpy as np
            >>> layer = PrincipalProjection(2)
            >>> z = 1e9 + np.random.default_rng(0).normal(size=(100, 5))
            >>> layer.adapt(z)
            >>> bool(abs(layer.on_host(z)).max() < 5)
            True
        """
        names = ["center", "remainder", "scale", "limit"]
        center, remainder, scale, limit = (_float64(getattr(self, name)) for name in names)
        axes = None if self.count is None else _float64(self.axes)
        found = np.empty((len(z), len(limit)), dtype=np.float32)
        for part, rows in chunks(z):
            centred = (rows - center - remainder) / scale
            projected = centred if axes is None else centred @ axes
            found[part] = _squashed(projected, limit, np)
        return found

    def load_own_variables(self, store: Any) -> None:
        """Takes what was stored; files of earlier versions hold neither remainder nor limit."""
        names = sorted(store.keys(), key=int)
        if len(names) == len(self.weights) - 2:
            for weight, name in zip(self.weights, names, strict=False):
                weight.assign(store[name])
        else:
            super().load_own_variables(store)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """The shape of a projected batch."""
        features = _features(input_shape)
        return (input_shape[0], features if self.count is None else min(self.count, features))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"count": self.count, "name": self.name}


def default_network(
    components: int,
    *,
    hidden_units: Sequence[int],
    activation: Any,
    seed: int | None,
) -> keras.Sequential:
    """Returns an MLP from projected activations to a map; `seed` decides its initial weights."""
    # Near 0, GELU halves what it is given: without the factor 2 of He et al. (2015) little passes six layers.
    gain = 2.0 if activation is keras.activations.gelu else 1.0
    layers = []
    for i, width in enumerate([*hidden_units, components]):
        hidden = i < len(hidden_units)
        start = keras.initializers.VarianceScaling(
            gain if hidden else 1.0,
            mode="fan_avg",
            distribution="uniform",
            seed=None if seed is None else seed + i,
        )
        layers.append(
            keras.layers.Dense(
                width,
                activation=activation if hidden else None,
                kernel_initializer=start,
                dtype="float32",
            )
        )
    return keras.Sequential(layers)


def _features(input_shape: tuple[int | None, ...]) -> int:
    return math.prod(size or 1 for size in input_shape[1:])


def _local_distance(scores: NDArray[np.float32]) -> float:
    """The median distance of rows from those near them; infinite where it says nothing."""
    near = max(1, int(LOCAL_SHARE * len(scores)))
    if len(scores) < 2:
        return math.inf
    distances = np.partition(cdist(scores, scores), near, axis=1)[:, near]
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else math.inf


def _squashed(values: Any, limit: Any, lib: Any) -> Any:
    """Grows like x up to about half the limit, and beyond the limit hardly any more.

    Args:
        values: Numbers of shape `(batch, components)`.
        limit: Limit for each component; infinity leaves its values as they are.
        lib: NumPy or `keras.ops`.
    """
    far = 1e4 * limit  # what single precision still raises to the eighth power
    values = lib.minimum(lib.maximum(values, -far), far)
    power = lib.square(lib.square(values / limit))
    # Below, the factor is 1 within rounding, and its gradient would be 0 / 0.
    bent = lib.maximum(power, 1e-3)
    factor = lib.sqrt(lib.sqrt(lib.arcsinh(bent) / bent))
    return values * lib.where(power > 1e-3, factor, 1.0)


def _float64(weight: Any) -> Rows:
    return ops.convert_to_numpy(weight).astype(np.float64)
