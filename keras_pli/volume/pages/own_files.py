"""The files that a report wrote beside its page, so that a later one can take away what it left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ...files import read_json, write_json

_NOTE = "report_files.json"
_FOLDERS = ("mean_maps", "subjects")


@contextmanager
def own_files(folder: Path, written: set[str]) -> Iterator[None]:
    """Removes what is left of an earlier report; the files of this one are put into `written` meanwhile.

    Files are named as `subjects/a.html`. What an earlier report wrote into the folder, by its own list, and
    this one does not write anew is removed when the report is done. Nothing else is. A report that is broken
    off removes nothing, and what it wrote stays in the list.

    Raises:
        ValueError: If the list is damaged.
    """
    earlier = _earlier(folder)
    kept = earlier
    try:
        yield
        # Where a file system does not tell cases apart, both names are one file.
        names = {name.casefold() for name in written}
        for name in earlier:
            if name.casefold() not in names:
                (folder / name).unlink(missing_ok=True)
        kept = set()
    finally:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _NOTE, {"files": sorted(written | kept)})


def _earlier(folder: Path) -> set[str]:
    """What the list names; only files right in a report's own folders count."""
    if not (folder / _NOTE).is_file():
        return set()
    names = read_json(folder / _NOTE).get("files", [])
    return {name for name in names if isinstance(name, str) and _is_own(folder, name)}


def _is_own(folder: Path, name: str) -> bool:
    path = PurePosixPath(name)
    plain = len(path.parts) == 2 and path.parts[0] in _FOLDERS and path.parts[1] != ".."
    if not plain or "\\" in name:
        return False
    return not (folder / path.parts[0]).is_symlink() and not (folder / name).is_dir()
