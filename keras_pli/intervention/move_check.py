"""What one move of a plan will meet, in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..brief import percent
from .occupancy import Collision, Occupancy

# Root mean squared errors of a pilot's share, and of its change of F1 where that is no large loss, on plans
# that had no part in choosing what it is like (docs/plan_check.png).
SHARE_ERROR, F1_ERROR = 0.08, 0.01
# Losses foretold from here on (.07 to .25 in four plans) came out so many times as large.
LARGE_LOSS, TOO_SMALL = 0.06, "1.3 to 1.9"
# A change that is told from none: two errors.
TOLD = 2 * F1_ERROR
# What the layer is said to allow where it is not nearly everything.
NEARLY_ALL = 0.9


@dataclass(frozen=True)
class MoveCheck:
    """What one move of a plan will meet, when all moves are made.

    Figures that nothing was tried for are NaN.

    Args:
        place: Number of the move among the changes of the plan, from 1.
        move: The move, in words.
        classes: Classes of the points that it selects.
        points: How many these are.
        occupancy: Who lives at their places, before and after; None if no selected point has a label.
        layer_share: Share of the way that activations of the layer go when they are moved freely.
        layer_kept: Share of the samples classified rightly that still are when they are.
        pilot_share: Share of the way that a short training on a sample reaches, for points left out of it.
        pilot_f1: Mean F1 of the move's classes after it, less that after as much training without the plan.
        collides: The classes that its points are moved into, the largest gain first (see `Residents`).
        residents_f1: What `pilot_f1` is, of these classes, as far as the move does not select points of them.
            How well it foretells was not studied.
        names: Names of classes, for the sentence; a class without one has its label.

    Example:
        >>> move = MoveCheck(1, "shift class 4 by (9, 0)", (4,), 80, pilot_share=0.42, pilot_f1=-0.051)
        >>> move.passes
        False
    """

    place: int
    move: str
    classes: tuple[Any, ...]
    points: int
    occupancy: Occupancy | None = field(default=None, repr=False)
    layer_share: float = math.nan
    layer_kept: float = math.nan
    pilot_share: float = math.nan
    pilot_f1: float = math.nan
    collides: tuple[Collision, ...] = ()
    residents_f1: float = math.nan
    names: Mapping[Any, str] = field(default_factory=dict, repr=False)

    @property
    def before(self) -> dict[Any, float]:
        """Share of each class among the neighbours of the points, before."""
        return self._shares("before")

    @property
    def after(self) -> dict[Any, float]:
        """Share of each class among the neighbours of the points, afterwards."""
        return self._shares("after")

    @property
    def passes(self) -> bool:
        """Whether it moves points into no other class, and the pilot, if there was one, lost no F1 by it.

        A loss is one beyond two errors of such forecasts.
        """
        return not self.collides and not self.pilot_f1 < -TOLD

    @property
    def sentence(self) -> str:
        """The check in a sentence."""
        return f"{self.move}: {self.finding}."

    @property
    def finding(self) -> str:
        """The check in words, without the move."""
        parts = [self._crowd(), self._layer(), self._pilot()]
        return "; ".join(part for part in parts if part)

    def __str__(self) -> str:
        return self.sentence

    def _shares(self, when: str) -> dict[Any, float]:
        if self.occupancy is None:
            return {}
        shares = getattr(self.occupancy, when)
        means = np.average(shares, axis=0, weights=self.occupancy.counts)
        return dict(zip(self.occupancy.classes, means.tolist(), strict=True))

    def _crowd(self) -> str:
        if self.occupancy is None:
            return "none of its points has a label that is trained on"
        if not self.collides:
            return "no other class lives where it goes"
        several = len(self.classes) > 1
        found = [
            f"{f'{self._name(each.label)} ' if several else ''}collides with {self._name(each.other)} "
            f"({each.shares(2)})"
            for each in self.collides
        ]
        return ", ".join(found)

    def _name(self, label: Any) -> str:
        return self.names.get(label, str(label))

    def _layer(self) -> str:
        limits = []
        if self.layer_share < NEARLY_ALL:
            limits.append(f"get {percent(self.layer_share)} of the way")
        if self.layer_kept < NEARLY_ALL:
            limits.append(f"keep {percent(self.layer_kept)} of the right decisions")
        return f"moved freely, the layer's activations {' and '.join(limits)}" if limits else ""

    def _pilot(self) -> str:
        if math.isnan(self.pilot_share):
            return ""
        share = (
            f"a short trial training gets about {percent(self.pilot_share)} of the way "
            f"(± {100 * SHARE_ERROR:.0f} points of a hundred)"
        )
        if math.isnan(self.pilot_f1):
            return share
        said = f"{share}, {self._f1()}"
        if self.residents_f1 < -TOLD:
            return f"{said}; the classes met lose {-self.residents_f1:.3f} F1 in the pilot"
        return said

    def _f1(self) -> str:
        change = f"{abs(self.pilot_f1):.3f} F1"
        if self.pilot_f1 < -LARGE_LOSS:
            return f"at a cost of {change} or more (losses so large came out {TOO_SMALL} times the forecast)"
        if self.pilot_f1 < -TOLD:
            return f"at a cost of {change} (± {F1_ERROR:.2f})"
        if self.pilot_f1 > TOLD:
            return f"with a gain of {change} (the study of such forecasts had none so large)"
        return f"at no cost that can be told (F1 {self.pilot_f1:+.3f} ± {F1_ERROR:.2f})"
