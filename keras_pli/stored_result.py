"""Results of arrays and settings in one `.npz` file, without pickles, that says what kind of result it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import ArrayLike, NDArray

from .files import read_arrays, write_arrays

Result = TypeVar("Result", bound="StoredResult")


def write_result(
    path: str | os.PathLike[str],
    kind: type,
    arrays: Mapping[str, ArrayLike],
    about: Mapping[str, Any],
) -> Path:
    """Stores a result whole or not at all, and returns the path.

    Args:
        path: Where.
        kind: Its class.
        arrays: Its arrays by name.
        about: What else belongs to it, in a form for JSON; NumPy's numbers and arrays count as Python's.
    """
    noted = {"format": _format(kind), **about}
    text = json.dumps(noted, default=lambda value: value.tolist())
    return write_arrays(path, {"about": text, **arrays})


def read_result(
    path: str | os.PathLike[str], kind: type, names: Iterable[str], *, optional: Iterable[str] = ()
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Returns the arrays of a stored result by name, and what else belongs to it.

    Args:
        path: Where it is.
        kind: Its class.
        names: The arrays that it must have.
        optional: Those that it may have.

    Raises:
        ValueError: If the file is damaged or holds something else.
        FileNotFoundError: If there is none.
    """
    # What the file is comes first: a foreign one may unpack to any size.
    try:
        about = json.loads(str(read_arrays(path, ["about"]).get("about", "{}")))
        found = about.pop("format", None)
    except FileNotFoundError:
        raise
    except (ValueError, AttributeError) as error:
        raise _refused(path, kind, str(error).rstrip(".")) from error
    if found != _format(kind):
        raise _refused(path, kind, f"its format is {found!r}, not {_format(kind)!r}")
    wanted = set(names)
    arrays = read_arrays(path, {*wanted, *optional})
    if lacking := wanted - set(arrays):
        raise _refused(path, kind, f"it lacks {sorted(lacking)}")
    return arrays, about


@dataclass(frozen=True, eq=False)
class StoredResult:
    """What results have in common all of whose entries are arrays but `about`, a mapping of settings."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Stores everything in a `.npz` file without pickles."""
        return write_result(path, type(self), self._arrays(), vars(self)["about"])

    @classmethod
    def load(cls: type[Result], path: str | os.PathLike[str]) -> Result:
        """Reads what `save` stored.

        Raises:
            ValueError: If the file is damaged or holds something else.
        """
        arrays, about = read_result(path, cls, cls._array_names())
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in about.items()
        }
        entries: dict[str, Any] = {**arrays, "about": settings}
        return cls(**entries)

    @classmethod
    def _array_names(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "about"]

    def _arrays(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._array_names()}


def _format(kind: type) -> str:
    return f"keras_pli.{kind.__name__}"


def _refused(path: str | os.PathLike[str], kind: type, why: str) -> ValueError:
    return ValueError(f"{os.fspath(path)!r} is not a stored {kind.__name__}: {why}.")
