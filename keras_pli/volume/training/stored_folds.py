"""The tables of a cross-validation in its folder, read back as they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...files import read_json, write_json, write_text
from ..cohorts.cohort import Cohort
from ..images.preprocessing import Preprocessing

_RESULT = "result.json"
_TABLES = ("predictions.csv", "folds.csv", "history.csv")
_LABELS = ("label", "predicted")
_TEXTS = dict.fromkeys(("subject", *_LABELS), str)

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def note_of(cohort: Cohort, preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns what the tables are read by, in a form for JSON; it can be known before any training.

    Raises:
        TypeError: If classes are of types that JSON does not have.
        ValueError: If `preprocessing` cannot be stored.
    """
    classes = list(cohort.classes or ())
    whole = pd.api.types.is_integer_dtype(cohort.table.index.dtype)
    note = {
        "classes": classes,
        "rows": "numbers" if whole else "texts",
        "preprocessing": preprocessing.to_dict(),
    }
    json.dumps(note)
    return note


def write_tables(folder: Path, note: Mapping[str, Any], tables: Tables) -> None:
    """Writes tables that people and `read_tables` read; the note comes last."""
    texts = {label: str(label) for label in note["classes"]}
    predictions = tables[0].reset_index()
    for column in _LABELS:  # pandas writes whole numbers beside others as 1.0
        predictions[column] = [texts[label] for label in predictions[column]]
    for name, table in zip(_TABLES, (predictions, *tables[1:]), strict=True):
        write_text(folder / name, table.to_csv(index=False))
    write_json(folder / _RESULT, dict(note))


def read_tables(folder: Path) -> tuple[dict[str, Any], Tables]:
    """Returns the note and the tables of predictions, folds and history.

    Raises:
        ValueError: If there are none.
    """
    try:
        note = read_json(folder / _RESULT)
        types = _TEXTS | ({"row": str} if note["rows"] == "texts" else {})
        # A subject may be called "NA", and a class "None".
        options: Any = {"keep_default_na": False, "na_values": {"brain_volume": [""]}}
        predictions, table, history = (
            pd.read_csv(folder / name, dtype=types, **options) for name in _TABLES
        )
    except FileNotFoundError as error:
        raise ValueError(f"{folder} holds no finished cross-validation: {error}.") from error
    named = {str(label): label for label in note["classes"]}
    for column in _LABELS:
        predictions[column] = [named[text] for text in predictions[column]]
    return note, (predictions.set_index("row"), table, history)


def network_file(folder: Path, number: int) -> Path:
    """Where the network of a fold lies."""
    return folder / f"fold-{number}.keras"
