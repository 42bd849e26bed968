"""Values as JSON and every browser read them: no arrays, and nothing that is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Returns a value without arrays and NumPy's numbers; NaN and infinity, which JSON has not, become None.

    Example:
        >>> plain({"loss": np.float32(0.5), "f1": np.array([1.0, np.nan]), "name": "Coat"})
        {'loss': 0.5, 'f1': [1.0, None], 'name': 'Coat'}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
