"""Numbered versions in a folder, as TensorFlow Serving finds them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..checks import checked_number
from ..files import sweep, temporary_prefix


def versions(path: str | os.PathLike[str]) -> list[int]:
    """Returns the versions in a folder, lowest first: its folders that are named by a whole number.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("2", "10", "draft"):
        ...         Path(folder, name).mkdir()
        ...     versions(folder)
        [2, 10]
    """
    folder = Path(path)
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


class NewVersion:
    """A version while it is written.

    Attributes:
        folder: Where to write, a hidden folder.
        path: Where the version lies, once it is there.
    """

    path: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@contextmanager
def new_version(path: str | os.PathLike[str], version: int | None = None) -> Iterator[NewVersion]:
    """Yields a hidden folder that becomes `path/<version>` when the block ends without an error.

    A server that watches `path` sees the version whole or not at all; after an error nothing is left. What a
    killed process left is deleted.

    Args:
        path: Folder of the versions; made where it is missing.
        version: A whole number from 0; None takes the one after the highest.

    Raises:
        ValueError: If the version is there already, or is not a whole number from 0.
    """
    if version is not None:
        version = checked_number(version, "version", least=0, whole=True)
        if version in versions(path):
            raise _taken(path, version)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    # mkdtemp lets only the owner in, and a server may run as somebody else.
    hidden = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=folder))
    hidden.chmod(folder.stat().st_mode & 0o777)
    new = NewVersion(hidden)
    try:
        yield new
        new.path = _numbered(hidden, folder, version)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _numbered(hidden: Path, folder: Path, version: int | None) -> Path:
    """Gives the folder its number; where another process was first, the next one."""
    while True:
        number = version if version is not None else max(versions(folder), default=0) + 1
        try:
            # Renaming never replaces a folder that holds something.
            return hidden.rename(folder / str(number))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if version is not None:
                raise _taken(folder, version) from None


def _taken(path: str | os.PathLike[str], version: int) -> ValueError:
    return ValueError(
        f"{Path(path)} already holds version {version}; its versions are {versions(path)}. "
        "Pass another `version`, or none for the next one."
    )
