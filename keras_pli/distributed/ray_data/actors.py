"""Actors that keep a model and apply a job to batches of rows: in order, tried again, errors by row."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number, one_of, quoted
from ...optional import imported
from .blocks import block_bytes
from .columns import ERROR, Columns, Rows, extended, with_errors
from .model_source import ModelSource
from .resources import Cluster, Share, prepare_device, share_of

Array = NDArray[Any]
Found = dict[str, Array]
# How often a block is tried again where its actor died: one that kills every actor must end somewhere.
RETRIES = 20


class Job(Protocol):
    """What actors do with each batch; it travels to them, and so holds no model."""

    @property
    def added(self) -> Sequence[str]:
        """The columns that are added, as far as they are known beforehand; of `details/r2`, `details`."""

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """Returns a function from a model's inputs, and other columns by name, to arrays by column."""


@dataclass(frozen=True)
class Run:
    """How a job runs on a cluster.

    Args:
        batch_size: Rows that an actor gets at a time.
        concurrency: Actors, or the least and the most of them.
        num_cpus: CPUs of each actor.
        num_gpus: GPUs of each actor.
        on_error: Whether a bad row ends everything, or is told in the column `error`.
    """

    batch_size: int = 64
    concurrency: int | tuple[int, int] = 1
    num_cpus: float | None = None
    num_gpus: float = 0
    on_error: Literal["raise", "column"] = "raise"

    def __post_init__(self) -> None:
        checked_number(self.batch_size, "batch_size", least=1, whole=True)
        one_of(self.on_error, ("raise", "column"), "on_error")


def begun_here(sources: Mapping[str, ModelSource], job: Job) -> None:
    """Begins a job on models that are all at hand, so that what is wrong with a setting shows at once.

    Not where there is a GPU: a process that has used TensorFlow occupies it until its end. Nor of models that
    a function makes, which may work nowhere but in an actor. Then the actors tell, before they take a row.
    """
    if all(source.is_here for source in sources.values()) and not _sees_gpu():
        job.begin({name: source.load() for name, source in sources.items()})


def applied(
    dataset: Any, sources: Mapping[str, ModelSource], job: Job, columns: Columns, run: Run
) -> Any:
    """Returns a data set with the columns that a job adds; actors start when it is read.

    Rows keep their order, and blocks are small enough for all actors to have some, whatever the caller's own
    settings; those of other data sets stay as they are.

    Raises:
        TypeError: If `dataset` is not a `ray.data.Dataset`.
        ValueError: If a column is missing or would be added twice, a model's file is nowhere on a cluster of
            one machine, or the cluster has no room for the actors.
    """
    data = imported("ray.data", "Work on a cluster", extra="ray")
    if not isinstance(dataset, data.Dataset):
        raise TypeError(
            f"`dataset` must be a ray.data.Dataset. Received: {type(dataset).__name__}; "
            "`ray.data.from_numpy`, `from_items` and `read_parquet` make one."
        )
    # Ray keeps the actors of a run that failed as long as its error, which stands in a cycle of references;
    # where they fill the cluster, those of the next run would wait for ever.
    gc.collect()
    cluster = Cluster.here()
    share = share_of(cluster, run.concurrency, run.num_cpus, run.num_gpus)
    for source in sources.values():
        _check_there(source, cluster)
    known = dataset.schema(fetch_if_missing=False)
    if known is not None:
        added = [*job.added, *([ERROR] if run.on_error == "column" else [])]
        columns.check(known.names, added)
    least, most = share.concurrency
    with warnings.catch_warnings():  # of arguments that a later release takes no more
        warnings.simplefilter("ignore", DeprecationWarning)
        made = dataset.map_batches(
            Worker,
            fn_constructor_args=(dict(sources), job, columns, run.on_error, share),
            batch_size=run.batch_size,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=least, max_size=most),
            num_cpus=share.num_cpus,
            num_gpus=share.num_gpus or None,
            **_retries(dataset.map_batches),
        )
    made = _in_order(made)
    if known is not None:
        made.context.target_max_block_size = block_bytes(
            known.base_schema.types, run.batch_size, made.context.target_max_block_size
        )
    return made


def _retries(map_batches: Callable[..., Any]) -> dict[str, Any]:
    """How often actors start again and blocks are tried again, where this release of Ray lets one say so.

    Ray Data's own numbers, which hold where it takes none, have no end.
    """
    if "ray_remote_args_fn" not in signature(map_batches).parameters:
        return {}
    return {"ray_remote_args_fn": partial(dict, max_restarts=-1, max_task_retries=RETRIES)}


class Worker:
    """One actor: a model, loaded once, and the job that is done with it."""

    def __init__(
        self,
        sources: Mapping[str, ModelSource],
        job: Job,
        columns: Columns,
        on_error: str,
        share: Share,
    ) -> None:
        prepare_device(share)
        self._models = {name: source.load() for name, source in sources.items()}
        self._run = job.begin(self._models)
        self._added = [*job.added, *([ERROR] if on_error == "column" else [])]
        self._columns, self._gaps = columns, on_error == "column"
        self._empty: Found | None = None  # the columns without a row

    def __call__(self, table: Any) -> Any:
        """Returns an Arrow table with the columns added.

        Raises:
            ValueError: If a column is missing, or a row cannot be used and errors are to be raised.
        """
        if not len(table) and not table.column_names:  # of no blocks at all
            return table
        self._columns.check(table.column_names, self._added)
        rows = self._columns.read(table)
        parts = list(self._parts(rows)) if len(rows) else []
        found = [part for part in parts if not isinstance(part, str)]
        good = np.array([part[1] for part in self._told(parts)], bool)
        if found:
            whole = _joined([arrays for arrays, _ in found])
            self._empty = {name: array[:0] for name, array in whole.items()}
        else:
            whole = self._without_rows(rows)
        made = extended(table, whole, good, gaps=self._gaps)
        return with_errors(made, [part[0] for part in self._told(parts)]) if self._gaps else made

    def _parts(self, rows: Rows) -> Any:
        """Yields what was found for rows beside one another and their number, or what is wrong with a row.

        A batch that fails is halved until the rows are alone that it fails for.
        """
        try:
            yield self._found(rows), len(rows)
        except _BadRows as error:
            if len(rows) > 1:
                for bounds in ((0, len(rows) // 2), (len(rows) // 2, len(rows))):
                    yield from self._parts(rows.part(*bounds))
            elif self._gaps:
                yield str(error)
            else:
                raise ValueError(
                    f"{rows.name} cannot be used: {error} (on_error='column' tells this in a column, and "
                    "goes on with the other rows.)"
                ) from error.__cause__

    def _found(self, rows: Rows) -> Found:
        try:
            inputs = self._columns.model_inputs(rows.inputs)
        except MemoryError:
            raise
        except Exception as error:  # a decoder raises what it likes
            raise _BadRows(_said(error)) from error
        try:
            return self._run(inputs, **rows.others)
        except _faults() as error:
            raise _BadRows(_said(error)) from error

    def _told(self, parts: Sequence[Any]) -> list[tuple[str | None, bool]]:
        """What is wrong with each row, and whether nothing is."""
        told: list[tuple[str | None, bool]] = []
        for part in parts:
            told += [(part, False)] if isinstance(part, str) else [(None, True)] * part[1]
        return told

    def _without_rows(self, rows: Rows) -> Found:
        """The columns without any row, for a batch in which no row is good."""
        if self._empty is None:
            self._empty = self._tried()
        return self._empty

    def _tried(self) -> Found:
        """What the job gives for one made-up row, without that row; nothing where no row can be made up."""
        try:
            inputs = made_up_inputs(self._models)
            others = {name: np.zeros(1, np.int64) for name in self._columns.others}
            return {name: array[:0] for name, array in self._run(inputs, **others).items()}
        except Exception as error:
            warnings.warn(
                f"No row of a batch can be used, and what a good one would give is unknown: {error}. Its "
                "further columns are left out.",
                stacklevel=2,
            )
            return {}


class _BadRows(Exception):
    """Rows that the model, or what prepares its inputs, does not take."""


def made_up_inputs(models: Mapping[str, Any]) -> Any:
    """Returns one row of a shape that the first model takes, axes of any length being 8 long.

    Raises:
        ValueError: If it says no shape.

    Example:
        >>> import keras
        >>> made_up_inputs({"model": keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])}).shape
        (1, 4)
    """
    model = next(iter(models.values()))
    random = np.random.default_rng(0)

    def row(tensor: Any) -> Array:
        shape = (1, *(size or 8 for size in tensor.shape[1:]))
        whole = "int" in str(tensor.dtype)
        return np.zeros(shape, np.int64) if whole else random.random(shape, np.float32)

    rows = [row(tensor) for tensor in model.inputs]
    return rows[0] if len(rows) == 1 else rows


def _joined(parts: Sequence[Found]) -> Found:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _faults() -> tuple[type[Exception], ...]:
    """What is raised where rows are at fault, and not the machine."""
    import keras

    faults: tuple[type[Exception], ...] = (ValueError, TypeError, IndexError, ArithmeticError)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        faults += (tf.errors.InvalidArgumentError,)
    return faults


def _sees_gpu() -> bool:
    import keras

    if keras.backend.backend() != "tensorflow":
        return True  # what another backend would occupy is unknown
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]} …"


def _check_there(source: ModelSource, cluster: Cluster) -> None:
    """Raises a `ValueError` for a file that a cluster of one machine has nowhere; on several, actors tell."""
    if len(cluster.cpus) > 1 or cluster.grows or source.is_url or not isinstance(source.given, str):
        return
    if not source.is_here:
        raise ValueError(f"There is no model {source.given!r}, named by `{source.argument}`.")


def _in_order(dataset: Any) -> Any:
    """Returns a new data set in which rows keep their order; the setting is that data set's own."""
    made = type(dataset).copy(dataset, _deep_copy=True)
    if made.context is dataset.context:
        raise RuntimeError(
            "This release of Ray lets no data set have settings of its own, which keeping the order needs: "
            f"{quoted([imported('ray', 'It').__version__])}."
        )
    made.context.execution_options.preserve_order = True
    return made
