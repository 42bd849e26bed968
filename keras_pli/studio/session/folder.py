"""The folder in which a studio's session lives: whose it is, and what lies where."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ...files import atomic_path, read_json
from ...locks import one_writer

FORMAT = "keras_pli.StudioSession"
VERSION = 1


class SessionFolder:
    """A folder of one session, held by one process at a time.

    Args:
        path: The folder; made where it is missing.
        identity: What tells the classifier and the data of the session from others, for JSON.

    Raises:
        ValueError: If it is a file, holds a session of another classifier, layer or other data, or what it
            says of itself is missing, damaged or of a later version.
        RuntimeError: If another process has the session open.
        OSError: If it cannot be written.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file. A session needs a folder: choose another.")
        self._held = ExitStack()
        with writing_in(self.path):
            self._held.enter_context(one_writer(self.path, "studio"))
        try:
            self._about = self._read(identity)
        except BaseException:
            self._held.close()
            raise

    @property
    def is_new(self) -> bool:
        """Whether nothing is kept here yet."""
        return "round" not in self._about

    @property
    def current_round(self) -> int | None:
        """The number of the round that was looked at last; None where that is damaged."""
        number = self._about.get("round")
        return number if type(number) is int else None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes that the session was given once, or None."""
        names = self._about.get("class_names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        return tuple(names)

    @property
    def plan(self) -> Path:
        """The plan as it stands, for the command line too."""
        return self.path / "plan.json"

    @property
    def embedder(self) -> Path:
        """The map's network that the first round has, where `keras-pli embed` puts it too."""
        return self.path / "embedder.keras"

    def round(self, number: int) -> Path:
        """The folder of a round."""
        return self.path / "rounds" / f"{number:03d}"

    def rounds(self) -> list[int]:
        """The numbers of the rounds that were made to their end, in order."""
        noted = (self.path / "rounds").glob("[0-9][0-9][0-9]*/round.json")
        return sorted(int(note.parent.name) for note in noted if note.parent.name.isdigit())

    def write(self, texts: Mapping[Path, str], **about: Any) -> None:
        """Writes files of the session, all of them or none.

        Args:
            texts: What each shall hold.
            about: What is noted of the session beside them, such as `round`.

        Raises:
            OSError: If they cannot be written, in a sentence; all is as it was.
        """
        noted = {**self._about, **about}
        if about:
            texts = {**texts, self._note: json.dumps(noted, indent=2) + "\n"}
        with writing_in(self.path), ExitStack() as files:  # renamed when all are written
            for path, text in texts.items():
                files.enter_context(atomic_path(path)).write_text(text, encoding="utf-8")
        self._about = noted

    def give_up(self) -> None:
        """Takes back whose folder this is, where no round came to be: others may have it."""
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets others open the session."""
        self._held.close()

    @property
    def _note(self) -> Path:
        return self.path / "studio.json"

    def _read(self, identity: dict[str, Any]) -> dict[str, Any]:
        if not self._note.exists():
            self._check_none_is_lost()
            return {"format": FORMAT, "version": VERSION, "identity": identity}
        about = read_json(self._note)
        if about.get("format") != FORMAT or about.get("version") != VERSION:
            raise ValueError(
                f"{self._note} is of the format {about.get('format')!r}, version {about.get('version')!r}. "
                f"This keras_pli reads {FORMAT!r}, version {VERSION}."
            )
        theirs = about.get("identity")
        if not isinstance(theirs, dict):
            raise ValueError(
                f"{self._note} is damaged: it does not say whose session this is. Put it back, or choose "
                "another folder."
            )
        differing = [name for name in identity if theirs.get(name) != identity[name]]
        if differing:
            raise ValueError(
                f"{self.path} holds a session with another {' and other '.join(differing)}. Choose another "
                "folder, or open it with what it was made with."
            )
        return about

    def _check_none_is_lost(self) -> None:
        if rounds := self.rounds():
            raise ValueError(
                f"{self._note} is missing, while {self.round(rounds[-1])} is there: nothing says whose "
                "session this is. Put the file back, or choose another folder."
            )


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Lets an error of the disk say which folder it is about, and how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise OSError(
            f"{folder} cannot be written: {error.strerror}. What was asked for is not done. Make room there, "
            "or let it be written, and try again."
        ) from error


_NOT_WRITABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
