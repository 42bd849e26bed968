"""All files of a cohort read once, and everything that is wrong with them said together."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from ...checks import quoted
from ...optional import imported
from ...parts import digest
from ..images.grids import grid_of
from ..images.preprocessing import Preprocessing
from ..images.reading import VolumeError, checked_header, has_known_orientation, opened, read_volume
from ..images.stripping import mask_on_grid
from .cohort_streams import in_order
from .cohort_table import CohortError, row_name

_MOST_SHARED = 5  # rows that a warning names


@dataclass
class Found:
    """What was found in a row's files."""

    faults: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    identity: str | None = None  # of the image's numbers
    mask: str | None = None  # of its mask's numbers
    made: tuple[int, ...] | None = None  # the shape that preprocessing gives


def check_rows(
    table: pd.DataFrame,
    preprocessing: Preprocessing | None,
    *,
    full: bool,
    workers: int,
    verbose: int,
) -> pd.DataFrame:
    """Reads the files of all rows and returns what was found in them.

    Raises:
        CohortError: If any row is at fault; names them all.
    """
    found = found_in_rows(table, preprocessing, full=full, workers=workers, verbose=verbose)
    _raise_faults(table, found)
    _warn_of_masks(table, found)
    facts = pd.DataFrame([result.facts for result in found], index=table.index)
    unknown = facts.loc[~facts["known_orientation"], "path"]
    if len(unknown):
        warnings.warn(
            f"{len(unknown)} of {len(table)} files do not say how their axes lie in the head (Analyze, or "
            f"qform and sform codes of 0), so that left and right may be swapped: {quoted(unknown, most=3)}.",
            stacklevel=3,
        )
    return facts


def found_in_rows(
    table: pd.DataFrame,
    preprocessing: Preprocessing | None,
    *,
    full: bool,
    workers: int,
    verbose: int,
) -> list[Found]:
    """Reads the files of all rows, and compares what was found in them."""
    imported("nibabel", "Reading brain images", extra="volume")  # no fault of the rows
    masks = table["mask"] if "mask" in table.columns else [None] * len(table)
    rows = list(zip(table["path"], masks, strict=True))
    progress = keras.utils.Progbar(len(rows), verbose=verbose, unit_name="file")
    found: list[Found] = []
    for result in in_order(lambda row: _check(*row, preprocessing, full), rows, workers):
        found.append(result)
        progress.add(1)
    _compare_shapes(found)
    _compare_contents(table, found)
    return found


def named_faults(table: pd.DataFrame, found: list[Found]) -> list[str]:
    """All faults of rows, each with its row's name."""
    return [
        f"{row_name(table, position)}: {fault}"
        for position, result in enumerate(found)
        for fault in result.faults
    ]


def _raise_faults(table: pd.DataFrame, found: list[Found]) -> None:
    faults = named_faults(table, found)
    count = sum(bool(result.faults) for result in found)
    head = f"{count} of the cohort's {len(table)} rows cannot be used:"
    if table["label"].nunique() < 2:
        faults.append(
            f"all rows: are of one class, {table['label'].iloc[0]!r}; a classifier needs two."
        )
        head = head if count else "The cohort cannot be trained on:"
    if faults:
        raise CohortError(head, faults)


def _check(path: str, mask: str | None, preprocessing: Preprocessing | None, full: bool) -> Found:
    found = Found()
    try:
        fill = preprocessing.fill_nonfinite if preprocessing else None
        image = read_volume(path, fill_nonfinite=fill) if full else checked_header(opened(path))
    except Exception as error:  # as below
        found.faults.append(_without_name(error, path))
        if mask is not None and not Path(mask).is_file():
            found.faults.append(f"its mask {Path(mask).name}: there is no such file.")
        return found
    found.facts = _facts(path, image)
    if full:
        found.identity = digest(image.get_fdata(dtype=np.float32))
    try:
        brain = _checked_mask(mask, image, full)
        found.mask = None if brain is None else digest(brain)
        if full and preprocessing is not None:
            prepared = preprocessing(image, mask=brain)
            found.made = prepared.values.shape
            found.facts["brain_volume"] = prepared.brain_volume
        elif preprocessing is not None and mask is None and preprocessing.skull_stripping == "mask":
            found.faults.append("skull_stripping='mask' needs a mask, and the row has none.")
    except Exception as error:  # whatever it is, the other rows are still to be checked
        found.faults.append(_without_name(error, path, mask))
    return found


def _checked_mask(mask: str | None, image: Any, full: bool) -> Any:
    """A row's mask on its image's grid; in brief, whether there is one."""
    if mask is None:
        return None
    if full:
        return mask_on_grid(mask, grid_of(image))
    checked_header(opened(mask))
    return None


def _facts(path: str, image: Any) -> dict[str, Any]:
    from nibabel import aff2axcodes

    grid = grid_of(image)
    return {
        "path": path,
        "shape": grid.shape,
        "voxel_size": tuple(float(size) for size in grid.spacing.round(3)),
        "axes": "".join(aff2axcodes(grid.affine)),
        "known_orientation": has_known_orientation(image),
    }


def _compare_shapes(found: list[Found]) -> None:
    """Batches are of one shape: rows that differ from most are at fault."""
    shapes = Counter(result.made for result in found if result.made is not None)
    if len(shapes) < 2:
        return
    usual = shapes.most_common(1)[0][0]
    for result in found:
        if result.made not in (None, usual):
            result.faults.append(
                f"gives a volume of shape {result.made}, most others {usual}; a `Preprocessing` with "
                "`shape` makes all alike."
            )


def _compare_contents(table: pd.DataFrame, found: list[Found]) -> None:
    """The same numbers under two names would be trained on and tested on."""
    first: dict[str, int] = {}
    subjects = table["subject"].tolist()
    for position, result in enumerate(found):
        if result.identity is None:
            continue
        before = first.setdefault(result.identity, position)
        if before != position and subjects[before] != subjects[position]:
            result.faults.append(
                f"holds the same numbers as {row_name(table, before)}, which is another subject's."
            )


def _warn_of_masks(table: pd.DataFrame, found: list[Found]) -> None:
    """A mask of two subjects is that of a template, or a slip of the table. It cannot be told which."""
    if "mask" not in table.columns:
        return
    first: dict[str, int] = {}
    shared = []
    subjects, masks = table["subject"].tolist(), table["mask"].tolist()
    for position, (mask, result) in enumerate(zip(masks, found, strict=True)):
        if mask is None:
            continue
        keys = [os.path.realpath(mask), *([result.mask] if result.mask else [])]
        before = [first.setdefault(key, position) for key in keys]
        others = [other for other in before if subjects[other] != subjects[position]]
        if others:
            of = row_name(table, others[0])
            shared.append(f"{row_name(table, position)} ({Path(mask).name}, as of {of})")
    if shared:
        more = f" and {len(shared) - _MOST_SHARED} more" if len(shared) > _MOST_SHARED else ""
        warnings.warn(
            "Masks, or their numbers, are those of another subject's image: "
            f"{'; '.join(shared[:_MOST_SHARED])}{more}. That is right only of images in one "
            "template's space.",
            stacklevel=4,
        )


def _without_name(error: Exception, *paths: str | None) -> str:
    """What an error says, without the file's path, which the row's name stands for."""
    said = str(error) if isinstance(error, VolumeError) else f"{type(error).__name__}: {error}"
    for path in paths:
        if path is not None and said.startswith(f"{os.fspath(path)}: "):
            own = path == paths[0]
            said = said[len(os.fspath(path)) + 2 :]
            return said if own else f"its mask {Path(path).name}: {said}"
    return said
