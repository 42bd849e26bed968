"""Normalization and self-attention in NumPy and float64, for what the backward rules are compared with."""

import keras
import numpy as np
from toy_networks import LAYERS, randomized

SHAPE = (5, 4)
HEADS, SIZE = 2, 3


def head_of(layer, shape=SHAPE):
    """A model of one layer and a dense one, with the weights that carry its logits back."""
    inputs = keras.Input(shape)
    made = layer(inputs, inputs) if "Attention" in type(layer).__name__ else layer(inputs)
    model = randomized(keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(made))))
    return model, model.layers[-1].get_weights()[0].astype(float)


class Normalization:
    """Each group of a sample's positions less its mean and over its size: ŷ γ + β.

    Of an RMS normalization, the mean stays.
    """

    def __init__(self, layer, groups, places):
        weights = [weight.astype(float) for weight in layer.get_weights()]
        gamma, beta = (*weights, np.zeros(1))[:2]
        count = len(places)
        self.groups = groups
        self.gamma, self.beta = gamma[places % len(gamma)], beta[places % len(beta)]
        self.center = np.eye(count)
        if "RMS" not in type(layer).__name__:
            for group in groups:
                self.center[np.ix_(group, group)] -= 1 / len(group)
        self.epsilon = layer.epsilon

    def sizes(self, a):
        """σ of each position's group."""
        deviations, sizes = self.center @ a, np.zeros(len(a))
        for group in self.groups:
            sizes[group] = np.sqrt(np.mean(deviations[group] ** 2) + self.epsilon)
        return sizes

    def __call__(self, a):
        return self.center @ a / self.sizes(a) * self.gamma + self.beta

    def held(self, a):
        """The matrix from a to ŷ γ with σ held."""
        return (self.gamma / self.sizes(a))[:, None] * self.center

    def secant(self, a, b):
        """The matrix from Δa to Δy by Δŷ = (Δd − Δσ (ŷ + ŷ') / 2) / mean(σ), d being a less its mean."""
        d, e, s, t = self.center @ a, self.center @ b, self.sizes(a), self.sizes(b)
        middle = (d / s + e / t) / 2
        change = np.zeros((len(a), len(a)))  # of σ, since σ² − σ'² = mean(Δd (d + d'))
        for group in self.groups:
            squares = np.zeros(len(a))
            squares[group] = (d + e)[group] / len(group) / (s + t)[group]
            change[group] = squares @ self.center
        return (self.gamma * 2 / (s + t))[:, None] * (self.center - middle[:, None] * change)


class Attention:
    """Self-attention of several heads, `(positions, features)`, before the heads are joined."""

    def __init__(self, layer):
        weights = [weight.astype(float) for weight in layer.get_weights()]
        self.kernels, self.biases, (self.join, _) = weights[0:6:2], weights[1:6:2], weights[6:]

    def parts(self, x):
        """Queries, keys and values `(heads, positions, size)`, scores, shares and outputs."""
        query, key, value = (
            np.einsum("tf,fhd->htd", x, kernel) + bias[:, None]
            for kernel, bias in zip(self.kernels, self.biases, strict=True)
        )
        scores = np.einsum("hjd,hid->hji", query, key) / np.sqrt(SIZE)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return query, key, value, scores, shares, np.einsum("hji,hid->hjd", shares, value)

    def from_logit(self, weights):
        """The slopes of a logit by the heads' outputs `(heads, positions, size)`."""
        return np.einsum("tf,hdf->htd", weights.reshape(SHAPE), self.join)
