"""How faithful and how well placed the attributions of a data set's rows are, by actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...checks import check_options, one_of, quoted
from .actors import Found, Run, applied
from .columns import Columns, GivenColumn, stacked
from .explaining import Explaining
from .model_source import GivenModel, ModelSource

if TYPE_CHECKING:
    from ray.data import Dataset

    from ...attribution import Method

Array = NDArray[Any]
# The measures of `keras_pli.evaluation` that give each sample a number, as its tables call them, and the
# functions that take them; the last ones ask for the place that is known to decide.
FAITHFULNESS = {
    "completeness": "completeness",
    "deletion": "deletion_curve",
    "insertion": "insertion_curve",
    "mu_fidelity": "mu_fidelity",
    "infidelity": "infidelity",
    "max_sensitivity": "max_sensitivity",
}
LOCALIZATION = (
    "pointing_game",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "iou",
    "average_precision",
)


def evaluate(
    dataset: Dataset,
    model_path: GivenModel,
    method: str | type[Method] | Callable[[Any], Method],
    *,
    measures: Sequence[str] | Mapping[str, Mapping[str, Any]] = (
        "deletion",
        "insertion",
        "mu_fidelity",
        "infidelity",
    ),
    mask_column: str | None = None,
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
) -> Dataset:
    """Measures a method's attributions of every row of a Ray data set, a column for each measure.

    Values are those of `keras_pli.evaluation` for the row, float64, whatever batch it is in. Means and
    intervals over the rows are `dataset.mean` and the like away.

    Args:
        dataset: Rows of any number, of a model with one input.
        model_path: As in `explain`.
        method: As in `explain`.
        measures: Which of `"completeness"`, `"deletion"` and `"insertion"` (areas under the curves),
            `"mu_fidelity"`, `"infidelity"`, `"max_sensitivity"`; with masks also `"pointing_game"`,
            `"relevance_mass_accuracy"`, `"relevance_rank_accuracy"`, `"iou"`, `"average_precision"`. A dict
            gives each its settings, such as `{"deletion": {"steps": 10}}`; those left out are the functions'.
        mask_column: The column of booleans, True where it is known to be decided, for localisation.
        column: As in `explain`.
        target: As in `explain`.
        label_column: As in `explain`.
        id_column: As in `explain`.
        preprocess: As in `explain`.
        batch_size: Rows that an actor measures at a time.
        concurrency: As in `explain`.
        num_gpus: As in `explain`.
        num_cpus: As in `explain`.
        on_error: As in `explain`. A mask that is empty or full is an error.
        **settings: The method's settings, as in `explain`.

    Returns:
        A `ray.data.Dataset`; the attributions themselves are not kept.

    Raises:
        TypeError: As in `explain`; if a measure takes no such setting.
        ValueError: As in `explain`; if there is no such measure, or one asks for masks and there are none.

    Example:
        >>> import ray
        >>> def classifier():
        ...     import keras
        ...     return keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
        >>> rows = ray.data.from_numpy(np.random.rand(10, 8))
        >>> found = evaluate(rows, classifier, "gradient_times_input", measures=["deletion", "mu_fidelity"])
        >>> sorted(found.take(1)[0])
        ['data', 'deletion', 'mu_fidelity']
    """
    source = ModelSource.of(model_path, "model_path")
    explaining = Explaining.of(method, settings, target=target, batch_size=batch_size)
    job = Measuring.of(explaining, measures, with_masks=mask_column is not None)
    others = {"labels": label_column} if isinstance(target, str) else {}
    if mask_column is not None:
        others["masks"] = mask_column
    columns = Columns(column, others, id_column, preprocess)
    run = Run(batch_size, concurrency, num_cpus, num_gpus, on_error)
    explaining.check(source)
    return applied(dataset, {"model": source}, job, columns, run)


@dataclass(frozen=True)
class Measuring:
    """Measures with their settings, and the method that they measure."""

    explaining: Explaining
    measures: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, explaining: Explaining, measures: Any, *, with_masks: bool) -> Measuring:
        """Returns a job of what the caller gave, checked as far as that needs no model.

        Raises:
            TypeError: If a measure takes no such setting.
            ValueError: If there is no such measure, or one asks for masks and there are none.
        """
        if isinstance(measures, str) or not measures:
            raise ValueError(
                f"`measures` must name measures, one at least. Received: {measures!r}."
            )
        asked = dict(measures) if isinstance(measures, Mapping) else {name: {} for name in measures}
        for name, settings in asked.items():
            one_of(name, [*FAITHFULNESS, *LOCALIZATION], "measures")
            check_options(_function(name), settings)
            if name in LOCALIZATION and not with_masks:
                raise ValueError(
                    f"{name!r} asks for the place that is known to decide: name a column of masks by "
                    "`mask_column`."
                )
        if with_masks and not set(asked) & set(LOCALIZATION):
            raise ValueError(
                f"Masks are for {quoted(LOCALIZATION)}, and `measures` has none of these: {quoted(asked)}."
            )
        return cls(explaining, asked)

    @property
    def added(self) -> list[str]:
        """See `Job`."""
        return list(self.measures)

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        from ...evaluation import Scorer
        from ...network.targets import AtPosition, Within

        method = self.explaining.made(models["model"])
        scorer = Scorer(method)
        given = self.explaining.target
        placed = isinstance(given, AtPosition | Within)

        def run(inputs: Any, labels: Array | None = None, masks: Array | None = None) -> Found:
            target = given if labels is None else labels
            images = scorer.inputs(inputs)
            aim = scorer.aim(images, target) if placed or not callable(target) else target
            maps = method(images, target, **self.explaining.call)
            found = {}
            for name, settings in self.measures.items():
                if name in LOCALIZATION:
                    values = _function(name)(maps, stacked(np.asarray(masks), "masks"), **settings)
                elif name == "max_sensitivity":
                    values = _function(name)(method, images, maps, aim, **settings)
                else:
                    values = _function(name)(scorer, images, maps, aim, **settings)
                values = getattr(values, "area", values)  # of a curve
                found[name] = np.asarray(values, np.float64)
            return found

        return run


def _function(name: str) -> Callable[..., Any]:
    from ... import evaluation

    found: Callable[..., Any] = getattr(evaluation, FAITHFULNESS.get(name, name))
    return found
