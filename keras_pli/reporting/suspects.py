"""Training samples whose labels look wrong."""

from __future__ import annotations

import numpy as np

from .. import plotting
from ..brief import counted
from ..inspection import label_errors
from .context import Context
from .given_data import rows_of
from .predictions import read_layer
from .section import DoesNotApplyError, Section, Shown, in_corner

_MOST = 12


def suspects(context: Context) -> Section:
    """The samples that the model fits against the others."""
    part = context.test if context.train is None else context.train
    try:
        read_layer(context.model, rows_of(part.x, slice(0, 1)))
    except ValueError as error:
        raise DoesNotApplyError(str(error)) from error
    found = label_errors(context.model, (part.x, part.labels), verbose=context.verbose)
    first = found.ranked[:_MOST]
    table = found.to_frame(_MOST)
    other = int(np.sum(part.predicted[first] != part.labels[first]))
    overall = float(np.mean(part.predicted != part.labels))
    names = context.class_names
    table["sample"] = part.positions[first]
    for column in ("label", "predicted"):
        table[column] = [names[label] for label in table[column]]
    typical = max(float(np.median(found.scores)), np.finfo(np.float32).tiny)
    table["times the median"] = (table.pop("score") / typical).map("{:,.1f}".format)
    belief = (
        f"The model says otherwise than the label for {other} of the first {counted(len(first), 'suspect')}, "
        f"and for {overall:.1%} of all {counted(len(part), 'sample')}. Suspects are rare or hard samples as "
        "often as wrong labels: look at each before changing it."
    )
    if context.train is None:
        belief += (
            " Suspects are sought among samples that a model was trained on; whether it was trained on these "
            "is not known."
        )
    shown = [Shown("suspects", in_corner(table.set_index("sample")), "The first suspects")]
    if context.layout is not None and context.layout.sizes:
        captions = [
            f"{position}: {names[label]}\nsays {names[said]}"
            for position, label, said in zip(
                part.positions[first], part.labels[first], part.predicted[first], strict=True
            )
        ]
        figure = plotting.sample_grid(
            part.x[first],
            captions,
            columns=6,
            has_channels=context.has_channels,
            value_range=context.value_range,
        )
        shown.insert(
            0,
            Shown(
                "suspected labels",
                figure,
                note="Number of the sample and its label, and what the model says.",
            ),
        )
    return Section("Labels that look wrong", belief, tuple(shown))
