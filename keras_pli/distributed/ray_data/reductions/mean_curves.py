"""Deletion and insertion curves averaged over a data set, with a band of confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....brief import counted
from ....checks import checked_number, one_of
from ..actors import Found, Run, applied
from ..columns import Columns, GivenColumn
from ..explaining import Explaining
from ..model_source import GivenModel, ModelSource
from .grouped_moments import ALL, grouped_moments

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from ray.data import Dataset

    from ....attribution import Method

Array = NDArray[np.float64]
Kind = Literal["deletion", "insertion"]
_KINDS = ("deletion", "insertion")
_CURVE = "curve"


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """The mean score over a data set as more and more positions are deleted or inserted.

    Args:
        fractions: Shares of the positions deleted or inserted, from 0 to 1, `(steps,)`.
        mean: The mean score at each of them, likewise.
        low: The lower end of its confidence interval over samples by Student's t, likewise.
        high: The upper end.
        area: The mean area under the samples' curves, and the ends of its interval.
        samples: How many samples there were.
        kind: `"deletion"`, where a small area is good, or `"insertion"`, where a large one is.
        confidence: Coverage of the intervals, each by itself.
        left_out: Rows without a curve, because they had an error.
    """

    fractions: Array
    mean: Array
    low: Array
    high: Array
    area: tuple[float, float, float]
    samples: int
    kind: Kind = "deletion"
    confidence: float = 0.95
    left_out: int = 0

    def __repr__(self) -> str:
        area, low, high = self.area
        lost = f"; {counted(self.left_out, 'row')} left out" if self.left_out else ""
        return (
            f"MeanCurve of {counted(self.samples, 'sample')}, {self.kind} at {len(self.fractions)} shares; "
            f"mean area {area:.3f} ({100 * self.confidence:g} % interval {low:.3f} to {high:.3f}){lost}"
        )

    def _repr_html_(self) -> str:
        from ....plotting.notebook import notebook_html

        return notebook_html(repr(self), figure=self.plot())

    def plot(self) -> Figure:
        """Draws the mean with its band.

        Returns:
            A new `plotting.faithfulness_curves`, which draws the curves of several methods, too.
        """
        from ....plotting import faithfulness_curves

        known = self.samples > 1  # of one sample there is no interval
        name = f"mean of {counted(self.samples, 'sample')}"
        name += f", {100 * self.confidence:g} % interval" if known else ""
        bands = {name: (self.low, self.high)} if known else {}
        return faithfulness_curves({name: self.mean}, self.fractions, kind=self.kind, bands=bands)


def deletion_curves(
    dataset: Dataset,
    model_path: GivenModel,
    method: str | type[Method] | Callable[[Any], Method],
    *,
    kind: Kind = "deletion",
    fill: Any = 0.0,
    score: Literal["probabilities", "logits"] = "probabilities",
    steps: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
    column: GivenColumn = None,
    target: Any = None,
    label_column: str = "label",
    id_column: str | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    num_cpus: float | None = None,
    on_error: Literal["raise", "column"] = "raise",
    **settings: Any,
) -> MeanCurve:
    """Returns the mean over a data set of the curves of `evaluation.deletion_curve` or `insertion_curve`.

    Actors explain rows and measure them; no map leaves them. The curve of a row is that of a local call on
    all rows, up to rounding, and memory does not grow with the data set.

    Args:
        dataset: Rows of any number, of a model with one input.
        model_path: As in `explain`.
        method: As in `explain`.
        kind: `"deletion"` or `"insertion"`.
        fill: What removed positions show, the `baseline` of `evaluation.deletion_curve`: a number, an array
            shaped like one sample, or `"blur"`.
        score: As in `evaluation.deletion_curve`.
        steps: As in `evaluation.deletion_curve`.
        seed: As in `evaluation.deletion_curve`.
        confidence: Coverage of the band, in (0, 1).
        column: As in `explain`.
        target: As in `explain`.
        label_column: As in `explain`.
        id_column: As in `explain`.
        preprocess: As in `explain`.
        batch_size: Rows that an actor measures at a time.
        concurrency: As in `explain`.
        num_gpus: As in `explain`.
        num_cpus: As in `explain`.
        on_error: As in `explain`; with `"column"`, rows that cannot be used are left out and counted.
        **settings: The method's settings, as in `explain`.

    Returns:
        A `MeanCurve`; it runs at once.

    Raises:
        TypeError: As in `explain`.
        ValueError: As in `explain`; if there is no such kind, score or fill, or no row is left.

    Example:
        >>> import ray
        >>> def classifier():
        ...     import keras
        ...     return keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
        >>> rows = ray.data.from_numpy(np.random.rand(10, 8))
        >>> curve = deletion_curves(rows, classifier, "gradient_times_input", steps=4)
        >>> curve.samples, curve.fractions.tolist()
        (10, [0.0, 0.25, 0.5, 0.75, 1.0])
    """
    one_of(kind, _KINDS, "kind")
    one_of(score, ("probabilities", "logits"), "score")
    checked_number(steps, "steps", least=1, whole=True)
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1). Received: {confidence!r}.")
    source = ModelSource.of(model_path, "model_path")
    explaining = Explaining.of(method, settings, target=target, batch_size=batch_size)
    removal = {"baseline": fill, "score": score, "steps": steps, "seed": seed}
    others = {"labels": label_column} if isinstance(target, str) else {}
    columns = Columns(column, others, id_column, preprocess)
    run = Run(batch_size, concurrency, num_cpus, num_gpus, on_error)
    explaining.check(source)
    job = Curves(explaining, kind, removal)
    measured = applied(dataset, {"model": source}, job, columns, run)
    found, left_out = grouped_moments(measured, _CURVE)
    moments = found[ALL]
    scores, area, fractions = _parted(moments.mean)
    low, high = (_parted(end) for end in moments.interval(confidence))
    return MeanCurve(
        fractions,
        scores,
        low[0],
        high[0],
        (area, low[1], high[1]),
        moments.count,
        kind,
        confidence,
        left_out,
    )


def _parted(row: Array) -> tuple[Array, float, Array]:
    """Scores, area and fractions of a row, as `Curves` puts them together."""
    steps = len(row) // 2
    return row[:steps], float(row[steps]), row[steps + 1 :]


@dataclass(frozen=True)
class Curves:
    """Curves of a method's maps, a `Job` of actors.

    A row is the scores, the area under them, and the fractions, the same in each row: one pass reduces all.
    """

    explaining: Explaining
    kind: Kind
    removal: Mapping[str, Any]

    @property
    def added(self) -> list[str]:
        """See `Job`."""
        return [_CURVE]

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        from ....evaluation import Scorer, deletion_curve, insertion_curve

        measure = {"deletion": deletion_curve, "insertion": insertion_curve}[self.kind]
        method = self.explaining.made(models["model"])
        scorer = Scorer(method)

        def run(inputs: Any, labels: NDArray[Any] | None = None) -> Found:
            target = self.explaining.target if labels is None else labels
            images = scorer.inputs(inputs)
            aim = target if callable(target) else scorer.aim(images, target)
            maps = method(images, target, **self.explaining.call)
            found = measure(scorer, images, maps, aim, **self.removal)
            fractions = np.tile(found.fractions, (len(images), 1))
            return {_CURVE: np.hstack([found.scores, found.area[:, np.newaxis], fractions])}

        return run
