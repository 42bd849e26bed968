"""The map of a layer, with the classes' contours, and with the samples in place of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import plotting
from ..brief import counted
from ..embedding import ParametricTSNE
from ..embedding.quality import knn_error, trustworthiness
from .context import Context
from .predictions import read_layer
from .section import DoesNotApplyError, Section, Shown, share

_FEWEST = 40  # samples below which a map has too few neighbours to be measured
_MOST_IMAGES = 400
_NEIGHBORS = 12


def representation(context: Context) -> Section:
    """A parametric t-SNE of the layer, fitted on other samples than those its quality is measured on."""
    if len(context.test) < _FEWEST:
        raise DoesNotApplyError(
            f"A map takes at least {_FEWEST} samples to be measured on. Received: {len(context.test)}."
        )
    (fitted, voters), held, rows = _layers(context)
    perplexity = min(30.0, (len(fitted) - 1) / 4)
    tsne = ParametricTSNE(perplexity=perplexity, seed=context.seed)
    tsne.fit(fitted, verbose=context.verbose)
    y = np.asarray(tsne.predict(held, verbose=0))
    neighbors = min(_NEIGHBORS, len(held) // 3)
    kept = trustworthiness(held, y, n_neighbors=neighbors)
    told = _told(kept)
    labels = context.test.labels[rows]
    belief = (
        f"Trustworthiness {share(kept)} on {counted(len(held), 'point')} that the map was not fitted to "
        f"({counted(neighbors, 'neighbour')}): {told} Distances between clusters and their sizes say little."
    )
    votes = min(10, len(fitted))
    drawn = knn_error(tsne.predict(fitted, verbose=0), voters, y, labels, n_neighbors=votes)
    own = knn_error(fitted, voters, held, labels, n_neighbors=votes)
    belief += (
        f" A vote of {counted(votes, 'neighbour')} tells the class wrongly for {share(drawn)} of the points "
        f"by the picture and for {share(own)} by the layer."
    )
    picture = plotting.embedding_map(y, labels, class_names=list(context.class_names))
    shown = [Shown("map", picture, note=_note(context, perplexity))]
    pictures = _thumbnails(context, y, rows)
    if pictures is not None:
        shown.append(pictures)
    warnings = () if kept >= 0.9 else (f"The map is a poor picture of the layer: {told}",)
    return Section(f"Map of {_layer_name(context)}", belief, tuple(shown), warnings)


def _layers(context: Context) -> tuple[tuple[Any, Any], Any, NDArray[np.intp]]:
    """What the map is fitted to, with labels; what it is drawn and measured on, and which rows these are."""
    z = read_layer(context.model, context.test.x, context.layer)
    if context.train is not None and len(context.train) >= _FEWEST:
        fitted = read_layer(context.model, context.train.x, context.layer)
        return (fitted, context.train.labels), z, np.arange(len(z))
    order = np.random.default_rng(context.seed).permutation(len(z))
    held = np.sort(order[: max(len(z) // 3, _FEWEST // 3)])
    fitted = np.setdiff1d(order, held)
    return (z[fitted], context.test.labels[fitted]), z[held], held


def _thumbnails(context: Context, y: Any, rows: NDArray[np.intp]) -> Shown | None:
    layout = context.layout
    if layout is None or len(layout.sizes) != 2:
        return None
    images = np.asarray(context.test.x)[rows]
    if context.has_channels and images.shape[-1] not in (1, 3):
        images = images.mean(axis=-1)
    some = np.arange(len(rows))
    if len(some) > _MOST_IMAGES:
        some = np.random.default_rng(context.seed).choice(len(rows), _MOST_IMAGES, replace=False)
    figure = plotting.thumbnail_map(
        y[some],
        images[some],
        context.test.labels[rows[some]],
        class_names=list(context.class_names),
        value_range=context.value_range,
    )
    note = "Each image is moved to a free cell near its place; frames are the labels."
    if len(some) < len(rows):
        note += f" {len(some)} of {len(rows)} images, drawn at random."
    return Shown("thumbnails", figure, "The samples in their places", note)


def _note(context: Context, perplexity: float) -> str:
    return (
        f"Parametric t-SNE of {_layer_name(context)}, perplexity {perplexity:.3g}. Colours are the labels; "
        "a line encloses where most of a class lies."
    )


def _layer_name(context: Context) -> str:
    return "the logits" if context.layer == "logits" else context.layer


def _told(kept: float) -> str:
    if kept >= 0.95:
        return "neighbours in the picture are mostly neighbours in the layer."
    if kept >= 0.85:
        return "neighbours in the picture are often, not always, neighbours in the layer."
    return (
        "neighbours in the picture need not be neighbours in the layer; do not read single points."
    )
