"""One page of what the package can say about a classifier."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras

from ..brief import counted
from ..checks import one_of
from ..network.layers import check_model
from .confusion import accuracy_interval, class_table, confusion, worst_class
from .context import Context, make_context
from .errors import errors
from .features import first_filters, strongest
from .maximized import maximized
from .provenance import given_by, provenance
from .representation import representation
from .result import ModelReport, PartResult
from .section import DoesNotApplyError, Section, share
from .sharpness import sharpness
from .suspects import suspects

Part = Callable[[Context], Section]

# In the order of the page.
PARTS: dict[str, Part] = {
    "confusion": confusion,
    "errors": errors,
    "map": representation,
    "labels": suspects,
    "filters": first_filters,
    "top_images": strongest,
    "maximizing": maximized,
    "sharpness": sharpness,
    "provenance": provenance,
}
PAGE = "model_report.html"


def report(
    model: keras.Model,
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    parts: Iterable[str] | None = None,
    layer: str | None = None,
    class_names: Sequence[str] | None = None,
    output: int | str | None = None,
    samples: int = 2000,
    seed: int = 0,
    title: str | None = None,
    about: dict[str, Any] | None = None,
    verbose: int = 0,
) -> ModelReport:
    """Writes one page of what the package can say about a classifier, with how far to believe each part.

    The parts are `"confusion"` (and precision, recall, F1 of each class), `"errors"` (the surest ones, with
    attributions by two methods and the checks of these), `"map"` (parametric t-SNE of a layer), `"labels"`
    (training samples that look wrong), `"filters"` (of the first layer), `"top_images"` (the strongest places
    of some channels), `"maximizing"` (images that excite classes most), `"sharpness"` and `"provenance"`.

    What does not apply to a model or its data is left out, and the page says why. A part that fails loses no
    other: the page and the result say what it failed of. When interrupted, what was finished is written.

    Args:
        model: A built classifier, whether it ends in probabilities or logits, or in a single unit for two
            classes. It is left as it is.
        data: `(x, y)`, or `((x_train, y_train), (x_test, y_test))`, of which the second is reported on.
            Labels are numbers of classes or one-hot.
        out: A folder, in which the page is `model_report.html`, or a file that ends in `.html`; None writes
            nothing.
        parts: Names of the parts; None for all.
        layer: The layer whose map is drawn, or its path; None for the logits. If it convolves, its channels
            are shown, too, else those of the last convolution.
        class_names: One a class.
        output: Position or name of the output, where the model has several.
        samples: Most samples of a set; of more, so many are drawn at random, and the page says so.
        seed: Of everything random.
        title: Heading of the page.
        about: What else belongs to the provenance, such as the name of a file.
        verbose: 1 shows which part is made, and how far it is.

    Returns:
        A `ModelReport` with the figures and tables of each part.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If data, labels, names, the output or the parts do not fit.

    Example:
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> x, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
        >>> found = report(model, (x, y), parts=["confusion", "provenance"])
        >>> list(found.tables["confusion"])
        ['classes']
        >>> found.html()[:15]
        '<!doctype html>'
    """
    check_model(model)
    chosen = _chosen(parts)
    told = given_by(model, data, **(about or {}))
    context = make_context(
        model,
        data,
        layer=layer,
        class_names=class_names,
        output=output,
        samples=samples,
        seed=seed,
        verbose=verbose,
        provenance=told,
    )
    path = None if out is None else _path(out)
    made: dict[str, PartResult] = {}
    try:
        for number, name in enumerate(chosen, start=1):
            if verbose:
                print(f"Part {number} of {len(chosen)}: {name}", flush=True)
            made[name] = _made(name, context)
    except KeyboardInterrupt as error:
        for name in chosen[len(made) :]:
            made[name] = PartResult(name, None, "It was interrupted.", error, 0.0)
        _finished(context, made, title, path)
        raise
    return _finished(context, made, title, path)


def _chosen(parts: Iterable[str] | None) -> list[str]:
    """The parts asked for, in the page's order."""
    if isinstance(parts, str):
        parts = [parts]
    asked = list(PARTS) if parts is None else list(parts)
    for name in asked:
        one_of(name, PARTS, "parts")
    return [name for name in PARTS if name in asked]


def _path(out: str | os.PathLike[str]) -> Path:
    path = Path(out)
    return path if path.suffix.lower() in (".html", ".htm") else path / PAGE


def _made(name: str, context: Context) -> PartResult:
    start = time.perf_counter()
    section, reason, failure = None, "", None
    try:
        section = PARTS[name](context)
    except DoesNotApplyError as error:
        reason = str(error)
    except Exception as error:  # whatever a part fails of, the others are still worth reading
        reason, failure = f"{type(error).__name__}: {error}", error
    return PartResult(name, section, reason, failure, time.perf_counter() - start)


def _finished(
    context: Context, made: dict[str, PartResult], title: str | None, path: Path | None
) -> ModelReport:
    found = ModelReport(
        title=f"Report on {context.model.name}" if title is None else title,
        summary=_summary(context, made),
        parts=made,
        settings={"told": _told(context), **context.provenance},
        path=path,
    )
    if path is not None:
        found.save(path)
    return found


def _summary(context: Context, made: dict[str, PartResult]) -> tuple[str, ...]:
    """Accuracy, the worst class, and what a reader must not overlook."""
    low, high = accuracy_interval(context)
    most = float(max(map(float, _shares(context))))
    lines = [
        f"Accuracy {share(context.accuracy)} on {counted(len(context.test), context.what[:-1])} (95 %: "
        f"{share(low)} to {share(high)}); always saying the most frequent class would give {share(most)}."
    ]
    worst = worst_class(context)
    if worst is None:
        lines.append("No sample is classified wrongly.")
    else:
        row = class_table(context).loc[worst]
        taken = row["most often taken for"]
        lines.append(
            f"The worst class is {row['class']}: F1 {row['F1']:.3f}, recall {row['recall']:.3f} of "
            f"{counted(int(row['samples']), 'sample')}"
            + (f"; most often taken for {taken}." if taken else ".")
        )
    warnings = [
        warning
        for part in made.values()
        if part.section is not None
        for warning in part.section.warnings
    ]
    failed = [name for name, part in made.items() if part.error is not None]
    if failed:
        warnings.append(f"{counted(len(failed), 'part')} failed: {', '.join(failed)}.")
    return (*lines, *(warnings or ["No check below warns against what it looked at."]))


def _shares(context: Context) -> list[float]:
    labels = context.test.labels
    return [float((labels == label).mean()) for label in range(len(context.class_names))]


def _told(context: Context) -> str:
    """The line below the heading."""
    test = context.test
    drawn = "" if len(test) == test.total else f", {len(test):,} of them drawn at random"
    trained = "" if context.train is None else f"; {context.train.total:,} for training"
    if context.train is not None and len(context.train) < context.train.total:
        trained += f", {len(context.train):,} drawn"
    return (
        f"{context.model.count_params():,} parameters, {len(context.class_names)} classes; "
        f"{test.total:,} {context.what}{drawn}{trained}. Seed {context.seed}. "
        f"{str(context.provenance['date'])[:10]}."
    )
