"""What the moves of a plan will meet: who lives there, what the layer allows, what a pilot reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..brief import counted
from ..checks import finite_array
from .occupancy import UNLABELLED, Collision, Occupancy, occupancy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..plotting.style import ClassNames
    from .plan import InterventionPlan

# Root mean squared errors of a pilot's share and change of F1, on plans that had no part in choosing what it
# is like (docs/plan_check.png).
SHARE_ERROR, F1_ERROR = 0.08, 0.03
# What the layer is said to allow where it is not nearly everything.
NEARLY_ALL = 0.9


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

    @property
    def collides(self) -> tuple[Collision, ...]:
        """The classes that the points are moved into, the largest gain first (see `Occupancy`)."""
        return () if self.occupancy is None else self.occupancy.collisions

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

        A loss is one beyond the error of such forecasts.
        """
        return not self.collides and not self.pilot_f1 < -F1_ERROR

    @property
    def sentence(self) -> str:
        """The check in a sentence."""
        parts = [self._crowd(), self._layer(), self._pilot()]
        return f"{self.move}: {'; '.join(part for part in parts if part)}."

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
            return "none of its points has a label"
        if not self.collides:
            return "free"
        several = len(self.classes) > 1
        found = [
            f"{f'{each.label} ' if several else ''}collides with {each.other} "
            f"({each.before:.2f} of its neighbours before, {each.after:.2f} after)"
            for each in self.collides
        ]
        return ", ".join(found)

    def _layer(self) -> str:
        limits = []
        if self.layer_share < NEARLY_ALL:
            limits.append(f"allows {self.layer_share:.0%} of the way")
        if self.layer_kept < NEARLY_ALL:
            limits.append(f"keeps {self.layer_kept:.0%} of its labels on it")
        return f"the layer {' and '.join(limits)}" if limits else ""

    def _pilot(self) -> str:
        if math.isnan(self.pilot_share):
            return ""
        share = f"about {100 * self.pilot_share:.0f} % of the way (± {100 * SHARE_ERROR:.0f})"
        if math.isnan(self.pilot_f1):
            return share
        change = f"{abs(self.pilot_f1):.3f} F1 (± {F1_ERROR:.3f})"
        if self.pilot_f1 < -F1_ERROR:
            return f"{share}, at a cost of {change}"
        if self.pilot_f1 > F1_ERROR:
            return f"{share}, with a gain of {change}"
        return f"{share}, at no cost that can be told (F1 {self.pilot_f1:+.3f} ± {F1_ERROR:.3f})"


@dataclass(frozen=True, eq=False)
class PlanCheck:
    """What the moves of a plan will meet (see `InterventionPlan.check`).

    Args:
        moves: One `MoveCheck` for each move.
        pilot_share: The pilot's share of the way, over all points moved; NaN where there was none.
        pilot_f1: Mean F1 of all classes moved after it, less that after as much training without the plan.
        seconds: What the pilot's two trainings took; NaN where there was none.
        embedding: The map.
        targets: The edited map.
        labels: Classes of its points.
        moved: Which of them the moves select.

    Example:
        >>> from keras_pli.intervention import Contract, InterventionPlan
        >>> y = [[0.0, 0.0], [1.0, 0.0], [9.0, 0.0], [9.5, 0.0]]
        >>> check = InterventionPlan([Contract(0)]).check(y, [0, 0, 1, 1], neighbors=1)
        >>> check.passes, check.table()["points"].tolist()
        (True, [2])
    """

    moves: tuple[MoveCheck, ...]
    pilot_share: float
    pilot_f1: float
    seconds: float
    embedding: NDArray[np.float32] = field(repr=False)
    targets: NDArray[np.float32] = field(repr=False)
    labels: NDArray[Any] = field(repr=False)
    moved: NDArray[np.bool_] = field(repr=False)

    @property
    def passes(self) -> bool:
        """Whether every move passes."""
        return all(move.passes for move in self.moves)

    def table(self) -> pd.DataFrame:
        """One row a move, numbered as in the plan.

        Returns:
            Columns `move`, `points`, `collides` (the classes, in words), `others before` and `others after`
            (share of neighbours of another class), `layer share`, `layer kept`, `pilot share`, `pilot F1`,
            `passes`.
        """
        rows = []
        for move in self.moves:
            before, after = (math.nan,) * 2 if move.occupancy is None else move.occupancy.foreign
            rows.append(
                {
                    "move": move.move,
                    "points": move.points,
                    "collides": ", ".join(dict.fromkeys(str(each.other) for each in move.collides)),
                    "others before": before,
                    "others after": after,
                    "layer share": move.layer_share,
                    "layer kept": move.layer_kept,
                    "pilot share": move.pilot_share,
                    "pilot F1": move.pilot_f1,
                    "passes": move.passes,
                }
            )
        places = [move.place for move in self.moves]
        return pd.DataFrame(rows, index=pd.Index(places, name="change"))

    def plot(self, *, class_names: ClassNames | None = None) -> Figure:
        """Draws where the plan sends the classes, and beside it who lives there before and after.

        Args:
            class_names: A sequence that integer labels index, or a mapping from label to name.

        Returns:
            A new figure; on a map of more than two components the neighbours alone.
        """
        from ..plotting.neighbor_bars import plan_figure

        rows = {f"{move.place}. {move.move}": (move.before, move.after) for move in self.moves}
        return plan_figure(
            self.embedding,
            self.targets,
            self.labels,
            self.moved,
            rows,
            class_names=class_names,
        )

    def __str__(self) -> str:
        return "\n".join(f"{move.place}. {move.sentence}" for move in self.moves)

    def _repr_html_(self) -> str:
        from ..plotting.notebook import notebook_html

        title = f"Check of {counted(len(self.moves), 'move')}: {'passes' if self.passes else 'look again'}"
        table = self.table().round(3)
        return notebook_html(f"{title}\n{self}", table=table, figure=self.plot())


def check_plan(
    plan: InterventionPlan,
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    model: TriesPlans | None,
    x: Any,
    neighbors: int,
    samples: int,
    seed: int,
    verbose: int,
) -> PlanCheck:
    """See `InterventionPlan.check`."""
    if not plan.moves:
        raise ValueError(f"There is no move to check in the plan. Received: {plan!r}.")
    if (model is None) != (x is None):
        given, lacking = ("x", "model") if model is None else ("model", "x")
        raise ValueError(
            f"To try a plan takes both `model` and `x`. Received `{given}` and no `{lacking}`."
        )
    if model is not None and not all(hasattr(model, name) for name in ("pilot", "layer_reach")):
        raise TypeError(
            "`model` must be a PLIModel, compiled as for the training that is meant. "
            f"Received: {type(model).__name__}."
        )
    positions = finite_array(embedding, "embedding", ndim=2)
    steps = list(plan.replay(positions, labels))
    targets = steps[-1].targets
    moved = np.logical_or.reduce([step.selected for step in steps])
    # What changes of the data leave out is nobody's neighbour, and not trained on.
    edited = plan.edited_data(labels, positions)
    classes, rows = edited.labels, edited.rows
    tried = None
    if model is not None:
        known = classes  # of another kind than integers, which the model refuses
        if classes.dtype.kind in "iu":
            known = np.full(len(classes), UNLABELLED, dtype=np.int64)
            known[rows] = classes[rows]
        tried = _Tried.of(model, (x, known, positions, targets), moved, samples, seed, verbose)
    checks = []
    for step in steps:
        chosen = step.selected[rows]
        lives = None
        if chosen.any():
            on_maps = positions[rows], targets[rows], classes[rows]
            lives = occupancy(*on_maps, chosen, neighbors=neighbors)
        about = () if lives is None else lives.labels
        figures = {} if tried is None else tried.figures(step.selected, about)
        count = int(np.count_nonzero(step.selected))
        checks.append(MoveCheck(step.place, str(step.move), about, count, lives, **figures))
    of_all = {} if tried is None else tried.figures(moved, np.unique(classes[rows][moved[rows]]))
    return PlanCheck(
        tuple(checks),
        of_all.get("pilot_share", math.nan),
        of_all.get("pilot_f1", math.nan),
        math.nan if tried is None else tried.pilot.seconds,
        embedding=positions,
        targets=targets,
        labels=classes,
        moved=moved,
    )


@dataclass(frozen=True)
class _Tried:
    """What a model made of a plan."""

    layer: LayerTrial | None
    pilot: PilotTraining

    @classmethod
    def of(
        cls, model: TriesPlans, given: Any, moved: Any, samples: int, seed: int, verbose: int
    ) -> _Tried:
        def say(what: str) -> None:
            if verbose:
                print(what, flush=True)

        say("Moving activations of the layer freely …")
        layer = model.layer_reach(*given, moved=moved, seed=seed)
        say("Training on a sample, without the plan and with it …")
        return cls(layer, model.pilot(*given, moved=moved, samples=samples, seed=seed))

    def figures(self, selected: ArrayLike, classes: Any) -> dict[str, float]:
        """The figures of a `MoveCheck`."""
        found = {
            "pilot_share": self.pilot.share(selected),
            "pilot_f1": self.pilot.f1_change(classes),
        }
        if self.layer is not None:
            found["layer_share"] = self.layer.share(selected)
            found["layer_kept"] = self.layer.kept(selected)
        return found
