"""What the randomisation of a model's layers by one seed does to maps, whichever other seeds there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import one_of
from ..network.inputs import GivenTarget
from .explainers import (
    Explainer,
    Factory,
    check_channels,
    checked_within,
    explainers,
    maps_by_name,
    named_factories,
)
from .randomization_result import Rows, check_ranges, similarity_rows
from .reinitialization import Weight, randomize, restored_weights, weighted_layers
from .similarity import Maps


@dataclass(frozen=True, eq=False)
class Rounds:
    """Methods on a trained model whose layers are randomised, by one seed after another.

    Between its calls the model has its own weights.

    Args:
        found: Methods with the samples and targets that they explain.
        model: The trained model.
        layers: The weights of its layers by path, in the order to randomise them.
        mode: `"cascading"` or `"independent"`.
        share: Share of the positions whose overlap is measured.
        region: The positions that are compared; None for all.
        trained: The maps of the trained model by method.
    """

    found: Sequence[Explainer]
    model: keras.Model
    layers: Mapping[str, Sequence[Weight]]
    mode: str
    share: float
    region: NDArray[np.bool_] | None
    trained: Mapping[str, Maps] = field(repr=False)

    @classmethod
    def of(
        cls,
        methods: Factory | Mapping[str, Factory],
        model: keras.Model,
        x: ArrayLike,
        target: GivenTarget,
        *,
        mode: Literal["cascading", "independent"],
        layers: Sequence[str | keras.Layer] | None,
        share: float,
        within: ArrayLike | None,
    ) -> Rounds:
        """Checks and prepares what `model_randomization_test` is given, and explains by the trained model."""
        one_of(mode, ("cascading", "independent"), "mode")
        check_ranges(share=share)
        check_channels(model, x)
        region = checked_within(within, x)
        weights = weighted_layers(model, layers)
        found = explainers(named_factories(methods), model, x, target)
        return cls(found, model, weights, mode, share, region, maps_by_name(found))

    def steps(self, seed: int) -> Iterator[Rows]:
        """Yields how similar maps stay to the trained ones, layer by layer."""
        with restored_weights(self.model) as put_back:
            for step, (layer, weights) in enumerate(self.layers.items(), start=1):
                if self.mode == "independent":
                    put_back()
                randomize(weights, seed)
                place = {"mode": self.mode, "layer": layer, "step": step, "seed": seed}
                yield self.alike(self.trained, maps_by_name(self.found), **place)

    def random_maps(self, seed: int) -> dict[str, Maps]:
        """Returns the maps of a network whose layers are all random."""
        with restored_weights(self.model):
            for weights in weighted_layers(self.model).values():
                randomize(weights, seed)
            return maps_by_name(self.found)

    def alike(self, one: Mapping[str, Maps], other: Mapping[str, Maps], **place: Any) -> Rows:
        """Returns how similar maps are, a row for each method and measure."""
        return similarity_rows(one, other, self.share, self.region, **place)
