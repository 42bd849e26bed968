"""Files are written whole or not at all: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path with the target's ending; on success it is renamed to `path`.

    An error inside the block leaves whatever stood at `path` before, and no temporary file. What a killed
    process leaves is deleted by the next one that writes into the folder.

    Example:
        >>> with atomic_path("runs/table.csv") as temporary:
        ...     table.to_csv(temporary)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent not in _swept:  # once is enough: who is killed is another process
        _swept.add(path.parent)
        sweep(path.parent)
    prefix = f"{temporary_prefix()}{path.name.split('.')[0]}-"
    descriptor, name = tempfile.mkstemp("".join(path.suffixes), prefix, path.parent)
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


def read_arrays(
    path: str | os.PathLike[str], names: Iterable[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an `.npz` file by name; nothing is unpickled.

    Args:
        path: Where it is.
        names: Those to read, as far as they are there; None for all.

    Raises:
        ValueError: If the file is damaged, or is not an archive of plain arrays.
        FileNotFoundError: If there is none.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if names is None or name in names}
    except (OSError, MemoryError) as error:
        if getattr(error, "errno", errno.EINVAL) != errno.EINVAL or not _is_broken(path):
            raise  # trouble with the disk or the memory is no damage
        raise ValueError(f"{os.fspath(path)} is damaged: it is cut or mixed up.") from error
    except Exception as error:  # numpy, zipfile and zlib raise half a dozen kinds for damaged files
        told = str(error).rstrip(".")
        if "Object arrays" in told:
            told = "it holds pickled objects, which are not read"
        elif "pickle" in told:  # numpy's advice for whatever is no archive
            told = "it is not a .npz archive"
        raise ValueError(
            f"{os.fspath(path)} is damaged: {told or type(error).__name__}."
        ) from error


def _is_broken(path: str | os.PathLike[str]) -> bool:
    """Whether an archive's members do not have the checksums that it gives."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError):
        return True


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Raises:
        ValueError: If the file is damaged, or holds something else than an object.
        FileNotFoundError: If there is none.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is damaged: it is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise ValueError(
            f"{os.fspath(path)} is damaged: it must hold an object. Received: {found!r:.80}."
        )
    return found


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


# Folders in which this process has looked for leftovers.
_swept: set[Path] = set()
_TEMPORARY = ".writing-"


def _whereabouts() -> str:
    """What tells this host, and a container's numbering of processes, from others."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not on Linux
        space = ""
    return f"{zlib.crc32(f'{socket.gethostname()} {space}'.encode()):08x}"


_HOST = _whereabouts()


def temporary_prefix() -> str:
    """Returns how the names of this process's temporary files and folders begin."""
    return f"{_TEMPORARY}{_HOST}-{os.getpid()}-"


def sweep(folder: Path) -> None:
    """Deletes the temporary files and folders that killed processes left in a folder."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        if not _is_written(left):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_written(temporary: Path) -> bool:
    """Whether the process that made a temporary file may still be there."""
    host, _, rest = temporary.name.removeprefix(_TEMPORARY).partition("-")
    process = rest.partition("-")[0]
    if host != _HOST or not process.isdigit() or os.name == "nt":  # where it cannot be asked for
        try:
            return time.time() - temporary.stat().st_mtime < 24 * 3600
        except FileNotFoundError:
            return True
    try:
        os.kill(int(process), 0)  # asks, and does nothing else
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
