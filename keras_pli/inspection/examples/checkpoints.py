"""Weights of a training at several times: lists of arrays, or files that are read beside the model's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

# A list of weights as `get_weights` gives them, or the file that holds them.
Checkpoint: TypeAlias = "str | Path | Sequence[Any]"
ENDINGS = (".weights.h5", ".keras")


@contextmanager
def weights_kept(model: keras.Model) -> Iterator[None]:
    """Puts all that a weight file may change back as it was, also after an exception."""
    optimizer = getattr(model, "optimizer", None)
    held = [*model.variables, *(optimizer.variables if optimizer is not None else [])]
    before = [np.asarray(variable).copy() for variable in held]
    try:
        yield
    finally:
        for variable, value in zip(held, before, strict=True):
            variable.assign(value)


def read_checkpoints(
    model: keras.Model, given: str | Path | Sequence[Checkpoint] | None
) -> list[Any]:
    """Returns checkpoints as lists of weights, or as files that are there.

    Args:
        model: The model, for its weights where none are given.
        given: A folder, whose `.weights.h5` and `.keras` files are taken in the order of their names; files;
            or lists of weights. None for the weights that the model has.

    Raises:
        ValueError: If there is no such file, or none in the folder.
    """
    if given is None:
        return [model.get_weights()]
    if isinstance(given, str | Path):
        folder = Path(given)
        if not folder.is_dir():
            raise ValueError(
                f"`checkpoints` must be a folder, or a list. Received: {str(given)!r}."
            )
        given = sorted(path for path in folder.iterdir() if path.name.endswith(ENDINGS))
        if not given:
            raise ValueError(f"There is no .weights.h5 or .keras file in {str(folder)!r}.")
    found: list[Any] = []
    for checkpoint in _listed(given):
        if isinstance(checkpoint, str | Path):
            if not Path(checkpoint).is_file():
                raise ValueError(f"There is no checkpoint {str(checkpoint)!r}.")
            checkpoint = Path(checkpoint)
        found.append(checkpoint)
    if not found:
        raise ValueError("`checkpoints` must hold at least one. Received: an empty list.")
    return found


def weights_of(model: keras.Model, checkpoint: Any) -> list[NDArray[Any]]:
    """Returns the weights of a checkpoint, the model left as it is.

    Raises:
        ValueError: If the file cannot be read as weights of the model.
    """
    if not isinstance(checkpoint, Path):
        return list(checkpoint)
    if checkpoint.name.endswith(".keras"):
        loaded = keras.saving.load_model(checkpoint, compile=False)
        return list(loaded.get_weights())
    with weights_kept(model):
        try:
            model.load_weights(checkpoint)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(
                f"{str(checkpoint)!r} cannot be read as weights of {model.name!r}: {error}"
            ) from error
        return list(model.get_weights())


def _listed(given: Any) -> Iterable[Any]:
    if isinstance(given, list | tuple):
        return given
    raise TypeError(
        "`checkpoints` must be a folder, a list of weight files or of lists of weights. "
        f"Received: {type(given).__name__}."
    )
