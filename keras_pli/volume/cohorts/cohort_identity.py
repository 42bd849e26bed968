"""What tells a cohort from others, so that stored work is never mixed."""

from __future__ import annotations

import os
from typing import Any

from ...parts import digest
from .cohort import Cohort


def cohort_identity(cohort: Cohort) -> dict[str, Any]:
    """Returns digests of a cohort's files, by name, size and time, and of labels, subjects and masks."""
    table = cohort.table
    masks = [path for path in table.get("mask", ()) if isinstance(path, str)]
    return {
        "images": digest(*map(_file, cohort.paths)),
        "labels": digest(cohort.labels, table["subject"].to_numpy(str)),
        "masks": digest(*map(_file, masks)),
    }


def _file(path: str) -> str:
    """A file by name, size and time, which costs no reading."""
    found = os.stat(path)
    return f"{path} {found.st_size} {found.st_mtime_ns}"
