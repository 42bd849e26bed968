"""The folder in which a studio's session lives: whose it is, and what lies where."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ...files import read_json, write_json
from ...locks import one_writer

FORMAT = "keras_pli.StudioSession"
VERSION = 1


class SessionFolder:
    """A folder of one session, held by one process at a time.

    Args:
        path: The folder; made where it is missing.
        identity: What tells the classifier and the data of the session from others, for JSON.

    Raises:
        ValueError: If the folder holds a session of another classifier, layer or other data, or what it
            says of itself is damaged or of a later version.
        RuntimeError: If another process has the session open.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any]) -> None:
        self.path = Path(path)
        self._held = ExitStack()
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
    def current_round(self) -> int:
        """The number of the round that was looked at last."""
        return int(self._about.get("round", 0))

    def set_current_round(self, number: int) -> None:
        """Notes which round is looked at."""
        self._about["round"] = number
        write_json(self._note, self._about)

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
        """The numbers of the rounds that are there whole, in order."""
        noted = (self.path / "rounds").glob("[0-9][0-9][0-9]*/round.json")
        return sorted(int(note.parent.name) for note in noted if note.parent.name.isdigit())

    def close(self) -> None:
        """Lets others open the session."""
        self._held.close()

    @property
    def _note(self) -> Path:
        return self.path / "studio.json"

    def _read(self, identity: dict[str, Any]) -> dict[str, Any]:
        if not self._note.exists():
            return {"format": FORMAT, "version": VERSION, "identity": identity}
        about = read_json(self._note)
        if about.get("format") != FORMAT or about.get("version") != VERSION:
            raise ValueError(
                f"{self._note} is of the format {about.get('format')!r}, version {about.get('version')!r}. "
                f"This keras_pli reads {FORMAT!r}, version {VERSION}."
            )
        theirs = about.get("identity", {})
        differing = [name for name in identity if theirs.get(name) != identity[name]]
        if differing:
            raise ValueError(
                f"{self.path} holds a session with another {' and other '.join(differing)}. Choose another "
                "folder, or open it with what it was made with."
            )
        return about
