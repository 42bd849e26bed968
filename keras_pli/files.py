"""Files are written whole or not at all: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path with the target's ending; on success it is renamed to `path`.

    A crash inside the block leaves whatever stood at `path` before, and no temporary file.

    Example:
        >>> with atomic_path("runs/table.csv") as temporary:
        ...     table.to_csv(temporary)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        suffix="".join(path.suffixes), prefix=f".{path.name.split('.')[0]}-", dir=path.parent
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files only the owner may read; give the ones a user sees the usual mode.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes UTF-8 text atomically and returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Writes `value` as indented JSON, atomically, and returns the path."""
    return write_text(path, json.dumps(value, indent=2) + "\n")


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike]) -> Path:
    """Writes arrays as compressed `.npz`, atomically, and returns the path."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return Path(path)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an `.npz` file by name; nothing is unpickled."""
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def array_headers(
    path: str | os.PathLike[str],
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Returns shape and type of each array of an `.npz` file by name; no array is unpacked.

    Raises:
        ValueError: If the file is no `.npz`, or one of its members is no array.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     array_headers(write_arrays(f"{folder}/maps.npz", {"x": np.ones((3, 2))}))
        {'x': ((3, 2), dtype('float64'))}
    """
    stored = np.load(path, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} holds one array and no names.")
    found, layout = {}, np.lib.format
    with stored:
        archive: Any = stored.zip
        for member in archive.namelist():
            with archive.open(member) as stream:
                first = layout.read_magic(stream) == (1, 0)
                read = layout.read_array_header_1_0 if first else layout.read_array_header_2_0
                shape, _, dtype = read(stream)
            found[member.removesuffix(".npy")] = (shape, dtype)
    return found
