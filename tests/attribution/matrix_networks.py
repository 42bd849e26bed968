"""Networks once in Keras and once as matrices, and the backward rules for these in NumPy and float64.

A network is a chain of linear steps, nonlinearities and maxima. The matrix of a linear step comes from layers
written as loops over positions, one unit vector after another, and never from TensorFlow.
"""

from dataclasses import dataclass

import keras
import numpy as np
from toy_networks import LAYERS, randomized

# Layers as loops over positions, of one sample `(*positions, channels)`.


def padded(x, size, stride, padding):
    if padding == "valid":
        return x
    totals = [
        max((-(-length // s) - 1) * s + k - length, 0)
        for length, k, s in zip(x.shape[:-1], size, stride, strict=True)
    ]
    return np.pad(x, [*((total // 2, total - total // 2) for total in totals), (0, 0)])


def patches(x, size, stride):
    """Yields each window's position with its content."""
    counts = [(length - k) // s + 1 for length, k, s in zip(x.shape, size, stride, strict=False)]
    for place in np.ndindex(*counts):
        corner = [p * s for p, s in zip(place, stride, strict=True)]
        yield place, x[tuple(slice(c, c + k) for c, k in zip(corner, size, strict=True))]


def windowed(x, size, stride, value):
    found = {place: value(patch) for place, patch in patches(x, size, stride)}
    last = max(found)
    out = np.zeros((*(p + 1 for p in last), *np.shape(found[last])))
    for place, values in found.items():
        out[place] = values
    return out


def convolution(layer):
    kernel, bias = (weight.astype(float) for weight in layer.get_weights())
    size, groups = kernel.shape[:-2], layer.groups

    def one(patch):
        parts = np.split(patch, groups, axis=-1)
        kernels = np.split(kernel, groups, axis=-1)
        return np.concatenate(
            [
                np.tensordot(part, weights, axes=part.ndim)
                for part, weights in zip(parts, kernels, strict=True)
            ]
        )

    def run(x):
        return windowed(padded(x, size, layer.strides, layer.padding), size, layer.strides, one)

    return lambda x: run(x) + bias


def transposed_convolution(layer):
    kernel, bias = (weight.astype(float) for weight in layer.get_weights())
    size, stride = kernel.shape[:-2], layer.strides

    def run(x):
        full = [s * (n - 1) + k for n, k, s in zip(x.shape, size, stride, strict=False)]
        out = np.zeros((*full, kernel.shape[-2]))
        for place in np.ndindex(*x.shape[:-1]):
            spread = tuple(
                slice(p * s, p * s + k) for p, s, k in zip(place, stride, size, strict=True)
            )
            out[spread] += np.tensordot(kernel, x[place], axes=(-1, 0))
        if layer.padding == "same":  # what a convolution with this stride would have padded
            lengths = [n * s for n, s in zip(x.shape, stride, strict=False)]
            starts = [max(k - s, 0) // 2 for k, s in zip(size, stride, strict=True)]
            out = out[tuple(slice(a, a + n) for a, n in zip(starts, lengths, strict=True))]
        return out + bias

    return run


def depthwise_convolution(layer):
    kernel, bias = (weight.astype(float) for weight in layer.get_weights())
    size, stride = kernel.shape[:-2], layer.strides[: kernel.ndim - 2]

    def one(patch):
        return (patch[..., None] * kernel).reshape(-1, *kernel.shape[-2:]).sum(0).ravel()

    return lambda x: windowed(padded(x, size, stride, layer.padding), size, stride, one) + bias


def average_pooling(layer):
    size, stride = layer.pool_size, layer.strides
    return lambda x: windowed(
        x, size, stride, lambda patch: patch.reshape(-1, patch.shape[-1]).mean(0)
    )


def batch_normalization(layer):
    gamma, beta, mean, variance = (weight.astype(float) for weight in layer.get_weights())
    return lambda x: gamma * (x - mean) / np.sqrt(variance + layer.epsilon) + beta


def dense(layer):
    kernel, bias = (weight.astype(float) for weight in layer.get_weights())
    return lambda x: x @ kernel + bias


def repetition(layer):
    times = (layer.size,) if isinstance(layer.size, int) else layer.size

    def run(x):
        for axis, count in enumerate(times):
            x = np.repeat(x, count, axis=axis)
        return x

    return run


LINEAR = {
    **{f"Conv{n}D": convolution for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": transposed_convolution for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": depthwise_convolution for n in (1, 2)},
    **{f"AveragePooling{n}D": average_pooling for n in (1, 2, 3)},
    **{f"UpSampling{n}D": repetition for n in (1, 2, 3)},
    **{
        f"GlobalAveragePooling{n}D": lambda layer: lambda x: x.mean(axis=tuple(range(x.ndim - 1)))
        for n in (1, 2, 3)
    },
    "BatchNormalization": batch_normalization,
    "Dense": dense,
    "Flatten": lambda layer: np.ravel,
}
FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "relu6": lambda z: np.clip(z, 0, 6),
    "tanh": np.tanh,
    "silu": lambda z: z / (1 + np.exp(-z)),
}
SLOPES = {
    "relu": lambda z: (z > 0).astype(float),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.2),
    "elu": lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
    "relu6": lambda z: ((z > 0) & (z < 6)).astype(float),
}


# A network as a chain of steps on flattened values.


@dataclass
class Linear:
    """z = matrix · a + bias."""

    matrix: np.ndarray
    bias: np.ndarray

    def forward(self, a):
        return self.matrix @ a + self.bias


@dataclass
class Elementwise:
    name: str

    def forward(self, z):
        return FUNCTIONS[self.name](z)


@dataclass
class Maximum:
    """The maxima over groups of places, one group for each output."""

    groups: list

    def forward(self, a):
        return np.array([a[group].max() for group in self.groups])

    def winners(self, a):
        return np.array([group[np.argmax(a[group])] for group in self.groups])


def linear_step(function, shape):
    """The matrix of an affine function, one unit vector after another."""
    offset = function(np.zeros(shape))
    columns = [(function(unit.reshape(shape)) - offset).ravel() for unit in np.eye(np.prod(shape))]
    return Linear(np.stack(columns, axis=1), offset.ravel()), offset.shape


def maximum_step(size, stride, shape):
    places = np.arange(np.prod(shape)).reshape(shape)
    channels = shape[-1]
    groups = windowed(places, size, stride, lambda patch: patch.reshape(-1, channels).T)
    return Maximum(list(groups.reshape(-1, groups.shape[-1]).astype(int))), groups.shape[:-1]


def steps_of(layers, shape):
    """A chain of layers as steps; a string stands for an activation."""
    steps = []
    for layer in layers:
        if isinstance(layer, Branches):
            step, shape = linear_step(layer.function(), shape)
        elif isinstance(layer, str):
            step = Elementwise(layer)
        elif type(layer).__name__.startswith("MaxPooling"):
            step, shape = maximum_step(layer.pool_size, layer.strides, shape)
        elif type(layer).__name__.startswith("GlobalMaxPooling"):
            step, shape = maximum_step(shape[:-1], shape[:-1], shape)
            shape = shape[-1:]
        else:
            step, shape = linear_step(LINEAR[type(layer).__name__](layer), shape)
        steps.append(step)
    return steps


@dataclass
class Branches:
    """Linear layers side by side, whose outputs a merging layer adds or joins."""

    layers: list
    merge: keras.Layer

    def function(self):
        functions = [LINEAR[type(layer).__name__](layer) for layer in self.layers]
        if isinstance(self.merge, LAYERS.Add):
            return lambda x: sum(function(x) for function in functions)
        return lambda x: np.concatenate([function(x) for function in functions], axis=-1)


def keras_network(layers, shape, seed=0):
    inputs = outputs = keras.Input(shape)
    for layer in layers:
        if isinstance(layer, Branches):
            outputs = layer.merge([one(outputs) for one in layer.layers])
        else:
            outputs = (LAYERS.Activation(layer) if isinstance(layer, str) else layer)(outputs)
    return randomized(keras.Model(inputs, outputs), seed)


# The backward rules, from the papers.


def trace(steps, x):
    """What each step receives, and at last the logits."""
    values = [np.ravel(x).astype(float)]
    for step in steps:
        values.append(step.forward(values[-1]))
    return values


def predicted(logits):
    return np.eye(len(logits))[np.argmax(logits)]


def backward(steps, x, rectified):
    """Gradients of the largest logit, with `rectified(slope, g)` at nonlinearities, and maxima's switches."""
    values = trace(steps, x)
    g = predicted(values[-1])
    for step, a in zip(reversed(steps), reversed(values[:-1]), strict=True):
        if isinstance(step, Linear):
            g = step.matrix.T @ g
        elif isinstance(step, Elementwise):
            g = rectified(SLOPES[step.name](a), g)
        else:
            g = scattered(step.winners(a), g, len(a))
    return g.reshape(x.shape)


def guided(steps, x):
    return backward(steps, x, lambda slope, g: slope * (g > 0) * g)


def deconvolved(steps, x):
    return backward(steps, x, lambda slope, g: (g > 0) * g)


def relevance(steps, x, epsilon):
    """ε-LRP layer by layer: R_i = Σ_j a_i w_ij R_j / (z_j + ε sign z_j) (Bach et al. 2015, equation 58).

    Relevance passes through a nonlinearity as it is, and ε is added where a linear step runs into one, or
    into the score; where it does not, R_j is z_j times a gradient, and the ratio takes no ε.
    """
    values = trace(steps, x)
    r = predicted(values[-1]) * values[-1]
    added = epsilon
    for step, a, z in reversed(list(zip(steps, values[:-1], values[1:], strict=True))):
        if isinstance(step, Elementwise):
            added = epsilon
        elif isinstance(step, Linear):
            ratio = np.zeros_like(r)
            np.divide(r, np.where(z >= 0, z + added, z - added), out=ratio, where=r != 0)
            r, added = a * (step.matrix.T @ ratio), 0.0
        else:
            r = scattered(step.winners(a), r, len(a))
    return r.reshape(x.shape)


def multipliers(steps, x, reference):
    """DeepLIFT's Rescale rule, with rises and falls of a maximum where it is and where it was."""
    values, resting = trace(steps, x), trace(steps, reference)
    m = predicted(values[-1])
    for index in reversed(range(len(steps))):
        step, a, a0 = steps[index], values[index], resting[index]
        rise = values[index + 1] - resting[index + 1]
        if isinstance(step, Linear):
            m = step.matrix.T @ m
        elif isinstance(step, Elementwise):
            run = a - a0
            slope = SLOPES[step.name](a) if step.name in SLOPES else np.ones_like(a)
            m = m * np.divide(rise, run, out=slope, where=run != 0)
        else:
            given = scattered(step.winners(a), m * np.maximum(rise, 0), len(a))
            given += scattered(step.winners(a0), m * np.minimum(rise, 0), len(a))
            m = np.divide(given, a - a0, out=np.zeros_like(a), where=given != 0)
    return m.reshape(x.shape) * (x - reference)


def scattered(places, values, size):
    out = np.zeros(size)
    np.add.at(out, places, values)
    return out
