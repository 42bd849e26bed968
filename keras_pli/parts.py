"""A folder of numbered parts that belong together, so that long work can be resumed.

A part's number follows from its rows and never from what lies in the folder: one that is missing or damaged
is made again, alone, and the others stay.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import read_arrays, read_json, write_arrays, write_json
from .locks import one_writer, remove_unused
from .parquet import read_columns, write_columns

# How parts of each kind, which is the ending of their names, are read and written.
KINDS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "npz": (read_arrays, write_arrays),
    "parquet": (read_columns, write_columns),
}
# How names of notes begin: readers of a folder of Parquet files pass over what begins with an underscore.
_BEFORE_NOTES = {"npz": "", "parquet": "_"}
_FINISHED = "finished"


@dataclass(frozen=True)
class PartFolder:
    """Arrays in numbered files, each whole or not at all, and a note of what they were made from.

    Args:
        folder: Where the files are; made when there is something to write.
        what: What the parts are, for the note's name and for errors.
        share: Which of several writers' parts these are, or nothing where there is one writer. The note is
            one for all.
        kind: What files they are, `"npz"` or `"parquet"`, whose arrays must have as many rows each.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     parts = PartFolder(Path(folder) / "run", "squares")
        ...     with parts.writing({"from": 0}) as writer:
        ...         writer.write(0, {"squares": np.arange(3) ** 2})
        ...         writer.finish(1)
        ...     parts.finished, parts.read(0)["squares"].tolist()
        (1, [0, 1, 4])
    """

    folder: Path
    what: str
    share: str = ""
    kind: str = "npz"

    @property
    def files(self) -> list[Path]:
        """The parts that are there, in order."""
        return [self.path(number) for number in self.numbers]

    @property
    def numbers(self) -> list[int]:
        """The numbers of the parts that are there, in order."""
        numbered = ((_number(file), file) for file in part_files(self.folder))
        return sorted(number for number, file in numbered if self.path(number) == file)

    def path(self, number: int) -> Path:
        """Where a part lies."""
        return self.folder / f"{self.name}-{number:05d}.{self.kind}"

    @property
    def is_marked(self) -> bool:
        """Whether the work was marked as finished, whatever has become of its parts since."""
        return self._mark.exists()

    @property
    def finished(self) -> int | None:
        """The number of parts of work that is finished, or None.

        Raises:
            ValueError: If the mark of it is damaged.
        """
        return len(listed_files(self._mark)) if self.is_marked else None

    def read(self, number: int) -> dict[str, NDArray[Any]] | None:
        """Returns a part's arrays, or None where there is none; warns where it is damaged."""
        try:
            return read_part(self.path(number))
        except FileNotFoundError:
            return None
        except ValueError as error:
            warnings.warn(f"{error} It is made again.", stacklevel=2)
            return None

    @contextmanager
    def writing(self, identity: Mapping[str, Any]) -> Iterator[PartWriter]:
        """Yields what writes parts; one process at a time gets it.

        Args:
            identity: What the parts are made from, in a form for JSON. It is noted with the first part.

        Raises:
            ValueError: If the folder holds parts made from something else; says what differs.
            RuntimeError: If another process is writing them.
        """
        self.check(identity)
        with one_writer(self.folder, self.name):
            self.check(identity)
            yield PartWriter(self, identity)

    def check(self, identity: Mapping[str, Any]) -> None:
        """Raises a `ValueError` if there are parts that were made from something else."""
        identity = json.loads(json.dumps(identity))  # as it is read back
        for kind in _kinds(self.folder):
            try:
                stored = read_json(replace(self, kind=kind).note)
            except FileNotFoundError:
                stored = {}
            before, now = _differing(stored, identity)
            if before:
                raise ValueError(
                    f"{self.folder} holds {self.what} that were made otherwise: {before}, and now {now}. "
                    "Delete it, or choose another folder."
                )

    def clear(self) -> None:
        """Deletes parts and note, and the folder if it holds nothing else."""
        if not self.folder.is_dir():
            return
        with one_writer(self.folder, self.name):
            for file in [*self.files, self.note, self._mark]:
                file.unlink(missing_ok=True)
        remove_unused(self.folder)

    @property
    def name(self) -> str:
        """How the names of the parts begin."""
        return f"part-{self.share}" if self.share else "part"

    @property
    def note(self) -> Path:
        """Where it is noted what the parts are made from."""
        return self.folder / f"{_BEFORE_NOTES[self.kind]}{self.what}.json"

    @property
    def _mark(self) -> Path:
        return (
            self.folder
            / f"{_BEFORE_NOTES[self.kind]}{_FINISHED}{self.share and '-'}{self.share}.json"
        )


class PartWriter:
    """Writes the parts of a folder that is locked meanwhile; made by `PartFolder.writing`."""

    def __init__(self, parts: PartFolder, identity: Mapping[str, Any]) -> None:
        self.parts, self.identity = parts, identity
        self._noted = any(parts.files)

    def read(self, number: int) -> dict[str, NDArray[Any]] | None:
        """As `PartFolder.read`."""
        return self.parts.read(number)

    def write(self, number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Writes a part; with the first, what all are made from.

        Raises:
            ValueError: If another share has meanwhile written parts made from something else.
        """
        if self._noted:
            self._write(number, arrays)
            return
        # Shares that begin at the same time must agree on the note.
        with one_writer(self.parts.folder, "note", wait=60):
            self.parts.check(self.identity)
            write_json(self.parts.note, self.identity)
            self._write(number, arrays)
        self._noted = True

    def _write(self, number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        _, write = KINDS[self.parts.kind]
        write(self.parts.path(number), arrays)

    def finish(self, count: int) -> None:
        """Marks the work as finished with so many parts.

        Raises:
            ValueError: If there are more.
        """
        wanted = [self.parts.path(number) for number in range(count)]
        beyond = [self.parts.path(number).name for number in self.parts.numbers if number >= count]
        if beyond:
            raise ValueError(
                f"{self.parts.folder} holds {self.parts.what} of more samples than there are now, in "
                f"{', '.join(beyond[:3])}. Delete it, or choose another folder."
            )
        write_json(self.parts._mark, {"files": [file.name for file in wanted]})


def part_files(folder: Path) -> list[Path]:
    """Returns the parts of all shares in a folder, of any kind; copies of other names do not count."""
    return sorted(file for file in folder.glob("part-*") if _number(file) >= 0)


def read_part(file: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a part by name.

    Raises:
        ValueError: If the file is damaged.
        FileNotFoundError: If there is none.
    """
    read, _ = KINDS[file.suffix[1:]]
    found: dict[str, NDArray[Any]] = read(file)
    return found


def marks(folder: Path) -> list[Path]:
    """Returns the marks of finished work of all shares in a folder, of the kinds of parts that it holds."""
    patterns = [f"{_BEFORE_NOTES[kind]}{_FINISHED}*.json" for kind in _kinds(folder)]
    return [mark for pattern in patterns for mark in sorted(folder.glob(pattern))]


def listed_files(mark: Path) -> list[str]:
    """Returns the names of the parts that a mark of finished work lists.

    Raises:
        ValueError: If the mark is damaged.
    """
    names = read_json(mark).get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{mark} is damaged: it must list `files`. Received: {names!r:.80}.")
    return names


def _differing(one: Any, other: Any) -> tuple[Any, Any]:
    """What differs between two notes; of settings within settings only those that do."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one, other
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    pairs = {key: _differing(one.get(key), other.get(key)) for key in keys}
    before, now = ({key: pair[side] for key, pair in pairs.items()} for side in (0, 1))
    return before, now


def _kinds(folder: Path) -> list[str]:
    """The kinds of the parts in a folder."""
    return sorted({file.suffix[1:] for file in part_files(folder)})


def _number(file: Path) -> int:
    """A part's number, −1 for other files."""
    found = re.fullmatch(r"part-(?:.+-)?(\d{5,})", file.stem)
    return int(found[1]) if found and file.suffix[1:] in KINDS else -1


def digest(*arrays: Any) -> str:
    """Returns a short text that tells arrays from others, such as a model's weights.

    Example:
        >>> digest(np.ones(2)) == digest(np.ones(2)), digest(np.ones(2)) == digest(np.zeros(2))
        (True, False)
    """
    hashed = hashlib.sha256()
    for array in map(np.asarray, arrays):
        if array.dtype.hasobject:  # pointers, of texts for instance
            array = np.asarray(repr(array.tolist()))
        hashed.update(f"{array.dtype.name}{array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()[:16]
