"""The work of explaining a cohort: batches of one fold, and what is kept of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...attribution import Method
from ...checks import quoted
from ...files import read_json
from ...identity import identity_digest, model_identity, value_identity
from ...parts import PartFolder, PartWriter
from ...version import __version__
from ..cohorts.cohort import Cohort
from ..cohorts.cohort_identity import cohort_identity
from ..images.maps import write_map
from ..images.preprocessed import PreprocessedVolume
from .explained_training import Explained
from .file_names import file_name

Factory = Callable[[keras.Model], Method]
Rows = NDArray[np.intp]
_VOLUMES = "volumes"


def map_file(folder: Path, method: str, name: str) -> Path:
    """Where the map of an image lies."""
    return _method_folder(folder, method) / f"{name}.nii.gz"


def map_parts(folder: Path, method: str) -> PartFolder:
    """A method's maps on the network's grid, numbered by the images' rows in the cohort."""
    return PartFolder(_method_folder(folder, method) / "arrays", "maps")


def volume_parts(folder: Path) -> PartFolder:
    """What the networks saw, numbered by the images' rows in the cohort."""
    return PartFolder(folder / _VOLUMES, _VOLUMES)


def made_from(folder: Path, method: str, basis: Mapping[str, Any]) -> bool:
    """Whether a method's maps are there, and of some networks and images."""
    note = _noted(map_parts(folder, method))
    return bool(note) and all(note.get(key) == value for key, value in basis.items())


def covers(folder: Path, method: str, rows: Sequence[int], names: Sequence[str]) -> bool:
    """Whether there is all of each of some images."""
    volumes, maps = volume_parts(folder), map_parts(folder, method)
    return all(
        volumes.path(row).is_file()
        and maps.path(row).is_file()
        and map_file(folder, method, name).is_file()
        for row, name in zip(rows, names, strict=True)
    )


def _noted(parts: PartFolder) -> dict[str, Any]:
    """What parts were made from; nothing where there are none, or the note is damaged."""
    try:
        return read_json(parts.note) if parts.numbers else {}
    except (FileNotFoundError, ValueError):
        return {}


def _method_folder(folder: Path, method: str) -> Path:
    return folder / file_name(method)


def file_stems(cohort: Cohort) -> list[str]:
    """What the maps' files are called: as the images' are, and where these repeat, with the row before.

    They are those of the whole cohort, so that they stay when more of its images are explained.
    """
    stems = [Path(path).name.removesuffix(".gz").rsplit(".", 1)[0] for path in cohort.paths]
    counts = Counter(stem.casefold() for stem in stems)
    numbered = [f"{row:05d}-{stem}" for row, stem in enumerate(stems)]
    pairs = zip(numbered, stems, strict=True)
    names = [stem if counts[stem.casefold()] == 1 else other for other, stem in pairs]
    return names if len({name.casefold() for name in names}) == len(names) else numbered


def made_methods(
    methods: Mapping[str, Factory], networks: Sequence[keras.Model]
) -> list[dict[str, Method]]:
    """Returns the methods of each network.

    Raises:
        TypeError: If `methods` are not functions by name, or one does not return a method.
        ValueError: If there is none, or the names of two differ in case only.
    """
    if not isinstance(methods, Mapping):
        raise TypeError(
            "`methods` must be what makes each method of a network, by name, such as "
            f"{{'saliency': Saliency}}. Received: {type(methods).__name__}."
        )
    wrong = [name for name in methods if not isinstance(name, str) or not name]
    if wrong:
        raise TypeError(f"Names of `methods` must be texts. Received: {quoted(wrong)}.")
    folders = {file_name(name).casefold() for name in methods}
    if len(folders) < len(methods) or not methods or _VOLUMES in folders:
        raise ValueError(
            "`methods` must hold at least one method, none called 'volumes', and names must differ not only "
            f"in case. Received: {quoted(methods)}."
        )
    return [
        {name: _method(name, make, network) for name, make in methods.items()}
        for network in networks
    ]


def _method(name: str, make: Factory, network: keras.Model) -> Method:
    method: Any = make(network) if callable(make) else make
    if not isinstance(method, Method):
        raise TypeError(
            f"methods[{name!r}] must be a function that makes a `Method` of a network. It "
            f"{'returned' if callable(make) else 'is'}: {method!r}."
        )
    return method


@dataclass(frozen=True, eq=False)
class Work:
    """Explains images of a cohort, and keeps each as soon as it is done.

    Args:
        cohort: The images.
        by: The networks.
        methods: The methods of each network.
        target: `"predicted"`, `"label"` or the position of a class.
        folder: Where the maps are kept.
    """

    cohort: Cohort
    by: Explained
    methods: Sequence[Mapping[str, Method]]
    target: str | int
    folder: Path

    def run(self, rows: Rows, size: int, progress: keras.utils.Progbar) -> None:
        """Explains the images of some rows, all but those that are there.

        Raises:
            ValueError: If the folder holds something else.
        """
        basis = self.basis
        try:
            volume_parts(self.folder).check(basis)
        except ValueError as error:
            raise ValueError(
                f"{error} The maps beside it are of the same networks and images: delete {self.folder} whole."
            ) from error
        self._check_target()
        with ExitStack() as stack:
            volumes = stack.enter_context(volume_parts(self.folder).writing(basis))
            maps = {}
            for kind, method in self.methods[0].items():
                identity = {**basis, "method": _told(method), "target": str(self.target)}
                parts = map_parts(self.folder, kind)
                maps[kind] = stack.enter_context(parts.writing(identity))
            for batch in _batches(self.by.fold, rows, size):
                self._explain(batch, volumes, maps)
                progress.add(len(batch))

    @cached_property
    def basis(self) -> dict[str, Any]:
        """What all maps of the folder are made from, as it is noted."""
        return {
            **cohort_identity(self.cohort, self.by.preprocessing),
            # The cohort's identity covers the template's file.
            "preprocessing": identity_digest(replace(self.by.preprocessing, template=None)),
            "models": [model_identity(network) for network in self.by.networks],
            "folds": identity_digest([self.by.fold, list(self.by.scales)]),
            "keras_pli": __version__,
        }

    @cached_property
    def stems(self) -> list[str]:
        """What the files of each image's maps are called."""
        return file_stems(self.cohort)

    def _check_target(self) -> None:
        """Raises a `ValueError` if there are maps of another target, by whatever method."""
        for note in sorted(self.folder.glob("*/arrays/maps.json")):
            other = _noted(PartFolder(note.parent, "maps")).get("target", str(self.target))
            if other != str(self.target):
                raise ValueError(
                    f"{note.parent.parent} holds maps that were made otherwise: of the target "
                    f"{self._called(other)}, and now {self._called(str(self.target))}. A folder's maps are "
                    "all of one target: choose another folder."
                )

    def _called(self, target: str) -> str:
        """A target as the table names it."""
        known = target.isdecimal() and int(target) < len(self.by.classes)
        return repr(str(self.by.classes[int(target)]) if known else target)

    def _explain(self, rows: Rows, volumes: PartWriter, maps: Mapping[str, PartWriter]) -> None:
        """Explains images of one fold."""
        stems = self.stems
        missing = {
            kind: [
                int(row)
                for row in rows
                if writer.read(int(row)) is None
                or not map_file(self.folder, kind, stems[row]).is_file()
            ]
            for kind, writer in maps.items()
        }
        unread = [int(row) for row in rows if volumes.read(int(row)) is None]
        needed = sorted({*unread, *(row for lacking in missing.values() for row in lacking)})
        if not needed:
            return
        fold = int(self.by.fold[rows[0]])
        given = {row: self._volume(row) for row in needed}
        x = np.stack([volume.values for volume in given.values()])[..., np.newaxis]
        predicted = np.asarray(self.by.networks[fold](x, training=False)).argmax(1)
        for row in unread:
            arrays = _volume_arrays(given[row])
            volumes.write(row, {**arrays, "predicted": predicted[needed.index(row)]})
        for kind, lacking in missing.items():
            if not lacking:
                continue
            chosen = [needed.index(row) for row in lacking]
            target = self.targets(np.array(lacking), predicted[chosen])
            found = self.methods[fold][kind](x[chosen], target=target)
            for row, one in zip(lacking, _summed(found.attributions), strict=True):
                write_map(map_file(self.folder, kind, stems[row]), one, given[row])
                maps[kind].write(row, {"map": one})

    def targets(self, rows: Rows, predicted: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of the classes that are explained of some images."""
        if self.target == "predicted":
            return predicted.astype(np.int64)
        if self.target == "label":
            return self.cohort.labels[rows].astype(np.int64)
        return np.full(len(rows), self.target, np.int64)

    def _volume(self, row: int) -> PreprocessedVolume:
        scale = self.by.scales[row] * self.by.preprocessing.scale
        return self.cohort.volume(row, self.by.preprocessing, scale=scale)


def _told(method: Method) -> dict[str, Any]:
    """What makes a method's maps, so that errors can say which option differs."""
    kind = f"{type(method).__module__}.{type(method).__qualname__}"
    told: dict[str, Any] = value_identity({**method.settings(), "class": kind})
    return told


def _batches(folds: NDArray[np.int64], rows: Rows, size: int) -> Iterator[Rows]:
    """At most so many rows, those of one fold together."""
    for fold in np.unique(folds[rows]):
        members = rows[folds[rows] == fold]
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _volume_arrays(volume: PreprocessedVolume) -> dict[str, NDArray[Any]]:
    brain = np.zeros(volume.values.shape, bool) if volume.brain is None else volume.brain
    return {"values": volume.values, "brain": brain, "affine": volume.affine}


def _summed(attributions: Any) -> NDArray[np.float32]:
    """Maps without the axis of the one channel."""
    found = np.asarray(attributions, np.float32)
    return found[..., 0] if found.ndim == 5 else found
