"""Which round a session opens with, where files of some are missing or damaged."""

from __future__ import annotations

from contextlib import suppress

from .folder import SessionFolder
from .given import StudioData
from .rounds import Round, RoundNote, read_note


def whole_round(data: StudioData, folder: SessionFolder) -> tuple[Round, list[str]]:
    """Returns the round that was looked at last, or the newest that is whole, and sentences on what is not.

    Raises:
        ValueError: If there is none.
    """
    last, troubles = folder.current_round, []
    left = [number for number in folder.rounds() if number != last]
    if last is None:
        troubles.append("studio.json does not say which round was looked at last.")
    else:
        left.append(last)
    while left:
        number = left.pop()
        try:
            found = Round.load(data, folder.round(number))
        except ValueError as error:
            troubles.append(f"Round {number} cannot be opened: {error}")
            continue
        if troubles:
            troubles.append(f"Round {number} is shown instead.")
        return found, [*troubles, *_left_out(folder, left)]
    raise ValueError(
        f"No round of {folder.path} can be opened. {' '.join(troubles)} Put back what is missing, or choose "
        "another folder."
    )


def round_notes(folder: SessionFolder) -> list[RoundNote]:
    """What is told of the rounds, in order; one that tells nothing readable is left out."""
    notes = []
    for number in folder.rounds():
        with suppress(ValueError):
            notes.append(read_note(folder.round(number)))
    return notes


def _left_out(folder: SessionFolder, numbers: list[int]) -> list[str]:
    told = []
    for number in numbers:
        try:
            read_note(folder.round(number))
        except ValueError as error:
            told.append(f"Round {number} is left out of the history: {error}")
    return told
