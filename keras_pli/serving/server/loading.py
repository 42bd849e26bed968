"""One version of a model: where it lies, how it is loaded, and what is known of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ...checks import quoted
from .errors import ServingError, known, useful_part
from .prediction import Signature

SAVED_MODEL = "saved_model.pb"
TAG = "serve"
DEFAULT_SIGNATURE = "serving_default"
RECHECK_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionStatus:
    """What is known of a version, in the words of TensorFlow Serving.

    `state` is START while the version is not in memory, then LOADING, and AVAILABLE or END; END comes with
    the error.
    """

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""


@dataclass(frozen=True)
class LoadedModel:
    """A version in memory.

    Args:
        name: The model's name.
        version: Its number.
        signatures: What can be called.
        definitions: The `SignatureDef` of every signature in the file, for metadata.
        restored: The object of `tf.saved_model.load`; the signatures hold its variables only weakly.
    """

    name: str
    version: int
    signatures: Mapping[str, Signature]
    definitions: Mapping[str, Any]
    restored: Any

    def signature(self, name: str) -> Signature:
        """Returns the signature; an empty name means `serving_default`."""
        wanted = name or DEFAULT_SIGNATURE
        return self.signatures[
            known(wanted, self.signatures, "signature_name", code="FAILED_PRECONDITION")
        ]


class Version:
    """A version folder; it is loaded again after a failure only if its files changed since.

    `load` is for one thread at a time; all else may be read and called by any.

    Args:
        model: The model's name.
        number: The version's.
        path: The folder.

    Attributes:
        asked: Whether somebody asked for it by its number.
        loaded: The version in memory, or None.
        status: What is known of it.
    """

    def __init__(self, model: str, number: int, path: Path) -> None:
        self.number = number
        self.asked = False
        self.loaded: LoadedModel | None = None
        self.status = VersionStatus(number, "START")
        self._model = model
        self._path = path
        self._failed_files: frozenset[Any] | None = None
        self._checked = 0.0

    @property
    def worth_trying(self) -> bool:
        """False for a while after a failure, so that a broken version is not looked at all the time."""
        return self._failed_files is None or time.monotonic() - self._checked > RECHECK_SECONDS

    def load(self) -> LoadedModel:
        """Returns the model; raises ServingError if it does not load."""
        loaded = self.loaded or self._load()
        if loaded is None:
            raise ServingError(
                f"Version {self.number} of {self._model!r} does not load: "
                f"{self.status.error_message}",
                "NOT_FOUND",
            )
        return loaded

    def release(self) -> None:
        """Forgets the model; it leaves memory when the requests that use it have ended."""
        self.loaded = None
        self.status = VersionStatus(self.number, "START")

    def _load(self) -> LoadedModel | None:
        files = _stamps(self._path)
        self._checked = time.monotonic()
        if files == self._failed_files:
            return None
        self.status = VersionStatus(self.number, "LOADING")
        try:
            loaded = read(self._model, self.number, self._path)
        # A damaged folder raises whatever the parser or the restorer met; none may end the server.
        except Exception as error:
            reason = useful_part(str(error)) or type(error).__name__
            logger.warning("Version %d of %r does not load: %s", self.number, self._model, reason)
            self._failed_files = files
            self._checked = time.monotonic()
            self.status = VersionStatus(self.number, "END", "UNKNOWN", reason)
            return None
        self._failed_files = None
        self.loaded = loaded
        self.status = VersionStatus(self.number, "AVAILABLE")
        logger.info("Version %d of %r is loaded.", self.number, self._model)
        return loaded


def read(name: str, version: int, path: Path) -> LoadedModel:
    """Loads a SavedModel.

    Raises:
        Exception: Of any kind, where the folder is damaged or holds no graph for serving.
    """
    saved = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
    graphs = {tuple(graph.meta_info_def.tags): graph for graph in saved.meta_graphs}
    if (TAG,) not in graphs:
        raise ValueError(f"no graph is tagged {TAG!r}. Tags found: {quoted(graphs)}.")
    definitions = dict(graphs[TAG,].signature_def)
    with _gradients_unmentioned():
        restored = tf.saved_model.load(str(path), tags=[TAG])
    signatures = {
        key: Signature.from_definition(key, definitions[key], restored.signatures[key])
        for key in sorted(restored.signatures)
    }
    return LoadedModel(name, version, signatures, definitions, restored)


def version_folders(model: Path) -> dict[int, Path]:
    """The folders named by a whole number that hold a SavedModel."""
    return {
        int(path.name): path
        for path in sorted(folders(model))
        if path.name.isascii() and path.name.isdecimal() and (path / SAVED_MODEL).is_file()
    }


def folders(path: Path) -> list[Path]:
    """The folders in a folder; none where there is no such folder."""
    return [entry for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []


@contextmanager
def _gradients_unmentioned() -> Iterator[None]:
    """Keeps back TensorFlow's warning that a gradient of a signature would fail: nobody takes one."""
    absl = logging.getLogger("absl")

    def wanted(record: logging.LogRecord) -> bool:
        return "unsaved custom gradients" not in record.getMessage()

    absl.addFilter(wanted)
    try:
        yield
    finally:
        absl.removeFilter(wanted)


def _stamps(path: Path) -> frozenset[Any]:
    found = set()
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # of a copy that is under way
            stat = file.stat()
            found.add((file, stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
