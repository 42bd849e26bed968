"""What tells a cohort from others, so that stored work is never mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...parts import digest
from ..images.preprocessing import Preprocessing
from ..images.reading import VolumeError
from .cohort import Cohort
from .cohort_streams import in_order, worker_count
from .cohort_table import row_name
from .volume_cache import file_digest, template_identity


def cohort_identity(cohort: Cohort, preprocessing: Preprocessing | None = None) -> dict[str, Any]:
    """Returns what a cohort's work depends on, in a form for JSON.

    Files count by their bytes alone, read by threads: a folder that was moved or copied holds the same
    cohort. Rows count in their order, each with its own mask. Where a row has no subject but its path, the
    subject counts by its place among the sorted ones, which is all that folds depend on.

    Args:
        cohort: The images.
        preprocessing: Its template's file counts, too, where it has one; the options are for the caller to
            add.

    Raises:
        VolumeError: If a file cannot be read; names the row.
    """
    subjects = cohort.subjects
    named = [
        None if name == path else name for name, path in zip(subjects, cohort.paths, strict=True)
    ]
    template = None if preprocessing is None else preprocessing.template
    return {
        "images": digest(_digests(cohort, "path")),
        "masks": digest(_digests(cohort, "mask")),
        "labels": digest(cohort.labels, repr(cohort.classes)),
        "subjects": digest(np.unique(subjects, return_inverse=True)[1], np.array(named, object)),
        "template": None if template is None else template_identity(template),
    }


def _digests(cohort: Cohort, column: str) -> NDArray[Any]:
    """The digest of each row's file; None where it has none."""
    table = cohort.table
    files = table[column].tolist() if column in table else [None] * len(table)

    def of_row(position: int) -> str | None:
        file = files[position]
        try:
            return None if file is None else file_digest(file)
        except VolumeError as error:
            raise VolumeError(f"{row_name(table, position)}: {error}") from error

    found = list(in_order(of_row, range(len(table)), worker_count(None)))
    return np.array(found, dtype=object)
