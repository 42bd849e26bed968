"""What the default embedder is made of: a fixed projection on principal components, and an MLP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from ..checks import check_options


def leading_components(z: NDArray[np.float32], count: int, *, seed: int | None = None) -> PCA:
    """Fits a PCA with `count` components, or as many as there can be; randomised where that is faster."""
    # Given None, scikit-learn would draw from NumPy's global generator.
    drawn = int(np.random.default_rng(seed).integers(2**31))
    with np.errstate(invalid="ignore"):  # constant data have no variance to explain
        flat = z.reshape(len(z), -1)
        return PCA(min(count, *flat.shape), random_state=drawn).fit(flat)


@keras.saving.register_keras_serializable(package="keras_pli")
class PrincipalProjection(keras.layers.Layer):
    """Projects activations on their leading principal components and brings them to one common scale.

    A t-SNE depends on distances only. The projection keeps them, apart from what the trailing components
    hold, while the network behind it meets inputs of moderate size whose first ones matter most.

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
        if self.count is not None:
            kept = min(self.count, features)
            self.axes = self.add_weight(shape=(features, kept), initializer="identity", name="axes")

    def adapt(self, z: NDArray[np.float32], *, seed: int | None = None) -> None:
        """Sets the weights from data of shape `(samples, ...)`."""
        if not self.built:
            self.build(z.shape)
        flat = z.reshape(len(z), -1)
        variance = flat.var(axis=0)
        if self.count is None:
            self.center.assign(flat.mean(axis=0))
        else:
            kept = min(self.axes.shape[1], len(z))
            found = leading_components(flat, kept, seed=seed)
            variance = found.explained_variance_
            axes = np.zeros(self.axes.shape, dtype=np.float32)
            axes[:, :kept] = found.components_.T
            self.center.assign(found.mean_)
            self.axes.assign(axes)
        # Constant data have no scale of their own.
        self.scale.assign(np.sqrt(variance.mean()) if variance.any() else 1.0)

    def call(self, z: Any) -> Any:
        """Projects a batch."""
        flat = ops.reshape(ops.cast(z, "float32"), (-1, self.center.shape[0]))
        centred = (flat - self.center) / self.scale
        return centred if self.count is None else ops.matmul(centred, self.axes)

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
    layers = []
    for i, width in enumerate([*hidden_units, components]):
        start = keras.initializers.GlorotUniform(seed=None if seed is None else seed + i)
        hidden = i < len(hidden_units)
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
