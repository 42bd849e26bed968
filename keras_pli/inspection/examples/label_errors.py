"""Labels that look wrong: training samples that only themselves speak for, or that harm others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number, one_of
from ...network.activations import LOGITS, activations
from .checkpoints import Checkpoint, read_checkpoints
from .influence import influence, own_influence
from .influence_result import LabelErrors
from .last_layer import LastLayerReader
from .sample_losses import Array, Layers, SampleLosses, Samples
from .tracin import checked_rates, own_tracin, tracin

Method = Literal["tracin", "influence"]


def label_errors(
    model: keras.Model,
    train: Samples,
    validation: Samples | None = None,
    *,
    method: Method = "tracin",
    checkpoints: str | Path | Sequence[Checkpoint] | None = None,
    learning_rates: float | Sequence[float] | None = None,
    layers: Layers | None = None,
    damping: float = 0.01,
    batch_size: int = 256,
    verbose: int = 0,
) -> LabelErrors:
    """Ranks training samples by how suspicious their labels are.

    Without a validation set, by self-influence: how far the model must bend to fit the sample, which speaks
    against the others (Pruthi et al. 2020, section 4.1; Koh & Liang 2017, section 5.4). With one whose labels
    can be trusted, by how much the sample harmed the mean loss over it; of TracIn that finds fewer, since
    gains and losses of many samples cancel.

    Args:
        model: A classifier that was trained on `train`, best not until it knows every sample by heart. It is
            left as it is.
        train: `(x, y)` with integer classes.
        validation: `(x, y)` with labels that can be trusted, or None.
        method: `"tracin"`, over checkpoints, or `"influence"` at the weights that the model has.
        checkpoints: As in `tracin`.
        learning_rates: As in `tracin`.
        layers: As in `tracin`. `"influence"` without a validation set takes the last layer only.
        damping: As in `influence`.
        batch_size: Samples at a time.
        verbose: 1 draws progress bars.

    Returns:
        `LabelErrors`.

    Raises:
        ValueError: If there is no such method, or as in `tracin` and `influence`.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> random = np.random.default_rng(0)
        >>> x, y = random.normal(size=(20, 4)), random.integers(3, size=20)
        >>> label_errors(model, (x, y), learning_rates=0.1).ranked.shape
        (20,)
    """
    one_of(method, ("tracin", "influence"), "method")
    damping = checked_number(damping, "damping", least=0)
    losses = SampleLosses(model, batch_size=batch_size)
    samples = losses.samples(train, "train")
    if method == "influence" and checkpoints is not None:
        raise ValueError("`checkpoints` are for method='tracin'.")
    if validation is not None:
        common: dict[str, Any] = {"layers": layers, "batch_size": batch_size, "verbose": verbose}
        if method == "tracin":
            common |= {"checkpoints": checkpoints, "learning_rates": learning_rates}
            scores = -tracin(model, train, validation, **common).values.mean(axis=0)
        else:
            scores = -influence(model, train, validation, damping=damping, **common).values.mean(0)
    elif method == "tracin":
        files = read_checkpoints(model, checkpoints)
        rates = checked_rates(learning_rates, len(files), model)
        scores = own_tracin(losses, samples, files, rates, layers, verbose=verbose)
    else:
        scores = _own_influence(losses, samples, layers, damping, verbose)
    about = {"method": method, "validation": validation is not None}
    predicted = _predicted(model, samples[0], batch_size)
    return LabelErrors(scores, samples[1], predicted, about)


def _own_influence(
    losses: SampleLosses,
    samples: tuple[Any, NDArray[Any]],
    layers: Layers | None,
    damping: float,
    verbose: int,
) -> Array:
    if layers is not None:
        raise ValueError(
            "Influence of samples on themselves is solved for the last layer. Leave out `layers`, or pass "
            f"method='tracin'. Received: layers={layers!r}."
        )
    read = LastLayerReader(losses).read(samples, losses.weights(), verbose=verbose)
    return own_influence(read, damping, verbose=verbose)


def _predicted(model: keras.Model, x: Any, batch_size: int) -> NDArray[np.int64]:
    logits = activations(model, x, LOGITS, batch_size=batch_size)
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    return logits.argmax(axis=1).astype(np.int64)
