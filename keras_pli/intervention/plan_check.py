"""What the moves of a plan will meet: who lives there, what the layer allows, what a pilot reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..brief import counted
from ..checks import finite_array
from .data_changes import UNLABELLED
from .move_check import MoveCheck
from .naming import named
from .occupancy import Collision, Occupancy, Residents
from .plan_trials import TriedPlan, TriesPlans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..plotting.style import ClassNames
    from .plan import InterventionPlan, MadeMove


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
    _check_given(plan, model, x)
    positions = finite_array(embedding, "embedding", ndim=2)
    steps = list(plan.replay(positions, labels))
    targets = steps[-1].targets
    moved = np.logical_or.reduce([step.selected for step in steps])
    # What changes of the data leave out is nobody's neighbour, and not trained on.
    edited = plan.edited_data(labels, positions)
    classes, rows = edited.labels, edited.rows
    tried, residents = None, None
    if moved[rows].any():  # of points that no training sees there is nothing to try
        residents = Residents(positions[rows], classes[rows], neighbors)
        if model is not None:
            given = (x, _trained_on(classes, rows), positions, targets)
            tried = TriedPlan.of(model, given, moved, samples, seed, verbose)
    made = _MoveChecks(residents, tried, targets, rows, _names(class_names, classes), class_names)
    of_all = {} if tried is None else tried.figures(moved, np.unique(classes[rows][moved[rows]]))
    return PlanCheck(
        tuple(made.of(step) for step in steps),
        of_all.get("pilot_share", math.nan),
        of_all.get("pilot_f1", math.nan),
        math.nan if tried is None else tried.pilot.seconds,
        embedding=positions,
        targets=targets,
        labels=classes,
        moved=moved,
        class_names=class_names,
    )


def _check_given(plan: InterventionPlan, model: TriesPlans | None, x: Any) -> None:
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


def _trained_on(classes: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Labels of which those that are not trained on are none; strings as they are, which a model refuses."""
    if classes.dtype.kind not in "iu":
        return classes
    known = np.full(len(classes), UNLABELLED, dtype=np.int64)
    known[rows] = classes[rows]
    return known


@dataclass(frozen=True)
class _MoveChecks:
    """What is known of the whole plan, to check its moves one by one."""

    residents: Residents | None
    tried: TriedPlan | None
    targets: NDArray[np.float32]
    rows: NDArray[np.int64]
    names: dict[Any, str]
    class_names: Sequence[str] | None

    def of(self, step: MadeMove) -> MoveCheck:
        """The check of one move."""
        chosen, targets = step.selected[self.rows], self.targets[self.rows]
        lives: Occupancy | None = None
        collides: tuple[Collision, ...] = ()
        if self.residents is not None and chosen.any():
            lives = self.residents.after(targets, np.flatnonzero(chosen))
            collides = self.residents.collisions(targets, chosen)
        about = () if lives is None else lives.labels
        met = sorted({each.other for each in collides} - set(about))
        figures = {} if self.tried is None else self.tried.figures(step.selected, about, met)
        return MoveCheck(
            step.place,
            str(named(step.move, self.class_names)),
            about,
            int(np.count_nonzero(step.selected)),
            lives,
            collides=collides,
            names=self.names,
            **figures,
        )


def _names(class_names: Sequence[str] | None, labels: NDArray[Any]) -> dict[Any, str]:
    if class_names is None:
        return {}
    from ..plotting.style import class_styles  # where every class must have a name

    return {label: style.name for label, style in class_styles(labels, class_names).items()}
