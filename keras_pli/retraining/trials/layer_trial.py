"""How far a layer lets its samples follow a plan: activations moved freely, on a sample of what is moved."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import checked_number
from ...network.activations import activations
from ..outputs import one_column_a_class
from .head import head_of
from .layer_reach import reachable_activations
from .plan_samples import PlanSamples, way_gone

Array = NDArray[Any]


@dataclass(frozen=True)
class LayerTrial:
    """What freely moved activations of a layer reach, for a sample of the points that a plan moves.

    Args:
        rows: The samples tried, by their number among those given.
        before: Their map, `(rows, components)`.
        targets: Where the plan asks them to go.
        after: The map of their activations once these were optimised.
        right: Which were classified rightly before.
        still: Which are so afterwards.
    """

    rows: NDArray[np.int64]
    before: NDArray[np.float32] = field(repr=False)
    targets: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)
    right: NDArray[np.bool_] = field(repr=False)
    still: NDArray[np.bool_] = field(repr=False)

    __repr__ = brief_repr

    def share(self, selected: ArrayLike) -> float:
        """The share of the way asked for that selected points went; NaN where there is none."""
        chosen = np.asarray(selected, dtype=bool)[self.rows]
        return way_gone(self.before[chosen], self.targets[chosen], self.after[chosen])

    def kept(self, selected: ArrayLike) -> float:
        """The share of selected points, of those classified rightly, that still are; NaN without any."""
        chosen = np.asarray(selected, dtype=bool)[self.rows] & self.right
        return float(np.mean(self.still[chosen])) if chosen.any() else float("nan")


def try_layer(
    model: Any, given: PlanSamples, *, samples: int = 1000, seed: int = 0
) -> LayerTrial | None:
    """See `PLIModel.layer_reach`."""
    samples = checked_number(samples, "samples", least=1, whole=True)
    try:
        run = head_of(model.classifier, model.layer)
    except ValueError as error:
        warnings.warn(f"How far the layer lets a plan go cannot be told: {error}", stacklevel=4)
        return None
    rows = given.labelled[given.moved[given.labelled]]
    if not len(rows):
        raise ValueError("The plan moves no sample that has a label.")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:samples])
    labels, targets = given.labels[rows], given.targets[rows]
    z = activations(model.classifier, given.x_of(rows), model.layer)
    found = reachable_activations(model, z, labels, targets, moved=np.ones(len(rows), dtype=bool))

    def right(outputs: Any) -> NDArray[np.bool_]:
        array = np.asarray(ops.convert_to_numpy(outputs))
        return one_column_a_class(array, model.classifier).argmax(axis=1) == labels

    return LayerTrial(
        rows=rows,
        before=np.asarray(ops.convert_to_numpy(model.embedder(z, training=False)), np.float32),
        targets=targets,
        after=found.embedding,
        right=right(run(ops.convert_to_tensor(z))),
        still=right(found.outputs),
    )
