"""Maps of every image of a cohort, each by a network that has not seen it, as files on the image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...attribution import Method
from ...brief import brief_repr
from ...checks import checked_number, quoted
from ...files import read_arrays, read_json, write_json
from ...identity import identity_digest, model_identity, value_identity
from ...parts import PartFolder, PartWriter
from ...version import __version__
from ..cohorts.cohort import Cohort
from ..cohorts.cohort_identity import cohort_identity
from ..images.maps import write_map
from ..images.preprocessed import PreprocessedVolume
from ..images.preprocessing import Preprocessing
from ..training.cross_validation import CrossValidation

Factory = Callable[[keras.Model], Method]
Rows = NDArray[np.intp]
_RESULT = "result.json"


@dataclass(frozen=True, repr=False, eq=False)
class CohortExplanation:
    """Maps of a cohort in a folder; made by `explain_cohort`.

    Args:
        folder: Where they are: `<method>/<image>.nii.gz` on each subject's own grid.
        table: A row for each image: its position `row` in the cohort, `subject`, `label`, what was
            `predicted`, the class `explained`, and the file `name` of its maps.
        methods: The methods' names.
    """

    folder: Path
    table: pd.DataFrame
    methods: tuple[str, ...]
    __repr__ = brief_repr

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> CohortExplanation:
        """Reads what `explain_cohort` left in a folder.

        Raises:
            ValueError: If there is no finished explanation.
        """
        folder = Path(folder)
        try:
            about = read_json(folder / _RESULT)
        except FileNotFoundError as error:
            raise ValueError(f"{folder} holds no finished maps of a cohort.") from error
        return cls(folder, pd.DataFrame(about["table"]), tuple(about["methods"]))

    def __len__(self) -> int:
        return len(self.table)

    def maps(self, method: str) -> NDArray[np.float32]:
        """Returns a method's maps on the grid that the network sees, `(images, X, Y, Z)`.

        Raises:
            ValueError: If the method was not asked for.
        """
        if method not in self.methods:
            raise ValueError(
                f"`method` must be one of {quoted(self.methods)}. Received: {method!r}."
            )
        return np.stack([part[_key(self.methods, method)] for part in self._parts()])

    @property
    def volumes(self) -> NDArray[np.float32]:
        """What the network saw, `(images, X, Y, Z)`."""
        return np.stack([part["values"] for part in self._parts()])

    @property
    def brains(self) -> NDArray[np.bool_] | None:
        """The brains on that grid, or None where some are not known."""
        found = [part["brain"] for part in self._parts()]
        return np.stack(found) if all(brain.any() for brain in found) else None

    @property
    def affines(self) -> NDArray[np.float64]:
        """From that grid's voxels to mm, `(images, 4, 4)`."""
        return np.stack([part["affine"] for part in self._parts()])

    def file(self, method: str, position: int) -> Path:
        """Returns where a map lies, by the image's position in `table`."""
        return _map_file(self.folder, method, self.table["name"].iloc[position])

    def _parts(self) -> Iterator[dict[str, NDArray[Any]]]:
        parts = _parts_in(self.folder)
        for number in range(len(self.table)):
            yield read_arrays(parts.path(number))


def explain_cohort(
    models: CrossValidation | keras.Model,
    cohort: Cohort,
    preprocessing: Preprocessing,
    methods: Mapping[str, Factory],
    out: str | os.PathLike[str],
    *,
    target: str | int = "predicted",
    rows: ArrayLike | None = None,
    batch_size: int = 8,
    verbose: int = 0,
) -> CohortExplanation:
    """Explains the images of a cohort, and writes each map as a NIfTI file on the subject's own grid.

    What is done stays, and an interrupted run goes on where it stopped. Only a batch of volumes is in memory.

    Args:
        models: A `CrossValidation` of this cohort, of which each image is explained by the network that did
            not train on it; or one network.
        cohort: The images.
        preprocessing: As in training.
        methods: What makes each method of a network, by name: `{"grad_cam": GradCAM}`, or a function such as
            `lambda network: GradCAM(network, layer="conv_2")`.
        out: The folder of the maps.
        target: `"predicted"`, `"label"` for each image's own class, or the position of a class.
        rows: Positions of the images to explain; None: all.
        batch_size: Volumes in memory at a time.
        verbose: 1 draws a progress bar.

    Returns:
        A `CohortExplanation`.

    Raises:
        VolumeError: If an image cannot be used.
        ValueError: If the folder holds maps that were made otherwise, or a class or row does not exist.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.attribution import Saliency
        >>> from keras_pli.synthetic import brain_phantoms
        >>> from keras_pli.volume import Preprocessing, read_cohort, volume_classifier
        >>> network = volume_classifier((16, 18, 16), filters=(2, 4))
        >>> with TemporaryDirectory() as folder:
        ...     cohort = read_cohort(brain_phantoms(2, shape=(16, 18, 16)).write(folder))
        ...     prepare = Preprocessing(skull_stripping="mask")
        ...     found = explain_cohort(
        ...         network, cohort, prepare, {"saliency": Saliency}, f"{folder}/maps", target="label"
        ...     )
        ...     found.maps("saliency").shape, found.file("saliency", 0).name
        ((2, 16, 18, 16), 'sub-0001_T1w.nii.gz')
    """
    chosen = np.arange(len(cohort)) if rows is None else _checked_rows(rows, len(cohort))
    classes = tuple(cohort.classes or ())
    if target not in ("predicted", "label"):
        checked_number(target, "target", least=0, below=len(classes), whole=True)
    size = checked_number(batch_size, "batch_size", least=1, whole=True)
    networks, fold, scales = _networks(models, cohort)
    made = [{name: make(network) for name, make in methods.items()} for network in networks]
    folder = Path(out)
    names = _file_names(cohort, chosen)
    identity = {
        **cohort_identity(cohort),
        "preprocessing": identity_digest(preprocessing),
        "models": [model_identity(network) for network in networks],
        "methods": {name: identity_digest(method.settings()) for name, method in made[0].items()},
        "target": str(target),
        "rows": identity_digest(chosen),
        "keras_pli": __version__,
    }
    work = _Work(cohort, preprocessing, networks, scales, made, target, folder)
    progress = keras.utils.Progbar(len(chosen), verbose=verbose, unit_name="image")
    with _parts_in(folder).writing(identity) as writer:
        for batch in _batches(fold[chosen], size):
            work.explain(
                chosen[batch], batch, [names[i] for i in batch], int(fold[chosen[batch[0]]]), writer
            )
            progress.add(len(batch))
        writer.finish(len(chosen))
        parts = [
            read_arrays(writer.parts.path(number), ["predicted", "explained"])
            for number in range(len(chosen))
        ]
    table = pd.DataFrame(
        {
            "row": chosen,
            "subject": cohort.subjects[chosen],
            "label": [classes[code] for code in cohort.labels[chosen]],
            "predicted": [classes[int(part["predicted"])] for part in parts],
            "explained": [classes[int(part["explained"])] for part in parts],
            "name": names,
        }
    )
    about = {"table": table.to_dict("list"), "methods": list(methods)}
    write_json(folder / _RESULT, value_identity(about))
    return CohortExplanation(folder, table, tuple(methods))


@dataclass(frozen=True, eq=False)
class _Work:
    cohort: Cohort
    preprocessing: Preprocessing
    networks: Sequence[keras.Model]
    scales: Sequence[float]
    methods: Sequence[Mapping[str, Method]]
    target: str | int
    folder: Path

    def explain(
        self, rows: Rows, numbers: Rows, names: list[str], fold: int, writer: PartWriter
    ) -> None:
        """Explains images of one fold, all but those that are there."""
        kinds = list(self.methods[fold])
        todo = [
            i
            for i, number in enumerate(numbers)
            if writer.read(int(number)) is None
            or not all(_map_file(self.folder, kind, names[i]).is_file() for kind in kinds)
        ]
        if not todo:
            return
        volumes = [self._volume(int(rows[i])) for i in todo]
        x = np.stack([volume.values for volume in volumes])[..., np.newaxis]
        predicted = np.asarray(self.networks[fold](x, training=False)).argmax(1)
        explained = {"predicted": predicted, "label": self.cohort.labels[rows[todo]]}.get(
            str(self.target), np.full(len(todo), self.target)
        )
        maps = {
            kind: _summed(method(x, target=explained.astype(int)).attributions)
            for kind, method in self.methods[fold].items()
        }
        for place, i in enumerate(todo):
            arrays = {
                "predicted": predicted[place],
                "explained": explained[place],
                **_volume_arrays(volumes[place]),
                **{_key(kinds, kind): found[place] for kind, found in maps.items()},
            }
            for kind, found in maps.items():
                write_map(_map_file(self.folder, kind, names[i]), found[place], volumes[place])
            writer.write(int(numbers[i]), arrays)

    def _volume(self, row: int) -> PreprocessedVolume:
        scale = self.scales[row] * self.preprocessing.scale
        return self.cohort.volume(row, self.preprocessing, scale=scale)


def _networks(
    models: CrossValidation | keras.Model, cohort: Cohort
) -> tuple[Sequence[keras.Model], NDArray[np.int64], Sequence[float]]:
    """The networks, which of them explains each image, and what each image is enlarged by for it."""
    if not isinstance(models, CrossValidation):
        return [models], np.zeros(len(cohort), int), [1.0] * len(cohort)
    known = models.predictions["subject"].tolist()
    if known != cohort.subjects.tolist():
        raise ValueError(
            f"The cross-validation is of another cohort: of {len(known)} images, the first of subject "
            f"{known[0]!r}. Received {len(cohort)}, the first of subject {cohort.subjects[0]!r}."
        )
    found = models.predictions
    return models.models, found["fold"].to_numpy(int), found["scale"].tolist()


def _batches(folds: NDArray[np.int64], size: int) -> Iterator[Rows]:
    """Positions of at most so many images, those of one fold together."""
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _file_names(cohort: Cohort, rows: Rows) -> list[str]:
    """What the maps' files are called: as the images' are, and where these repeat, with the row before."""
    stems = [Path(cohort.paths[row]).name.removesuffix(".gz").rsplit(".", 1)[0] for row in rows]
    counts = Counter(stems)
    return [
        stem if counts[stem] == 1 else f"{row:05d}-{stem}"
        for row, stem in zip(rows, stems, strict=True)
    ]


def _checked_rows(rows: ArrayLike, count: int) -> Rows:
    found = np.asarray(rows)
    whole = found.ndim == 1 and found.dtype.kind in "iu" and len(set(found.tolist())) == len(found)
    if not whole or not len(found) or found.min() < 0 or found.max() >= count:
        raise ValueError(
            f"`rows` must be different positions from 0 to {count - 1}. Received: {quoted(found.ravel())}."
        )
    return found.astype(np.intp)


def _volume_arrays(volume: PreprocessedVolume) -> dict[str, NDArray[Any]]:
    brain = np.zeros(volume.values.shape, bool) if volume.brain is None else volume.brain
    return {"values": volume.values, "brain": brain, "affine": volume.affine}


def _summed(attributions: Any) -> NDArray[np.float32]:
    """Maps without the axis of the one channel."""
    found = np.asarray(attributions, np.float32)
    return found[..., 0] if found.ndim == 5 else found


def _key(methods: Sequence[str], method: str) -> str:
    """What a method's map is called in a part; names of methods may be any text."""
    return f"map_{list(methods).index(method)}"


def _map_file(folder: Path, method: str, name: str) -> Path:
    return folder / method / f"{name}.nii.gz"


def _parts_in(folder: Path) -> PartFolder:
    return PartFolder(folder / "arrays", "maps")
