"""A plan: the moves in their order, what they make of a map, and how they are undone and stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .. import files
from ..brief import counted
from . import storage
from .move import Move, checked
from .moves import WholeMap
from .selection import BoolArray, ClassLabel, Indices, Mask, selections_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..plotting.style import ClassNames

MoveLike: TypeAlias = Move | Callable[[NDArray[np.float32], Any], ArrayLike]


class InterventionPlan:
    """The changes a person wants to see on a map, in order.

    Applied to an embedding y it gives the target positions y' that the classifier is retrained to
    meet (Hinterreiter et al. 2020, section 2.2). Moves act one after another, each on the positions
    that the one before left. A plan belongs to no sample of points: moves of classes and lassos
    carry over to another sample, where centres of mass are taken anew; indices and masks do not.

    Args:
        moves: Moves, or callables taking embedding and labels and returning targets.

    Raises:
        TypeError: If an entry is neither.

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

    def __init__(self, moves: Iterable[MoveLike] = ()) -> None:
        if isinstance(moves, Move) or callable(moves):
            raise TypeError(f"A plan takes a list of moves: write [move]. Received: {moves!r}.")
        self._moves = [_as_move(move) for move in moves]
        self._undone: list[Move] = []

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves in force, in order."""
        return tuple(self._moves)

    @property
    def labels_used(self) -> tuple[int | str, ...]:
        """The classes that the moves name, each once, in the order they first come.

        Classes touched only through indices, masks or lassos depend on the sample of points:
        `np.unique(labels[moved])` after `apply` has them.
        """
        selections = [part for move in self._moves for part in selections_of(move)]
        return tuple(dict.fromkeys(s.label for s in selections if isinstance(s, ClassLabel)))

    @property
    def transfers(self) -> bool:
        """Whether the plan carries over to another sample of points: no move selects by index or mask."""
        selections = [part for move in self._moves for part in selections_of(move)]
        return not any(isinstance(part, Indices | Mask) for part in selections)

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
                fit, or a move does not fit the points; the move is named.
        """
        targets, classes = checked(embedding, labels)
        targets = targets.copy()
        moved = np.zeros(len(targets), dtype=bool)
        for place, move in enumerate(self._moves, start=1):
            try:
                targets, selected = move.apply(targets, classes)
            except ValueError as error:
                raise ValueError(f"Move {place} of {len(self)}, {move}: {error}") from error
            moved |= selected
        return targets, moved

    def plot(
        self,
        embedding: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        class_names: ClassNames | None = None,
    ) -> Figure:
        """Draws a map before and after the plan, side by side.

        On the edited map an arrow for each class leads from the mean of its moved points to where it goes,
        and a dashed line surrounds where they were.

        Args:
            embedding: Positions of shape `(n, 2)` or `(n, 3)`.
            labels: Class labels of shape `(n,)`, needed where a move names a class.
            class_names: A sequence that integer labels index, or a mapping from label to name.

        Returns:
            A new `plotting.embedding_comparison`.

        Raises:
            ValueError: As in `apply`, or if the map has another number of components.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift(1, by=(9, 0))])
            >>> figure = plan.plot([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]], [0, 1, 1])
            >>> [ax.get_title(loc="left") for ax in figure.axes]
            ['Before', 'Edited']
        """
        from ..plotting import embedding_comparison

        targets, moved = self.apply(embedding, labels)
        panels = {"Before": embedding, "Edited": targets}
        return embedding_comparison(
            panels, labels, class_names=class_names, came_from={"Edited": (embedding, moved)}
        )

    def add(self, move: MoveLike) -> InterventionPlan:
        """Puts a move at the end and returns the plan; what was undone can no longer be redone."""
        self._moves.append(_as_move(move))
        self._undone.clear()
        return self

    def undo(self) -> InterventionPlan:
        """Takes the last move back and returns the plan.

        Raises:
            ValueError: If the plan holds no move.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift(4, by=(1, 0))])
            >>> len(plan.undo()), len(plan.redo())
            (0, 1)
        """
        if not self._moves:
            raise ValueError("There is nothing to undo: the plan holds no move.")
        self._undone.append(self._moves.pop())
        return self

    def redo(self) -> InterventionPlan:
        """Puts back the move last taken back and returns the plan.

        Raises:
            ValueError: If no move was undone since the last `add`.
        """
        if not self._undone:
            raise ValueError("There is nothing to redo: no move was undone since the last `add`.")
        self._moves.append(self._undone.pop())
        return self

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Returns the plan as JSON text, and writes it to `path` if one is given.

        Raises:
            ValueError: If a move holds a function, which JSON cannot hold.

        Example:
            >>> from keras_pli.intervention import Shift
            >>> plan = InterventionPlan([Shift("Shirt", by=(1, 0))])
            >>> InterventionPlan.from_json(plan.to_json()) == plan
            True
        """
        text = storage.to_json(self._moves)
        if path is not None:
            files.write_text(path, text)
        return text

    @classmethod
    def from_json(cls, text_or_path: str | os.PathLike[str]) -> InterventionPlan:
        """Returns the plan that a JSON text, or a file at a path, holds.

        Raises:
            ValueError: If it is neither JSON text nor a file, or what it holds is damaged, of
                another format or version, or has a move that is unknown or not valid.
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
        return len(self._moves)

    def __iter__(self) -> Iterator[Move]:
        return iter(self.moves)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InterventionPlan):
            return NotImplemented
        return self._moves == other._moves

    # A plan changes through `add` and `undo`, so it can be no dictionary key.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        lines = [self._title()]
        for place, move in enumerate(self._moves, start=1):
            lines.append(f"{place:3}. {move}")
            if move.reason:
                lines.append(f"     because: {move.reason}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from ..plotting.notebook import notebook_html

        moves = {"move": [str(move) for move in self._moves]}
        if any(move.reason for move in self._moves):
            moves["because"] = [move.reason or "" for move in self._moves]
        table = pd.DataFrame(moves, index=range(1, len(self) + 1))
        return notebook_html(self._title(), table=table if len(self) else None)

    def _title(self) -> str:
        return f"InterventionPlan of {counted(len(self), 'move')}"


def _as_move(move: Any) -> Move:
    if isinstance(move, Move):
        return move
    if isinstance(move, type) and issubclass(move, Move):
        raise TypeError(f"{move.__name__} is a class of moves; write {move.__name__}(…).")
    if callable(move):
        return WholeMap(move)
    raise TypeError(
        f"A plan holds moves, such as Shift(4, by=(1, 0)), or callables. "
        f"Received: {move!r} of {type(move).__name__}."
    )
