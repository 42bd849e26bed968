"""Positions on a map for a data set's rows, by actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .actors import Found, Run, applied, begun_here
from .columns import Columns, GivenColumn
from .layer_activations import Reading, reader_of
from .model_source import GivenModel, ModelSource

if TYPE_CHECKING:
    from ray.data import Dataset


def map_positions(
    dataset: Dataset,
    embedder: GivenModel,
    *,
    classifier: GivenModel | None = None,
    layer: str = "logits",
    column: GivenColumn = None,
    id_column: str | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    num_cpus: float | None = None,
    on_error: Literal["raise", "column"] = "raise",
) -> Dataset:
    """Adds where a trained map puts every row of a Ray data set, in a column `positions`.

    Rows of the column are float32 `(components,)`, as the map's `predict` gives them.

    Args:
        dataset: Rows of any number.
        embedder: Path or URL of the stored map, or a function that returns it, as a model in `explain`.
        classifier: The same of the classifier whose activations the map was trained on; None where the
            column holds such activations.
        layer: The classifier's layer, or `"logits"`, as in `keras_pli.activations`.
        column: The column of activations, or of the classifier's input, as in `explain`.
        id_column: As in `explain`.
        preprocess: As in `explain`.
        batch_size: Rows that an actor maps at a time.
        concurrency: As in `explain`.
        num_gpus: As in `explain`.
        num_cpus: As in `explain`.
        on_error: As in `explain`.

    Returns:
        A `ray.data.Dataset`.

    Raises:
        TypeError: As in `explain`.
        ValueError: As in `explain`; in an actor, if the map has not been trained.

    Example:
        >>> import ray
        >>> def embedder():
        ...     from keras_pli import ParametricTSNE
        ...     tsne = ParametricTSNE(perplexity=5)
        ...     tsne.fit(np.random.default_rng(0).random((40, 6)), epochs=1, verbose=0)
        ...     return tsne
        >>> rows = ray.data.from_numpy(np.random.rand(10, 6))
        >>> map_positions(rows, embedder).take(1)[0]["positions"].shape
        (2,)
    """
    # The model that takes the rows comes first.
    sources = {}
    if classifier is not None:
        sources["classifier"] = ModelSource.of(classifier, "classifier")
    sources["embedder"] = ModelSource.of(embedder, "embedder")
    columns = Columns(column, {}, id_column, preprocess)
    run = Run(batch_size, concurrency, num_cpus, num_gpus, on_error)
    job = Placing(Reading(layer))
    begun_here(sources, job)
    return applied(dataset, sources, job, columns, run)


@dataclass(frozen=True)
class Placing:
    """What the map gets, where there is a classifier."""

    reading: Reading

    @property
    def added(self) -> list[str]:
        """See `Job`."""
        return ["positions"]

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        from ...checks import finite_array
        from ...retraining.embedders import check_trained

        embedder = models["embedder"]
        check_trained(embedder)
        read = None
        if "classifier" in models:
            read = reader_of(models["classifier"], self.reading.layer)

        def run(inputs: Any) -> Found:
            z = finite_array(inputs, "x") if read is None else read(inputs)
            return {"positions": np.asarray(embedder.predict(z, verbose=0), np.float32)}

        return run
