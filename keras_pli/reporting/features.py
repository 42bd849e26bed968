"""What layers respond to: the first filters, and the places that activate channels of a layer most."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from ..brief import counted
from ..inspection import (
    TopActivations,
    activation_maps,
    filters,
    layers_with_filters,
    plot_filters,
    top_activations,
)
from ..network.layers import find_layer
from .context import Context
from .section import DoesNotApplyError, Section, Shown

_MOST_FILTERS = 32
_CHANNELS, _PLACES = 6, 8
_LOOKED_AT = 16  # channels among which some that react are sought
_SEEN = 64  # samples by which these are told
TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
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
        f"{counted(kernel.shape[-1], 'filter').capitalize()} of {TIMES.join(map(str, kernel.shape[:-1]))} "
        "weights. "
        "They read the input itself, and can be taken for what they look like; the sign of a filter and "
        "its scale mean little, as the next layer may turn both. "
    )
    belief += (
        f"{counted(faint, 'filter').capitalize()} {'is' if faint == 1 else 'are'} below {_FAINT:.0%} of the "
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
    looked, alive = _reacting(context, path)
    if not len(alive):
        raise DoesNotApplyError(
            f"The first {looked} channels of {path} have one value throughout: they are dead."
        )
    found = top_activations(
        context.model,
        context.test.x,
        path,
        labels=context.test.labels,
        channels=alive[:_CHANNELS],
        k=min(_PLACES, len(context.test)),
        verbose=context.verbose,
    )
    figure = found.plot(
        channels=_CHANNELS,
        class_names=context.class_names,
        value_range=context.value_range,
        title="",
    )
    note = "A row is a channel; each picture is what of a sample it saw, the strongest first"
    if len(found.projections):
        note += ", and below it the deconvnet's projection of that one activation"
    note += "."
    belief = _purity(context, found)
    if len(alive) < looked:
        belief += (
            f" {looked - len(alive)} of the first {counted(looked, 'channel')} have one value throughout: "
            "they are dead."
        )
    shown = Shown("strongest places", figure, note=note)
    return Section(f"What activates {path}", belief, (shown,))


def _reacting(context: Context, path: str) -> tuple[int, NDArray[np.intp]]:
    """How many channels were looked at, and which of them have more than one value."""
    looked = min(_LOOKED_AT, int(filters(context.model, path).shape[-1]))
    some = np.linspace(0, len(context.test) - 1, min(_SEEN, len(context.test))).astype(int)
    found = activation_maps(context.model, context.test.x[some], path, channels=np.arange(looked))
    values = found.maps.reshape(-1, looked)
    return looked, np.flatnonzero(values.max(axis=0) > values.min(axis=0))


def _purity(context: Context, found: TopActivations) -> str:
    """How far the strongest places of a channel are of one class."""
    places = found.labels.shape[1]
    pure = []
    for channel, line in zip(found.channels, found.labels.astype(int), strict=True):
        counts = np.bincount(line)
        if places > 2 and counts.max() >= 0.75 * places:
            pure.append(f"{channel} ({context.name_of(counts.argmax())})")
    said = (
        f"The {places} strongest of {counted(found.about['seen'], 'sample')} show the extreme of a channel, "
        "and not what it does most of the time. "
    )
    if not pure:
        return f"{said}No channel has its strongest places in one class: none stands for a class by itself."
    several = len(pure) > 1
    return (
        f"{said}Mostly of one class {'are' if several else 'is'} the places of "
        f"channel{'s' * several} {', '.join(pure)}."
    )


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
