"""A cohort: a table of images with labels and subjects, checked, divided without leaking, and streamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...brief import counted
from ...checks import checked_number, one_of, quoted
from ..images.preprocessed import PreprocessedVolume
from ..images.preprocessing import Preprocessing
from ..images.reading import PathLike
from .cohort_check import check_rows, found_in_rows, named_faults
from .cohort_splits import fold_rows, split_rows
from .cohort_streams import VolumeReader, dataset_of, worker_count
from .cohort_table import (
    CohortError,
    checked_table,
    is_label,
    plain_label,
    row_name,
    sorted_labels,
    warn_of_case,
)
from .table_files import read_table


def read_cohort(
    table: PathLike | pd.DataFrame,
    *,
    root: PathLike | None = None,
    classes: Iterable[Any] | None = None,
) -> Cohort:
    """Returns the cohort that a table describes.

    The table has a row for each image, and these columns; others (age, site, …) are kept as they are:

    - `path`: the image, any format of `read_volume`;
    - `label`: its class, a text, a number or a truth value; spaces around a text do not count, capitals do
      (labels that differ in them alone give a warning). Labels of a file are numbers where all of them are
      written plainly, as whole numbers or as decimal fractions, and truth values where all are `True` or
      `False`. Else all are texts: `007` or `1.50` keep their zeros;
    - `subject`, optional: who it is of. Images of a subject are never divided between parts. Without the
      column, each image counts as a subject of its own;
    - `mask`, optional: the file of the brain's mask, empty where there is none;
    - `split`, optional: `train`, `validation` or `test`, for `Cohort.split` to follow.

    Only the table is read here. `Cohort.check` reads the files, and belongs before any training.

    Args:
        table: A CSV file, of commas, semicolons or tabs, or a DataFrame. Errors call rows as the DataFrame's
            index does; those of a file are counted from 0 below the heading, as pandas counts. Empty lines
            are skipped. Of labels and subjects only an empty cell is missing: `NA` and `None` are names.
        root: What relative paths are relative to. None: the file's folder, or for a DataFrame the working
            folder.
        classes: The classes in order of their codes; None: the labels that occur, sorted.

    Raises:
        CohortError: If columns are missing or there twice, or rows lack a path, label, subject or split,
            repeat a file, give a subject to two parts, or have labels that differ only in kind (1 and "1").
            All rows at fault are named.
        TypeError: If it is neither a file nor a DataFrame.

    Example:
        >>> import pandas as pd
        >>> rows = [("a.nii", "patient", "s1"), ("b.nii", "control", "s2"), ("c.nii", "patient", "s1")]
        >>> read_cohort(pd.DataFrame(rows, columns=["path", "label", "subject"]))
        Cohort(3 images of 2 subjects; 'control': 1, 'patient': 2)
    """
    found, folder = read_table(table)
    folder = folder if root is None else Path(root)
    cohort = Cohort(checked_table(found, folder), None if classes is None else tuple(classes))
    warn_of_case(cohort.classes or ())
    return cohort


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Images with labels and subjects; made by `read_cohort`.

    Args:
        table: A row for each image, with columns as `read_cohort` describes.
        classes: The labels in order of their codes; parts of a cohort keep those of the whole. None: the
            labels that occur, sorted.

    Raises:
        CohortError: As `read_cohort`.
    """

    table: pd.DataFrame
    classes: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        table = checked_table(self.table.copy(), None)
        labels = [plain_label(label) for label in table["label"]]
        names = sorted_labels(set(labels)) if self.classes is None else self.classes
        classes = tuple(plain_label(name) for name in names)
        if not all(map(is_label, classes)) or len(set(map(str, classes))) < len(classes):
            raise CohortError(
                "The classes must be texts, numbers or truth values, each once and written differently. "
                f"Received: {quoted(classes)}."
            )
        unknown = [
            f"{row_name(table, position)}: its label {label!r} is no class."
            for position, label in enumerate(labels)
            if label not in classes
        ]
        if unknown:
            raise CohortError(
                f"The classes must be those of the labels: {quoted(classes)}.", unknown
            )
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        counts = Counter(self.labels.tolist())
        each = ", ".join(f"{name!r}: {counts[code]}" for code, name in enumerate(self._classes))
        people = counted(len(set(self.subjects)), "subject")
        return f"Cohort({counted(len(self), 'image')} of {people}; {each})"

    @property
    def labels(self) -> NDArray[np.int32]:
        """The code of each image's class, its place in `classes`."""
        codes = {label: code for code, label in enumerate(self._classes)}
        return np.array(
            [codes[plain_label(label)] for label in self.table["label"]], dtype=np.int32
        )

    @property
    def subjects(self) -> NDArray[Any]:
        """The subject of each image, as text."""
        return np.array(self.table["subject"].tolist(), dtype=object)

    @property
    def paths(self) -> list[str]:
        """The file of each image, absolute."""
        return list(self.table["path"])

    def check(
        self,
        preprocessing: Preprocessing | None = None,
        *,
        full: bool = True,
        workers: int | None = None,
        verbose: int = 1,
    ) -> pd.DataFrame:
        """Reads all files, and raises one error that names every row that cannot be used.

        Found are files that are missing, damaged, cut, constant, of several frames or with NaN; affines that
        cannot be inverted; masks that are empty or of another image; one subject's numbers under another's
        name; a brain outside of the grid; and, with `preprocessing`, volumes of different shapes. A mask that
        is another subject's, too, gives a warning: in a template's space it may be.

        Args:
            preprocessing: What the cohort will be preprocessed by; it is tried on each image. None: not
                tried.
            full: Read every number. False reads headers alone, in a hundredth of the time, and finds neither
                damage within a file nor what follows from its numbers.
            workers: How many threads read; None: one for each core, eight at most.
            verbose: 1 draws a progress bar.

        Returns:
            A row for each image: path, shape, voxel size in mm, the directions of its axes (such as `"LAS"`),
            and whether the file says so (`known_orientation`; where it does not, left and right may be
            swapped, and a warning says so). A full check with `preprocessing` tells `brain_volume`, too: the
            brain's in ml, None without a mask.

        Raises:
            CohortError: If any row is at fault, or all images are of one class. `.faults` lists them.
        """
        return check_rows(
            self.table, preprocessing, full=full, workers=worker_count(workers), verbose=verbose
        )

    def without_faults(
        self,
        preprocessing: Preprocessing | None = None,
        *,
        full: bool = True,
        workers: int | None = None,
        verbose: int = 1,
    ) -> tuple[Cohort, list[str]]:
        """Returns the cohort of the rows that can be used, and what `check` finds wrong with the others.

        Args:
            preprocessing: As for `check`.
            full: As for `check`.
            workers: As for `check`.
            verbose: 1 draws a progress bar.

        Raises:
            CohortError: If all rows are at fault.
        """
        found = found_in_rows(
            self.table, preprocessing, full=full, workers=worker_count(workers), verbose=verbose
        )
        faults = named_faults(self.table, found)
        sound = np.array([not result.faults for result in found])
        if not sound.any():
            raise CohortError(f"All {len(self)} rows of the cohort cannot be used:", faults)
        return self.select(sound), faults

    def select(self, rows: ArrayLike) -> Cohort:
        """Returns the cohort of some rows.

        Args:
            rows: Positions, or one boolean for each row.

        Raises:
            ValueError: If there are none, or they are no rows of the table.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == bool and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
            raise ValueError(
                f"`rows` must be positions, or {len(self)} booleans, and at least one row. Received: "
                f"{chosen.dtype} of shape {chosen.shape}, {quoted(chosen.ravel())}."
            )
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            raise ValueError(
                f"`rows` must lie from 0 to {len(self) - 1}. Received: {quoted(chosen)}."
            )
        return Cohort(self.table.iloc[chosen], self.classes)

    def part(self, name: str) -> Cohort:
        """Returns the images that the table's column `split` puts into a part.

        Args:
            name: `"train"`, `"validation"` or `"test"`.

        Raises:
            ValueError: If the table has no such column, or the part no image.
        """
        if "split" not in self.table.columns:
            raise ValueError("A part needs a column 'split'. `Cohort.split` makes two parts.")
        one_of(name, self.table["split"].unique().tolist(), "name")
        rows = self.select((self.table["split"] == name).to_numpy())
        return Cohort(rows.table.drop(columns="split"), self.classes)

    def split(self, test_share: float = 0.2, *, seed: int = 0) -> tuple[Cohort, Cohort]:
        """Returns images to train and to test on, the subjects divided, the classes in equal shares.

        A table with a column `split` is followed, whatever `test_share` says: what is not `train` is the
        test, or where there are three parts, `test` is (`part("validation")` gives the third).

        Args:
            test_share: The share of subjects to test on, between 0 and 1; met to a twentieth.
            seed: Which of many splits.

        Raises:
            CohortError: If a class has one subject only, or there is one class only.
            ValueError: If the share lies elsewhere, or the column `split` names one part only.
        """
        if "split" in self.table.columns:
            parts = set(self.table["split"])
            if "train" not in parts or len(parts) < 2:
                raise ValueError(
                    "The column 'split' must name 'train' and 'test' or 'validation'. It names "
                    f"{quoted(parts)}."
                )
            return self.part("train"), self.part("test" if "test" in parts else "validation")
        train, test = split_rows(self.labels, self.subjects, self._classes, test_share, seed)
        return self.select(train), self.select(test)

    def folds(self, count: int = 5, *, seed: int = 0) -> list[tuple[Cohort, Cohort]]:
        """Returns pairs of images to train and to validate on; each image is validated once.

        Subjects are never divided, also one whose label changes over time; shares of classes are as equal as
        that allows (scikit-learn's StratifiedGroupKFold).

        Args:
            count: How many pairs.
            seed: Which of many divisions.

        Raises:
            CohortError: If a class has fewer subjects than there are folds, or a fold would have none of a
                class.
            ValueError: If the table has a column `split`: its test would be trained on. Divide
                `part("train")`.
        """
        if "split" in self.table.columns:
            raise ValueError(
                "The table gives a split of its own, which folds of all rows would mix. Divide "
                '`cohort.part("train")`, or drop the column.'
            )
        folds = fold_rows(self.labels, self.subjects, self._classes, count, seed)
        every = np.arange(len(self))
        return [(self.select(np.setdiff1d(every, rows)), self.select(rows)) for rows in folds]

    def volume(
        self, position: int, preprocessing: Preprocessing, *, scale: float | None = None
    ) -> PreprocessedVolume:
        """Returns one image, preprocessed.

        Args:
            position: Its row's position in the table.
            preprocessing: What it is preprocessed by.
            scale: In place of the preprocessing's.

        Raises:
            VolumeError: If it cannot be used; names row and file.
        """
        scales = None if scale is None else [scale] * len(self)
        return self._reader(preprocessing, scales).volume(position)

    def arrays(
        self,
        preprocessing: Preprocessing,
        *,
        scales: ArrayLike | None = None,
        workers: int | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.bool_] | None]:
        """Returns all images in memory, for a cohort that fits.

        Args:
            preprocessing: What they are preprocessed by.
            scales: A factor for each image, in place of the preprocessing's.
            workers: As for `check`.

        Returns:
            The volumes `(images, X, Y, Z, 1)`, the codes of their classes `(images,)`, and their brains
            `(images, X, Y, Z)`, or None where some have no mask.

        Raises:
            VolumeError: If an image cannot be used, or has another shape than the first; names row and file.
        """
        reader = self._reader(preprocessing, scales)
        x, brains = reader.stacked(worker_count(workers))
        return x, self.labels, brains

    def dataset(
        self,
        preprocessing: Preprocessing,
        *,
        batch_size: int = 8,
        shuffle: bool = False,
        seed: int = 0,
        scales: ArrayLike | None = None,
        cache: PathLike | None = None,
        workers: int | None = None,
    ) -> Any:
        """Returns the images as a stream of batches, for `fit`, `evaluate` and `predict`.

        Files are read and preprocessed by threads while the network works; whatever the cohort's length, only
        a few batches are in memory.

        Args:
            preprocessing: What they are preprocessed by.
            batch_size: How many images at a time.
            shuffle: Another order in each epoch. False: the table's order.
            seed: For `shuffle`; the same orders follow again with the same seed.
            scales: A factor for each image, in place of the preprocessing's.
            cache: A folder for preprocessed arrays, each in a file named by all that it depends on (the bytes
                of image and mask, and the preprocessing), so that what has changed is made anew. A volume
                takes 4 bytes a voxel there. None: every epoch reads the images.
            workers: As for `check`.

        Returns:
            A `tf.data.Dataset` of pairs: volumes, float32 `(batch, X, Y, Z, 1)`, and the codes of their
            classes, int32 `(batch,)`.

        Raises:
            VolumeError: If `preprocessing` has no `shape` and the first image cannot be used.
            tensorflow.errors.InvalidArgumentError: While it is read, if an image cannot be used; the message
                names row and file. `check` finds it before.
        """
        return dataset_of(
            self._reader(preprocessing, scales, cache),
            self.labels,
            batch_size=checked_number(batch_size, "batch_size", least=1, whole=True),
            shuffle=bool(shuffle),
            seed=checked_number(seed, "seed", least=0, whole=True),
            workers=worker_count(workers),
        )

    @property
    def _classes(self) -> tuple[Any, ...]:
        assert self.classes is not None  # set by `__post_init__`
        return self.classes

    def _reader(
        self,
        preprocessing: Preprocessing,
        scales: ArrayLike | None = None,
        cache: PathLike | None = None,
    ) -> VolumeReader:
        return VolumeReader(self.table, preprocessing, scales=scales, cache=cache)
