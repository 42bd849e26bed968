"""A folder of numbered parts that belong together, so that long work can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import read_arrays, write_arrays, write_json


@dataclass(frozen=True)
class PartFolder:
    """Arrays in numbered files, each whole or not at all, and a note of what they were made from.

    Args:
        folder: Where the files are; made when there is something to write.
        what: What the parts are, for the note's name and for errors.
        prefix: How the parts' names begin.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     parts = PartFolder(Path(folder) / "run", "squares")
        ...     parts.claim({"from": 0})
        ...     parts.add({"squares": np.arange(3) ** 2})
        ...     [file.name for file in parts.files], parts.read()[0]["squares"].tolist()
        (['part-00000.npz'], [0, 1, 4])
    """

    folder: Path
    what: str
    prefix: str = "part"

    @property
    def files(self) -> list[Path]:
        """The parts there are, up to the first that is missing."""
        return list(takewhile(Path.exists, map(self._path, count())))

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Notes what the parts are made from, as far as JSON can hold it.

        Raises:
            ValueError: If the folder holds parts made from something else; says what differs.
        """
        identity = json.loads(json.dumps(identity))  # as it will be read back
        noted = self._note.exists()
        stored = json.loads(self._note.read_text(encoding="utf-8")) if noted else {}
        differing = [key for key in identity if stored.get(key) != identity[key]]
        if differing and (noted or self.files):
            raise ValueError(
                f"{self.folder} holds {self.what} that were made otherwise: "
                f"{ {key: stored.get(key) for key in differing} }, and now "
                f"{ {key: identity[key] for key in differing} }. Delete it, or choose another folder."
            )
        write_json(self._note, identity)

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Writes the next part."""
        write_arrays(self._path(len(self.files)), arrays)

    def read(self) -> list[dict[str, NDArray[Any]]]:
        """Returns the arrays of each part."""
        return [read_arrays(file) for file in self.files]

    def clear(self) -> None:
        """Deletes parts and note, and the folder if it holds nothing else."""
        if not self.folder.is_dir():
            return
        # A killed process leaves its temporary files, whose names begin with a dot.
        for pattern in (f"{self.prefix}-*.npz", f".{self.prefix}-*.npz", f".{self.what}-*.json"):
            for file in self.folder.glob(pattern):
                file.unlink()
        self._note.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    @property
    def _note(self) -> Path:
        return self.folder / f"{self.what}.json"

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.prefix}-{number:05d}.npz"


def digest(*arrays: Any) -> str:
    """Returns a short text that tells arrays from others, such as a model's weights.

    Example:
        >>> digest(np.ones(2)) == digest(np.ones(2)), digest(np.ones(2)) == digest(np.zeros(2))
        (True, False)
    """
    hashed = hashlib.sha256()
    for array in map(np.asarray, arrays):
        hashed.update(f"{array.dtype.name}{array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()[:16]
