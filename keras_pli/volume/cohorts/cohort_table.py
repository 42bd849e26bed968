"""The table of a cohort: its columns brought to one form, and what is wrong with it said all at once."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...checks import quoted

# Other spellings of the parts that a column `split` may name.
PARTS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
    "testing": "test",
}
_MOST_SHOWN = 50


class CohortError(ValueError):
    """What is wrong with a cohort: every fault found, one a line, each with its row and file.

    Attributes:
        faults: The lines, such as `"row 17, sub-03.nii.gz: the file is empty."`.
    """

    def __init__(self, head: str, faults: Iterable[str] = ()) -> None:
        self.faults = list(faults)
        shown = [f"  {fault}" for fault in self.faults[:_MOST_SHOWN]]
        if len(self.faults) > _MOST_SHOWN:
            shown.append(f"  … and {len(self.faults) - _MOST_SHOWN} more (the error's `faults`)")
        super().__init__("\n".join([head, *shown]))


def checked_table(table: pd.DataFrame, root: Path | None) -> pd.DataFrame:
    """Returns a table in one form: absolute paths, a subject in each row, unique row names.

    Raises:
        CohortError: If a column is missing or there twice, or rows are at fault; all of them are named.
    """
    twice = table.columns[table.columns.duplicated()].unique()
    if len(twice):
        raise CohortError(f"Several columns of a cohort's table have one name: {quoted(twice)}.")
    missing = [name for name in ("path", "label") if name not in table.columns]
    if missing:
        raise CohortError(
            f"A cohort's table must have columns 'path' and 'label'. Missing: {quoted(missing)}; "
            f"it has {quoted(table.columns, most=30)}."
        )
    if not len(table):
        raise CohortError("A cohort's table must have a row for each image. It has none.")
    table = table if table.index.is_unique else table.reset_index(drop=True)
    faults = [*_blank(table), *_not_paths(table), *_not_labels(table)]
    if faults:
        raise CohortError(f"The cohort's table has {counted_faults(faults)}", faults)
    labels = [plain_label(label) for label in table["label"]]
    table["label"] = pd.Series(
        labels, table.index, dtype=object if len(set(map(type, labels))) > 1 else None
    )
    table["path"] = [_absolute(path, root) for path in table["path"]]
    if "mask" in table.columns:
        masks = [None if _is_blank(path) else _absolute(path, root) for path in table["mask"]]
        table["mask"] = pd.Series(masks, table.index, dtype=object)
    if "subject" not in table.columns:
        _warn_of_subjects(table["path"].tolist())
        table["subject"] = table["path"]
    table["subject"] = pd.Series([str(name).strip() for name in table["subject"]], table.index)
    faults = [*_twice(table), *_confused_labels(table), *_split_faults(table)]
    if faults:
        raise CohortError(f"The cohort's table has {counted_faults(faults)}", faults)
    return table


def row_name(table: pd.DataFrame, position: int) -> str:
    """How errors call a row: its name in the table that was given, and the file's."""
    path = table["path"].iloc[position]
    return f"row {table.index[position]}, {Path(str(path)).name}"


def plain_label(label: Any) -> Any:
    """A label as Python has it, whatever array it was in; a text without spaces around it."""
    plain = label.item() if isinstance(label, np.generic) else label
    return plain.strip() if isinstance(plain, str) else plain


def is_label(label: Any) -> bool:
    """Whether something can name a class: a text, a finite number or a truth value."""
    plain = plain_label(label)
    return isinstance(plain, str | int) or (isinstance(plain, float) and math.isfinite(plain))


def sorted_labels(labels: set[Any]) -> list[Any]:
    """Labels in order: numbers by size, texts by alphabet, and one kind after the other."""
    try:
        return sorted(labels)
    except TypeError:  # texts beside numbers
        return sorted(labels, key=lambda label: (type(label).__name__, str(label)))


def warn_of_case(classes: Iterable[Any]) -> None:
    """Warns of classes that differ in capitals alone, which are mostly one class typed in two ways."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(str(name).casefold(), []).append(str(name))
    for names in alike.values():
        if len(names) > 1:
            warnings.warn(
                f"The labels {' and '.join(map(repr, names))} differ in capitals alone, and count as "
                "different classes.",
                stacklevel=3,
            )


def _blank(table: pd.DataFrame) -> list[str]:
    """Rows whose path, label, subject or split is missing."""
    faults = []
    for name in ("path", "label", "subject", "split"):
        if name not in table.columns:
            continue
        for position, value in enumerate(table[name]):
            if _is_blank(value):
                path = table["path"].iloc[position]
                where = f"row {table.index[position]}"
                where += "" if _is_blank(path) else f", {Path(str(path)).name}"
                faults.append(f"{where}: its {name} is missing.")
    return faults


def _not_paths(table: pd.DataFrame) -> list[str]:
    faults = []
    for name in ("path", "mask"):
        if name not in table.columns:
            continue
        for row, value in table[name].items():
            if _is_blank(value):
                continue
            if not isinstance(value, str | os.PathLike):
                faults.append(f"row {row}: its {name} must be a path. Received: {value!r}.")
                continue
            try:
                _absolute(value, None)
            except RuntimeError:  # as `~name/` of nobody
                faults.append(f"row {row}: its {name} is in no known home folder: {value!r}.")
    return faults


def _not_labels(table: pd.DataFrame) -> list[str]:
    return [
        f"row {row}: its label must be a text, a number or a truth value. Received: {value!r}."
        for row, value in table["label"].items()
        if not _is_blank(value) and not is_label(value)
    ]


def _confused_labels(table: pd.DataFrame) -> list[str]:
    """Rows whose label is written like another, or equal to it, and yet another: 1, "1", 1.0, True."""
    first: dict[Any, int] = {}
    labels = table["label"].tolist()
    faults = []
    for position, label in enumerate(labels):
        keys = {str(label)} if isinstance(label, str) else {str(label), label}
        for before in sorted({first.setdefault(key, position) for key in keys}):
            other = labels[before]
            if (type(other), other) != (type(label), label):
                faults.append(
                    f"{row_name(table, position)}: its label {label!r} is easily taken for {other!r} of row "
                    f"{table.index[before]}; write both alike, or as two names."
                )
                break
    return faults


def _warn_of_subjects(paths: list[str]) -> None:
    """Images of one subject that count as those of several would be trained on and tested on."""
    names = [re.search(r"(?:^|[/_])(sub-[A-Za-z0-9]+)", path) for path in paths]
    counts = Counter(name[1] for name in names if name)
    several = [name for name, count in counts.items() if count > 1]
    if several:
        warnings.warn(
            f"By their names, several images are of one subject ({quoted(several, most=3)}), and each will "
            "count as a subject of its own: the table has no column 'subject'.",
            stacklevel=4,
        )


def _twice(table: pd.DataFrame) -> list[str]:
    """Rows whose image stands in a row before, under whatever spelling of its path."""
    first: dict[str, int] = {}
    faults = []
    for position, path in enumerate(table["path"]):
        before = first.setdefault(os.path.realpath(path), position)
        if before != position:
            faults.append(
                f"{row_name(table, position)}: the same file stands in row {table.index[before]}."
            )
    return faults


def _split_faults(table: pd.DataFrame) -> list[str]:
    """Parts of unknown names, and subjects of which images are in more than one part."""
    if "split" not in table.columns:
        return []
    faults = []
    for position, part in enumerate(table["split"]):
        if str(part).strip().lower() not in PARTS:
            faults.append(
                f"{row_name(table, position)}: its split must be 'train', 'validation' or 'test'. "
                f"Received: {part!r}."
            )
    if faults:
        return faults
    table["split"] = [PARTS[str(part).strip().lower()] for part in table["split"]]
    for subject, rows in table.groupby("subject", sort=False):
        parts = {part: rows.index[rows["split"] == part] for part in rows["split"].unique()}
        if len(parts) > 1:
            told = " and ".join(f"{part!r} (row {quoted(at)})" for part, at in parts.items())
            faults.append(f"subject {subject!r}: is in {told}; a subject belongs to one part.")
    return faults


def _absolute(path: Any, root: Path | None) -> str:
    found = Path(path).expanduser()
    return str((root / found if root is not None else found).absolute())


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return bool(value is None or (pd.api.types.is_scalar(value) and pd.isna(value)))


def counted_faults(faults: list[str]) -> str:
    """How many faults there are, as the head of their list."""
    return f"{len(faults)} fault{'' if len(faults) == 1 else 's'}:"
