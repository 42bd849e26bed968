"""A session of the studio: rounds of looking, changing, retraining and comparing, kept in a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...files import atomic_path, read_json, write_text
from ...identity import model_identity
from ...intervention import InterventionPlan
from ...intervention.selection import BoolArray, Polygon
from ...network.activations import ActivationReader
from ...plotting.style import NO_LABEL
from ...retraining.embedders import embedder_of
from ...retraining.outputs import predicted
from ..jobs.jobs import Jobs
from ..jobs.retraining_result import RETRAINING, finished
from ..samples.samples import Samples
from .edited_map import EditedMap
from .events import Events
from .folder import SessionFolder
from .given import StudioData
from .plan_editor import PlanEditor
from .rounds import CLASSIFIER, EMBEDDER, Round, RoundNote, check_map, load_network, read_note
from .selections import ColumnCode, ColumnRange, ErrorsOf, StudioSelection

HISTORY, PLAN = "plan-history.json", "plan.json"


class StudioSession:
    """What a person does in the studio, and where it is kept: opened again, all of it is there.

    Args:
        data: What the studio was opened with.
        out: The session's folder; made where it is missing.
        embedder: A trained map of the layer with two components. None takes the one that lies in the folder
            as `embedder.keras`, or trains a `ParametricTSNE.smooth`.
        seed: Seed of that training.
        verbose: As in Keras, for that training.

    Raises:
        ValueError: If the folder holds a session of another classifier, other data or another map, the map
            has not two components, or the classifier cannot be stored and read again.
        RuntimeError: If another process has the session open.

    Example:
        >>> session = StudioSession(StudioData.of(classifier, x, labels), "runs/studio")  # doctest: +SKIP
        >>> session.edit(lambda editor: editor.add(Contract(8)), complete=True)  # doctest: +SKIP
        >>> session.edited.targets  # doctest: +SKIP
    """

    def __init__(
        self,
        data: StudioData,
        out: str | Path,
        *,
        embedder: keras.Model | None = None,
        seed: int = 0,
        verbose: Any = "auto",
    ) -> None:
        self.data = data
        self.events = Events()
        self.jobs = Jobs(self.events.publish)
        self.lock = threading.RLock()
        self.revision = 0
        self.editor = PlanEditor()
        self.samples = Samples(data)
        self.folder = SessionFolder(out, data.identity())
        try:
            if self.folder.is_new:
                self._first_round(embedder, seed, verbose)
            self._enter(Round.load(data, self.folder.round(self.folder.current_round)))
            self._check_embedder(embedder)
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
        """
        with self.lock:
            editor = copy(self.editor)
            action(editor)
            edited, error = self._applied(editor.plan)
            if complete and error is not None:
                raise ValueError(error)
            self.editor = editor
            self._take(edited, error)
            self._store_plan()
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
        """What is told of all rounds, in order."""
        return [read_note(self.folder.round(number)) for number in self.folder.rounds()]

    def go_to(self, number: int) -> None:
        """Looks at another round, with its plan as it was left.

        Raises:
            ValueError: If there is no such round.
        """
        with self.lock:
            if number not in self.folder.rounds():
                raise ValueError(f"There is no round {number}. There are {self.folder.rounds()}.")
            self._enter(Round.load(self.data, self.folder.round(number)))
        self.events.publish("round", {})

    def new_round(
        self, classifier: Path, *, title: str, sentence: str | None, embedder: Path | None = None
    ) -> Round:
        """Goes on from another classifier: the plan's changes of the data stay, its moves are done.

        Args:
            classifier: The classifier's file.
            title: What the round is, in a few words.
            sentence: What the retraining that made it did.
            embedder: A file of another map; the round's own by default.

        Raises:
            ValueError: If a file cannot be loaded, or its map or outputs are not finite.
        """
        with self.lock:
            number = self.folder.rounds()[-1] + 1
            made = Round.make(
                self.data,
                self.folder.round(number),
                classifier,
                embedder or self.round.folder / EMBEDDER,
                number=number,
                parent=self.round.number,
                title=title,
                sentence=sentence,
            )
            lasting = PlanEditor(self.edited.lasting_changes())
            write_text(made.folder / HISTORY, lasting.to_json())
            self._enter(made)
        self.events.publish("round", {})
        return made

    def close(self) -> None:
        """Ends what is under way, and lets others open the session's folder."""
        self.jobs.close()
        self.folder.close()

    def _first_round(self, embedder: keras.Model | None, seed: int, verbose: Any) -> None:
        folder = self.folder.round(0)
        with atomic_path(folder / CLASSIFIER) as temporary:
            self.data.classifier.save(temporary)
        if embedder is None and self.folder.embedder.exists():
            embedder = load_network(self.folder.embedder)
        reader = ActivationReader(self.data.classifier, self.data.layer)
        activations = predicted(reader, self.data.train[0])
        embedder = embedder_of(embedder, activations, seed, verbose=verbose)
        check_map(embedder, activations, self.data.layer)  # before it lies in the folder
        with atomic_path(self.folder.embedder) as temporary:
            embedder.save(temporary)
        made = Round.make(
            self.data,
            folder,
            folder / CLASSIFIER,
            self.folder.embedder,
            number=0,
            parent=None,
            title="As given",
        )
        if not np.allclose(made.activations, activations, rtol=1e-3, atol=1e-4):
            raise ValueError(
                f"{self.data.classifier.name!r} is another network once it is stored and read again, so a "
                "studio cannot work on copies of it. A layer of its own may lack `get_config`."
            )

    def _check_embedder(self, embedder: keras.Model | None) -> None:
        if embedder is None:
            return
        first = load_network(self.folder.round(0) / EMBEDDER)
        if model_identity(first) != model_identity(embedder):
            raise ValueError(
                f"{self.folder.path} holds a session with another map. Choose another folder, or leave "
                "`embedder` out."
            )

    def _enter(self, entered: Round) -> None:
        self.round = entered
        self.folder.set_current_round(entered.number)
        self.editor = self._stored_editor()
        nothing, _ = self._applied(InterventionPlan())
        assert nothing is not None
        self._edited = nothing
        self._take(*self._applied(self.editor.plan))
        self._store_plan()

    def _stored_editor(self) -> PlanEditor:
        history = self.round.folder / HISTORY
        if history.exists():
            return PlanEditor.of_record(read_json(history))
        if self.round.number == 0 and self.folder.plan.exists():
            return PlanEditor(InterventionPlan.load(self.folder.plan))  # of the command line
        return PlanEditor()

    def _applied(self, plan: InterventionPlan) -> tuple[EditedMap | None, str | None]:
        try:
            return EditedMap.of(plan, self.round.map, self.data.labels, self.classes), None
        except ValueError as error:
            return None, str(error)

    def _take(self, edited: EditedMap | None, error: str | None) -> None:
        if edited is not None:
            self._edited = edited
        self._plan_error = error
        self.revision += 1

    def _store_plan(self) -> None:
        write_text(self.round.folder / HISTORY, self.editor.to_json())
        text = self.plan.to_json()
        for path in (self.round.folder / PLAN, self.folder.plan):
            write_text(path, text)

    def _of_column(self, selection: ColumnCode | ColumnRange) -> BoolArray:
        column = self.samples.of(self.round).columns[selection.column]
        if isinstance(selection, ColumnCode):
            return column.of_code(selection.code)
        return column.within(selection.least, selection.most)


def _inside(polygon: Polygon, positions: NDArray[np.float32]) -> BoolArray:
    """The points in a polygon; none where a plan would refuse it for holding none."""
    try:
        return polygon.resolve(positions)
    except ValueError:
        return np.zeros(len(positions), dtype=bool)
