"""Which classes a model tells apart, and which it takes for others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from ..brief import counted
from ..plotting import confusion_figure
from ..retraining.experiment.response import performance_response
from .context import Context
from .section import Section, Shown, in_corner, share

_FEW = 30  # samples of a class below which its recall is little more than a guess


def confusion(context: Context) -> Section:
    """The confusion matrix, and precision, recall and F1 of each class."""
    test = context.test
    classes = len(context.class_names)
    counts = confusion_matrix(test.labels, test.predicted, labels=np.arange(classes))
    table = class_table(context)
    low, high = accuracy_interval(context)
    belief = (
        f"Accuracy {share(context.accuracy)} of {counted(len(test), context.what[:-1])}; with so many, that "
        f"of all data like these lies between {share(low)} and {share(high)} (95 %, Wilson)."
    )
    support = np.bincount(test.labels, minlength=classes)
    few = [context.name_of(label) for label in np.flatnonzero(support < _FEW)]
    if few:
        belief += (
            f" Figures of a class with fewer than {_FEW} samples may be off by a tenth and more: "
            f"{_listed(few)}."
        )
    if not context.held_out:
        belief += " One set was given: if the model was trained on it, it does better here than elsewhere."
    shown = [
        Shown(
            "confusion",
            confusion_figure(counts, context.class_names),
            note="Rows are the labels, columns what the model says. Shades are shares of a row; errors "
            "(vermilion) have a scale of their own.",
        ),
        Shown("classes", in_corner(table.set_index("class")), "Each class"),
    ]
    return Section("Confusion", belief, tuple(shown))


def class_table(context: Context) -> pd.DataFrame:
    """Returns `class`, `precision`, `recall`, `F1`, `samples` and `most often taken for`."""
    test = context.test
    rows = performance_response(
        test.labels, test.predicted, classes=list(range(len(context.class_names)))
    )
    table = pd.DataFrame(
        {
            "class": context.class_names,
            **{name: rows[name.lower()].round(3) for name in ("precision", "recall", "F1")},
            "samples": rows["support"],
        }
    )
    table["most often taken for"] = [_taken(context, label) for label in range(len(table))]
    return table


def worst_class(context: Context) -> int | None:
    """Returns the class of the least F1 among those that occur; None if all are perfect."""
    table = class_table(context)
    there = table[table["samples"] > 0]
    if there["F1"].min() == 1:
        return None
    return int(there["F1"].idxmin())


def accuracy_interval(context: Context) -> tuple[float, float]:
    """Returns the ends of the 95 % interval of the accuracy (Wilson 1927)."""
    right = int(np.sum(context.test.predicted == context.test.labels))
    found = binomtest(right, len(context.test)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _taken(context: Context, label: int) -> str:
    test = context.test
    others = test.predicted[(test.labels == label) & (test.predicted != label)]
    if not len(others):
        return ""
    counts = np.bincount(others)
    return f"{context.name_of(counts.argmax())} ({counts.max()}\N{MULTIPLICATION SIGN})"


def _listed(names: list[str], most: int = 12) -> str:
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")
