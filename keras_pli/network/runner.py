"""Functions of tensors that call a model: traced once and kept, and run over arrays of any length.

Attribution methods, evaluations, exports and the searches for rationales all run their functions here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..checks import checked_number
from ..parts import PartWriter
from .inputs import fixed_batch
from .layers import built_of, same_objects

# Each new callable target and each new input shape is traced; the oldest traces are let go.
_KEPT_TRACES = 64


class Runner:
    """Keeps what was traced, and runs functions of arrays batch by batch.

    Several threads may use one runner. What was traced is dropped when a model has changed in what a trace
    holds fixed: another activation, dtype policy or adapter; new values of weights need no new trace.

    Args:
        models: The models that the functions call.
        batch_size: Samples at a time. Models that take a fixed number get that.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.

    Raises:
        ValueError: If `batch_size` is not a whole number from 1, or `jit_compile` is something else.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        *,
        batch_size: int = 32,
        jit_compile: bool | Literal["auto"] = "auto",
    ) -> None:
        self.models = tuple(models)
        checked: int = checked_number(batch_size, "batch_size", least=1, whole=True)
        fixed = [size for size in map(fixed_batch, self.models) if size is not None]
        # The number of samples that the models take, where they take but one.
        self.fixed_batch = fixed[0] if fixed else None
        self.batch_size = self.fixed_batch or checked
        self.jit_compile = uses_xla(jit_compile)
        self._traces = _Traces(self.models, self.jit_compile)

    def compiling(self, jit_compile: bool) -> Runner:
        """Returns a runner with or without XLA, and with traces of its own."""
        return Runner(self.models, batch_size=self.batch_size, jit_compile=jit_compile)

    def sized(self, batch_size: int) -> Runner:
        """Returns a runner for batches of another size that shares what was traced."""
        other = Runner(self.models, batch_size=batch_size, jit_compile=self.jit_compile)
        other._traces = self._traces
        return other

    def traced(self, function: Callable[..., Any], signature: Sequence[Any], key: Any) -> Any:
        """Traces a function once for a signature, also where TensorFlow is told to run functions eagerly.

        Args:
            function: A function of tensors.
            signature: Tensor specs of its arguments, or structures of them.
            key: What tells the function from others with this signature.

        Returns:
            A concrete function, kept for the next time.
        """
        return self._traces.of(function, signature, key)

    def over(
        self,
        function: Callable[..., Any],
        given: Sequence[Any],
        *,
        parts: PartWriter | None = None,
        verbose: int = 0,
    ) -> Any:
        """Returns what a function gives for all samples, joined.

        Args:
            function: From some rows of what is given to a structure of arrays or tensors, samples first.
            given: Arrays, structures of arrays, or None for what is not there; equally many samples in each.
            parts: Where each batch's results are written at once, which then must be tensors by name; those
                that are there, and whole, are taken as they are.
            verbose: 1 draws a progress bar.

        Example:
            >>> runner = Runner([], batch_size=2)
            >>> runner.over(lambda x: {"twice": 2 * x}, [np.arange(5.0)])["twice"]
            array([0., 2., 4., 6., 8.])
        """
        samples = len(next(leaf for leaf in tf.nest.flatten(given) if leaf is not None))
        fixed = self.fixed_batch
        fill = self.jit_compile or fixed is not None
        plan = list(batches(samples, self.batch_size, fill=fill, least=fixed or 1))
        progress = keras.utils.Progbar(len(plan), verbose=verbose, unit_name="batch")
        stored = _stored(parts, len(plan))
        progress.update(len(stored))
        for number, (rows, count) in enumerate(plan):
            if number in stored:
                continue
            found = function(*_mapped(lambda array, rows=rows: array[rows], list(given)))
            stored[number] = _mapped(lambda tensor, count=count: np.asarray(tensor)[:count], found)
            if parts:
                parts.write(number, stored[number])
            progress.add(1)
        return _mapped(
            lambda *arrays: np.concatenate(arrays), *(stored[number] for number in range(len(plan)))
        )


def uses_xla(jit_compile: bool | Literal["auto"]) -> bool:
    """Returns whether XLA compiles; `"auto"` does so where there is a GPU.

    Raises:
        ValueError: If it is neither True, False nor `"auto"`.
    """
    if jit_compile not in (True, False, "auto"):
        raise ValueError(f"`jit_compile` must be True, False or 'auto'. Received: {jit_compile!r}.")
    if jit_compile == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return bool(jit_compile)


def batches(
    samples: int, size: int, *, fill: bool, least: int = 1
) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Yields the rows of each batch, and how many of them count.

    With `fill`, a short last batch repeats its rows up to the size of the others, so that XLA does not
    compile once more; a lone batch is filled up to `least`.
    """
    for start in range(0, samples, size):
        rows = np.arange(start, min(start + size, samples))
        wanted = size if samples > size else max(least, len(rows))
        yield np.resize(rows, wanted) if fill else rows, len(rows)


def _stored(parts: PartWriter | None, count: int) -> dict[int, Any]:
    """The results of batches that are there, and whole, by number."""
    read = {} if parts is None else {number: parts.read(number) for number in range(count)}
    return {number: part for number, part in read.items() if part is not None}


def batch_spec(x: Any) -> Any:
    """Returns the shapes and types of a batch of samples like these, of any number."""
    return tf.nest.map_structure(
        lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), x
    )


class _Traces:
    """Concrete functions by signature and key, as long as the models are built as they were."""

    def __init__(self, models: Sequence[keras.Model], jit_compile: bool) -> None:
        self.models, self.jit_compile = models, jit_compile
        self._lock = threading.RLock()
        self._kept: dict[Any, Any] = {}
        self._built_on: list[Any] = []

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, function: Callable[..., Any], signature: Sequence[Any], key: Any) -> Any:
        key = (key, repr(signature))
        with self._lock:
            self._drop_outdated()
            found = self._kept.get(key)
            if found is None:
                compiled = tf.function(function, autograph=False, jit_compile=self.jit_compile)
                found = self._kept[key] = compiled.get_concrete_function(*signature)
                for oldest in list(self._kept)[:-_KEPT_TRACES]:
                    del self._kept[oldest]
        return found

    def _drop_outdated(self) -> None:
        now = [part for model in self.models for part in built_of(model)]
        if not same_objects(now, self._built_on):
            self._kept.clear()
            self._built_on = now


def _mapped(function: Callable[..., Any], *structures: Any) -> Any:
    """Maps structures in which None stands for what is not there."""
    return tf.nest.map_structure(
        lambda *leaves: None if leaves[0] is None else function(*leaves), *structures
    )
