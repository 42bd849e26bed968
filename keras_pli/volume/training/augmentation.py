"""Keras layers that change volumes at random in training, each sample of a batch in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ...checks import checked_number

_CORNERS = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]


class _RandomVolumeLayer(keras.layers.Layer):
    """What the layers share: (samples, X, Y, Z, channels), a seed, nothing done unless in training."""

    def __init__(self, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(seed)
        self.seed = self.generator.get_config()["seed"]  # one drawn by Keras, if None
        self.supports_jit = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the volumes changed if `training`, and otherwise as they are."""
        if len(inputs.shape) != 5:
            raise ValueError(
                f"{type(self).__name__} takes volumes (samples, X, Y, Z, channels). "
                f"Received shape {tuple(inputs.shape)}."
            )
        if not training:
            return inputs
        # Places and weights need more digits than float16 has.
        return ops.cast(self.changed(ops.cast(inputs, "float32")), inputs.dtype)

    def changed(self, volumes: Any) -> Any:
        raise NotImplementedError

    def drawn(self, volumes: Any, shape: Sequence[int], least: float, most: float) -> Any:
        """Uniform numbers of a shape for each sample."""
        samples = ops.shape(volumes)[0]
        return keras.random.uniform((samples, *shape), least, most, seed=self.generator)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_pli")
class RandomVolumeAffine(_RandomVolumeLayer):
    """Turns, zooms and shifts volumes about their middle at random, in one trilinear resampling.

    A voxel p of the result is the input at m + Rᵀ(p − m) / zoom − shift, with m the volume's middle and R
    the product of turns about the third, second and first axis. All numbers are drawn uniformly, anew for
    each sample. Voxels are taken as cubes.

    Args:
        degrees: The largest angle about each of the axes X, Y and Z, or one for all three.
        factor: The zoom lies in [1 − `factor`, 1 + `factor`], the same along all axes; above 1 things become
            larger.
        shift: The largest shift along each axis, in voxels.
        rate: The share of samples that are changed. Resampling blurs a little, and a network that sees only
            blurred volumes in training meets sharper ones afterwards.
        fill: What comes in from outside: 0, as behind a stripped brain.
        seed: Seed of everything random.

    Raises:
        ValueError: If a bound is negative, `factor` is 1 or more, or `rate` is no share.

    Example:
        >>> layer = RandomVolumeAffine(degrees=10, factor=0.1, seed=0)
        >>> x = np.ones((2, 8, 8, 8, 1), "float32")
        >>> bool(np.all(layer(x) == x)), layer(x, training=True).shape
        (True, TensorShape([2, 8, 8, 8, 1]))
    """

    def __init__(
        self,
        *,
        degrees: float | Sequence[float] = 0.0,
        factor: float = 0.0,
        shift: float = 0.0,
        rate: float = 1.0,
        fill: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        angles = [degrees] * 3 if isinstance(degrees, int | float) else list(degrees)
        if len(angles) != 3:
            raise ValueError(f"`degrees` must be one angle or three. Received: {degrees!r}.")
        self.degrees = [checked_number(angle, "degrees", least=0) for angle in angles]
        self.factor = checked_number(factor, "factor", least=0, below=1)
        self.shift = checked_number(shift, "shift", least=0)
        self.rate = checked_number(rate, "rate", least=0, below=np.nextafter(1, 2))
        self.fill = checked_number(fill, "fill")

    def changed(self, volumes: Any) -> Any:
        """Returns the volumes resampled."""
        bounds = ops.convert_to_tensor(np.deg2rad(self.degrees), "float32")
        angles = bounds * self.drawn(volumes, (3,), -1.0, 1.0)
        zoom = self.drawn(volumes, (1, 1), 1 - self.factor, 1 + self.factor)
        shift = self.drawn(volumes, (3,), -self.shift, self.shift)
        matrices = ops.transpose(_rotations(angles), (0, 2, 1)) / zoom
        if self.rate < 1:
            chosen = self.drawn(volumes, (1, 1), 0.0, 1.0) < self.rate
            matrices = ops.where(chosen, matrices, ops.eye(3))
            shift = ops.where(chosen[:, 0], shift, 0.0)
        return resample(volumes, matrices, shift, fill=self.fill)

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer was made with."""
        own = {
            "degrees": self.degrees,
            "factor": self.factor,
            "shift": self.shift,
            "rate": self.rate,
            "fill": self.fill,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_pli")
class RandomVolumeRotation(RandomVolumeAffine):
    """Turns volumes about their middle at random.

    To turn and zoom, use one `RandomVolumeAffine`: each resampling blurs.

    Args:
        degrees: The largest angle about each of the axes X, Y and Z, or one for all three.
        rate: The share of samples that are changed.
        fill: What comes in from outside.
        seed: Seed of everything random.

    Raises:
        ValueError: If an angle is negative.

    Example:
        >>> layer = RandomVolumeRotation(10, seed=0)
        >>> layer(np.ones((2, 8, 8, 8, 1), "float32"), training=True).shape
        TensorShape([2, 8, 8, 8, 1])
    """

    def __init__(
        self,
        degrees: float | Sequence[float] = 10.0,
        *,
        rate: float = 1.0,
        fill: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(degrees=degrees, rate=rate, fill=fill, seed=seed, **kwargs)


@keras.saving.register_keras_serializable(package="keras_pli")
class RandomVolumeZoom(RandomVolumeAffine):
    """Makes what volumes show larger or smaller at random, about their middle.

    Args:
        factor: The zoom lies in [1 − `factor`, 1 + `factor`], the same along all axes.
        rate: The share of samples that are changed.
        fill: What comes in from outside.
        seed: Seed of everything random.

    Raises:
        ValueError: If `factor` lies outside [0, 1).

    Example:
        >>> layer = RandomVolumeZoom(0.1, seed=0)
        >>> layer(np.ones((2, 8, 8, 8, 1), "float32"), training=True).shape
        TensorShape([2, 8, 8, 8, 1])
    """

    def __init__(
        self,
        factor: float = 0.1,
        *,
        rate: float = 1.0,
        fill: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor=factor, rate=rate, fill=fill, seed=seed, **kwargs)


@keras.saving.register_keras_serializable(package="keras_pli")
class RandomVolumeFlip(_RandomVolumeLayer):
    """Mirrors volumes along axes, each with an even chance for each sample.

    Args:
        axes: Spatial axes, 0 to 2. In RAS order 0 exchanges left and right: not where a side means something.
        seed: Seed of everything random.

    Raises:
        ValueError: If there is no such axis.

    Example:
        >>> layer = RandomVolumeFlip((0,), seed=0)
        >>> layer(np.ones((2, 8, 8, 8, 1), "float32"), training=True).shape
        TensorShape([2, 8, 8, 8, 1])
    """

    def __init__(
        self, axes: Sequence[int] = (0,), *, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.axes = [
            checked_number(axis, "axes", least=0, below=3, whole=True)
            for axis in dict.fromkeys(axes)
        ]

    def changed(self, volumes: Any) -> Any:
        """Returns the volumes, some of them mirrored."""
        for axis in self.axes:
            mirrored = self.drawn(volumes, (1, 1, 1, 1), 0.0, 1.0) < 0.5
            volumes = ops.where(mirrored, ops.flip(volumes, axis=axis + 1), volumes)
        return volumes

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer was made with."""
        return {**super().get_config(), "axes": self.axes}


@keras.saving.register_keras_serializable(package="keras_pli")
class RandomVolumeIntensity(_RandomVolumeLayer):
    """Changes contrast and brightness of volumes at random, and adds noise.

    The result is gain · input + offset + noise. Gain and offset are drawn uniformly for each sample, the
    noise is Gaussian in each voxel, of a deviation that is drawn for each sample.

    Args:
        scale: The gain lies in [1 − `scale`, 1 + `scale`].
        shift: The largest offset, either way.
        noise: The largest deviation of the noise.
        keep: Voxels of exactly this value stay as they are, such as the 0 behind a stripped brain; None
            changes all.
        seed: Seed of everything random.

    Raises:
        ValueError: If a bound is negative.

    Example:
        >>> layer = RandomVolumeIntensity(scale=0.1, shift=0.1, noise=0.05, seed=0)
        >>> x = np.zeros((2, 8, 8, 8, 1), "float32")
        >>> bool(np.all(layer(x, training=True) == x))
        True
    """

    def __init__(
        self,
        *,
        scale: float = 0.1,
        shift: float = 0.1,
        noise: float = 0.0,
        keep: float | None = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.scale = checked_number(scale, "scale", least=0)
        self.shift = checked_number(shift, "shift", least=0)
        self.noise = checked_number(noise, "noise", least=0)
        self.keep = None if keep is None else checked_number(keep, "keep")

    def changed(self, volumes: Any) -> Any:
        """Returns the volumes with other intensities."""
        one = (1, 1, 1, 1)
        found = volumes * self.drawn(volumes, one, 1 - self.scale, 1 + self.scale)
        found += self.drawn(volumes, one, -self.shift, self.shift)
        if self.noise:
            deviation = self.drawn(volumes, one, 0.0, self.noise)
            found += deviation * keras.random.normal(ops.shape(volumes), seed=self.generator)
        return found if self.keep is None else ops.where(volumes == self.keep, volumes, found)

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer was made with."""
        own = {"scale": self.scale, "shift": self.shift, "noise": self.noise, "keep": self.keep}
        return {**super().get_config(), **own}


def resample(volumes: Any, matrices: Any, shifts: Any, *, fill: float = 0.0) -> Any:
    """Resamples each volume of a batch trilinearly by its own linear map about the middle.

    Voxel p of the result is the input at m + A(p − m) − shift, m = (size − 1) / 2. Between the outermost
    voxels and what is outside it passes to `fill` linearly (SciPy's `"grid-constant"`).

    Args:
        volumes: Tensor `(samples, X, Y, Z, channels)`, float32.
        matrices: A, `(samples, 3, 3)`.
        shifts: In voxels, `(samples, 3)`.
        fill: The value outside.

    Returns:
        A tensor of the shape of `volumes`, which gradients reach it through.

    Example:
        >>> x = np.arange(27, dtype="float32").reshape(1, 3, 3, 3, 1)
        >>> found = resample(x, np.eye(3, dtype="float32")[None], np.zeros((1, 3), "float32"))
        >>> bool(np.all(found == x))
        True
    """
    samples, *sizes, channels = ops.shape(volumes)
    grid = ops.meshgrid(*(ops.arange(size, dtype="float32") for size in sizes), indexing="ij")
    middle = [(ops.cast(size, "float32") - 1) / 2 for size in sizes]
    centred = ops.stack(
        [ops.reshape(axis - half, (-1,)) for axis, half in zip(grid, middle, strict=True)]
    )
    voxels = ops.shape(centred)[1]
    at = ops.matmul(matrices, centred) - shifts[:, :, None]  # (samples, 3, voxels)
    lower, above = [], []
    for axis, size in enumerate(sizes):
        place = at[:, axis] + middle[axis]
        # Far outside all is alike: this keeps the whole numbers small.
        place = ops.clip(place, -2.0, ops.cast(size, "float32") + 1.0)
        floor = ops.floor(place)
        lower.append(ops.cast(floor, "int32"))
        above.append(place - floor)
    flat = ops.reshape(volumes - fill if fill else volumes, (-1, channels))
    first = ops.arange(samples, dtype="int32")[:, None] * voxels
    found: Any = 0.0
    for corner in _CORNERS:
        index: Any = first
        weight: Any = 1.0
        for axis, (size, step) in enumerate(zip(sizes, corner, strict=True)):
            place = lower[axis] + step
            inside = ops.logical_and(place >= 0, place < size)
            share = above[axis] if step else 1.0 - above[axis]
            weight = weight * ops.where(inside, share, 0.0)
            stride = _product(sizes[axis + 1 :])
            index = index + ops.clip(place, 0, size - 1) * stride
        values = ops.take(flat, ops.reshape(index, (-1,)), axis=0)
        found = found + ops.reshape(weight, (-1, 1)) * values
    found = ops.reshape(found, (samples, *sizes, channels))
    return found + fill if fill else found


def _product(sizes: Sequence[Any]) -> Any:
    found: Any = 1
    for size in sizes:
        found = found * size
    return found


def _rotations(angles: Any) -> Any:
    """Products Rz Ry Rx of turns by angles (samples, 3) in radians, (samples, 3, 3)."""
    (a, b, c), (d, e, f) = (
        ops.unstack(function(angles), axis=1) for function in (ops.cos, ops.sin)
    )
    rows = (
        (c * b, c * e * d - f * a, c * e * a + f * d),
        (f * b, f * e * d + c * a, f * e * a - c * d),
        (-e, b * d, b * a),
    )
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)
