"""Results of arrays and settings, stored without pickles."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from .files import read_arrays, write_arrays

Result = TypeVar("Result", bound="StoredResult")


@dataclass(frozen=True, eq=False)
class StoredResult:
    """What results have in common: all their entries are arrays but `about`, a mapping of settings."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Stores everything in a `.npz` file without pickles."""
        about = {"format": self._format(), **vars(self)["about"]}
        # NumPy's numbers and arrays, as a caller may have given them, in Python's form.
        text = json.dumps(about, default=lambda value: value.tolist())
        return write_arrays(path, {"about": text, **self._arrays()})

    @classmethod
    def load(cls: type[Result], path: str | os.PathLike[str]) -> Result:
        """Reads what `save` stored.

        Raises:
            ValueError: If the file holds something else.
        """
        arrays = read_arrays(path)
        about = json.loads(str(arrays.pop("about", "{}")))
        if about.pop("format", None) != cls._format() or set(arrays) != set(cls._array_names()):
            raise ValueError(f"{str(path)!r} holds no {cls.__name__}.")
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in about.items()
        }
        entries: dict[str, Any] = {**arrays, "about": settings}
        return cls(**entries)

    @classmethod
    def _format(cls) -> str:
        return f"keras_pli.{cls.__name__}"

    @classmethod
    def _array_names(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "about"]

    def _arrays(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._array_names()}
