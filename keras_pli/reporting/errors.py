"""The worst errors of a model, what decided them, and whether the heat maps that say so can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import pandas as pd

from .. import plotting
from ..attribution import GradCAM, IntegratedGradients, Method, Saliency
from ..brief import counted
from ..evaluation import RandomizationResult, Scorer, deletion_curve, model_randomization_test
from .context import Context, ReportedSet, some_of
from .section import Section, Shown, in_corner

_MOST, _DRAWN = 12, 6
_CHECKED = 16  # samples that the checks run on
_SEEDS = 5
_STEPS = 10
_FEATURES = 3
_RANDOM = "at random"
MINUS = "\N{MINUS SIGN}"
_MEANING = {
    "insensitive": "hardly change when the weights are random: do not read them as an explanation",
    "sensitive in sign only": "change when the weights are random in their signs alone: read the signs, and "
    "no map without them",
    "sensitive": "depend on what the model learned",
    "undecided": "may or may not depend on what the model learned",
}


def errors(context: Context) -> Section:
    """The surest errors, with attributions by two methods and the checks of these."""
    test = context.test
    wrong = test.wrong
    rows, belief = wrong[:_MOST], ""
    title = "Worst errors"
    if not len(wrong):
        rows = np.argsort(test.probabilities.max(axis=1), kind="stable")[:_MOST]
        title = "Least certain samples"
        belief = f"The model gets none of {counted(len(test), 'sample')} wrong; these are closest to it. "
    chosen = some_of(test, rows)
    heading = f"The first {len(rows)} of {len(wrong) or len(test)}"
    table = Shown("errors", in_corner(error_table(context, chosen)), heading)
    try:
        model, x = _with_channels(context)
        kinds, lacking = _methods(model, x, context)
    except (TypeError, ValueError) as error:
        return Section(title, f"{belief}There are no attributions: {error}", (table,))
    some = _spread(test, context.seed)
    found = model_randomization_test(
        {name: partial(_made, kind) for name, kind in kinds.items()},
        model,
        x[some],
        test.predicted[some],
        seeds=_SEEDS,
        verbose=context.verbose,
    )
    methods = {name: _made(kind, model) for name, kind in kinds.items()}
    areas = _areas(model, methods, x[some], test.predicted[some], context.seed)
    belief += " ".join(filter(None, [*_beliefs(found), _faithful(areas), lacking]))
    shown = [
        *_pictures(context, methods, x[rows[:_DRAWN]], some_of(test, rows[:_DRAWN])),
        table,
        Shown("checks", _check_table(found, areas), "Can these maps be believed?", _CHECK_NOTE),
        Shown("randomisation", found.plot()),
    ]
    warnings = tuple(
        f"Maps of {name} {_MEANING[verdict.conclusion]}."
        for name, verdict in found.verdicts.items()
        if verdict.conclusion in ("insensitive", "sensitive in sign only")
    )
    return Section(title, belief, tuple(shown), warnings)


_CHECK_NOTE = (
    "Rank correlation of maps before and after the upper half of the layers got random weights, and the mean "
    "probability of the predicted class while positions are removed, the most important first, against the "
    "mean of the samples: the smaller, the better the map found what the model relies on."
)


def error_table(context: Context, part: ReportedSet) -> pd.DataFrame:
    """Returns which samples these are, what they are labelled, and what the model says."""
    return pd.DataFrame(
        {
            "label": [context.name_of(label) for label in part.labels],
            "predicted": [context.name_of(label) for label in part.predicted],
            "probability": part.probabilities.max(axis=1).round(3),
            "probability of the label": part.probabilities[np.arange(len(part)), part.labels].round(
                3
            ),
        },
        index=pd.Index(part.positions, name="sample"),
    )


def _methods(model: keras.Model, x: Any, context: Context) -> tuple[dict[str, type[Method]], str]:
    """Two methods that explain the model: with Grad-CAM, where it has maps."""
    target = context.test.predicted[:1]
    IntegratedGradients(model, steps=2)(x[:1], target)
    kinds: dict[str, type[Method]] = {"integrated gradients": IntegratedGradients}
    if x.ndim == 2:
        return {**kinds, "saliency": Saliency}, "Grad-CAM is for inputs with positions."
    try:
        GradCAM(model)(x[:1], target)
    except ValueError as error:
        return {**kinds, "saliency": Saliency}, f"Grad-CAM does not apply: {error}"
    return {**kinds, "Grad-CAM": GradCAM}, ""


def _made(kind: type[Method], model: keras.Model) -> Method:
    return IntegratedGradients(model, steps=32) if kind is IntegratedGradients else kind(model)


def _with_channels(context: Context) -> tuple[keras.Model, Any]:
    """The model and the inputs, with an axis of one channel where images have none.

    Whatever sums over channels would take the last axis of positions for them.
    """
    model, x = context.model, context.test.x
    if not isinstance(x, np.ndarray):
        raise ValueError(context.no_layout)
    if context.layout is None or not context.layout.sizes or context.has_channels:
        return model, x
    inputs = keras.Input((*x.shape[1:], 1))
    outputs = model(keras.layers.Reshape(x.shape[1:])(inputs))
    return keras.Model(inputs, outputs, name=model.name), x[..., np.newaxis]


def _spread(test: ReportedSet, seed: int) -> Any:
    """Rows to check methods on, at random."""
    most = min(_CHECKED, len(test))
    return np.sort(np.random.default_rng(seed).choice(len(test), most, replace=False))


def _areas(
    model: keras.Model, methods: Mapping[str, Method], x: Any, target: Any, seed: int
) -> dict[str, float]:
    """The mean area below the deletion curve of each method, and of a random order."""
    fill = np.broadcast_to(x.mean(axis=0), x.shape)
    maps: dict[str, Any] = {name: method(x, target) for name, method in methods.items()}
    positions = x.shape if x.ndim == 2 else x.shape[:-1]
    maps[_RANDOM] = np.random.default_rng(seed).random(positions)
    scorer = Scorer(model)
    return {
        name: float(
            deletion_curve(
                scorer, x, found, target, baseline=fill, steps=_STEPS, seed=seed
            ).area.mean()
        )
        for name, found in maps.items()
    }


def _beliefs(found: RandomizationResult) -> list[str]:
    """What the randomisation test says of each method, in a sentence."""
    said = []
    for name, verdict in found.verdicts.items():
        rows = found.table[(found.table["method"] == name) & (found.table["measure"] == "spearman")]
        half = rows[rows["step"] == (rows["step"].max() + 1) // 2].set_index("absolute")["mean"]
        figures = f"rank correlation {half[False]:.2f}, without signs {half[True]:.2f}"
        said.append(
            f"Maps of {name} {_MEANING[verdict.conclusion]} ({figures.replace('-', MINUS)})."
        )
    return said


def _faithful(areas: Mapping[str, float]) -> str:
    """Whether removing what maps name lowers the probability faster than removing anything."""
    by_chance = areas[_RANDOM]
    better = [name for name, area in areas.items() if name != _RANDOM and area < 0.9 * by_chance]
    others = [name for name in areas if name not in (*better, _RANDOM)]
    said = []
    if better:
        said.append(
            f"Removing what {_either(better)} names lowers the probability faster than removing positions at "
            "random: it names what the model relies on."
        )
    if others:
        said.append(
            f"Removing what {_either(others)} names lowers it hardly faster than removing at random."
        )
    return " ".join(said)


def _either(names: list[str]) -> str:
    return " or ".join(names)


def _check_table(found: RandomizationResult, areas: Mapping[str, float]) -> pd.DataFrame:
    rows = [
        {
            "method": name,
            "randomised weights": verdict.conclusion,
            "area of deletion": round(areas[name], 3),
            "at random": round(areas[_RANDOM], 3),
        }
        for name, verdict in found.verdicts.items()
    ]
    return in_corner(pd.DataFrame(rows).set_index("method"))


def _pictures(
    context: Context, methods: Mapping[str, Method], x: Any, part: ReportedSet
) -> list[Shown]:
    maps = {name: method(x, part.predicted).attributions for name, method in methods.items()}
    layout = context.layout
    if layout is None or not layout.sizes:
        return [_features(part, maps)] if x.ndim == 2 else []
    labels = [
        f"{position}\nlabel {context.name_of(label)}\nsays {context.name_of(said)}"
        for position, label, said in zip(part.positions, part.labels, part.predicted, strict=True)
    ]
    figure = plotting.attribution_grid(
        _drawable(x),
        {name: _drawable(array) if array.ndim == x.ndim else array for name, array in maps.items()},
        row_labels=labels,
        dimensions=len(layout.sizes),
        value_range=context.value_range if len(layout.sizes) == 2 else None,
    )
    note = "Each sample has its number, its label, and what the model says; maps show what speaks for that."
    return [Shown("attributions", figure, note=note)]


def _drawable(x: Any) -> Any:
    """Images as grey or in colours: other numbers of channels are averaged."""
    return x if x.ndim != 4 or x.shape[-1] in (1, 3) else x.mean(axis=-1, keepdims=True)


def _features(part: ReportedSet, maps: Mapping[str, Any]) -> Shown:
    """Of vectors the features that decided most, as a table."""
    columns = {}
    for name, array in maps.items():
        first = np.argsort(-np.abs(array), axis=1, kind="stable")[:, :_FEATURES]
        columns[name] = [
            ", ".join(f"{i} ({row[i]:+.2g})".replace("-", MINUS) for i in chosen)
            for row, chosen in zip(array, first, strict=True)
        ]
    table = pd.DataFrame(columns, index=pd.Index(part.positions, name="sample"))
    note = "Features by their number, with what they count for the class that the model says."
    return Shown("features", in_corner(table), "What decided", note)
