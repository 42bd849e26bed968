"""One round of a session: a classifier, the map of its layer, and what it says of the samples."""

from __future__ import annotations

import shutil
import threading
import zipfile
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...checks import quoted
from ...files import atomic_path, read_arrays, read_json, write_arrays, write_json
from ...network.activations import ActivationReader
from ...retraining.outputs import class_outputs, predicted
from .given import StudioData

CLASSIFIER, EMBEDDER, ARRAYS, NOTE = (
    "classifier.keras",
    "embedder.keras",
    "arrays.npz",
    "round.json",
)


@dataclass(frozen=True)
class RoundNote:
    """What is told of a round in the history.

    Args:
        number: Its number, from 0.
        parent: The round that it came from, or None.
        title: What it is, in a few words.
        sentence: What the retraining that made it did, or None.
        accuracy: Accuracy on the held-out samples.
        created: When it was made, local time.
        made_by: Of the retraining that made it: `weight` (λ), `epochs`, `seeds` and the `arm` that was kept;
            None where none did.
    """

    number: int
    parent: int | None
    title: str
    sentence: str | None
    accuracy: float
    created: str
    made_by: dict[str, Any] | None = None


class Round:
    """A classifier as one round of a session has it, for looking: it is never trained.

    Attributes:
        note: What is told of it.
        folder: Where it lies.
        classifier: The classifier.
        embedder: The map's network.
        map: Positions of the training samples, float32 `(samples, 2)`.
        outputs: What the classifier puts out for them, float32 `(samples, classes)`.
        test_outputs: The same for the held-out samples.
    """

    def __init__(
        self,
        data: StudioData,
        folder: Path,
        note: RoundNote,
        classifier: keras.Model,
        embedder: keras.Model,
        arrays: dict[str, NDArray[np.float32]],
    ) -> None:
        self.note, self.folder = note, folder
        self.classifier, self.embedder = classifier, embedder
        self.map, self.outputs = arrays["map"], arrays["outputs"]
        self.test_outputs = arrays["test_outputs"]
        for values in arrays.values():
            values.flags.writeable = False
        self._data = data
        self._activations: NDArray[np.float32] | None = None
        self._reading = threading.Lock()

    @property
    def number(self) -> int:
        """Its number, from 0."""
        return self.note.number

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The classes that the classifier decides for, of the training samples."""
        return self.outputs.argmax(axis=1)

    @property
    def activations(self) -> NDArray[np.float32]:
        """Activations of the training samples, read when they are first asked for."""
        with self._reading:
            if self._activations is None:
                reader = ActivationReader(self.classifier, self._data.layer)
                self._activations = predicted(reader, self._data.train[0])
            return self._activations

    @classmethod
    def make(
        cls,
        data: StudioData,
        folder: Path,
        classifier: Path,
        embedder: Path,
        *,
        number: int,
        parent: int | None,
        title: str,
        sentence: str | None = None,
        made_by: dict[str, Any] | None = None,
    ) -> Round:
        """Takes over the files of two networks, reads what they say of the data, and stores it whole.

        Args:
            data: What the studio was opened with.
            folder: Where to put the round.
            classifier: A classifier's file.
            embedder: A file of the map's network.
            number: The round's number.
            parent: The round that it came from.
            title: What it is, in a few words.
            sentence: What the retraining that made it did.
            made_by: How that was done; see `RoundNote`.

        Raises:
            ValueError: If a file cannot be loaded, the map has not two components, or it or the outputs are
                not finite.
        """
        for source, name in ((classifier, CLASSIFIER), (embedder, EMBEDDER)):
            _check_file(source)
            if source != folder / name:
                with atomic_path(folder / name) as temporary:
                    shutil.copyfile(source, temporary)
        networks = _networks(folder)
        activations = predicted(ActivationReader(networks[0], data.layer), data.train[0])
        check_map(networks[1], activations, data.layer)
        arrays = {
            "map": predicted(networks[1], activations),
            "outputs": class_outputs(networks[0], data.train[0]),
            "test_outputs": class_outputs(networks[0], data.test[0]),
        }
        _check(arrays)
        write_arrays(folder / ARRAYS, arrays)
        accuracy = float(np.mean(arrays["test_outputs"].argmax(axis=1) == data.test[1]))
        created = datetime.now().astimezone().isoformat(timespec="seconds")
        note = RoundNote(number, parent, title, sentence, accuracy, created, made_by)
        write_json(folder / NOTE, asdict(note))  # last: a round without a note is none
        made = cls(data, folder, note, *networks, arrays)
        made._activations = activations
        return made

    @classmethod
    def load(cls, data: StudioData, folder: Path) -> Round:
        """Reads what `make` stored.

        Raises:
            ValueError: If a file is missing, damaged, or of other samples.
        """
        note = read_note(folder)
        try:
            arrays = read_arrays(folder / ARRAYS)
        except FileNotFoundError as error:
            raise ValueError(f"{folder / ARRAYS} is missing.") from error
        train, test = len(data.labels), len(data.test[1])
        shapes = {
            "map": (train, 2),
            "outputs": (train, len(data.class_names)),
            "test_outputs": (test, len(data.class_names)),
        }
        if any(name not in arrays or arrays[name].shape != shapes[name] for name in shapes):
            raise ValueError(f"{folder / ARRAYS} is damaged: it is not of these samples.")
        networks = _networks(folder)
        return cls(data, folder, note, *networks, arrays)


def read_note(folder: Path) -> RoundNote:
    """Returns what a stored round tells of itself; raises ValueError if that is missing or damaged."""
    note = folder / NOTE
    try:
        told = read_json(note)
    except FileNotFoundError as error:
        raise ValueError(f"{note} is missing.") from error
    lacking = [f.name for f in fields(RoundNote) if f.default is MISSING and f.name not in told]
    if lacking:
        raise ValueError(f"{note} is damaged: it lacks {quoted(lacking)}.")
    # What a later version may have added is not asked for here.
    made = RoundNote(**{f.name: told[f.name] for f in fields(RoundNote) if f.name in told})
    if type(made.number) is not int or not isinstance(made.accuracy, float | int):
        raise ValueError(f"{note} is damaged: its number or accuracy is none.")
    return made


def load_network(path: Path, *, compiled: bool = True) -> keras.Model:
    """Returns a second model of a file's network.

    Args:
        path: The file.
        compiled: Whether to compile it as it was, where Keras can read how; to look at, it need not be.

    Raises:
        ValueError: If the file is missing, damaged, or cannot be loaded.
    """
    _check_file(path)
    try:
        return keras.saving.load_model(path, compile=compiled)
    except Exception:  # Keras raises half a dozen kinds, for a loss that is nobody's too
        try:
            return keras.saving.load_model(path, compile=False)
        except Exception as error:
            told = " ".join(str(error).split())[:400]
            raise ValueError(
                f"{path} cannot be loaded as a Keras model: {told} A studio works on copies, so a layer of "
                "your own must be registered by keras.saving.register_keras_serializable."
            ) from error


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ValueError(f"{path} is missing.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is damaged: it is cut, or no Keras file.")


def _networks(folder: Path) -> tuple[keras.Model, keras.Model]:
    """Classifier and map of a round, to look at."""
    return (
        load_network(folder / CLASSIFIER, compiled=False),
        load_network(folder / EMBEDDER, compiled=False),
    )


def check_map(embedder: keras.Model, activations: NDArray[Any], layer: str) -> None:
    """Raises a `ValueError` for a map of something else than the layer, or not of two components."""
    try:
        shape = tuple(embedder(activations[:1], training=False).shape)
    except Exception as error:  # each layer and backend has its own
        raise ValueError(
            f"The embedder {embedder.name!r} does not take the activations of layer {layer!r}, "
            f"{activations.shape[1:]} a sample. It is a map of inputs of shape "
            f"{getattr(embedder, 'input_shape', 'unknown')}."
        ) from error
    if shape != (1, 2):
        raise ValueError(
            f"A studio shows maps of two components. The embedder {embedder.name!r} gives shape {shape} for "
            "one sample."
        )


_WHOSE = {
    "map": "What the map makes of the classifier's activations",
    "outputs": "The classifier's outputs",
    "test_outputs": "The classifier's outputs for held-out samples",
}


def _check(arrays: dict[str, Any]) -> None:
    for name, values in arrays.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{_WHOSE[name]} must be finite. {len(bad)} of {len(values)} rows "
                f"are not, the first is {bad[0]}."
            )
