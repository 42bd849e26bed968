"""Whether a class-latent generator keeps its promises: classes put in come out, and grow with their codes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...checks import checked_number
from .class_codes import CodeScheme
from .inversion import models_and_codes
from .traversal import Traversal, traverse


def measure_traversal(
    generator: Any,
    classifier: keras.Model,
    *,
    structures: int = 1000,
    samples: int = 3,
    steps: int = 10,
    rate: float = 0.1,
    tolerance: float = 1e-3,
    structure_size: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    verbose: int = 0,
) -> pd.DataFrame:
    """Measures agreement with the class put in, and how steadily probabilities rise along the class code.

    Of each random structure z₁ one image is drawn with z₂ = 0 and, for every other class, `samples` with
    random class codes, as for the 91.15 % of Dravid & Katsaggelos (2022, "Experiments and Results": 1,000
    structures, 3 positives each). That the probability "monotonically increases" as z₂ moves away from zero
    is said there and not measured; here it is.

    Args:
        generator: A `ClassLatentGAN`, or any built Keras model from codes (z₁ before z₂) to images.
        classifier: A built Keras model from images to classes.
        structures: How many structures.
        samples: Images of each structure for each class but 0.
        steps: Steps of a way, from z₂ = 0 on.
        rate: Length of a step as a share of z₂; with `steps` · `rate` = 1 agreement is that at z₂ itself.
        tolerance: Falls of the probability up to this are no violation.
        structure_size: Length of z₁; a `ClassLatentGAN` knows its own.
        batch_size: Ways drawn at a time.
        seed: Seed of all codes.
        verbose: 1 draws a progress bar.

    Returns:
        A table with a row for all classes together, `"all"`, and one for each: `samples`, `agreement` (share
        of images predicted as what was put in, the last of a way) and its standard `error`, `spearman` (mean
        rank correlation of probability and n), `violations` (share of steps that fall), and `monotone` (share
        of ways without a violation). Class 0 has no way.

    Raises:
        ValueError: If models do not fit each other, or a number is out of its range.

    Example:
        >>> dense, flat = keras.layers.Dense(16, "tanh"), keras.layers.Flatten()
        >>> generator = keras.Sequential([keras.Input((4,)), dense, keras.layers.Reshape((4, 4, 1))])
        >>> classifier = keras.Sequential([keras.Input((4, 4, 1)), flat, keras.layers.Dense(2, "softmax")])
        >>> table = measure_traversal(generator, classifier, structures=5, structure_size=3)
        >>> table["samples"].to_dict()
        {'all': 20, 0: 5, 1: 15}
    """
    _, _, scheme = models_and_codes(generator, classifier, structure_size)
    checked_number(structures, "structures", least=1, whole=True)
    checked_number(samples, "samples", least=1, whole=True)
    codes = _codes(scheme, structures, samples, seed)
    ways = traverse(
        generator,
        classifier,
        *scheme.parts(codes),
        steps=steps,
        rate=rate,
        structure_size=scheme.structure_size,
        batch_size=batch_size,
        verbose=verbose,
    )
    return _table(ways, range(scheme.classes), tolerance)


def _codes(scheme: CodeScheme, structures: int, samples: int, seed: int) -> NDArray[np.float32]:
    """Codes of one negative and some positives for each structure, which they share."""
    labels = np.repeat(np.arange(scheme.classes), [1, *[samples] * (scheme.classes - 1)])
    labels = np.tile(labels, structures).astype(np.int32)
    codes: NDArray[np.float32] = scheme.drawn(labels, seed, 0).numpy()
    each = len(labels) // structures
    size = scheme.structure_size
    codes[:, :size] = np.repeat(codes[::each, :size], each, axis=0)
    return codes


def _table(ways: Traversal, classes: range, tolerance: float) -> pd.DataFrame:
    right = ways.probabilities[:, -1].argmax(axis=1) == ways.labels
    rises, falls = ways.spearman, ways.violations(tolerance)
    steps = len(ways.positions) - 1
    rows = {}
    for name in ("all", *classes):
        chosen = np.full(len(ways), True) if name == "all" else ways.labels == name
        moving = chosen & (ways.labels > 0)
        share = right[chosen].mean()
        rows[name] = {
            "samples": int(chosen.sum()),
            "agreement": share,
            "error": np.sqrt(share * (1 - share) / chosen.sum()),
            "spearman": _mean(rises[moving]),
            "violations": _mean(falls[moving] / steps),
            "monotone": _mean(falls[moving] == 0),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _mean(values: NDArray[Any]) -> float:
    """The mean of what is known, NaN where there is nothing."""
    known = values[~np.isnan(values.astype(float))]
    return float(known.mean()) if len(known) else float("nan")
