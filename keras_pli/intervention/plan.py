"""A plan: changes in their order, what they make of a map and of the data, how they are undone and stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .. import files
from ..brief import counted
from . import storage
from .change import Change, ChangeMisfitError
from .data_changes import UNLABELLED, DataChange, Relabel
from .edited_data import DataEditor, EditedData, with_label
from .move import Move, checked
from .moves import WholeMap
from .plan_check import PlanCheck, check_plan
from .plan_trials import TriesPlans
from .selection import BoolArray, ClassLabel, Indices, Mask, Polygon, Selection, selections_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..plotting.style import ClassNames

ChangeLike: TypeAlias = Change | Callable[[NDArray[np.float32], Any], ArrayLike]


class MadeMove(NamedTuple):
    """A move in the course of a plan.

    Attributes:
        place: Its number among the changes, from 1.
        move: The move.
        targets: The map after it.
        selected: The points that it selected.
    """

    place: int
    move: Move
    targets: NDArray[np.float32]
    selected: BoolArray


class InterventionPlan:
    """What a person wants to see changed, in order: on the map, and in the training data.

    Applied to an embedding y it gives the target positions y' that the classifier is retrained to
    meet (Hinterreiter et al. 2020, section 2.2). Changes act one after another, each on the positions
    and labels that the one before left. A plan belongs to no sample of points: moves of classes and
    lassos carry over to another sample, where centres of mass are taken anew; indices and masks do not.

    Args:
        changes: Moves, changes of the data (`Weigh`, `Relabel`, `Exclude`), or callables taking embedding
            and labels and returning targets.

    Raises:
        TypeError: If an entry is none of these.

    Example:
        >>> from keras_pli.intervention import Contract, Shift
        >>> shift = Shift(9, by=(1, 0), reason="Too near 4.")
        >>> plan = InterventionPlan([Contract(4, factor=0.5), shift])
        >>> plan
        InterventionPlan of 2 moves
          1. contract class 4 to 0.5 of its size
          2. shift class 9 by (1, 0)
             because: Too near 4.
        >>> targets, moved = plan.apply([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]], labels=[4, 4, 9])
        >>> targets.tolist()
        [[0.5, 0.0], [1.5, 0.0], [6.0, 5.0]]
    """

    def __init__(self, changes: Iterable[ChangeLike] = ()) -> None:
        if isinstance(changes, Change) or callable(changes):
            raise TypeError(
                f"A plan takes a list of changes: write [change]. Received: {changes!r}."
            )
        self._changes = [_as_change(change) for change in changes]
        self._undone: list[Change] = []

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in force, in order."""
        return tuple(self._changes)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The changes of the map, in order."""
        return tuple(change for change in self._changes if isinstance(change, Move))

    @property
    def data_changes(self) -> tuple[DataChange, ...]:
        """The changes of the training data, in order."""
        return tuple(change for change in self._changes if isinstance(change, DataChange))

    @property
    def labels_used(self) -> tuple[int | str, ...]:
        """The classes that the plan selects, each once, in the order they first come.

        Classes touched only through indices, masks or lassos depend on the sample of points:
        `np.unique(labels[moved])` after `apply` has them.
        """
        selections = _selections(self._changes)
        labels = (part.label for part in selections if isinstance(part, ClassLabel))
        return tuple(dict.fromkeys(label for label in labels if label != UNLABELLED))

    @property
    def transfers(self) -> bool:
        """Whether the moves carry over to another sample of points: none selects by index or mask."""
        return not any(isinstance(part, Indices | Mask) for part in _selections(self.moves))

    @property
    def needs_map(self) -> bool:
        """Whether the plan says anything of a map: it moves points, or selects some by a polygon."""
        drawn = any(isinstance(part, Polygon) for part in _selections(self._changes))
        return bool(self.moves) or drawn

    def apply(
        self, embedding: ArrayLike, labels: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], BoolArray]:
        """Returns where the points shall go, and which points a move selected.

        Args:
            embedding: Positions of shape `(n, components)`; not changed.
            labels: Class labels of shape `(n,)`, needed where a move names a class.

        Returns:
            Targets, float32 of shape `(n, components)`, and moved, booleans of shape `(n,)`. A
            selected point counts as moved even if its move left it in place; for a callable the
            points whose position it changed count.

        Raises:
            ValueError: If the embedding holds NaN or infinity, the labels are missing or do not
                fit, or a change does not fit the points; the change is named.
        """
        targets, _ = checked(embedding, labels)
        targets = targets.copy()
        moved = np.zeros(len(targets), dtype=bool)
        for step in self.replay(embedding, labels):
            targets, moved = step.targets, moved | step.selected
        return targets, moved

    def replay(self, embedding: ArrayLike, labels: ArrayLike | None = None) -> Iterator[MadeMove]:
        """Yields the moves one by one as they are made; arguments and errors as in `apply`.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift(1, by=(9, 0))])
            >>> for made in plan.replay([[0.0, 0.0], [5.0, 5.0]], [0, 1]):
            ...     print(made.place, made.selected.tolist())
            1 [False, True]
        """
        targets, classes = checked(embedding, labels)
        for place, change in enumerate(self._changes, start=1):
            with self._naming(place, change):
                if isinstance(change, Move):
                    targets, selected = change.apply(targets, classes)
                    made = MadeMove(place, change, targets, selected)
                elif isinstance(change, Relabel) and classes is not None:
                    (selection,) = selections_of(change)
                    relabelled = selection.resolve(targets, classes)
                    classes = with_label(classes, relabelled, change.label)
            if isinstance(change, Move):
                yield made

    def check(
        self,
        embedding: ArrayLike,
        labels: ArrayLike,
        *,
        model: TriesPlans | None = None,
        x: Any = None,
        neighbors: int = 10,
        samples: int = 2000,
        seed: int = 0,
        verbose: int = 0,
        class_names: Sequence[str] | None = None,
    ) -> PlanCheck:
        """Says before any training what the moves will meet.

        For each move: who lives where its points go; and, with a model, how far the layer lets them go
        (activations moved freely under the loss that the model was compiled with), and how far a pilot brings
        them and what that costs in F1 (a short training on a sample, beside one without the plan; measured on
        samples left out). The model's weights, optimizer and random states are left as they are.

        Args:
            embedding: Positions of shape `(n, components)`; with a model, the map of `x` by its embedder.
            labels: Class labels of shape `(n,)`; -1 for points that have none.
            model: A `PLIModel`, compiled as for the training that is meant.
            x: Inputs of the same samples, as the classifier takes them.
            neighbors: How many nearest neighbours of each point are looked at.
            samples: Samples that the pilot trains on and is measured on, as many of each at the most.
            seed: Seed of the sample and of the pilot's training.
            verbose: 1 to say what is being done.
            class_names: Names of the classes, for sentences, table and picture.

        Returns:
            A `PlanCheck`: a table, a picture, and a sentence for each move.

        Raises:
            ValueError: If the plan has no move or does not fit the points, only one of `model` and `x` is
                given, the model is not compiled or its λ is 0, `x` is of another length, or `embedding` is
                not the map of `x`.
            TypeError: If the model cannot try plans.

        Warns:
            UserWarning: If the classifier cannot be run from the layer, so that nobody can tell what that
                allows.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> y = [[0.0, 0.0], [0.1, 0.0], [0.2, 0.0], [5.0, 0.0], [5.1, 0.0], [5.2, 0.0]]
            >>> check = InterventionPlan([Shift(0, by=(5.04, 0))]).check(y, [0, 0, 0, 1, 1, 1], neighbors=2)
            >>> print(check)
            1. shift class 0 by (5.04, 0): collides with 1 (0.00 of its neighbours before, 0.83 after).
        """
        return check_plan(
            self,
            embedding,
            labels,
            model=model,
            x=x,
            neighbors=neighbors,
            samples=samples,
            seed=seed,
            verbose=verbose,
            class_names=class_names,
        )

    def edited_data(
        self,
        labels: ArrayLike,
        embedding: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        classes: int | None = None,
    ) -> EditedData:
        """Returns what training needs besides the targets: labels, weights, and the rows to train on.

        Args:
            labels: Labels of shape `(n,)`, -1 for samples that have none; not changed.
            embedding: Positions of shape `(n, components)`, needed only where a polygon selects.
            sample_weight: The caller's own weights `(n,)`; those of the plan multiply them.
            classes: The number of classes, where labels are counted from 0; None where a `Relabel` may
                name only labels that occur.

        Returns:
            `EditedData`, also of a plan that changes no data.

        Raises:
            ValueError: If labels, weights or embedding do not fit each other, a change does not fit the
                samples, a sample is relabelled twice and differently, or nothing is left to train on.

        Warns:
            UserWarning: If no training sample of some class is left.

        Example:
            >>> from keras_pli.intervention import Exclude, Weigh
            >>> plan = InterventionPlan([Weigh(8, 3.0), Exclude([0])])
            >>> edited = plan.edited_data([3, 3, 8])
            >>> edited.rows.tolist(), edited.sample_weight.tolist()
            ([1, 2], [1.0, 1.0, 3.0])
        """
        editor = DataEditor(labels, sample_weight, classes)
        positions = None if embedding is None else checked(embedding, editor.labels)[0]
        drawn = any(isinstance(part, Polygon) for part in _selections(self.data_changes))
        for place, change in enumerate(self._changes, start=1):
            with self._naming(place, change):
                if isinstance(change, DataChange):
                    editor.make(change, positions)
                elif isinstance(change, Move) and positions is not None and drawn:
                    positions, _ = change.apply(positions, editor.labels)
        return editor.result()

    @contextmanager
    def _naming(self, place: int, change: Change) -> Iterator[None]:
        """Lets an error say which change it is of."""
        try:
            yield
        except ValueError as error:
            kind = "Move" if isinstance(change, Move) else "Change"
            told = f"{kind} {place} of {len(self)}, {change}"
            raise ChangeMisfitError(place, told, str(error)) from error

    def plot(
        self,
        embedding: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        class_names: ClassNames | None = None,
    ) -> Figure:
        """Draws a map before and after the plan, side by side.

        On the edited map an arrow for each class leads from the mean of its moved points to where it goes,
        and a dashed line surrounds where they were. Samples that the plan weighs, relabels or excludes are
        marked there, if there are labels.

        Args:
            embedding: Positions of shape `(n, 2)` or `(n, 3)`.
            labels: Class labels of shape `(n,)`, needed where a move names a class.
            class_names: A sequence that integer labels index, or a mapping from label to name.

        Returns:
            A new `plotting.embedding_comparison`.

        Raises:
            ValueError: As in `apply` and `edited_data`, or if the map has another number of components.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift(1, by=(9, 0))])
            >>> figure = plan.plot([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]], [0, 1, 1])
            >>> [ax.get_title(loc="left") for ax in figure.axes]
            ['Before', 'Edited']
        """
        from ..plotting import embedding_comparison

        shape = np.shape(embedding)
        if len(shape) != 2 or shape[1] not in (2, 3):
            raise ValueError(f"A map of 2 or 3 components can be drawn. Received shape {shape}.")
        targets, moved = self.apply(embedding, labels)
        shown: Any = labels
        signs = {}
        if labels is not None and self.data_changes:
            edited = self.edited_data(labels, embedding)
            shown = {"Before": labels, "Edited": edited.labels}
            signs = {"Edited": edited.masks}
        return embedding_comparison(
            {"Before": embedding, "Edited": targets},
            shown,
            class_names=class_names,
            came_from={"Edited": (embedding, moved)},
            signs=signs,
        )

    def add(self, change: ChangeLike) -> InterventionPlan:
        """Puts a change at the end and returns the plan; what was undone can no longer be redone."""
        self._changes.append(_as_change(change))
        self._undone.clear()
        return self

    def undo(self) -> InterventionPlan:
        """Takes the last change back and returns the plan.

        Raises:
            ValueError: If the plan holds no change.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift(4, by=(1, 0))])
            >>> len(plan.undo()), len(plan.redo())
            (0, 1)
        """
        if not self._changes:
            raise ValueError("There is nothing to undo: the plan holds no change.")
        self._undone.append(self._changes.pop())
        return self

    def redo(self) -> InterventionPlan:
        """Puts back the change last taken back and returns the plan.

        Raises:
            ValueError: If no change was undone since the last `add`.
        """
        if not self._undone:
            raise ValueError("There is nothing to redo: no change was undone since the last `add`.")
        self._changes.append(self._undone.pop())
        return self

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Returns the plan as JSON text, and writes it to `path` if one is given.

        Raises:
            ValueError: If a change holds a function, which JSON cannot hold.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift("Shirt", by=(1, 0))])
            >>> InterventionPlan.from_json(plan.to_json()) == plan
            True
        """
        text = storage.to_json(self._changes)
        if path is not None:
            files.write_text(path, text)
        return text

    @classmethod
    def from_json(cls, text_or_path: str | os.PathLike[str]) -> InterventionPlan:
        """Returns the plan that a JSON text, or a file at a path, holds.

        Raises:
            ValueError: If it is neither JSON text nor a file, or what it holds is damaged, of
                another format or version, or has a change that is unknown or not valid.
            FileNotFoundError: If a path object names no file.
        """
        if not isinstance(text_or_path, str):
            return cls.load(text_or_path)
        if text_or_path.lstrip()[:1] in ("{", "["):
            return cls(storage.from_json(text_or_path, "The text"))
        if not os.path.isfile(text_or_path):
            start = text_or_path if len(text_or_path) <= 80 else f"{text_or_path[:80]}…"
            raise ValueError(f"Neither the JSON text of a plan nor a file. Received: {start!r}.")
        return cls.load(text_or_path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the plan to a JSON file, whole or not at all, and returns its path."""
        self.to_json(path)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> InterventionPlan:
        """Returns the plan that a JSON file holds; raises ValueError as `from_json` does."""
        path = Path(path)
        return cls(storage.from_json(storage.read(path), str(path)))

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __add__(self, other: object) -> InterventionPlan:
        """Returns a plan of the changes of both, one after the other."""
        if not isinstance(other, InterventionPlan):
            return NotImplemented
        return InterventionPlan([*self, *other])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InterventionPlan):
            return NotImplemented
        return self._changes == other._changes

    # A plan changes through `add` and `undo`, so it can be no dictionary key.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        lines = [self._title()]
        for place, change in enumerate(self._changes, start=1):
            lines.append(f"{place:3}. {change}")
            if change.reason:
                lines.append(f"     because: {change.reason}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from ..plotting.notebook import notebook_html

        noun = "change" if self.data_changes else "move"
        listed = {noun: [str(change) for change in self._changes]}
        if any(change.reason for change in self._changes):
            listed["because"] = [change.reason or "" for change in self._changes]
        table = pd.DataFrame(listed, index=range(1, len(self) + 1))
        return notebook_html(self._title(), table=table if len(self) else None)

    def _title(self) -> str:
        return (
            f"InterventionPlan of {counted(len(self), 'change' if self.data_changes else 'move')}"
        )


def _selections(changes: Iterable[Change]) -> list[Selection]:
    return [part for change in changes for part in selections_of(change)]


def _as_change(change: Any) -> Change:
    if isinstance(change, Change):
        return change
    if isinstance(change, type) and issubclass(change, Change):
        raise TypeError(f"{change.__name__} is a class of changes; write {change.__name__}(…).")
    if callable(change):
        return WholeMap(change)
    raise TypeError(
        f"A plan holds changes, such as Shift(4, by=(1, 0)), or callables. "
        f"Received: {change!r} of {type(change).__name__}."
    )
