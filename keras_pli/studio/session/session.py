"""A session of the studio: rounds of looking, changing, retraining and comparing, kept in a folder."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...checks import one_of
from ...intervention import InterventionPlan
from ...intervention.change import ChangeMisfitError
from ...intervention.naming import named
from ...intervention.selection import BoolArray, Polygon
from ...plotting.style import NO_LABEL
from ...random_state import kept_random_state
from ..jobs.jobs import Jobs
from ..jobs.retraining_result import RETRAINING, finished
from ..samples.samples import Samples
from .carrying import Carried
from .edited_map import EditedMap
from .events import Events
from .first_round import check_same_map, make_first_round
from .folder import SessionFolder, writing_in
from .given import StudioData
from .plan_editor import PlanEditor
from .rounds import CLASSIFIER, EMBEDDER, Round, RoundNote, load_network
from .selections import ColumnCode, ColumnRange, ErrorsOf, StudioSelection
from .stored_plan import plan_texts, stored_editor
from .whole_round import round_notes, whole_round

_log = logging.getLogger(__name__)


class StudioSession:
    """What a person does in the studio, and where it is kept: opened again, all of it is there.

    Args:
        data: What the studio was opened with.
        out: The session's folder; made where it is missing.
        embedder: A trained map of the layer with two components. None takes the one that lies in the folder
            as `embedder.keras`, or trains a `ParametricTSNE.smooth`.
        seed: Seed of that training.
        verbose: As in Keras, for that training.

    Attributes:
        note: What was found missing or damaged when the folder was opened, and what is shown instead; None
            where all is whole.

    Raises:
        ValueError: If the folder holds a session of another classifier, other data or another map, no round
            of it is whole, the map has not two components, or the classifier cannot be stored and read again.
        RuntimeError: If another process has the session open.
        OSError: If the folder cannot be written.

    Warns:
        UserWarning: If other class names are given than the session had.

    Example:
        >>> session = StudioSession(StudioData.of(classifier, x, labels), "runs/studio")  # doctest: +SKIP
        >>> session.edit(lambda editor: editor.add(Contract(8)), complete=True)  # doctest: +SKIP
        >>> session.edited.targets  # doctest: +SKIP
    """

    @kept_random_state()
    def __init__(
        self,
        data: StudioData,
        out: str | Path,
        *,
        embedder: keras.Model | None = None,
        seed: int = 0,
        verbose: Any = "auto",
    ) -> None:
        self.events = Events()
        self.jobs = Jobs(self.events.publish)
        self.lock = threading.RLock()
        self._making = threading.Lock()
        self.revision = 0
        self.editor = PlanEditor()
        self.folder = SessionFolder(out, data.identity())
        try:
            self.data = data.with_names(self.folder.class_names)
            self.samples = Samples(self.data)
            if self.folder.is_new:
                make_first_round(self.data, self.folder, embedder, seed, verbose)
            elif embedder is not None:
                check_same_map(self.folder, embedder)
            found, troubles = whole_round(self.data, self.folder)
            editor, lost = stored_editor(self.folder, found)
            self._enter(found, editor)
            self.note = " ".join([*troubles, *([lost] if lost else [])]) or None
            if self.note:
                _log.warning("%s", self.note)
        except BaseException:
            self.folder.close()
            raise

    @property
    def plan(self) -> InterventionPlan:
        """The changes that are on."""
        return self.editor.plan

    @property
    def edited(self) -> EditedMap:
        """The map and the data after the plan; after the last plan that could be applied, where it cannot."""
        return self._edited

    @property
    def plan_error(self) -> str | None:
        """Why the plan cannot be applied as it stands, or None."""
        return self._plan_error

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.data.class_names)

    @property
    def makes_round(self) -> bool:
        """Whether a new round is being prepared."""
        return self._making.locked()

    def class_name(self, label: Any) -> str:
        """Returns the name of a class, or "no label" for -1."""
        return NO_LABEL if label < 0 else self.data.class_names[int(label)]

    def map_of(self, name: str) -> NDArray[np.float32]:
        """Returns positions of the training samples, float32 `(samples, 2)`.

        Args:
            name: `"map"` or `"baseline"` for the round's map; `"control"` or `"PLI"` for that of an arm of
                the retraining that waits in this round, `"asked"` for what its plan asked for.

        Raises:
            ValueError: If there is no such map.
        """
        if name in ("map", "baseline"):
            return self.round.map
        made = finished(self.round.folder / RETRAINING)
        if made is None or name not in made.maps:
            raise ValueError(f"There is no map {name!r}: no retraining waits in this round.")
        return made.maps[name]

    def edit(self, action: Callable[[PlanEditor], Any], *, complete: bool = False) -> None:
        """Edits the plan, keeps it, and tells all pages.

        Args:
            action: What is done to the editor.
            complete: Whether to refuse an edit after which the plan cannot be applied. Without, the plan
                keeps it, and says what is wrong: an entry may be switched off that a later one needs.

        Raises:
            ValueError: If the action does not fit the plan, or the plan then not the points.
            OSError: If the plan cannot be stored; it is then as it was.
        """
        with self.lock:
            editor = copy(self.editor)
            action(editor)
            edited, error = self._applied(editor, self.round)
            if complete and error is not None:
                raise ValueError(error)
            self.folder.write(plan_texts(self.folder, self.round.folder, editor))
            self.editor = editor
            self._take(edited, error)
        self.events.publish("plan", {})

    def select(self, selection: StudioSelection, *, on: str = "targets") -> BoolArray:
        """Returns which points are meant.

        Args:
            selection: A selection of a plan, or one of the studio's own.
            on: What a polygon is laid over and classes are taken from: `"targets"`, the map as the plan
                leaves it, or `"map"`, as it was.

        Raises:
            ValueError: If it does not fit the points; a polygon may hold none.
        """
        with self.lock:
            before = on == "map"
            positions = self.round.map if before else self.edited.targets
            labels = self.data.labels if before else self.edited.data.labels
        if isinstance(selection, ErrorsOf):
            for name in ("label", "predicted"):
                one_of(getattr(selection, name), [None, *range(self.classes)], name)
            return selection.mask(labels, self.round.predictions)
        if isinstance(selection, ColumnCode | ColumnRange):
            return self._of_column(selection)
        if isinstance(selection, Polygon):
            return _inside(selection, positions)
        return selection.resolve(positions, labels)

    def classifier_copy(self) -> keras.Model:
        """Returns a second model of the round's classifier, for work that changes weights while it runs."""
        return load_network(self.round.folder / CLASSIFIER)

    def rounds(self) -> list[RoundNote]:
        """What is told of the rounds, in order; one whose note is damaged is left out."""
        return round_notes(self.folder)

    def go_to(self, number: int) -> str | None:
        """Looks at another round, with its plan as it was left; returns what is lost of that, or None.

        Raises:
            ValueError: If there is no such round, or it is damaged; the session stays where it is.
            OSError: If the folder cannot be written; the session stays where it is.
        """
        with self.lock:
            if number not in self.folder.rounds():
                raise ValueError(f"There is no round {number}. There are {self.folder.rounds()}.")
            try:
                found = Round.load(self.data, self.folder.round(number))
            except ValueError as error:
                raise ValueError(
                    f"Round {number} cannot be opened: {error} Round {self.round.number} stays open."
                ) from error
            editor, lost = stored_editor(self.folder, found)
            self._enter(found, editor)
        self.events.publish("round", {"note": lost})
        return lost

    def new_round(
        self,
        parent: Round,
        classifier: Path,
        *,
        title: str,
        carried: Callable[[], Carried],
        sentence: str | None = None,
        made_by: dict[str, Any] | None = None,
        embedder: Path | None = None,
        beside: Callable[[Path], Any] | None = None,
    ) -> tuple[Round, str | None]:
        """Goes on from another classifier, or with another map.

        The session answers while the round is prepared; its lock is held only to enter it.

        Args:
            parent: The round that it comes from, which is looked at.
            classifier: The classifier's file.
            title: What the round is, in a few words.
            carried: Called with the session's lock, when the round is prepared: returns the plan that it
                begins with, or raises what keeps it from being entered.
            sentence: What the retraining that made it did.
            made_by: How that was done; see `RoundNote`.
            embedder: A file of another map; the parent's own by default.
            beside: Called with the round's folder once it is entered, for what shall lie there besides.

        Returns:
            The round, and the note on what of the plan was carried over.

        Raises:
            ValueError: If a file cannot be loaded, its map or outputs are not finite, or another round is
                looked at by now.
            OSError: If the folder cannot be written. Whatever fails, the session is as it was.
        """
        with self._making:
            self._check_present(parent)
            number = self.folder.rounds()[-1] + 1
            folder = self.folder.round(number)
            try:
                with writing_in(self.folder.path):
                    made = Round.make(
                        self.data,
                        folder,
                        classifier,
                        embedder or parent.folder / EMBEDDER,
                        number=number,
                        parent=parent.number,
                        title=title,
                        sentence=sentence,
                        made_by=made_by,
                    )
                with self.lock:
                    self._check_present(parent)
                    editor, note = carried()
                    self._enter(made, editor)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            if beside is not None:
                beside(folder)
        self.events.publish("round", {"note": note})
        return made, note

    def close(self) -> None:
        """Ends what is under way, and lets others open the session's folder."""
        self.jobs.close()
        self.folder.close()

    def _check_present(self, parent: Round) -> None:
        if self.round is not parent:
            raise ValueError(f"Round {self.round.number} is looked at by now, not {parent.number}.")

    def _enter(self, entered: Round, editor: PlanEditor) -> None:
        """Looks at a round; nothing is another while it can fail."""
        unchanged = EditedMap.of(InterventionPlan(), entered.map, self.data.labels, self.classes)
        edited, error = self._applied(editor, entered)
        self.folder.write(
            plan_texts(self.folder, entered.folder, editor),
            round=entered.number,
            class_names=list(self.data.class_names),
        )
        self.round, self.editor, self._edited = entered, editor, unchanged
        self._take(edited, error)

    def _applied(self, editor: PlanEditor, on: Round) -> tuple[EditedMap | None, str | None]:
        try:
            return EditedMap.of(editor.plan, on.map, self.data.labels, self.classes), None
        except ChangeMisfitError as error:
            # As pages count: those that are off, too.
            places = [place for place, entry in enumerate(editor.entries, 1) if entry.on]
            place = places[error.place - 1]
            told = named(editor.entries[place - 1].change, self.data.class_names)
            return None, f"Step {place}, {told}: {error.why}"
        except ValueError as error:
            return None, str(error)

    def _take(self, edited: EditedMap | None, error: str | None) -> None:
        if edited is not None:
            self._edited = edited
        self._plan_error = error
        self.revision += 1

    def _of_column(self, selection: ColumnCode | ColumnRange) -> BoolArray:
        columns = self.samples.of(self.round).columns
        column = columns[one_of(selection.column, columns.names, "column")]
        if isinstance(selection, ColumnCode):
            return column.of_code(selection.code)
        return column.within(selection.least, selection.most)


def _inside(polygon: Polygon, positions: NDArray[np.float32]) -> BoolArray:
    """The points in a polygon; none where a plan would refuse it for holding none."""
    try:
        return polygon.resolve(positions)
    except ValueError:
        return np.zeros(len(positions), dtype=bool)
