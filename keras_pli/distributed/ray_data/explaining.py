"""Attributions of a data set's rows, by actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...checks import check_options, quoted
from .actors import Found, Run, applied, begun_here
from .columns import Columns, GivenColumn
from .model_source import GivenModel, ModelSource

if TYPE_CHECKING:
    from ray.data import Dataset

    from ...attribution import Method

Array = NDArray[Any]
# What a call of a method takes beside inputs and target.
_OF_CALLS = ("baseline",)


def explain(
    dataset: Dataset,
    model_path: GivenModel,
    method: str | type[Method] | Callable[[Any], Method],
    *,
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
    """Explains every row of a Ray data set; the model is loaded once in each of several actors.

    Nothing runs before the returned data set is read. Rows keep their order and all their columns; added are
    those that `attribution.explain_dataset` stores: `attributions` (of several inputs `attributions/<key>`),
    `scores`, `delta` where the method has one, and `details/<name>`. They are what the method gives for all
    rows at once, whatever batch or actor a row is in, up to rounding. An actor takes a block at a time, of
    sixteen batches or more; where it dies, another does the block again. A caller's settings of
    `preserve_order` and of the size of blocks stay as they are for all other data sets.

    Ray keeps the actors of a run that failed as long as anything holds its exception; a notebook does so
    until the next one. If they fill the cluster, further actors wait for them.

    Args:
        dataset: Rows of any number.
        model_path: Path or URL (`s3://…`) of a stored Keras model that every node reaches, or a function
            without arguments that returns a built one, called once in each actor. Its optimizer and loss are
            not loaded.
        method: A method's name as on the command line, such as `"grad_cam"`; its class; or a function from a
            model to a method, such as `lambda model: SmoothGrad(IntegratedGradients(model))`.
        column: The column of the model's input, `(samples, ...)`. Of several inputs a list of columns in the
            model's order, or a dict of columns by the inputs' names. None takes the only column there is
            beside labels and ids.
        target: As in `Method.__call__`, the same for all rows; or `"label"` for each row's own label.
        label_column: The column of labels, integers, for `target="label"`.
        id_column: The column by which errors name a row; None takes `id`, if there is one, or the place in a
            batch.
        preprocess: A function, importable by the actors, from what the columns of some rows hold (an array,
            or a list or dict of arrays as `column` is) to the model's inputs for these rows; each row by
            itself. None hands on what is there: images as uint8 are then floats from 0 to 255.
        batch_size: Rows that an actor explains at a time. A model that takes a fixed number gets that.
        concurrency: Number of actors, or the least and the most, between which Ray chooses.
        num_gpus: GPUs of each actor, perhaps a part of one. Without, an actor sees none.
        num_cpus: CPUs of each actor, and the threads that it computes with; None takes one, or less where the
            cluster has no more beside one CPU for the tasks that feed the actors.
        on_error: `"raise"` ends at a row that cannot be used (not finite, of another shape, with a label that
            does not exist, that cannot be decoded) with an error that names it; `"column"` goes on, with NaN
            or null for that row, and tells what is wrong in a column `error`, null where nothing is. Then
            results that are arrays of integers are floats.
        **settings: The method's settings, such as `steps=32`, and `baseline` as its call takes it.

    Returns:
        A `ray.data.Dataset`.

    Raises:
        TypeError: If the model is none of these, such as a model itself; the method takes no such setting;
            or `dataset` is no Ray data set.
        ValueError: If there is no such method, column, layer or file; a setting has a wrong value; the target
            is another for each row; or the cluster has no room for the actors. What needs the model is
            checked at once where its file is on this machine and no GPU is, which the check would occupy;
            else by the actors, before they take a row.

    Example:
        >>> import keras, numpy as np, ray, tempfile
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.keras")
        ...     rows = ray.data.from_numpy(np.random.rand(10, 8)).rename_columns({"data": "signal"})
        ...     found = explain(rows, f"{folder}/model.keras", "saliency", target=1).take_all()
        >>> len(found), sorted(found[0]), found[0]["attributions"].shape
        (10, ['attributions', 'scores', 'signal'], (8,))
    """
    source = ModelSource.of(model_path, "model_path")
    job = Explaining.of(method, settings, target=target, batch_size=batch_size)
    others = {"labels": label_column} if isinstance(target, str) else {}
    columns = Columns(column, others, id_column, preprocess)
    run = Run(batch_size, concurrency, num_cpus, num_gpus, on_error)
    job.check(source)
    return applied(dataset, {"model": source}, job, columns, run)


@dataclass(frozen=True)
class Explaining:
    """A method, its settings and its target, before there is a model."""

    method: Callable[..., Any]
    target: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, method: Any, settings: Mapping[str, Any], *, target: Any, batch_size: int
    ) -> Explaining:
        """Returns a job of what the caller gave, checked as far as that needs no model.

        Raises:
            TypeError: If a setting is unknown, or the method is something else.
            ValueError: If there is no method of the name, or the target is another for each row.
        """
        from ...attribution import find_method
        from ...attribution.method import Method
        from ...attribution.rows import check_shared_target

        check_shared_target(target)
        kind = find_method(method) if isinstance(method, str) else method
        if isinstance(kind, Method) or not callable(kind):
            raise TypeError(
                "`method` must be a method's name, its class, or a function from a model to a method. "
                f"Received: {method!r}."
            )
        call = {name: settings[name] for name in _OF_CALLS if name in settings}
        own = {name: value for name, value in settings.items() if name not in call}
        if isinstance(kind, type):
            if call and not (issubclass(kind, Method) and kind.takes_baseline):
                raise TypeError(f"{kind.__name__} has no baseline.")
            check_options(kind, own)
            own = {"batch_size": batch_size, **own}
        elif own:
            raise TypeError(
                f"The function given as `method` makes the method with its settings. Received further ones: "
                f"{quoted(own)}."
            )
        return cls(kind, target, own, call)

    @property
    def added(self) -> list[str]:
        """See `Job`."""
        return ["attributions", "scores", "delta", "details"]

    def check(self, source: ModelSource) -> None:
        """Makes the method once of a model that is at hand (see `begun_here`)."""
        begun_here({"model": source}, self)

    def made(self, model: Any) -> Method:
        """Returns the method of a model.

        Raises:
            TypeError: If the function returns something else.
        """
        from ...attribution.method import Method

        method = self.method(model, **self.settings)
        if not isinstance(method, Method):
            raise TypeError(
                f"`method` must make an attribution method. It made: {type(method).__name__}."
            )
        return method

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        from ...attribution.rows import explained_rows

        method = self.made(models["model"])

        def run(inputs: Any, labels: Array | None = None) -> Found:
            found: Found = explained_rows(method, inputs, self.target, labels, **self.call)
            return {name: np.asarray(array) for name, array in found.items()}

        return run
