"""A plan that is being edited: entries that are on or off, and undo and redo without end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ...checks import quoted
from ...intervention import InterventionPlan
from ...intervention.change import Change
from ...intervention.storage import change_of, change_text


@dataclass(frozen=True)
class Entry:
    """A change in a plan that is being edited.

    Args:
        number: What it is called as long as the plan lives; no other entry ever has it.
        change: The change.
        on: Whether it is in force.
    """

    number: int
    change: Change
    on: bool = True


State: TypeAlias = tuple[Entry, ...]


class PlanEditor:
    """The states that a plan went through, and which of them stands.

    Every edit makes a new state; `undo` and `redo` walk along them. A new edit drops the states that were
    undone.

    Args:
        changes: The changes that the plan begins with.

    Raises:
        ValueError: Here and where a change comes in, if it holds a function, which cannot be stored.

    Example:
        >>> from keras_pli.intervention import Contract, Shift
        >>> editor = PlanEditor()
        >>> first = editor.add(Contract(3))
        >>> second = editor.add(Shift(3, by=(1, 0)))
        >>> editor.switch(first.number, on=False)
        >>> editor.plan
        InterventionPlan of 1 move
          1. shift class 3 by (1, 0)
        >>> editor.undo()
        >>> len(editor.plan), editor.can_redo
        (2, True)
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._next = 1
        self._states: list[State] = [self._entries_of(changes)]
        self._steps = [_step((), self._states[0])]  # how each state is told, as JSON
        self._place = 0

    @property
    def entries(self) -> State:
        """The entries as they stand, in order."""
        return self._states[self._place]

    @property
    def plan(self) -> InterventionPlan:
        """The changes that are on."""
        return InterventionPlan(entry.change for entry in self.entries if entry.on)

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Whether a state was undone and no other one was made since."""
        return self._place + 1 < len(self._states)

    def entry(self, number: int) -> Entry:
        """Returns an entry; raises ValueError if there is none of this number."""
        for entry in self.entries:
            if entry.number == number:
                return entry
        numbers = [entry.number for entry in self.entries]
        raise ValueError(
            f"There is no entry {number} in the plan: it may have been removed in another window. "
            f"There are: {quoted(numbers, most=20) or 'none'}."
        )

    def add(self, change: Change) -> Entry:
        """Puts a change at the end and returns its entry."""
        (entry,) = self._entries_of([change])
        self._make((*self.entries, entry))
        return entry

    def replace(self, number: int, change: Change) -> None:
        """Puts another change in the place of an entry's."""
        self._edit(number, lambda entry: replace(entry, change=change))

    def switch(self, number: int, *, on: bool) -> None:
        """Turns an entry on or off."""
        self._edit(number, lambda entry: replace(entry, on=on))

    def remove(self, number: int) -> None:
        """Takes an entry out of the plan."""
        gone = self.entry(number)
        self._make(tuple(entry for entry in self.entries if entry is not gone))

    def order(self, numbers: Iterable[int]) -> None:
        """Puts the entries in another order.

        Raises:
            ValueError: If the numbers are not those of all entries, each once.
        """
        wanted, known = list(numbers), {entry.number: entry for entry in self.entries}
        if sorted(wanted) != sorted(known):
            raise ValueError(
                f"The order must name each entry once: {quoted(known, most=20) or 'none'}. "
                f"Received: {quoted(wanted) or 'none'}."
            )
        self._make(tuple(known[number] for number in wanted))

    def set(self, changes: Iterable[Change]) -> None:
        """Puts other changes in the place of all; this can be undone as well."""
        self._make(self._entries_of(changes))

    def undo(self) -> None:
        """Goes back by one state; raises ValueError at the first."""
        if not self.can_undo:
            raise ValueError("There is nothing to undo: this is where the plan began.")
        self._place -= 1

    def redo(self) -> None:
        """Goes on by one state; raises ValueError at the last."""
        if not self.can_redo:
            raise ValueError("There is nothing to redo: nothing was undone since the last change.")
        self._place += 1

    def __copy__(self) -> PlanEditor:
        """Returns an editor of the same states; what is done to one is not done to the other."""
        other = PlanEditor()
        other._next, other._place = self._next, self._place
        other._states, other._steps = list(self._states), list(self._steps)
        return other

    def to_json(self) -> str:
        """Returns all states as a JSON text, a line for each.

        What tells a state from the one before is written when it is made, so that an edit costs what it
        changes, however many there were before.
        """
        steps = ",\n".join(self._steps)
        return f'{{"steps": [\n{steps}\n],\n"place": {self._place}, "next": {self._next}}}\n'

    @classmethod
    def of_entries(cls, entries: Iterable[Entry]) -> PlanEditor:
        """Returns an editor that begins with entries, on or off, which are numbered anew."""
        editor = cls()
        editor._states = [
            tuple(replace(entry, number=number) for number, entry in enumerate(entries, 1))
        ]
        editor._steps = [_step((), editor.entries)]
        editor._next = len(editor.entries) + 1
        return editor

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> PlanEditor:
        """Returns the editor whose `to_json` the record was read from.

        Raises:
            ValueError: If the record is damaged.
        """
        editor = cls()
        try:
            state: State = ()
            editor._states, editor._steps = [], []
            for place, step in enumerate(record["steps"]):
                following = _state_of(step, state, f"state {place}")
                editor._states.append(following)
                editor._steps.append(_step(state, following))
                state = following
            editor._place, editor._next = int(record["place"]), int(record["next"])
            _ = editor.entries
        except KeyError as error:
            raise ValueError(f"The stored plan is damaged: it lacks {error}.") from error
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(f"The stored plan is damaged: {error}") from error
        return editor

    def _entries_of(self, changes: Iterable[Change]) -> State:
        made = tuple(Entry(number, change) for number, change in enumerate(changes, self._next))
        self._next += len(made)
        return made

    def _edit(self, number: int, edited: Callable[[Entry], Entry]) -> None:
        found = self.entry(number)
        self._make(tuple(edited(entry) if entry is found else entry for entry in self.entries))

    def _make(self, state: State) -> None:
        if state != self.entries:
            step = _step(self.entries, state)
            del self._states[self._place + 1 :], self._steps[self._place + 1 :]
            self._states.append(state)
            self._steps.append(step)
            self._place += 1


def _step(before: State, state: State) -> str:
    """What tells a state from the one before, as JSON.

    `keep` entries stay at the beginning and at the end; `entries` are those between, each its number, whether
    it is on, and its change, or null where it is that of the entry of this number before.
    """
    first = _shared(before, state)
    last = _shared(before[first:][::-1], state[first:][::-1])
    known = {entry.number: entry.change for entry in before}
    entries = []
    for entry in state[first : len(state) - last]:
        same = known.get(entry.number) is entry.change
        text = "null" if same else change_text(entry.change, entry.change)
        entries.append(f"[{entry.number}, {json.dumps(entry.on)}, {text}]")
    return f'{{"keep": [{first}, {last}], "entries": [{", ".join(entries)}]}}'


def _state_of(step: Mapping[str, Any], before: State, where: str) -> State:
    """The state that `_step` told of."""
    first, last = step["keep"]
    known = {entry.number: entry.change for entry in before}
    between = tuple(
        Entry(number, known[number] if told is None else change_of(told, where), bool(on))
        for number, on, told in step["entries"]
    )
    return (*before[:first], *between, *before[len(before) - last :])


def _shared(one: State, other: State) -> int:
    """How many entries two states begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a is not b), min(len(one), len(other)))
