"""The folders of models that are served, as TensorFlow Serving lays them out.

`<directory>/<model>/<version>/saved_model.pb`, where a version is a whole number. Unlike TensorFlow Serving,
which holds the newest version only, any version that exists is served by its number, and it is loaded when
it is first asked for.
"""

from __future__ import annotations

import logging
import os
import threading
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

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionStatus:
    """What is known of a version, in the words of TensorFlow Serving.

    `state` is START before the first use, then LOADING, and AVAILABLE or END; END comes with the error.
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


class ModelRepository:
    """Finds models and versions in a folder and loads a version when it is first used.

    Args:
        directory: A folder of models, or the folder of one model, whose name is then the folder's.

    Raises:
        ValueError: If no version of a model is found.

    Example:
        >>> repository = ModelRepository("saved_models")
        >>> repository.models()
        {'digits': [1]}
        >>> repository.load("digits").version
        1
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory).resolve()
        self._holds_one_model = bool(_version_folders(self.directory))
        self._versions: dict[Path, _Version] = {}
        self._lock = threading.Lock()
        # Nobody says that TensorFlow's loader may run twice at a time.
        self._loader = threading.Lock()
        if not self.models():
            raise ValueError(
                f"No model in {str(directory)!r}: a folder <model>/<version>/{SAVED_MODEL}, or "
                f"<version>/{SAVED_MODEL}, is looked for, where the version is a whole number."
            )

    def models(self) -> dict[str, list[int]]:
        """The versions of each model, as they lie on disk now, in ascending order."""
        if self._holds_one_model:
            folders = [self.directory]
        else:
            folders = sorted(path for path in _folders(self.directory) if path.name[0] != ".")
        found = {folder.name: sorted(_version_folders(folder)) for folder in folders}
        return {name: versions for name, versions in found.items() if versions}

    def load(self, name: str, version: int | None = None) -> LoadedModel:
        """Returns a version, loaded; without a number, the highest one that loads.

        Raises:
            ServingError: If the model or the version does not exist, or does not load.
        """
        versions = self._find(name, version)
        failures = []
        for found in reversed(versions):
            try:
                return found.loaded()
            except ServingError as error:
                failures.append(str(error))
        raise ServingError(" ".join(failures), "NOT_FOUND")

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The state of one version, or of all of them with the highest first.

        To ask is to use: the version is loaded, so that a client that waits for AVAILABLE sees it.

        Raises:
            ServingError: If the model or the version does not exist.
        """
        versions = self._find(name, version)
        with suppress(ServingError):  # the status says so
            self.load(name, version)
        return [found.status for found in reversed(versions)]

    def _find(self, name: str, version: int | None) -> list[_Version]:
        known(name, self.models(), "model", code="NOT_FOUND")
        folder = self.directory if self._holds_one_model else self.directory / name
        folders = _version_folders(folder)
        with self._lock:
            for path in [path for path in self._versions if path.parent == folder]:
                if path not in folders.values():
                    del self._versions[path]
            for number, path in folders.items():
                if path not in self._versions:
                    self._versions[path] = _Version(name, number, path, self._loader)
            if version is None:
                return [self._versions[folders[number]] for number in sorted(folders)]
            known(version, sorted(folders), f"version of {name!r}", code="NOT_FOUND")
            return [self._versions[folders[version]]]


class _Version:
    """A version folder; it is loaded once, and again only if that failed and the files changed since."""

    def __init__(self, model: str, number: int, path: Path, loader: threading.Lock) -> None:
        self._model = model
        self._path = path
        self._loader = loader
        self._loaded: LoadedModel | None = None
        self._failed_files: frozenset[Any] | None = None
        self.number = number
        self.status = VersionStatus(number, "START")

    def loaded(self) -> LoadedModel:
        """Returns the model; raises ServingError if it does not load."""
        if self._loaded is None:
            with self._loader:
                if self._loaded is None:
                    self._load()
        if self._loaded is None:
            raise ServingError(
                f"Version {self.number} of {self._model!r} does not load: "
                f"{self.status.error_message}",
                "NOT_FOUND",
            )
        return self._loaded

    def _load(self) -> None:
        files = _stamps(self._path)
        if files == self._failed_files:
            return
        self.status = VersionStatus(self.number, "LOADING")
        try:
            self._loaded = _load(self._model, self.number, self._path)
        # A damaged folder raises whatever the parser or the restorer met; none may end the server.
        except Exception as error:
            reason = useful_part(str(error)) or type(error).__name__
            logger.warning("Version %d of %r does not load: %s", self.number, self._model, reason)
            self._failed_files = files
            self.status = VersionStatus(self.number, "END", "UNKNOWN", reason)
        else:
            self.status = VersionStatus(self.number, "AVAILABLE")


def _load(name: str, version: int, path: Path) -> LoadedModel:
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


def _version_folders(model: Path) -> dict[int, Path]:
    """The folders named by a whole number that hold a SavedModel."""
    return {
        int(path.name): path
        for path in sorted(_folders(model))
        if path.name.isascii() and path.name.isdecimal() and (path / SAVED_MODEL).is_file()
    }


def _folders(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []


def _stamps(path: Path) -> frozenset[Any]:
    found = set()
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # of a copy that is under way
            stat = file.stat()
            found.add((file, stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
