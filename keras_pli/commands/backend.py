"""Importing Keras and what it runs on for a command: quietly, and with one sentence where that fails."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import NoReturn

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
INSTALL = {
    "tensorflow": "pip install 'keras-pli[cpu]', or 'keras-pli[gpu]' for TensorFlow with CUDA",
    "jax": "pip install 'keras-pli[jax]'",
}
# What TensorFlow's libraries say of themselves while they are loaded, whatever level is asked for.
START_UP_LINE = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} ")


def import_backend(allowed: Sequence[str]) -> None:
    """Imports Keras on the backend that the user chose, and quietens both.

    Args:
        allowed: The backends that the command runs on, by the names that `KERAS_BACKEND` takes.

    Raises:
        ValueError: If another one is chosen.
        ImportError: If it cannot be imported.
    """
    chosen = os.environ.get("KERAS_BACKEND") or "tensorflow"
    # TensorFlow reads it while it is imported; what the user has set stays.
    quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3"
    first = "tensorflow" not in sys.modules and hasattr(os, "fork")
    try:
        with without_start_up_lines() if quiet and first else nullcontext():
            if chosen in allowed:  # Keras's file of settings may name another
                chosen = import_module("keras").backend.backend()
            if chosen == "tensorflow":
                import_module("tensorflow")
    except ImportError as error:
        raise ImportError(_missing(chosen, error, allowed)) from error
    if chosen not in allowed:
        raise ValueError(
            f"This command runs on Keras's {' or '.join(NAMES[name] for name in allowed)} backend. "
            f"Received: {chosen!r}, by KERAS_BACKEND or Keras's file of settings."
        )
    # TensorFlow warns that each new model is traced anew, which is as it should be, and that gradients by
    # other rules are not stored with a version, whose explanations hold them as operations. It saves and
    # restores absl's level by absl's own function while it stores a model.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    import_module("absl.logging").set_verbosity("error")


@contextmanager
def without_start_up_lines() -> Iterator[None]:
    """Drops what TensorFlow's libraries say of themselves from standard error, and nothing else.

    They write to the file descriptor, which no stream of Python's sees. A process of its own reads it and
    passes the rest on, so that the last words of an import that aborts are not lost with it.
    """
    sys.stderr.flush()
    reading, writing = os.pipe()
    reader = os.fork()
    if reader == 0:
        os.close(writing)
        _pass_on(reading)
    os.close(reading)
    kept = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.waitpid(reader, 0)


def _pass_on(reading: int) -> NoReturn:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the one that writes
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                if not START_UP_LINE.match(line):
                    os.write(2, line)
    finally:
        os._exit(0)


def _missing(chosen: str, error: ImportError, allowed: Sequence[str]) -> str:
    absent = isinstance(error, ModuleNotFoundError) and error.name == chosen
    why = "is not installed" if absent else f"cannot be imported ({error})"
    others = [name for name in allowed if name != chosen]
    instead = "".join(f" {NAMES[name]} will do, too: KERAS_BACKEND={name}." for name in others)
    return (
        f"{NAMES.get(chosen, chosen)} {why}, and Keras needs it. "
        f"Install it: {INSTALL.get(chosen, chosen)}.{instead}"
    )
