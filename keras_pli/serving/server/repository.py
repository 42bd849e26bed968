"""The folders of models that are served, as TensorFlow Serving lays them out.

`<directory>/<model>/<version>/saved_model.pb`, where a version is a whole number. Unlike TensorFlow Serving,
which holds the newest version only, any version that exists is served by its number, and it is loaded when
it is first asked for. A newer version is loaded beside the one that serves and takes its place when it is
ready.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import ServingError, known
from .loading import (
    SAVED_MODEL,
    LoadedModel,
    Version,
    VersionStatus,
    folders,
    version_folders,
)
from .workers import Workers


class _Model:
    """What is known of one model: its versions on disk, the one that serves, and what is under way.

    `serving` may be a version whose folder is gone, until another one is in memory.
    """

    def __init__(self) -> None:
        self.versions: dict[int, Version] = {}
        self.serving: Version | None = None
        self.next: Future[LoadedModel] | None = None
        self.by_number: dict[Version, Future[LoadedModel]] = {}
        self.seen = -1

    def newest_first(self) -> list[Version]:
        return [self.versions[number] for number in sorted(self.versions, reverse=True)]


class ModelRepository:
    """Finds models and versions in a folder and loads a version when it is first used.

    Loading is the work of one thread. A request waits for it only where nothing in memory answers: for the
    first version of a model, and for one asked for by its number. A newer version is loaded while the older
    one serves, which leaves memory then, unless it was asked for by its number.

    Args:
        directory: A folder of models, or the folder of one model, whose name is then the folder's.

    Attributes:
        directory: The folder, as an absolute path.
        released: A function without arguments or None; what is loaded from then on has it called, by the
            thread that loads, when it is no longer served and the last request that used it has ended.

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
        self.released: Callable[[], object] | None = None
        self._holds_one_model = bool(version_folders(self.directory))
        self._models: dict[str, _Model] = {}
        # Held for the time of a look at what is known, never while something is loaded or read from disk.
        self._lock = threading.Lock()
        self._looks = itertools.count()
        # Nobody says that TensorFlow's loader may run twice at a time.
        self._loader = Workers(1, "keras-pli-loader")
        if not self.models():
            raise ValueError(
                f"No model in {str(directory)!r}: a folder <model>/<version>/{SAVED_MODEL}, or "
                f"<version>/{SAVED_MODEL}, is looked for, where the version is a whole number."
            )

    @property
    def busy(self) -> bool:
        """Whether something is being loaded now."""
        return self._loader.busy

    def models(self) -> dict[str, list[int]]:
        """The versions of each model, as they lie on disk now, in ascending order."""
        found = {name: sorted(version_folders(path)) for name, path in self._folders().items()}
        return {name: versions for name, versions in found.items() if versions}

    def load(self, name: str, version: int | None = None) -> LoadedModel:
        """Returns a version in memory; without a number, the one that serves.

        It waits, for the highest one that loads or the one of that number, where that is not in memory.

        Raises:
            ServingError: If the model or the version does not exist, or does not load.
        """
        return self.ready(name, version).result()

    def ready(self, name: str, version: int | None = None) -> Future[LoadedModel]:
        """Returns at once what `load` returns or raises, or will; it is shared and must not be cancelled.

        Raises:
            ServingError: If the model or the version does not exist.
        """
        model = self._look(name)
        with self._lock:
            if version is None:
                return self._newest(model)
            return self._by_number(model, self._existing(name, model, version))

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The state of one version, or of all of them with the highest first.

        To ask is to use: the version is loaded, and the answer waits where `load` would.

        Raises:
            ServingError: If the model or the version does not exist.
        """
        with suppress(ServingError):  # the status says so
            self.load(name, version)
        return self.states(name, version)

    def states(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """What `status` gives, without loading anything."""
        model = self._look(name)
        with self._lock:
            if version is None:
                return [found.status for found in model.newest_first()]
            return [self._existing(name, model, version).status]

    def close(self) -> None:
        """Ends every wait for a version by a ServingError; what is in memory stays."""
        self._loader.abandon()

    def _folders(self) -> dict[str, Path]:
        if self._holds_one_model:
            return {self.directory.name: self.directory}
        found = sorted(folders(self.directory))
        return {path.name: path for path in found if path.name[0] != "."}

    def _look(self, name: str) -> _Model:
        """Returns the model with the versions that lie on disk now."""
        number = next(self._looks)
        path = self._folders().get(name)
        found = version_folders(path) if path else {}
        if not found:
            with self._lock:
                self._models.pop(name, None)
            known(name, self.models(), "model", code="NOT_FOUND")
        with self._lock:
            model = self._models.setdefault(name, _Model())
            if number > model.seen:  # or somebody looked later, and was faster
                model.seen = number
                kept = {number: model.versions.get(number) for number in found}
                model.versions = {
                    number: version or Version(name, number, found[number])
                    for number, version in kept.items()
                }
        return model

    def _existing(self, name: str, model: _Model, version: int) -> Version:
        known(version, sorted(model.versions), f"version of {name!r}", code="NOT_FOUND")
        return model.versions[version]

    def _newest(self, model: _Model) -> Future[LoadedModel]:
        """What serves; if there may be something newer, or nothing serves, the loader is set to work."""
        versions = model.newest_first()
        loaded = next((version for version in versions if version.loaded), None)
        best = next((v for v in versions if v is loaded or v.worth_trying), None)
        gone = model.serving is not None and model.serving not in versions
        if loaded is not None and (best is loaded or not gone):
            self._serve(model, loaded)
        if model.next is None and (model.serving is None or best not in (None, loaded)):
            model.next = self._loader.submit(self._load_newest, model)
        if model.serving is not None and model.serving.loaded is not None:
            return _done(model.serving.loaded)
        assert model.next is not None
        return model.next

    def _by_number(self, model: _Model, version: Version) -> Future[LoadedModel]:
        version.asked = True
        if version.loaded is not None:
            return _done(version.loaded)
        if version not in model.by_number:
            model.by_number[version] = self._loader.submit(self._load_one, model, version)
        return model.by_number[version]

    def _load_newest(self, model: _Model) -> LoadedModel:
        failures = []
        try:
            with self._lock:
                versions = model.newest_first()
            for version in versions:
                try:
                    loaded = self._loaded(version)
                except ServingError as error:
                    failures.append(str(error))
                    continue
                with self._lock:
                    if version.loaded is not None:  # or a newer one serves already
                        self._serve(model, version)
                return loaded
        finally:
            with self._lock:
                model.next = None
        raise ServingError(" ".join(failures) or "No version is left.", "NOT_FOUND")

    def _load_one(self, model: _Model, version: Version) -> LoadedModel:
        try:
            return self._loaded(version)
        finally:
            with self._lock:
                model.by_number.pop(version, None)

    def _loaded(self, version: Version) -> LoadedModel:
        before = version.loaded
        loaded = version.load()
        if before is None and self.released is not None:
            weakref.finalize(loaded, self._loader.submit, self.released).atexit = False
        return loaded

    def _serve(self, model: _Model, version: Version) -> None:
        if model.serving is version:
            return
        others = list(model.versions.values())
        if model.serving is not None:
            others.append(model.serving)  # whose folder may be gone
        model.serving = version
        for other in others:
            if other is not version and other.loaded and not other.asked:
                other.release()


def _done(loaded: LoadedModel) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(loaded)
    return future
