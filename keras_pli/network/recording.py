"""Watching what a model's operations receive and give while it runs; the model itself is not touched.

A layer is called by Keras through `keras.Operation.__call__`. That one function gets a listener, once, which
looks for a recording in its own context (`contextvars`): a recording in one thread neither sees nor disturbs
what another thread does with the same model, and no layer has an attribute replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import Any, Protocol

import keras

Tensor = Any

_INSTALLING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Recording:
    """What some operations received and gave in the passes of one block.

    Args:
        outputs_of: Operations whose outputs are kept.
        before: Operations of which is kept what their activation receives, if they have one and weights of
            their own, or else what they themselves receive.
    """

    outputs_of: Sequence[Any] = ()
    before: Sequence[Any] = ()
    _given: dict[int, list[Any]] = field(default_factory=dict)
    _received: dict[int, list[Any]] = field(default_factory=dict)

    def of(self, operation: Any) -> list[Any]:
        """What an operation gave, one entry for each time it ran."""
        return self._given.setdefault(id(operation), [])

    def received_by(self, operation: Any) -> list[Any]:
        """What an operation, or its activation, received, one entry for each time it ran."""
        return self._received.setdefault(id(operation), [])

    def call(self, original: Callable[..., Any], operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs an operation and keeps what is asked for."""
        runs = operation
        if any(operation is watched for watched in self.before):
            if applies_activation(operation):
                runs = _listening(operation, self.received_by(operation))
            else:
                # By position or by name, the first argument is the input.
                received = signature(operation.call).bind(*args, **kwargs).arguments
                self.received_by(operation).append(next(iter(received.values())))
        outputs = original(runs, *args, **kwargs)
        if any(operation is watched for watched in self.outputs_of):
            self.of(operation).append(outputs)
        return outputs


@dataclass(frozen=True, eq=False)
class Replacement:
    """What some operations shall give in the passes of one block, instead of what they make.

    Args:
        outputs: Pairs of an operation and what it gives in each of its runs, from the first; None for what it
            makes itself.
    """

    outputs: Sequence[tuple[Any, Sequence[Any]]]
    _runs: dict[int, int] = field(default_factory=dict)

    def call(self, original: Callable[..., Any], operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs an operation, and returns what stands for its output."""
        made = original(operation, *args, **kwargs)
        for replaced, outputs in self.outputs:
            if operation is replaced:
                run = self._runs.setdefault(id(operation), 0)
                self._runs[id(operation)] += 1
                return made if run >= len(outputs) or outputs[run] is None else outputs[run]
        return made


class Listener(Protocol):
    """What may stand around an operation's run."""

    def call(self, original: Callable[..., Any], operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs an operation by `original`, and returns what it gives."""
        ...


_RECORDINGS: ContextVar[tuple[Listener, ...]] = ContextVar("keras_pli_recordings", default=())


@contextmanager
def recorded(outputs_of: Sequence[Any] = (), *, before: Sequence[Any] = ()) -> Iterator[Recording]:
    """Yields a recording of the passes that are made within the block, in this thread.

    Args:
        outputs_of: Layers, or other operations, whose outputs are kept.
        before: Those of which is kept what they, or their activations, receive.

    Example:
        >>> layer = keras.layers.Dense(3)
        >>> with recorded([layer]) as recording:
        ...     _ = layer(keras.ops.zeros((2, 4)))
        >>> tuple(recording.of(layer)[0].shape)
        (2, 3)
    """
    recording = Recording(outputs_of, before)
    with listening_to(recording):
        yield recording


@contextmanager
def replaced(outputs: Sequence[tuple[Any, Sequence[Any]]]) -> Iterator[None]:
    """Lets operations give other values in the passes that are made within the block, in this thread.

    Args:
        outputs: As in `Replacement`.

    Example:
        >>> layer = keras.layers.Dense(3)
        >>> with replaced([(layer, [keras.ops.ones((2, 3))])]):
        ...     given = layer(keras.ops.zeros((2, 4)))
        >>> float(given[0, 0])
        1.0
    """
    with listening_to(Replacement(outputs)):
        yield


@contextmanager
def listening_to(listener: Listener) -> Iterator[None]:
    """Lets a listener stand around all operations that run within the block, in this thread."""
    _install()
    token = _RECORDINGS.set((*_RECORDINGS.get(), listener))
    try:
        yield
    finally:
        _RECORDINGS.reset(token)


def applies_activation(operation: Any) -> bool:
    """Whether an operation has weights and an activation that it applies to what they make."""
    recurrent = hasattr(operation, "cell") or hasattr(operation, "recurrent_activation")
    has_weights = bool(getattr(operation, "weights", []))
    return has_weights and not recurrent and callable(getattr(operation, "activation", None))


def _listening(layer: Any, heard: list[Tensor]) -> Any:
    """A twin of a layer, with the same variables, whose activation keeps what it receives."""
    activation = layer.activation

    @wraps(activation)
    def listening(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        heard.append(x)
        return activation(x, *args, **kwargs)

    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer))
    vars(twin)["activation"] = listening
    return twin


def _install() -> None:
    """Gives Keras's own call the listener, the first time; it stays, and costs a look at the context."""
    with _INSTALLING:
        original = keras.Operation.__call__
        if getattr(original, "_listens_to_recordings", False):
            return

        @wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            run: Callable[..., Any] = original
            for recording in _RECORDINGS.get():
                run = _around(recording, run)
            return run(self, *args, **kwargs)

        call._listens_to_recordings = True  # type: ignore[attr-defined]
        keras.Operation.__call__ = call


def _around(recording: Listener, run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda operation, *args, **kwargs: recording.call(run, operation, *args, **kwargs)
