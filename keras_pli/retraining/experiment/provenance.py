"""What an experiment's page says of how it was made: date, versions, seeds and checksums."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import keras
import numpy as np

from ...parts import digest
from ...version import __version__

if TYPE_CHECKING:
    from .result import ExperimentResult

# Of an experiment's identity, what tells models and data from others.
_CHECKSUMS = {
    "classifier.weights": "classifier, weights",
    "classifier.architecture": "classifier, architecture",
    "classifier.source": "classifier, function that makes it",
    "embedder.weights": "embedder, weights",
    "embedder.source": "embedder",
    "training inputs": "training inputs",
    "training labels": "training labels",
    "held-out inputs": "held-out inputs",
    "held-out labels": "held-out labels",
}


def versions() -> str:
    """Returns what the page was made with."""
    return (
        f"keras_pli {__version__}, Keras {keras.__version__} on {keras.backend.backend()}, "
        f"NumPy {np.__version__}, Python {platform.python_version()}"
    )


def page_date() -> str:
    """Returns the date and time, in UTC; that of `SOURCE_DATE_EPOCH` where it is set."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = (
        datetime.fromtimestamp(int(given), timezone.utc)
        if given.isdigit()
        else datetime.now(timezone.utc)
    )
    return now.strftime("%Y-%m-%d %H:%M UTC")


def checksums(result: ExperimentResult) -> dict[str, str]:
    """Returns short digests of models and data by name.

    An experiment that was kept in no folder knows those of its labels alone.
    """
    stored = {
        name: str(result.identity[key])
        for key, name in _CHECKSUMS.items()
        if key in result.identity
    }
    own = {
        "training labels": digest(result.train_labels),
        "held-out labels": digest(result.labels),
    }
    return {**own, **stored} if stored else own
