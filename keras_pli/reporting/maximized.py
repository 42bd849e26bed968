"""Images that the model finds most typical of a class, made from noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import plotting
from ..inspection import ActivationMaximization
from .context import Context
from .predictions import class_probabilities, read_layer
from .section import DoesNotApplyError, Section, Shown, share

_MOST = 20
_SURE = 0.99


def maximized(context: Context) -> Section:
    """An image for each class that activates it most, with what the model makes of it."""
    context.pictures()
    highest = _highest_scores(context)
    shape = np.asarray(context.test.x).shape[1:]
    search = ActivationMaximization(
        context.model, value_range=context.value_range, shape=shape, steps=128
    )
    classes = np.arange(len(context.class_names))[:_MOST]
    found = search(classes, seed=context.seed, verbose=context.verbose)
    shares = class_probabilities(context.model, found.best)
    own = shares[np.arange(len(classes)), classes]
    table = pd.DataFrame(
        {
            "probability": [share(value) for value in own],
            "the model says": [context.name_of(label) for label in shares.argmax(axis=1)],
            "score": found.activations.max(axis=1).round(2),
            "highest of a sample": highest[classes].round(2),
        },
        index=[context.name_of(label) for label in classes],
    )
    figure = plotting.sample_grid(
        found.best,
        [
            f"{context.name_of(label)}\np = {share(p)}"
            for label, p in zip(classes, own, strict=True)
        ],
        has_channels=context.has_channels,
        columns=5,
        value_range=context.value_range,
    )
    sure = int((own >= _SURE).sum())
    beyond = int((found.activations.max(axis=1) > highest[classes]).sum())
    belief = (
        f"The model takes {sure} of {len(classes)} images for their class with a probability of {_SURE} or "
        f"more. That says what excites it, and not what it has seen: "
        f"{_how_many(beyond, len(classes))} higher than any sample does."
    )
    shown = [Shown("maximising images", figure), Shown("maximising scores", table)]
    if len(context.class_names) > _MOST:
        shown[0] = Shown("maximising images", figure, note=f"The first {_MOST} classes.")
    return Section("Images that classes are most excited by", belief, tuple(shown))


def _how_many(beyond: int, images: int) -> str:
    if beyond == images:
        return "all of them score"
    return f"{beyond or 'none'} of them score{'s' if beyond < 2 else ''}"


def _highest_scores(context: Context) -> NDArray[np.float32]:
    """The highest score that a sample has of each class, `(classes,)`."""
    try:
        scores = read_layer(context.model, context.test.x)
    except ValueError as error:
        raise DoesNotApplyError(str(error)) from error
    if scores.shape[1] == 1:  # of the second of two classes
        scores = np.concatenate([-scores, scores], axis=1)
    return scores.max(axis=0)
