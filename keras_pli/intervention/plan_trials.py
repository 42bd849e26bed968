"""A plan tried by a model that is given: what such a model can do, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import ArrayLike


class Trial(Protocol):
    """What was tried with some of the samples."""

    def share(self, selected: ArrayLike, /) -> float:
        """The share of the way asked for that selected points went."""
        ...


class LayerTrial(Trial, Protocol):
    """Activations of a layer, moved freely."""

    def kept(self, selected: ArrayLike, /) -> float:
        """The share of selected points, of those classified rightly, that still are."""
        ...


class PilotTraining(Trial, Protocol):
    """A short training with a plan, beside one without."""

    seconds: float

    def f1_change(self, classes: Any, /) -> float:
        """Mean F1 of some classes with the plan, less that without."""
        ...


class TriesPlans(Protocol):
    """A model that can try a plan, such as a compiled `PLIModel`."""

    def layer_reach(self, x: Any, labels: Any, embedding: Any, targets: Any, **how: Any) -> Any:
        """Returns a `LayerTrial`, or None where the model cannot be run from the layer."""
        ...

    def pilot(self, x: Any, labels: Any, embedding: Any, targets: Any, **how: Any) -> Any:
        """Returns a `PilotTraining`."""
        ...


@dataclass(frozen=True)
class TriedPlan:
    """What a model made of a plan."""

    layer: LayerTrial | None
    pilot: PilotTraining

    @classmethod
    def of(
        cls, model: TriesPlans, given: Any, moved: Any, samples: int, seed: int, verbose: int
    ) -> TriedPlan:
        """Tries a plan, given as inputs, labels, map and targets, by the layer and by a pilot."""

        def say(what: str) -> None:
            if verbose:
                print(what, flush=True)

        say("Moving activations of the layer freely …")
        layer = model.layer_reach(*given, moved=moved, seed=seed)
        say("Training on a sample, without the plan and with it …")
        return cls(layer, model.pilot(*given, moved=moved, samples=samples, seed=seed))

    def figures(self, selected: ArrayLike, classes: Any, met: Any = ()) -> dict[str, float]:
        """The figures of a `MoveCheck`."""
        found = {
            "pilot_share": self.pilot.share(selected),
            "pilot_f1": self.pilot.f1_change(classes),
        }
        if met:
            found["residents_f1"] = self.pilot.f1_change(met)
        if self.layer is not None:
            found["layer_share"] = self.layer.share(selected)
            found["layer_kept"] = self.layer.kept(selected)
        return found
