"""One writer at a time in a folder of stored work."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from .files import write_text


@contextmanager
def one_writer(
    folder: str | os.PathLike[str], name: str = "folder", *, wait: float = 0
) -> Iterator[None]:
    """Keeps other processes and threads from writing to a folder for the length of a block.

    The operating system holds the lock, so that none is left by a process that was killed. A folder that
    was made for it, and in which nothing was written, is gone afterwards.

    Args:
        folder: The folder; made where it is missing.
        name: What of the folder is locked: writers of other names do not keep each other waiting.
        wait: Seconds to wait for another writer.

    Raises:
        RuntimeError: If another one is writing there, which the error names.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, one_writer(folder):
        ...     with one_writer(folder):
        ...         pass
        Traceback (most recent call last):
        ...
        RuntimeError: ... is being written by process ... Wait until it has ended, or choose another folder.
    """
    folder = Path(folder)
    new = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    holder = folder / f".{name}.writer"
    try:
        lock.acquire(timeout=wait, poll_interval=0.02)
    except Timeout:
        raise RuntimeError(
            f"{folder} is being written by {_told(holder)}. Wait until it has ended, or choose another "
            "folder."
        ) from None
    try:
        since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        write_text(holder, f"process {os.getpid()} on {socket.gethostname()}, since {since}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        if new:
            remove_unused(folder)


def remove_unused(folder: Path) -> None:
    """Deletes a folder that holds nothing but locks, unless somebody holds one of them."""
    left = list(folder.iterdir()) if folder.is_dir() else []
    if not all(entry.name.endswith(".lock") for entry in left):
        return
    with suppress(OSError, Timeout), ExitStack() as held:  # somebody writes there by now
        for entry in left:
            held.enter_context(FileLock(entry, timeout=0))
        for entry in left:
            entry.unlink()
        folder.rmdir()


def _told(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except FileNotFoundError:  # it has just begun, or just ended
        return "another process"
