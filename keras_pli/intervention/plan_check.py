"""What the moves of a plan will meet: who lives there, what the layer allows, what a pilot reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..brief import counted, percent
from ..checks import finite_array
from .data_changes import UNLABELLED
from .naming import named
from .occupancy import Collision, Occupancy, Residents

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..plotting.style import ClassNames
    from .plan import InterventionPlan

# Root mean squared errors of a pilot's share, and of its change of F1 where that is no large loss, on plans
# that had no part in choosing what it is like (docs/plan_check.png).
SHARE_ERROR, F1_ERROR = 0.08, 0.01
# Losses foretold from here on (.07 to .25 in four plans) came out so many times as large.
LARGE_LOSS, TOO_SMALL = 0.06, "1.3 to 1.9"
# A change that is told from none: two errors.
TOLD = 2 * F1_ERROR
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
            return "none of its points has a label that is trained on"
        if not self.collides:
            return "free"
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
            limits.append(f"allows {percent(self.layer_share)} of the way")
        if self.layer_kept < NEARLY_ALL:
            limits.append(f"keeps {percent(self.layer_kept)} of its labels on it")
        return f"the layer {' and '.join(limits)}" if limits else ""

    def _pilot(self) -> str:
        if math.isnan(self.pilot_share):
            return ""
        share = f"about {percent(self.pilot_share)} of the way (± {100 * SHARE_ERROR:.0f})"
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
        class_names: Names of the classes, for sentences, table and picture.

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
    class_names: Sequence[str] | None = field(default=None, repr=False)

    @property
    def passes(self) -> bool:
        """Whether every move passes."""
        return all(move.passes for move in self.moves)

    def table(self) -> pd.DataFrame:
        """One row a move, numbered as in the plan.

        Returns:
            Columns `move`, `points`, `collides` (the classes, in words), `others before` and `others after`
            (share of neighbours of another class), `layer share`, `layer kept`, `pilot share`, `pilot F1`,
            `residents F1`, `passes`.
        """
        rows = []
        for move in self.moves:
            before, after = (math.nan,) * 2 if move.occupancy is None else move.occupancy.foreign
            rows.append(
                {
                    "move": move.move,
                    "points": move.points,
                    "collides": ", ".join(
                        dict.fromkeys(move._name(each.other) for each in move.collides)
                    ),
                    "others before": before,
                    "others after": after,
                    "layer share": move.layer_share,
                    "layer kept": move.layer_kept,
                    "pilot share": move.pilot_share,
                    "pilot F1": move.pilot_f1,
                    "residents F1": move.residents_f1,
                    "passes": move.passes,
                }
            )
        places = [move.place for move in self.moves]
        return pd.DataFrame(rows, index=pd.Index(places, name="change"))

    def plot(self, *, class_names: ClassNames | None = None) -> Figure:
        """Draws where the plan sends the classes, and beside it who lives there before and after.

        Args:
            class_names: A sequence that integer labels index, or a mapping from label to name; by default
                the names that the check was given.

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
            class_names=self.class_names if class_names is None else class_names,
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
    class_names: Sequence[str] | None = None,
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
    names = _names(class_names, classes)
    tried = None
    # Of points that no training sees there is nothing to try.
    if model is not None and moved[rows].any():
        known = classes  # of another kind than integers, which the model refuses
        if classes.dtype.kind in "iu":
            known = np.full(len(classes), UNLABELLED, dtype=np.int64)
            known[rows] = classes[rows]
        tried = _Tried.of(model, (x, known, positions, targets), moved, samples, seed, verbose)
    checks = []
    residents = None
    if moved[rows].any():
        residents = Residents(positions[rows], classes[rows], neighbors)
    for step in steps:
        chosen = step.selected[rows]
        lives: Occupancy | None = None
        collides: tuple[Collision, ...] = ()
        if residents is not None and chosen.any():
            lives = residents.after(targets[rows], np.flatnonzero(chosen))
            collides = residents.collisions(targets[rows], chosen)
        about = () if lives is None else lives.labels
        met = {each.other for each in collides} - set(about)
        figures = {} if tried is None else tried.figures(step.selected, about, sorted(met))
        count = int(np.count_nonzero(step.selected))
        words = str(named(step.move, class_names))
        checks.append(
            MoveCheck(
                step.place, words, about, count, lives, collides=collides, names=names, **figures
            )
        )
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
        class_names=class_names,
    )


def _names(class_names: Sequence[str] | None, labels: NDArray[Any]) -> dict[Any, str]:
    if class_names is None:
        return {}
    from ..plotting.style import class_styles  # where every class must have a name

    return {label: style.name for label, style in class_styles(labels, class_names).items()}


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
