"""Activations of a layer for a data set's rows, by actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .actors import Found, Run, applied, begun_here
from .columns import Columns, GivenColumn
from .model_source import GivenModel, ModelSource

if TYPE_CHECKING:
    from ray.data import Dataset


def activations(
    dataset: Dataset,
    model_path: GivenModel,
    layer: str = "logits",
    *,
    column: GivenColumn = None,
    id_column: str | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    num_cpus: float | None = None,
    on_error: Literal["raise", "column"] = "raise",
) -> Dataset:
    """Adds what a layer puts out for every row of a Ray data set, in a column `activations`.

    Rows of the column are float32 `(features,)`, as `keras_pli.activations` returns them.

    Args:
        dataset: Rows of any number.
        model_path: As in `explain`.
        layer: The layer's path, or `"logits"`, as in `keras_pli.activations`.
        column: As in `explain`.
        id_column: As in `explain`.
        preprocess: As in `explain`.
        batch_size: Rows that an actor reads the layer for at a time.
        concurrency: As in `explain`.
        num_gpus: As in `explain`.
        num_cpus: As in `explain`.
        on_error: As in `explain`.

    Returns:
        A `ray.data.Dataset`.

    Raises:
        TypeError: As in `explain`; if `layer` is no text.
        ValueError: As in `explain`.

    Example:
        >>> import keras, ray
        >>> def classifier():
        ...     import keras
        ...     return keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
        >>> rows = ray.data.from_numpy(np.random.rand(10, 8))
        >>> activations(rows, classifier).take(1)[0]["activations"].shape
        (3,)
    """
    source = ModelSource.of(model_path, "model_path")
    columns = Columns(column, {}, id_column, preprocess)
    run = Run(batch_size, concurrency, num_cpus, num_gpus, on_error)
    job = Reading(layer)
    begun_here({"model": source}, job)
    return applied(dataset, {"model": source}, job, columns, run)


@dataclass(frozen=True)
class Reading:
    """The layer that is read."""

    layer: str

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str):
            raise TypeError(
                f"`layer` must be a layer's path. Received: {type(self.layer).__name__}."
            )

    @property
    def added(self) -> list[str]:
        """See `Job`."""
        return ["activations"]

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        read = reader_of(models["model"], self.layer)
        return lambda inputs: {"activations": read(inputs)}


def reader_of(model: Any, layer: str) -> Callable[[Any], Any]:
    """Returns a function from checked or unchecked inputs to a layer's activations, `(samples, features)`.

    It takes any number of samples, also where the model takes but one number of them.

    Raises:
        ValueError: If there is no such layer, or no logits can be found.
    """
    import keras

    from ...network.activations import ActivationReader

    reader = ActivationReader(model, layer)
    if keras.backend.backend() != "tensorflow":
        return lambda inputs: np.asarray(reader.predict_on_batch(inputs), np.float32)
    from ...network.inputs import checked_inputs
    from ...network.runner import Runner

    runner = Runner([model], batch_size=1 << 20, jit_compile=False)

    def read(inputs: Any) -> Any:
        inputs = checked_inputs(inputs, model)
        found = runner.over(lambda rows: reader.predict_on_batch(rows), [inputs])
        return np.asarray(found, np.float32)

    return read
