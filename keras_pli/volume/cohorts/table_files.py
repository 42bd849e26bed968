"""The table of a cohort as a file gives it, its labels and subjects as they are written."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from ...checks import quoted
from .cohort_table import CohortError, counted_faults

_TRUTH = {"True": True, "False": False}


def read_table(source: Any) -> tuple[pd.DataFrame, Path | None]:
    """Returns a table and the folder that its paths are relative to, None for a table in memory.

    In a file, values are separated by commas, by semicolons or by tabs, whichever the heading has. Of labels
    and subjects only the empty cell is missing; `None`, `NA` and `nan` are names.

    Raises:
        CohortError: If there is no such file, it is no table, two columns have one name, or lines have more
            values than the heading or none at all. All lines at fault are named.
        TypeError: If it is neither a file nor a DataFrame.
    """
    if isinstance(source, pd.DataFrame):
        return source.copy(), None
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"A cohort is a CSV file or a DataFrame. Received: {type(source).__name__}."
        )
    path = Path(source)
    if not path.is_file():
        raise CohortError(f"{path}: there is no such table.")
    try:
        return _parsed(_rows(path), path), path.parent
    except CohortError:
        raise
    except (ValueError, OSError, csv.Error) as error:  # pandas's own errors are ValueErrors
        raise CohortError(f"{path}: cannot be read as a table ({error}).") from error


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a file that are not empty, each with the number of its line."""
    with path.open(encoding="utf-8-sig", newline="") as stream:  # Excel begins files with a mark
        text = stream.read()
    heading = next((line for line in text.splitlines() if line.strip()), "")
    kinds = "\t,;" if path.suffix.lower() == ".tsv" else ",;\t"
    separator = next((kind for kind in kinds if kind in heading), kinds[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = []
    first = 1
    for row in reader:
        if len(row) > 1 or "".join(row).strip():
            rows.append((first, row))
        first = reader.line_num + 1
    return rows


def _parsed(rows: list[tuple[int, list[str]]], path: Path) -> pd.DataFrame:
    if not rows:
        raise CohortError(f"{path}: cannot be read as a table (it is empty).")
    heading = [name.strip() for name in rows[0][1]]
    twice = [name for name, count in Counter(heading).items() if name and count > 1]
    if twice:
        raise CohortError(f"{path}: several columns have one name: {quoted(twice)}.")
    faults = []
    for line, row in rows[1:]:
        if not "".join(row).strip():
            faults.append(f"line {line}: holds nothing but separators; delete it.")
        elif len(row) > len(heading):
            faults.append(f"line {line}: has {len(row)} values, the heading {len(heading)}.")
    if faults:
        raise CohortError(f"{path}: {counted_faults(faults)}", faults)
    plain = io.StringIO(newline="")
    csv.writer(plain).writerows([heading, *(row for _, row in rows[1:])])
    plain.seek(0)
    texts = dict.fromkeys(("path", "label", "subject", "mask", "split"), str)
    table = pd.read_csv(plain, index_col=False, dtype=texts)
    for name in {"label", "subject"} & set(heading):  # pandas takes names such as NA for missing
        at = heading.index(name)
        cells = [row[at].strip() if at < len(row) else "" for _, row in rows[1:]]
        table[name] = _labels(cells) if name == "label" else cells
    return table


def _labels(texts: list[str]) -> list[Any]:
    """Numbers or truth values where every label is written as Python writes one; else the texts."""
    seen = {text for text in texts if text}
    kind: Any = None
    if all(re.fullmatch(r"0|-?[1-9]\d{0,17}", text) for text in seen):
        kind = int
    elif all(re.fullmatch(r"-?\d+\.\d+", text) and repr(float(text)) == text for text in seen):
        kind = float
    elif seen <= _TRUTH.keys():
        kind = _TRUTH.__getitem__
    return texts if kind is None else [kind(text) if text else None for text in texts]
