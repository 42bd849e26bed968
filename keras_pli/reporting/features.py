"""What layers respond to: the first filters, and the places that activate channels of a layer most."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..brief import counted
from ..inspection import TopActivations, filters, layers_with_filters, plot_filters, top_activations
from ..network.layers import find_layer
from .context import Context
from .section import DoesNotApplyError, Section, Shown

_MOST_FILTERS = 32
_CHANNELS, _PLACES = 6, 8
_FAINT = 0.05  # of the strongest filter's norm, below which one is called faint


def first_filters(context: Context) -> Section:
    """The filters that read the input itself."""
    paths = _convolutions(context.model)
    if not paths:
        raise DoesNotApplyError("No layer has filters with positions, as convolutions have.")
    kernel = filters(context.model, paths[0])
    norms = np.sqrt((kernel.reshape(-1, kernel.shape[-1]) ** 2).sum(axis=0))
    faint = int((norms < _FAINT * norms.max()).sum())
    belief = (
        f"{_first(counted(kernel.shape[-1], 'filter'))} of {' x '.join(map(str, kernel.shape[:-1]))} weights. "
        "They read the input itself, and can be taken for what they look like; the sign of a filter and "
        "its scale mean little, as the next layer may turn both. "
    )
    belief += (
        f"{_first(counted(faint, 'filter'))} {'is' if faint == 1 else 'are'} below {_FAINT:.0%} of the "
        "strongest one, and do next to nothing."
        if faint
        else "None is so faint that it would do nothing."
    )
    figure = plot_filters(context.model, paths[0], most=_MOST_FILTERS)
    note = ""
    if kernel.shape[-1] > _MOST_FILTERS:
        note = f"The first {_MOST_FILTERS} of {kernel.shape[-1]}."
    return Section("First filters", belief, (Shown("filters", figure, note=note),))


def strongest(context: Context) -> Section:
    """The places in the samples that activate some channels of a layer most."""
    context.pictures()
    path = _layer(context)
    found = top_activations(
        context.model,
        context.test.x,
        path,
        labels=context.test.labels,
        channels=np.arange(min(_CHANNELS, _width(context, path))),
        k=min(_PLACES, len(context.test)),
        verbose=context.verbose,
    )
    alive = found.values.max(axis=1) > found.values.min(axis=1)
    figure = found.plot(channels=_CHANNELS, value_range=context.value_range)
    note = (
        "A row is a channel; each picture is what of a sample it saw, the strongest first, and below it the "
        "deconvnet's projection of that one activation."
    )
    shown = Shown("strongest places", figure, note=note)
    return Section(f"What activates {path}", _purity(context, found, alive), (shown,))


def _purity(context: Context, found: TopActivations, alive: Any) -> str:
    """How far the strongest places of a channel are of one class."""
    places = found.labels.shape[1]
    most = np.array([np.bincount(line).max() for line in found.labels.astype(int)])
    pure = [
        f"{channel} ({context.name_of(np.bincount(line.astype(int)).argmax())})"
        for channel, line, count, lives in zip(
            found.channels, found.labels, most, alive, strict=True
        )
        if lives and count >= 0.75 * places and places > 2
    ]
    said = (
        f"The {places} strongest of {counted(found.about['seen'], 'sample')} show the extreme of a channel, "
        "and not what it does most of the time. "
    )
    if pure:
        said += f"Mostly of one class are the places of {_plural('channel', pure)} {', '.join(pure)}."
    else:
        said += "No channel has its strongest places in one class: none stands for a class by itself."
    dead = int((~alive).sum())
    if dead:
        said += f" {_first(counted(dead, 'channel'))} with one value at all of these places."
    return said


def _layer(context: Context) -> str:
    paths = _convolutions(context.model)
    if context.layer in paths:
        return context.layer
    if not paths:
        raise DoesNotApplyError("No layer has channels with positions, as convolutions have.")
    return paths[-1]


def _convolutions(model: keras.Model) -> list[str]:
    """Paths of the layers whose filters slide over positions."""
    return [
        path
        for path in layers_with_filters(model)
        if not isinstance(find_layer(model, path), keras.layers.Dense)
        and filters(model, path).ndim > 2
    ]


def _width(context: Context, path: str) -> int:
    return int(filters(context.model, path).shape[-1])


def _first(text: str) -> str:
    return text[0].upper() + text[1:]


def _plural(noun: str, of: list[Any]) -> str:
    return noun if len(of) == 1 else f"{noun}s"
