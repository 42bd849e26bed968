"""What travels of a model to the actors: where it is stored, or what makes it; never the model itself."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ...optional import imported

GivenModel: TypeAlias = "str | os.PathLike[str] | Callable[[], Any]"


@dataclass(frozen=True)
class ModelSource:
    """A path or URL of a stored Keras model, or a function without arguments that returns one.

    Args:
        given: The path, absolute where it is one of this machine; the URL; or the function.
        argument: What the caller calls it, for errors.

    Example:
        >>> ModelSource("s3://models/shirts.keras", "model_path").is_url
        True
    """

    given: str | Callable[[], Any]
    argument: str

    @classmethod
    def of(cls, given: Any, argument: str) -> ModelSource:
        """Returns a source of what the caller gave.

        Raises:
            TypeError: If it is a model, or neither path, URL nor function.
            ValueError: If it ends as no stored Keras model does.

        Example:
            >>> ModelSource.of("shirts.keras", "model_path").is_url
            False
        """
        if isinstance(given, os.PathLike):
            given = os.fspath(given)
        if isinstance(given, str):
            if not given.lower().endswith((".keras", ".h5", ".hdf5")) and "::" not in given:
                raise ValueError(
                    f"`{argument}` must name a Keras file, '.keras' or '.h5'. Received: {given!r}. For a "
                    "model stored in another way, pass a function that loads it."
                )
            return cls(given if _is_url(given) else os.path.abspath(given), argument)
        if callable(given) and not hasattr(given, "get_weights"):
            return cls(given, argument)
        message = (
            f"`{argument}` must be the path or URL of a stored Keras model, or a function without "
            f"arguments that returns one. Received: {type(given).__name__}."
        )
        if hasattr(given, "get_weights"):
            message += (
                " A model itself does not travel to other machines: `model.save('model.keras')` where the "
                "actors reach it, and pass that path."
            )
        raise TypeError(message)

    @property
    def is_url(self) -> bool:
        """Whether it is stored somewhere that a URL names."""
        return isinstance(self.given, str) and _is_url(self.given)

    @property
    def is_here(self) -> bool:
        """Whether it is a file that this machine has."""
        return isinstance(self.given, str) and not self.is_url and Path(self.given).is_file()

    def load(self) -> Any:
        """Returns the model, without its optimizer and loss.

        Raises:
            FileNotFoundError: If this machine has no such file.
            ValueError: If the file cannot be read, or is no Keras model.
            TypeError: If the function returns no Keras model.
        """
        import keras

        import keras_pli  # noqa: F401 - registers what a stored map is made of

        if not isinstance(self.given, str):
            model = self.given()
            if not isinstance(model, keras.Model):
                raise TypeError(
                    f"`{self.argument}` must return a Keras model. It returned: {type(model).__name__}."
                )
            return model
        if self.is_url:
            with tempfile.TemporaryDirectory() as folder:
                return self._loaded(_fetched(self.given, Path(folder), self.argument))
        if not Path(self.given).is_file():
            raise FileNotFoundError(
                f"There is no model {self.given!r} on {socket.gethostname()}, where an actor runs. "
                f"Actors must reach `{self.argument}` themselves: put it on storage that all nodes share, "
                "pass a URL such as 's3://…', or pass a function that makes the model."
            )
        return self._loaded(self.given)

    def _loaded(self, path: str) -> Any:
        import keras

        try:
            return keras.saving.load_model(path, compile=False)
        except Exception as error:  # Keras raises half a dozen kinds for damaged or foreign files
            said = " ".join(str(error).split())[:400]
            raise ValueError(
                f"`{self.argument}`, {self.given!r}, cannot be loaded as a Keras model: {said}"
            ) from error


def _is_url(path: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


def _fetched(url: str, folder: Path, argument: str) -> str:
    """Copies a file from an object store into a folder and returns its path.

    Keras leaves URLs to TensorFlow, whose wheels know Google's store alone. Arrow, which Ray Data needs
    anyway, reads S3, Google's, Azure's and Hadoop's stores; fsspec what it has a protocol for.
    """
    name = re.split(r"[/:]+", url.split("::")[0].split("?")[0].rstrip("/"))[-1]
    path = folder / name
    tried = []
    for opened in (_by_arrow, _by_fsspec):
        try:
            with opened(url) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            return str(path)
        except Exception as error:  # each store raises kinds of its own
            tried.append(f"{opened.__name__[4:]}: {' '.join(str(error).split())[:300]}")
    raise ValueError(
        f"`{argument}`, {url!r}, cannot be read on {socket.gethostname()}, where an actor runs. "
        f"{'; '.join(tried)}"
    )


def _by_arrow(url: str) -> Any:
    from pyarrow import fs

    store, path = fs.FileSystem.from_uri(url)
    return store.open_input_stream(path)


def _by_fsspec(url: str) -> Any:
    fsspec = imported("fsspec", "A model of this URL", extra="ray")

    return fsspec.open(url, "rb")  # opened, with what it stands on, by `with`
