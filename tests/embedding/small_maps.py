"""Small embeddings of few points, one an objective, for tests in which a map's quality does not matter."""

import functools

import keras
import numpy as np
from scipy.special import rel_entr
from sklearn.datasets import load_digits

from keras_pli.embedding import (
    ContrastiveEmbedding,
    ParametricTSNE,
    ParametricUMAP,
    affinities,
    nearest_neighbors,
)

SMALL = {"hidden_units": (20, 10), "seed": 0}
# t-SNE with batches of edges, which draw as well as shuffle, and with uniform ones, which only shuffle.
KINDS = {
    "tsne": (ParametricTSNE, {"perplexity": 10, "batches": "neighbors"}),
    "uniform": (ParametricTSNE, {"perplexity": 10, "batches": "uniform"}),
    "umap": (ParametricUMAP, {"n_neighbors": 10}),
    "contrastive": (ContrastiveEmbedding, {"n_neighbors": 10, "spectrum": 0.5}),
}
MEASURES = {"tsne": "kl", "uniform": "kl", "umap": "cross_entropy", "contrastive": "cross_entropy"}
QUICK = {"epochs": 2, "batch_size": 100, "pretrain_epochs": 0, "steps_per_epoch": 4, "verbose": 0}


def few_digits(count=150):
    return load_digits().data[600 : 600 + count].astype(np.float32)


def make(kind, **settings):
    """An embedding that is not trained yet."""
    cls, own = KINDS[kind]
    return cls(**{**SMALL, **own, **settings})


def quick(kind, z, *, fit=None, **settings):
    """An embedding after eight steps."""
    model = make(kind, **settings)
    model.fit(z, **{**QUICK, **(fit or {})})
    return model


def mapped(model, z):
    return model.predict(z, verbose=0)


@functools.cache
def quick_map(kind):
    """The map of the few digits after eight steps."""
    return mapped(quick(kind, few_digits()), few_digits())


def about_centre(y):
    """A map without its origin, which no objective knows.

    The last bias has a gradient of nothing but rounding, which Adam brings up to the size of its steps: maps
    that are alike up to rounding come to lie somewhat apart.
    """
    return y - y.mean(axis=0)


def still(kind, **settings):
    """A model whose optimizer moves nothing, so that what `fit` reports can be checked."""
    model = make(kind, **{"jitter": 0, **settings})
    model.compile(keras.optimizers.SGD(0.0))
    return model


def dense_divergence(p, y):
    """KL(p‖q) of a dense matrix of affinities and a map, by SciPy in float64."""
    y = y.astype(np.float64)
    kernel = 1 / (1 + np.sum((y[:, None] - y[None, :]) ** 2, axis=-1))
    np.fill_diagonal(kernel, 0)
    return rel_entr(p, kernel / kernel.sum() + np.eye(len(y))).sum()


def divergence(z, y, perplexity):
    """KL(p‖q) over all points."""
    p = affinities(nearest_neighbors(z, perplexity=perplexity), perplexity=perplexity)
    return dense_divergence(p.to_sparse().toarray(), y)
