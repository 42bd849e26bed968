"""Maps of every image of a cohort, each by a network that has not seen it, as files on the image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...brief import counted
from ...checks import checked_number, quoted
from ...files import read_arrays, read_json, write_json
from ...identity import model_identity, value_identity
from ...locks import one_writer
from ...parts import PartFolder
from ..cohorts.cohort import Cohort
from ..images.preprocessing import Preprocessing
from ..training.cross_validation import CrossValidation
from .explained_training import checked_target, explained_by
from .explanation_work import (
    Factory,
    Work,
    covers,
    made_from,
    made_methods,
    map_file,
    map_parts,
    volume_parts,
)

_RESULT = "result.json"


@dataclass(frozen=True, repr=False, eq=False)
class CohortExplanation:
    """Maps of a cohort in a folder; made by `explain_cohort`.

    Args:
        folder: Where they are: `<method>/<image>.nii.gz` on each subject's own grid.
        table: A row for each image: its position `row` in the cohort, `subject`, `label`, what was
            `predicted`, the class `explained`, and the file `name` of its maps.
        methods: The methods' names.
        models: A digest of the weights of each network that was explained.

    Example:
        >>> import pandas as pd
        >>> CohortExplanation(Path("maps"), pd.DataFrame({"row": [0, 1]}), ("saliency",), ("0f3a",))
        CohortExplanation(2 images by 'saliency', in maps)
    """

    folder: Path
    table: pd.DataFrame
    methods: tuple[str, ...]
    models: tuple[str, ...]

    def __repr__(self) -> str:
        images = counted(len(self), "image")
        return f"CohortExplanation({images} by {quoted(self.methods)}, in {self.folder})"

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> CohortExplanation:
        """Reads what `explain_cohort` left in a folder.

        The images are those of the call that explained most, the latest of equal ones; the methods, of all
        calls, those that have a map of each of these images.

        Raises:
            ValueError: If there is no finished explanation, or parts of it are gone.
        """
        folder = Path(folder)
        try:
            about = read_json(folder / _RESULT)
        except FileNotFoundError as error:
            raise ValueError(f"{folder} holds no finished maps of a cohort.") from error
        lists = (about.get(name) for name in ("methods", "models"))
        methods, models = (tuple(found or ()) for found in lists)
        found = cls(folder, pd.DataFrame(about["table"]), methods, models)
        for parts in (volume_parts(folder), *(map_parts(folder, method) for method in methods)):
            for row in found.table["row"]:
                if not parts.path(row).is_file():
                    raise _lost(parts.path(row))
        return found

    def __len__(self) -> int:
        return len(self.table)

    def maps(self, method: str) -> NDArray[np.float32]:
        """Returns a method's maps on the grid that the network sees, `(images, X, Y, Z)`.

        Raises:
            ValueError: If the method was not asked for, or a file is gone.
        """
        return self._stored(self._parts(method), "map", self.table["row"])

    def map(self, method: str, position: int) -> NDArray[np.float32]:
        """Returns one of `maps`, `(X, Y, Z)`, by the image's position in `table`.

        Raises:
            ValueError: As `maps`.
        """
        return self._stored(self._parts(method), "map", [self.table["row"].iloc[position]])[0]

    @property
    def volumes(self) -> NDArray[np.float32]:
        """What the network saw, `(images, X, Y, Z)`."""
        return self._stored(volume_parts(self.folder), "values", self.table["row"])

    @property
    def brains(self) -> NDArray[np.bool_] | None:
        """The brains on that grid, or None where some are not known."""
        found = self._stored(volume_parts(self.folder), "brain", self.table["row"])
        return found if found.any(axis=(1, 2, 3)).all() else None

    @property
    def affines(self) -> NDArray[np.float64]:
        """From that grid's voxels to mm, `(images, 4, 4)`."""
        return self._stored(volume_parts(self.folder), "affine", self.table["row"])

    def file(self, method: str, position: int) -> Path:
        """Returns where a map lies, by the image's position in `table`."""
        return map_file(self.folder, method, self.table["name"].iloc[position])

    def _parts(self, method: str) -> PartFolder:
        if method not in self.methods:
            raise ValueError(
                f"`method` must be one of {quoted(self.methods)}. Received: {method!r}."
            )
        return map_parts(self.folder, method)

    @staticmethod
    def _stored(parts: PartFolder, name: str, rows: Iterable[int]) -> NDArray[Any]:
        """One array of each image, by rows of the cohort."""
        paths = [parts.path(row) for row in rows]
        try:
            return np.stack([read_arrays(path, [name])[name] for path in paths])
        except FileNotFoundError as error:
            raise _lost(Path(error.filename)) from error


def explain_cohort(
    models: CrossValidation | keras.Model,
    cohort: Cohort,
    preprocessing: Preprocessing | None,
    methods: Mapping[str, Factory],
    out: str | os.PathLike[str],
    *,
    target: str | int = "predicted",
    rows: ArrayLike | None = None,
    batch_size: int = 8,
    verbose: int = 0,
) -> CohortExplanation:
    """Explains the images of a cohort, and writes each map as a NIfTI file on the subject's own grid.

    What is done stays: an interrupted run goes on where it stopped, and a further call with the same folder
    and more methods or rows makes only what is missing. A call with fewer returns these, and takes nothing
    from what `CohortExplanation.load` gives. All maps of a folder are of one target. Only a batch of volumes
    is in memory.

    Args:
        models: A `CrossValidation` of this cohort, of which each image is explained by the network that did
            not train on it; or one network.
        cohort: The images.
        preprocessing: As in training; None takes that of the cross-validation.
        methods: What makes each method of a network, by name: `{"grad_cam": GradCAM}`, or a function such as
            `lambda network: GradCAM(network, layer="conv_2")`.
        out: The folder of the maps. What in a name cannot be in a file's name is replaced.
        target: `"predicted"`, `"label"` for each image's own class, a class as the table names it, as text,
            or the position of a class.
        rows: Positions of the images to explain; None: all.
        batch_size: Volumes in memory at a time.
        verbose: 1 draws a progress bar.

    Returns:
        A `CohortExplanation`.

    Raises:
        VolumeError: If an image cannot be used.
        ValueError: If the cross-validation is of another cohort, other classes or another preprocessing, the
            folder holds maps that were made otherwise, or a class or row does not exist.
        TypeError: If `methods` are not functions by name that make methods.

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
    by = explained_by(models, cohort, preprocessing)
    aim = checked_target(target, by.classes)
    size = checked_number(batch_size, "batch_size", least=1, whole=True)
    folder = Path(out)
    work = Work(cohort, by, made_methods(methods, by.networks), aim, folder)
    work.run(chosen, size, keras.utils.Progbar(len(chosen), verbose=verbose, unit_name="image"))
    volumes = volume_parts(folder)
    predicted = np.array(
        [int(read_arrays(volumes.path(row), ["predicted"])["predicted"]) for row in chosen]
    )
    codes = {
        "label": cohort.labels[chosen],
        "predicted": predicted,
        "explained": work.targets(chosen, predicted),
    }
    table = pd.DataFrame(
        {
            "row": chosen,
            "subject": cohort.subjects[chosen],
            **{name: [by.classes[code] for code in found] for name, found in codes.items()},
            "name": [work.stems[row] for row in chosen],
        }
    )
    weights = tuple(model_identity(network)["weights"] for network in by.networks)
    about = {
        "table": table.to_dict("list"),
        "methods": list(methods),
        "models": list(weights),
        "target": aim,
    }
    with one_writer(folder, "result", wait=60):  # two calls that end at once both count
        write_json(folder / _RESULT, _with_earlier(folder, value_identity(about), work.basis))
    return CohortExplanation(folder, table, tuple(methods), weights)


def _with_earlier(folder: Path, about: dict[str, Any], basis: Mapping[str, Any]) -> dict[str, Any]:
    """A result, and what an earlier one in the folder has beyond it."""
    try:
        earlier = read_json(folder / _RESULT)
    except (FileNotFoundError, ValueError):  # there is none, or it is damaged
        return about
    if any(earlier.get(name) != about[name] for name in ("models", "target")):
        return about
    names = dict.fromkeys([*earlier["methods"], *about["methods"]])
    of_these = [name for name in names if made_from(folder, name, basis)]
    tables = sorted([about["table"], earlier["table"]], key=lambda table: -len(table["row"]))
    for table in tables:
        methods = [name for name in of_these if covers(folder, name, table["row"], table["name"])]
        if methods:
            return {**about, "table": table, "methods": methods}
    return about


def _checked_rows(rows: ArrayLike, count: int) -> NDArray[np.intp]:
    found = np.asarray(rows)
    whole = found.ndim == 1 and found.dtype.kind in "iu" and len(set(found.tolist())) == len(found)
    if not whole or not len(found) or found.min() < 0 or found.max() >= count:
        raise ValueError(
            f"`rows` must be different positions from 0 to {count - 1}. Received: {quoted(found.ravel())}."
        )
    return found.astype(np.intp)


def _lost(path: Path) -> ValueError:
    return ValueError(
        f"{path} is gone, of maps that were finished. `explain_cohort` (`keras-pli volume explain`) with the "
        "same folder and options makes again what is missing."
    )
